// Package doctor tests the links of a set-up, one check a file, and says of each
// that is broken why and what to do. A check takes plain values (an address, a
// client that is made already) and knows no Collector; who wires it gives it the
// client that the component itself will use.
//
// A check leaves nothing behind: what it writes to find out whether it may
// write, it removes, and what it removes it sees gone.
package doctor

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/deployloop/deployloop/internal/wording"
)

// Status of a finding.
type Status string

// The statuses.
const (
	OK      Status = "ok"
	Warning Status = "warning" // works, and less well than it could
	Failure Status = "failure" // a link is broken
	Skipped Status = "skipped" // not set up, or not to be tested
)

// Finding is what a check found of one link.
type Finding struct {
	Check   string  `json:"check"`
	Target  string  `json:"target,omitempty"` // an address, a path or a service; never with a password
	Status  Status  `json:"status"`
	Cause   Cause   `json:"cause,omitempty"` // of a warning or failure
	What    string  `json:"what"`            // one line
	Fix     string  `json:"fix,omitempty"`   // what to write or to run
	Seconds float64 `json:"seconds"`         // that the check took
}

func ok(format string, args ...any) Finding { return Good(fmt.Sprintf(format, args...)) }

// maxSaid bounds what a finding says, in characters: part of it is what some
// server answered.
const maxSaid = 600

// Warn is a finding of what works, and less well than it could.
func Warn(cause Cause, what, fix string) Finding {
	return Finding{Status: Warning, Cause: cause, What: wording.OneLine(what, maxSaid), Fix: fix}
}

// Fail is a finding of a broken link.
func Fail(cause Cause, what, fix string) Finding {
	return Finding{Status: Failure, Cause: cause, What: wording.OneLine(what, maxSaid), Fix: fix}
}

// Skip is a finding of what was not tested, and how it would be.
func Skip(what, fix string) Finding { return Finding{Status: Skipped, What: what, Fix: fix} }

// Good is a finding of a link that holds.
func Good(what string) Finding { return Finding{Status: OK, What: what} }

// Check tests one link.
type Check struct {
	Name   string
	Target string
	Run    func(context.Context) []Finding
}

// Said is a check whose finding needs no test.
func Said(name, target string, f Finding) Check {
	return Check{name, target, func(context.Context) []Finding { return []Finding{f} }}
}

// maxAtOnce is how many checks run at the same time.
const maxAtOnce = 8

// Progress is told of checks as they begin and end; from many goroutines.
type Progress func(name string, begun bool)

// Run does the checks at the same time, each within the timeout, and gives
// their findings in the checks' order.
func Run(ctx context.Context, timeout time.Duration, progress Progress, checks []Check) []Finding {
	found := make([][]Finding, len(checks))
	slots := make(chan struct{}, maxAtOnce)
	var running sync.WaitGroup
	for i, c := range checks {
		running.Go(func() {
			slots <- struct{}{}
			defer func() { <-slots }()
			progress(c.Name, true)
			found[i] = c.within(ctx, timeout)
			progress(c.Name, false)
		})
	}
	running.Wait()
	var all []Finding
	for _, list := range found {
		all = append(all, list...)
	}
	return all
}

// cleanUp is how much longer than its timeout a check may take: what it wrote is
// removed after the timeout too.
const cleanUp = 5 * time.Second

// within runs one check and names its findings. One that does not come back is
// left to itself: its answer would be of no use.
func (c Check) within(ctx context.Context, timeout time.Duration) []Finding {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	began := time.Now()
	answer := make(chan []Finding, 1)
	go func() { answer <- c.Run(ctx) }()
	var list []Finding
	select {
	case list = <-answer:
	case <-time.After(timeout + cleanUp):
		list = []Finding{Fail(CauseTimeout, fmt.Sprintf("no answer within %s", timeout), "see whether it is overloaded, or give it longer: --timeout 30s")}
	}
	took := time.Since(began).Seconds()
	for i := range list {
		list[i].Check, list[i].Seconds = c.Name, took
		if list[i].Target == "" {
			list[i].Target = c.Target
		}
	}
	return list
}
