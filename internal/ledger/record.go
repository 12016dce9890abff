package ledger

import (
	"cmp"
	"slices"
	"strconv"
	"time"

	"github.com/deployloop/deployloop/internal/event"
)

// RecordVerdict keeps the newest verdict of a deployment.
func (l *Ledger) RecordVerdict(v event.Verdict) {
	id := cut(v.Deployment.ID, maxName)
	if id == "" {
		return
	}
	v = cloneVerdict(v)
	l.mu.Lock()
	defer l.mu.Unlock()
	if d := l.find(id); d != nil {
		id = d.ID
	}
	if known, ok := l.verdicts.Peek(id); ok && known.Value.At.After(v.At) {
		return
	}
	l.clock(v.At)
	putSized(l, l.verdicts, &l.verdictBytes, kindVerdict, "verdicts", id, v)
	l.tell("verdict", id, v.At)
}

// Verdict is the last recorded of a deployment, by its id or alias.
func (l *Ledger) Verdict(deploymentID string) (event.Verdict, bool) {
	l.mu.RLock()
	defer l.mu.RUnlock()
	v, ok := l.verdicts.Peek(deploymentID)
	if d := l.find(deploymentID); !ok && d != nil {
		v, ok = l.verdicts.Peek(d.ID)
	}
	return cloneVerdict(v.Value), ok
}

// RecordAnomaly keeps the newest state of an anomaly. What it said first of
// its identity (all fields up to StartsAt) stays, a closed one stays closed,
// and telling the same again changes nothing.
func (l *Ledger) RecordAnomaly(a event.Anomaly) {
	a.ID = cut(a.ID, maxName)
	if a.ID == "" {
		return
	}
	a = cloneAnomaly(a)
	l.mu.Lock()
	defer l.mu.Unlock()
	if known, ok := l.anomalies.Peek(a.ID); ok {
		k := known.Value
		if k.At.After(a.At) || k.At.Equal(a.At) && k.Open == a.Open {
			return
		}
		a.Kind, a.Service, a.Environment, a.Deployment, a.Commit = k.Kind, k.Service, k.Environment, k.Deployment, k.Commit
		a.Signal, a.Operation, a.Stage, a.Severity, a.Team, a.Mode = k.Signal, k.Operation, k.Stage, k.Severity, k.Team, k.Mode
		a.StartsAt, a.DetectedAt = k.StartsAt, k.DetectedAt
		a.Silence = k.Silence // only RecordSilence tells of it
		if !k.Open {
			a.Open, a.Closure = false, k.Closure
		}
	}
	if a.Open {
		a.Closure = nil
	}
	l.clock(a.At)
	putSized(l, l.anomalies, &l.anomalyBytes, kindAnomaly, "anomalies", a.ID, a)
	l.tell("anomaly", a.ID, a.At)
}

// CloseAnomaly closes it once; later calls change nothing and return false.
func (l *Ledger) CloseAnomaly(id string, c event.Closure) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	known, ok := l.anomalies.Peek(id)
	if !ok || !known.Value.Open {
		return false
	}
	c.Detail, c.Revision, c.By = cut(c.Detail, maxText), cut(c.Revision, maxName), cut(c.By, maxName)
	a := known.Value
	c.At = l.clock(c.At)
	a.Open, a.Closure, a.At = false, &c, later(a.At, c.At)
	putSized(l, l.anomalies, &l.anomalyBytes, kindAnomaly, "anomalies", id, a)
	l.tell("anomaly", id, a.At)
	return true
}

// Anomaly finds one by its id.
func (l *Ledger) Anomaly(id string) (event.Anomaly, bool) {
	l.mu.RLock()
	defer l.mu.RUnlock()
	a, ok := l.anomalies.Peek(id)
	return cloneAnomaly(a.Value), ok
}

