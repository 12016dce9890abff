package anomalyconnector

import (
	"encoding/binary"
	"strings"
	"time"

	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/ptrace"
	"go.uber.org/zap"

	"github.com/deployloop/deployloop/internal/detect"
	"github.com/deployloop/deployloop/internal/event"
)

// The names under which refused telemetry is counted.
const (
	lossNoService   = "no_service_name"
	lossTailSampled = "tail_sampled"
	lossProbes      = "health_probes"
)

// readTraces counts a batch. Nothing of td is kept.
func (m *monitor) readTraces(td ptrace.Traces) {
	resources := td.ResourceSpans()
	for i := range resources.Len() {
		r := resources.At(i)
		s := m.source(r.Resource().Attributes())
		scopes := r.ScopeSpans()
		if s == nil {
			for j := range scopes.Len() {
				m.refused.add(lossNoService, uint64(scopes.At(j).Spans().Len()))
			}
			continue
		}
		m.readSpans(s, scopes)
	}
}

func (m *monitor) readSpans(s *source, scopes ptrace.ScopeSpansSlice) {
	level, now := m.meter.level.Load(), m.now()
	var probes, shed uint64
	s.mu.Lock()
	defer s.mu.Unlock()
	s.thinning.begin(now.Unix())
	if level >= shedWork {
		s.thinning.spoil()
	}
	shift := uint32(s.thinning.shift)
	for j := range scopes.Len() {
		scope := scopes.At(j)
		if tailSampled(scope) {
			m.refuse(s, lossTailSampled, uint64(scope.Spans().Len()))
			if m.warned.once(s.origin.Service) {
				m.logger.Warn("spans of this service were tail-sampled; no error ratio of them means anything, so they are not counted. Send the connector the spans before tail sampling",
					zap.String("service", s.origin.Service))
			}
			continue
		}
		spans := scope.Spans()
		rated := rated(spans)
		for k := range spans.Len() {
			span := spans.At(k)
			op := s.names.of(span.Name())
			if op.route {
				op = s.names.routed(op.name, span.Attributes())
			}
			if op.probe {
				probes++
				continue
			}
			w := 0.0
			if state := span.TraceState().AsRaw(); state != "" {
				w = weight(state)
			}
			if rated && w <= 1 {
				w = sampleRate(span.Attributes())
			}
			kind := span.Kind()
			if (kind == ptrace.SpanKindClient || kind == ptrace.SpanKindProducer) && level < shedWork {
				m.calls.add(now, s.origin.Environment, s.origin.Service, span, w)
			}
			if trace := traceKey(span.TraceID()); passes(trace, shift) && trace != 0 && level < shedWork {
				m.joins.note(s, span, trace, op.name, w)
				shift = uint32(s.thinning.shift)
			}
			switch {
			case entry(span, kind):
				end := int64(span.EndTimestamp())
				request := detect.Request{
					Operation: op.name, End: end, Duration: end - int64(span.StartTimestamp()),
					Failed: failed(span), Weight: w,
				}
				switch kind {
				case ptrace.SpanKindServer:
					request.Family = detect.FamilyServer
				case ptrace.SpanKindConsumer:
					request.Family = detect.FamilyConsumer
				}
				if request.Failed {
					request.User = user(span.Attributes())
					s.example.ofSpan(span)
				}
				s.engine.Request(request, &s.example)
			case level < shedWork:
				end := int64(span.EndTimestamp())
				s.engine.Work(detect.Work{Name: op.name, End: end, Weight: w})
			default:
				shed++
			}
			switch {
			case kind == ptrace.SpanKindProducer:
				s.engine.Produces()
			case kind != ptrace.SpanKindClient: // a call, be it a request or not
			case level >= shedWork:
				if entry(span, kind) { // the others were counted above
					shed++
				}
			default:
				if name := s.callees.of(span.Attributes()); name != "" {
					end := int64(span.EndTimestamp())
					s.engine.Call(detect.Call{Callee: name, End: end, Duration: end - int64(span.StartTimestamp()), Failed: failed(span), Weight: w})
				}
			}
			if span.Events().Len() > 0 {
				m.readEvents(s, span, op.name, w)
			}
		}
	}
	if probes > 0 {
		m.refused.add(lossProbes, probes)
	}
	if shed > 0 {
		m.refuse(s, lossShedWork, shed)
	}
	s.example = example{} // holds pdata
}

// entry says whether a span is a request, the unit of errors and latency.
func entry(span ptrace.Span, kind ptrace.SpanKind) bool {
	return kind == ptrace.SpanKindServer || kind == ptrace.SpanKindConsumer || span.ParentSpanID().IsEmpty()
}

