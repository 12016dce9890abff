package detect

import (
	"math"

	"github.com/deployloop/deployloop/internal/event"
)

const (
	farthest   = 30 * 86400 // seconds that an ETA may be ahead
	driftPrior = 8.         // nats of a test that are worth as much as what is expected of it: ±50 %
	driftFrom  = 10         // seconds in which a drift shows
	promising  = .1         // nats of tolerance, from which it is looked forward to
	depth      = 2.         // see passage
)

// halfway is the median of the first passage of a log likelihood ratio over so
// many nats, in seconds at a drift of one nat a second: an inverse Gaussian, for
// the variance of such a ratio is twice its drift. The mean, nats/drift, is
// later: with one nat left, twice as late. Within 5 % from half a nat on.
func halfway(nats float64) float64 { return nats * nats / (nats + 1) }

// passage is in how many seconds the indicator will have gained so many nats, if
// what came since its onset goes on, and with the over-dispersion that longer
// windows have. NaN if it never will.
//
// The onset is told by the lowest point of the ratio's sum, which lies a nat
// below the true onset's and 1/drift after it, on average: so what was gained
// since is two nats too much.
func (i *indicator) passage(w *watch, sec int64, left float64) float64 {
	l := &i.levels[i.best]
	if l.harm.ticks == 0 {
		return math.NaN()
	}
	t := l.harm.leading()
	nats, phi := i.levelNats(w, l, sec)
	window, since := l.harm.window(), i.since(w, &l.harm, t, sec)
	gained := phi * (nats + logCells - math.Log(l.harm.prior(t.tick))) // before tempering
	if gained <= depth || since.clock <= 0 {
		return math.NaN()
	}
	goal := gained/phi + halfway(left)
	after := func(seconds float64) float64 {
		k := 1 + seconds/since.clock
		return (gained + (gained-depth)*(k-1)) / i.inflation(w, l, window.times(k), since.times(k), true)
	}
	lo, hi := 0., since.clock
	for after(hi) < goal {
		if lo, hi = hi, 2*hi; hi > farthest {
			return math.NaN()
		}
	}
	for range 30 {
		if mid := (lo + hi) / 2; after(mid) < goal {
			lo = mid
		} else {
			hi = mid
		}
	}
	return hi
}

// times is as many counts k times over.
func (c counts) times(k float64) counts {
	return counts{c.xc * k, c.wc * k, c.xs * k, c.ws * k, c.wh * k, c.eh * k, c.heavy}
}

// toleranceDrift is how many nats a second the test of "worse than tolerance"
// gains: what it gained, and of errors what it is due to gain while the new
// cohort fails as the control does. Seconds are those of the clock, be there
// requests in them or not. 0: not known.
func (i *indicator) toleranceDrift(w *watch, sec int64) float64 {
	for k := range i.levels {
		l := &i.levels[k]
		if l.opt().tol == nil {
			continue
		}
		nats, phi := i.tolerated(w, l)
		seconds := float64(sec - l.harm.began())
		if l.harm.ticks == 0 || seconds < driftFrom {
			return 0
		}
		if nats <= promising {
			return 0
		}
		if i.signal() != event.SignalErrors {
			return (nats + logCells) / seconds
		}
		due := l.due() / phi
		return (due*(nats+logCells) + driftPrior*due) / (due + driftPrior) / seconds
	}
	return 0
}

// due is what the better test of tolerance gains on average where the new cohort
// fails at the control's rate.
func (l *level) due() float64 {
	c, rate := l.counts(), l.controlRate()
	c.xc, c.xs = rate*c.wc, rate*c.ws
	low := l.controlBound(false)
	var logs [cells]float64
	most := 0.
	best := func() {
		for _, x := range logs {
			most = math.Max(most, x)
		}
	}
	switch {
	case c.ws > 0 && c.wh < c.wc/2:
		pairLogs(c, 1/errorTolerance, lower, &logs)
		best()
	case low > 0:
		rateLogs(c.xc, c.wc, low, 1/errorTolerance, lower, &logs)
		best()
	}
	rateLogs(c.xc, c.wc, low+errorRise, 1, lower, &logs)
	best()
	return most
}
