package eventotlp

import (
	"errors"
	"fmt"

	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/plog"

	"github.com/deployloop/deployloop/internal/event"
)

// EncodeDeployment writes d as one record; its timestamp is when the rollout
// finished, else when it started.
func EncodeDeployment(d event.Deployment, record plog.LogRecord) {
	at := d.FinishedAt
	if at.IsZero() {
		at = d.StartedAt
	}
	begin(record, event.NameDeployment, at)
	bindDeployment(&attributes{record: record.Attributes()}, &d)
	if len(d.Sources) > 0 {
		record.Attributes().PutStr(event.AttrSource, d.Sources[len(d.Sources)-1].Name)
	}
	status := d.Status
	if status == "" {
		status = "seen"
	}
	say(record, fmt.Sprintf("deployment of %s %s to %s: %s", d.Service, d.Label(), d.Environment, status))
	if status == event.DeploymentFailed || status == event.DeploymentRolledBack {
		severity(record, plog.SeverityNumberWarn)
	}
}

// DecodeDeployment reads a deployment from a record of any source that uses the
// names of docs/events.md. The environment falls back to the resource's, and to
// event.DefaultEnvironment. Service, version and revision fall back to the
// resource's only together: a CI tool that names the service it deploys has a
// version of its own, which is not the deployed one. A record without a
// service, or without any of revision, version, id and alias, is an error.
func DecodeDeployment(resource pcommon.Resource, record plog.LogRecord) (event.Deployment, error) {
	var d event.Deployment
	a := &attributes{record: record.Attributes(), decoding: true}
	bindDeployment(a, &d)
	if err := a.err(); err != nil {
		return event.Deployment{}, err
	}
	told := resource.Attributes()
	if d.Service == "" {
		d.Service = lookup(told, event.AttrServiceName)
		if d.Version == "" {
			d.Version = lookup(told, event.AttrServiceVersion)
		}
		if d.Revision == "" {
			d.Revision = lookup(told, event.RevisionNames...)
		}
	}
	if d.Environment == "" {
		d.Environment = lookup(told, event.EnvironmentNames...)
	}
	if d.Environment == "" {
		d.Environment = event.DefaultEnvironment
	}
	if d.Repository == "" {
		d.Repository = repositoryOf(told)
	}
	at := fromTimestamp(record.Timestamp())
	if at.IsZero() {
		at = fromTimestamp(record.ObservedTimestamp())
	}
	if d.StartedAt.IsZero() && d.FinishedAt.IsZero() {
		d.StartedAt = at
		if d.Status != "" && d.Status != event.DeploymentStarted {
			d.FinishedAt = at
		}
	}
	if source := lookup(record.Attributes(), event.AttrSource); source != "" && len(d.Sources) == 0 {
		d.Sources = []event.Source{{Name: source, At: at}}
	}
	switch {
	case d.Service == "":
		return event.Deployment{}, errors.New("a deployment needs the attribute " + event.AttrServiceName)
	case d.Revision == "" && d.Version == "" && d.ID == "" && len(d.Aliases) == 0:
		return event.Deployment{}, errors.New("a deployment needs the attribute " + event.AttrRevision + " or " + event.AttrServiceVersion)
	}
	return d, nil
}

func bindDeployment(a *attributes, d *event.Deployment) {
	text(a, &d.ID, event.AttrDeploymentID)
	list(a, &d.Aliases, event.AttrAliases)
	text(a, &d.Service, event.AttrServiceName)
	text(a, &d.Environment, event.EnvironmentNames[0], event.EnvironmentNames[1:]...)
	text(a, &d.Revision, event.RevisionNames[0], event.RevisionNames[1:]...)
	text(a, &d.PreviousRevision, event.AttrPreviousRevision)
	text(a, &d.Version, event.AttrServiceVersion)
	text(a, &d.PreviousVersion, event.AttrPreviousVersion)
	text(a, &d.Status, event.AttrDeploymentStatus)
	a.instant(&d.StartedAt, event.AttrStartedAt)
	a.instant(&d.FinishedAt, event.AttrFinishedAt)
	a.instant(&d.FirstSeenAt, event.AttrFirstSeenAt)
	integer(a, &d.Ordinal, event.AttrOrdinal)
	a.flag(&d.Baseline, event.AttrBaseline)
	text(a, &d.RollbackOf, event.AttrRollbackOf)
	text(a, &d.URL, event.AttrURL)
	a.repository(&d.Repository)
	text(a, &d.RollbackCommand, event.AttrRollbackCommand)
	list(a, &d.Instances, event.AttrInstances)
	list(a, &d.Sources, event.AttrSources)
}
