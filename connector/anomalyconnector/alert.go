package anomalyconnector

import (
	"time"

	"go.uber.org/zap"

	"github.com/deployloop/deployloop/internal/event"
)

// alert makes the anomalies of deployments that regressed. It waits for the
// suspects no longer than the configured patience.
func (m *monitor) alert(now time.Time) {
	for _, t := range m.tracked {
		if t.regressed.IsZero() || t.verdict.State != event.Regressed {
			continue
		}
		t.dress(&t.verdict)
		for revision := range t.blamed() {
			if t.blame != revision {
				t.blame = revision
				m.tellEffect(t, now)
			}
		}
		if t.alerted {
			m.nameLater(t, now)
			continue
		}
		if t.suspicion == nil && now.Sub(t.regressed) < m.config.Limits.SuspicionPatience {
			continue
		}
		m.raise(t, now)
	}
}

// nameLater tells of suspects that came after the alert, as those of a forge
// that takes its time: at once, as an update of what is open.
func (m *monitor) nameLater(t *tracked, now time.Time) {
	if named(t.suspicion) == t.named {
		return
	}
	t.named = named(t.suspicion)
	m.ledger.RecordVerdict(t.verdict)
	keys := []string{"verdict/" + t.d.ID}
	for _, id := range t.open {
		keys = append(keys, "anomaly/"+id)
	}
	for _, key := range keys {
		if r := m.records[key]; r != nil && r.closed.IsZero() {
			m.refresh(r, now)
			m.tell(r, now)
		}
	}
}

// named is what an alert says of the suspects: the commit, or that none is
// certain; "" while nothing is known.
func named(s *event.Suspicion) string {
	switch {
	case s == nil:
		return ""
	case s.Abstained || len(s.Suspects) == 0:
		return "none"
	default:
		return s.Suspects[0].Change.Revision
	}
}

// raise makes the roll-up and the symptoms, or takes up those that the ledger
// knows already. Their identity is frozen from here on.
func (m *monitor) raise(t *tracked, now time.Time) {
	t.alerted, t.named = true, named(t.suspicion)
	v := t.verdict
	if t.suspicion != nil {
		m.ledger.RecordVerdict(v)
	}
	base := event.Anomaly{
		Service: t.d.Service, Environment: t.d.Environment, Deployment: t.d.ID, Commit: t.d.Revision,
		Stage: stageOf(t.d), Severity: severityOfImpact(v), Mode: v.Mode, StartsAt: startOf(v, now),
		DetectedAt: now, At: now, Open: true,
	}
	rollup := base
	rollup.Kind = event.KindDeployment
	rollup.ID = event.AnomalyID(t.d.ID, rollup.Kind, "", "")
	rollup.Verdict = &v
	var symptoms []event.Anomaly
	for i := range v.Evidence {
		e := v.Evidence[i]
		if !e.Harm || len(symptoms) >= m.config.Limits.Symptoms {
			continue
		}
		// Novelty is harm of its own, though no verdict of healthy waits for it.
		if !e.Critical && e.Signal != event.SignalException && e.Signal != event.SignalLog {
			continue
		}
		s := base
		s.Kind, s.Signal, s.Operation = event.KindSymptom, e.Signal, e.Operation
		s.ID = event.AnomalyID(t.d.ID, s.Kind, s.Signal, s.Operation)
		if containsID(rollup.Symptoms, s.ID) {
			continue // the stronger one came first
		}
		if e.Onset != nil && e.Onset.At.Before(now) {
			s.StartsAt = e.Onset.At
		}
		s.Evidence, s.Verdict = &e, &v
		rollup.Symptoms = append(rollup.Symptoms, s.ID)
		symptoms = append(symptoms, s)
	}
	// The roll-up is recorded last: a process that dies between has raised
	// nothing yet, and does it whole in its next life.
	all := append([]event.Anomaly{rollup}, symptoms...)
	for k := len(all) - 1; k >= 0; k-- {
		if known, ok := m.ledger.Anomaly(all[k].ID); ok {
			all[k] = known
		} else {
			m.ledger.RecordAnomaly(all[k])
		}
	}
	for _, a := range all {
		if a.Open { // what ended once does not come back under the same identity
			t.opened(a)
			m.tell(anomalyRecord(a), now)
		}
	}
	m.logger.Warn("a deployment made its service worse", zap.String("service", t.d.Service), zap.String("environment", t.d.Environment),
		zap.String("version", t.d.Label()), zap.String("deployment", t.d.ID), zap.String("detail", v.Detail), zap.Int("symptoms", len(symptoms)))
}

func containsID(ids []string, id string) bool {
	for _, x := range ids {
		if x == id {
			return true
		}
	}
	return false
}

// startOf is the onset, never after its own detection.
func startOf(v event.Verdict, now time.Time) time.Time {
	start := v.RegressedAt
	if v.Onset != nil {
		start = v.Onset.At
	}
	if start.IsZero() || start.After(now) {
		return now
	}
	return start
}

func stageOf(d event.Deployment) event.Stage {
	if d.Status == event.DeploymentStarted {
		return event.StageDeploy
	}
	return event.StagePostDeploy
}

// The shares of the new version's requests, and the numbers of users, from
// which on an anomaly is critical or a warning. Severity follows whom it hurts.
const (
	criticalShare, warningShare = 0.05, 0.005
	criticalUsers, warningUsers = 100, 5
)

func severityOfImpact(v event.Verdict) event.Severity {
	switch i := v.Impact; {
	case i.Share >= criticalShare || i.Users >= criticalUsers:
		return event.SeverityCritical
	case i.Share >= warningShare || i.Users >= warningUsers:
		return event.SeverityWarning
	}
	for _, e := range v.Evidence {
		if e.Harm && e.Signal == event.SignalThroughput && e.After < e.Before/2 {
			return event.SeverityCritical // what does not arrive has no share
		}
		if e.Harm && e.Critical {
			return event.SeverityWarning
		}
	}
	return event.SeverityInfo
}
