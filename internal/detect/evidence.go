package detect

import (
	"math"
	"slices"
)

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
	began int64 // the second before its first
	ticks int32 // with exposure, so far
	// always: every start counts in full, π ≡ 1 (Shiryaev–Roberts); see always.go.
	always bool
	// The cells by two neighbours. Until an event tells cells apart, one pair
	// stands for all: most of what a watch opens never sees one.
	one    *[1]cellPair
	all    *[trackers]cellPair
	asides *[trackers]aside // nil: nothing but pairs of counts, of weights up to one
}

// pairs are those that there are.
func (p *process) pairs() []cellPair {
	switch {
	case p.all != nil:
		return p.all[:]
	case p.one != nil:
		return p.one[:]
	}
	return nil
}

// cellPair is R of two neighbouring cells, and the onset of the lower one.
type cellPair struct {
	r [2]float64
	tracker
}

// product is the same without the mixture over starts: it speaks of all that
// was tested. It keeps ln R, which needs no exponential before it is asked for.
type product struct {
	logs  *[cells]float64 // nil: nothing was told yet
	ticks int32
}

const (
	cells  = 8
	maxR   = 1e250
	maxLog = 600
)

// The ratios that are looked for, beyond the margin, and for a lower rate their
// inverses; with each r its logarithm and r − 1.
var (
	ratios   = [cells]float64{1.1, 1.25, 1.5, 2, 3, 5, 10, 30}
	logCells = math.Log(cells)
	grids    [2]grid
)

type grid struct{ ratio, less, log [cells]float64 }

// grid is the side's.
func (s side) grid() *grid {
	if s == lower {
		return &grids[1]
	}
	return &grids[0]
}

func init() {
	for i, r := range ratios {
		grids[0].ratio[i], grids[0].less[i], grids[0].log[i] = r, r-1, math.Log(r)
		grids[1].ratio[i], grids[1].less[i], grids[1].log[i] = 1/r, 1/r-1, -math.Log(r)
	}
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
	c.heavy = max(c.heavy, d.heavy)
}

func (c *counts) sub(d counts) {
	c.xc -= d.xc
	c.wc -= d.wc
	c.xs -= d.xs
	c.ws -= d.ws
}

// pairLogs are the log-likelihood ratios of one second of paired counts, a cell
// each: binomial, conditional on the events of both. margin > 1.
func pairLogs(c counts, margin float64, s side, out *[cells]float64) {
	n := c.xc + c.xs
	if c.ws <= 0 || n == 0 {
		*out = [cells]float64{}
		return
	}
	m, g := margin, s.grid()
	if s == lower {
		m = 1 / m
	}
	base := m * c.wc / (m*c.wc + c.ws) // θ₀
	for i, less := range g.less {
		out[i] = 1 + base*less
	}
	ln(out[:])
	for i, l := range g.log {
		out[i] = c.xc*l - n*out[i]
	}
}

// rateLogs are the log-likelihood ratios of one second against a known bound
// of the control's rate: Poisson.
func rateLogs(x, w, bound, margin float64, s side, out *[cells]float64) {
	mean := bound * margin * w
	if s == lower {
		mean = bound / margin * w
	}
	g := s.grid()
	for i, l := range g.log {
		out[i] = x*l - mean*g.less[i]
	}
}

// odds are the likelihood ratios of one second, and the logarithms of those
// whose onset is followed.
type odds struct {
	ratio [cells]float64
	log   [trackers]float64
	some  bool // false: all are one
}

// of takes them from the logarithms of all.
func (o *odds) of(logs *[cells]float64) {
	o.some = *logs != [cells]float64{}
	for k, cell := range trackedCells {
		o.log[k] = logs[cell]
	}
	if o.some {
		o.ratio = *logs
		exp(o.ratio[:])
	}
}

