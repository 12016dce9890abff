package eventotlp

import (
	"errors"
	"fmt"

	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/plog"

	"github.com/deployloop/deployloop/internal/event"
)

// EncodeFinding writes f as one record; its timestamp is f.At.
func EncodeFinding(f event.Finding, record plog.LogRecord) {
	begin(record, event.NameFinding, f.At)
	bindFinding(&attributes{record: record.Attributes()}, &f)
	say(record, fmt.Sprintf("%s:%d: %s: %s", f.File, f.Line, f.Rule, firstLine(f.Message)))
	switch f.Level {
	case "error":
		severity(record, plog.SeverityNumberError)
	case "warning":
		severity(record, plog.SeverityNumberWarn)
	}
}

// DecodeFinding reads a finding of a static analysis; one without a rule is an error.
func DecodeFinding(resource pcommon.Resource, record plog.LogRecord) (event.Finding, error) {
	var f event.Finding
	a := &attributes{record: record.Attributes(), decoding: true}
	bindFinding(a, &f)
	if err := a.err(); err != nil {
		return event.Finding{}, err
	}
	f.At = fromTimestamp(record.Timestamp())
	if f.Repository == "" {
		f.Repository = repositoryOf(resource.Attributes())
	}
	if f.Rule == "" {
		return event.Finding{}, errors.New("a finding needs the attribute " + event.AttrFindingRule)
	}
	return f, nil
}

func bindFinding(a *attributes, f *event.Finding) {
	text(a, &f.ID, event.AttrResultID)
	text(a, &f.Tool, event.AttrFindingTool)
	text(a, &f.Rule, event.AttrFindingRule)
	text(a, &f.Level, event.AttrFindingLevel)
	text(a, &f.Message, event.AttrFindingMessage)
	text(a, &f.File, event.AttrCodeFilePath)
	integer(a, &f.Line, event.AttrCodeLineNumber)
	text(a, &f.Fingerprint, event.AttrFindingFingerprint)
	a.origin(&f.Repository, &f.Revision, &f.Ref, &f.RunID)
	text(a, &f.Base, event.AttrBaseRevision)
}
