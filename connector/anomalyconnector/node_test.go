package anomalyconnector

import (
	"context"
	"math"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/component/componenttest"
	"go.opentelemetry.io/collector/confmap"
	"go.opentelemetry.io/collector/connector/connectortest"
	"go.opentelemetry.io/collector/consumer"
	"go.opentelemetry.io/collector/consumer/consumertest"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/plog"
	"go.opentelemetry.io/collector/pdata/pmetric"
	"go.opentelemetry.io/collector/pdata/ptrace"
	"go.opentelemetry.io/collector/pipeline"

	"github.com/deployloop/deployloop/internal/event"
	"github.com/deployloop/deployloop/internal/ledger"
	"github.com/deployloop/deployloop/internal/logpattern"
)

// All six pairs share one monitor; of each input's two nodes one reads.
func TestSixPairsCountOnce(t *testing.T) {
	factory, ctx := NewFactory(), context.Background()
	cfg, set := factory.CreateDefaultConfig(), connectortest.NewNopSettings(factory.Type())
	host := extensions{component.MustNewID("ledger"): known{Ledger: ledger.New(ledger.Limits{})}}
	sink, metrics := new(consumertest.LogsSink), new(consumertest.MetricsSink)
	tl, err := factory.CreateTracesToLogs(ctx, set, cfg, sink)
	require.NoError(t, err)
	tm, err := factory.CreateTracesToMetrics(ctx, set, cfg, metrics)
	require.NoError(t, err)
	ml, err := factory.CreateMetricsToLogs(ctx, set, cfg, sink)
	require.NoError(t, err)
	mm, err := factory.CreateMetricsToMetrics(ctx, set, cfg, metrics)
	require.NoError(t, err)
	ll, err := factory.CreateLogsToLogs(ctx, set, cfg, sink)
	require.NoError(t, err)
	lm, err := factory.CreateLogsToMetrics(ctx, set, cfg, metrics)
	require.NoError(t, err)
	all := []component.Component{tl, tm, ml, mm, ll, lm}
	for _, c := range all {
		require.NoError(t, c.Start(ctx, host))
		assert.Same(t, tl.(*node).shared, c.(*node).shared)
	}
	for _, c := range []consumer.Traces{tl, tm} {
		assert.False(t, c.Capabilities().MutatesData)
		td := ptrace.NewTraces()
		td.ResourceSpans().AppendEmpty().ScopeSpans().AppendEmpty().Spans().AppendEmpty()
		require.NoError(t, c.ConsumeTraces(ctx, td))
	}
	for _, c := range []consumer.Logs{ll, lm} {
		ld := plog.NewLogs()
		ld.ResourceLogs().AppendEmpty().ScopeLogs().AppendEmpty().LogRecords().AppendEmpty()
		require.NoError(t, c.ConsumeLogs(ctx, ld))
	}
	for _, c := range []consumer.Metrics{ml, mm} {
		md := pmetric.NewMetrics()
		md.ResourceMetrics().AppendEmpty().ScopeMetrics().AppendEmpty().Metrics().AppendEmpty().SetEmptyGauge().DataPoints().AppendEmpty()
		require.NoError(t, c.ConsumeMetrics(ctx, md))
	}
	got := map[string]uint64{}
	for _, l := range tl.(*node).shared.refused.list() {
		got[l.Name] = l.Count
	}
	assert.Equal(t, map[string]uint64{lossNoService: 3}, got)
	require.Eventually(t, func() bool { return len(metrics.AllMetrics()) > 0 }, 30*time.Second, 10*time.Millisecond, "the live loop emits metrics")
	for _, c := range all {
		require.NoError(t, c.Shutdown(ctx))
		require.NoError(t, c.Shutdown(ctx), "twice does no harm")
	}
	assert.Empty(t, monitors.byConfig)
}

