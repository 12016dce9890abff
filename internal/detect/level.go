package detect

import (
	"math"

	"github.com/deployloop/deployloop/internal/event"
)

// level is the evidence on one event definition of an indicator.
type level struct {
	total      totals // all seconds
	base       event.Count
	harm       process
	more       *levelMore // see opt and with
	margin     float32    // m, from earlier seconds
	persist    float32    // lasting difference between instances, relative
	upper      float32    // of the history's rate at α/2
	lower      float32
	side       side
	complement bool // events are the requests within the bound
	unrecorded bool // for want of room
}

// levelMore is what few levels have, else nil.
type levelMore struct {
	wh, eh float64    // see counts
	past   *spread    // of the rate in history
	held   *held      // what was not tested
	tol    *tolerance // where healthy asks
	better *product   // the evidence for the other side, of critical indicators
	rec    *levelRecord
}

var noLevelMore levelMore

// opt is what a level has of these, to be read; with is for writing.
func (l *level) opt() *levelMore {
	if l.more == nil {
		return &noLevelMore
	}
	return l.more
}

func (l *level) with() *levelMore {
	if l.more == nil {
		l.more = new(levelMore)
	}
	return l.more
}

// totals are counts of no weight.
type totals struct{ xc, wc, xs, ws float64 }

func (t *totals) add(c counts) {
	t.xc += c.xc
	t.wc += c.wc
	t.xs += c.xs
	t.ws += c.ws
}

// counts are those of all seconds.
func (l *level) counts() counts {
	t, o := &l.total, l.opt()
	return counts{t.xc, t.wc, t.xs, t.ws, o.wh, o.eh, 0}
}

// held is what a level counted and did not test.
type held struct {
	pend     counts // seconds in which only one cohort had exposure
	untested counts // seconds without anything to compare with
}

// hear begins what events tell the test of harm: all seconds but this one were silent.
func (l *level) hear(sec int64, c counts) {
	before := l.tested()
	before.sub(c)
	before.wh, before.eh = before.wh-c.wh, before.eh-c.eh
	l.harm.hear(sec, l.harm.ticks, &before)
}

// tested is what was.
func (l *level) tested() counts {
	c := l.counts()
	if l.opt().held != nil {
		c.sub(l.opt().held.pend)
		c.sub(l.opt().held.untested)
	}
	return c
}

// tolerance is the evidence against "worse than tolerated": by ratio, and by
// absolute level.
type tolerance struct {
	ratio, rise product
	pend        counts // of latency, whose pairs differ from its level's
}

// setBase takes the history's counts of a level and how noisy they were.
func (l *level) setBase(x, w, noise, seconds, alpha float64, past spread) {
	l.base = event.Count{Events: x, Exposure: w}
	if past != (spread{}) {
		l.with().past = &past
	}
	if w <= 0 {
		l.upper, l.lower = float32(math.Inf(1)), 0
		return
	}
	l.bound(pastPhi(x, noise, seconds, l.opt().past), alpha)
}

// bound sets the bounds of the past rate at α/2, from so noisy a history.
func (l *level) bound(phi, alpha float64) {
	low, up := bounds(l.base, phi, alpha)
	l.lower, l.upper = float32(low), float32(up)
}

// controlRate is an estimate of the control's rate, concurrent before history.
func (l *level) controlRate() float64 {
	if l.total.ws > 0 && (l.opt().wh < l.total.wc/2 || l.base.Exposure == 0) {
		return l.total.xs / l.total.ws
	}
	if l.base.Exposure > 0 {
		return l.base.Events / l.base.Exposure
	}
	return 0
}

// controlPast is history's rate, where it has any exposure.
func (l *level) controlPast() float64 { return l.base.Events / l.base.Exposure }

// controlBound is a 95 % bound of the control's rate from all that is known.
func (l *level) controlBound(up bool) float64 {
	if up {
		return math.Min(upperRate(l.total.xs, l.total.ws, 1, .05), upperRate(l.base.Events, l.base.Exposure, 1, .05))
	}
	if l.total.ws > 0 && (l.total.ws > l.base.Exposure || l.base.Exposure == 0) {
		return lowerRate(l.total.xs, l.total.ws, 1, .05)
	}
	return lowerRate(l.base.Events, l.base.Exposure, 1, .05)
}

// pair takes one second in and gives what can be tested: with a concurrent
// partner, once both have exposure; else what the new cohort did.
func (p *counts) pair(c counts, concurrent bool) (counts, bool) {
	p.add(c)
	if p.wc <= 0 || concurrent && p.ws <= 0 {
		return c, false
	}
	c = *p
	*p = counts{}
	return c, true
}

// pair is counts.pair with what waits at the level.
func (l *level) pair(c counts, concurrent bool) (counts, bool) {
	if l.opt().held == nil {
		if c.wc > 0 && (c.ws > 0 || !concurrent) {
			return c, true
		}
		l.with().held = new(held)
	}
	c, ok := l.more.held.pend.pair(c, concurrent)
	if *l.more.held == (held{}) {
		if l.more.held = nil; *l.more == (levelMore{}) {
			l.more = nil
		}
	}
	return c, ok
}

// tolerate counts one second of "worse than tolerance": harm at a rate ratio
// of tol or more and a rise of the rate by rise or more.
func (l *level) tolerate(c counts, tol, rise float64, concurrent bool) {
	var logs [cells]float64
	low := l.controlBound(false)
	if concurrent {
		pairLogs(c, 1/tol, lower, &logs)
		l.opt().tol.ratio.step(&logs)
		l.opt().rec.ratioPaired(c, 1/tol)
	} else if low > 0 {
		rateLogs(c.xc, c.wc, low, 1/tol, lower, &logs)
		l.opt().tol.ratio.step(&logs)
		l.opt().rec.ratioBound(c, low*tol)
	}
	if rise > 0 {
		rateLogs(c.xc, c.wc, low+rise, 1, lower, &logs)
		l.opt().tol.rise.step(&logs)
		l.opt().rec.riseBound(c, low+rise)
	}
}

// levelNats is ln E of one level, and the φ that tempers it.
func (i *indicator) levelNats(w *watch, l *level, sec int64) (nats, phi float64) {
	if l.harm.ticks == 0 {
		return 0, 1
	}
	if l.harm.told == nil {
		return l.harm.logE(), 1
	}
	k := trackerOf(l.harm.lead())
	t := &l.harm.told.trackers[k]
	phi = 1 // of nothing counted
	if t.since != (sums{}) {
		phi = i.inflation(w, l, l.harm.windowOf(k), i.since(w, &l.harm, t, sec), true)
	}
	return l.harm.temper(t, phi), phi
}