// fewEvents is how many of a second have their odds by multiplication: beyond,
// and where events are no whole ones, e^logs is taken. Nothing overflows: the
// largest ratio is 30.
const fewEvents = 200

// pair are those of pairLogs.
func (o *odds) pair(c *counts, margin float64, s side) {
	n := c.xc + c.xs
	if o.some = n > 0 && c.ws > 0; !o.some {
		o.log = [trackers]float64{}
		return
	}
	if n > fewEvents || n != math.Trunc(n) || c.xc != math.Trunc(c.xc) {
		var logs [cells]float64
		pairLogs(*c, margin, s, &logs)
		o.of(&logs)
		return
	}
	m, g := margin, s.grid()
	if s == lower {
		m = 1 / m
	}
	base := m * c.wc / (m*c.wc + c.ws) // θ₀
	var rest [cells]float64            // (1−θ_r)/(1−θ₀)
	for i, less := range g.less {
		rest[i] = 1 / (1 + base*less)
		o.ratio[i] = 1
	}
	for k, cell := range trackedCells {
		o.log[k] = rest[cell]
	}
	ln(o.log[:])
	for k, cell := range trackedCells {
		o.log[k] = c.xc*g.log[cell] + n*o.log[k]
	}
	pow(&o.ratio, &rest, int(n))
	if c.xc > 0 {
		pow(&o.ratio, &g.ratio, int(c.xc))
	}
}

// step adds one second with exposure. The logs are of that second.
func (p *process) step(logs *[cells]float64, sec int64, c counts) {
	var o odds
	o.of(logs)
	p.take(&o, sec, &c)
}

// take is step by the odds.
func (p *process) take(o *odds, sec int64, c *counts) {
	p.ticks++
	if p.ticks == 1 {
		p.began = sec - 1
	}
	if o.some {
		p.hold(trackers)
	} else {
		p.hold(1)
	}
	if p.asides == nil && (c.wh != 0 || c.eh != 0 || c.heavy > 1) {
		p.asides = new([trackers]aside)
	}
	pi, at := p.prior(p.ticks), int32(sec-p.began)
	list := p.pairs()
	for k := range list {
		x := &list[k]
		x.r[0] += pi
		x.r[1] += pi
		if o.some {
			x.r[0] = min(x.r[0]*o.ratio[2*k], maxR)
			x.r[1] = min(x.r[1]*o.ratio[2*k+1], maxR)
		}
		goes := x.step(float32(o.log[k]), at, p.ticks, c)
		if p.asides == nil {
			continue
		}
		if a := &p.asides[k]; goes {
			a.wh += float32(c.wh)
			a.eh += float32(c.eh)
			a.heavy = max(a.heavy, float32(c.heavy))
		} else {
			*a = aside{}
		}
	}
}

// hold makes so many pairs of cells: what one stood for is theirs.
func (p *process) hold(n int) {
	switch {
	case p.all != nil || n == 1 && p.one != nil:
		return
	case n == 1:
		p.one = new([1]cellPair)
		return
	}
	p.all = new([trackers]cellPair)
	if p.one == nil {
		return
	}
	for k := range p.all {
		p.all[k] = p.one[0]
		if p.asides != nil {
			p.asides[k] = p.asides[0]
		}
	}
	p.one = nil
}

// step adds one second; it begins at R = 1.
func (p *product) step(logs *[cells]float64) {
	p.ticks++
	if p.logs == nil {
		if *logs == ([cells]float64{}) {
			return
		}
		p.logs = new([cells]float64)
	}
	for i, l := range logs {
		p.logs[i] = max(min(p.logs[i]+l, maxLogR), minLogR)
	}
}

// R is clamped at 1e250 and 1e-280.
const maxLogR, minLogR = 575.6462732485115, -644.7238260383328

// tempered is process.tempered for it.
func (p *product) tempered(phi float64) float64 {
	if p.logs == nil {
		return 0
	}
	e := p.logE()
	if e+logCells > 0 {
		e = (e+logCells)/math.Max(phi, 1) - logCells
	}
	return e
}

