package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http/httptrace"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/deployloop/deployloop/internal/cicdclient"
	"github.com/deployloop/deployloop/internal/event"
	"github.com/deployloop/deployloop/internal/redact"
	"github.com/deployloop/deployloop/internal/report"
)

const (
	// sendFailures is how long failures wait for more to come along.
	sendFailures = time.Second
	// oneBatch is how long one request may take while the command runs, and the
	// longest pause after one that failed.
	oneBatch = 15 * time.Second
)

// patience is how long the end of a step waits for a deployloop that takes nothing:
// for all that is left, and then for the step's end itself, which is always tried.
// Whoever took a request whole may work on it for longer: on a batch of events as
// long as batch says, on reports as --send-timeout does. A proxy that keeps bodies
// back answers a large archive only seconds after it took the last byte.
type patience struct{ rest, last, batch time.Duration }

var defaultPatience = patience{rest: 3 * time.Second, last: 2 * time.Second, batch: oneBatch}

// runSender tells a deployloop of a step: its begin and its failures at once, the
// rest in the end. What it was not taken stays, and is sent again. Its one goroutine
// is the only one that sends.
type runSender struct {
	to       sender
	what     ciContext
	client   *cicdclient.Client // nil: there is nobody to tell, failure says why
	ctx      context.Context
	cancel   context.CancelFunc
	patience patience
	secrets  *redact.Values
	files    []string // reports, sent whole in the end

	began time.Time
	moved atomic.Int64 // since began, when a byte was taken last
	phase atomic.Int32 // of the request under way

	mu           sync.Mutex
	urgent, rest unsent
	sent         report.Taken
	failure      error // the last, of what is still to be sent

	wake    chan struct{}
	done    chan struct{}
	sending sync.WaitGroup
}

func (s *step) newSender(ctx context.Context) *runSender {
	r := &runSender{to: s.to, what: s.what, secrets: s.secrets, patience: s.patience, began: time.Now(), wake: make(chan struct{}, 1), done: make(chan struct{})}
	if r.patience == (patience{}) {
		r.patience = defaultPatience
	}
	r.to.moved = func() { r.moved.Store(int64(time.Since(r.began))) }
	r.ctx, r.cancel = context.WithCancel(httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{
		GetConn:              func(string) { r.enter(sendsRequest) },
		WroteRequest:         func(w httptrace.WroteRequestInfo) { r.wrote(w.Err) },
		GotFirstResponseByte: func() { r.enter(hasAnswer) },
	}))
	if r.what.revision == "" {
		r.failure = errNoRevision
		return r
	}
	if r.client, r.failure = cicdclient.New(s.to.endpoint); r.failure == nil {
		r.sending.Go(r.run)
	}
	return r
}

// The phases of a request. An answer may come before all of the body is taken.
const (
	sendsRequest = iota
	awaitsAnswer
	hasAnswer
)

func (r *runSender) enter(phase int32) {
	r.phase.Store(phase)
	r.to.moved()
}

func (r *runSender) wrote(err error) {
	if err == nil && r.phase.CompareAndSwap(sendsRequest, awaitsAnswer) {
		r.to.moved()
	}
}

// idle is for how long nothing was taken. Nothing is left to be taken of a request
// that waits for its answer.
func (r *runSender) idle() time.Duration {
	if r.phase.Load() == awaitsAnswer {
		return 0
	}
	return time.Since(r.began) - time.Duration(r.moved.Load())
}

// begin tells that the step runs: one that hangs is known to.
func (r *runSender) begin(run event.PipelineRun) { r.put(report.Event{Run: &run}, true) }

func (r *runSender) test(t event.TestResult) {
	t = *hideName(r.secrets, event.Judgement{Test: &t}).Test
	r.put(report.Event{Test: &t}, report.Failed(t.Status))
}

// put queues an event. An urgent one is sent while the command runs.
func (r *runSender) put(e report.Event, urgent bool) {
	if r.client == nil {
		return
	}
	line, err := json.Marshal(e)
	r.mu.Lock()
	defer r.mu.Unlock()
	switch {
	case err != nil:
		r.failure = err // no event of ours
	case urgent:
		r.urgent.put(line)
		r.nudge()
	default:
		r.rest.put(line)
	}
}

func (r *runSender) nudge() {
	select {
	case r.wake <- struct{}{}:
	default:
	}
}

func (r *runSender) run() {
	for pause := sendFailures; ; {
		select {
		case <-r.done:
			return
		case <-r.wake:
		}
		if r.flush(r.ctx, &r.urgent, oneBatch) {
			pause = sendFailures
		} else {
			pause = min(2*pause, oneBatch)
			r.nudge()
		}
		select { // what fails next may be many
		case <-r.done:
			return
		case <-time.After(pause):
		}
	}
}

