package anomalyconnector

import (
	"fmt"
	"time"

	"go.uber.org/zap"

	"github.com/deployloop/deployloop/internal/detect"
	"github.com/deployloop/deployloop/internal/event"
)

// forgottenAfter is how long an anomaly without a deployment stays open when
// the engine tells no more of it, as it would every ten seconds: a restart took
// it, or another service took its service's place.
const forgottenAfter = 30 * time.Minute

// standing is an anomaly without a deployment that is open in the engine, or
// was before a restart.
type standing struct {
	anomaly event.Anomaly
	heard   time.Time // when the engine last told of it
	adopted bool      // taken from the ledger, and not seen by this engine yet
}

// noDeployments takes in what got worse while nothing was deployed, and what
// of it is over.
func (m *monitor) noDeployments(now time.Time) {
	for _, u := range m.engine.Unprompted() {
		key := serviceKey{u.Verdict.Deployment.Service, u.Verdict.Deployment.Environment}
		s := m.standing[key]
		switch {
		case s == nil && u.Open:
			s = &standing{anomaly: m.unprompted(u, now)}
			m.standing[key] = s
			m.logger.Warn("a service got worse, and nothing was deployed", zap.String("service", key.service), zap.String("environment", key.environment),
				zap.String("anomaly", s.anomaly.ID), zap.String("detail", u.Verdict.Detail))
		case s == nil:
			continue
		case u.Open && s.anomaly.Open:
			s.anomaly.Verdict = told(u.Verdict)
		}
		s.heard, s.adopted = now, false
		if !u.Open {
			delete(m.standing, key)
		}
		if !s.anomaly.Open {
			continue // waived
		}
		if !u.Open {
			c := event.Closure{Reason: event.ClosedRecovered, By: "deployloop", At: now,
				Detail: fmt.Sprintf("recovered at %s: %s", u.ClosedAt.UTC().Format("15:04:05Z"), u.Detail)}
			switch {
			case u.Lost:
				c.Detail = u.Detail
			case u.Renewed:
				c.Reason, c.Detail = event.ClosedSuperseded, "it lasted so long that it is what is normal now: "+u.Detail
			}
			m.endStanding(s, c, now)
			continue
		}
		s.anomaly.At = now
		m.ledger.RecordAnomaly(s.anomaly)
		if r := m.records["anomaly/"+s.anomaly.ID]; r != nil {
			r.anomaly = s.anomaly // told with the next heartbeat
			continue
		}
		m.tell(anomalyRecord(s.anomaly), now)
	}
	for key, s := range m.standing {
		if now.Sub(s.heard) <= forgottenAfter {
			continue
		}
		delete(m.standing, key)
		if !s.anomaly.Open {
			continue // waived
		}
		why := "nothing was heard of it for half an hour: the service was forgotten, to make room for others"
		if s.adopted {
			why = "not seen again in the half hour after a restart"
		}
		m.endStanding(s, event.Closure{Reason: event.ClosedRecovered, By: "deployloop", At: now, Detail: why}, now)
	}
}

// unprompted makes the anomaly. Its identity holds its begin: the next one of
// the same service is another.
func (m *monitor) unprompted(u detect.Unprompted, now time.Time) event.Anomaly {
	v := u.Verdict
	a := event.Anomaly{
		Kind: event.KindAlwaysOn, Service: v.Deployment.Service, Environment: v.Deployment.Environment,
		Stage: event.StagePostDeploy, Severity: severityOfImpact(v), Mode: m.config.modeOf(v.Deployment.Service),
		StartsAt: startOf(v, now), DetectedAt: now, At: now, Open: true, Verdict: told(v),
	}
	for i := range v.Evidence {
		if v.Evidence[i].Harm {
			e := v.Evidence[i]
			a.Signal, a.Operation, a.Evidence = e.Signal, e.Operation, &e
			break
		}
	}
	a.ID = event.AnomalyID(a.Service+"\x00"+a.Environment+"\x00"+a.StartsAt.UTC().Format(time.RFC3339), a.Kind, a.Signal, a.Operation)
	return a
}

// told is a verdict without a deployment as others may see it: there is nothing
// to roll back, and no version that an error could be new in.
func told(v event.Verdict) *event.Verdict {
	v.Deployment = event.Deployment{}
	for i := range v.Related {
		v.Related[i].OnlyInNew = false
	}
	return &v
}

func (m *monitor) endStanding(s *standing, c event.Closure, now time.Time) {
	s.anomaly.Open, s.anomaly.Closure, s.anomaly.At = false, &c, now
	m.ledger.CloseAnomaly(s.anomaly.ID, c)
	m.tell(anomalyRecord(s.anomaly), now)
	m.logger.Info("an anomaly ended", zap.String("service", s.anomaly.Service), zap.String("anomaly", s.anomaly.ID),
		zap.String("reason", string(c.Reason)), zap.String("detail", c.Detail))
}

// adoptStanding takes an open anomaly without a deployment up after a restart.
func (m *monitor) adoptStanding(a event.Anomaly, now time.Time) {
	a.At = now
	m.standing[serviceKey{a.Service, a.Environment}] = &standing{anomaly: a, heard: now, adopted: true}
	m.tell(anomalyRecord(a), now)
}

// waivedStanding follows a closure by a person: what is waived is not told
// again while it lasts.
func (m *monitor) waivedStanding(a event.Anomaly, now time.Time) {
	if s := m.standing[serviceKey{a.Service, a.Environment}]; s != nil && s.anomaly.ID == a.ID && s.anomaly.Open {
		s.anomaly.Open, s.anomaly.Closure = false, a.Closure
		m.tell(anomalyRecord(a), now)
	}
}
