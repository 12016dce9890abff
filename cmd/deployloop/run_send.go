package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http/httptrace"
	"os"
	"strings"
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

// patience is how long the end of a step waits for a deployloop that does not take
// what it is told, or does not answer: for all that is left, and then for the step's
// end itself, which is always tried. Reports are given a second more for each MiB,
// since a proxy that keeps bodies back answers only once all of it was read behind it.
type patience struct{ rest, last time.Duration }

// patienceOf shares out what --send-timeout allows.
func patienceOf(total time.Duration) patience {
	return patience{rest: total * 3 / 5, last: total * 2 / 5}
}

// reportPace is the least pace at which reports are taken, behind any proxy.
const reportPace = 1 << 20 // bytes a second

// runSender tells a deployloop of a step: its begin and its failures at once, the
// rest in the end. What it was not taken stays, and is sent again. Its one goroutine
// is the only one that sends.
type runSender struct {
	to       sender
	what     ciContext
	client   *cicdclient.Client // nil: there is nobody to tell, failure says why
	ctx      context.Context
	cancel   context.CancelCauseFunc
	patience patience
	secrets  *redact.Values
	files    []string // reports, sent whole in the end
	globs    []string // that named them

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
	r := &runSender{to: s.to, globs: s.globs, what: s.what, secrets: s.secrets, patience: s.patience, began: time.Now(), wake: make(chan struct{}, 1), done: make(chan struct{})}
	if r.patience == (patience{}) {
		r.patience = patienceOf(s.to.timeout)
	}
	r.to.moved = func() { r.moved.Store(int64(time.Since(r.began))) }
	r.ctx, r.cancel = context.WithCancelCause(httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{
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

// delivery is how telling of a step went.
type delivery struct {
	sent    *report.Taken
	leftOut int    // results that found no room
	why     string // not all was sent
	again   string // the command that sends it again
}

// end sends all that is left, the step's end last. A deployloop that takes nothing
// holds it up for as long as patience says; so does one that takes its time once
// there was a signal.
func (r *runSender) end(run event.PipelineRun, sum event.Report, stops *interrupts) delivery {
	defer r.cancel(nil)
	close(r.done)
	if r.client == nil {
		return delivery{why: r.failure.Error()}
	}
	release := stops.during(func(os.Signal) { r.cancel(errStopped) })
	r.to.timeout = r.patience.rest + r.reportTime()
	if stops.count() > 0 {
		r.to.timeout = r.patience.rest
	}
	stop := r.watch(r.to.timeout)
	if stops.count() > 1 {
		r.cancel(errStopped)
	}
	r.sending.Wait()
	all := r.flush(r.ctx, &r.urgent, r.to.timeout) && r.flush(r.ctx, &r.rest, r.to.timeout)
	if len(r.files) > 0 && all {
		r.add(r.to.files(r.ctx, r.what.query(), r.files, os.Open))
		all = r.failure == nil
	}
	stop()
	release()
	failure := r.failure
	if cause := context.Cause(r.ctx); failure != nil && cause != nil {
		failure = cause
	}

	ctx, cancel := context.WithTimeoutCause(context.WithoutCancel(r.ctx), r.patience.last, r.silent(r.patience.last))
	defer cancel()
	ctx, cut := context.WithCancelCause(ctx)
	defer cut(nil)
	defer stops.during(func(os.Signal) { cut(errStopped) })()
	d := delivery{leftOut: r.urgent.left + r.rest.left}
	waiting := len(r.urgent.lines) + len(r.rest.lines)
	sum.Kind, sum.Name, sum.Tests, sum.Findings = string(report.Events), run.Task, r.sent.Tests, r.sent.Findings
	if sum.Broken = sum.Broken || failure != nil || d.leftOut > 0; sum.Broken {
		sum.Tools = nil // of which nothing is known to be gone
	}
	var last unsent
	for _, e := range []report.Event{{Report: &sum}, {Run: &run}} {
		line, err := json.Marshal(e)
		if err != nil {
			d.why = err.Error() // no event of ours
			return d
		}
		last.put(line)
	}
	n, body := last.batch()
	taken, err := r.send(ctx, body)
	switch {
	case err == nil:
		last.drop(n)
	case context.Cause(ctx) != nil:
		err = context.Cause(ctx)
	}
	r.add(taken, err)
	if failure == nil {
		failure = err
	}
	if r.sent.Reports > 0 {
		d.sent = &r.sent
	}
	if failure == nil {
		return d
	}
	parts := []string{}
	if waiting > 0 {
		parts = append(parts, howMany(waiting, "result"))
	}
	if len(r.files) > 0 && !all {
		parts = append(parts, howMany(len(r.files), "report"))
	}
	if err != nil {
		parts = append(parts, "the step's end")
	}
	d.why = strings.Join(parts, ", ") + ": " + failure.Error()
	d.again = r.sendAgain(append(append(r.urgent.lines, r.rest.lines...), last.lines...), !all)
	return d
}

var errStopped = errors.New("cut short by a signal")

func (r *runSender) silent(after time.Duration) error {
	return fmt.Errorf("%s does not answer: gave up after %s (--send-timeout)", r.client.Endpoint(), after.Round(10*time.Millisecond))
}

// reportTime is how long reports of this size may be worked on.
func (r *runSender) reportTime() time.Duration {
	size := int64(0)
	for _, name := range r.files {
		if info, err := os.Stat(name); err == nil {
			size += info.Size()
		}
	}
	return time.Duration(size) * time.Second / reportPace
}

// watch gives up on what is left when nothing of it was taken for as long as patience
// says, and when it takes more than most.
func (r *runSender) watch(most time.Duration) (stop func()) {
	r.to.moved()
	done, began := make(chan struct{}), time.Now()
	go func() {
		for idle, all := time.Duration(0), time.Duration(0); ; {
			select {
			case <-done:
				return
			case <-time.After(min(r.patience.rest-idle, most-all)):
			}
			switch idle, all = r.idle(), time.Since(began); {
			case idle >= r.patience.rest:
				r.cancel(r.silent(r.patience.rest))
				return
			case all >= most:
				r.cancel(r.silent(most))
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
