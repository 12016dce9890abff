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
// R is kept as a plain number times 2^512 to the process's scale: what a large
// service's counts tell goes far beyond a float's range, and noise divides it by
// hundreds (φ). It is free of drift below since π_t is added.
//
// Every bound of every operation has one, so its size is what an open indicator
// costs (docs/cost.md): until an event tells cells apart, R is Σπ in all of them,
// and nothing need be kept. Most of what a watch opens never sees one.
type process struct {
	first  uint32 // second of its first test
	ticks  int32  // tests, so far
	always bool   // every start counts in full, π ≡ 1 (Shiryaev–Roberts); see always.go
	scale  int16  // R is r·2^(512·scale)
	told   *told  // nil: no event yet
}

// told is what events told a process.
type told struct {
	r        [cells]float64 // R, less the scale
	trackers [trackers]tracker
	asides   *[trackers]aside // nil: nothing but pairs of counts, of weights up to one
}

// began is the second before the first.
func (p *process) began() int64 { return int64(p.first) - 1 }

// product is the same without the mixture over starts: it speaks of all that
// was tested. It keeps ln R, which needs no exponential before it is asked for.
type product struct {
	logs  *[cells]float64 // nil: nothing was told yet
	ticks int32
}

const (
	cells  = 8
	maxLog = 600 // of an E that is told
	// R and what it grows by in a second are in units of 2^512 to a power; ln of it.
	scaleBits = 512
	scaleLog  = scaleBits * math.Ln2
	maxScale  = math.MaxInt16
	highR     = 0x1p40
	lowR      = 0x1p-480
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
	ratio [cells]float64 // less the scale
	log   [trackers]float64
	some  bool  // false: all are one
	scale int16 // of the ratios
}

// of takes them from the logarithms of all.
func (o *odds) of(logs *[cells]float64) {
	o.some, o.scale = *logs != [cells]float64{}, 0
	for k, cell := range trackedCells {
		o.log[k] = logs[cell]
	}
	if !o.some {
		return
	}
	o.ratio = *logs
	if top := slices.Max(logs[:]); math.Abs(top) > scaleLog { // beyond a float's range
		o.scale = int16(max(min(math.Round(top/scaleLog), maxScale), -maxScale))
		for k := range o.ratio {
			o.ratio[k] = min(o.ratio[k]-float64(o.scale)*scaleLog, scaleLog)
		}
	}
	exp(o.ratio[:])
}

// fewEvents is how many of a second have their odds by multiplication: beyond,
// and where events are no whole ones, e^logs is taken. Nothing overflows: the
// largest ratio is 30.
const fewEvents = 200

// pair are those of pairLogs.
func (o *odds) pair(c *counts, margin float64, s side) {
	n := c.xc + c.xs
	o.scale = 0
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
		p.first = uint32(sec)
	}
	if p.told == nil {
		if !o.some {
			return
		}
		p.hear(sec, p.ticks-1, &counts{})
	}
	if p.told.asides == nil && (c.wh != 0 || c.eh != 0 || c.heavy > 1) {
		p.told.asides = new([trackers]aside)
	}
	p.grow(o)
	at := int32(sec - p.began())
	for k := range p.told.trackers {
		goes := p.told.trackers[k].step(float32(o.log[k]), at, p.ticks, c)
		if p.told.asides == nil {
			continue
		}
		if a := &p.told.asides[k]; goes {
			a.wh += float32(c.wh)
			a.eh += float32(c.eh)
			a.heavy = max(a.heavy, float32(c.heavy))
		} else {
			*a = aside{}
		}
	}
}

// grow is R_t = (R_{t−1} + π_t)·L_t.
func (p *process) grow(o *odds) {
	pi, r := p.prior(p.ticks), &p.told.r
	if p.scale != 0 {
		pi = math.Ldexp(pi, -scaleBits*int(p.scale))
	}
	if !o.some {
		for k := range r {
			r[k] += pi
		}
		return
	}
	top := 0.
	for k := range r {
		r[k] = (r[k] + pi) * o.ratio[k]
		top = max(top, r[k])
	}
	if top > highR || o.scale != 0 || p.scale != 0 && top < lowR {
		p.rescale(int(p.scale)+int(o.scale), top)
	}
}

// rescale keeps R, so far at a scale, within a float's range: the largest of
// 2^40 at most, so that a second's ratio times it is a number.
func (p *process) rescale(scale int, top float64) {
	by := 0
	for scale < 0 || top > highR {
		by, scale, top = by-scaleBits, scale+1, math.Ldexp(top, -scaleBits)
	}
	for scale > 0 && top < lowR {
		by, scale, top = by+scaleBits, scale-1, math.Ldexp(top, scaleBits)
	}
	p.scale = int16(min(scale, maxScale))
	for k := range p.told.r {
		p.told.r[k] = math.Ldexp(p.told.r[k], by)
	}
}

// hear makes room for what an event tells in a second, after so many tests
// without any, of these counts.
func (p *process) hear(sec int64, tests int32, before *counts) {
	p.told = &told{}
	sum, latest := p.priorSum(tests), int64(0)
	if tests > 0 {
		latest = min(max(sec-int64(p.first), 0), math.MaxUint16)
	}
	for k := range p.told.r {
		p.told.r[k] = sum
	}
	for k := range p.told.trackers {
		t := &p.told.trackers[k]
		t.tick, t.latest = 1, uint16(latest)
		t.since = sums{float32(before.xc), float32(before.wc), float32(before.xs), float32(before.ws)}
	}
	if before.wh != 0 || before.eh != 0 || before.heavy > 1 {
		p.told.asides = new([trackers]aside)
		for k := range p.told.asides {
			p.told.asides[k] = aside{float32(before.wh), float32(before.eh), float32(before.heavy)}
		}
	}
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
		p.logs[i] = max(p.logs[i]+l, minLogR)
	}
}

// minLogR is the least ln R that is told, 1e-280: a second of a large service
// brings R below a float's range, and no ln is told of zero.
const minLogR = -644.7238260383328

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
	if p.told == nil {
		return math.Log(p.priorSum(p.ticks))
	}
	sum := 0.
	for _, r := range p.told.r {
		sum += r
	}
	return max(math.Log(sum)+float64(p.scale)*scaleLog, minLogR) - logCells
}

// leading is the tracker at or just below the winning cell.
func (p *process) leading() *tracker {
	if p.told == nil {
		return &tracker{tick: 1}
	}
	return &p.told.trackers[trackerOf(p.lead())]
}

// lead is the winning cell.
func (p *process) lead() int {
	best, most := 0, 0.
	for k, r := range p.told.r {
		if r > most {
			best, most = k, r
		}
	}
	return best
}

// tempered is ln E with its likelihood part divided by φ ≥ 1, the Pearson ratio
// of counts in the window since the onset. Each term π·Λ of the mixture becomes
// π·Λ^{1/φ}, whose mean is at most π by Jensen: tempering never weakens the
// guarantee, and the prior's cost of having looked at every start and cell is
// paid in full. Without an event there is no likelihood.
func (p *process) tempered(phi float64) float64 {
	if p.told == nil || phi <= 1 {
		return p.logE()
	}
	return p.temper(p.leading(), phi)
}

// temper is tempered by the leading tracker.
func (p *process) temper(lead *tracker, phi float64) float64 {
	e := p.logE()
	if phi <= 1 {
		return e
	}
	cost := logCells - p.logPrior(lead.tick)
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
