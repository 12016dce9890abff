package telemetry

import (
	"fmt"
	"net/http"
	"runtime/debug"
	"strings"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/trace"
)

// recovered answers 500 when next panics, and records the exception with the
// stack of the place that panicked on the span and in the log.
func (t *T) recovered(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		defer func() {
			v := recover()
			if v == nil {
				return
			}
			kind, message, stack := fmt.Sprintf("%T", v), fmt.Sprint(v), panicStack(string(debug.Stack()))
			trace.SpanFromContext(r.Context()).AddEvent("exception", trace.WithAttributes(
				attribute.String("exception.type", kind),
				attribute.String("exception.message", message),
				attribute.String("exception.stacktrace", stack),
			))
			t.Log.ErrorContext(r.Context(), "panic while serving "+r.Method+" "+r.URL.Path,
				"exception.type", kind, "exception.message", message, "exception.stacktrace", stack)
			http.Error(w, "internal error", http.StatusInternalServerError)
		}()
		next.ServeHTTP(w, r)
	})
}

// panicStack drops the frames of recovering and panicking: what is left begins
// where the program went wrong.
func panicStack(stack string) string {
	header, frames, _ := strings.Cut(stack, "\n")
	lines := strings.Split(frames, "\n")
	begin := 0
	for i := 0; i+1 < len(lines); i += 2 { // a frame is two lines: function, file
		if strings.HasPrefix(lines[i], "panic(") || strings.HasPrefix(lines[i], "runtime.panic") || strings.HasPrefix(lines[i], "runtime.sigpanic") {
			begin = i + 2
		}
	}
	return header + "\n" + strings.Join(lines[begin:], "\n")
}
