package ledger

import (
	"reflect"
	"slices"

	"github.com/deployloop/deployloop/internal/event"
)

// Objects are copied on their way in and out, so that nobody shares memory
// with the ledger. Lists from outside are cut to their limit on that way.

func cloneDeployment(d event.Deployment) event.Deployment {
	d.Aliases, d.Instances, d.Sources = slices.Clone(d.Aliases), slices.Clone(d.Instances), slices.Clone(d.Sources)
	return d
}

func equalDeployment(a, b event.Deployment) bool { return reflect.DeepEqual(a, b) }

func equalChange(a, b event.Change) bool { return reflect.DeepEqual(a, b) }

func cloneChange(c event.Change) event.Change {
	c.Parents = bounded(c.Parents, maxList)
	c.Added, c.Modified, c.Removed = bounded(c.Added, maxList), bounded(c.Modified, maxList), bounded(c.Removed, maxList)
	c.Message = cut(c.Message, maxMessage)
	for _, text := range []*string{&c.Ref, &c.Previous, &c.Author, &c.Email, &c.PullHead} {
		*text = cut(*text, maxName)
	}
	for _, text := range []*string{&c.URL, &c.CompareURL, &c.PullURL} {
		*text = cut(*text, maxText)
	}
	return c
}

func cloneAnomaly(a event.Anomaly) event.Anomaly {
	a.Symptoms = bounded(a.Symptoms, maxList)
	if a.Closure != nil {
		c := *a.Closure
		a.Closure = &c
	}
	if a.Silence != nil {
		s := *a.Silence
		a.Silence = &s
	}
	if a.Evidence != nil {
		e := cloneEvidence(*a.Evidence)
		a.Evidence = &e
	}
	if a.Verdict != nil {
		v := cloneVerdict(*a.Verdict)
		a.Verdict = &v
	}
	if a.Feedback != nil {
		f := cloneFeedback(*a.Feedback)
		a.Feedback = &f
	}
	return a
}

func cloneVerdict(v event.Verdict) event.Verdict {
	v.Deployment = cloneDeployment(v.Deployment)
	v.Onset = cloneOnset(v.Onset)
	v.Evidence = each(v.Evidence, cloneEvidence)
	v.Related = each(v.Related, func(r event.RelatedError) event.RelatedError {
		r.Frames = slices.Clone(r.Frames)
		r.Examples = each(r.Examples, func(e event.Example) event.Example {
			e.Attributes = slices.Clone(e.Attributes)
			return e
		})
		return r
	})
	v.Losses = bounded(v.Losses, maxList)
	v.Affected = bounded(v.Affected, maxList)
	v.Suspicion = cloneSuspicion(v.Suspicion)
	v.WayBack = cloneWayBack(v.WayBack)
	v.Builds = cloneJudgements(v.Builds)
	return v
}

func cloneWayBack(w *event.WayBack) *event.WayBack {
	if w == nil {
		return nil
	}
	copied := event.WayBack{Regressed: bounded(w.Regressed, maxList)}
	if w.Good != nil {
		good := cloneDeployment(*w.Good)
		copied.Good = &good
	}
	return &copied
}

func cloneSuspicion(s *event.Suspicion) *event.Suspicion {
	if s == nil {
		return nil
	}
	copied := *s
	copied.Deployments = bounded(s.Deployments, maxList)
	copied.Suspects = each(s.Suspects, func(s event.Suspect) event.Suspect {
		s.Change, s.Reasons, s.Owners = cloneChange(s.Change), slices.Clone(s.Reasons), slices.Clone(s.Owners)
		return s
	})
	return &copied
}

func cloneEvidence(e event.Evidence) event.Evidence {
	e.Onset = cloneOnset(e.Onset)
	return e
}

func cloneOnset(o *event.Onset) *event.Onset {
	if o == nil {
		return nil
	}
	copied := *o
	return &copied
}

// bounded copies at most n items.
func bounded[T any](items []T, n int) []T { return slices.Clone(items[:min(len(items), n)]) }

// each copies at most maxList items, each by clone.
func each[T any](items []T, clone func(T) T) []T {
	items = bounded(items, maxList)
	for i := range items {
		items[i] = clone(items[i])
	}
	return items
}
