package anomalyconnector

import (
	"math"
	"strconv"
	"strings"
	"time"

	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/pmetric"

	"github.com/deployloop/deployloop/internal/detect"
	"github.com/deployloop/deployloop/internal/streams"
)

// The names under which points of metrics are counted that did not count as
// they came. Points that repeat what spans tell are counted by the engine
// ("metric_points_repeating_spans").
const (
	lossMetrics       = "metric_points_unused"           // of a metric that says neither how requests went nor what went wrong
	lossSeries        = "metric_series_over_limit"       // of series that are not followed
	lossReference     = "metric_points_first"            // a cumulative series' first one, of which nobody knows what is news
	lossGap           = "metric_points_after_a_gap"      // the first one after more than five minutes without
	lossStale         = "metric_points_late_or_repeated" // not after the series' last one
	countedReset      = "metric_counter_resets"          // the counter began anew: counted
	countedRebucketed = "metric_buckets_changed"         // counts count, durations do not
	lossMalformed     = "metric_points_malformed"        // bounds and counts do not fit, or are no numbers
	lossTemporality   = "metric_points_without_temporality"
	lossClockAhead    = "clock_ahead" // as the engine counts what is from the future
)

// maxAhead is how far the engine lets telemetry be ahead of the clock.
const maxAhead = 5 * time.Second

// deltas is the room in which one source's points are worked out.
type deltas struct {
	raw, change []uint64
	buckets     []detect.Bucket
}

// lumpy is one number or histogram point, whatever its kind.
type lumpy struct {
	start, at  int64
	count      float64
	raw        []uint64
	layout     any                  // identity of raw's buckets
	durations  *detect.Layout       // nil: none
	bin        func(bucket int) int // of a bucket
	cumulative bool
}

// readMetrics reads points of every type. What is not used is counted by name,
// so that nobody takes it for evidence.
func (m *monitor) readMetrics(md pmetric.Metrics) {
	var nameless uint64
	for _, r := range md.ResourceMetrics().All() {
		attributes := r.Resource().Attributes()
		s := m.source(attributes)
		if s == nil {
			for _, scope := range r.ScopeMetrics().All() {
				for _, metric := range scope.Metrics().All() {
					nameless += points(metric)
				}
			}
			continue
		}
		m.readScopes(s, fingerprint(attributes)[0], r.ScopeMetrics())
	}
	if nameless > 0 {
		m.refused.add(lossNoService, nameless)
	}
}

func (m *monitor) readScopes(s *source, resource uint64, scopes pmetric.ScopeMetricsSlice) {
	s.mu.Lock()
	defer s.mu.Unlock()                           // whatever a point does, the source goes on
	for _, sums := range [...]bool{false, true} { // a histogram is a better voice than the counter beside it
		for _, scope := range scopes.All() {
			for _, metric := range scope.Metrics().All() {
				if metric.Type() == pmetric.MetricTypeSum == sums {
					m.readMetric(s, resource, scope.Scope().Name(), metric)
				}
			}
		}
	}
}

func points(metric pmetric.Metric) uint64 {
	switch metric.Type() {
	case pmetric.MetricTypeGauge:
		return uint64(metric.Gauge().DataPoints().Len())
	case pmetric.MetricTypeSum:
		return uint64(metric.Sum().DataPoints().Len())
	case pmetric.MetricTypeHistogram:
		return uint64(metric.Histogram().DataPoints().Len())
	case pmetric.MetricTypeExponentialHistogram:
		return uint64(metric.ExponentialHistogram().DataPoints().Len())
	case pmetric.MetricTypeSummary:
		return uint64(metric.Summary().DataPoints().Len())
	}
	return 0
}

func temporality(metric pmetric.Metric) pmetric.AggregationTemporality {
	switch metric.Type() {
	case pmetric.MetricTypeSum:
		return metric.Sum().AggregationTemporality()
	case pmetric.MetricTypeHistogram:
		return metric.Histogram().AggregationTemporality()
	case pmetric.MetricTypeExponentialHistogram:
		return metric.ExponentialHistogram().AggregationTemporality()
	}
	return pmetric.AggregationTemporalityCumulative
}

// readMetric reads one metric of one source, whose lock is held.
func (m *monitor) readMetric(s *source, resource uint64, scope string, in pmetric.Metric) {
	level := in.Type() == pmetric.MetricTypeGauge ||
		in.Type() == pmetric.MetricTypeSum && !in.Sum().IsMonotonic() && in.Sum().AggregationTemporality() == pmetric.AggregationTemporalityCumulative
	tail := m.meter.level.Load() >= shedMetrics
	if level {
		worse, golden := m.direction(in.Name())
		if tail && !golden {
			m.refuse(s, lossShedMetrics, points(in))
			return
		}
		m.readGauge(s, in, worse, golden)
		return
	}
	x := s.metric(resource, scope, in.Name(), in.Unit())
	if x == nil {
		m.refuse(s, lossSeries, points(in))
		return
	}
	if temporality(in) == pmetric.AggregationTemporalityUnspecified { // of since when nobody knows
		m.refuse(s, lossTemporality, points(in))
		return
	}
	if tail && x.meaning.aside { // a cumulative series goes on with what it counted meanwhile
		m.refuse(s, lossShedMetrics, points(in))
		return
	}
	before := s.tallied
	switch in.Type() {
	case pmetric.MetricTypeSum:
		if !in.Sum().IsMonotonic() {
			break
		}
		m.readSum(s, x, in.Sum())
	case pmetric.MetricTypeHistogram:
		m.readHistogram(s, x, in)
	case pmetric.MetricTypeExponentialHistogram:
		m.readExponential(s, x, in)
	case pmetric.MetricTypeSummary:
		m.readSummary(s, x, in)
	}
	if unused := points(in) - min(s.tallied-before, points(in)); unused > 0 {
		m.refused.add(lossMetrics, unused)
	}
}

