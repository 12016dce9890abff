package consoleextension

import (
	"sync"
	"sync/atomic"
	"time"

	"github.com/deployloop/deployloop/internal/event"
	"github.com/deployloop/deployloop/internal/ledger"
)

// recall remembers what every page lists whole, so that a tick of verdicts does
// not copy ten thousand deployments again for each open page. The hub forgets
// here before it tells a page, so a page that was told never sees less than
// what it was told of. Without a running hub nothing is remembered.
type recall struct {
	live atomic.Bool // the hub is running

	deployments kept[[]event.Deployment]
	runs        kept[runsByRevision]
	changes     kept[[]event.Change]

	mu       sync.Mutex
	verdicts map[string]outcome // by deployment
	turn     uint64             // verdict updates so far
}

// outcome is the little of a verdict that the summary counts.
type outcome struct {
	Known bool
	State event.VerdictState
	Took  time.Duration // from the watch's begin to the decision; 0: none
}

const (
	// keptFor bounds the age of what is remembered: the ledger's retention
	// forgets without telling.
	keptFor = 10 * time.Second
	// keptVerdicts bounds the outcomes remembered; all are dropped beyond it.
	keptVerdicts = 20_000
)

// forget drops what an update made old.
func (c *recall) forget(u ledger.Update) {
	if u.Kind == "deployment" || u.Missed > 0 {
		c.deployments.forget()
	}
	if u.Kind == "run" || u.Missed > 0 {
		c.runs.forget()
	}
	if u.Kind == "change" || u.Missed > 0 {
		c.changes.forget()
	}
	if u.Kind == "verdict" || u.Missed > 0 {
		c.mu.Lock()
		defer c.mu.Unlock()
		c.turn++
		delete(c.verdicts, u.ID)
		if u.Missed > 0 {
			clear(c.verdicts)
		}
	}
}

// outcome of a deployment's verdict, read from the ledger when not remembered.
func (c *recall) outcome(reader ledger.Reader, id string) outcome {
	c.mu.Lock()
	o, ok := c.verdicts[id]
	turn := c.turn
	c.mu.Unlock()
	if ok {
		return o
	}
	if v, known := reader.Verdict(id); known {
		o = outcome{Known: true, State: v.State}
		if t := decidedAt(v); !t.IsZero() && !v.WatchedFrom.IsZero() {
			o.Took = t.Sub(v.WatchedFrom)
		}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.live.Load() && turn == c.turn { // else an update may have come between
		if c.verdicts == nil || len(c.verdicts) >= keptVerdicts {
			c.verdicts = map[string]outcome{}
		}
		c.verdicts[id] = o
	}
	return o
}

// kept is one remembered listing. Callers must not change it.
type kept[T any] struct {
	mu    sync.Mutex
	value T
	at    time.Time // zero: nothing remembered
	turn  uint64    // times forgotten
}

func (k *kept[T]) get(live bool, read func() T) T {
	k.mu.Lock()
	value, at, turn := k.value, k.at, k.turn
	k.mu.Unlock()
	if live && !at.IsZero() && time.Since(at) < keptFor {
		return value
	}
	began := time.Now()
	value = read()
	k.mu.Lock()
	defer k.mu.Unlock()
	if live && turn == k.turn { // else an update may have come between
		k.value, k.at = value, began
	}
	return value
}

func (k *kept[T]) forget() {
	k.mu.Lock()
	defer k.mu.Unlock()
	var none T
	k.value, k.at = none, time.Time{}
	k.turn++
}

// everyDeployment lists all that the ledger keeps, baselines too, newest first.
func (s *site) everyDeployment() []event.Deployment {
	c := &s.hub.recall
	return c.deployments.get(c.live.Load(), func() []event.Deployment {
		return s.reader.Deployments(ledger.Query{Limit: everything, Baselines: true})
	})
}

// recentChanges lists the newest commits.
func (s *site) recentChanges() []event.Change {
	c := &s.hub.recall
	return c.changes.get(c.live.Load(), func() []event.Change {
		return s.reader.Changes(ledger.ChangeQuery{Limit: recentChangesLimit})
	})
}

// recentRuns indexes the newest pipeline runs.
func (s *site) recentRuns() runsByRevision {
	c := &s.hub.recall
	return c.runs.get(c.live.Load(), func() runsByRevision {
		runs := runsByRevision{}
		for _, run := range s.reader.PipelineRuns(ledger.RunQuery{Limit: recentRunsLimit}) {
			key := revisionKey(run.Revision)
			runs[key] = append(runs[key], run)
		}
		return runs
	})
}
