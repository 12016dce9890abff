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

	"github.com/open-telemetry/opentelemetry-collector-contrib/connector/spanmetricsconnector"
	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/connector/connectortest"
	"go.opentelemetry.io/collector/consumer"
	"go.opentelemetry.io/collector/consumer/consumertest"
	"go.opentelemetry.io/collector/processor/processortest"

	"github.com/deployloop/deployloop/connector/anomalyconnector"
	"github.com/deployloop/deployloop/internal/ledger"
	"github.com/deployloop/deployloop/processor/deploymarkerprocessor"
	"github.com/deployloop/deployloop/test/load"
)

const (
	spans  = load.Resources * load.PerResource
	rounds = 5
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
	ctx, td := context.Background(), load.Spans()
	load.Stamp(td)
	for range 100 { // steady state: every series, source and operation is known
		_ = to.ConsumeTraces(ctx, td)
	}
	return testing.Benchmark(func(b *testing.B) {
		b.ReportAllocs()
		load.Stamp(td)
		for i := range b.N {
			if i%500 == 499 {
				b.StopTimer()
				load.Stamp(td)
				b.StartTimer()
			}
			if err := to.ConsumeTraces(ctx, td); err != nil {
				b.Fatal(err)
			}
		}
	})
}