func TestStartNamesWhatIsMissing(t *testing.T) {
	factory, ctx := NewFactory(), context.Background()
	for name, tc := range map[string]struct {
		host component.Host
		want string
	}{
		"no ledger":    {componenttest.NewNopHost(), `no extension "ledger" is running`},
		"not a ledger": {extensions{component.MustNewID("ledger"): struct{ component.Component }{}}, "is no ledger"},
	} {
		t.Run(name, func(t *testing.T) {
			c, err := factory.CreateTracesToLogs(ctx, connectortest.NewNopSettings(factory.Type()), factory.CreateDefaultConfig(), new(consumertest.LogsSink))
			require.NoError(t, err)
			require.ErrorContains(t, c.Start(ctx, tc.host), tc.want)
			require.NoError(t, c.Shutdown(ctx))
		})
	}
}

func TestConfig(t *testing.T) {
	factory := NewFactory()
	require.NoError(t, componenttest.CheckConfigStruct(factory.CreateDefaultConfig()))
	require.NoError(t, factory.CreateDefaultConfig().(*Config).Validate())

	// The block of the architecture's own example.
	cfg := factory.CreateDefaultConfig().(*Config)
	require.NoError(t, confmap.NewFromStringMap(map[string]any{
		"ledger": "ledger", "storage": "file_storage", "mode": "advise", "watch": []any{"1m", "10m", "1h", "24h"},
		"false_alarms_per_1000_deploys": 1, "min_effect": map[string]any{"error_ratio": 0.001, "rate_ratio": 1.1},
		"gauges": []any{}, "overrides": []any{map[string]any{"service": "cart", "mode": "gate"}},
		"repositories": []any{map[string]any{"service": "checkout", "path": "/srv/git/shop.git", "paths": []any{"services/checkout/**"}}},
	}).Unmarshal(cfg))
	require.NoError(t, cfg.Validate())
	assert.Equal(t, event.Gate, cfg.modeOf("cart"))
	assert.Equal(t, event.Advise, cfg.modeOf("checkout"))
	assert.Equal(t, []string{"services/checkout"}, folders(cfg.repositoriesOf("checkout")))
	assert.Empty(t, cfg.repositoriesOf("cart"))

	for want, change := range map[string]func(*Config){
		"mode: ":                         func(c *Config) { c.Mode = "loud" },
		"watch: ":                        func(c *Config) { c.Watch = nil },
		"rising order":                   func(c *Config) { c.Watch = []time.Duration{time.Hour, time.Minute} },
		"false_alarms_per_1000_deploys:": func(c *Config) { c.FalseAlarmsPer1000Deploys = 0 },
		"min_effect::rate_ratio":         func(c *Config) { c.MinEffect.RateRatio = 1 },
		"heartbeat: ":                    func(c *Config) { c.Heartbeat = 0 },
		"overrides[0]::service":          func(c *Config) { c.Overrides = []Override{{}} },
		"repositories[0]::path":          func(c *Config) { c.Repositories = []Repository{{Service: "*"}} },
		"limits::templates":              func(c *Config) { c.Limits.Templates = 0 },
		"builds::branches[0]":            func(c *Config) { c.Builds.Branches = []string{"["} },
		"builds::quiet":                  func(c *Config) { c.Builds.Quiet = 0 },
		"gauges[0]::worse":               func(c *Config) { c.Gauges = []GaugeConfig{{Name: "queue.*"}} },
	} {
		cfg := factory.CreateDefaultConfig().(*Config)
		change(cfg)
		require.ErrorContains(t, cfg.Validate(), want)
	}
}

func TestAPanicStaysHere(t *testing.T) {
	n := newNode(connectortest.NewNopSettings(Type), createDefaultConfig(), pipeline.SignalTraces, nil, nil)
	n.shared.engine = nil // whatever the defect may be
	td := ptrace.NewTraces()
	r := td.ResourceSpans().AppendEmpty()
	r.Resource().Attributes().PutStr("service.name", "checkout")
	r.ScopeSpans().AppendEmpty().Spans().AppendEmpty()
	require.NoError(t, n.ConsumeTraces(context.Background(), td))
	assert.EqualValues(t, 1, n.shared.meter.panics.Load())
	require.NoError(t, n.Shutdown(context.Background()))
}

