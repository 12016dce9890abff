package ledger

import (
	"slices"

	"github.com/deployloop/deployloop/internal/event"
)

// WayBack tells where a rollback of a deployment must lead when what it replaced
// had regressed too; nil when that is not so, and the way back is the usual one.
func (l *Ledger) WayBack(deploymentID string) *event.WayBack {
	l.mu.RLock()
	defer l.mu.RUnlock()
	d := l.find(deploymentID)
	if d == nil {
		return nil
	}
	p := d.place
	var way event.WayBack
	var first *deployment // of the bad ones, the oldest met
	passed := []*build{d.build}
	for _, before := range slices.Backward(p.deployments[:max(slices.Index(p.deployments, d), 0)]) {
		switch {
		case before.Status == event.DeploymentFailed, before.Status == event.DeploymentRolledBack, slices.Contains(passed, before.build):
		case l.isBad(before.ID):
			passed, first = append(passed, before.build), before
			if len(way.Regressed) < maxList {
				way.Regressed = append(way.Regressed, before.Label())
			}
		case first == nil:
			return nil
		default:
			good := cloneDeployment(before.Deployment)
			if p.predecessor(slices.Index(p.deployments, first)) == before {
				good.Sources = append(good.Sources, releasesBefore(first)...)
			}
			way.Good = &good
			return &way
		}
	}
	if first == nil {
		return nil
	}
	// What was there before the ledger's first is known as far as it was told.
	before := p.resolve(first.PreviousVersion, first.PreviousRevision)
	if first.PreviousLabel() != "" && !slices.Contains(passed, before) {
		way.Good = &event.Deployment{
			Service: d.Service, Environment: d.Environment, Version: first.PreviousVersion, Revision: first.PreviousRevision,
			Sources: releasesBefore(first),
		}
	}
	return &way
}

// isBad holds for a regressed deployment, unless that was accepted or went by.
func (l *Ledger) isBad(id string) bool {
	v, ok := l.verdicts.Peek(id)
	if !ok || v.Value.State != event.Regressed {
		return false
	}
	a, ok := l.anomalies.Peek(event.AnomalyID(id, event.KindDeployment, "", ""))
	c := a.Value.Closure
	return !ok || c == nil || c.Reason != event.ClosedWaived && c.Reason != event.ClosedRecovered
}

// releasesBefore are the releases that d's sources told for what d replaced.
func releasesBefore(d *deployment) []event.Source {
	var list []event.Source
	for _, s := range d.Sources {
		if s.Object != "" && s.Previous != "" {
			list = append(list, event.Source{Name: s.Name, At: s.At, Object: s.Object, Release: s.Previous})
		}
	}
	return list
}
