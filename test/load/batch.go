package load

import (
	"fmt"
	"time"

	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/plog"
	"go.opentelemetry.io/collector/pdata/ptrace"
)

// A batch of Spans or Lines is of so many instances and items of each.
const (
	Resources   = 10
	PerResource = 100
)

// Stamp gives the spans of a batch of Spans the time that it is now.
func Stamp(td ptrace.Traces) {
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

// Spans is what an SDK's exporter sends: server and client spans with the
// attributes of HTTP instrumentation, one in fifty failed.
func Spans() ptrace.Traces {
	td := ptrace.NewTraces()
	for i := range Resources {
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
		for k := range PerResource {
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

// Lines is a batch of log records of the same instances, as applications write
// them: a handful of templates, one line in fifty an error.
func Lines() plog.Logs {
	ld := plog.NewLogs()
	now := pcommon.NewTimestampFromTime(time.Now())
	for i := range Resources {
		r := ld.ResourceLogs().AppendEmpty()
		a := r.Resource().Attributes()
		a.PutStr("service.name", "checkout")
		a.PutStr("service.version", "1.41.3")
		a.PutStr("service.instance.id", fmt.Sprintf("checkout-%d", i))
		a.PutStr("deployment.environment.name", "production")
		records := r.ScopeLogs().AppendEmpty().LogRecords()
		for k := range PerResource {
			record := records.AppendEmpty()
			record.SetTimestamp(now)
			record.SetSeverityNumber(plog.SeverityNumberInfo)
			body := []string{
				"order %d of user %d was placed in %d ms", "cart %d holds %d items worth %d cents",
				"GET /prices/%d 200 in %d ms, %d bytes", "session %d of 10.0.%d.%d renewed",
			}[k%4]
			if k%50 == 0 {
				record.SetSeverityNumber(plog.SeverityNumberError)
				body = "cannot reserve item %d for order %d: %d in stock"
			}
			record.Body().SetStr(fmt.Sprintf(body, i*7919+k, k*31, k%90))
			record.Attributes().PutStr("thread.name", "worker-3")
			record.Attributes().PutStr("logger.name", "shop.checkout")
		}
	}
	return ld
}

// StampLines gives the lines of a batch of Lines the time that it is now.
func StampLines(ld plog.Logs) {
	now := pcommon.NewTimestampFromTime(time.Now())
	for _, r := range ld.ResourceLogs().All() {
		for _, record := range r.ScopeLogs().At(0).LogRecords().All() {
			record.SetTimestamp(now)
		}
	}
}
