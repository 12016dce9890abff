package ledger

import (
	"cmp"
	"math"
	"slices"
	"sync/atomic"
	"time"
)

// Signal is a kind of telemetry.
type Signal uint8

// The signals.
const (
	Traces Signal = iota
	Metrics
	Logs
	signals
)

// Telemetry is one resource as it passes: what it lacks shows in Coverage.
type Telemetry struct {
	Service, Environment string
	Signal               Signal
	Version, Revision    bool      // the resource names one
	At                   time.Time // when it arrived
	Stamped              time.Time // what the sender's clock says of it; zero: not looked at
}

// Coverage is how the telemetry of one service in one environment was, since
// the start of the process.
type Coverage struct {
	Service, Environment string
	Seen                 [signals]time.Time // by Signal; zero: never
	Version, Revision    time.Time          // when a resource last named one; zero: never
	// Lag is the least that telemetry was behind the clock here, of the last
	// five to ten minutes: a sender's clock that is ahead shows below zero, one
	// that is behind (or a queue) far above. LagKnown is false when no time was
	// looked at.
	Lag      time.Duration
	LagKnown bool
}

// coverage of one place. The atomics are what the data path updates without a
// lock, as Unix nanoseconds.
type coverage struct {
	seen              [signals]atomic.Int64
	version, revision atomic.Int64

	window      atomic.Int64 // when low began
	low, before atomic.Int64 // least lag of this window and of the one before
}

const (
	lagWindow  = int64(5 * time.Minute)
	lagUnknown = math.MaxInt64
)

// RecordTelemetry notes that telemetry passes. When its place is known, which
// is the common case, it allocates nothing and takes no lock but a shared one.
func (l *Ledger) RecordTelemetry(t Telemetry) {
	if t.Service == "" || t.Signal >= signals {
		return
	}
	key := newSeenKey(t.Service, t.Environment, "", "")
	at := placeKey{key.service, key.environment}
	l.seenMu.RLock()
	c := l.covered[at]
	l.seenMu.RUnlock()
	if c == nil {
		if c = l.cover(at); c == nil {
			return
		}
	}
	now := unixNano(t.At)
	raise(&c.seen[t.Signal], now)
	if t.Version {
		raise(&c.version, now)
	}
	if t.Revision {
		raise(&c.revision, now)
	}
	if !t.Stamped.IsZero() {
		c.noteLag(now, now-unixNano(t.Stamped))
	}
}

// cover begins the coverage of a place; nil when there are too many.
func (l *Ledger) cover(at placeKey) *coverage {
	l.seenMu.Lock()
	c := l.covered[at]
	full := c == nil && len(l.covered) >= l.limits.Places
	if c == nil && !full {
		c = &coverage{}
		c.low.Store(lagUnknown)
		c.before.Store(lagUnknown)
		l.covered[at] = c
	}
	l.seenMu.Unlock()
	if full {
		l.mu.Lock()
		l.dropped["places"]++
		l.mu.Unlock()
	}
	return c
}

// raise writes at most once a second, so that cores do not fight for the line.
func raise(a *atomic.Int64, now int64) {
	if last := a.Load(); now-last >= int64(time.Second) || last == 0 {
		a.Store(now)
	}
}

// noteLag keeps the least lag. Racing calls may lose one; nothing depends on that.
func (c *coverage) noteLag(now, lag int64) {
	if began := c.window.Load(); now-began > lagWindow && c.window.CompareAndSwap(began, now) {
		c.before.Store(c.low.Swap(lagUnknown))
	}
	for {
		low := c.low.Load()
		if lag >= low || c.low.CompareAndSwap(low, lag) {
			return
		}
	}
}

// Coverage lists what telemetry was seen, by service and environment.
func (l *Ledger) Coverage() []Coverage {
	l.seenMu.RLock()
	list := make([]Coverage, 0, len(l.covered))
	for at, c := range l.covered {
		x := Coverage{Service: at.service, Environment: at.environment, Version: fromUnixNano(c.version.Load()), Revision: fromUnixNano(c.revision.Load())}
		for i := range c.seen {
			x.Seen[i] = fromUnixNano(c.seen[i].Load())
		}
		if lag := min(c.low.Load(), c.before.Load()); lag != lagUnknown {
			x.Lag, x.LagKnown = time.Duration(lag), true
		}
		list = append(list, x)
	}
	l.seenMu.RUnlock()
	slices.SortFunc(list, func(a, b Coverage) int {
		return cmp.Or(cmp.Compare(a.Service, b.Service), cmp.Compare(a.Environment, b.Environment))
	})
	return list
}

func fromUnixNano(n int64) time.Time {
	if n == 0 {
		return time.Time{}
	}
	return time.Unix(0, n).UTC()
}
