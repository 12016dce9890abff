package detect

import (
	"math"
	"slices"
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
	youthLeast = 2                             // of Starts, from which a transient is known: the third reaches it
	youthKeep  = .9                            // of what was known, at each start
	youthKnown = 60.                           // seconds for which a service is known before one of its instances is new
)

// youth is how slow one instance was by its age: requests slower than the q95
// of their operation, and how many of them there would be if it were as slow as
// the grown ones: Mantel and Haenszel's sums over seconds and operations, so
// that few requests a second do no harm.
type youth struct{ Slow, Expected [youthBins]float32 }

// grown are requests of an operation by grown instances, and the slow ones among
// them: of this second, or where metrics tell, of about a report.
type grown struct{ timed, slow float64 }

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
		// What is expected is counted too, and may be none by chance.
		slow, mean := float64(t.Slow[k]), youthTimes*usual*float64(t.Expected[k])
		if slow <= mean+3*math.Sqrt(math.Max(mean, slow)+1+youthNoise*youthNoise*mean*mean) {
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

// follow takes one second of the service's instances, and learns from those that
// are young when they are not any more.
func (s *service) follow(sec int64, samples []sample) {
	young := slices.ContainsFunc(samples, func(x sample) bool { return !x.source.grown })
	if !young && len(s.grown) == 0 {
		return
	}
	keep := 1 - 1/math.Max(float64(s.stride), 1)
	for op := range s.grown {
		g := &s.grown[op]
		g.timed, g.slow = g.timed*keep, g.slow*keep
	}
	for k := range samples {
		if x := &samples[k]; x.source.grown && x.test != nil && !x.aside {
			s.grown = growTo(s.grown, max(len(s.grown), int(x.op)+1))
			g := &s.grown[x.op]
			g.timed, g.slow = g.timed+float64(x.cell.timed), g.slow+x.slow()
		}
	}
	for k := range samples {
		s.raise(sec, &samples[k])
	}
	if !young {
		s.grown = nil
	}
}

// slow is how many were slower than the q95.
func (x *sample) slow() (n float64) {
	for _, over := range x.cell.beyond[x.test.q95:] {
		n += float64(over)
	}
	return n
}

// raise takes one second of an instance that may be young.
func (s *service) raise(sec int64, x *sample) {
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
	bin, own := max(age, 0)/binSeconds, float64(x.cell.timed)
	switch g := s.grownOf(x.op); {
	case g.timed > 0:
		src.youth.Slow[bin] += float32(x.slow() * g.timed / (own + g.timed))
		src.youth.Expected[bin] += float32(g.slow * own / (own + g.timed))
	case s.deploys(src): // in the place of all others: beside the past
		src.youth.Slow[bin] += float32(x.slow())
		src.youth.Expected[bin] += float32(own * x.test.tail[x.test.q95])
	}
}

func (s *service) grownOf(op int32) (g grown) {
	if int(op) < len(s.grown) {
		g = s.grown[op]
	}
	return g
}

// deploys says whether an instance came with a deployment that is watched.
func (s *service) deploys(src *Source) bool {
	return slices.ContainsFunc(s.watches, func(w *watch) bool { return w.cohortOf(src) == cohortNew })
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
