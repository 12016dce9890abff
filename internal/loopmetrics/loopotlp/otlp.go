// Package loopotlp renders the loop's metrics as OTLP.
package loopotlp

import (
	"encoding/hex"
	"time"

	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/pmetric"

	"github.com/deployloop/deployloop/internal/event"
	"github.com/deployloop/deployloop/internal/loopmetrics"
)

// Append adds the families to metrics, cumulative since start. Families
// without a point are left out.
func Append(families []loopmetrics.Family, start, now time.Time, metrics pmetric.MetricSlice) {
	from, at := pcommon.NewTimestampFromTime(start), pcommon.NewTimestampFromTime(now)
	for _, f := range families {
		if len(f.Points) == 0 {
			continue
		}
		m := metrics.AppendEmpty()
		m.SetName(f.Name)
		m.SetUnit(f.Unit)
		m.SetDescription(f.Description)
		switch f.Kind {
		case loopmetrics.Histogram:
			h := m.SetEmptyHistogram()
			h.SetAggregationTemporality(pmetric.AggregationTemporalityCumulative)
			for _, p := range f.Points {
				histogram(p, h.DataPoints().AppendEmpty(), from, at)
			}
		case loopmetrics.Counter:
			s := m.SetEmptySum()
			s.SetIsMonotonic(true)
			s.SetAggregationTemporality(pmetric.AggregationTemporalityCumulative)
			numbers(f.Points, s.DataPoints(), from, at)
		default:
			numbers(f.Points, m.SetEmptyGauge().DataPoints(), 0, at)
		}
	}
}

func numbers(points []loopmetrics.Point, to pmetric.NumberDataPointSlice, from, at pcommon.Timestamp) {
	for _, p := range points {
		dp := to.AppendEmpty()
		dp.SetStartTimestamp(from)
		dp.SetTimestamp(at)
		dp.SetDoubleValue(p.Value)
		labels(p.Labels, dp.Attributes())
	}
}

func histogram(p loopmetrics.Point, dp pmetric.HistogramDataPoint, from, at pcommon.Timestamp) {
	dp.SetStartTimestamp(from)
	dp.SetTimestamp(at)
	dp.SetCount(p.Count)
	dp.SetSum(p.Sum)
	dp.ExplicitBounds().FromRaw(loopmetrics.Bounds)
	dp.BucketCounts().FromRaw(p.Buckets)
	labels(p.Labels, dp.Attributes())
	if p.Exemplar == nil {
		return
	}
	e := dp.Exemplars().AppendEmpty()
	e.SetDoubleValue(p.Exemplar.Value)
	e.SetTimestamp(pcommon.Timestamp(p.Exemplar.AtUnixNano))
	e.FilteredAttributes().PutStr(event.AttrDeploymentID, p.Exemplar.Deployment)
	if id, err := hex.DecodeString(p.Exemplar.TraceID); err == nil && len(id) == 16 {
		e.SetTraceID(pcommon.TraceID(id))
	}
}

func labels(from []event.KeyText, to pcommon.Map) {
	to.EnsureCapacity(len(from))
	for _, l := range from {
		to.PutStr(l.Key, l.Text)
	}
}
