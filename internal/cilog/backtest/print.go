package backtest

import (
	"fmt"
	"strings"

	"github.com/deployloop/deployloop/internal/cilog"
)

// Describe prints weights as weights.go has them.
func Describe(name string, w cilog.Weights) string {
	var b strings.Builder
	fmt.Fprintf(&b, "// %s\n", name)
	for f := range cilog.FeatureCount {
		fmt.Fprintf(&b, "\t\t%+.2f, // %s\n", w.Feature[f], cilog.FeatureName(f))
	}
	fmt.Fprintf(&b, "\tBias: %.2f, Threshold: %.2f\n", w.Bias, w.Threshold)
	return b.String()
}
