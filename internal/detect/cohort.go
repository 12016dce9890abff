package detect

import (
	"slices"

	"github.com/deployloop/deployloop/internal/event"
)

// cohort is on which side of a deployment a source stands.
type cohort uint8

const (
	cohortUnknown cohort = iota
	cohortOld
	cohortNew
	cohortApart // of another deployment: neither
)

// cohortOf tells to which side of the deployment a source belongs.
func (w *watch) cohortOf(s *Source) cohort {
	if w.placebo != nil {
		return w.placebo.cohortOf(s)
	}
	if s.origin.Caller != "" { // sees all instances: compared with what it saw before
		if w.ready == 0 && !w.unheard || w.mixed() {
			return cohortApart
		}
		return cohortNew
	}
	c := w.members[s]
	if c != cohortUnknown {
		return c
	}
	c = cohortOld
	if w.isNew(s) {
		c = cohortNew
	}
	for _, other := range w.service.watches {
		if other == w || !other.isNew(s) {
			continue
		}
		// A later deployment's instances are no control, nor are those of a
		// deployment that is known to be bad.
		if other.opened > w.opened || other.opened == w.opened && other.started > w.started || other.state == event.Regressed && c == cohortOld {
			c = cohortApart
		}
	}
	if s.first != 0 {
		w.members[s] = c
	}
	return c
}

// mixed says whether another deployment's instances serve that are no control:
// those of a later one, or of one that is known to be bad. Callers see them too,
// and are not told apart. What they saw may come seconds later.
func (w *watch) mixed() bool {
	return w.lastApart != 0 && w.engine.open.Load()-w.lastApart <= rejoinFor+2*w.longestGap()
}

// isNew says whether a source is of the deployment. Being on its list of
// instances tells (the list may be incomplete); but names may outlive a version,
// as in a StatefulSet, so not against the old version's own telemetry of an
// instance that was there before. Version, then revision tell the rest, and
// where these do not distinguish, not being on the list or the instance's start.
func (w *watch) isNew(s *Source) bool {
	d, o := &w.d, &s.origin
	told, new := versionTells(d, o)
	listed := o.Instance != "" && slices.Contains(d.Instances, o.Instance)
	switch {
	case listed && told && !new:
		return s.since() >= w.started || !saysOld(d, o)
	case listed:
		return true
	case told:
		return new
	case len(d.Instances) > 0 && o.Instance != "":
		return false
	}
	return s.since() >= w.started
}

// versionTells says whether version or revision tell the sides apart, and if so
// whether this is the new one.
func versionTells(d *event.Deployment, o *Origin) (told, new bool) {
	if d.Version != "" && o.Version != "" && !event.SameVersion(d.Version, d.PreviousVersion) {
		return true, sameSide(d, d.Version, o.Version) && (d.Revision == "" || o.Revision == "" || event.SameRevision(d.Revision, o.Revision))
	}
	if d.Revision != "" && o.Revision != "" && !event.SameRevision(d.Revision, d.PreviousRevision) {
		return true, event.SameRevision(d.Revision, o.Revision)
	}
	return false, false
}

// sameSide: where the image tells the sides apart, several ReplicaSets may run each,
// of several Deployments of one service.
func sameSide(d *event.Deployment, side, version string) bool {
	return event.SameVersion(side, version) || event.SameImage(side, version) && !event.SameImage(d.Version, d.PreviousVersion)
}

// saysOld: the telemetry names the version or the revision before.
func saysOld(d *event.Deployment, o *Origin) bool {
	return o.Version != "" && sameSide(d, d.PreviousVersion, o.Version) && !event.SameVersion(d.Version, d.PreviousVersion) ||
		event.SameRevision(o.Revision, d.PreviousRevision) && !event.SameRevision(d.Revision, d.PreviousRevision)
}

// since is the second in which the instance started as far as is known: as it
// says itself, else its first item. 0: neither.
func (s *Source) since() int64 {
	if s.origin.StartedAt.IsZero() {
		return s.first
	}
	since := s.engine.clock.second(s.origin.StartedAt)
	if s.first != 0 { // its clock, or ours, was set since
		since = min(since, s.first)
	}
	return since
}

// maxGone bounds the instances of a watch that are remembered though they were
// silent for long.
const maxGone = 2000

// speaks notes that a source has requests, and says whether it is the first
// time: one that was let go of since it was silent for long is no other
// instance when it comes back.
func (w *watch) speaks(s *Source) bool {
	if w.spoken[s] {
		return false
	}
	w.spoken[s] = true
	return !w.gone[s.origin.sourceKey()]
}

// letGo forgets a source, but for its name.
func (w *watch) letGo(s *Source) {
	if w.spoken[s] && len(w.gone) < maxGone {
		if w.gone == nil {
			w.gone = map[sourceKey]bool{}
		}
		w.gone[s.origin.sourceKey()] = true
	}
	delete(w.members, s)
	delete(w.spoken, s)
}
