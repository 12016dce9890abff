package ledger

import (
	"slices"
	"sync/atomic"
	"time"

	"github.com/deployloop/deployloop/internal/event"
)

type placeKey struct{ service, environment string }

// place is where a service is deployed to: its name and environment.
type place struct {
	placeKey
	deployments []*deployment // by start; the last is the head
	builds      []*build      // the most recently deployed last
	keys        []seenKey     // of the fast path
	sightedAt   time.Time     // first telemetry ever, zero after a restart
	settled     bool          // telemetry was seen by an earlier process

	inferredFrom time.Time // begin of the hour that inferred counts
	inferred     int

	headBuild atomic.Pointer[build]
	headStart atomic.Int64 // Unix nanoseconds at which the head was first seen
}

// build is what was deployed: a version, a revision, or both once known to be
// the same thing. The atomics are what the data path updates without a lock,
// as Unix nanoseconds.
type build struct {
	id                uint64 // the seq of the deployment that brought it
	version, revision string
	variants          []*build // other rollouts of the same image, beside this one
	of                *build   // what this is a variant of

	lastSeen     atomic.Int64
	presentSince atomic.Int64 // begin of the present run without a long silence
	longestGap   atomic.Int64 // longest silence within such runs
}

// deployment is one entry of a place.
type deployment struct {
	event.Deployment
	place        *place
	build        *build
	seq          uint64            // order of recording
	previousTold bool              // by a source, not filled in here
	rollbackTold bool              // the same of RollbackOf
	aliasSource  map[string]string // which source told an alias
}

// head is the deployment that started last.
func (p *place) head() *deployment {
	if len(p.deployments) == 0 {
		return nil
	}
	return p.deployments[len(p.deployments)-1]
}

// resolve finds the build that telemetry or an event names. Among equals the
// most recently deployed wins: many services never change their version.
func (p *place) resolve(version, revision string) *build {
	var best *build
	most := 0
	for _, b := range slices.Backward(p.builds) {
		if score := b.likeness(version, revision); score > most {
			best, most = b, score
		}
		for _, v := range b.variants {
			if score := v.likeness(version, revision); score > most {
				best, most = v, score
			}
		}
	}
	return best
}

// likeness is 0 if nothing is shared or something differs, else more the
// surer b is meant; a revision says more than a version.
func (b *build) likeness(version, revision string) int {
	v, r := compare(b.version, version, event.SameVersion), compare(b.revision, revision, event.SameRevision)
	if v == 0 && r == 0 {
		// Many set the version to the commit id.
		theirs, _ := event.SplitRollout(version)
		ours, _ := event.SplitRollout(b.version)
		if event.SameRevision(theirs, b.revision) || event.SameRevision(revision, ours) {
			return 2
		}
		return 0
	}
	if v < 0 || r < 0 {
		return 0
	}
	return v + 2*r
}

// compare is 1 for the same, -1 for different, 0 when either is unknown.
func compare(a, b string, same func(a, b string) bool) int {
	switch {
	case a == "" || b == "":
		return 0
	case same(a, b):
		return 1
	default:
		return -1
	}
}

// insert puts d where its start belongs.
func insert(list []*deployment, d *deployment) []*deployment {
	at, _ := slices.BinarySearchFunc(list, d, byStart)
	return slices.Insert(list, at, d)
}

// remove takes d out of list.
func remove(list []*deployment, d *deployment) []*deployment {
	if i := slices.Index(list, d); i >= 0 {
		return slices.Delete(list, i, i+1)
	}
	return list
}

func byStart(a, b *deployment) int {
	if c := a.StartedAt.Compare(b.StartedAt); c != 0 {
		return c
	}
	switch {
	case a.seq < b.seq:
		return -1
	case a.seq > b.seq:
		return 1
	}
	return 0
}

