package anomalyconnector

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/connector/connectortest"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/pmetric"
	"go.opentelemetry.io/collector/pdata/ptrace"
	"go.opentelemetry.io/collector/pipeline"

	"github.com/deployloop/deployloop/test/cputime"
	otlpload "github.com/deployloop/deployloop/test/load"
)

// One item a time unit: ns/op and cpu-ns/op are of one item. `make cost` writes
// them into docs/cost.md; test/peers measures plain spans beside contrib.

// perItem runs a batch again and again, and counts its items.
func perItem(b *testing.B, input pipeline.Signal, size int, stamp func(), consume func(*node)) {
	n := newNode(connectortest.NewNopSettings(Type), createDefaultConfig(), input, nil, nil)
	defer func() { require.NoError(b, n.Shutdown(context.Background())) }()
	stamp()
	consume(n)
	b.ReportAllocs()
	used := 0.
	for i := 0; b.Loop(); i++ {
		if i%size != 0 {
			continue
		}
		if i/size%500 == 499 { // to a reader of event time they are always new
			b.StopTimer()
			stamp()
			b.StartTimer()
		}
		began := cputime.Used()
		consume(n)
		used += cputime.Used() - began
	}
	if used > 0 {
		b.ReportMetric(used/float64(b.N), "cpu-ns/op")
		b.ReportMetric(1e9*float64(b.N)/used, "items/s")
	}
}

func BenchmarkSpan(b *testing.B) {
	td := otlpload.Spans()
	perItem(b, pipeline.SignalTraces, otlpload.Resources*otlpload.PerResource, func() { otlpload.Stamp(td) }, func(n *node) { _ = n.ConsumeTraces(b.Context(), td) })
}

func BenchmarkLogRecord(b *testing.B) {
	ld := otlpload.Lines()
	perItem(b, pipeline.SignalLogs, otlpload.Resources*otlpload.PerResource, func() { otlpload.StampLines(ld) }, func(n *node) { _ = n.ConsumeLogs(b.Context(), ld) })
}

// BenchmarkJSONLogRecord is a line as structured loggers write it, whose level
// nobody parsed: each may hold a stack, and none does.
func BenchmarkJSONLogRecord(b *testing.B) {
	ld := otlpload.Lines()
	for _, r := range ld.ResourceLogs().All() {
		for _, record := range r.ScopeLogs().At(0).LogRecords().All() {
			record.SetSeverityNumber(0)
			record.Body().SetStr(`{"level":"info","ts":"2026-11-23T14:00:00.123Z","logger":"shop.checkout","trace_id":"4bf92f3577b34da6a3ce929d0e0e4736","msg":"` + record.Body().Str() + `","duration_ms":17}`)
		}
	}
	perItem(b, pipeline.SignalLogs, otlpload.Resources*otlpload.PerResource, func() { otlpload.StampLines(ld) }, func(n *node) { _ = n.ConsumeLogs(b.Context(), ld) })
}

// BenchmarkHistogramPoint is one point of the duration histogram that HTTP
// instrumentation sends.
func BenchmarkHistogramPoint(b *testing.B) {
	const size = 500
	md := pmetric.NewMetrics()
	r := md.ResourceMetrics().AppendEmpty()
	r.Resource().Attributes().PutStr("service.name", "checkout")
	r.Resource().Attributes().PutStr("service.version", "1.41.3")
	r.Resource().Attributes().PutStr("service.instance.id", "checkout-1")
	metric := r.ScopeMetrics().AppendEmpty().Metrics().AppendEmpty()
	metric.SetName("http.server.request.duration")
	metric.SetUnit("s")
	metric.SetEmptyHistogram().SetAggregationTemporality(pmetric.AggregationTemporalityDelta)
	for k := range size {
		p := metric.Histogram().DataPoints().AppendEmpty()
		p.Attributes().PutStr("http.request.method", "GET")
		p.Attributes().PutStr("http.route", fmt.Sprintf("/operation/%d", k%20))
		p.Attributes().PutInt("http.response.status_code", int64(200+k%50/49*300))
		p.ExplicitBounds().FromRaw([]float64{.005, .01, .025, .05, .075, .1, .25, .5, .75, 1, 2.5, 5, 7.5, 10})
		p.BucketCounts().FromRaw([]uint64{0, 3, 10, 20, 15, 8, 3, 1, 0, 0, 0, 0, 0, 0, 0})
		p.SetCount(60)
		p.SetSum(3.2)
	}
	stamp := func() {
		now := time.Now()
		for _, p := range metric.Histogram().DataPoints().All() {
			p.SetStartTimestamp(pcommon.NewTimestampFromTime(now.Add(-time.Second)))
			p.SetTimestamp(pcommon.NewTimestampFromTime(now))
		}
	}
	perItem(b, pipeline.SignalMetrics, size, stamp, func(n *node) { _ = n.ConsumeMetrics(b.Context(), md) })
}

func BenchmarkFailedSpanWithException(b *testing.B) {
	const size = 1000
	td := ptrace.NewTraces()
	r := td.ResourceSpans().AppendEmpty()
	r.Resource().Attributes().PutStr("service.name", "checkout")
	spans := r.ScopeSpans().AppendEmpty().Spans()
	for i := range size {
		span := spans.AppendEmpty()
		span.SetName("POST /cart/checkout")
		span.SetKind(ptrace.SpanKindServer)
		span.SetTraceID(pcommon.TraceID{15: byte(i), 14: byte(i >> 8)})
		span.Status().SetCode(ptrace.StatusCodeError)
		e := span.Events().AppendEmpty()
		e.SetName("exception")
		e.Attributes().PutStr("exception.type", "TypeError")
		e.Attributes().PutStr("exception.stacktrace", "TypeError: total is undefined\n    at Cart.total (/app/cart/total.ts:88:12)\n    at checkout (/app/src/checkout.ts:14:3)\n")
	}
	stamp := func() {
		now := pcommon.NewTimestampFromTime(time.Now())
		for _, span := range spans.All() {
			span.SetStartTimestamp(now)
			span.SetEndTimestamp(now)
			span.Events().At(0).SetTimestamp(now)
		}
	}
	perItem(b, pipeline.SignalTraces, size, stamp, func(n *node) { _ = n.ConsumeTraces(b.Context(), td) })
}
