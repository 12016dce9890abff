package ledger

import (
	"time"

	"github.com/deployloop/deployloop/internal/event"
)

// enforce keeps the number of deployments within the limits.
func (l *Ledger) enforce(p *place) {
	for len(p.deployments) > l.limits.PerPlace {
		l.evict(p.deployments[0])
	}
	for len(l.ordered) > l.limits.Deployments {
		oldest := l.ordered[0]
		for _, d := range l.ordered {
			if d.place.head() != d {
				oldest = d
				break
			}
		}
		l.evict(oldest)
	}
}

func (l *Ledger) evict(d *deployment) {
	l.drop(d)
	l.dropped["deployments"]++
}

// drop forgets d, with its aliases and its verdict.
func (l *Ledger) drop(d *deployment) {
	p := d.place
	p.deployments, l.ordered = remove(p.deployments, d), remove(l.ordered, d)
	delete(l.deployments, d.ID)
	for _, id := range d.Aliases {
		if l.aliases[id] == d {
			delete(l.aliases, id)
		}
	}
	l.verdicts.Remove(d.ID)
	l.documents.Remove(d.ID)
	l.tellings.Remove(d.ID)
	l.touch(kindDeployment, d.ID)
	p.forgetBuild(d.build)
	l.changed(p, p.head())
}

// forgetBuild drops b when nothing deployed it any more.
func (p *place) forgetBuild(b *build) {
	for _, d := range p.deployments {
		if d.build == b {
			return
		}
	}
	for i, known := range p.builds {
		if known == b {
			p.builds = append(p.builds[:i], p.builds[i+1:]...)
			return
		}
	}
}

// Expire forgets what ended more than the retention before now, and says how
// many objects that were. The newest deployment of a place stays while its
// telemetry comes, and so does every open anomaly with its deployment.
func (l *Ledger) Expire(now time.Time) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	before := now.Add(-l.limits.Retention)
	if l.latest.After(now) {
		l.latest = now // a source with a wrong clock must not make everything look told later
	}
	gone := 0
	open := map[*deployment]bool{}
	for _, a := range l.anomalies.Values() {
		if a.Value.Open {
			open[l.find(a.Value.Deployment)] = true
		}
	}
	for _, p := range l.places {
		for i := len(p.deployments) - 1; i >= 0; i-- {
			d := p.deployments[i]
			last := later(d.StartedAt, later(d.FinishedAt, d.FirstSeenAt))
			if i == len(p.deployments)-1 {
				for _, b := range p.builds {
					if n := b.lastSeen.Load(); n != 0 {
						last = later(last, time.Unix(0, n))
					}
				}
			}
			if last.Before(before) && !open[d] {
				l.drop(d)
				gone++
			}
		}
		if len(p.deployments) == 0 {
			l.forgetSeen(p)
			delete(l.places, p.placeKey)
		}
	}
	gone += expire(l.changes, before, never)
	gone += expire(l.runs, before, never)
	gone += expire(l.verdicts, before, never)
	gone += expire(l.documents, before, never)
	gone += expire(l.tellings, before, never)
	gone += expire(l.feedback, before, never)
	gone += expire(l.anomalies, before, func(a event.Anomaly) bool { return a.Open })
	return gone
}

func never[T any](T) bool { return false }

// expire removes what was told last before the given time, unless kept.
func expire[T any](shelf shelf[T], before time.Time, keep func(T) bool) (gone int) {
	for _, key := range shelf.Keys() {
		if d, ok := shelf.Peek(key); ok && d.ToldAt.Before(before) && !keep(d.Value) {
			shelf.Remove(key)
			gone++
		}
	}
	return gone
}
