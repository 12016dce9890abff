package judge

import (
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/deployloop/deployloop/internal/event"
)

// withBefore adds to the judgements of a run those that were made of its commit
// before and that the run does not revise: a job that reports late, and well, says
// nothing of what failed in another one.
func (r *openRun) withBefore(list []event.Judgement) []event.Judgement {
	for _, j := range r.before.Judgements {
		at := slices.IndexFunc(list, func(x event.Judgement) bool { return x.Key() == j.Key() })
		switch {
		case at < 0:
			if !r.revises(j) {
				list = append(list, j)
			}
		case list[at].Call == event.Vanished, list[at].Call == event.AlreadyFailing && j.Call == event.NewFailure:
			list[at] = j // the same code: it is in another job, or it fails since this very commit
		}
	}
	return list
}

// revises tells whether the run shows that what was said before is over.
func (r *openRun) revises(j event.Judgement) bool {
	switch {
	case j.Test != nil:
		a := r.run.tests[Key(j.Test.Suite, j.Test.Case)]
		return a != nil && a.passed()
	case j.Finding != nil:
		return r.run.tools[j.Finding.Tool] && r.prints[j.Finding.Fingerprint] == 0 && !r.run.Partial
	}
	for _, m := range r.run.measures {
		if m.unit == j.Unit && strings.TrimSpace(m.suite+" "+m.name) == j.Measure {
			return true
		}
	}
	return false
}

// settleEmpty ends a run that told no result: a pipeline that was cancelled, or one
// whose results a restart lost. What was told to be going on must not stay so.
func (s *Store) settleEmpty(r *openRun, now time.Time) {
	f, was := s.feedback(r, now), r.before
	f.Tests, f.Passed, f.Failed, f.Skipped, f.Findings, f.Unchanged, f.Coverage = was.Tests, was.Passed, was.Failed, was.Skipped, was.Findings, was.Unchanged, was.Coverage
	state := was.State
	if state != event.Healthy || f.Broken > 0 || len(f.Unended) > 0 {
		state = event.Inconclusive
	}
	s.conclude(&f, slices.Clone(was.Judgements), state)
	s.told = append(s.told, f)
	s.remember(r.runKey, f)
}

// remember keeps what later runs of the commit have to take up.
func (s *Store) remember(key runKey, f event.Feedback) {
	was := s.before[key]
	keep := make([]event.Judgement, 0, len(f.Judgements))
	for _, j := range f.Judgements {
		if j.Call.Worse() || j.Call == event.NotCertain || j.Call == event.AlreadyFailing && f.State == event.Inconclusive {
			keep = append(keep, j)
		}
	}
	if len(keep) < len(f.Judgements) {
		f.More = 0 // what is not kept is no news for the worse
	}
	f.Judgements, f.More = keep, max(f.More, was.More)
	s.bytes += f.Size()
	if was.ID != "" {
		s.bytes -= was.Size()
	}
	s.before[key] = f
	for len(s.before) > s.options.Limits.Commits || s.bytes > s.options.Limits.Said && len(s.before) > 1 {
		oldest := slices.MinFunc(slices.Collect(maps.Keys(s.before)), func(a, b runKey) int { return s.before[a].At.Compare(s.before[b].At) })
		gone := s.before[oldest]
		if len(gone.Judgements) > 0 || gone.Broken > 0 {
			s.Dropped["commits"]++
		}
		s.bytes -= gone.Size()
		delete(s.before, oldest)
	}
}

// Resume takes up after a restart what was said of a commit. Of a run that went on
// some results are lost, so it ends without a verdict, unless it is a bad one.
func (s *Store) Resume(f event.Feedback, now time.Time) {
	key := runKey{branch{f.Repository, f.Ref}, f.Revision}
	if _, known := s.before[key]; known || s.runs[key] != nil {
		return
	}
	going := f.Running
	f.Running = false
	s.remember(key, f)
	if going {
		r := s.open(f.Repository, f.Ref, f.Revision, now)
		r.broken, r.restarts = r.broken+1, r.restarts+1
	}
}
