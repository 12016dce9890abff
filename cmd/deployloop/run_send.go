package main

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"os"
	"slices"
	"sync"
	"time"

	"github.com/deployloop/deployloop/internal/cicdclient"
	"github.com/deployloop/deployloop/internal/event"
	"github.com/deployloop/deployloop/internal/report"
)

const (
	// sendFailures is how long failures wait for more to come along.
	sendFailures = time.Second
	// maxUnsent bounds what waits to be sent; passing tests go in the end.
	maxUnsent = 200_000
)

// runSender tells a deployloop of a step: its begin and its failures at once, the
// rest in the end. Its one goroutine is the only one that sends.
type runSender struct {
	to     *sender
	what   ciContext
	client *cicdclient.Client
	ctx    context.Context
	cancel context.CancelFunc
	files  []string // reports, sent whole in the end

	mu      sync.Mutex
	urgent  []report.Event
	rest    []report.Event
	left    int // beyond maxUnsent
	wake    chan struct{}
	done    chan struct{}
	sending sync.WaitGroup
	sent    report.Taken
	failure error // the first
}

func (s *step) newSender(ctx context.Context) *runSender {
	r := &runSender{to: &s.to, what: s.what, wake: make(chan struct{}, 1), done: make(chan struct{})}
	r.ctx, r.cancel = context.WithCancel(context.WithoutCancel(ctx)) // the end is told of after an interrupt, too
	if r.what.revision == "" {
		r.failure = errNoRevision
		return r
	}
	if r.client, r.failure = cicdclient.New(s.to.endpoint); r.failure == nil {
		r.sending.Go(r.run)
	}
	return r
}

// begin tells that the step runs: one that hangs is known to.
func (r *runSender) begin(run event.PipelineRun) { r.put(report.Event{Run: &run}, true) }

func (r *runSender) test(t event.TestResult) {
	r.put(report.Event{Test: &t}, report.Failed(t.Status))
}

func (r *runSender) put(e report.Event, urgent bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	switch {
	case len(r.urgent)+len(r.rest) >= maxUnsent:
		r.left++
	case urgent:
		r.urgent = append(r.urgent, e)
		select {
		case r.wake <- struct{}{}:
		default:
		}
	default:
		r.rest = append(r.rest, e)
	}
}

func (r *runSender) run() {
	for {
		select {
		case <-r.done:
			return
		case <-r.wake:
		}
		r.mu.Lock()
		events := r.urgent
		r.urgent = nil
		r.mu.Unlock()
		r.send(events)
		select { // what fails next may be many
		case <-r.done:
			return
		case <-time.After(sendFailures):
		}
	}
}

// send sends events in one request. What could not be sent is lost, and said.
func (r *runSender) send(events []report.Event) {
	if len(events) == 0 {
		return
	}
	var body bytes.Buffer
	out := json.NewEncoder(&body)
	for _, e := range events {
		if err := out.Encode(e); err != nil {
			r.fail(err)
			return
		}
	}
	ctx, cancel := context.WithTimeout(r.ctx, r.to.timeout)
	defer cancel()
	query := r.what.query()
	query.Set("kind", string(report.Events))
	taken, err := r.client.Report(ctx, query, func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(body.Bytes())), nil })
	r.add(taken, err)
}

func (r *runSender) add(taken report.Taken, err error) {
	if err != nil {
		r.fail(err)
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.sent.Reports += taken.Reports
	r.sent.Tests += taken.Tests
	r.sent.Failures += taken.Failures
	r.sent.Findings += taken.Findings
	r.sent.Measurements += taken.Measurements
	r.sent.Runs += taken.Runs
	r.sent.Broken += taken.Broken
}

func (r *runSender) fail(err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.failure == nil {
		r.failure = err
	}
}

// end sends all that is left, the step's end last, and says what was taken.
func (r *runSender) end(run event.PipelineRun) (*report.Taken, string) {
	defer r.cancel()
	close(r.done)
	r.sending.Wait()
	if r.client != nil && r.failure == nil {
		r.send(slices.Concat(r.urgent, r.rest))
		if len(r.files) > 0 && r.failure == nil {
			ctx, cancel := context.WithTimeout(r.ctx, r.to.timeout)
			r.add(r.to.files(ctx, r.what, "", r.files, os.Open))
			cancel()
		}
		r.send([]report.Event{{Run: &run}})
	}
	if r.failure != nil {
		return nil, r.failure.Error()
	}
	return &r.sent, ""
}
