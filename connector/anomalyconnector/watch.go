package anomalyconnector

import (
	"fmt"
	"slices"
	"time"

	"go.uber.org/zap"

	"github.com/deployloop/deployloop/internal/event"
	"github.com/deployloop/deployloop/internal/ledger"
)

// tracked is a deployment under watch or with an open anomaly.
type tracked struct {
	d         event.Deployment
	verdict   event.Verdict
	regressed time.Time // when the loop first saw it regressed
	alerted   bool      // its anomalies exist
	open      []string  // ids of its open anomalies, the roll-up first

	fetched   bool        // commits are known
	commits   commitRange // of its range
	ranking   bool
	ranked    int // evidence and related errors that the ranking saw
	suspicion *event.Suspicion
	named     string                   // what its alerts told of the suspects last
	frames    map[string][]event.Frame // of bundled code, as its sources have them, by fingerprint
	affected  []event.Affected         // callers, as last found

	builds []event.Judgement // new in its commits
	built  time.Time         // when they were looked for
	blame  string            // the commit whose feedback tells of it

	document document
}

// maxUnwatched bounds the deployments, newest first, that are looked through after a
// start for watches that ended in between.
const maxUnwatched = 10_000

// adopt takes up, after a start, what the ledger holds: deployments whose
// watch is not over, open anomalies, and closed ones that are still told.
func (m *monitor) adopt(now time.Time) {
	longest := m.config.Watch[len(m.config.Watch)-1]
	for _, o := range m.config.Overrides {
		if n := len(o.Watch); n > 0 {
			longest = max(longest, o.Watch[n-1])
		}
	}
	known := m.ledger.Deployments(ledger.Query{Since: now.Add(-longest), Limit: m.config.Limits.Watches})
	for i := len(known) - 1; i >= 0; i-- { // oldest first, as they came
		m.watch(known[i])
	}
	m.endUnwatched(now)
	for _, f := range slices.Backward(m.ledger.Feedback(ledger.RunQuery{Limit: maxFeedback})) {
		m.builds.store.Resume(f, now)
		if !f.Running && now.Sub(f.At) < toldFor {
			m.repeatFeedback(f, now) // a forge that was away, or the crash itself, may have kept its end from being heard
		}
	}
	for _, a := range m.ledger.Anomalies(ledger.Query{OpenOnly: true, Limit: m.config.Limits.Watches * (m.config.Limits.Symptoms + 1)}) {
		if a.Kind == event.KindBuild {
			m.builds.store.Adopt(a)
			m.builds.ranked[a.ID] = true
			a.At = now
			m.tell(anomalyRecord(a), now)
			continue
		}
		if a.Kind == event.KindAlwaysOn {
			m.adoptStanding(a, now)
			continue
		}
		t := m.tracked[a.Deployment]
		if t == nil {
			d, ok := m.ledger.Deployment(a.Deployment)
			if !ok {
				d = event.Deployment{ID: a.Deployment, Service: a.Service, Environment: a.Environment, Revision: a.Commit, StartedAt: a.StartsAt}
			}
			d.Baseline = false // it has an anomaly, whatever the ledger learnt since
			t = m.watch(d)
		}
		t.opened(a)
		t.alerted = t.alerted || a.Kind == event.KindDeployment // it is written last
		t.regressed = a.DetectedAt
		if t.suspicion == nil && a.Verdict != nil {
			t.suspicion = a.Verdict.Suspicion
		}
		t.named = named(t.suspicion)
		// As of now: an alert that was told long before the restart must not end
		// before its next heartbeat.
		a.At = now
		m.tell(anomalyRecord(a), now)
	}
	for _, a := range m.ledger.Anomalies(ledger.Query{Since: now.Add(-toldFor), Limit: 1000}) {
		if !a.Open && a.Closure != nil && now.Sub(a.Closure.At) < toldFor {
			if t := m.tracked[a.Deployment]; t != nil && a.Kind == event.KindDeployment {
				t.alerted = true
			}
			a.At = now // else what hears it would take it for stale
			m.tell(anomalyRecord(a), now)
		}
	}
}