func TestOverloadShedsInTheWrittenOrder(t *testing.T) {
	var m meter
	for _, want := range []int32{shedWork, shedQuietLines, shedMetrics, shedLogs, shedLogs} {
		m.busy.Store(int64(600 * time.Millisecond))
		level, _ := m.decide(time.Second, .5)
		assert.Equal(t, want, level)
	}
	for range 9 {
		level, changed := m.decide(time.Second, .5)
		assert.Equal(t, shedLogs, level)
		assert.False(t, changed)
	}
	level, changed := m.decide(time.Second, .5)
	assert.Equal(t, shedMetrics, level, "back slowly")
	assert.True(t, changed)
}

func TestACorruptSnapshotIsIgnored(t *testing.T) {
	b := newBench(t, nil)
	b.seconds(3, old(10))
	require.NoError(t, b.m.store.Set(context.Background(), keyEngine, []byte("\x00 not a snapshot")))
	require.NoError(t, b.m.store.Set(context.Background(), keyTemplates, []byte("{")))
	b.m.engine, b.m.miners = newEngineAt(b.config, b.now), map[serviceKey]*patterns{}
	b.m.restore(context.Background())
	b.seconds(3, old(10))
	assert.Zero(t, b.m.meter.panics.Load())
}

func TestOperations(t *testing.T) {
	for name, want := range map[string]operation{
		"POST /cart/checkout":                 {name: "POST /cart/checkout"},
		"GET /users/42/orders?page=2":         {name: "GET /users/{id}/orders"},
		"GET /api/v1/cart":                    {name: "GET /api/v1/cart"},
		"GET /o/7f3c2a10-9b1d-4c55-8e21-aabb": {name: "GET /o/{id}"},
		"GET /healthz":                        {name: "GET /healthz", probe: true},
		"grpc.health.v1.Health/Check":         {name: "grpc.health.v1.Health/Check", probe: true},
		"GET":                                 {name: "GET", route: true},
	} {
		assert.Equal(t, want, newOperation(name), name)
	}
	var n names
	a := pcommon.NewMap()
	assert.Equal(t, operation{name: "GET"}, n.routed("GET", a))
	a.PutStr("http.route", "/cart/{id}")
	assert.Equal(t, operation{name: "GET /cart/{id}"}, n.routed("HTTP GET", a))
	a.PutStr("http.route", "/livez")
	assert.True(t, n.routed("GET", a).probe)
}

func TestWeight(t *testing.T) {
	for state, want := range map[string]float64{
		"": 1, "vendor=x": 1, "ot=th:0": 1, "ot=th:8": 2, "ot=rv:abcdef12345678;th:c": 4, "a=b, ot=th:c": 4,
		"ot=p:3;r:9": 8, "ot=r:9;p:0": 1, "ot=p:3;th:c": 4, "ot=p:63": 1, "ot=p:": 1, "ot=p:-1": 1, "x=p:3": 1,
		"ot=th:": 1, "ot=th:xyz": 1, "ot=th:123456789012345": 1, "ot=th:fd70a": 1 / (1 - float64(0xfd70a)/(1<<20)),
	} {
		assert.InDelta(t, want, weight(state), 1e-9, state)
	}
}