func (m *monitor) pointTime(at pcommon.Timestamp) int64 {
	if at == 0 {
		return m.now().UnixNano()
	}
	return int64(at)
}

func (m *monitor) readSum(s *source, x *metric, in pmetric.Sum) {
	for _, p := range in.DataPoints().All() {
		v, ok := recorded(p)
		if !ok { // the series ended
			s.tallied++
			continue
		}
		m.lump(s, x, p.Attributes(), &lumpy{
			start: int64(p.StartTimestamp()), at: m.pointTime(p.Timestamp()), count: v,
			cumulative: in.AggregationTemporality() == pmetric.AggregationTemporalityCumulative,
		})
	}
	m.expose(s, x)
}

// recorded is a point's value; none where it says so, whatever stands there.
func recorded(p pmetric.NumberDataPoint) (value float64, ok bool) {
	switch {
	case p.Flags().NoRecordedValue():
		return 0, false
	case p.ValueType() == pmetric.NumberDataPointValueTypeInt:
		return float64(p.IntValue()), true
	}
	return p.DoubleValue(), p.ValueType() == pmetric.NumberDataPointValueTypeDouble
}

func (m *monitor) readHistogram(s *source, x *metric, metric pmetric.Metric) {
	in := metric.Histogram()
	for _, p := range in.DataPoints().All() {
		if p.Flags().NoRecordedValue() {
			s.tallied++
			continue
		}
		y := lumpy{
			start: int64(p.StartTimestamp()), at: m.pointTime(p.Timestamp()), count: float64(p.Count()),
			cumulative: in.AggregationTemporality() == pmetric.AggregationTemporalityCumulative,
		}
		if n := p.BucketCounts().Len(); n > 1 {
			layout := m.layouts.of(p.ExplicitBounds(), x.valueNS())
			if layout == nil || n != p.ExplicitBounds().Len()+1 {
				m.refuse(s, lossMalformed, 1)
				s.tallied++
				continue
			}
			y.layout, y.durations, y.bin = layout.Layout, layout.Layout, layout.Layout.Bin
			s.deltas.raw = s.deltas.raw[:0]
			for i := range n {
				s.deltas.raw = append(s.deltas.raw, p.BucketCounts().At(i))
			}
			y.raw = s.deltas.raw
		}
		m.lump(s, x, p.Attributes(), &y)
	}
}

// zeroed is the identity of an exponential histogram's buckets.
type zeroed struct {
	layout *detect.Layout
	zero   float64
}

// readExponential lays the buckets into the bins of the engine before it
// compares points, since scale and offset may change between two of a series.
func (m *monitor) readExponential(s *source, x *metric, metric pmetric.Metric) {
	in := metric.ExponentialHistogram()
	for _, p := range in.DataPoints().All() {
		if p.Flags().NoRecordedValue() {
			s.tallied++
			continue
		}
		layout := m.layouts.ofScale(int(max(p.Scale(), -10)), x.valueNS())
		y := lumpy{
			start: int64(p.StartTimestamp()), at: m.pointTime(p.Timestamp()), count: float64(p.Count()),
			cumulative: in.AggregationTemporality() == pmetric.AggregationTemporalityCumulative,
			layout:     layout.Layout, durations: layout.Layout, bin: func(i int) int { return i },
		}
		if zero := p.ZeroThreshold(); zero > 0 { // once it grows, buckets move into that of zero: no reset
			y.layout = zeroed{layout.Layout, zero}
		}
		if cap(s.deltas.raw) < detect.Bins {
			s.deltas.raw = make([]uint64, detect.Bins)
		}
		y.raw = s.deltas.raw[:detect.Bins]
		clear(y.raw)
		y.raw[0] = p.ZeroCount()
		for _, n := range p.Negative().BucketCounts().All() {
			y.raw[0] += n
		}
		for i, n := range p.Positive().BucketCounts().All() {
			if n > 0 {
				y.raw[layout.Bin(int(p.Positive().Offset())+i, int(p.Scale()))] += n
			}
		}
		m.lump(s, x, p.Attributes(), &y)
	}
}

