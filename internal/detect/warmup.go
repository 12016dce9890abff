package detect

import (
	"math"
	"time"

	"github.com/deployloop/deployloop/internal/event"
)

// An instance that has just started is slow for a while: caches are cold, code
// is not compiled yet. Latency, throughput, processor and memory of it do not
// count for max(Config.Warmup, twice the transient that the service's instances
// are known to have); failures, exceptions and what was never seen before count
// from the first second on. The transient is learnt from starts that were well:
// of deployments found healthy, and of instances that came without one.

const (
	youthBins  = 30                            // by age
	youthFor   = int64(youthBins * binSeconds) // seconds, and the longest warm-up
	youthLate  = 20                            // bins from this one on show what is usual
	youthTimes = 1.5                           // times the usual share of slow requests that are a transient
	youthNoise = .2                            // of that share, relatively, beside counting noise
	youthLeast = 2                             // starts from which a transient is known
	youthKeep  = .9                            // of what was known, at each start
	youthKnown = 60.                           // seconds for which a service is known before one of its instances is new
)

// youth is how slow one instance was by its age: requests slower than the q95
// of their operation, and how many of them there are usually.
type youth struct{ Slow, Expected [youthBins]float32 }

// transient is what starts of a service's instances have in common.
type transient struct {
	Slow, Expected [youthBins]float32
	Starts         float64 // that it is from, fading
}

func (t *transient) add(y *youth) {
	t.Starts = youthKeep*t.Starts + 1
	for k := range t.Slow {
		t.Slow[k] = youthKeep*t.Slow[k] + y.Slow[k]
		t.Expected[k] = youthKeep*t.Expected[k] + y.Expected[k]
	}
}

// length is how many seconds instances are slower than usual from their start on.
func (t *transient) length() int64 {
	if t.Starts < youthLeast {
		return 0
	}
	slow, expected := 0., 0.
	for k := youthLate; k < youthBins; k++ {
		slow, expected = slow+float64(t.Slow[k]), expected+float64(t.Expected[k])
	}
	if expected < 1 {
		return 0
	}
	usual := math.Max(slow, 1) / expected
	k := 0
	for ; k < youthLate; k++ {
		mean := youthTimes * usual * float64(t.Expected[k])
		if float64(t.Slow[k]) <= mean+3*math.Sqrt(mean+1+youthNoise*youthNoise*mean*mean) {
			break
		}
	}
	return int64(k) * binSeconds
}

// finite says whether all its sums are numbers.
func (t *transient) finite() bool {
	sum := t.Starts
	for k := range t.Slow {
		sum += float64(t.Slow[k]) + float64(t.Expected[k])
	}
	return finite(sum)
}

// warm sets how long the service's instances are left to warm up.
func (s *service) warm() {
	least := int64(s.engine.cfg.Warmup / time.Second)
	s.warmup = max(least, min(2*s.transient.length(), youthFor))
}

// follow takes one second of an instance that is young, and learns from it when
// it is not any more.
func (s *service) follow(sec int64, x *sample) {
	src := x.source
	if src.grown || x.test == nil || x.aside || x.cell.timed == 0 {
		return
	}
	age := sec - src.since()
	if age >= youthFor {
		if src.youth != nil && s.startedWell(src) {
			s.transient.add(src.youth)
			s.warm()
		}
		src.grown, src.youth = true, nil
		return
	}
	if src.youth == nil {
		if age > binSeconds || src.origin.StartedAt.IsZero() && s.history.Seconds < youthKnown {
			src.grown = true // its start was not seen: it may be older than this engine
			return
		}
		src.youth = new(youth)
	}
	bin := max(age, 0) / binSeconds
	for _, n := range x.cell.beyond[x.test.q95:] {
		src.youth.Slow[bin] += n
	}
	src.youth.Expected[bin] += x.cell.timed * float32(x.test.tail[x.test.q95])
}

// startedWell says whether an instance's start is an example of a good one.
func (s *service) startedWell(src *Source) bool {
	for _, w := range s.watches {
		if w.state != event.Healthy && w.cohortOf(src) == cohortNew {
			return false
		}
	}
	return s.always == nil || s.always.state != event.Regressed
}
