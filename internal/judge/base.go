package judge

import (
	"slices"
	"time"

	"github.com/deployloop/deployloop/internal/event"
)

// beganAt takes in what a sender tells of where the branch began.
func (r *openRun) beganAt(base string) {
	if base != "" && (r.base == "" || r.assumed) {
		r.base, r.assumed = base, false
	}
}

// assumeBase has a run of which nobody tells where its branch began compared with what
// the main branch was when the branch was first heard of: what main broke since would
// pass for failing before otherwise, in the middle of a run even.
func (s *Store) assumeBase(r *openRun) {
	if s.trunk(r.ref) {
		return
	}
	newest := time.Time{}
	take := func(of branch, base string, at time.Time) {
		if of == r.branch && base != "" && at.After(newest) {
			r.base, newest = base, at
		}
	}
	for key, f := range s.before {
		take(key.branch, f.Base, f.StartedAt)
	}
	for key, other := range s.runs {
		take(key.branch, other.base, other.began)
	}
	if b := s.baseline(r); r.base == "" && b != nil {
		r.base = b.Revision
	}
	r.assumed = r.base != ""
}

// doubted says of a judgement that it is not certain where it hangs on a base that is
// assumed: the main branch says otherwise by now, and the branch may have taken that in.
// What was new while main was well stays so.
func (s *Store) doubted(b *kept, r *openRun, j event.Judgement) event.Judgement {
	if !r.assumed {
		return j
	}
	otherwise := false
	switch j.Call {
	case event.NewFailure:
		otherwise = b.failsNow(j)
	case event.AlreadyFailing:
		otherwise = !b.failsNow(j)
	case event.NewFinding:
		otherwise = !b.newFinding(*j.Finding, r.prints[j.Finding.Fingerprint], b.Runs)
	}
	if otherwise && !s.saidNew(r, j.Key()) {
		j.Call = event.NotCertain
	}
	return j
}

// failsNow tells whether the last run of the baseline fails a test for good.
func (b *Baseline) failsNow(j event.Judgement) bool {
	h := b.Tests[Key(j.Test.Suite, j.Test.Case)]
	return h != nil && h.badAt(b.Runs)
}

// saidNew tells whether it was said to be new of this commit, or of the one of the
// branch before it.
func (s *Store) saidNew(r *openRun, key string) bool {
	isNew := func(j event.Judgement) bool {
		return j.Key() == key && (j.Call == event.NewFailure || j.Call == event.NewFinding)
	}
	if isNew(r.said[key]) || slices.ContainsFunc(r.before.Judgements, isNew) {
		return true
	}
	var last event.Feedback
	for of, f := range s.before {
		if of.branch == r.branch && of.revision != r.revision && f.StartedAt.After(last.StartedAt) {
			last = f
		}
	}
	return slices.ContainsFunc(last.Judgements, isNew)
}
