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

// isNew: told by the list of instances (which may be incomplete), else by
// version and revision, and where these do not distinguish, by not being on the
// list or by when the instance started or was first seen.
func (w *watch) isNew(s *Source) bool {
	d, o := &w.d, &s.origin
	if o.Instance != "" && slices.Contains(d.Instances, o.Instance) {
		return true
	}
	if d.Version != "" && o.Version != "" && d.Version != d.PreviousVersion {
		return d.Version == o.Version && (d.Revision == "" || o.Revision == "" || d.Revision == o.Revision)
	}
	if d.Revision != "" && o.Revision != "" && d.Revision != d.PreviousRevision {
		return d.Revision == o.Revision
	}
	if len(d.Instances) > 0 && o.Instance != "" {
		return false
	}
	since := o.StartedAt.Unix()
	if o.StartedAt.IsZero() {
		since = s.first
	}
	return since >= w.started
}
