package anomalyconnector

import (
	"cmp"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/pmetric"
	"go.opentelemetry.io/collector/pdata/ptrace"
	"go.uber.org/zap"

	"github.com/deployloop/deployloop/internal/detect"
	"github.com/deployloop/deployloop/internal/event"
)

// advised are the bounds that semconv advises for http.server.request.duration.
var advised = []float64{.005, .01, .025, .05, .075, .1, .25, .5, .75, 1, 2.5, 5, 7.5, 10}

// meteredPod is an instance that sends no spans, only the histogram of its requests.
type meteredPod struct {
	name              string // of the metric; "": the conventions'
	version, instance string
	rate, errors      float64
	median            float64 // seconds
	exponential       bool
	cumulative        bool
	began, last       time.Time
	total             [2]meteredCounts // served well, failed
}

type meteredCounts struct {
	count    uint64
	explicit []uint64
	scale    int
	positive map[int]uint64 // by index of the scale
}

// serve plays the time since the last export.
func (p *meteredPod) serve(rng *rand.Rand, now time.Time) {
	n := p.rate * now.Sub(p.last).Seconds()
	for range int(n + math.Sqrt(n)*rng.NormFloat64()) {
		c := &p.total[0]
		if rng.Float64() < p.errors {
			c = &p.total[1]
		}
		if c.explicit == nil {
			c.explicit, c.positive, c.scale = make([]uint64, len(advised)+1), map[int]uint64{}, 5
			if p.version == "2" {
				c.scale = 3 // scales differ between instances: each has its own range
			}
		}
		d := p.median * math.Exp(.5*rng.NormFloat64())
		c.count++
		i, _ := slices.BinarySearch(advised, d)
		c.explicit[i]++
		c.positive[int(math.Ceil(math.Log2(d)*math.Exp2(float64(c.scale))))-1]++
	}
}

// export tells it as an SDK would.
func (p *meteredPod) export(now time.Time) pmetric.Metrics {
	md := pmetric.NewMetrics()
	r := md.ResourceMetrics().AppendEmpty()
	a := r.Resource().Attributes()
	a.PutStr("service.name", "checkout")
	a.PutStr("deployment.environment.name", "prod")
	a.PutStr("service.version", p.version)
	a.PutStr("service.instance.id", p.instance)
	metric := r.ScopeMetrics().AppendEmpty().Metrics().AppendEmpty()
	metric.SetName(cmp.Or(p.name, "http.server.request.duration"))
	metric.SetUnit("s")
	temporality, start := pmetric.AggregationTemporalityDelta, p.last
	if p.cumulative {
		temporality, start = pmetric.AggregationTemporalityCumulative, p.began
	}
	label := func(a pcommon.Map, failed bool) {
		a.PutStr("http.request.method", "POST")
		a.PutStr("http.route", "/cart")
		if p.name != "" { // made of spans
			a.PutStr("span.name", "POST /cart")
			a.PutStr("span.kind", "SPAN_KIND_SERVER")
		}
		a.PutInt("http.response.status_code", 200)
		if failed {
			a.PutInt("http.response.status_code", 500)
			a.PutStr("error.type", "500")
		}
	}
	for k, c := range p.total {
		if c.count == 0 {
			continue
		}
		if p.exponential {
			h := metric.ExponentialHistogram()
			if metric.Type() != pmetric.MetricTypeExponentialHistogram {
				h = metric.SetEmptyExponentialHistogram()
			}
			h.SetAggregationTemporality(temporality)
			x := h.DataPoints().AppendEmpty()
			x.SetStartTimestamp(pcommon.NewTimestampFromTime(start))
			x.SetTimestamp(pcommon.NewTimestampFromTime(now))
			x.SetCount(c.count)
			x.SetScale(int32(c.scale))
			lo, hi := math.MaxInt, math.MinInt
			for i := range c.positive {
				lo, hi = min(lo, i), max(hi, i)
			}
			counts := make([]uint64, hi-lo+1)
			for i, n := range c.positive {
				counts[i-lo] = n
			}
			x.Positive().SetOffset(int32(lo))
			x.Positive().BucketCounts().FromRaw(counts)
			label(x.Attributes(), k == 1)
		} else {
			h := metric.Histogram()
			if metric.Type() != pmetric.MetricTypeHistogram {
				h = metric.SetEmptyHistogram()
			}
			h.SetAggregationTemporality(temporality)
			x := h.DataPoints().AppendEmpty()
			x.SetStartTimestamp(pcommon.NewTimestampFromTime(start))
			x.SetTimestamp(pcommon.NewTimestampFromTime(now))
			x.SetCount(c.count)
			x.ExplicitBounds().FromRaw(advised)
			x.BucketCounts().FromRaw(c.explicit)
			label(x.Attributes(), k == 1)
		}
		if !p.cumulative {
			p.total[k] = meteredCounts{}
		}
	}
	p.last = now
	return md
}

