package ledger

import (
	"slices"
	"time"

	"github.com/deployloop/deployloop/internal/event"
)

// seenKey is what telemetry says of itself.
type seenKey struct{ service, environment, version, revision string }

// sighted is what a seenKey resolves to. It never changes; when its place
// changes, it is dropped and resolved anew.
type sighted struct {
	place    *place
	build    *build
	id       string // of the deployment that put the build there
	revision string
	ok       bool // false for a baseline
}

// Current is the deployment that put this version or revision where it is.
// For a baseline ok is false; rev is then still told when it is known.
func (l *Ledger) Current(service, environment, version, revision string) (id, rev string, ok bool) {
	if version == "" && revision == "" {
		return "", "", false // several versions may serve: which is meant is unknown
	}
	key := newSeenKey(service, environment, version, revision)
	s := l.lookUp(key)
	if s == nil {
		l.mu.Lock()
		if p := l.places[placeKey{key.service, key.environment}]; p != nil {
			if b := p.resolve(version, revision); b != nil {
				s = l.remember(p, b, key)
			}
		}
		l.mu.Unlock()
	}
	if s == nil {
		return "", "", false
	}
	return s.id, s.revision, s.ok
}

func newSeenKey(service, environment, version, revision string) seenKey {
	if environment == "" {
		environment = event.DefaultEnvironment
	}
	return seenKey{cut(service, maxName), cut(environment, maxName), cut(version, maxName), cut(revision, maxName)}
}

func (l *Ledger) lookUp(key seenKey) *sighted {
	l.seenMu.RLock()
	s := l.seen[key]
	l.seenMu.RUnlock()
	return s
}

// RecordSighting infers deployments from telemetry. When nothing is new it
// returns a zero deployment, allocates nothing and takes no lock but a shared
// one. What it infers:
//
//   - The first version of a place, and every one that comes within Settle of
//     it, is a baseline.
//   - A version or revision never seen there is a new deployment, unless it
//     completes one that another source began (see RecordDeployment, rule 3).
//   - One of the same image as the newest, in another ReplicaSet and soon after it,
//     is a variant of it: several Deployments, or clusters, of one service. If the newest's own
//     ReplicaSet goes away, it was a rollout of the same image.
//   - A known version that still sends while a newer one is there is the old
//     cohort of a rolling update: nothing.
//   - A known version is rolled back to in two cases only: it was silent for
//     VanishAfter, came back after the newer one was seen, and stayed for
//     ConfirmAfter; or it stayed all along while the newer one, once seen, has
//     been silent for VanishAfter (longer if it was longer silent before).
//   - What is late or was delivered twice brings single sightings of an old
//     version, which confirm nothing.
func (l *Ledger) RecordSighting(s Sighting) (d event.Deployment, isNew bool) {
	if s.Service == "" || s.Version == "" && s.Revision == "" {
		return d, false
	}
	key := newSeenKey(s.Service, s.Environment, s.Version, s.Revision)
	at := unixNano(s.At)
	if known := l.lookUp(key); known != nil && !l.suspicious(known.place, known.build, at) {
		known.build.see(at)
		return d, false
	}
	return l.sight(key, s.At)
}

// suspicious says whether a sighting of a known build needs a closer look,
// which it does at most once a second.
func (l *Ledger) suspicious(p *place, b *build, at int64) bool {
	last := b.lastSeen.Load()
	if last == 0 || l.gone(b, at) {
		return true
	}
	if at-last < int64(time.Second) {
		return false
	}
	head := p.headBuild.Load()
	return head != nil && head != b && p.headStart.Load() != 0 &&
		(l.gone(head, at) || b.of == nil && cameBack(b, p.headStart.Load()))
}

// gone says whether b has been silent for so long that it is no longer there.
func (l *Ledger) gone(b *build, at int64) bool {
	last := b.lastSeen.Load()
	return last != 0 && at-last > max(int64(l.limits.VanishAfter), 3*b.longestGap.Load())
}

// cameBack says whether b's present run began after the head was first seen.
func cameBack(b *build, headStart int64) bool { return b.presentSince.Load() > headStart }

// see notes that b is there. Racing calls may lose a second; nothing depends
// on that.
func (b *build) see(at int64) {
	last := b.lastSeen.Load()
	if gap := at - last; gap >= int64(time.Second) {
		if gap > b.longestGap.Load() {
			b.longestGap.Store(gap)
		}
		b.lastSeen.Store(at)
	}
}

