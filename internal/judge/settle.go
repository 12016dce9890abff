package judge

import (
	"cmp"
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/deployloop/deployloop/internal/event"
)

// running is the feedback of a run that goes on.
func (s *Store) running(r *openRun, now time.Time) event.Feedback {
	f := s.feedback(r, now)
	f.Running = true
	f.Tests, f.Failed, f.Passed, f.Findings = len(r.run.tests), r.run.failed, r.run.passed, len(r.run.findings)
	f.Skipped = f.Tests - f.Failed - f.Passed
	s.conclude(&f, r.withBefore(slices.Collect(maps.Values(r.said))), event.Watching)
	return f
}

func (s *Store) feedback(r *openRun, now time.Time) event.Feedback {
	return event.Feedback{
		ID: event.FeedbackID(r.repository, r.ref, r.revision), Repository: r.repository, Ref: r.ref, Trunk: s.trunk(r.ref),
		Revision: r.revision, Base: r.base, BaseAssumed: r.assumed, Mode: s.options.Mode(r.repository), RunID: cmp.Or(r.id, r.before.RunID), URL: cmp.Or(r.url, r.before.URL),
		StartedAt: cmp.Or(r.before.StartedAt, r.began), At: now, Broken: r.broken + len(r.unread) + r.before.Broken, Mendable: slices.Concat(r.before.Mendable, r.unread),
		Restarts: r.restarts + r.before.Restarts, Unended: slices.Concat(r.before.Unended, r.unended),
	}
}

// conclude fills in the judgements, and the state: otherwise is that of a run
// with no news for the worse.
func (s *Store) conclude(f *event.Feedback, list []event.Judgement, otherwise event.VerdictState) {
	order(list)
	f.State = otherwise
	if slices.ContainsFunc(list, func(j event.Judgement) bool { return j.Call == event.NewFailure || j.Call == event.NewFinding }) {
		f.State = event.Regressed
	} else if otherwise == event.Healthy && slices.ContainsFunc(list, func(j event.Judgement) bool { return j.Call == event.NotCertain }) {
		f.State = event.Inconclusive
	}
	if extra := len(list) - event.MaxJudgements; extra > 0 {
		f.More = extra
		list = list[:event.MaxJudgements]
	}
	f.Judgements = list
}

// settle judges a run that is over and takes it into its baseline.
func (s *Store) settle(r *openRun, now time.Time) {
	delete(s.runs, r.runKey)
	s.results -= r.run.Size()
	s.Dropped["results"] += uint64(r.run.Left)
	s.leave(r)
	if r.run.Size() == 0 && len(r.run.covered) == 0 && len(r.run.tools) == 0 {
		s.settleEmpty(r, now)
		return
	}
	f := s.feedback(r, now)
	b := s.baseline(r)
	if b == nil { // no trunk to compare with
		b = &kept{Baseline: NewBaseline()}
	}
	first := b.Runs == 0
	r.run.Partial = f.Broken > 0 || len(f.Unended) > 0
	var v Verdict
	if f.Trunk {
		v = b.Judge(r.run)
		b.dirty = true
	} else {
		v = b.Compare(r.run, r.base)
		b.noteFlakes(r.run)
	}
	b.used = now
	f.Tests, f.Passed, f.Failed, f.Skipped, f.Findings, f.Unchanged, f.Coverage = v.Tests, v.Passed, v.Failed, v.Skipped, v.Findings, v.Unchanged, v.Coverage
	state := event.Healthy
	switch {
	case first && !f.Trunk && v.Failed > 0, f.Broken > 0, len(f.Unended) > 0, r.before.More > 0:
		state = event.Inconclusive
	case !f.Trunk && slices.ContainsFunc(r.withBefore(nil), func(j event.Judgement) bool { return j.Call == event.AlreadyFailing }):
		state = event.Inconclusive // it failed when there was nothing to compare it with
	case v.Tests+v.Findings+len(v.Coverage)+len(r.run.measures)+len(r.run.tools) == 0:
		state = event.Inconclusive
	}
	for i := range v.Judgements {
		j := &v.Judgements[i]
		switch {
		case first && (j.Call == event.NewFailure || j.Call == event.NewFinding):
			j.Call = event.AlreadyFailing // nothing is known of before
		case !f.Trunk:
			*j = s.doubted(b, r, *j)
		case j.Call.Worse():
			if j.Finding != nil {
				j.FirstBad = r.revision
			}
			if _, waived := r.said[j.Key()]; !waived || s.problems[r.branch][j.Key()] != nil {
				*j = s.worse(r, *j, now)
			}
		}
	}
	if f.Trunk {
		s.mend(r, now)
	}
	s.conclude(&f, r.withBefore(v.Judgements), state)
	s.told = append(s.told, f)
	s.remember(r.runKey, f)
}