// endUnwatched ends, after a start, the watches that were over before it: what is told
// of them would stay "watching", and a commit's status pending, for ever. How others
// ended is told again, as the feedback of builds is; alerts tell it of bad ones.
func (m *monitor) endUnwatched(now time.Time) {
	for _, d := range m.ledger.Deployments(ledger.Query{Limit: maxUnwatched}) {
		v, ok := m.ledger.Verdict(d.ID)
		switch {
		case !ok || m.tracked[d.ID] != nil:
		case v.State == event.Healthy || v.State == event.Inconclusive:
			if r := verdictRecord(v); now.Sub(v.At) < toldFor {
				r.closed = v.At
				m.tell(r, now)
			}
		case v.State != event.Watching:
		case v.WatchedTill.After(now): // it began late
			m.watch(d)
		default:
			m.tell(verdictRecord(m.notWatched(d, v, now, "deployloop was away since "+v.At.UTC().Format(time.RFC3339)+" and its watch is over")), now)
		}
	}
}

// notWatched is the last verdict of a deployment that nobody watches any more.
func (m *monitor) notWatched(d event.Deployment, v event.Verdict, now time.Time, why string) event.Verdict {
	v.Deployment, v.State, v.Reason, v.Detail, v.At, v.ETA = d, event.Inconclusive, event.ReasonNotWatched, why, now, 0
	m.ledger.RecordVerdict(v)
	m.logger.Warn("a deployment was not watched to its end", zap.String("service", d.Service), zap.String("environment", d.Environment),
		zap.String("version", d.Label()), zap.String("why", why))
	return v
}

// opened notes an open anomaly once, the roll-up first.
func (t *tracked) opened(a event.Anomaly) {
	switch {
	case slices.Contains(t.open, a.ID):
	case a.Kind == event.KindDeployment:
		t.open = append([]string{a.ID}, t.open...)
	default:
		t.open = append(t.open, a.ID)
	}
}

// learn follows one update of the ledger.
func (m *monitor) learn(u ledger.Update, now time.Time) {
	if u.Missed > 0 {
		m.missed += u.Missed
		for _, d := range m.ledger.Deployments(ledger.Query{Since: now.Add(-time.Hour), Limit: m.config.Limits.Watches}) {
			m.watch(d)
		}
	}
	switch u.Kind {
	case "deployment":
		if d, ok := m.ledger.Deployment(u.ID); ok {
			m.watch(d)
		}
	case "anomaly":
		// Closed by somebody else: a waiver, from the page or a comment.
		a, ok := m.ledger.Anomaly(u.ID)
		t := m.tracked[a.Deployment]
		if ok && !a.Open && a.Kind == event.KindBuild {
			m.builds.store.Close(a.ID)
			delete(m.builds.ranked, a.ID)
			if r := m.records["anomaly/"+a.ID]; r != nil && r.anomaly.Open {
				m.tell(anomalyRecord(a), now)
			}
			return
		}
		if ok && !a.Open && a.Kind == event.KindAlwaysOn {
			m.waivedStanding(a, now)
			return
		}
		if !ok || a.Open || t == nil {
			return
		}
		for i, id := range t.open {
			if id == a.ID {
				t.open = append(t.open[:i], t.open[i+1:]...)
				m.tell(anomalyRecord(a), now)
				if a.Kind == event.KindDeployment && a.Closure != nil {
					m.closeAll(t, *a.Closure, now) // its symptoms with it
				}
				return
			}
		}
	}
}