// sight is the slow path: something may be new.
func (l *Ledger) sight(key seenKey, when time.Time) (event.Deployment, bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	when = l.clock(when)
	at := unixNano(when)
	p := l.placeOf(key.service, key.environment)
	if p == nil {
		return event.Deployment{}, false
	}
	l.arrive(p, when)

	var found *deployment
	b := p.resolve(key.version, key.revision)
	if b == nil {
		b = l.variant(p, key, at)
	}
	if b == nil {
		if found = l.meet(p, key, when); found == nil {
			return event.Deployment{}, false
		}
		b = found.build
		b.presentSince.Store(at)
		b.lastSeen.Store(at)
	} else {
		l.teach(p, b, key)
		if b.lastSeen.Load() == 0 && p.settled {
			b.lastSeen.Store(at) // after a restart what is there counts as having stayed
		} else if b.lastSeen.Load() == 0 || l.gone(b, at) {
			b.presentSince.Store(at)
			b.lastSeen.Store(at)
		}
		b.see(at)
		l.firstSeen(p, b, when)
		if b.of == nil {
			found = l.rolledBackTo(p, b, when)
		} else {
			found = l.replaced(p, b, when)
		}
	}
	l.remember(p, b, key)
	if found == nil {
		return event.Deployment{}, false
	}
	l.enforce(p)
	return cloneDeployment(found.Deployment), !found.Baseline && onlyTelemetry(found.Sources)
}

// arrive notes that telemetry of p comes in. After a restart the head gets
// the same grace as if it had been seen just now.
func (l *Ledger) arrive(p *place, when time.Time) {
	if !p.sightedAt.IsZero() {
		return
	}
	p.sightedAt = when
	if head := p.head(); p.settled && head != nil {
		head.build.lastSeen.CompareAndSwap(0, when.UnixNano())
	}
}

// meet makes what it is of a build that p did not know; nil when there were
// too many.
func (l *Ledger) meet(p *place, key seenKey, when time.Time) *deployment {
	settling := !p.settled && l.limits.Settle > 0 && when.Sub(p.sightedAt) <= l.limits.Settle
	seenBefore := slices.ContainsFunc(p.deployments, func(d *deployment) bool { return !d.FirstSeenAt.IsZero() })
	if head := p.head(); head != nil && l.awaits(head, key, when, seenBefore, settling) {
		if slices.ContainsFunc(p.deployments, func(d *deployment) bool { return d != head && d.build == head.build }) {
			head.build = &build{id: head.seq} // the same version again, in another rollout
			p.builds = append(p.builds, head.build)
		}
		// Resources know best what they call their version.
		head.Version, head.Revision = event.FinerVersion(key.version, head.Version), longer(head.Revision, key.revision)
		head.build.version, head.build.revision = head.Version, head.Revision
		l.firstSeen(p, head.build, when)
		return head
	}
	d := event.Deployment{
		Service: p.service, Environment: p.environment, Version: key.version, Revision: key.revision,
		StartedAt: when, FirstSeenAt: when, Baseline: settling || !seenBefore,
		Sources: []event.Source{{Name: SourceTelemetry, At: when}},
	}
	if d.Baseline {
		// It was there before anything that is known of the place.
		if len(p.deployments) > 0 && !p.deployments[0].StartedAt.After(when) {
			d.StartedAt = p.deployments[0].StartedAt.Add(-time.Nanosecond)
		}
	} else if !l.mayInfer(p, when) {
		return nil
	}
	x := l.add(p, d)
	l.merge(x, &d)
	l.changed(p, x)
	l.touch(kindDeployment, x.ID)
	l.tell("deployment", x.ID, when)
	return x
}

// awaits says whether the unknown build is what another source's deployment,
// the newest of the place, brings: by the same revision under another version,
// or because each lacks what the other knows and the time fits.
func (l *Ledger) awaits(head *deployment, key seenKey, when time.Time, seenBefore, settling bool) bool {
	if head.Baseline || !head.FirstSeenAt.IsZero() || head.closed() {
		return false
	}
	if head.PreviousVersion != "" && head.previousTold && event.SameVersion(head.PreviousVersion, key.version) ||
		head.previousTold && event.SameRevision(head.PreviousRevision, key.revision) {
		return false
	}
	switch {
	case event.SameRevision(head.Revision, key.revision):
		return true
	case head.Revision != "" && key.revision != "", !sameOrUnnamed(head.Version, key.version):
		return false
	case when.Before(head.StartedAt.Add(-clockSkew)), when.After(later(head.StartedAt, head.FinishedAt).Add(l.limits.ReconcileWithin)):
		return false
	}
	// Of the first versions ever seen it is unknown which is the old one,
	// unless the rollout had ended.
	return seenBefore && !settling || head.Status == event.DeploymentSucceeded && !when.Before(head.FinishedAt)
}

// sameOrUnnamed holds for versions that may be one: a rollout alone says none.
func sameOrUnnamed(a, b string) bool {
	a, _ = event.SplitRollout(a)
	b, _ = event.SplitRollout(b)
	return a == "" || b == "" || event.SameVersion(a, b)
}

// mayInfer keeps a version that changes with every process from flooding the
// ledger.
func (l *Ledger) mayInfer(p *place, when time.Time) bool {
	if when.Sub(p.inferredFrom) >= time.Hour || when.Before(p.inferredFrom) {
		p.inferredFrom, p.inferred = when, 0
	}
	if p.inferred >= l.limits.InferredPerHour {
		l.dropped["inferred"]++
		return false
	}
	p.inferred++
	return true
}