// A service that sends metrics alone gets its verdicts from them: whatever the
// histogram's kind and temporality, beside an old version or after it.
func TestMetricsAloneGiveVerdicts(t *testing.T) {
	type change struct {
		errors, slower float64
		want           event.VerdictState
		signal         event.Signal
		within         time.Duration
	}
	for name, fault := range map[string]change{
		"errors":  {errors: .2, slower: 1, want: event.Regressed, signal: event.SignalErrors, within: 40 * time.Second},
		"latency": {errors: .01, slower: 2, want: event.Regressed, signal: event.SignalLatency, within: 150 * time.Second},
		"healthy": {errors: .01, slower: 1, want: event.Healthy, within: 10 * time.Minute},
	} {
		for _, exponential := range []bool{false, true} {
			for _, cumulative := range []bool{false, true} {
				for _, beside := range []bool{false, true} {
					kind := map[bool]string{false: "explicit", true: "exponential"}[exponential]
					temporality := map[bool]string{false: "delta", true: "cumulative"}[cumulative]
					control := map[bool]string{false: "history", true: "concurrent"}[beside]
					t.Run(fmt.Sprintf("%s/%s/%s/%s", name, kind, temporality, control), func(t *testing.T) {
						v, after, losses := playMetered(t, 1, 10*time.Second, fault.errors, fault.slower, exponential, cumulative, beside)
						require.Equal(t, fault.want, v.State, "%s: %s", v.Reason, v.Detail)
						assert.LessOrEqual(t, after, fault.within)
						if fault.signal != event.SignalErrors { // it is over before an old instance speaks again
							assert.Equal(t, event.ControlKind(control), v.Control)
						}
						assert.Contains(t, v.ControlDetail, "as metrics tell every 10s")
						for _, l := range losses {
							assert.NotContains(t, []string{lossMetrics, lossMalformed, lossStale, lossSeries, lossGap}, l.Name)
						}
						t.Logf("%s after %s, nats %.1f: %s", v.State, after, v.Nats, v.Detail)
						if fault.want != event.Regressed {
							return
						}
						require.NotEmpty(t, v.Evidence)
						harm := slices.IndexFunc(v.Evidence, func(e event.Evidence) bool { return e.Harm && e.Signal == fault.signal })
						require.GreaterOrEqual(t, harm, 0, "%+v", v.Evidence)
					})
				}
			}
		}
	}
}

// playMetered serves ten minutes by four instances of version 1, then version 2
// takes the place of half or of all, and gives its last verdict, and how long
// after its first telemetry that came.
func playMetered(t *testing.T, seed uint64, every time.Duration, errors, slower float64, exponential, cumulative, beside bool) (event.Verdict, time.Duration, []event.Loss) {
	start := time.Date(2026, 11, 23, 14, 0, 0, 0, time.UTC)
	config := createDefaultConfig().(*Config)
	config.Watch = []time.Duration{time.Minute, 10 * time.Minute}
	r := NewReplay(config, start, true, zap.NewNop())
	defer r.Close()
	rng := rand.New(rand.NewPCG(seed, 3))
	var pods []*meteredPod
	add := func(version string, k int, at time.Time, errors, median float64) {
		pods = append(pods, &meteredPod{version: version, instance: fmt.Sprintf("v%s-%d", version, k), rate: 40, errors: errors, median: median,
			exponential: exponential, cumulative: cumulative, began: at, last: at.Add(-time.Duration(k) * every / 5)})
	}
	for k := range 4 {
		add("1", k, start, .01, .06)
	}
	deployed := start.Add(10 * time.Minute)
	for now := start.Add(time.Second); now.Before(deployed.Add(12 * time.Minute)); now = now.Add(time.Second) {
		if now.Equal(deployed) {
			left := pods[:0]
			if beside {
				left = pods[:2]
			}
			pods = append([]*meteredPod(nil), left...)
			for k := range 4 - len(left) {
				add("2", k, now, errors, .06*slower)
			}
		}
		for _, p := range pods {
			if now.Sub(p.last) >= every {
				p.serve(rng, now)
				r.Metrics(p.export(now), now)
			}
		}
		verdicts, _ := r.Step(now)
		for _, v := range verdicts {
			if v.State == event.Regressed || v.State == event.Healthy {
				return v, now.Sub(deployed), r.Losses()
			}
		}
	}
	all := r.Finish()
	require.NotEmpty(t, all)
	return all[len(all)-1], 12 * time.Minute, r.Losses()
}

