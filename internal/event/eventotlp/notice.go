package eventotlp

import (
	"errors"
	"reflect"

	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/plog"

	"github.com/deployloop/deployloop/internal/event"
)

// EncodeNotice writes n as one record: its identity as attributes, its whole
// state as the body. Its timestamp is n.At.
func EncodeNotice(n event.Notice, record plog.LogRecord) {
	begin(record, event.NameNotice, n.At)
	a := &attributes{record: record.Attributes()}
	text(a, &n.Kind, event.AttrKind)
	text(a, &n.Deployment, event.AttrDeploymentID)
	text(a, &n.Service, event.AttrServiceName)
	text(a, &n.Environment, event.AttrEnvironment)
	text(a, &n.Version, event.AttrServiceVersion)
	text(a, &n.Revision, event.AttrRevision)
	state := stateOf(n.Open)
	text(a, &state, event.AttrState)
	encodeValue(reflect.ValueOf(n), record.Body())
	if n.Open {
		severity(record, plog.SeverityNumberWarn)
	}
}

// DecodeNotice reads a notice from the body of a record. One without a kind or
// a deployment is an error.
func DecodeNotice(_ pcommon.Resource, record plog.LogRecord) (event.Notice, error) {
	var n event.Notice
	if err := decodeBody(record.Body(), &n); err != nil {
		return event.Notice{}, err
	}
	if n.Kind == "" || n.Deployment == "" {
		return event.Notice{}, errors.New("body: a notice needs kind and deployment")
	}
	return n, nil
}

// EncodeDigest writes d as one record whose body is the digest. Its timestamp
// is the end of its period.
func EncodeDigest(d event.Digest, record plog.LogRecord) {
	begin(record, event.NameDigest, d.Till)
	encodeValue(reflect.ValueOf(d), record.Body())
}

// DecodeDigest reads a digest from the body of a record. One without a period
// is an error.
func DecodeDigest(_ pcommon.Resource, record plog.LogRecord) (event.Digest, error) {
	var d event.Digest
	if err := decodeBody(record.Body(), &d); err != nil {
		return event.Digest{}, err
	}
	if d.From.IsZero() || d.Till.IsZero() {
		return event.Digest{}, errors.New("body: a digest needs from and till")
	}
	return d, nil
}

// stateOf is how attributes say that something is open or not.
func stateOf(open bool) string {
	if open {
		return "open"
	}
	return "closed"
}