// teach lets b, and what deployed it, learn a version or revision that the
// same resource carries beside the known one.
func (l *Ledger) teach(p *place, b *build, key seenKey) {
	if compare(b.version, key.version, event.SameVersion) >= 0 && !event.SameRevision(key.version, b.revision) {
		b.version = event.FinerVersion(b.version, key.version)
	}
	if !event.SameRevision(key.revision, b.version) {
		b.revision = longer(b.revision, key.revision)
	}
	var first *deployment
	for _, d := range p.deployments {
		if d.build != b || d.Version == b.version && d.Revision == b.revision {
			continue
		}
		d.Version, d.Revision = event.FinerVersion(d.Version, b.version), longer(d.Revision, b.revision)
		l.touch(kindDeployment, d.ID)
		l.tell("deployment", d.ID, l.latest)
		if first == nil {
			first = d
		}
	}
	if first != nil {
		l.unite(p, b)
		l.changed(p, first)
	}
}

// unite makes one of two neighbouring deployments that turn out to be of the
// same build, told once by version and once by revision. The one told first
// keeps its id; the other's becomes an alias.
func (l *Ledger) unite(p *place, b *build) {
	for i := 1; i < len(p.deployments); i++ {
		x, y := p.deployments[i-1], p.deployments[i]
		if x.build != b && y.build != b || x.build == y.build ||
			x.build.likeness(y.build.version, y.build.revision) == 0 ||
			x.Baseline || y.Baseline || !apart(x.Sources, y.Sources) || !x.near(&y.Deployment, l.limits.ReconcileWithin) {
			continue
		}
		keep, drop := x, y
		if drop.seq < keep.seq {
			keep, drop = drop, keep
		}
		other := drop.build
		l.drop(drop)
		d := cloneDeployment(drop.Deployment)
		d.Aliases = append(d.Aliases, drop.ID)
		l.merge(keep, &d)
		for alias, source := range drop.aliasSource {
			if _, mine := keep.aliasSource[alias]; mine {
				keep.aliasSource[alias] = source
			}
		}
		for _, d := range p.deployments {
			if d.build == other {
				d.build = keep.build
				l.touch(kindDeployment, d.ID)
			}
		}
		p.builds = slices.DeleteFunc(p.builds, func(c *build) bool { return c == other && c != keep.build })
		for _, version := range other.variantNames() {
			keep.build.addVariant(version)
		}
		keep.build.learn(other.version, other.revision)
		l.touch(kindDeployment, keep.ID)
		l.tell("deployment", keep.ID, l.latest)
		return
	}
}

// firstSeen notes the first telemetry of the newest deployment of b.
func (l *Ledger) firstSeen(p *place, b *build, when time.Time) {
	for _, d := range slices.Backward(p.deployments) {
		if d.build != b {
			continue
		}
		if d.FirstSeenAt.IsZero() && !when.Before(d.StartedAt.Add(-clockSkew)) {
			d.FirstSeenAt = when
			if len(d.Sources) < maxSources {
				d.Sources = append(d.Sources, event.Source{Name: SourceTelemetry, At: when})
			}
			if when.Before(d.StartedAt) {
				l.move(d, when)
			}
			if b.presentSince.Load() == 0 {
				b.presentSince.Store(when.UnixNano())
			}
			l.changed(p, d)
			l.touch(kindDeployment, d.ID)
			l.tell("deployment", d.ID, when)
		}
		return
	}
}

// rolledBackTo infers a rollback to b by the rules of RecordSighting.
func (l *Ledger) rolledBackTo(p *place, b *build, when time.Time) *deployment {
	head := p.head()
	if head == nil || head.build == b || head.Baseline || head.FirstSeenAt.IsZero() {
		return nil
	}
	var start time.Time
	at := when.UnixNano()
	switch {
	case cameBack(b, head.FirstSeenAt.UnixNano()):
		since := b.presentSince.Load()
		if at-since < int64(l.limits.ConfirmAfter) {
			return nil
		}
		start = time.Unix(0, since).UTC()
	case l.gone(head.build, at):
		start = time.Unix(0, head.build.lastSeen.Load()).UTC()
	default:
		return nil
	}
	if !l.mayInfer(p, when) {
		return nil
	}
	return l.succeed(b, head, start, when, event.Source{Name: SourceTelemetry, At: when})
}

// remember puts what key resolves to on the fast path.
func (l *Ledger) remember(p *place, b *build, key seenKey) *sighted {
	s := &sighted{place: p, build: b, revision: b.revision}
	for _, d := range slices.Backward(p.deployments) {
		if d.build == b || d.build == b.of {
			s.id, s.ok = d.ID, !d.Baseline
			s.revision = longer(d.Revision, b.revision)
			break
		}
	}
	if len(p.keys) >= l.limits.Variants {
		l.dropped["variants"]++
		l.forgetSeen(p)
	}
	l.seenMu.Lock()
	if l.seen[key] == nil {
		p.keys = append(p.keys, key)
	}
	l.seen[key] = s
	l.seenMu.Unlock()
	return s
}

// forgetSeen drops p from the fast path.
func (l *Ledger) forgetSeen(p *place) {
	l.seenMu.Lock()
	for _, key := range p.keys {
		delete(l.seen, key)
	}
	l.seenMu.Unlock()
	p.keys = p.keys[:0]
}
