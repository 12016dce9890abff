package anomalyconnector

import (
	"fmt"
	"time"

	"go.uber.org/zap"

	"github.com/deployloop/deployloop/internal/event"
	"github.com/deployloop/deployloop/internal/ledger"
)

// recoveredFor is how long a version must serve within tolerance, without
// having been replaced, before its anomaly counts as recovered.
const recoveredFor = 2 * time.Minute

// closeDone ends the anomalies whose harm is over, each with its reason.
func (m *monitor) closeDone(now time.Time) {
	for _, t := range m.tracked {
		if len(t.open) == 0 {
			continue
		}
		if c, ok := m.closure(t, now); ok {
			m.closeAll(t, c, now)
		}
	}
}

// closure says whether and why the harm of a deployment is over.
func (m *monitor) closure(t *tracked, now time.Time) (event.Closure, bool) {
	by := func(reason event.ClosureReason, revision, format string, args ...any) (event.Closure, bool) {
		return event.Closure{Reason: reason, Revision: revision, Detail: fmt.Sprintf(format, args...), By: "deployloop", At: now}, true
	}
	bad, clock := t.d.Label(), now.UTC().Format("15:04:05Z")
	if t.verdict.State == event.Exonerated {
		return by(event.ClosedExonerated, "", "not because of %s: %s (%s)", bad, t.verdict.Detail, clock)
	}
	recovery := m.engine.Recovery(t.d.ID)
	rollback, later := m.after(t.d)
	// A healthy successor ends it even when a restart lost the engine's memory.
	healthy := func(d *event.Deployment) bool {
		if d == nil {
			return false
		}
		v, _ := m.ledger.Verdict(d.ID)
		return v.State == event.Healthy
	}
	switch {
	case rollback != nil && !recovery.Gone && healthy(rollback):
		return by(event.ClosedRolledBack, rollback.Revision, "rolled back to %s at %s, shown to be within tolerance at %s",
			rollback.Label(), timeOf(*rollback).UTC().Format("15:04:05Z"), clock)
	case rollback != nil && recovery.Gone:
		return by(event.ClosedRolledBack, rollback.Revision, "rolled back to %s at %s; %s serves nothing since %s",
			rollback.Label(), timeOf(*rollback).UTC().Format("15:04:05Z"), bad, clock)
	case rollback == nil && later == nil && t.d.Status == event.DeploymentRolledBack && recovery.Gone,
		rollback == nil && later == nil && recovery.Gone && recovery.Within:
		return by(event.ClosedRolledBack, t.d.PreviousRevision, "rolled back to %s; %s serves nothing since %s", previousLabel(t.d), bad, clock)
	case later != nil && (recovery.Gone || recovery.Within || healthy(later)):
		v, _ := m.ledger.Verdict(later.ID)
		switch {
		case v.State == event.Healthy, recovery.Within && v.State != event.Regressed:
			return by(event.ClosedFixedBy, later.Revision, "fixed by %s, deployed at %s, shown to be within tolerance at %s",
				later.Label(), timeOf(*later).UTC().Format("15:04:05Z"), clock)
		case recovery.Gone && (v.State == event.Regressed || v.State == event.Inconclusive || v.State == event.Exonerated):
			return by(event.ClosedSuperseded, later.Revision, "%s was replaced by %s at %s, whose own verdict is %s",
				bad, later.Label(), timeOf(*later).UTC().Format("15:04:05Z"), v.State)
		}
	case rollback == nil && later == nil && t.verdict.State == event.Healthy:
		// The engine takes no regressed back: it lost its memory in a crash, and
		// found the version to be within tolerance since.
		return by(event.ClosedRecovered, "", "%s was shown to be within tolerance at %s: %s", bad, clock, t.verdict.Detail)
	case rollback == nil && later == nil && recovery.Within && now.Sub(recovery.Since) >= recoveredFor:
		return by(event.ClosedRecovered, "", "%s recovered by itself at %s: %s", bad, recovery.Since.UTC().Format("15:04:05Z"), recovery.Detail)
	}
	return event.Closure{}, false
}

// after finds the deployments that came after d at the same place: the first
// that undid it, and else the newest of another revision.
func (m *monitor) after(d event.Deployment) (rollback, later *event.Deployment) {
	for _, x := range m.ledger.Deployments(ledger.Query{Service: d.Service, Environment: d.Environment, Since: d.StartedAt, Limit: 50}) {
		if x.ID == d.ID || !x.StartedAt.After(d.StartedAt) || x.Status == event.DeploymentFailed {
			continue
		}
		back := x.RollbackOf == d.ID ||
			d.PreviousRevision != "" && x.Revision == d.PreviousRevision ||
			d.PreviousRevision == "" && d.PreviousVersion != "" && x.Version == d.PreviousVersion
		switch {
		case back:
			rollback = &x // newest first: the last one kept is the first that came
		case later == nil && (x.Revision != d.Revision || x.Version != d.Version):
			later = &x
		}
	}
	return rollback, later
}

func timeOf(d event.Deployment) time.Time {
	if !d.FirstSeenAt.IsZero() {
		return d.FirstSeenAt
	}
	return d.StartedAt
}

func previousLabel(d event.Deployment) string {
	if label := d.PreviousLabel(); label != "" {
		return label
	}
	return "the version before"
}

// closeAll ends all open anomalies of a deployment and tells it at once.
func (m *monitor) closeAll(t *tracked, c event.Closure, now time.Time) {
	open := t.open
	t.open = nil
	for _, id := range open {
		m.ledger.CloseAnomaly(id, c)
		a, ok := m.ledger.Anomaly(id)
		if !ok { // the ledger forgot it; what was told must end all the same
			r := m.records["anomaly/"+id]
			if r == nil {
				continue
			}
			a = r.anomaly
			a.Open, a.Closure = false, &c
		}
		a.At = now
		m.tell(anomalyRecord(a), now)
	}
	if len(open) > 0 {
		m.logger.Info("an anomaly ended", zap.String("service", t.d.Service), zap.String("deployment", t.d.ID),
			zap.String("reason", string(c.Reason)), zap.String("detail", c.Detail))
	}
}