// watch opens or renews the watch of a deployment, and begins to read its
// commits. A baseline is none.
func (m *monitor) watch(d event.Deployment) *tracked {
	if d.Baseline {
		return nil
	}
	t := m.tracked[d.ID]
	if t == nil {
		m.makeRoom(m.now())
		t = &tracked{d: d}
		m.tracked[d.ID] = t
		if v, ok := m.ledger.Verdict(d.ID); ok {
			t.verdict = v
			t.suspicion = v.Suspicion
		}
		m.fetch(t)
		m.logger.Info("a deployment is under watch", zap.String("service", d.Service), zap.String("environment", d.Environment),
			zap.String("version", d.Label()), zap.String("deployment", d.ID))
	} else if t.d.PreviousRevision != d.PreviousRevision || t.d.Revision != d.Revision {
		t.d = d
		m.fetch(t) // another source told more of the range
	}
	t.d = d
	m.engine.Watch(d, m.config.modeOf(d.Service))
	return t
}

// makeRoom keeps tracked within its limit: the oldest without an open anomaly
// goes first, else the oldest.
func (m *monitor) makeRoom(now time.Time) {
	if len(m.tracked) < m.config.Limits.Watches {
		return
	}
	var oldest *tracked
	for _, t := range m.tracked {
		if oldest == nil || (len(t.open) == 0) != (len(oldest.open) == 0) && len(t.open) == 0 ||
			(len(t.open) == 0) == (len(oldest.open) == 0) && t.d.StartedAt.Before(oldest.d.StartedAt) {
			oldest = t
		}
	}
	if len(oldest.open) > 0 { // nobody would ever end what is told of it
		m.closeAll(oldest, event.Closure{Reason: event.ClosedSuperseded, By: "deployloop", At: now, Detail: fmt.Sprintf(
			"no longer followed: %d newer deployments have open alerts (limits::watches)", len(m.tracked))}, now)
	}
	if oldest.verdict.State == event.Watching { // nor this; told once, since as many as come may have to make room
		m.outbox.put(*verdictRecord(m.notWatched(oldest.d, oldest.verdict, now, fmt.Sprintf("%d newer deployments are watched (limits::watches)", len(m.tracked)))))
	}
	delete(m.tracked, oldest.d.ID)
	delete(m.records, "verdict/"+oldest.d.ID)
	m.refused.add("watches_over_limit", 1)
}

// judged takes in a verdict that the engine changed.
func (m *monitor) judged(v event.Verdict, now time.Time) {
	t := m.tracked[v.Deployment.ID]
	if t == nil {
		return
	}
	if v.State == event.Watching && len(t.open) > 0 {
		return // a restart lost what the engine knew; what was told stands until there is news
	}
	changed := v.State != t.verdict.State || v.Reason != t.verdict.Reason || v.Calibrating != t.verdict.Calibrating || v.Checkpoint != t.verdict.Checkpoint
	v.Deployment = t.d
	t.dress(&v)
	v.Affected = m.affected(t, v)
	if v.State == event.Regressed && (changed || now.Sub(t.built) >= m.config.Heartbeat) {
		t.built, t.builds = now, m.buildsOf(t)
	}
	v.Builds = t.builds
	if v.State != event.Healthy && v.State != event.Exonerated { // nobody goes back from those
		v.WayBack = m.ledger.WayBack(t.d.ID)
	}
	t.verdict = v
	m.ledger.RecordVerdict(v)
	m.keepDocument(t, now, changed)
	if v.State == event.Regressed && t.regressed.IsZero() {
		t.regressed = now
	}
	if v.State == event.Regressed {
		m.rank(t)
	}
	r := m.records["verdict/"+v.Deployment.ID]
	if changed || r == nil {
		m.tell(verdictRecord(v), now)
	} else {
		r.verdict = v // told with the next heartbeat
	}
	if changed {
		m.logger.Info("verdict", zap.String("service", v.Deployment.Service), zap.String("version", v.Deployment.Label()),
			zap.String("verdict", string(v.State)), zap.String("reason", string(v.Reason)), zap.String("detail", v.Detail))
	}
}
