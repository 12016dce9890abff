// Package loopotlp renders the loop's metrics as OTLP.
package loopotlp

import (
	"encoding/hex"
	"strings"
	"time"

	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/pmetric"

	"github.com/deployloop/deployloop/internal/event"
	"github.com/deployloop/deployloop/internal/loopmetrics"
)

// Writer renders one collection after the other. A gauge's series that is no
// more is marked so: who keeps a last value, as the prometheus exporter does for
// minutes, would show what is over as if it were open.
type Writer struct {
	Start time.Time // of what is cumulative
	seen  map[string]seen
}

// seen is a gauge's series that was told.
type seen struct {
	family  loopmetrics.Family // without its points
	labels  []event.KeyText
	missing int // collections since it was there
}

// markedFor is how many collections mark a series as gone: one can be lost.
const markedFor = 3

// Append adds the families to metrics. Families without a point are left out.
func (w *Writer) Append(families []loopmetrics.Family, now time.Time, metrics pmetric.MetricSlice) {
	appendFamilies(families, w.Start, now, metrics)
	if w.seen == nil {
		w.seen = map[string]seen{}
	}
	for key, s := range w.seen {
		s.missing++
		w.seen[key] = s
	}
	for _, f := range families {
		if f.Kind != loopmetrics.Gauge {
			continue // the others stay
		}
		for _, p := range f.Points {
			key := f.Name
			for _, l := range p.Labels {
				key = strings.Join([]string{key, l.Key, l.Text}, "\xff")
			}
			w.seen[key] = seen{family: loopmetrics.Family{Name: f.Name, Unit: f.Unit, Description: f.Description}, labels: p.Labels}
		}
	}
	for key, s := range w.seen {
		switch {
		case s.missing > markedFor:
			delete(w.seen, key)
		case s.missing > 0:
			// A metric each: the prometheus exporter reads no further in one
			// once it came upon such a point.
			m := metrics.AppendEmpty()
			describe(s.family, m)
			dp := m.SetEmptyGauge().DataPoints().AppendEmpty()
			dp.SetTimestamp(pcommon.NewTimestampFromTime(now))
			dp.SetFlags(pmetric.DefaultDataPointFlags.WithNoRecordedValue(true))
			labels(s.labels, dp.Attributes())
		}
	}
}

func describe(f loopmetrics.Family, m pmetric.Metric) {
	m.SetName(f.Name)
	m.SetUnit(f.Unit)
	m.SetDescription(f.Description)
}

func appendFamilies(families []loopmetrics.Family, start, now time.Time, metrics pmetric.MetricSlice) {
	from, at := pcommon.NewTimestampFromTime(start), pcommon.NewTimestampFromTime(now)
	for _, f := range families {
		if len(f.Points) == 0 {
			continue
		}
		m := metrics.AppendEmpty()
		describe(f, m)
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
