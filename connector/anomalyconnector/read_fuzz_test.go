package anomalyconnector

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/plog"
	"go.opentelemetry.io/collector/pdata/ptrace"
	"go.uber.org/zap"

	"github.com/deployloop/deployloop/internal/event"
)

var fuzzStart = time.Date(2026, 11, 23, 14, 0, 0, 0, time.UTC)

// play tells the same batch three times, with a deployment open in between.
func play(t *testing.T, tell func(*Replay, time.Time)) {
	r := NewReplay(createDefaultConfig().(*Config), fuzzStart, true, zap.NewNop())
	defer r.Close()
	for i, now := 0, fuzzStart; i < 3; i, now = i+1, now.Add(5*time.Second) {
		r.Step(now)
		tell(r, now)
		if i == 1 {
			r.Deploy(event.Deployment{Service: "checkout", Version: "2", PreviousVersion: "1", Status: event.DeploymentStarted, StartedAt: now})
		}
	}
	r.Step(fuzzStart.Add(20 * time.Second))
	if r.monitor.meter.panics.Load() > 0 {
		t.Fatal("the reader panicked")
	}
}

// describe is the resource of a fuzz target's first input.
func describe(attributes pcommon.Map) {
	for key, value := range map[string]string{"service.name": "checkout", "service.version": "2", "service.instance.id": "a"} {
		attributes.PutStr(key, value)
	}
}

// Whatever spans come, the reader does not panic.
func FuzzReadTraces(f *testing.F) {
	td := ptrace.NewTraces()
	r := td.ResourceSpans().AppendEmpty()
	describe(r.Resource().Attributes())
	spans := r.ScopeSpans().AppendEmpty().Spans()
	for i, kind := range []ptrace.SpanKind{ptrace.SpanKindServer, ptrace.SpanKindClient, ptrace.SpanKindConsumer, ptrace.SpanKindProducer, ptrace.SpanKindInternal} {
		span := spans.AppendEmpty()
		span.SetKind(kind)
		span.SetName("GET")
		span.SetTraceID(pcommon.TraceID{15: byte(i % 2)})
		span.SetSpanID(pcommon.SpanID{byte(i + 1)})
		span.SetParentSpanID(pcommon.SpanID{byte(i)})
		span.TraceState().FromRaw("ot=th:8;rv:1,x=y")
		span.SetStartTimestamp(pcommon.NewTimestampFromTime(fuzzStart))
		span.SetEndTimestamp(pcommon.NewTimestampFromTime(fuzzStart.Add(time.Second)))
		span.Status().SetCode(ptrace.StatusCode(i % 3))
		for key, value := range map[string]any{
			"http.route": "/cart/{id}", "http.response.status_code": 503, "SampleRate": 4, "server.address": "payments", "peer.service": "db", "user.id": "u",
		} {
			require.NoError(f, span.Attributes().PutEmpty(key).FromRaw(value))
		}
		e := span.Events().AppendEmpty()
		e.SetName("exception")
		e.Attributes().PutStr("exception.type", "E")
		e.Attributes().PutStr("exception.stacktrace", "E: x\n\tat com.acme.Cart.total(Cart.java:88)\n")
	}
	raw, err := new(ptrace.ProtoMarshaler).MarshalTraces(td)
	require.NoError(f, err)
	f.Add(raw)
	f.Fuzz(func(t *testing.T, raw []byte) {
		td, err := new(ptrace.ProtoUnmarshaler).UnmarshalTraces(raw)
		if err != nil {
			return
		}
		play(t, func(r *Replay, now time.Time) { r.Traces(td, now) })
	})
}

// Whatever records come, events of the vocabulary among them, the reader does not panic.
func FuzzReadLogs(f *testing.F) {
	ld := plog.NewLogs()
	r := ld.ResourceLogs().AppendEmpty()
	describe(r.Resource().Attributes())
	records := r.ScopeLogs().AppendEmpty().LogRecords()
	for i, body := range []string{
		"shelf 17 holds 3", `{"level":"error","msg":"no \"stock\" left"}`, "java.lang.Error: closed\n\tat com.acme.Cart.total(Cart.java:88)",
		"Traceback (most recent call last):\n  File \"/app/cart.py\", line 88, in total\nTypeError: total\n", "",
		`{"err":{"type":"TypeError","stack":"TypeError: x\n    at total (/app/total.ts:88:12)"}}`, `{"exception":{"frames":[{"class":"a.B","method":"c","line":1}]}}`,
	} {
		record := records.AppendEmpty()
		record.SetTimestamp(pcommon.NewTimestampFromTime(fuzzStart))
		record.SetSeverityNumber(plog.SeverityNumber(4 * i))
		record.SetSeverityText("Critical")
		record.SetTraceID(pcommon.TraceID{15: byte(i)})
		record.Body().SetStr(body)
	}
	own := records.AppendEmpty()
	own.SetEventName(event.NameDeployment)
	own.Attributes().PutStr("service.name", "checkout")
	structured := records.AppendEmpty().Body().SetEmptyMap()
	structured.PutStr("message", "structured")
	frame := structured.PutEmptyMap("error").PutEmptySlice("stack_trace").AppendEmpty()
	frame.SetStr("\tat com.acme.Cart.total(Cart.java:88)")
	raw, err := new(plog.ProtoMarshaler).MarshalLogs(ld)
	require.NoError(f, err)
	f.Add(raw)
	f.Fuzz(func(t *testing.T, raw []byte) {
		ld, err := new(plog.ProtoUnmarshaler).UnmarshalLogs(raw)
		if err != nil {
			return
		}
		play(t, func(r *Replay, now time.Time) { r.Logs(ld, now) })
	})
}