// With a minute between points the tick is a minute; nothing else changes.
func TestMetricsEveryMinute(t *testing.T) {
	for _, beside := range []bool{false, true} {
		v, after, _ := playMetered(t, 2, time.Minute, .2, 1, false, true, beside)
		require.Equal(t, event.Regressed, v.State, v.Detail)
		assert.LessOrEqual(t, after, 65*time.Second)
		require.NotNil(t, v.Onset)
		assert.LessOrEqual(t, v.Onset.Latest.Sub(v.Onset.Earliest), 3*time.Minute)
		v, after, _ = playMetered(t, 2, time.Minute, .01, 2, true, false, beside)
		require.Equal(t, event.Regressed, v.State, v.Detail)
		assert.LessOrEqual(t, after, 4*time.Minute)
		v, _, _ = playMetered(t, 2, time.Minute, .01, 1, false, true, beside)
		require.Equal(t, event.Healthy, v.State, "%s %s", v.Reason, v.Detail)
	}
}

// Deployments that change nothing are not called bad, at any interval.
func TestMetricsPlacebos(t *testing.T) {
	undecided := 0
	for seed := range uint64(60) {
		every := []time.Duration{10 * time.Second, 15 * time.Second, 30 * time.Second, time.Minute}[seed%4]
		v, _, _ := playMetered(t, 100+seed, every, .01, 1, seed%3 == 0, seed%2 == 0, seed%5 < 2)
		require.NotEqual(t, event.Regressed, v.State, "seed %d, every %s: %s", seed, every, v.Detail)
		if v.State != event.Healthy {
			undecided++
			t.Logf("seed %d every %s beside %v: %s %s", seed, every, seed%5 < 2, v.Reason, v.Detail)
		}
	}
	t.Logf("%d of 60 undecided", undecided)
}

// What spans and metrics tell of the same requests counts once, whoever makes
// the metrics; what only metrics tell still counts.
func TestOneVoiceARequest(t *testing.T) {
	now := time.Date(2026, 11, 23, 14, 0, 0, 0, time.UTC)
	r := NewReplay(createDefaultConfig().(*Config), now, false, zap.NewNop())
	defer r.Close()
	counted := map[string]float64{}
	r.monitor.tally = func(s *source, x detect.Tally) {
		if s.engine.Tally(x) {
			counted[s.origin.Instance+" "+x.Operation] += x.N
		}
	}
	rng := rand.New(rand.NewPCG(1, 1))
	pod := func(instance string) *meteredPod {
		return &meteredPod{version: "1", instance: instance, rate: 10, median: .05, began: now, last: now}
	}
	both, mute, gateway := pod("both"), pod("mute"), pod("")
	gateway.name = "traces.span.metrics.duration"
	for range 30 {
		now = now.Add(time.Second)
		r.Step(now)
		td := ptrace.NewTraces()
		x := td.ResourceSpans().AppendEmpty()
		x.Resource().Attributes().PutStr("service.name", "checkout")
		x.Resource().Attributes().PutStr("deployment.environment.name", "prod")
		x.Resource().Attributes().PutStr("service.version", "1")
		x.Resource().Attributes().PutStr("service.instance.id", "both")
		span := x.ScopeSpans().AppendEmpty().Spans().AppendEmpty()
		span.SetName("POST /cart")
		span.SetKind(ptrace.SpanKindServer)
		span.SetEndTimestamp(pcommon.NewTimestampFromTime(now))
		r.Traces(td, now)
		if now.Second()%10 == 0 {
			for _, p := range []*meteredPod{both, mute, gateway} {
				p.serve(rng, now)
				r.Metrics(p.export(now), now)
			}
		}
	}
	r.Step(now.Add(5 * time.Second))
	require.Len(t, counted, 1, "%v", counted)
	assert.InDelta(t, 300, counted["mute POST /cart"], 60)
	losses := map[string]uint64{}
	for _, l := range r.Losses() {
		losses[l.Name] = l.Count
	}
	assert.Equal(t, uint64(6), losses["metric_points_repeating_spans"], "%v", losses)
}