// flush sends what is queued, a batch a request, until one fails.
func (r *runSender) flush(ctx context.Context, u *unsent, most time.Duration) bool {
	for {
		r.mu.Lock()
		n, body := u.batch()
		r.mu.Unlock()
		if n == 0 {
			return true
		}
		one, cancel := context.WithTimeout(ctx, most)
		taken, err := r.send(one, body)
		cancel()
		r.mu.Lock()
		if err == nil {
			u.drop(n)
		}
		r.mu.Unlock()
		if r.add(taken, err); err != nil {
			return false
		}
	}
}

// send sends lines of events in one request.
func (r *runSender) send(ctx context.Context, body []byte) (report.Taken, error) {
	query := r.what.query()
	query.Set("kind", string(report.Events))
	return r.client.Report(ctx, query, func() (io.ReadCloser, error) {
		return moving{io.NopCloser(bytes.NewReader(body)), r.to.moved}, nil
	})
}

func (r *runSender) add(taken report.Taken, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.failure = err; err != nil {
		return
	}
	r.sent.Reports += taken.Reports
	r.sent.Tests += taken.Tests
	r.sent.Failures += taken.Failures
	r.sent.Findings += taken.Findings
	r.sent.Measurements += taken.Measurements
	r.sent.Runs += taken.Runs
	r.sent.Broken += taken.Broken
}

// end sends all that is left, the step's end last, and says what was taken, what
// was not and why. A deployloop that takes nothing holds it up for as long as
// patience says; so does one that takes its time once there was a signal.
func (r *runSender) end(run event.PipelineRun, stops *interrupts) (sent *report.Taken, leftOut int, why string) {
	defer r.cancel()
	close(r.done)
	if r.client == nil {
		return nil, 0, r.failure.Error()
	}
	release := stops.during(func(os.Signal) { r.cancel() })
	stop := r.watch(stops.count() > 0)
	if stops.count() > 1 {
		r.cancel()
	}
	r.sending.Wait()
	rest, enough := context.WithTimeout(r.ctx, r.to.timeout)
	defer enough()
	all := r.flush(rest, &r.urgent, r.patience.batch) && r.flush(rest, &r.rest, r.patience.batch)
	if len(r.files) > 0 && all {
		r.add(r.to.files(rest, r.what.query(), r.files, os.Open))
	}
	stop()
	release()
	failure := r.failure

	ctx, cancel := context.WithTimeout(context.WithoutCancel(r.ctx), r.patience.last)
	defer cancel()
	defer stops.during(func(os.Signal) { cancel() })()
	left, waiting := r.urgent.left+r.rest.left, len(r.urgent.lines)+len(r.rest.lines)
	var last unsent
	for _, e := range []report.Event{
		{Report: &event.Report{Kind: string(report.Events), Name: run.Task, Tests: r.sent.Tests, Findings: r.sent.Findings, Broken: failure != nil || left > 0}},
		{Run: &run},
	} {
		line, err := json.Marshal(e)
		if err != nil {
			return nil, left, err.Error() // no event of ours
		}
		last.put(line)
	}
	_, body := last.batch()
	taken, err := r.send(ctx, body)
	r.add(taken, err)
	if failure == nil {
		failure = err
	}
	if r.sent.Reports > 0 {
		sent = &r.sent
	}
	switch {
	case failure == nil:
		return sent, left, ""
	case waiting > 0:
		return sent, left, fmt.Sprintf("%s: %s", howMany(waiting, "result"), failure)
	}
	return sent, left, failure.Error()
}

// watch gives up on what is left when nothing of it was taken for so long; hard:
// even if something was.
func (r *runSender) watch(hard bool) (stop func()) {
	r.to.moved()
	done := make(chan struct{})
	go func() {
		for idle := time.Duration(0); ; {
			select {
			case <-done:
				return
			case <-time.After(r.patience.rest - idle):
			}
			if idle = r.idle(); hard || idle >= r.patience.rest {
				r.cancel()
				return
			}
		}
	}()
	return func() { close(done) }
}

const (
	// maxBatch bounds a request; proxies are known to take one MiB and no more.
	maxBatch = 512 << 10
	// maxUnsent bounds, of failures and of the rest each, what waits to be sent: a
	// few hundred thousand results.
	maxUnsent = 64 << 20
)

// unsent are events that wait to be sent, as JSON lines.
type unsent struct {
	lines [][]byte
	size  int
	left  int // that found no room
}

func (u *unsent) put(line []byte) {
	if u.size+len(line) > maxUnsent {
		u.left++
		return
	}
	u.lines, u.size = append(u.lines, line), u.size+len(line)
}

// batch is the first lines, as many as go into a request.
func (u *unsent) batch() (n int, body []byte) {
	for n < len(u.lines) && (n == 0 || len(body)+len(u.lines[n]) < maxBatch) {
		body = append(append(body, u.lines[n]...), '\n')
		n++
	}
	return n, body
}

// drop forgets the first lines.
func (u *unsent) drop(n int) {
	for _, line := range u.lines[:n] {
		u.size -= len(line)
	}
	u.lines = u.lines[n:]
}
