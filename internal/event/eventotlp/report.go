package eventotlp

import (
	"errors"
	"fmt"
	"reflect"

	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/plog"

	"github.com/deployloop/deployloop/internal/event"
)

// EncodeMeasurement writes m as one record; its timestamp is m.At.
func EncodeMeasurement(m event.Measurement, record plog.LogRecord) {
	begin(record, event.NameMeasurement, m.At)
	bindMeasurement(&attributes{record: record.Attributes()}, &m)
	say(record, fmt.Sprintf("%s %s: %g %s", m.Suite, m.Name, m.Value, m.Unit))
}

// DecodeMeasurement reads one number of a run; one without a name is an error.
func DecodeMeasurement(resource pcommon.Resource, record plog.LogRecord) (event.Measurement, error) {
	var m event.Measurement
	a := &attributes{record: record.Attributes(), decoding: true}
	bindMeasurement(a, &m)
	if err := a.err(); err != nil {
		return event.Measurement{}, err
	}
	m.At = fromTimestamp(record.Timestamp())
	if m.Repository == "" {
		m.Repository = repositoryOf(resource.Attributes())
	}
	if m.Name == "" {
		return event.Measurement{}, errors.New("a measurement needs the attribute " + event.AttrMeasurementName)
	}
	return m, nil
}

func bindMeasurement(a *attributes, m *event.Measurement) {
	text(a, &m.Suite, event.AttrMeasurementSuite)
	text(a, &m.Name, event.AttrMeasurementName)
	text(a, &m.Unit, event.AttrMeasurementUnit)
	bindValue(a, reflect.ValueOf(&m.Value).Elem(), event.AttrMeasurementValue)
	a.origin(&m.Repository, &m.Revision, &m.Ref, &m.RunID)
}

// EncodeReport writes r as one record; its timestamp is r.At.
func EncodeReport(r event.Report, record plog.LogRecord) {
	begin(record, event.NameReport, r.At)
	bindReport(&attributes{record: record.Attributes()}, &r)
	say(record, fmt.Sprintf("report %s %s: %d tests, %d failures, %d findings", r.Kind, r.Name, r.Tests, r.Failures, r.Findings))
}

// DecodeReport reads the end of a report; one without a kind is an error.
func DecodeReport(resource pcommon.Resource, record plog.LogRecord) (event.Report, error) {
	var r event.Report
	a := &attributes{record: record.Attributes(), decoding: true}
	bindReport(a, &r)
	if err := a.err(); err != nil {
		return event.Report{}, err
	}
	r.At = fromTimestamp(record.Timestamp())
	if r.Repository == "" {
		r.Repository = repositoryOf(resource.Attributes())
	}
	if r.Kind == "" {
		return event.Report{}, errors.New("a report needs the attribute " + event.AttrReportKind)
	}
	return r, nil
}

func bindReport(a *attributes, r *event.Report) {
	text(a, &r.Kind, event.AttrReportKind)
	text(a, &r.Name, event.AttrReportName)
	list(a, &r.Suites, event.AttrReportSuites)
	list(a, &r.Tools, event.AttrReportTools)
	integer(a, &r.Tests, event.AttrReportTests)
	integer(a, &r.Failures, event.AttrReportFailures)
	integer(a, &r.Findings, event.AttrReportFindings)
	list(a, &r.Problems, event.AttrReportProblems)
	a.flag(&r.Broken, event.AttrReportBroken)
	a.origin(&r.Repository, &r.Revision, &r.Ref, &r.RunID)
	text(a, &r.Base, event.AttrBaseRevision)
}

// origin binds what ran: the repository, its revision and branch, and the run.
func (a *attributes) origin(repository, revision, ref, runID *string) {
	a.repository(repository)
	text(a, revision, event.RevisionNames[0], event.RevisionNames[1:]...)
	text(a, ref, event.AttrRefName)
	text(a, runID, event.AttrPipelineRunID)
}
