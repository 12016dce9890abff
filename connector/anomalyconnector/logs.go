package anomalyconnector

import (
	"cmp"
	"strings"

	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/plog"

	"github.com/deployloop/deployloop/internal/detect"
	"github.com/deployloop/deployloop/internal/event"
	"github.com/deployloop/deployloop/internal/logpattern"
)

const (
	severityWarn  = 13
	severityError = 17
	ownEvents     = "deployloop." // event names of the vocabulary: news of deployments, no telemetry
)

// readLogs counts a batch. Nothing of ld is kept.
func (m *monitor) readLogs(ld plog.Logs) {
	resources := ld.ResourceLogs()
	for i := range resources.Len() {
		r := resources.At(i)
		scopes := r.ScopeLogs()
		s := m.source(r.Resource().Attributes())
		if s == nil {
			for j := range scopes.Len() {
				records := scopes.At(j).LogRecords()
				for k := range records.Len() {
					if isOwn(records.At(k)) {
						m.readOwn(r.Resource(), records.At(k))
					} else {
						m.refused.add(lossNoService, 1)
					}
				}
			}
			continue
		}
		m.readRecords(s, r.Resource(), scopes)
	}
}

func (m *monitor) readRecords(s *source, resource pcommon.Resource, scopes plog.ScopeLogsSlice) {
	level := m.meter.level.Load()
	var shedQuiet, shedAll uint64
	s.mu.Lock()
	defer s.mu.Unlock()
	for j := range scopes.Len() {
		records := scopes.At(j).LogRecords()
		for k := range records.Len() {
			record := records.At(k)
			if isOwn(record) {
				m.readOwn(resource, record)
				continue
			}
			at := int64(record.Timestamp())
			if at == 0 {
				if at = int64(record.ObservedTimestamp()); at == 0 {
					at = m.now().UnixNano()
				}
			}
			if hasException(record.Attributes()) {
				m.readException(s, record.Attributes(), exceptionContext{at: at, trace: record.TraceID(), span: record.SpanID()})
				continue
			}
			severity := severityOf(record)
			line := lineOf(record.Body())
			if severity >= severityError || severity == 0 {
				x, ok := thrownIn(record)
				if !ok {
					x.Message, ok = logpattern.Printed(line)
					x.Stack = line
				}
				if ok {
					m.countException(s, x.Type, cmp.Or(x.Message, line), x.Stack, exceptionContext{at: at, trace: record.TraceID(), span: record.SpanID()})
					continue
				}
			}
			if level >= shedLogs {
				shedAll++
				continue
			}
			if level >= shedQuietLines && severity < severityWarn {
				shedQuiet++
				continue
			}
			m.countLine(s, line, severity, at, record)
		}
	}
	if shedQuiet > 0 {
		m.refuse(s, lossShedQuiet, shedQuiet)
	}
	if shedAll > 0 {
		m.refuse(s, lossShedLogs, shedAll)
	}
	s.example = example{} // holds pdata
}

func (m *monitor) countLine(s *source, line string, severity int, at int64, record plog.LogRecord) {
	key, template, ok := s.patterns.template(line)
	if !ok {
		return // a blank line
	}
	trace := record.TraceID()
	s.example = example{kind: exampleLog, message: line, at: at, trace: trace, span: record.SpanID()}
	// A line that repeats within one trace is as many lines: no Trace here.
	s.engine.Log(detect.LogLine{Template: key, At: at, Text: template, Severity: severity}, &s.example)
}

// isOwn knows the vocabulary's events: they tell of deployments and are not
// what a service did.
func isOwn(record plog.LogRecord) bool {
	if name := record.EventName(); name != "" {
		return strings.HasPrefix(name, ownEvents)
	}
	if v, ok := record.Attributes().Get(event.EventNameAttr); ok {
		return strings.HasPrefix(text(v), ownEvents)
	}
	return false
}

func hasException(attributes pcommon.Map) bool {
	for _, name := range [...]string{event.AttrExceptionType, event.AttrExceptionStacktrace, event.AttrExceptionMessage} {
		if _, ok := attributes.Get(name); ok {
			return true
		}
	}
	return false
}

// severityOf reads the number, else the common words; 0 is unknown.
func severityOf(record plog.LogRecord) int {
	if n := int(record.SeverityNumber()); n > 0 {
		return n
	}
	switch t := record.SeverityText(); {
	case t == "":
		return 0
	case strings.EqualFold(t, "error") || strings.EqualFold(t, "err"):
		return severityError
	case strings.EqualFold(t, "fatal") || strings.EqualFold(t, "critical") || strings.EqualFold(t, "panic"):
		return 21
	case strings.EqualFold(t, "warn") || strings.EqualFold(t, "warning"):
		return severityWarn
	case strings.EqualFold(t, "info"):
		return 9
	case strings.EqualFold(t, "debug"):
		return 5
	}
	return 0
}

// messageKeys are where structured logs keep the line itself.
var messageKeys = [...]string{"message", "msg", "event", "log"}

// lineOf is the text of a body: itself, or the message of a structured one.
// Other bodies are told by their JSON.
func lineOf(body pcommon.Value) string {
	switch body.Type() {
	case pcommon.ValueTypeStr:
		line := body.Str()
		if len(line) > 2 && line[0] == '{' {
			if message, ok := jsonMessage(line); ok {
				return message
			}
		}
		return line
	case pcommon.ValueTypeMap:
		for _, key := range messageKeys {
			if v, ok := body.Map().Get(key); ok {
				return text(v)
			}
		}
	}
	return body.AsString()
}

// jsonMessage finds the message of a line that is a JSON object, without
// parsing it: a key at any depth, its value up to the closing quote.
func jsonMessage(line string) (string, bool) {
	for _, key := range [...]string{`"message":`, `"msg":`} {
		i := strings.Index(line, key)
		if i < 0 {
			continue
		}
		rest := strings.TrimLeft(line[i+len(key):], " ")
		if len(rest) < 2 || rest[0] != '"' {
			continue
		}
		for j := 1; j < len(rest); j++ {
			switch rest[j] {
			case '\\':
				j++
			case '"':
				return rest[1:j], j > 1
			}
		}
	}
	return "", false
}
