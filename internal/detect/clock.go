package detect

import (
	"sync/atomic"
	"time"
)

// lossClockBack counts how often this machine's clock was set back.
const lossClockBack = "clock_set_back"

// A clock turns event times into the engine's own, which never runs back.
// While a machine's clock catches up after a small step back, time stands
// still. Set back by more than items may be late, it would stand still for
// hours and every item be too late, without a word; so the step is added to
// all event times from then on: seconds already closed stay closed, and how
// long something lasted stays right. Telemetry of machines whose clocks were
// not set back is then ahead, and counted as such.
type clock struct {
	skew atomic.Int64 // ns, whole seconds, added to event times
	now  int64        // of the last Tick, the engine's own ns; belongs to Tick
}

// at is an event time in the engine's own.
func (c *clock) at(event int64) int64 { return event + c.skew.Load() }

// second is the engine's own second of a time.
func (c *clock) second(t time.Time) int64 { return t.Unix() + c.skew.Load()/second }

// timeOf is the event time of an own second; the zero time for 0.
func (c *clock) timeOf(sec int64) time.Time {
	if sec == 0 {
		return time.Time{}
	}
	return c.wall(sec * second)
}

// told is the event time of an own one; the zero time for 0.
func (c *clock) told(ns int64) time.Time {
	if ns == 0 {
		return time.Time{}
	}
	return c.wall(ns)
}

// wall is the event time of an own one.
func (c *clock) wall(ns int64) time.Time { return time.Unix(0, ns-c.skew.Load()).UTC() }

// advance moves to now, and says whether the clock was set back since.
func (c *clock) advance(now time.Time, tolerance time.Duration) (setBack bool) {
	at := c.at(now.UnixNano())
	if back := c.now - at; back > int64(tolerance) {
		step := (back + second - 1) / second * second
		c.skew.Add(step)
		at += step
		setBack = true
	}
	c.now = max(c.now, at)
	return setBack
}
