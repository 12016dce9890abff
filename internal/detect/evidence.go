package detect

import "math"

// A process is an anytime-valid e-process for "the rate of new is at most m
// times the rate of old" (or, mirrored, at least 1/m times), as a mixture over
// a grid of rate ratios and over the seconds at which a change may begin.
//
// For each grid cell, R_t = (R_{t−1} + π_t)·L_t, Σπ ≤ 1, and E = ΣR / #cells.
// R is kept as a plain number: it is clamped at e^575, where every threshold
// was passed long ago, and is free of drift below since π_t is added.
//
// Every bound of every operation has one, so its size is what an open indicator
// costs (docs/cost.md).
type process struct {
	steady
	began int64 // the second before its first
	total counts
	track [trackers]tracker
}

// steady is the same without the mixture over starts and without an onset: it
// speaks of all that was tested.
type steady struct {
	r     [cells]float64
	ticks int32 // with exposure, so far
	// always: every start counts in full, π ≡ 1 (Shiryaev–Roberts); see always.go.
	always bool
}

// prior is π_t of this process.
func (p *steady) prior(t int32) float64 {
	if p.always {
		return 1
	}
	return onsetWeight(t)
}

const (
	cells  = 8
	maxR   = 1e250
	maxLog = 600
)

// grid holds ln r of the ratios that are looked for, beyond the margin.
var (
	ratios   = [cells]float64{1.1, 1.25, 1.5, 2, 3, 5, 10, 30}
	logRatio [cells]float64
	logCells = math.Log(cells)
)

// onsetShare: π_1 = .5, the rest ∝ 1/(t·ln²(t+1)).
var onsetScale float64

func init() {
	for i, r := range ratios {
		logRatio[i] = math.Log(r)
	}
	sum := 0.
	const n = 200000
	for t := 2; t <= n; t++ {
		l := math.Log(float64(t) + 1)
		sum += 1 / (float64(t) * l * l)
	}
	sum += 1 / math.Log(n) // the integral of the tail, from above
	onsetScale = .5 / sum
}

// onsetWeight is π_t, t from 1.
func onsetWeight(t int32) float64 {
	if t <= 1 {
		return .5
	}
	l := math.Log(float64(t) + 1)
	return onsetScale / (float64(t) * l * l)
}

// side is the direction of a test.
type side bool

const (
	upper side = false // harm is a higher rate
	lower side = true  // harm is a lower rate
)

// counts is one second's paired counts: events and exposure of the new cohort
// and of its control. Against a bound from history instead of a partner, wh is
// the exposure of the new cohort so tested, and eh the events expected in it.
// heavy is the largest weight of an item in either cohort: that many events of
// a sampled stream may be one.
type counts struct{ xc, wc, xs, ws, wh, eh, heavy float64 }

func (c *counts) add(d counts) {
	c.xc += d.xc
	c.wc += d.wc
	c.xs += d.xs
	c.ws += d.ws
	c.wh += d.wh
	c.eh += d.eh
	c.heavy = math.Max(c.heavy, d.heavy)
}

// pairLogs are the log-likelihood ratios of one second of paired counts, a cell
// each: binomial, conditional on the events of both. margin > 1.
func pairLogs(c counts, margin float64, s side, out *[cells]float64) {
	if c.ws <= 0 || c.xc+c.xs == 0 {
		*out = [cells]float64{}
		return
	}
	m := margin
	if s == lower {
		m = 1 / m
	}
	base := m*c.wc + c.ws
	for i, r := range ratios {
		l := logRatio[i]
		if s == lower {
			r, l = 1/r, -l
		}
		d := math.Log(base / (m*r*c.wc + c.ws))
		out[i] = c.xc*(l+d) + c.xs*d
	}
}

