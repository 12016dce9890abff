package judge

import (
	"cmp"
	"fmt"
	"strings"
	"time"

	"github.com/deployloop/deployloop/internal/event"
)

// alert is what one commit made worse on a branch that others are compared with.
type alert struct {
	event.Anomaly
	branch   branch
	problems map[string]*problem
}

type problem struct {
	j    event.Judgement
	at   time.Time
	over *event.Closure
	fast int // runs in a row as fast as before
}

func (a *alert) problem(key string) *problem { return a.problems[key] }

func (a *alert) end(key string, c *event.Closure) { a.problems[key].over = c }

// worse puts news for the worse into an alert, unless one tells of it already:
// then it is no news, and what comes back was so since.
func (s *Store) worse(r *openRun, j event.Judgement, now time.Time) event.Judgement {
	key := j.Key()
	if a := s.problems[r.branch][key]; a != nil {
		if a.Commit != r.revision && j.Shift == nil {
			j.FirstBad = a.Commit
			if j.Call == event.NewFailure {
				j.Call = event.AlreadyFailing
			}
		}
		return j
	}
	if len(s.problems[r.branch]) >= s.options.Limits.Problems {
		s.Dropped["problems"]++
		return j
	}
	if j.FirstBad == "" {
		j.FirstBad = r.revision
	}
	a := s.alertOf(r, j, now)
	a.problems[key] = &problem{j: j, at: now}
	s.follow(r.branch, key, a)
	s.change(a, now)
	return j
}

func (s *Store) follow(b branch, key string, a *alert) {
	if s.problems[b] == nil {
		s.problems[b] = map[string]*alert{}
	}
	s.problems[b][key] = a
}

// alertOf finds the open alert of the commit and stage that a judgement is of, or
// makes it. Its identity is frozen from then on.
func (s *Store) alertOf(r *openRun, j event.Judgement, now time.Time) *alert {
	stage, commit := cmp.Or(r.stage, j.Stage()), j.FirstBad
	severity := event.SeverityWarning
	if j.Shift != nil {
		severity = event.SeverityInfo
	}
	for _, a := range s.alerts {
		if a.branch == r.branch && a.Commit == commit && a.Stage == stage && a.Severity == severity {
			return a
		}
	}
	signal := event.SignalBuild
	if stage == event.StageTest {
		signal = event.SignalTest
	}
	// The same commit may be bad again after its alert ended: the second tells them apart.
	identity := strings.Join([]string{r.repository, r.ref, commit, string(severity), fmt.Sprint(now.Unix()), string(r.stage)}, "\x00")
	f := s.feedback(r, now)
	f.Revision, f.State = commit, event.Regressed
	a := &alert{branch: r.branch, problems: map[string]*problem{}, Anomaly: event.Anomaly{
		ID: event.AnomalyID(identity, event.KindBuild, signal, ""), Kind: event.KindBuild, Service: r.repository, Commit: commit,
		Signal: signal, Stage: stage, Severity: severity, Mode: f.Mode, StartsAt: now, DetectedAt: now, At: now, Open: true, Feedback: &f,
	}}
	if a.Service == "" {
		a.Service = "build" // an alert needs a name
	}
	s.alerts[a.ID] = a
	return a
}

// change has an alert told.
func (s *Store) change(a *alert, now time.Time) {
	f := *a.Feedback
	list := make([]event.Judgement, 0, len(a.problems))
	for _, p := range a.problems {
		j := p.j
		j.Closure = p.over
		list = append(list, j)
	}
	state := f.State
	s.conclude(&f, list, state)
	f.State, f.At = state, now
	a.Feedback, a.At = &f, now
	s.changed[a.ID] = a.Anomaly
}

// settleAlerts ends the alerts of a branch of which nothing is left.
func (s *Store) settleAlerts(b branch, now time.Time) {
	touched := map[*alert]bool{}
	for key, a := range s.problems[b] {
		if a.problems[key].over != nil {
			delete(s.problems[b], key)
			touched[a] = true
		}
	}
	for a := range touched {
		if c := a.closure(now); c != nil {
			a.Open, a.Closure = false, c
			delete(s.alerts, a.ID)
		}
		s.change(a, now)
	}
}

// closure of an alert whose problems are all over; nil while one is not.
func (a *alert) closure(now time.Time) *event.Closure {
	var last *event.Closure
	for _, p := range a.problems {
		switch {
		case p.over == nil:
			return nil
		case last == nil, p.over.Reason == event.ClosedFixedBy && last.Reason != event.ClosedFixedBy,
			p.over.Reason == last.Reason && p.over.At.After(last.At):
			last = p.over
		}
	}
	c := *last
	c.At = now
	if n := len(a.problems); n > 1 {
		c.Detail = fmt.Sprintf("all %d are over; the last: %s", n, c.Detail)
	}
	return &c
}

// Adopt takes up an open alert after a restart.
func (s *Store) Adopt(x event.Anomaly) {
	if x.Kind != event.KindBuild || !x.Open || x.Feedback == nil || s.alerts[x.ID] != nil {
		return
	}
	a := &alert{Anomaly: x, branch: branch{x.Feedback.Repository, x.Feedback.Ref}, problems: map[string]*problem{}}
	s.alerts[x.ID] = a
	for _, j := range x.Feedback.Judgements {
		p := &problem{j: j, at: x.StartsAt, over: j.Closure}
		p.j.Closure = nil
		a.problems[j.Key()] = p
		if p.over == nil {
			s.follow(a.branch, j.Key(), a)
		}
	}
}

// Close forgets an alert that somebody else closed.
func (s *Store) Close(id string) {
	a := s.alerts[id]
	if a == nil {
		return
	}
	delete(s.alerts, id)
	for key := range a.problems {
		if s.problems[a.branch][key] == a {
			delete(s.problems[a.branch], key)
		}
	}
}

// Suspect adds to an open alert which commit it was.
func (s *Store) Suspect(id string, suspicion event.Suspicion, now time.Time) {
	if a := s.alerts[id]; a != nil {
		f := *a.Feedback
		f.Suspicion = &suspicion
		a.Feedback = &f
		s.change(a, now)
	}
}