// Anomalies lists the newest detected first.
func (l *Ledger) Anomalies(q Query) []event.Anomaly {
	l.mu.RLock()
	defer l.mu.RUnlock()
	deployment := l.canonical(q.Deployment)
	found := list(l.anomalies, q, func(a event.Anomaly) bool {
		return q.place(a.Service, a.Environment) && (deployment == "" || l.canonical(a.Deployment) == deployment) &&
			(a.Open || !q.OpenOnly)
	}, func(a event.Anomaly) time.Time { return a.DetectedAt })
	for i := range found {
		found[i] = cloneAnomaly(found[i])
	}
	return found
}

// canonical is the ledger's id of what id names, or id itself.
func (l *Ledger) canonical(id string) string {
	if d := l.find(id); d != nil {
		return d.ID
	}
	return id
}

// list filters a shelf, newest first.
func list[T any](s shelf[T], q Query, match func(T) bool, at func(T) time.Time) []T {
	var found []T
	for _, d := range s.Values() {
		if !at(d.Value).Before(q.Since) && match(d.Value) {
			found = append(found, d.Value)
		}
	}
	slices.SortStableFunc(found, func(a, b T) int { return at(b).Compare(at(a)) })
	return found[:min(len(found), q.limit())]
}

// RecordPipelineRun keeps the newest state of a run or task: what is finished
// stays so, and times and texts once told are kept.
func (l *Ledger) RecordPipelineRun(r event.PipelineRun) {
	for _, text := range []*string{
		&r.ID, &r.Pipeline, &r.Task, &r.TaskID, &r.State, &r.Result, &r.Repository,
		&r.Ref, &r.Revision, &r.Worker, &r.Source,
	} {
		*text = cut(*text, maxName)
	}
	r.URL = cut(r.URL, maxText)
	if r.ID == "" {
		return
	}
	key := runKey(r)
	l.mu.Lock()
	defer l.mu.Unlock()
	if known, ok := l.runs.Peek(key); ok {
		k := known.Value
		if k.Result != "" && r.Result == "" {
			r.State, r.Result, r.FinishedAt = k.State, k.Result, k.FinishedAt
		}
		r.Pipeline, r.Task, r.URL, r.Worker = orElse(r.Pipeline, k.Pipeline), orElse(r.Task, k.Task), orElse(r.URL, k.URL), orElse(r.Worker, k.Worker)
		r.Repository, r.Ref, r.Revision = orElse(r.Repository, k.Repository), orElse(r.Ref, k.Ref), orElse(r.Revision, k.Revision)
		r.Stage = cmp.Or(r.Stage, k.Stage)
		r.QueuedAt, r.StartedAt, r.FinishedAt = known1(r.QueuedAt, k.QueuedAt), known1(r.StartedAt, k.StartedAt), known1(r.FinishedAt, k.FinishedAt)
		if r == k {
			return
		}
	}
	l.clock(runTime(r))
	put(l, l.runs, kindRun, "runs", key, r)
	l.tell("run", r.ID, runTime(r))
}

// known1 is t, or what was known when t is not.
func known1(t, was time.Time) time.Time {
	if t.IsZero() {
		return was
	}
	return t
}

// runKey tells apart the attempts and tasks of a run.
func runKey(r event.PipelineRun) string {
	return r.Source + "/" + r.Repository + "/" + r.ID + "/" + strconv.Itoa(r.Attempt) + "/" + orElse(r.TaskID, r.Task)
}

// runTime is the latest time that r tells.
func runTime(r event.PipelineRun) time.Time {
	return later(r.FinishedAt, later(r.StartedAt, r.QueuedAt))
}

// PipelineRuns lists runs and their tasks, newest first.
func (l *Ledger) PipelineRuns(q RunQuery) []event.PipelineRun {
	l.mu.RLock()
	defer l.mu.RUnlock()
	return list(l.runs, Query{Since: q.Since, Limit: q.Limit}, func(r event.PipelineRun) bool {
		return (q.Repository == "" || SameRepository(q.Repository, r.Repository)) &&
			(q.Revision == "" || event.SameRevision(q.Revision, r.Revision)) && (q.RunID == "" || q.RunID == r.ID)
	}, runTime)
}
