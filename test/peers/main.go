// Command peers measures deployloop's hot paths beside contrib's span_metrics
// connector, on the same spans in the same process, and prints one line a case:
//
//	case ours_ns peer_ns ratio allocs
//
// Times are nanoseconds a span, the best of several rounds; allocs are our
// allocations a span in steady state.
package main

import (
	"context"
	"fmt"
	"os"
	"testing"
	"time"

	"github.com/open-telemetry/opentelemetry-collector-contrib/connector/spanmetricsconnector"
	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/connector/connectortest"
	"go.opentelemetry.io/collector/consumer"
	"go.opentelemetry.io/collector/consumer/consumertest"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/ptrace"
	"go.opentelemetry.io/collector/processor/processortest"

	"github.com/deployloop/deployloop/connector/anomalyconnector"
	"github.com/deployloop/deployloop/internal/ledger"
	"github.com/deployloop/deployloop/processor/deploymarkerprocessor"
)

const (
	resources = 10  // instances in a batch
	perScope  = 100 // spans of each
	spans     = resources * perScope
	rounds    = 5
)

// knowing is a ledger as the extension would give it.
type knowing struct {
	component.StartFunc
	component.ShutdownFunc
	*ledger.Ledger
}

type host struct{ ledger component.Component }

func (h host) GetExtensions() map[component.ID]component.Component {
	return map[component.ID]component.Component{component.MustNewID("ledger"): h.ledger}
}

func main() {
	testing.Init()
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run() error {
	ctx := context.Background()
	h := host{knowing{Ledger: ledger.New(ledger.Limits{})}}

	peers := spanmetricsconnector.NewFactory()
	peer, err := peers.CreateTracesToMetrics(ctx, connectortest.NewNopSettings(peers.Type()), peers.CreateDefaultConfig(), consumertest.NewNop())
	if err != nil {
		return err
	}
	anomalies := anomalyconnector.NewFactory()
	anomaly, err := anomalies.CreateTracesToLogs(ctx, connectortest.NewNopSettings(anomalies.Type()), anomalies.CreateDefaultConfig(), consumertest.NewNop())
	if err != nil {
		return err
	}
	markers := deploymarkerprocessor.NewFactory()
	marker, err := markers.CreateTraces(ctx, processortest.NewNopSettings(markers.Type()), markers.CreateDefaultConfig(), consumertest.NewNop())
	if err != nil {
		return err
	}
	for _, c := range []component.Component{peer, anomaly, marker} {
		if err := c.Start(ctx, h); err != nil {
			return err
		}
		defer func() { _ = c.Shutdown(ctx) }()
	}

	fmt.Println("case ours_ns peer_ns ratio allocs")
	for _, c := range []struct {
		name string
		ours consumer.Traces
	}{{"anomaly_span", anomaly}, {"deploy_marker_span", marker}} {
		var ours, theirs, allocs float64
		for round := range rounds { // in turns, so that a slow moment of the machine hits both
			o, p := measure(c.ours), measure(peer)
			if t := perSpan(o); round == 0 || t < ours {
				ours, allocs = t, float64(o.MemAllocs)/float64(o.N)/spans
			}
			if t := perSpan(p); round == 0 || t < theirs {
				theirs = t
			}
		}
		fmt.Printf("%s %.1f %.1f %.3f %.3f\n", c.name, ours, theirs, ours/theirs, allocs)
	}
	return nil
}

func perSpan(r testing.BenchmarkResult) float64 {
	return float64(r.T.Nanoseconds()) / float64(r.N) / spans
}

// measure consumes one batch again and again. Its spans are restamped outside
// the measured time, so that to a reader of event time they are always new.
func measure(to consumer.Traces) testing.BenchmarkResult {
	ctx, td := context.Background(), batch()
	stamp(td)
	for range 100 { // steady state: every series, source and operation is known
		_ = to.ConsumeTraces(ctx, td)
	}
	return testing.Benchmark(func(b *testing.B) {
		b.ReportAllocs()
		stamp(td)
		for i := range b.N {
			if i%500 == 499 {
				b.StopTimer()
				stamp(td)
				b.StartTimer()
			}
			if err := to.ConsumeTraces(ctx, td); err != nil {
				b.Fatal(err)
			}
		}
	})
}

func stamp(td ptrace.Traces) {
	now := time.Now()
	for i := range td.ResourceSpans().Len() {
		spans := td.ResourceSpans().At(i).ScopeSpans().At(0).Spans()
		for k := range spans.Len() {
			span := spans.At(k)
			span.SetStartTimestamp(pcommon.NewTimestampFromTime(now.Add(-time.Duration(10+k) * time.Millisecond)))
			span.SetEndTimestamp(pcommon.NewTimestampFromTime(now))
		}
	}
}

// batch is what an SDK's exporter sends: server and client spans with the
// attributes of HTTP instrumentation, one in fifty failed.
func batch() ptrace.Traces {
	td := ptrace.NewTraces()
	for i := range resources {
		r := td.ResourceSpans().AppendEmpty()
		a := r.Resource().Attributes()
		a.PutStr("service.name", "checkout")
		a.PutStr("service.version", "1.41.3")
		a.PutStr("service.instance.id", fmt.Sprintf("checkout-%d", i))
		a.PutStr("deployment.environment.name", "production")
		a.PutStr("vcs.ref.head.revision", "9f2c1ab0c5d44e6f8a7b6c5d4e3f2a1b0c9d8e7f")
		a.PutStr("host.name", "node-7")
		a.PutStr("telemetry.sdk.name", "opentelemetry")
		a.PutStr("telemetry.sdk.language", "go")
		a.PutStr("telemetry.sdk.version", "1.45.0")
		a.PutStr("process.runtime.name", "go")
		scope := r.ScopeSpans().AppendEmpty()
		scope.Scope().SetName("net/http")
		for k := range perScope {
			span := scope.Spans().AppendEmpty()
			span.SetTraceID(pcommon.TraceID{1, byte(i), byte(k), 7, 9, 1, 2, 3, 4, 5, 6, 7, 8, 9, byte(i), byte(k)})
			span.SetSpanID(pcommon.SpanID{1, byte(i), byte(k), 3})
			span.SetKind(ptrace.SpanKindServer)
			span.SetName([]string{"POST /cart/checkout", "GET /cart", "GET /products/{id}", "POST /orders"}[k%4])
			if k%2 == 1 {
				span.SetKind(ptrace.SpanKindClient)
				span.SetParentSpanID(pcommon.SpanID{9, byte(k)})
				span.SetName("GET /prices/{sku}")
			}
			status := int64(200)
			if k%50 == 0 {
				status = 503
				span.Status().SetCode(ptrace.StatusCodeError)
			}
			t := span.Attributes()
			t.PutStr("http.request.method", "POST")
			t.PutStr("url.scheme", "http")
			t.PutStr("server.address", "checkout.production.svc")
			t.PutInt("server.port", 8080)
			t.PutStr("url.path", "/cart/checkout")
			t.PutStr("http.route", "/cart/checkout")
			t.PutInt("http.response.status_code", status)
			t.PutStr("network.protocol.version", "1.1")
			t.PutStr("client.address", "10.0.0.7")
			t.PutStr("user_agent.original", "k6/1.0")
		}
	}
	return td
}
