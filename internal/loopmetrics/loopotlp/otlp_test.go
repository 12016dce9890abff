package loopotlp

import (
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
	Append([]loopmetrics.Family{
		{Name: "g", Kind: loopmetrics.Gauge, Points: []loopmetrics.Point{{Labels: labels, Value: 3}}},
		{Name: "empty", Kind: loopmetrics.Gauge},
		{Name: "c", Kind: loopmetrics.Counter, Points: []loopmetrics.Point{{Labels: labels, Value: 4}}},
		{Name: "h", Unit: "s", Kind: loopmetrics.Histogram, Points: []loopmetrics.Point{{Labels: labels, Count: 2, Sum: 16, Buckets: buckets,
			Exemplar: &loopmetrics.Exemplar{Value: 8, AtUnixNano: 5, Deployment: "d", TraceID: "0af7651916cd43dd8448eb211c80319c"}}}},
	}, start, start.Add(time.Minute), out)
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
