package alertmanagerexporter

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"

	"github.com/prometheus/alertmanager/api/v2/models"
	"go.uber.org/zap"

	address "github.com/deployloop/deployloop/internal/endpoint"
	"github.com/deployloop/deployloop/internal/event"
	"github.com/deployloop/deployloop/internal/wording"
)

// batchLimit is the most alerts in one call; answerLimit the bytes read of an answer.
const (
	batchLimit  = 100
	answerLimit = 4096
)

// endpoint is one Alertmanager. It holds the newest record of each anomaly
// until its worker has sent it once, whatever the outcome: this is a mailbox,
// no queue. A record that waited too long behind a hanging Alertmanager is
// dropped, and the next heartbeat brings a fresh one.
type endpoint struct {
	teller *teller
	name   string // the base URL, as it may be shown
	base   string // ends with a slash
	client *http.Client

	mu      sync.Mutex
	pending map[string]event.Anomaly
	order   []string // ids in the order of their first arrival: the roll-up comes before its symptoms
	closing bool
	wake    chan struct{}

	rejected   string // the last refusal that was logged in full
	pollFailed bool   // the last poll of its silences; only the poll's goroutine looks
}

func newEndpoint(t *teller, base string, client *http.Client) *endpoint {
	return &endpoint{
		teller: t, name: address.Shown(base), base: strings.TrimRight(base, "/") + "/", client: client,
		pending: map[string]event.Anomaly{}, wake: make(chan struct{}, 1),
	}
}

// give replaces what is pending of the same anomaly. It never blocks.
func (e *endpoint) give(a event.Anomaly) {
	e.mu.Lock()
	if _, waiting := e.pending[a.ID]; !waiting {
		if len(e.order) >= e.teller.cfg.MaxAlerts {
			delete(e.pending, e.order[0])
			e.order = e.order[1:]
			e.teller.metrics.fail(context.Background(), e.name, failOverflow, 1)
		}
		e.order = append(e.order, a.ID)
	}
	e.pending[a.ID] = a
	e.mu.Unlock()
	e.signal()
}

// finish lets the worker end once nothing is pending.
func (e *endpoint) finish() {
	e.mu.Lock()
	e.closing = true
	e.mu.Unlock()
	e.signal()
}

func (e *endpoint) signal() {
	select {
	case e.wake <- struct{}{}:
	default:
	}
}

// take empties the mailbox by up to one call's worth.
func (e *endpoint) take() (batch []event.Anomaly, closing bool) {
	e.mu.Lock()
	defer e.mu.Unlock()
	n := min(len(e.order), batchLimit)
	for _, id := range e.order[:n] {
		batch = append(batch, e.pending[id])
		delete(e.pending, id)
	}
	e.order = append([]string(nil), e.order[n:]...)
	return batch, e.closing
}

func (e *endpoint) run(ctx context.Context) {
	for {
		batch, closing := e.take()
		if len(batch) > 0 {
			e.send(ctx, batch)
			continue
		}
		if closing {
			return
		}
		select {
		case <-ctx.Done():
			return
		case <-e.wake:
		}
	}
}

// Why a call did not bring its alerts to an Alertmanager.
const (
	failRejected    = "rejected"    // 4xx: the alert or our credentials are wrong; the same call fails again
	failUnavailable = "unavailable" // no connection, a timeout, 429 or 5xx
	failOverflow    = "overflow"    // more anomalies at once than max_alerts
	failStale       = "stale"       // waited for longer than three heartbeats behind a hanging call
)

func (e *endpoint) send(ctx context.Context, batch []event.Anomaly) {
	t := e.teller
	now := t.now()
	fresh := batch[:0]
	for _, a := range batch {
		if now.Sub(a.At) > heartbeatsOpen*t.cfg.Heartbeat {
			t.metrics.fail(ctx, e.name, failStale, 1)
			continue
		}
		fresh = append(fresh, a)
	}
	if len(fresh) == 0 {
		return
	}
	alerts := make(models.PostableAlerts, len(fresh))
	for i, a := range fresh {
		alerts[i] = alertOf(a, now, t.cfg)
	}
	err := e.post(ctx, alerts)
	if err != nil && ctx.Err() != nil {
		return // we are being stopped; the next start repeats it
	}
	var refusal *refusedError
	switch {
	case errors.As(err, &refusal):
		t.metrics.fail(ctx, e.name, failRejected, len(fresh))
		e.logRefusal(refusal, fresh)
		t.health(e.name, err)
	case err != nil:
		t.metrics.fail(ctx, e.name, failUnavailable, len(fresh))
		t.health(e.name, err)
	default:
		t.health(e.name, nil)
		e.rejected = ""
		for _, a := range fresh {
			t.metrics.sentOne(ctx, e.name, closed(a))
			t.told(ctx, a)
		}
	}
}

// logRefusal logs what Alertmanager said, once for each thing that it says:
// the call is repeated at every heartbeat, and fails alike.
func (e *endpoint) logRefusal(refusal *refusedError, batch []event.Anomaly) {
	if refusal.Error() == e.rejected {
		return
	}
	e.rejected = refusal.Error()
	ids := make([]string, 0, len(batch))
	for _, a := range batch[:min(len(batch), 10)] {
		ids = append(ids, a.ID)
	}
	e.teller.logger.Error("Alertmanager refused alerts; this is permanent until the cause is mended",
		zap.String("endpoint", e.name), zap.Int("status", refusal.status), zap.String("answer", refusal.answer),
		zap.Strings("anomalies", ids), zap.Int("alerts", len(batch)))
}

// refusedError is a 4xx answer other than "too many requests".
type refusedError struct {
	status int
	answer string
}

func (r *refusedError) Error() string { return fmt.Sprintf("refused with %d: %s", r.status, r.answer) }

func (e *endpoint) post(ctx context.Context, alerts models.PostableAlerts) error {
	body, err := json.Marshal(alerts)
	if err != nil {
		return fmt.Errorf("encode alerts: %w", err)
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, e.base+alertsPath, bytes.NewReader(body))
	if err != nil {
		return err
	}
	request.Header.Set("Content-Type", "application/json")
	response, err := e.client.Do(request)
	if err != nil {
		return address.Cause(err)
	}
	defer response.Body.Close()
	answer, _ := io.ReadAll(io.LimitReader(response.Body, answerLimit))
	_, _ = io.Copy(io.Discard, io.LimitReader(response.Body, 1<<20)) // so that the connection is used again
	switch {
	case response.StatusCode/100 == 2:
		return nil
	case response.StatusCode/100 == 4 && response.StatusCode != http.StatusTooManyRequests && response.StatusCode != http.StatusRequestTimeout:
		return &refusedError{status: response.StatusCode, answer: wording.OneLine(string(answer), 500)}
	default:
		return fmt.Errorf("answered %d: %s", response.StatusCode, wording.OneLine(string(answer), 200))
	}
}
