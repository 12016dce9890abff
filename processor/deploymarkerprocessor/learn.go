package deploymarkerprocessor

import (
	"errors"
	"strings"

	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/plog"
	"go.uber.org/zap"

	"github.com/deployloop/deployloop/internal/event"
	"github.com/deployloop/deployloop/internal/event/eventotlp"
)

// eventPrefix begins the names of all events of deployloop.
const eventPrefix = "deployloop."

// learn tells the ledger the events among the records of one resource, and
// says whether there were any. Any other record costs a look at its name.
func (m *marker) learn(logs plog.ResourceLogs) (tells bool) {
	for i, scopes := 0, logs.ScopeLogs(); i < scopes.Len(); i++ {
		for j, records := 0, scopes.At(i).LogRecords(); j < records.Len(); j++ {
			if name := eventotlp.Name(records.At(j)); strings.HasPrefix(name, eventPrefix) {
				m.learnEvent(name, logs.Resource(), records.At(j))
				tells = true
			}
		}
	}
	return tells
}

// learnEvent records one event. Verdicts and anomalies are not learnt: the
// engine that finds them records them, and those of another one are its own.
func (m *marker) learnEvent(name string, resource pcommon.Resource, record plog.LogRecord) {
	var err error
	switch name {
	case event.NameDeployment:
		var d event.Deployment
		if d, err = eventotlp.DecodeDeployment(resource, record); err == nil && strings.HasPrefix(d.Service, unknownService) {
			err = errors.New("the service is unknown")
		}
		if err == nil {
			if d.Environment == event.DefaultEnvironment {
				d.Environment = m.config.DefaultEnvironment // it named none
			}
			m.ledger.RecordDeployment(d)
		}
	case event.NameChange:
		var c event.Change
		if c, err = eventotlp.DecodeChange(resource, record); err == nil {
			m.ledger.RecordChange(c)
		}
	case event.NamePipelineRun:
		var r event.PipelineRun
		if r, err = eventotlp.DecodePipelineRun(resource, record); err == nil {
			m.ledger.RecordPipelineRun(r)
		}
	default:
		return
	}
	if err != nil {
		m.telemetry.count[undecodable].Add(1)
		m.set.Logger.Debug("An event cannot be read and passes unlearnt", zap.String("event", name), zap.Error(err))
		return
	}
	m.telemetry.count[learnt].Add(1)
}
