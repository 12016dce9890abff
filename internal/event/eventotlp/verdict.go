package eventotlp

import (
	"errors"
	"reflect"

	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/plog"

	"github.com/deployloop/deployloop/internal/event"
)

// EncodeVerdict writes v as one record: its identity and outcome as attributes,
// its whole state as the body. Its timestamp is v.At.
func EncodeVerdict(v event.Verdict, record plog.LogRecord) {
	begin(record, event.NameVerdict, v.At)
	a := &attributes{record: record.Attributes()}
	text(a, &v.Deployment.ID, event.AttrDeploymentID)
	text(a, &v.Deployment.Service, event.AttrServiceName)
	text(a, &v.Deployment.Environment, event.AttrEnvironment)
	text(a, &v.Deployment.Revision, event.AttrRevision)
	text(a, &v.Deployment.Version, event.AttrServiceVersion)
	a.repository(&v.Deployment.Repository)
	text(a, &v.State, event.AttrVerdict)
	text(a, &v.Reason, event.AttrReason)
	text(a, &v.Mode, event.AttrMode)
	a.record.PutBool(event.AttrCalibrating, v.Calibrating)
	encodeValue(reflect.ValueOf(v), record.Body())
	if v.State == event.Regressed {
		severity(record, plog.SeverityNumberError)
	}
}

// DecodeVerdict reads a verdict from the body of a record. One without a
// deployment id or a state is an error.
func DecodeVerdict(_ pcommon.Resource, record plog.LogRecord) (event.Verdict, error) {
	var v event.Verdict
	if err := decodeBody(record.Body(), &v); err != nil {
		return event.Verdict{}, err
	}
	switch {
	case v.Deployment.ID == "":
		return event.Verdict{}, errors.New("body: a verdict needs deployment.id")
	case v.State == "":
		return event.Verdict{}, errors.New("body: a verdict needs verdict")
	}
	return v, nil
}

// EncodeAnomaly writes a as one record: its identity as attributes, its whole
// state as the body. Its timestamp is a.At.
func EncodeAnomaly(anomaly event.Anomaly, record plog.LogRecord) {
	begin(record, event.NameAnomaly, anomaly.At)
	a := &attributes{record: record.Attributes()}
	text(a, &anomaly.ID, event.AttrAnomalyID)
	text(a, &anomaly.Kind, event.AttrKind)
	text(a, &anomaly.Service, event.AttrServiceName)
	text(a, &anomaly.Environment, event.AttrEnvironment)
	text(a, &anomaly.Deployment, event.AttrDeploymentID)
	text(a, &anomaly.Commit, event.AttrRevision)
	text(a, &anomaly.Signal, event.AttrSignal)
	text(a, &anomaly.Operation, event.AttrOperation)
	text(a, &anomaly.Stage, event.AttrStage)
	text(a, &anomaly.Severity, event.AttrSeverity)
	text(a, &anomaly.Team, event.AttrTeam)
	text(a, &anomaly.Mode, event.AttrMode)
	state := stateOf(anomaly.Open)
	text(a, &state, event.AttrState)
	if anomaly.Closure != nil {
		text(a, &anomaly.Closure.Reason, event.AttrClosureReason)
	}
	encodeValue(reflect.ValueOf(anomaly), record.Body())
	if anomaly.Open {
		switch anomaly.Severity {
		case event.SeverityCritical:
			severity(record, plog.SeverityNumberError)
		case event.SeverityWarning:
			severity(record, plog.SeverityNumberWarn)
		}
	}
}

// DecodeAnomaly reads an anomaly from the body of a record. One without an id is
// an error.
func DecodeAnomaly(_ pcommon.Resource, record plog.LogRecord) (event.Anomaly, error) {
	var anomaly event.Anomaly
	if err := decodeBody(record.Body(), &anomaly); err != nil {
		return event.Anomaly{}, err
	}
	if anomaly.ID == "" {
		return event.Anomaly{}, errors.New("body: an anomaly needs id")
	}
	return anomaly, nil
}
