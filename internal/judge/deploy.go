package judge

import (
	"time"

	"github.com/deployloop/deployloop/internal/event"
)

// deploy follows a job that deploys, for one question: whether it hangs. It is no
// part of its commit's builds and tests: they are not pending while a rollout takes
// its time, and how it ends is the deployment's to tell.
func (s *Store) deploy(key runKey, p event.PipelineRun, now time.Time) {
	r := s.deploys[key]
	if r == nil {
		r = newOpenRun(key, now)
		r.stage = p.Stage
	}
	r.id, r.url = p.ID, p.URL
	if p.State != "finished" {
		if s.deploys[key] == nil && len(s.deploys) >= s.options.Limits.Runs {
			s.Dropped["deploys"]++
			return
		}
		if len(r.pipelines) < s.options.Limits.Runs {
			r.pipelines[jobKey(p)] = p
		}
		r.last, s.deploys[key] = now, r
		return
	}
	began, known := r.pipelines[jobKey(p)] // told again it teaches nothing
	s.over(r, p, now)
	if !known || p.Result != "success" {
		return
	}
	if p.StartedAt.IsZero() {
		p.StartedAt = began.StartedAt
	}
	took := p.FinishedAt.Sub(p.StartedAt).Seconds()
	b := s.baseline(r)
	if b == nil || p.StartedAt.IsZero() || took < 0 {
		return
	}
	if series := b.measure(durationKey(p)); series != nil {
		series.add(max(took, 1), 0, p.Revision)
		b.used, b.dirty = now, true
	}
}

// sayDeploys tells of the jobs that deploy and hang, and forgets those that are over
// or of which nothing is heard any more.
func (s *Store) sayDeploys(now time.Time) {
	for key, r := range s.deploys {
		s.sayHanging(r, now)
		if len(r.pipelines) == 0 || s.runs[key] == nil && !now.Before(s.waitsTill(r)) {
			delete(s.deploys, key)
		}
	}
}
