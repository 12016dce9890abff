package loopotlp

import (
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"go.opentelemetry.io/collector/pdata/pmetric"

	"github.com/deployloop/deployloop/internal/event"
	"github.com/deployloop/deployloop/internal/loopmetrics"
)

func TestAppend(t *testing.T) {
	start := time.Unix(1000, 0)
	buckets := make([]uint64, len(loopmetrics.Bounds)+1)
	buckets[3] = 2
	labels := []event.KeyText{{Key: "service", Text: "cart"}}
	out := pmetric.NewMetrics().ResourceMetrics().AppendEmpty().ScopeMetrics().AppendEmpty().Metrics()
	w := &Writer{Start: start}
	w.Append([]loopmetrics.Family{
		{Name: "g", Kind: loopmetrics.Gauge, Points: []loopmetrics.Point{{Labels: labels, Value: 3}}},
		{Name: "empty", Kind: loopmetrics.Gauge},
		{Name: "c", Kind: loopmetrics.Counter, Points: []loopmetrics.Point{{Labels: labels, Value: 4}}},
		{Name: "h", Unit: "s", Kind: loopmetrics.Histogram, Points: []loopmetrics.Point{{Labels: labels, Count: 2, Sum: 16, Buckets: buckets,
			Exemplar: &loopmetrics.Exemplar{Value: 8, AtUnixNano: 5, Deployment: "d", TraceID: "0af7651916cd43dd8448eb211c80319c"}}}},
	}, start.Add(time.Minute), out)
	if assert.Equal(t, 3, out.Len()) {
		assert.Equal(t, 3.0, out.At(0).Gauge().DataPoints().At(0).DoubleValue())
		assert.True(t, out.At(1).Sum().IsMonotonic())
		assert.Equal(t, map[string]any{"service": "cart"}, out.At(1).Sum().DataPoints().At(0).Attributes().AsRaw())
		h := out.At(2).Histogram().DataPoints().At(0)
		assert.Equal(t, uint64(2), h.BucketCounts().At(3))
		assert.Equal(t, h.ExplicitBounds().Len()+1, h.BucketCounts().Len())
		assert.Equal(t, "0af7651916cd43dd8448eb211c80319c", h.Exemplars().At(0).TraceID().String())
	}
}

// A series that is no more is said to be, each in a metric of its own, and for
// long enough that one lost collection does not matter.
func TestWhatIsNoMoreIsMarked(t *testing.T) {
	w := &Writer{}
	point := func(service string) loopmetrics.Point {
		return loopmetrics.Point{Labels: []event.KeyText{{Key: "service", Text: service}}, Value: 1}
	}
	marked := func(points ...loopmetrics.Point) (services []string) {
		out := pmetric.NewMetricSlice()
		w.Append([]loopmetrics.Family{
			{Name: "open", Unit: "{anomaly}", Description: "Open", Kind: loopmetrics.Gauge, Points: points},
			{Name: "closed", Kind: loopmetrics.Counter}, // never marked
		}, time.Unix(1000, 0), out)
		for _, m := range out.All() {
			assert.Equal(t, []string{"open", "{anomaly}", "Open"}, []string{m.Name(), m.Unit(), m.Description()})
			for _, dp := range m.Gauge().DataPoints().All() {
				if dp.Flags().NoRecordedValue() {
					assert.Equal(t, 1, m.Gauge().DataPoints().Len())
					service, _ := dp.Attributes().Get("service")
					services = append(services, service.Str())
				}
			}
		}
		slices.Sort(services)
		return services
	}
	assert.Empty(t, marked(point("cart"), point("mail"), point("search")))
	assert.Equal(t, []string{"cart", "mail"}, marked(point("search")))
	assert.Equal(t, []string{"cart", "mail"}, marked(point("search")))
	assert.Equal(t, []string{"cart"}, marked(point("search"), point("mail")), "it is back")
	assert.Empty(t, marked(point("search"), point("mail")))
	assert.Len(t, w.seen, 2, "nothing is kept")
}
