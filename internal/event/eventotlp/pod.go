package eventotlp

import (
	"go.opentelemetry.io/collector/pdata/pcommon"

	"github.com/deployloop/deployloop/internal/cicd/kubernetes"
)

// PodVersion is what the attributes of a resource that names no version say of the
// version of its pod; "" when they say nothing.
func PodVersion(resource pcommon.Map) string {
	return kubernetes.Version(func(name string) string {
		value, ok := resource.Get(name)
		if ok && value.Type() == pcommon.ValueTypeSlice && value.Slice().Len() > 0 {
			value = value.Slice().At(0)
		}
		if !ok || value.Type() != pcommon.ValueTypeStr {
			return ""
		}
		return value.Str()
	})
}
