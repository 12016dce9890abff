package promhistory

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/prometheus/common/model"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/pmetric"
)

// Whatever series a server answers with: nothing panics, and a histogram's
// count is the sum of its buckets, one more than its bounds.
func FuzzConvert(f *testing.F) {
	f.Add([]byte(`[{"metric":{"__name__":"h_bucket","job":"shop/cart","instance":"a","le":"0.1"},"values":[[1,"1"],[16,"3"]]},
		{"metric":{"__name__":"h_bucket","job":"shop/cart","instance":"a","le":"+Inf"},"values":[[1,"2"],[16,"NaN"],[31,"-4"]]}]`))
	f.Add([]byte(`[{"metric":{"__name__":"c_total","job":"cart"},"values":[[1,"1e300"],[16,"+Inf"]]}]`))
	f.Fuzz(func(t *testing.T, raw []byte) {
		for _, name := range []string{"h", "c_total"} {
			var matrix model.Matrix
			if json.Unmarshal(raw, &matrix) != nil {
				return
			}
			for _, series := range matrix {
				if series == nil || series.Metric == nil {
					return // the client gives none such
				}
			}
			h, err := New(Options{URL: "http://localhost:9090", Series: []string{name}, From: from, To: from.Add(time.Hour), Step: 15 * time.Second})
			require.NoError(t, err)
			require.NoError(t, h.convert(newSelector(name), matrix, func(md pmetric.Metrics) error {
				for _, metric := range md.ResourceMetrics().At(0).ScopeMetrics().At(0).Metrics().All() {
					if metric.Type() != pmetric.MetricTypeHistogram {
						continue
					}
					for _, p := range metric.Histogram().DataPoints().All() {
						sum := uint64(0)
						for _, n := range p.BucketCounts().All() {
							sum += n
						}
						if sum != p.Count() || p.BucketCounts().Len() != p.ExplicitBounds().Len()+1 {
							t.Fatalf("count %d, %d in buckets", p.Count(), sum)
						}
					}
				}
				return nil
			}))
		}
	})
}