// logE is ln E.
func (p *product) logE() float64 {
	top, l := slices.Max(p.logs[:]), *p.logs
	for i := range l {
		l[i] -= top
	}
	exp(l[:])
	sum := 0.
	for _, r := range l {
		sum += r
	}
	return top + math.Log(sum) - logCells
}

// logE is ln E.
func (p *process) logE() float64 {
	sum := 0.
	if p.one != nil {
		sum = cells * p.one[0].r[0]
	}
	if p.all != nil {
		for k := range p.all {
			sum += p.all[k].r[0]
			sum += p.all[k].r[1]
		}
	}
	return math.Log(sum) - logCells
}

// leading is the tracker at or just below the winning cell: where that one's
// likelihood grew, a lower cell's did too, for ℓ is concave in ln r and 0 at r = 1.
func (p *process) leading() *tracker {
	list := p.pairs()
	if len(list) == 0 {
		return new(tracker)
	}
	return &list[p.lead()].tracker
}

// lead is the place of the leading pair.
func (p *process) lead() int {
	best, most := 0, 0.
	if p.all == nil {
		return best
	}
	for k := range p.all {
		if r := max(p.all[k].r[0], p.all[k].r[1]); r > most {
			best, most = k, r
		}
	}
	if most >= maxR { // and others may be
		best = 0
		for k := range p.all {
			if p.all[k].gain > p.all[best].gain {
				best = k
			}
		}
	}
	return best
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
	cost := logCells - p.logPrior(lead.tick)
	e = math.Max(e, float64(lead.gain)-cost) // where R is clamped: one term of the mixture
	if e+cost <= 0 {
		return e
	}
	return (e+cost)/phi - cost
}

// upperRate is an upper confidence bound of a Poisson rate from x events
// (inflated by φ) in w of exposure, at level α: Chernoff's bound, solved by
// Newton's method. +Inf without exposure.
func upperRate(x, w, phi, alpha float64) float64 {
	if w <= 0 {
		return math.Inf(1)
	}
	x /= phi
	target := math.Log(1 / alpha)
	if x == 0 {
		return target * phi / w
	}
	// Convex: from the second step on it comes down to the root and never passes it.
	root := math.Sqrt(2 * target / x)
	rise := x * rateSeries(root)
	for range boundSteps {
		by := (rise - x*math.Log1p(rise/x) - target) * (x + rise) / rise
		if rise -= by; math.Abs(by) <= boundEnough*rise {
			break
		}
	}
	return (x + rise) * phi / w
}

// rateSeries solves u − ln(1+u) = η²/2 by its series, near enough within |η| < 2
// for one step of Newton's to be the last: beyond, three terms serve better.
func rateSeries(eta float64) float64 {
	if math.Abs(eta) > 2 {
		return eta * (1 + eta*(1./3+eta/36))
	}
	return eta * (1 + eta*(1./3+eta*(1./36+eta*(-1./270+eta*(1./4320+eta*(1./17010-eta*139/5443200))))))
}

// Newton's method ends after so many steps, or where one moves so little that
// its square is nothing: it takes two or three.
const (
	boundSteps  = 30
	boundEnough = 1e-7
)

// lowerRate is the mirror of upperRate; 0 without exposure or events.
func lowerRate(x, w, phi, alpha float64) float64 {
	if w <= 0 || x <= 0 {
		return 0
	}
	x /= phi
	target := math.Log(1/alpha) / x
	root := math.Sqrt(2 * target)
	fall := root*root/2 - rateSeries(-root) // of the mean, as ln(x/mean): convex as above
	for range boundSteps {
		less := math.Expm1(-fall)
		by := (less + fall - target) / -less
		if fall -= by; math.Abs(by) <= boundEnough*fall {
			break
		}
	}
	return x * math.Exp(-fall) * phi / w
}
