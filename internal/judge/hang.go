package judge

import (
	"cmp"
	"fmt"
	"maps"
	"math"
	"slices"
	"time"

	"github.com/deployloop/deployloop/internal/event"
)

// What bounds the time that a job may take before it is told to hang. Of noise as
// heavy as this package allows (tails degrees of freedom) one value in
// falseAlarmRuns lies hangSpreads spreads above the middle. A job whose times
// scatter would be waited for too long by that, so a multiple of the longest of
// the values that are kept is enough: with such tails one run in about ten
// thousand is beyond it.
const (
	hangSpreads = 19.7 // P(t₄ > x) ≈ 3x⁻⁴
	hangLongest = 4
	minHang     = 60 // seconds beyond the middle
)

// patience is how long a value may be until it is none any more that was ever seen;
// not ok while too little is known.
func (s *Series) patience() (seconds, usual, longest float64, ok bool) {
	if s == nil || len(s.Reference) < minValues {
		return 0, 0, 0, false
	}
	u := normalOf(s.Reference)
	_, ofSpread := u.errors()
	most := s.Reference[0]
	for _, v := range s.Reference {
		most = max(most, v)
	}
	middle := median(s.Reference) // what somebody who looks at the times calls usual
	usual, longest = math.Exp(middle), math.Exp(most)
	return max(min(math.Exp(middle+hangSpreads*u.spread*(1+ofSpread)), hangLongest*longest), longest, usual+minHang), usual, longest, true
}

func jobKey(p event.PipelineRun) string { return p.ID + "\x1f" + cmp.Or(p.TaskID, p.Task) }

// jobName is what a job is called, apart from its pipeline.
func jobName(p event.PipelineRun) string { return cmp.Or(p.Task, "run") }

// hanging is what is said of a job that goes on for too long. It has a key of its
// own: whether the job fails is another matter.
func hanging(p event.PipelineRun) event.Judgement {
	return event.Judgement{Call: event.Hanging, FirstBad: p.Revision, Test: &event.TestResult{
		Suite: p.Pipeline, Case: "[" + jobName(p) + "]", Status: "error", Repository: p.Repository, Revision: p.Revision, Ref: p.Ref, RunID: p.ID,
	}}
}

// sayHanging tells of the jobs of a run that hang, each once. A whole pipeline is
// only told of when none of its jobs is known to go on.
func (s *Store) sayHanging(r *openRun, now time.Time) {
	if len(r.pipelines) == 0 {
		return
	}
	b := s.baseline(r)
	if b == nil {
		return
	}
	withJobs := map[string]bool{}
	for _, p := range r.pipelines {
		if p.TaskID != "" || p.Task != "" {
			withJobs[p.ID] = true
		}
	}
	for _, p := range r.pipelines {
		if p.State != "executing" || p.StartedAt.IsZero() || p.Task == "" && p.TaskID == "" && withJobs[p.ID] {
			continue
		}
		j := hanging(p)
		if _, said := r.said[j.Key()]; said {
			continue
		}
		patience, usual, longest, ok := b.Measures[durationKey(p)].patience()
		took := now.Sub(p.StartedAt)
		if !ok || took.Seconds() <= patience {
			continue
		}
		j.LastPass, j.Test.At, j.Test.Duration = b.Revision, now, took
		j.Test.Message = fmt.Sprintf("it goes on for %s and has not ended; it usually takes %s, and took %s at most in %d runs",
			took.Round(time.Second), seconds(usual), seconds(longest), len(b.Measures[durationKey(p)].Reference))
		s.say(r, j, now)
		r.changed = true
	}
}

func seconds(s float64) time.Duration {
	return time.Duration(s * float64(time.Second)).Round(time.Second)
}

// durationKey is where a baseline keeps how long a job takes.
func durationKey(p event.PipelineRun) string { return Key(p.Pipeline, jobName(p)) + "\x1fduration" }

