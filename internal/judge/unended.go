package judge

import (
	"cmp"
	"maps"
	"slices"
	"time"

	"github.com/deployloop/deployloop/internal/event"
)

// maxUnended bounds the jobs of a commit whose end was never told; the last of more
// stands for the others, and nothing ends it.
const maxUnended = 50

// longestWait bounds how long a job is waited for that takes days: no forge lets one go
// on for longer than GitHub does, which ends it after five.
const longestWait = 5 * 24 * time.Hour

// waitsTill is when the jobs of a run are believed to go on no more: hangs after the
// last word of it, and after the time at which one would be told to hang.
func (s *Store) waitsTill(r *openRun) time.Time {
	till := r.last.Add(hangs)
	if len(r.pipelines) == 0 {
		return till
	}
	b := s.baseline(r)
	if b == nil {
		return till
	}
	for _, p := range r.pipelines {
		patience, _, _, ok := b.Measures[durationKey(p)].patience()
		if !ok || p.StartedAt.IsZero() {
			continue
		}
		wait := seconds(min(patience, (longestWait-hangs).Seconds())) + hangs
		if at := p.StartedAt.Add(wait); at.After(till) {
			till = at
		}
	}
	return till
}

// unend notes that a job's end was never told, or that it was cancelled. No evidence is
// never a pass: without it the commit is inconclusive at best, unless it is known to pass
// the job in another run.
func (r *openRun) unend(p event.PipelineRun) {
	for _, name := range []string{jobName(p), jobName(event.PipelineRun{})} {
		if a := r.run.tests[Key(p.Pipeline, "["+name+"]")]; a != nil && a.passed() {
			return
		}
	}
	u := event.UnendedJob{RunID: p.ID, Pipeline: p.Pipeline, Job: p.Task, TaskID: p.TaskID, Attempt: p.Attempt, Cancelled: p.State == "finished"}
	switch known := len(r.unended) + len(r.before.Unended); {
	case slices.Contains(r.unended, u), slices.Contains(r.before.Unended, u), known >= maxUnended:
	case known == maxUnended-1:
		r.unended = append(r.unended, event.UnendedJob{})
	default:
		r.unended = append(r.unended, u)
	}
}

// leave notes what has not ended of a run that is given up. A whole pipeline that waits
// for a job that deploys is the deployment's to tell of.
func (s *Store) leave(r *openRun) {
	deploys := func(p event.PipelineRun) bool {
		d := s.deploys[r.runKey]
		return d != nil && slices.ContainsFunc(slices.Collect(maps.Values(d.pipelines)), func(job event.PipelineRun) bool { return job.ID == p.ID })
	}
	for _, key := range slices.Sorted(maps.Keys(r.pipelines)) {
		if p := r.pipelines[key]; p.Task != "" || p.TaskID != "" || !deploys(p) {
			r.unend(p)
		}
	}
}

// ends forgets of what was not known to have ended what did now: a job, or all of a
// whole pipeline's. One that passes stands for those of its name in other runs.
func (r *openRun) ends(p event.PipelineRun) {
	whole := p.Task == "" && p.TaskID == ""
	over := func(u event.UnendedJob) bool {
		switch {
		case u == event.UnendedJob{}:
			return false
		case p.Result == "success" && u.Pipeline == p.Pipeline && (whole || u.Job == p.Task && !u.Whole()):
			return true
		case u.RunID != p.ID:
			return false
		case whole:
			return u.Attempt <= p.Attempt
		}
		return cmp.Or(u.TaskID, u.Job) == cmp.Or(p.TaskID, p.Task)
	}
	r.unended = slices.DeleteFunc(r.unended, over)
	r.before.Unended = slices.DeleteFunc(slices.Clone(r.before.Unended), over)
}
