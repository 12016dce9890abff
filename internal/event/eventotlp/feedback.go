package eventotlp

import (
	"errors"
	"reflect"

	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/plog"

	"github.com/deployloop/deployloop/internal/event"
)

// EncodeFeedback writes f as one record: its identity and outcome as attributes,
// its whole state as the body. Its timestamp is f.At.
func EncodeFeedback(f event.Feedback, record plog.LogRecord) {
	begin(record, event.NameFeedback, f.At)
	a := &attributes{record: record.Attributes()}
	a.origin(&f.Repository, &f.Revision, &f.Ref, &f.RunID)
	text(a, &f.Base, event.AttrBaseRevision)
	text(a, &f.State, event.AttrVerdict)
	text(a, &f.Mode, event.AttrMode)
	encodeValue(reflect.ValueOf(f), record.Body())
	if f.State == event.Regressed {
		severity(record, plog.SeverityNumberError)
	}
}

// DecodeFeedback reads feedback from the body of a record. One without an id, a
// revision or a state is an error.
func DecodeFeedback(_ pcommon.Resource, record plog.LogRecord) (event.Feedback, error) {
	var f event.Feedback
	if err := decodeBody(record.Body(), &f); err != nil {
		return event.Feedback{}, err
	}
	if f.ID == "" || f.Revision == "" || f.State == "" {
		return event.Feedback{}, errors.New("body: feedback needs id, revision and verdict")
	}
	return f, nil
}
