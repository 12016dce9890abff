package anomalyconnector

import (
	"context"
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/plog"
	"go.opentelemetry.io/collector/pdata/pmetric"
	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/deployloop/deployloop/internal/event"
)

// flood sends, for one instance, a second of what is not golden: inner spans
// and log lines of every severity.
func (b *bench) flood(version, instance string) {
	at := pcommon.NewTimestampFromTime(b.now)
	describe := func(a pcommon.Map) {
		a.PutStr("service.name", "checkout")
		a.PutStr("service.version", version)
		a.PutStr("service.instance.id", instance)
		a.PutStr("deployment.environment.name", "production")
	}
	td, ld := ptrace.NewTraces(), plog.NewLogs()
	spans, lines := td.ResourceSpans().AppendEmpty(), ld.ResourceLogs().AppendEmpty()
	describe(spans.Resource().Attributes())
	describe(lines.Resource().Attributes())
	inner, records := spans.ScopeSpans().AppendEmpty().Spans(), lines.ScopeLogs().AppendEmpty().LogRecords()
	for i := range 300 {
		span := inner.AppendEmpty()
		span.SetKind(ptrace.SpanKindClient)
		span.SetParentSpanID(pcommon.SpanID{1})
		span.SetName(fmt.Sprintf("query %d", i%50))
		span.SetStartTimestamp(at)
		span.SetEndTimestamp(at)
		record := records.AppendEmpty()
		record.SetTimestamp(at)
		record.SetSeverityNumber([]plog.SeverityNumber{9, 13, 17}[i%3])
		record.Body().SetStr(fmt.Sprintf("shelf %d holds %d of item %x", i%20, i, i*7919))
	}
	require.NoError(b.t, b.traces.ConsumeTraces(context.Background(), td))
	require.NoError(b.t, b.logs.ConsumeLogs(context.Background(), ld))
}

// Under more telemetry than the processor's budget is for, all that can be shed
// is shed and named in the verdict, and a bad deployment is still called by its
// errors, as soon as without the flood.
func TestGoldenSignalsSurviveOverload(t *testing.T) {
	verdictAt := func(cores float64, flood bool) (v event.Verdict, seconds int, level int32) {
		b := newBench(t, func(c *Config) { c.Limits.CPU = cores })
		one := func(fresh bool) []load {
			loads := []load{{version: "1.41.2", instance: "a", rate: 60, errors: .01}, {version: "1.41.2", instance: "b", rate: 60, errors: .01}}
			if fresh {
				loads = append(loads, load{version: "1.41.3", instance: "c", rate: 40, errors: .25})
			}
			return loads
		}
		second := func(fresh bool) {
			if flood {
				b.flood("1.41.2", "a")
				if fresh {
					b.flood("1.41.3", "c")
				}
			}
			b.second(one(fresh)...)
		}
		for range 60 {
			second(false)
		}
		d, _ := b.ledger.RecordDeployment(event.Deployment{Service: "checkout", Environment: "production", Version: "1.41.3", PreviousVersion: "1.41.2",
			Status: event.DeploymentStarted, StartedAt: b.now})
		for seconds = 1; seconds <= 60; seconds++ {
			second(true)
			if v, _ = b.m.engine.Verdict(d.ID); v.State == event.Regressed {
				break
			}
		}
		return v, seconds, b.m.meter.level.Load()
	}
	calm, expected, level := verdictAt(1e9, false)
	require.Equal(t, event.Regressed, calm.State)
	require.Equal(t, shedNothing, level)

	// A budget that any work exceeds: this is the worst case, on any machine.
	v, seconds, level := verdictAt(1e-9, true)
	require.Equal(t, shedLogs, level)
	require.Equal(t, event.Regressed, v.State, v.Detail)
	require.Equal(t, event.SignalErrors, v.Evidence[0].Signal)
	require.Equal(t, expected, seconds, "as soon as without the flood")
	lost := map[string]uint64{}
	for _, l := range v.Losses {
		lost[l.Name] = l.Count
	}
	require.GreaterOrEqual(t, lost[lossShedWork], uint64(300*seconds))
	require.GreaterOrEqual(t, lost[lossShedLogs], uint64(300*seconds))
}

