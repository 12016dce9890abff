package anomalyconnector

import (
	"context"
	"sync"
	"time"

	"go.opentelemetry.io/collector/pdata/plog"
	"go.uber.org/zap"

	"github.com/deployloop/deployloop/internal/event"
	"github.com/deployloop/deployloop/internal/event/eventotlp"
)

// What is told is told again, since whoever hears it may have been away: open
// things every heartbeat; closed ones every heartbeat for toldClosely, then
// every toldRarely until toldFor.
const (
	toldClosely = 15 * time.Minute
	toldRarely  = 10 * time.Minute
	toldFor     = 24 * time.Hour
	scopeName   = "github.com/deployloop/deployloop/connector/anomalyconnector"
	// sendTimeout ends one hand-over to the pipelines that follow.
	sendTimeout = 30 * time.Second
)

// record is one thing that is told: a verdict or an anomaly, its newest state.
type record struct {
	key     string
	verdict event.Verdict
	anomaly event.Anomaly        // when its ID is set
	encode  func(plog.LogRecord) // of what is neither: told once
	closed  time.Time            // zero while open
	told    time.Time
}

func verdictRecord(v event.Verdict) *record {
	r := &record{key: "verdict/" + v.Deployment.ID, verdict: v}
	if !v.WatchedTill.IsZero() && !v.At.Before(v.WatchedTill) || v.Reason == event.ReasonSupersededWatch || v.Reason == event.ReasonNotWatched {
		r.closed = v.At
	}
	return r
}

func anomalyRecord(a event.Anomaly) *record {
	r := &record{key: "anomaly/" + a.ID, anomaly: a}
	if a.Closure != nil {
		r.closed = a.Closure.At
	}
	return r
}

// tell sends a record now and from now on.
func (m *monitor) tell(r *record, now time.Time) {
	r.told = now
	m.records[r.key] = r
	m.outbox.put(*r)
}

// repeat tells what is due again.
func (m *monitor) repeat(now time.Time) {
	for key, r := range m.records {
		every := m.config.Heartbeat
		if !r.closed.IsZero() {
			switch age := now.Sub(r.closed); {
			case age >= toldFor:
				delete(m.records, key)
				continue
			case age >= toldClosely:
				every = max(every, toldRarely)
			}
		}
		if now.Sub(r.told) < every {
			continue
		}
		m.refresh(r, now)
		m.tell(r, now)
	}
}

// refresh brings an open record to what is known now. An anomaly's identity
// does not change; its verdict, evidence and time do.
func (m *monitor) refresh(r *record, now time.Time) {
	if r.anomaly.ID == "" {
		if t := m.tracked[r.verdict.Deployment.ID]; t != nil && r.closed.IsZero() {
			if v, ok := m.engine.Verdict(t.d.ID); ok {
				v.Deployment, v.Builds = t.d, t.builds
				v.Affected = m.affected(t, v)
				t.dress(&v)
				r.verdict = v
			}
			r.closed = verdictRecord(r.verdict).closed
		}
		return
	}
	r.anomaly.At = now
	if !r.closed.IsZero() {
		return
	}
	if t := m.tracked[r.anomaly.Deployment]; t != nil && t.verdict.State != "" {
		v := t.verdict
		v.Affected = m.affected(t, v)
		t.dress(&v)
		r.anomaly.Verdict = &v
		for i := range v.Evidence {
			if e := v.Evidence[i]; r.anomaly.Kind == event.KindSymptom && e.Signal == r.anomaly.Signal && e.Operation == r.anomaly.Operation {
				r.anomaly.Evidence = &e
				break
			}
		}
	}
	m.ledger.RecordAnomaly(r.anomaly)
}

// outbox holds the newest state of each record that waits to be sent: a slow
// receiver gets the truth late, never a backlog.
type outbox struct {
	mu      sync.Mutex
	waiting map[string]record
	order   []string
	ready   chan struct{}
}

func (o *outbox) put(r record) {
	o.mu.Lock()
	if o.waiting == nil {
		o.waiting = map[string]record{}
	}
	if _, ok := o.waiting[r.key]; !ok {
		o.order = append(o.order, r.key)
	}
	o.waiting[r.key] = r
	o.mu.Unlock()
	select {
	case o.ready <- struct{}{}:
	default:
	}
}

// take empties the outbox into one batch of logs, in the order of arrival.
func (o *outbox) take() (plog.Logs, bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	logs := plog.NewLogs()
	if len(o.order) == 0 {
		return logs, false
	}
	scope := logs.ResourceLogs().AppendEmpty().ScopeLogs().AppendEmpty()
	scope.Scope().SetName(scopeName)
	for _, key := range o.order {
		if r := o.waiting[key]; r.encode != nil {
			r.encode(scope.LogRecords().AppendEmpty())
		} else if r.anomaly.ID != "" {
			eventotlp.EncodeAnomaly(r.anomaly, scope.LogRecords().AppendEmpty())
		} else {
			eventotlp.EncodeVerdict(r.verdict, scope.LogRecords().AppendEmpty())
		}
	}
	clear(o.waiting)
	o.order = o.order[:0]
	return logs, true
}

// send hands over what waits, beside the loop: an exporter that waits for its
// server must not hold up the clock of detection.
func (m *monitor) send() {
	for {
		select {
		case <-m.ctx.Done():
			return
		case <-m.outbox.ready:
			m.guard(m.flush)
		}
	}
}

func (m *monitor) flush() {
	logs, some := m.outbox.take()
	if !some || m.logs == nil {
		return
	}
	ctx, cancel := context.WithTimeout(m.ctx, sendTimeout)
	defer cancel()
	if err := m.logs.ConsumeLogs(ctx, logs); err != nil && m.ctx.Err() == nil {
		m.logger.Warn("verdicts could not be handed over; the next heartbeat tells them again", zap.Error(err))
	}
}
