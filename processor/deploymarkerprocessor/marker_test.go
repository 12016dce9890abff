package deploymarkerprocessor

import (
	"context"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/component/componenttest"
	"go.opentelemetry.io/collector/confmap"
	"go.opentelemetry.io/collector/consumer/consumertest"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/plog"
	"go.opentelemetry.io/collector/pdata/pmetric"
	"go.opentelemetry.io/collector/pdata/ptrace"
	"go.opentelemetry.io/collector/processor/processortest"
	"go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"
	"go.uber.org/goleak"

	"github.com/deployloop/deployloop/internal/event"
	"github.com/deployloop/deployloop/internal/event/eventotlp"
	"github.com/deployloop/deployloop/internal/ledger"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

type host map[component.ID]component.Component

func (h host) GetExtensions() map[component.ID]component.Component { return h }

// fakeLedger is a ledger as an extension.
type fakeLedger struct {
	component.StartFunc
	component.ShutdownFunc
	*ledger.Ledger
}

func newHost() (host, *ledger.Ledger) {
	l := ledger.New(ledger.Limits{Settle: -1})
	return host{component.MustNewID("ledger"): fakeLedger{Ledger: l}}, l
}

func service(attributes pcommon.Map, version string) {
	attributes.PutStr(event.AttrServiceName, "cart")
	attributes.PutStr(event.AttrServiceVersion, version)
}

func TestAllSignalsThroughTheirProcessors(t *testing.T) {
	h, l := newHost()
	ctx := context.Background()
	factory, set := NewFactory(), processortest.NewNopSettings(componentType)
	spans, points, records := new(consumertest.TracesSink), new(consumertest.MetricsSink), new(consumertest.LogsSink)
	tp, err := factory.CreateTraces(ctx, set, factory.CreateDefaultConfig(), spans)
	require.NoError(t, err)
	mp, err := factory.CreateMetrics(ctx, set, factory.CreateDefaultConfig(), points)
	require.NoError(t, err)
	lp, err := factory.CreateLogs(ctx, set, factory.CreateDefaultConfig(), records)
	require.NoError(t, err)
	for _, p := range []component.Component{tp, mp, lp} {
		require.NoError(t, p.Start(ctx, h))
		defer func() { assert.NoError(t, p.Shutdown(ctx)) }()
	}
	assert.True(t, tp.Capabilities().MutatesData)

	events := plog.NewLogs()
	eventotlp.EncodeDeployment(event.Deployment{Service: "cart", Version: "2", StartedAt: time.Now(), Sources: []event.Source{{Name: "api"}}},
		events.ResourceLogs().AppendEmpty().ScopeLogs().AppendEmpty().LogRecords().AppendEmpty())
	require.NoError(t, lp.ConsumeLogs(ctx, events))
	list := l.Deployments(ledger.Query{Service: "cart"})
	require.Len(t, list, 1)

	td, md, ld := ptrace.NewTraces(), pmetric.NewMetrics(), plog.NewLogs()
	service(td.ResourceSpans().AppendEmpty().Resource().Attributes(), "2")
	service(md.ResourceMetrics().AppendEmpty().Resource().Attributes(), "2")
	service(ld.ResourceLogs().AppendEmpty().Resource().Attributes(), "2")
	require.NoError(t, tp.ConsumeTraces(ctx, td))
	require.NoError(t, mp.ConsumeMetrics(ctx, md))
	require.NoError(t, lp.ConsumeLogs(ctx, ld))
	for signal, attributes := range map[string]pcommon.Map{
		"traces":  spans.AllTraces()[0].ResourceSpans().At(0).Resource().Attributes(),
		"metrics": points.AllMetrics()[0].ResourceMetrics().At(0).Resource().Attributes(),
		"logs":    records.AllLogs()[1].ResourceLogs().At(0).Resource().Attributes(),
	} {
		id, ok := attributes.Get(event.AttrDeploymentID)
		require.True(t, ok, signal)
		assert.Equal(t, list[0].ID, id.Str())
		environment, _ := attributes.Get(event.AttrEnvironment)
		assert.Equal(t, event.DefaultEnvironment, environment.Str())
	}
	d, _ := l.Deployment(list[0].ID)
	assert.False(t, d.FirstSeenAt.IsZero(), "its telemetry was seen")
}

func TestUnusableInputIsCounted(t *testing.T) {
	h, _ := newHost()
	reader := metric.NewManualReader()
	provider := metric.NewMeterProvider(metric.WithReader(reader))
	set := processortest.NewNopSettings(componentType)
	set.MeterProvider = provider
	m := newMarker(createDefaultConfig().(*Config), set, "logs")
	ctx := context.Background()
	require.NoError(t, m.start(ctx, h))

	ld := plog.NewLogs()
	bad := ld.ResourceLogs().AppendEmpty()
	bad.Resource().Attributes().PutStr(event.AttrServiceName, "unknown_service:java")
	bad.Resource().Attributes().PutInt(event.AttrServiceVersion, 7)
	bad.Resource().Attributes().PutStr(event.AttrRevision, string(make([]byte, 10_000)))
	bad.ScopeLogs().AppendEmpty().LogRecords().AppendEmpty().SetEventName(event.NameDeployment)
	_, err := m.logs(ctx, ld)
	require.NoError(t, err)
	m.ledger = nil // a fault of ours
	ld.ResourceLogs().AppendEmpty().Resource().Attributes().PutStr(event.AttrServiceName, "cart")
	_, err = m.logs(ctx, ld)
	require.NoError(t, err, "the data goes on")

	var told metricdata.ResourceMetrics
	require.NoError(t, reader.Collect(ctx, &told))
	got := map[string]int64{}
	for _, point := range told.ScopeMetrics[0].Metrics[0].Data.(metricdata.Sum[int64]).DataPoints {
		name, _ := point.Attributes.Value("name")
		got[name.AsString()] = point.Value
	}
	assert.Equal(t, map[string]int64{
		"learnt_events": 0, "undecodable_events": 2, "inferred_deployments": 0,
		"without_service": 2, "wrong_type": 2, "too_long": 2, "panics": 1,
	}, got)
	require.NoError(t, m.shutdown(ctx))
	require.NoError(t, m.shutdown(ctx))
	require.NoError(t, provider.Shutdown(ctx))
}

func TestLedgerIsNamedWhenMissing(t *testing.T) {
	id := component.MustNewID("ledger")
	for want, h := range map[string]host{
		"add it to extensions": {},
		"is no ledger": {id: struct {
			component.StartFunc
			component.ShutdownFunc
		}{}},
	} {
		m := newMarker(createDefaultConfig().(*Config), processortest.NewNopSettings(componentType), "traces")
		assert.ErrorContains(t, m.start(context.Background(), h), want)
		assert.NoError(t, m.shutdown(context.Background()))
	}
}

func TestInferenceCanBeSwitchedOff(t *testing.T) {
	_, l := newHost()
	config := createDefaultConfig().(*Config)
	config.Infer = false
	m := newMarker(config, processortest.NewNopSettings(componentType), "traces")
	m.ledger = l
	for _, version := range []string{"1", "2"} {
		td := ptrace.NewTraces()
		service(td.ResourceSpans().AppendEmpty().Resource().Attributes(), version)
		_, err := m.traces(context.Background(), td)
		require.NoError(t, err)
	}
	assert.Empty(t, l.Deployments(ledger.Query{Baselines: true}))
}

func TestConfig(t *testing.T) {
	assert.NoError(t, createDefaultConfig().(*Config).Validate())
	assert.NoError(t, componenttest.CheckConfigStruct(createDefaultConfig()))
	config := createDefaultConfig().(*Config)
	require.NoError(t, confmap.NewFromStringMap(map[string]any{
		"default_environment": "", "read": map[string]any{"service": []string{}, "version": []string{}, "revision": []string{}, "environment": []string{""}},
	}).Unmarshal(config))
	err := config.Validate()
	for _, want := range []string{"default_environment", "read::service", "infer", "empty attribute name"} {
		assert.ErrorContains(t, err, want)
	}
}

// Marking allocates for the attributes it adds, and nothing for what a
// resource holds.
func TestAllocationsDoNotGrowWithSpans(t *testing.T) {
	m := benchMarker(t)
	var allocations []float64
	for _, spans := range []int{1, 100, 1000} {
		td := batch(spans)
		attributes := td.ResourceSpans().At(0).Resource().Attributes()
		allocations = append(allocations, testing.AllocsPerRun(100, func() {
			_, _ = m.traces(context.Background(), td)
			attributes.RemoveIf(stamped)
		}))
	}
	assert.Equal(t, allocations[0], allocations[1])
	assert.Equal(t, allocations[0], allocations[2])
	assert.LessOrEqual(t, allocations[0], 3.0, "one for each of the three attributes")
	td := batch(1000)
	_, _ = m.traces(context.Background(), td)
	assert.Zero(t, testing.AllocsPerRun(100, func() { _, _ = m.traces(context.Background(), td) }), "it has its marks already")
}

// stamped says whether a key is one that the processor adds.
func stamped(key string, _ pcommon.Value) bool {
	return key == event.AttrDeploymentID || key == event.AttrEnvironment || key == event.AttrRevision
}

func benchMarker(tb testing.TB) *marker {
	tb.Helper()
	l := ledger.New(ledger.Limits{Settle: -1})
	l.RecordSighting(ledger.Sighting{Service: "cart", Version: "1", At: time.Now()})
	_, isNew := l.RecordDeployment(event.Deployment{Service: "cart", Version: "2", Revision: "bbbbbbb2", StartedAt: time.Now(), Sources: []event.Source{{Name: "api"}}})
	require.True(tb, isNew)
	m := newMarker(createDefaultConfig().(*Config), processortest.NewNopSettings(componentType), "traces")
	m.ledger = l
	return m
}

// batch is one resource of twelve attributes with n spans.
func batch(n int) ptrace.Traces {
	td := ptrace.NewTraces()
	rs := td.ResourceSpans().AppendEmpty()
	for i := range 10 {
		rs.Resource().Attributes().PutStr("host.attribute."+strconv.Itoa(i), "value")
	}
	service(rs.Resource().Attributes(), "2")
	rs.Resource().Attributes().EnsureCapacity(15)
	spans := rs.ScopeSpans().AppendEmpty().Spans()
	for range n {
		spans.AppendEmpty().SetName("GET /cart")
	}
	return td
}

func BenchmarkMark(b *testing.B) {
	for _, spans := range []int{1, 100, 1000} {
		b.Run(strconv.Itoa(spans)+"_spans_per_resource", func(b *testing.B) {
			m := benchMarker(b)
			td := batch(spans)
			attributes := td.ResourceSpans().At(0).Resource().Attributes()
			b.ReportAllocs()
			for b.Loop() {
				_, _ = m.traces(context.Background(), td)
				attributes.RemoveIf(stamped)
			}
		})
	}
}

func BenchmarkOrdinaryLogs(b *testing.B) {
	m := benchMarker(b)
	ld := plog.NewLogs()
	rl := ld.ResourceLogs().AppendEmpty()
	service(rl.Resource().Attributes(), "2")
	records := rl.ScopeLogs().AppendEmpty().LogRecords()
	for range 1000 {
		record := records.AppendEmpty()
		for i := range 10 {
			record.Attributes().PutStr("log.attribute."+strconv.Itoa(i), "value")
		}
	}
	b.ReportAllocs()
	for b.Loop() {
		_, _ = m.logs(context.Background(), ld)
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/1000, "ns/record")
}

// What the cicd receiver says of builds is no telemetry of a service: it names no
// version, and coverage would hold that against it for ever.
func TestPipelineTelemetryIsNoServices(t *testing.T) {
	h, l := newHost()
	ctx := context.Background()
	factory, set := NewFactory(), processortest.NewNopSettings(componentType)
	tp, err := factory.CreateTraces(ctx, set, factory.CreateDefaultConfig(), new(consumertest.TracesSink))
	require.NoError(t, err)
	mp, err := factory.CreateMetrics(ctx, set, factory.CreateDefaultConfig(), new(consumertest.MetricsSink))
	require.NoError(t, err)
	lp, err := factory.CreateLogs(ctx, set, factory.CreateDefaultConfig(), new(consumertest.LogsSink))
	require.NoError(t, err)
	for _, p := range []component.Component{tp, mp, lp} {
		require.NoError(t, p.Start(ctx, h))
		t.Cleanup(func() { assert.NoError(t, p.Shutdown(ctx)) })
	}
	send := func(scope string) {
		td, md, ld := ptrace.NewTraces(), pmetric.NewMetrics(), plog.NewLogs()
		spans, metrics, logs := td.ResourceSpans().AppendEmpty(), md.ResourceMetrics().AppendEmpty(), ld.ResourceLogs().AppendEmpty()
		for _, attributes := range []pcommon.Map{spans.Resource().Attributes(), metrics.Resource().Attributes(), logs.Resource().Attributes()} {
			attributes.PutStr(event.AttrServiceName, "cicd")
		}
		s, m, r := spans.ScopeSpans().AppendEmpty(), metrics.ScopeMetrics().AppendEmpty(), logs.ScopeLogs().AppendEmpty()
		for _, name := range []pcommon.InstrumentationScope{s.Scope(), m.Scope(), r.Scope()} {
			name.SetName(scope)
		}
		s.Spans().AppendEmpty()
		m.Metrics().AppendEmpty().SetEmptyGauge().DataPoints().AppendEmpty()
		eventotlp.EncodeTestResult(event.TestResult{Suite: "cart", Case: "TestTotal"}, r.LogRecords().AppendEmpty())
		require.NoError(t, tp.ConsumeTraces(ctx, td))
		require.NoError(t, mp.ConsumeMetrics(ctx, md))
		require.NoError(t, lp.ConsumeLogs(ctx, ld))
	}
	send(event.ScopeCICD)
	require.Empty(t, l.Coverage())
	send("cart/instrumentation")
	require.Len(t, l.Coverage(), 1, "a service of that name is one")
}
