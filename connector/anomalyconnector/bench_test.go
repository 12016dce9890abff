package anomalyconnector

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/connector/connectortest"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/plog"
	"go.opentelemetry.io/collector/pdata/ptrace"
	"go.opentelemetry.io/collector/pipeline"
)

// One item a time unit: ns/op is of one log record, or of one failed span with
// an exception. test/peers measures plain spans beside contrib.

func BenchmarkLogRecord(b *testing.B) {
	n := newNode(connectortest.NewNopSettings(Type), createDefaultConfig(), pipeline.SignalLogs, nil, nil)
	defer func() { require.NoError(b, n.Shutdown(context.Background())) }()
	const size = 1000
	ld := plog.NewLogs()
	r := ld.ResourceLogs().AppendEmpty()
	r.Resource().Attributes().PutStr("service.name", "checkout")
	records := r.ScopeLogs().AppendEmpty().LogRecords()
	for i := range size {
		record := records.AppendEmpty()
		record.SetSeverityNumber(9)
		record.SetTimestamp(pcommon.NewTimestampFromTime(time.Now()))
		record.Body().SetStr(fmt.Sprintf("order %d of user %x took %d ms at shelf %d", i, i*7919, i%90, i%7))
	}
	require.NoError(b, n.ConsumeLogs(context.Background(), ld))
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		if i%size == 0 {
			_ = n.ConsumeLogs(context.Background(), ld)
		}
	}
}

func BenchmarkFailedSpanWithException(b *testing.B) {
	n := newNode(connectortest.NewNopSettings(Type), createDefaultConfig(), pipeline.SignalTraces, nil, nil)
	defer func() { require.NoError(b, n.Shutdown(context.Background())) }()
	const size = 1000
	td := ptrace.NewTraces()
	r := td.ResourceSpans().AppendEmpty()
	r.Resource().Attributes().PutStr("service.name", "checkout")
	spans := r.ScopeSpans().AppendEmpty().Spans()
	now := pcommon.NewTimestampFromTime(time.Now())
	for i := range size {
		span := spans.AppendEmpty()
		span.SetName("POST /cart/checkout")
		span.SetKind(ptrace.SpanKindServer)
		span.SetTraceID(pcommon.TraceID{15: byte(i), 14: byte(i >> 8)})
		span.SetStartTimestamp(now)
		span.SetEndTimestamp(now)
		span.Status().SetCode(ptrace.StatusCodeError)
		e := span.Events().AppendEmpty()
		e.SetName("exception")
		e.SetTimestamp(now)
		e.Attributes().PutStr("exception.type", "TypeError")
		e.Attributes().PutStr("exception.stacktrace", "TypeError: total is undefined\n    at Cart.total (/app/cart/total.ts:88:12)\n    at checkout (/app/src/checkout.ts:14:3)\n")
	}
	require.NoError(b, n.ConsumeTraces(context.Background(), td))
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		if i%size == 0 {
			_ = n.ConsumeTraces(context.Background(), td)
		}
	}
}