// counterBench sends points of one counter of one instance, and gathers what is
// counted of them.
type counterBench struct {
	r       *Replay
	name    string
	now     time.Time
	counted []detect.Tally
}

func newCounterBench(t *testing.T, name string, config *Config) *counterBench {
	now := time.Date(2026, 11, 23, 14, 0, 0, 0, time.UTC)
	b := &counterBench{r: NewReplay(config, now, false, zap.NewNop()), name: name, now: now}
	t.Cleanup(b.r.Close)
	b.r.monitor.tally = func(s *source, x detect.Tally) {
		if s.engine.Tally(x) {
			b.counted = append(b.counted, x)
		}
	}
	return b
}

// export moves the clock on and sends the counts by route, stamped so far ahead.
func (b *counterBench) export(after, ahead time.Duration, counts map[string]int64) {
	b.now = b.now.Add(after)
	b.r.Step(b.now)
	md := pmetric.NewMetrics()
	r := md.ResourceMetrics().AppendEmpty()
	r.Resource().Attributes().PutStr("service.name", "checkout")
	r.Resource().Attributes().PutStr("service.instance.id", "a")
	metric := r.ScopeMetrics().AppendEmpty().Metrics().AppendEmpty()
	metric.SetName(b.name)
	sum := metric.SetEmptySum()
	sum.SetIsMonotonic(true)
	sum.SetAggregationTemporality(pmetric.AggregationTemporalityCumulative)
	for route, n := range counts {
		p := sum.DataPoints().AppendEmpty()
		p.SetTimestamp(pcommon.NewTimestampFromTime(b.now.Add(ahead)))
		p.SetIntValue(n)
		p.Attributes().PutStr("http.route", route)
		p.Attributes().PutInt("http.response.status_code", 500)
	}
	b.r.Metrics(md, b.now)
}

func (b *counterBench) total() (n float64) {
	for _, x := range b.counted {
		n += max(x.Failed, x.N)
	}
	return n
}

func (b *counterBench) lost(name string) (n uint64) {
	for _, l := range b.r.Losses() {
		if l.Name == name {
			n += l.Count
		}
	}
	return n
}

// A series that waited for room comes with the count of its whole life.
func TestASeriesThatWaitedForRoomBringsNoPast(t *testing.T) {
	config := createDefaultConfig().(*Config)
	config.Limits.Series = 1
	b := newCounterBench(t, "http_requests_total", config)
	b.export(time.Second, 0, map[string]int64{"/first": 10})
	for range 3 {
		b.export(10*time.Second, 0, map[string]int64{"/first": 10, "/second": 1_000_000})
	}
	assert.EqualValues(t, 3, b.lost(lossSeries))
	b.r.monitor.config.Limits.Series = 2
	b.export(10*time.Second, 0, map[string]int64{"/first": 10, "/second": 1_000_001})
	b.export(10*time.Second, 0, map[string]int64{"/first": 10, "/second": 1_000_003})
	b.r.Step(b.now.Add(2 * time.Second))
	assert.Equal(t, 2., b.total(), "%+v", b.counted)
}

// A point from the future is left out, and those after it count as ever.
func TestAPointFromTheFutureSilencesNobody(t *testing.T) {
	for _, name := range []string{"http_requests_total", "app_errors_total"} {
		b := newCounterBench(t, name, createDefaultConfig().(*Config))
		for i := range int64(10) {
			ahead := time.Duration(0)
			if i == 3 {
				ahead = time.Hour
			}
			b.export(10*time.Second, ahead, map[string]int64{"/cart": 100 + 7*i})
		}
		b.r.Step(b.now.Add(2 * time.Second))
		failed := 0.
		for _, x := range b.counted {
			failed += x.Failed
			assert.LessOrEqual(t, x.End, b.now.UnixNano(), name)
		}
		assert.Equal(t, 63., failed, "%s: %+v", name, b.counted)
		assert.EqualValues(t, 1, b.lost(lossClockAhead), name)
		assert.Zero(t, b.lost(lossStale), name)
	}
}

