// Package eventotlp carries the vocabulary of package event as OTLP log
// records.
//
// A change, pipeline run, test result, finding or deployment is a record with
// flat attributes (semantic conventions where they have a name) and a body that
// a person can read. A verdict, anomaly, notice or digest carries its identity as
// flat attributes and its whole state as a map in the body, keyed as its JSON is.
// docs/events.md registers every name.
//
// Encode functions fill a fresh record and cannot fail. Decode functions never
// panic on foreign input; they refuse a record that lacks what makes it usable
// and say which attribute is missing or of the wrong type.
package eventotlp

import (
	"go.opentelemetry.io/collector/pdata/plog"

	"github.com/deployloop/deployloop/internal/event"
)

// Name is the record's event name: LogRecord.EventName, else the deprecated
// attribute event.name, else "".
func Name(record plog.LogRecord) string {
	if name := record.EventName(); name != "" {
		return name
	}
	if value, ok := record.Attributes().Get(event.EventNameAttr); ok {
		return value.Str()
	}
	return ""
}