// placeOf returns the place, made when new; nil when there are too many.
func (l *Ledger) placeOf(service, environment string) *place {
	key := placeKey{service, environment}
	p := l.places[key]
	if p == nil {
		if len(l.places) >= l.limits.Places {
			l.dropped["places"]++
			return nil
		}
		p = &place{placeKey: key}
		l.places[key] = p
	}
	return p
}

// changed brings what is derived from p's deployments up to date after d was
// added, moved or altered: the head, what each one replaced, the fast path.
func (l *Ledger) changed(p *place, d *deployment) {
	for i := max(slices.Index(p.deployments, d), 0); i < len(p.deployments); i++ {
		if p.link(i) {
			l.touch(kindDeployment, p.deployments[i].ID)
		}
	}
	if head := p.head(); head != nil && !head.Baseline {
		p.headStart.Store(unixNano(head.FirstSeenAt))
		p.headBuild.Store(head.build)
	} else {
		p.headBuild.Store(nil)
	}
	l.forgetSeen(p)
}

// link fills what the i-th deployment replaced, as far as no source told it.
func (p *place) link(i int) (altered bool) {
	d := p.deployments[i]
	before := p.predecessor(i)
	if d.Baseline || before == nil {
		return false
	}
	was := d.Deployment
	if !d.previousTold {
		d.PreviousVersion, d.PreviousRevision = before.Version, before.Revision
	} else {
		// A source that named one of the two is completed, if it meant this one.
		if d.PreviousVersion == "" && (event.SameRevision(d.PreviousRevision, before.Revision) || before.Revision == "") {
			d.PreviousVersion = before.Version
		}
		if d.PreviousRevision == "" && event.SameVersion(d.PreviousVersion, before.Version) {
			d.PreviousRevision = before.Revision
		}
	}
	if !d.rollbackTold && p.wasThereBefore(i, before) {
		d.RollbackOf = before.ID
	}
	if linkSources(d, before) {
		return true
	}
	return was.PreviousVersion != d.PreviousVersion || was.PreviousRevision != d.PreviousRevision || was.RollbackOf != d.RollbackOf
}

// linkSources tells each source of d the release of it that was there before,
// so that a rollback through it can be pinned.
func linkSources(d, before *deployment) (altered bool) {
	for i := range d.Sources {
		s := &d.Sources[i]
		at := slices.IndexFunc(before.Sources, func(old event.Source) bool {
			return s.Object != "" && old.Name == s.Name && old.Object == s.Object && old.Release != "" && old.Release != s.Release
		})
		if at >= 0 && before.Sources[at].Release != s.Previous {
			s.Previous, altered = before.Sources[at].Release, true
		}
	}
	return altered
}

// predecessor is what the i-th deployment replaced: the one before it, skipping
// failed and undone ones unless it leads back to what was there before them.
func (p *place) predecessor(i int) *deployment {
	d := p.deployments[i]
	var undone *deployment
	for _, before := range slices.Backward(p.deployments[:i]) {
		if before.Status != event.DeploymentFailed && before.Status != event.DeploymentRolledBack {
			if before.build == d.build && undone != nil {
				return undone
			}
			return before
		}
		if undone == nil && before.build != d.build {
			undone = before
		}
	}
	return undone
}

// wasThereBefore says whether the i-th deployment goes back, behind before, to
// a build that was there already. A version alone tells it only where versions
// change from one deployment to the next.
func (p *place) wasThereBefore(i int, before *deployment) bool {
	d := p.deployments[i]
	if before.build == d.build {
		return false
	}
	at := slices.Index(p.deployments, before)
	for _, old := range p.deployments[:at] {
		if old.build == d.build {
			return true
		}
		if old.Version != "" && event.SameVersion(old.Version, d.Version) && !event.SameVersion(before.Version, d.Version) &&
			compare(old.Revision, d.Revision, event.SameRevision) >= 0 {
			return true
		}
	}
	return false
}

func unixNano(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixNano()
}