// What is no number is counted by name, and what comes after it goes on.
func TestWhatIsNoNumber(t *testing.T) {
	b := newBench(t, nil)
	md := pmetric.NewMetrics()
	r := md.ResourceMetrics().AppendEmpty()
	r.Resource().Attributes().PutStr("service.name", "checkout")
	metrics := r.ScopeMetrics().AppendEmpty().Metrics()
	sum, gauge, summary := metrics.AppendEmpty(), metrics.AppendEmpty(), metrics.AppendEmpty()
	sum.SetName("http_requests_total")
	sum.SetEmptySum().SetIsMonotonic(true)
	sum.Sum().SetAggregationTemporality(pmetric.AggregationTemporalityCumulative)
	gauge.SetName("success_ratio")
	gauge.SetEmptyGauge()
	summary.SetName("http_request_duration_seconds")
	summary.SetEmptySummary()
	for i, value := range []float64{10, math.NaN(), math.Inf(1), math.Inf(-1), -4, 12} {
		at := pcommon.NewTimestampFromTime(b.now.Add(time.Duration(i-6) * time.Second / 10))
		for _, points := range []pmetric.NumberDataPointSlice{sum.Sum().DataPoints(), gauge.Gauge().DataPoints()} {
			p := points.AppendEmpty()
			p.SetTimestamp(at)
			p.SetDoubleValue(value)
		}
		p := summary.Summary().DataPoints().AppendEmpty()
		p.SetTimestamp(at)
		p.SetCount(uint64(10 + i))
		q := p.QuantileValues().AppendEmpty()
		q.SetQuantile(.99)
		q.SetValue(value)
	}
	var counted []float64
	b.m.tally = func(s *source, x detect.Tally) {
		if x.Operation != "" {
			counted = append(counted, x.N)
		}
		s.engine.Tally(x)
	}
	b.m.readMetrics(md)
	lost := map[string]uint64{}
	for _, l := range b.m.lost() {
		lost[l.Name] = l.Count
	}
	require.Equal(t, uint64(4), lost[lossMalformed], "of the counter")
	require.Equal(t, uint64(3+3), lost["invalid_gauge"], "of the gauge and the quantile; a negative one is a value")
	require.Contains(t, counted, 2., "from 10 to 12")
	require.Zero(t, b.m.meter.panics.Load())
}

// Which way a gauge gets worse, and whether it says how well requests are served.
func TestDirectionOfGauges(t *testing.T) {
	cfg := createDefaultConfig().(*Config)
	cfg.Gauges = []GaugeConfig{
		{Name: "custom.example.com/*depth", Worse: "lower"}, {Name: "cart.errors.ratio", Worse: "both"}, {Name: "cart.*", Worse: "higher"},
	}
	m := &monitor{config: cfg}
	for name, want := range map[string]struct {
		worse  detect.Worse
		golden bool
	}{
		"istio.success_ratio": {detect.WorseLower, true}, "checkout_errors_ratio": {detect.WorseHigher, true}, "http.latency.p99": {detect.WorseHigher, true},
		"system.memory.free": {detect.WorseLower, false}, "cache.hit_ratio": {detect.WorseLower, false}, "process.cpu.utilization": {detect.WorseHigher, false},
		"kafka.consumer.lag": {detect.WorseHigher, false}, "records.consumerLag": {detect.WorseHigher, false}, "lag": {detect.WorseHigher, false},
		"feature_flag.enabled": {detect.WorseBoth, false}, "flags.replication_lag": {detect.WorseHigher, false}, "temperature": {detect.WorseBoth, false},
		"custom.example.com/queue/depth": {detect.WorseLower, false}, "cart.errors.ratio": {detect.WorseBoth, true}, "cart.size": {detect.WorseHigher, false},
	} {
		worse, golden := m.direction(name)
		require.Equal(t, want.worse, worse, name)
		require.Equal(t, want.golden, golden, name)
	}
}