// rateLogs are the log-likelihood ratios of one second against a known bound
// of the control's rate: Poisson.
func rateLogs(x, w, bound, margin float64, s side, out *[cells]float64) {
	mean := bound * margin * w
	if s == lower {
		mean = bound / margin * w
	}
	for i, r := range ratios {
		l := logRatio[i]
		if s == lower {
			r, l = 1/r, -l
		}
		out[i] = x*l - mean*(r-1)
	}
}

// step adds one second with exposure. The logs are of that second.
func (p *process) step(logs *[cells]float64, sec int64, c counts) {
	p.ticks++
	pi := p.prior(p.ticks)
	for i := range p.r {
		p.r[i] += pi
		if l := logs[i]; l != 0 {
			p.r[i] = math.Min(p.r[i]*math.Exp(math.Min(l, maxLog)), maxR)
		}
	}
	if p.ticks == 1 {
		p.began = sec - 1
	}
	p.total.add(c)
	at := int32(sec - p.began)
	for i := range p.track {
		p.track[i].step(float32(logs[trackedCells[i]]), at, p.ticks, &c)
	}
}

// step adds one second; it begins at one.
func (p *steady) step(logs *[cells]float64) {
	if p.ticks == 0 {
		for i := range p.r {
			p.r[i] = 1
		}
	}
	p.ticks++
	for i, l := range logs {
		if l != 0 {
			p.r[i] = math.Max(math.Min(p.r[i]*math.Exp(math.Min(l, maxLog)), maxR), 1e-280)
		}
	}
}

// tempered is process.tempered for it.
func (p *steady) tempered(phi float64) float64 {
	if p.ticks == 0 {
		return 0
	}
	e := p.logE()
	if e+logCells > 0 {
		e = (e+logCells)/math.Max(phi, 1) - logCells
	}
	return e
}

// logE is ln E.
func (p *steady) logE() float64 {
	sum := 0.
	for _, r := range p.r {
		sum += r
	}
	return math.Log(sum) - logCells
}

// leading is the tracker at or just below the winning cell: where that one's
// likelihood grew, a lower cell's did too, for ℓ is concave in ln r and 0 at r = 1.
func (p *process) leading() *tracker {
	best := 0
	for i, r := range p.r {
		if r > p.r[best] {
			best = i
		}
	}
	if p.r[best] >= maxR { // and others may be
		best = 0
		for i := range p.track {
			if p.track[i].gain > p.track[best].gain {
				best = i
			}
		}
		return &p.track[best]
	}
	return &p.track[best/2]
}

// tempered is ln E with its likelihood part divided by φ ≥ 1, the Pearson ratio
// of counts in the window since the onset. Each term π·Λ of the mixture becomes
// π·Λ^{1/φ}, whose mean is at most π by Jensen: tempering never weakens the
// guarantee, and the prior's cost of having looked at every start and cell is
// paid in full.
func (p *process) tempered(phi float64) float64 {
	e, lead := p.logE(), p.leading()
	if phi <= 1 {
		return e
	}
	cost := logCells - math.Log(p.prior(lead.tick))
	e = math.Max(e, float64(lead.gain)-cost) // where R is clamped: one term of the mixture
	if e+cost <= 0 {
		return e
	}
	return (e+cost)/phi - cost
}

const trackers = 4

// trackedCells are the cells whose onset is followed: r = 1.1, 1.5, 3, 10.
var trackedCells = [trackers]int{0, 2, 4, 6}

// tracker follows G_t = max(0, G_{t−1}+ℓ_t) of one cell: the onset is the
// second after its last zero, and its confidence set holds the seconds at which
// the sum S of all ℓ was within two nats of its minimum there. Seconds count
// from the process's begin.
type tracker struct {
	gain   float32 // G
	heavy  float32 // largest weight since the minimum
	at     int32   // second of the minimum (the last before the change)
	latest int32   // last second with S within two nats of the minimum
	tick   int32   // of the process, first after the minimum
	rungs  int32
	since  sums // counts since the minimum
	ladder [ladderSteps]rung
}