// What a sampler tells by an attribute counts for as many, unless the
// tracestate tells it too.
func TestSampleRate(t *testing.T) {
	requests := func(rate any, state string) float64 {
		b := newBench(t, nil)
		d, _ := b.ledger.RecordDeployment(event.Deployment{Service: "checkout", Environment: "production", Version: "2", PreviousVersion: "1",
			Status: event.DeploymentStarted, StartedAt: b.now})
		b.seconds(1)
		td := ptrace.NewTraces()
		r := td.ResourceSpans().AppendEmpty()
		for key, value := range map[string]string{"service.name": "checkout", "service.version": "2", "service.instance.id": "a", "deployment.environment.name": "production"} {
			r.Resource().Attributes().PutStr(key, value)
		}
		spans := r.ScopeSpans().AppendEmpty().Spans()
		for range 10 {
			span := spans.AppendEmpty()
			span.SetKind(ptrace.SpanKindServer)
			span.SetName("GET /")
			span.TraceState().FromRaw(state)
			span.SetEndTimestamp(pcommon.NewTimestampFromTime(b.now))
			if rate != nil {
				require.NoError(t, span.Attributes().PutEmpty("SampleRate").FromRaw(rate))
			}
		}
		b.m.readTraces(td)
		b.seconds(3)
		v, ok := b.m.engine.Verdict(d.ID)
		require.True(t, ok)
		return v.NewRequests
	}
	for _, tc := range []struct {
		rate  any
		state string
		want  float64
	}{
		{nil, "", 10}, {int64(20), "", 200}, {2.5, "", 25}, {int64(0), "", 10}, {int64(-3), "", 10}, {"many", "", 10}, {math.NaN(), "", 10},
		{int64(20), "ot=th:c", 40}, {int64(20), "ot=p:1", 20},
	} {
		require.Equal(t, tc.want, requests(tc.rate, tc.state), "%v %q", tc.rate, tc.state)
	}
}

func FuzzWeight(f *testing.F) {
	f.Add("ot=th:c;rv:1,x=y")
	f.Add("ot=p:8;r:62")
	f.Fuzz(func(t *testing.T, s string) {
		if w := weight(s); !(w >= 1) {
			t.Fatalf("%q: %v", s, w)
		}
	})
}

func TestLinesAndPrintedTraces(t *testing.T) {
	body := pcommon.NewValueStr(`{"level":"error","msg":"no \"stock\" left","n":3}`)
	assert.Equal(t, `no \"stock\" left`, lineOf(body))
	m := pcommon.NewValueMap()
	m.Map().PutStr("message", "structured")
	assert.Equal(t, "structured", lineOf(m))
	head, ok := logpattern.Printed("java.lang.Error: closed\n\tat com.acme.Cart.total(Cart.java:88)")
	assert.True(t, ok)
	assert.Equal(t, "java.lang.Error: closed", head)
	head, ok = logpattern.Printed("Traceback (most recent call last):\n  File \"/app/cart.py\", line 88, in total\nTypeError: total\n")
	assert.True(t, ok)
	assert.Equal(t, "TypeError: total", head)
	for _, text := range []string{
		"Error: order 17\n\nStack backtrace:\n   0: shop::pay::call\n", "thread 'main' panicked at src/total.rs:88:12:\nno stock\n",
		"cart is closed\ngithub.com/acme/shop/cart.(*Cart).Total\n\t/src/shop/cart/total.go:88\n",
		"[2026-11-23 14:00:00] production.ERROR: closed {\"exception\":\"[object] (App\\\\CartError(code: 0): closed at /app/src/Cart.php:88)\n[stacktrace]\n#0 /app/src/Shop.php(14): total()\n",
		"System.Exception: closed\n  at Acme.Cart.Add (Acme.Order o) [0x00012] in /src/Cart.cs:88\n",
	} {
		head, ok = logpattern.Printed(text)
		assert.True(t, ok, text)
		assert.NotContains(t, head, "\n")
	}
	for _, text := range []string{"two\nlines", "one\n  two at three", "panicked at noon", "see main.go:17", "build failed\nmain.go:17: undefined",
		"main.go:17 listens\n\tport: 80", "the order is late\n  at the warehouse (north)"} {
		_, ok = logpattern.Printed(text)
		assert.False(t, ok, text)
	}
}
