package eventotlp

import (
	"errors"
	"strings"

	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/plog"

	"github.com/deployloop/deployloop/internal/event"
)

// EncodeTestResult writes r as one record; its timestamp is r.At.
func EncodeTestResult(r event.TestResult, record plog.LogRecord) {
	begin(record, event.NameTestResult, r.At)
	bindTestResult(&attributes{record: record.Attributes()}, &r)
	line := "test " + strings.TrimSpace(r.Suite+" "+r.Case) + ": " + r.Status
	if r.Message != "" {
		line += ": " + firstLine(r.Message)
	}
	say(record, line)
	switch r.Status {
	case "fail", "error":
		severity(record, plog.SeverityNumberError)
	}
}

// DecodeTestResult reads the outcome of a test case; one without a case name or
// a status is an error.
func DecodeTestResult(resource pcommon.Resource, record plog.LogRecord) (event.TestResult, error) {
	var r event.TestResult
	a := &attributes{record: record.Attributes(), decoding: true}
	bindTestResult(a, &r)
	if err := a.err(); err != nil {
		return event.TestResult{}, err
	}
	r.At = fromTimestamp(record.Timestamp())
	if r.Repository == "" {
		r.Repository = repositoryOf(resource.Attributes())
	}
	switch {
	case r.Case == "":
		return event.TestResult{}, errors.New("a test result needs the attribute " + event.AttrTestCaseName)
	case r.Status == "":
		return event.TestResult{}, errors.New("a test result needs the attribute " + event.AttrTestResultStatus)
	}
	return r, nil
}

func bindTestResult(a *attributes, r *event.TestResult) {
	text(a, &r.ID, event.AttrResultID)
	text(a, &r.Suite, event.AttrTestSuiteName)
	text(a, &r.Case, event.AttrTestCaseName)
	text(a, &r.Status, event.AttrTestResultStatus)
	integer(a, &r.Duration, event.AttrTestDuration)
	text(a, &r.Message, event.AttrTestMessage)
	text(a, &r.Stacktrace, event.AttrCodeStacktrace)
	text(a, &r.File, event.AttrCodeFilePath)
	integer(a, &r.Line, event.AttrCodeLineNumber)
	a.origin(&r.Repository, &r.Revision, &r.Ref, &r.RunID)
	text(a, &r.Base, event.AttrBaseRevision)
}