// rung is a second at which S was at its lowest yet, and how far it fell from
// there to the next rung's, or of the last to the minimum.
type rung struct {
	at   int32
	fell float32
}

// sums are counts in half the room: exact up to sixteen million.
type sums struct{ xc, wc, xs, ws, wh, eh float32 }

const (
	ladderSteps = 5
	ladderGap   = .5 // nats between rungs: five cover two nats and more
	onsetNats   = 2
)

func (t *tracker) step(l float32, at, tick int32, c *counts) {
	if tick == 1 { // the process may have begun in the middle of the change
		t.tick, t.rungs = 1, 1
	}
	t.gain += l
	t.heavy = max(t.heavy, float32(c.heavy))
	if t.gain < 0 {
		t.lower(-t.gain, at)
		t.gain, t.at, t.tick, t.heavy, t.since = 0, at, tick+1, 0, sums{}
	} else {
		t.since.xc += float32(c.xc)
		t.since.wc += float32(c.wc)
		t.since.xs += float32(c.xs)
		t.since.ws += float32(c.ws)
		t.since.wh += float32(c.wh)
		t.since.eh += float32(c.eh)
	}
	if t.gain <= onsetNats {
		t.latest = at
	}
}

// lower notes that the minimum fell, with a rung when it fell by a gap.
func (t *tracker) lower(by float32, at int32) {
	last := &t.ladder[t.rungs-1]
	if last.fell += by; last.fell < ladderGap {
		return
	}
	if t.rungs == ladderSteps {
		copy(t.ladder[:], t.ladder[1:])
		t.rungs--
	}
	t.ladder[t.rungs] = rung{at: at}
	t.rungs++
}

// onset gives the best second and the confidence set's first and last.
func (p *process) onset(t *tracker) (at, earliest, latest int64) {
	first, fell := t.at, float32(0)
	for k := t.rungs - 1; k >= 0; k-- {
		if fell += t.ladder[k].fell; fell > onsetNats {
			break
		}
		first = min(first, t.ladder[k].at)
	}
	from := p.began + 1
	return from + int64(t.at), from + int64(first), from + int64(max(t.latest, t.at))
}

// last is the last second before the change.
func (p *process) last(t *tracker) int64 { return p.began + int64(t.at) }

// window is what was counted since the onset.
func (t *tracker) window() counts {
	s := &t.since
	return counts{float64(s.xc), float64(s.wc), float64(s.xs), float64(s.ws), float64(s.wh), float64(s.eh), float64(t.heavy)}
}

// upperRate is an upper confidence bound of a Poisson rate from x events
// (inflated by φ) in w of exposure, at level α: Chernoff's bound solved by
// bisection. +Inf without exposure.
func upperRate(x, w, phi, alpha float64) float64 {
	if w <= 0 {
		return math.Inf(1)
	}
	x /= phi
	target := math.Log(1 / alpha)
	lo, hi := x, x+target+2*math.Sqrt(target*(x+1))+2
	for hi-x+xlog(x, x/hi) < target {
		hi *= 2
	}
	for range 50 {
		mid := (lo + hi) / 2
		if mid-x+xlog(x, x/mid) < target {
			lo = mid
		} else {
			hi = mid
		}
	}
	return hi * phi / w
}

// lowerRate is the mirror of upperRate; 0 without exposure or events.
func lowerRate(x, w, phi, alpha float64) float64 {
	if w <= 0 || x <= 0 {
		return 0
	}
	x /= phi
	target := math.Log(1 / alpha)
	lo, hi := 0., x
	for range 50 {
		mid := (lo + hi) / 2
		if mid > 0 && mid-x+xlog(x, x/mid) < target {
			hi = mid
		} else {
			lo = mid
		}
	}
	return lo * phi / w
}

// xlog is x·ln(y) with 0·ln(anything) = 0.
func xlog(x, y float64) float64 {
	if x == 0 {
		return 0
	}
	return x * math.Log(y)
}
