package anomalyconnector

import (
	"encoding/json"
	"strings"

	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/plog"

	"github.com/deployloop/deployloop/internal/logpattern"
)

// maxStructured bounds a structured body that is searched for a stack, in bytes.
const maxStructured = 256 << 10

// thrownIn finds the exception with its stack that a structured record tells in
// its body, a JSON object or a map, or in its attributes, where a parser put it.
// Most records hold none: those cost a few searches and no copy.
func thrownIn(record plog.LogRecord) (logpattern.Thrown, bool) {
	switch body := record.Body(); body.Type() {
	case pcommon.ValueTypeStr:
		line := body.Str()
		if len(line) > 2 && line[0] == '{' && len(line) <= maxStructured && mayTellStack(line) {
			var fields map[string]any
			if json.Unmarshal([]byte(line), &fields) == nil {
				if x, ok := logpattern.Structured(fields); ok {
					return x, true
				}
			}
		}
	case pcommon.ValueTypeMap:
		if mayHoldStack(body.Map(), 0) {
			if x, ok := logpattern.Structured(body.Map().AsRaw()); ok {
				return x, true
			}
		}
	}
	if attributes := record.Attributes(); mayHoldStack(attributes, 0) {
		return logpattern.Structured(attributes.AsRaw())
	}
	return logpattern.Thrown{}, false
}

// mayTellStack says whether a JSON object may hold a stack: text of several lines
// whose further ones begin as frames do, or lines or a list by such a name. It
// looks for bytes that are rare in a log line first: for the names alone a line
// cost half as much again.
func mayTellStack(line string) bool {
	told := strings.IndexByte(line, '[') >= 0
	for rest := line; ; {
		i := strings.IndexByte(rest, '\\')
		if i < 0 || i+2 >= len(rest) {
			break
		}
		if rest[i+1] == 'n' {
			if told = true; strings.IndexByte(" \\#/|", rest[i+2]) >= 0 {
				return true
			}
		}
		rest = rest[i+2:]
	}
	return told && (strings.Contains(line, "tack") || strings.Contains(line, `race"`) || strings.Contains(line, `frames"`))
}

// maxHeld bounds what mayHoldStack lets be copied, in fields of one object.
const maxHeld = 200

// mayHoldStack says whether a map holds a text of several lines or a list: what
// is told of a stack, and seldom anything else.
func mayHoldStack(m pcommon.Map, depth int) bool {
	if depth > 4 || m.Len() > maxHeld {
		return false
	}
	for _, v := range m.All() {
		switch v.Type() {
		case pcommon.ValueTypeStr:
			if text := v.Str(); len(text) <= maxStructured && strings.IndexByte(text, '\n') > 0 {
				return true
			}
		case pcommon.ValueTypeSlice:
			if v.Slice().Len() > 0 && v.Slice().Len() <= maxHeld {
				return true
			}
		case pcommon.ValueTypeMap:
			if mayHoldStack(v.Map(), depth+1) {
				return true
			}
		}
	}
	return false
}