// over takes out a job that ended, and with a whole run every job of it that still
// seems to go on: the word of a job's own end may be lost. The jobs of a later
// attempt, which has the same id, go on.
func (s *Store) over(r *openRun, p event.PipelineRun, now time.Time) {
	how := "ended"
	if p.Result != "" {
		how += " with " + p.Result
	}
	whole := p.Task == "" && p.TaskID == ""
	for key, job := range r.pipelines {
		if whole && job.ID == p.ID && job.Source == p.Source && job.Attempt <= p.Attempt && key != jobKey(p) {
			delete(r.pipelines, key)
			s.ended(r, job, "it is not known how the job ended, but its run "+how, now)
		}
	}
	delete(r.pipelines, jobKey(p))
	r.ends(p)
	if !p.StartedAt.IsZero() && p.FinishedAt.After(p.StartedAt) {
		how += " after " + p.FinishedAt.Sub(p.StartedAt).Round(time.Second).String()
	}
	s.ended(r, p, "the job "+how, now)
}

// ended ends what was said of a job that hung. It is looked for in what was said
// before and among the branch's problems too, since the run may be one that a
// restart lost.
func (s *Store) ended(r *openRun, p event.PipelineRun, how string, now time.Time) {
	key := hanging(p).Key()
	delete(r.said, key)
	r.before.Judgements = slices.DeleteFunc(slices.Clone(r.before.Judgements), func(j event.Judgement) bool { return j.Key() == key })
	a := s.problems[r.branch][key]
	if a == nil || a.Commit != r.revision {
		return
	}
	a.end(key, &event.Closure{Reason: event.ClosedRecovered, Revision: r.revision, Detail: how, By: "deployloop", At: now})
	s.settleAlerts(r.branch, now)
	for _, runs := range []map[runKey]*openRun{s.runs, s.deploys} {
		for _, other := range runs {
			if other.branch == r.branch {
				delete(other.said, key) // where it still hangs it is told anew, as that commit's
			}
		}
	}
}

// heard notes that a job which is said to hang still goes on.
func (s *Store) heard(b branch, p event.PipelineRun, now time.Time) {
	key := hanging(p).Key()
	a := s.problems[b][key]
	if a == nil || a.Commit != p.Revision {
		return
	}
	about := a.problem(key)
	test := *about.j.Test // what was told keeps the other
	test.At, about.j.Test = now, &test
	s.change(a, now)
}

// giveUp ends what was said of jobs that hang where nothing was heard of them for
// long: the word of their end is lost, and nobody would ever end it.
func (s *Store) giveUp(now time.Time) {
	for b, problems := range s.problems {
		over := false
		for key, a := range problems {
			p := a.problem(key)
			if p.j.Call != event.Hanging || p.j.Test == nil || now.Sub(cmp.Or(p.j.Test.At, p.at)) < hangs {
				continue
			}
			a.end(key, &event.Closure{Reason: event.ClosedUnheard, Detail: fmt.Sprintf("nothing was heard of the job for %d h, and it is not known how it ended", int(hangs.Hours())), By: "deployloop", At: now})
			over = true
			for _, runs := range []map[runKey]*openRun{s.runs, s.deploys} {
				if r := runs[runKey{b, a.Commit}]; r != nil {
					delete(r.said, key)
					maps.DeleteFunc(r.pipelines, func(_ string, p event.PipelineRun) bool {
						lost := hanging(p).Key() == key
						if lost {
							r.unend(p)
						}
						return lost
					})
				}
			}
		}
		if over {
			s.settleAlerts(b, now)
		}
	}
}

// explained tells whether it is said what failed in a run. That a job hangs says
// nothing of why another fails.
func (r *openRun) explained() bool {
	other := func(j event.Judgement) bool { return j.Call != event.Hanging }
	return r.run.failed > 0 || slices.ContainsFunc(r.before.Judgements, other) || slices.ContainsFunc(slices.Collect(maps.Values(r.said)), other)
}