// What is shed goes in the order that the README writes: each level sheds what
// those below it shed, and one kind more, names it in the verdict with how much
// it was, and leaves what is golden.
func TestEachLevelOfOverloadShedsOneKindMore(t *testing.T) {
	order := []struct {
		name string
		n    uint64
	}{{lossShedWork, 301}, {lossShedQuiet, 100}, {lossShedMetrics, 1}, {lossShedLogs, 200}}
	var calm event.Verdict
	for level := shedNothing; level <= shedLogs; level++ {
		b := newBench(t, nil)
		d := b.deploy("2", "1")
		b.seconds(2)
		b.m.meter.level.Store(level)
		b.flood("2", "a")
		for _, kind := range []ptrace.SpanKind{ptrace.SpanKindServer, ptrace.SpanKindClient} { // requests; the second is a call as well
			td := ptrace.NewTraces()
			r := td.ResourceSpans().AppendEmpty()
			for key, value := range map[string]string{"service.name": "checkout", "service.version": "2", "service.instance.id": "a", "deployment.environment.name": "production"} {
				r.Resource().Attributes().PutStr(key, value)
			}
			span := r.ScopeSpans().AppendEmpty().Spans().AppendEmpty()
			span.SetKind(kind)
			span.SetName("GET /")
			span.Attributes().PutStr("peer.service", "payments")
			span.SetEndTimestamp(pcommon.NewTimestampFromTime(b.now))
			b.m.readTraces(td)
		}
		md := pmetric.NewMetrics()
		r := md.ResourceMetrics().AppendEmpty()
		for key, value := range map[string]string{"service.name": "checkout", "service.version": "2", "service.instance.id": "a", "deployment.environment.name": "production"} {
			r.Resource().Attributes().PutStr(key, value)
		}
		for _, name := range []string{"process.cpu.utilization", "success_ratio"} {
			g := r.ScopeMetrics().AppendEmpty().Metrics().AppendEmpty()
			g.SetName(name)
			x := g.SetEmptyGauge().DataPoints().AppendEmpty()
			x.SetTimestamp(pcommon.NewTimestampFromTime(b.now))
			x.SetDoubleValue(.5)
		}
		b.m.readMetrics(md)
		b.m.meter.level.Store(level)
		b.seconds(3)
		v, ok := b.m.engine.Verdict(d.ID)
		require.True(t, ok)
		want := map[string]uint64{}
		for _, kind := range order[:level] {
			want[kind.name] = kind.n
		}
		if level == shedLogs {
			require.Equal(t, uint64(300), want[lossShedQuiet]+want[lossShedLogs])
			want[lossShedLogs], want[lossShedQuiet] = 300, 0
			delete(want, lossShedQuiet) // they are lines, too
		}
		got := map[string]uint64{}
		for _, l := range v.Losses {
			got[l.Name] = l.Count
		}
		require.Equal(t, want, got, "level %d", level)
		if level == shedNothing {
			calm = v
		}
		require.Equal(t, calm.NewRequests, v.NewRequests, "requests are never shed")
		require.EqualValues(t, 2, v.NewRequests)
	}
}

// When the long tail of metrics is shed, each of its points is counted, and
// golden metrics are read as before.
func TestOverloadShedsTheLongTailOfMetrics(t *testing.T) {
	read := func(level int32) (shed uint64, operations int) {
		b := newBench(t, nil)
		b.m.meter.level.Store(level)
		p := &meteredPod{version: "1", instance: "a", rate: 50, errors: .1, median: .1, began: b.now.Add(-10 * time.Second), last: b.now.Add(-10 * time.Second)}
		p.serve(rand.New(rand.NewPCG(1, 1)), b.now)
		md := p.export(b.now)
		metrics := md.ResourceMetrics().At(0).ScopeMetrics().At(0).Metrics()
		at := pcommon.NewTimestampFromTime(b.now)
		for name, value := range map[string]float64{"process.cpu.utilization": .5, "queue.depth": 7, "istio.success_ratio": .99} {
			g := metrics.AppendEmpty()
			g.SetName(name)
			x := g.SetEmptyGauge().DataPoints().AppendEmpty()
			x.SetTimestamp(at)
			x.SetDoubleValue(value)
		}
		h := metrics.AppendEmpty() // of what it asks of others
		h.SetName("http.client.request.duration")
		h.SetUnit("s")
		h.SetEmptyHistogram().SetAggregationTemporality(pmetric.AggregationTemporalityDelta)
		for _, peer := range []string{"db", "payments"} {
			x := h.Histogram().DataPoints().AppendEmpty()
			x.Attributes().PutStr("server.address", peer)
			x.SetTimestamp(at)
			x.SetCount(4)
			x.ExplicitBounds().FromRaw(advised)
			x.BucketCounts().FromRaw(make([]uint64, len(advised)+1))
			x.BucketCounts().SetAt(2, 4)
		}
		b.m.readMetrics(md)
		status := b.m.engine.Status()
		for _, l := range status.Losses {
			if l.Name == lossShedMetrics {
				shed = l.Count
			}
		}
		return shed, status.Operations
	}
	shed, all := read(shedQuietLines)
	require.Zero(t, shed)
	shed, golden := read(shedMetrics)
	require.Equal(t, uint64(4), shed, "two gauges and two points of calls to others")
	require.Equal(t, 1, golden, "the requests that are served")
	require.Greater(t, all, golden)
}