// readSummary counts a summary's requests; its quantiles are levels that
// nobody can add up, so they are watched as gauges.
func (m *monitor) readSummary(s *source, x *metric, in pmetric.Metric) {
	for _, p := range in.Summary().DataPoints().All() {
		if p.Flags().NoRecordedValue() {
			s.tallied++
			continue
		}
		at := m.pointTime(p.Timestamp())
		worse, golden := m.direction(x.name)
		for _, q := range p.QuantileValues().All() {
			labels, callee := seriesText(p.Attributes())
			s.engine.Gauge(detect.Sample{
				Name: x.name, Series: strings.TrimSpace("q" + strconv.FormatFloat(q.Quantile(), 'g', 4, 64) + " " + labels), At: at,
				Value: q.Value(), Worse: worse, Golden: golden && !x.meaning.aside, Callee: callee,
			})
		}
		used := s.tallied
		m.lump(s, x, p.Attributes(), &lumpy{start: int64(p.StartTimestamp()), at: at, count: float64(p.Count()), cumulative: true})
		if p.QuantileValues().Len() > 0 {
			s.tallied = used + 1
		}
	}
}

// lump counts one point.
func (m *monitor) lump(s *source, x *metric, attributes pcommon.Map, y *lumpy) {
	if !(y.count >= 0) || math.IsInf(y.count, 0) {
		m.refuse(s, lossMalformed, 1)
		s.tallied++
		return
	}
	now := m.now()
	if y.at-now.UnixNano() > int64(maxAhead) { // the engine would drop it, and all after it be late
		m.refuse(s, lossClockAhead, 1)
		s.tallied++
		return
	}
	z := m.find(s, x, attributes, now)
	if z == nil {
		x.exports.Forget() // once there is room, it comes with the count of its whole life
		m.refuse(s, lossSeries, 1)
		s.tallied++
		return
	}
	if z.probe {
		m.refused.add(lossProbes, 1)
		s.tallied++
		return
	}
	if z.refused || x.meaning.aside && y.durations == nil && !x.meaning.errors && (x.meaning.again || !x.telltale) {
		return // unused
	}
	s.tallied++
	t := detect.Tally{Operation: z.operation, Family: z.family, Voice: x.meaning.voice, Start: y.start, End: y.at, N: y.count, Layout: y.durations}
	counts := y.raw
	if y.cumulative {
		c := z.stream.Advance(streams.Point{Start: y.start, Time: y.at, Count: y.count, Buckets: y.raw, Layout: y.layout},
			x.exports.Exported(y.at), m.began, &s.deltas.change)
		m.count(s, c.Kind)
		if !c.Kind.Adds() {
			return
		}
		t.Start, t.N, counts = c.Start, c.Count, c.Buckets
		if counts == nil {
			t.Layout = nil
		}
	} else if z.stream.Repeats(y.start, y.at, y.count) {
		m.count(s, streams.Stale)
		return
	}
	if x.meaning.errors && y.durations == nil {
		x.hold(&t)
		return
	}
	if z.outcome == failedly && !x.meaning.again {
		t.Failed = t.N
	}
	if x.meaning.aside {
		t.Aside = detect.Aside{Kind: detect.AsideShare}
		if x.meaning.ns == 0 && t.Layout != nil {
			t.Aside.Unit, t.Aside.Per = x.unit, x.valueNS()
		}
	}
	t.Buckets = s.deltas.buckets[:0]
	for i, n := range counts {
		if n > 0 {
			t.Buckets = append(t.Buckets, detect.Bucket{Bin: y.bin(i), N: float64(n)})
		}
	}
	s.deltas.buckets = t.Buckets
	m.tally(s, t)
}

// count notes what became of a cumulative point that did not simply add.
func (m *monitor) count(s *source, kind streams.Kind) {
	switch kind {
	case streams.Reference:
		m.refuse(s, lossReference, 1)
	case streams.Gap:
		m.refuse(s, lossGap, 1)
	case streams.Stale:
		m.refuse(s, lossStale, 1)
	case streams.Reset:
		m.refuse(s, countedReset, 1)
	case streams.Rebucketed:
		m.refuse(s, countedRebucketed, 1)
	}
}

// hold gathers what a counter of errors counted, over all its series.
func (x *metric) hold(t *detect.Tally) {
	x.held += t.N
	x.heldTill = max(x.heldTill, t.End)
	if x.exposed == 0 && t.Start > 0 {
		x.exposed = t.Start
	}
}

// expose counts what was held against the time that it tells of.
func (m *monitor) expose(s *source, x *metric) {
	if x.heldTill == 0 || x.exposed == 0 || x.heldTill <= x.exposed {
		return
	}
	from := x.exposed
	if gap := x.heldTill - int64(streams.MaxGap); from < gap {
		from = gap
	}
	m.tally(s, detect.Tally{
		Operation: x.name, Start: from, End: x.heldTill, N: float64(x.heldTill-from) / float64(time.Second), Failed: x.held,
		Aside: detect.Aside{Kind: detect.AsideRate},
	})
	x.exposed, x.held = x.heldTill, 0
}

// valueNS is the value 1 of the metric in a layout's nanoseconds. What is no
// duration is laid out from 1 to 100 million.
func (x *metric) valueNS() float64 {
	if x.meaning.ns > 0 {
		return x.meaning.ns
	}
	return 1e4
}