// readEvents counts the exceptions that a span recorded.
func (m *monitor) readEvents(s *source, span ptrace.Span, operation string, w float64) {
	events := span.Events()
	for i := range events.Len() {
		e := events.At(i)
		if e.Name() != "exception" {
			continue
		}
		at := int64(e.Timestamp())
		if at == 0 {
			at = int64(span.EndTimestamp())
		}
		m.readException(s, e.Attributes(), exceptionContext{
			at: at, trace: span.TraceID(), span: span.SpanID(), operation: operation, weight: w,
		})
	}
}

// exceptionContext is what surrounds an exception.
type exceptionContext struct {
	at        int64
	trace     pcommon.TraceID
	span      pcommon.SpanID
	operation string
	weight    float64
}

func (m *monitor) readException(s *source, attributes pcommon.Map, c exceptionContext) {
	var typ, message, stack string
	if v, ok := attributes.Get(event.AttrExceptionType); ok {
		typ = text(v)
	}
	if v, ok := attributes.Get(event.AttrExceptionMessage); ok {
		message = text(v)
	}
	if v, ok := attributes.Get(event.AttrExceptionStacktrace); ok {
		stack = text(v)
	}
	m.countException(s, typ, message, stack, c)
}

func (m *monitor) countException(s *source, typ, message, stack string, c exceptionContext) {
	known := m.exceptions.of(typ, message, stack)
	s.example = example{kind: exampleException, message: message, stack: stack, at: c.at, trace: c.trace, span: c.span}
	s.engine.Exception(detect.Exception{
		Fingerprint: known.Fingerprint, At: c.at, Trace: traceKey(c.trace), Weight: c.weight,
		Type: known.Type, Message: message, Operation: c.operation, Frames: known.Frames,
	}, &s.example)
}

// failed: the span says error, or its HTTP status does where the span says
// nothing. A status of Ok is the developer's word and stands.
func failed(span ptrace.Span) bool {
	switch span.Status().Code() {
	case ptrace.StatusCodeError:
		return true
	case ptrace.StatusCodeOk:
		return false
	}
	if span.Kind() != ptrace.SpanKindServer {
		return false
	}
	attributes := span.Attributes()
	v, ok := attributes.Get(event.AttrHTTPStatusCode)
	if !ok {
		if v, ok = attributes.Get("http.status_code"); !ok {
			return false
		}
	}
	switch v.Type() {
	case pcommon.ValueTypeInt:
		return v.Int() >= 500
	case pcommon.ValueTypeStr:
		return len(v.Str()) == 3 && v.Str()[0] == '5'
	}
	return false
}

func user(attributes pcommon.Map) string {
	for _, name := range [...]string{event.AttrUserID, event.AttrEndUserID, event.AttrSessionID} {
		if v, ok := attributes.Get(name); ok {
			return text(v)
		}
	}
	return ""
}

// traceKey is the part of a trace id that is random by W3C's second level.
func traceKey(id pcommon.TraceID) uint64 { return binary.BigEndian.Uint64(id[8:]) }

// example builds what can be shown of an item, when the engine asks for it.
type example struct {
	kind           int
	span           pcommon.SpanID
	trace          pcommon.TraceID
	at             int64
	message, stack string
	failed         ptrace.Span
}

const (
	exampleSpan = iota
	exampleException
	exampleLog
)

func (x *example) ofSpan(span ptrace.Span) {
	*x = example{kind: exampleSpan, failed: span}
}

// shown are the attributes of a failed span that help.
var shown = [...]string{event.AttrHTTPStatusCode, "http.status_code", event.AttrHTTPRoute, event.AttrURLPath, event.AttrErrorType, "rpc.grpc.status_code"}

// maxShown bounds one attribute's text, in bytes.
const maxShown = 200

// Example copies out of pdata; the engine calls it only for what it keeps.
func (x *example) Example() event.Example {
	if x.kind != exampleSpan {
		return event.Example{
			At: time.Unix(0, x.at).UTC(), TraceID: x.trace.String(), SpanID: x.span.String(),
			Message: strings.Clone(x.message), Stacktrace: strings.Clone(x.stack),
		}
	}
	out := event.Example{
		At: x.failed.EndTimestamp().AsTime(), TraceID: x.failed.TraceID().String(), SpanID: x.failed.SpanID().String(),
		Message: strings.Clone(x.failed.Status().Message()),
	}
	for _, name := range shown {
		if v, ok := x.failed.Attributes().Get(name); ok {
			t := v.AsString()
			out.Attributes = append(out.Attributes, event.KeyText{Key: name, Text: strings.ToValidUTF8(t[:min(len(t), maxShown)], "")})
		}
	}
	return out
}