// noteFlakes learns of a branch what holds everywhere: a test that failed and
// passed at one commit is flaky.
func (k *kept) noteFlakes(r *Run) {
	for key, a := range r.tests {
		if h := k.Tests[key]; h != nil && a.failed() && a.passed() {
			h.Flakes += a.fails
			k.dirty = true
		}
	}
}

// mend closes what is over of the branch's problems, as one more run shows.
func (s *Store) mend(r *openRun, now time.Time) {
	by := func(reason event.ClosureReason, format string, args ...any) *event.Closure {
		return &event.Closure{Reason: reason, Revision: r.revision, Detail: fmt.Sprintf(format, args...), By: "deployloop", At: now}
	}
	short := event.ShortRevision(r.revision)
	for key, a := range s.problems[r.branch] {
		p := a.problem(key)
		j := p.j
		switch {
		case p.over != nil:
		case j.Shift != nil:
			if p.faster(r.run) {
				how := "fast"
				if j.Call == event.Worsened {
					how = "good"
				}
				a.end(key, by(event.ClosedFixedBy, "as %s as before again since %s", how, short))
			}
		case j.Finding != nil:
			if r.run.tools[j.Finding.Tool] && r.prints[j.Finding.Fingerprint] == 0 && !r.run.Partial {
				a.end(key, by(event.ClosedFixedBy, "no longer found at %s", short))
			}
		case j.Test != nil:
			result := r.run.tests[Key(j.Test.Suite, j.Test.Case)]
			switch {
			case result == nil && !r.run.Partial && !j.Test.IsJob() && r.revision != j.FirstBad && r.run.hasSuite(j.Test.Suite) && r.began.After(p.at):
				a.end(key, by(event.ClosedSuperseded, "the test is gone since %s", short))
			case result == nil || !result.passed():
			case result.failed() || r.revision == j.FirstBad:
				a.end(key, by(event.ClosedRecovered, "it passes at %s when it is run again: flaky", short))
			case r.began.After(p.at): // a run of before that ended late proves nothing
				a.end(key, by(event.ClosedFixedBy, "passes since %s", short))
			}
		}
		if p.over == nil && now.Sub(p.at) > newNormal && j.Shift != nil {
			a.end(key, by(event.ClosedSuperseded, "it stayed so for %d days and is the new normal", int(newNormal.Hours()/24)))
		}
	}
	s.settleAlerts(r.branch, now)
}

// newNormal is how long a slow-down is told of that nobody mends.
const newNormal = 14 * 24 * time.Hour

// fasterRuns in a row below the middle of before and after end a slow-down.
const fasterRuns = 3

// faster tells whether what got slower is as before again.
func (p *problem) faster(r *Run) bool {
	value, ok := 0.0, false
	if t := p.j.Test; t != nil {
		if a := r.tests[Key(t.Suite, t.Case)]; a != nil && a.passed() && !a.failed() {
			value, ok = a.duration.Seconds(), true
		}
	} else {
		for _, m := range r.measures {
			if m.unit == p.j.Unit && strings.TrimSpace(m.suite+" "+m.name) == p.j.Measure {
				value, ok = m.value, true
			}
		}
	}
	before, after := p.j.Shift.Before, p.j.Shift.After
	middle := math.Sqrt(before * after)
	if p.j.Call == event.Worsened { // it may be none
		middle = (before + after) / 2
	} else if !(value > 0) {
		return false
	}
	if !ok {
		return false
	}
	if (value < middle) == (before < after) {
		p.fast++
	} else {
		p.fast = 0
	}
	return p.fast >= fasterRuns
}

// hasSuite tells whether the run told of a suite.
func (r *Run) hasSuite(suite string) bool {
	for _, key := range r.order {
		if strings.HasPrefix(key, suite+"\x1f") {
			return true
		}
	}
	return false
}
