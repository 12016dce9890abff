package detect

import (
	"math"
	"math/bits"
	"slices"

	"github.com/deployloop/deployloop/internal/event"
)

// An indicator is one thing that may get worse: the paired counts of one
// signal of one operation or pattern, with their evidence.
type indicator struct {
	kind      signalKind
	class     class
	side      side
	sway      sway
	firstEver bool      // never seen before this watch: see novelty
	cleared   bool      // exonerated: it counts no more
	early     bool      // recorded from its begin
	aside     AsideKind // its operation is counted aside
	best      uint8     // its strongest level
	op        int32     // -1: the whole service
	pattern   int32     // -1: none
	started   uint32    // second from which it counts
	share     float32   // wᵢ, its share of the deployment's evidence
	phi       float32   // of its strongest level
	nats      float64   // ln of its E, tempered

	levels []level // one, or one a latency bound
	test   *latencyTest
	more   *indicatorMore // see opt and with

	firstBad int64 // event time of the first bad item of the new cohort, ns
}

// indicatorMore is what few indicators have.
type indicatorMore struct {
	gauge *gaugeTest // of a gauge
	slice float64    // exposure of the new cohort that took its partner from history
	carry float64    // events that came in a second without exposure
	old   *process   // the old cohort against history: "old version affected too"
	now   *process   // the new cohort against history, whatever the control
}

var noMore indicatorMore

// opt is what an indicator has of these, to be read; with is for writing.
func (i *indicator) opt() *indicatorMore {
	if i.more == nil {
		return &noMore
	}
	return i.more
}

func (i *indicator) with() *indicatorMore {
	if i.more == nil {
		i.more = new(indicatorMore)
	}
	return i.more
}

// single is an indicator with its one level.
type single struct {
	indicator
	level [1]level
}

// sway is how a kind of rates wavers.
type sway uint8

const (
	steady sway = iota
	clustered
	vanishing
)

var sways = [...]struct{ noise, drift float64 }{
	steady:    {priorNoise, priorInstance},
	clustered: {patternNoise, patternNoise / 2},
	vanishing: {vanishNoise, vanishNoise / 2},
}

// noise is σ of the rate, with a memory of noiseMemory; drift the same between
// then and now, against history.
func (i *indicator) noise() float64 { return sways[i.sway].noise }
func (i *indicator) drift() float64 { return sways[i.sway].drift }

// floor is δ, the least absolute rise of the rate.
func (i *indicator) floor(w *watch) float64 {
	switch {
	case i.signal() == event.SignalErrors:
		return w.minError
	case i.signal() == event.SignalLatency:
		return latencyFloor
	case i.pattern >= 0 && i.signal() != event.SignalThroughput:
		return patternFloor
	}
	return 0
}

// newIndicator makes an indicator with the class's next share.
func (w *watch) newIndicator(signal event.Signal, op, pattern int32, c class) *indicator {
	w.counts[c]++
	var i *indicator
	if signal == event.SignalLatency || signal == event.SignalGauge {
		i = new(indicator)
	} else {
		one := new(single)
		i, one.levels = &one.indicator, one.level[:]
	}
	i.kind, i.op, i.pattern, i.class = kindOfSignal(signal), op, pattern, c
	i.share, i.early, i.started = float32(classShare[c]*arrivalShare(w.counts[c])), len(w.indicators) < earlyRecorded, uint32(max(w.opened, 0))
	if w.signals != nil && !slices.Contains(w.signals, signal) {
		i.cleared = true
	}
	w.indicators = append(w.indicators, i)
	persist := float32(priorInstance)
	if op >= 0 {
		if i.aside = w.operationAt(op).aside.Kind; i.aside == AsideShare || i.aside == AsideRate {
			i.sway, persist = clustered, patternNoise/2
		}
	}
	switch {
	case signal == event.SignalErrors:
		i.levels[0] = level{margin: float32(w.minRatio), persist: persist}
		n, failed := w.base.total()
		past := &w.base.Errors
		if op >= 0 && int(op) < len(w.base.Ops) {
			n, failed, past = w.base.Ops[op].N, w.base.Ops[op].Failed, w.base.Ops[op].Errors
		} else if op >= 0 {
			n, failed = 0, 0
		}
		i.levels[0].setBase(failed, n, i.noise(), w.base.Seconds, w.alpha, past.spread())
		i.levels[0].with().better = &product{}
		if w.mayBeCritical(op) {
			i.levels[0].with().tol = &tolerance{}
		}
	case signal == event.SignalThroughput:
		i.side, i.sway = lower, vanishing
		i.levels[0] = level{side: lower, margin: vanishMargin, persist: vanishNoise / 2}
		switch {
		case op >= 0:
			i.levels[0].setBase(w.base.Ops[op].N, w.base.Requests, i.noise(), w.base.Seconds, w.alpha, volumeSpread(w.base.Ops[op].Recent, &w.base.Recent))
		case pattern >= 0:
			p := &w.base.Patterns[pattern]
			i.levels[0].setBase(p.Count, w.base.Requests, i.noise(), w.base.Seconds, w.alpha, clumped(p.Count, w.base.Bins, p.Bins))
		default:
			i.levels[0].margin = trafficMargin
			x, t := 0., 0.
			w.base.Recent.course(func(n, failed float64) { x, t = x+n-failed, t+binSeconds })
			i.levels[0].setBase(x, t, i.noise(), t, w.alpha, w.base.Traffic.spread())
		}
	case pattern >= 0:
		i.sway = clustered
		i.levels[0] = level{margin: float32(w.minRatio), persist: patternNoise / 2}
		var p patternHistory
		if int(pattern) < len(w.base.Patterns) {
			p = w.base.Patterns[pattern]
		}
		exposure := w.base.Requests
		if exposure == 0 {
			exposure = w.base.Lines
		}
		i.levels[0].setBase(p.Count, exposure, i.noise(), w.base.Seconds, w.alpha, clumped(p.Count, w.base.Bins, p.Bins))
		i.firstEver = p.Count == 0
	}
	return i
}

type class uint8

// The classes of indicators and their shares of a deployment's evidence; what
// is left over of one stays an E of 1. Callers speak through gauges that name
// the service they call.
const (
	classGolden class = iota
	classNovelty
	classTail
	classCallers
	classes
)

var classShare = [classes]float64{.5, .2, .1, .2}

// arrivalShare is the share of the j-th indicator of a class, from 1: ∝ 1/(j·ln²(j+1)),
// never renormalised.
func arrivalShare(j int) float64 {
	const sum = 3.3877 // Σ over all j, rounded up
	l := math.Log(float64(j) + 1)
	return 1 / (float64(j) * l * l) / sum
}

// The prior of the variance–time curve; see docs/detection.md.
const (
	noiseMemory    = 20. // seconds
	priorNoise     = .1
	priorInstance  = .1
	patternNoise   = .5
	vanishNoise    = .12
	errorTolerance = 1.5
	errorRise      = .005
	vanishMargin   = 3.
	trafficMargin  = 2.
	latencyFloor   = .005
	patternFloor   = .0005
	refreshMargin  = 8 // tests, at first; see refreshes
	firstEverMin   = 3 // occurrences before a first-ever pattern is evidence
)

// latencySpread is the prior relative spread of the tail share between
// instances of one version, by tail share: on real rollouts pods of one
// version differ by 10 % in median latency and 65 % in p95.
func latencySpread(tail float64) float64 {
	switch {
	case tail > .35:
		return .15
	case tail > .15:
		return .25
	case tail > .07:
		return .4
	case tail > .03:
		return .55
	case tail > .003:
		return .7
	default:
		return 1
	}
}

// novelSlices are how many times the new cohort's exposure is taken from the
// history as its partner, a grid cell each, until the history is used up.
var novelSlices = [cells]float64{3000, 1000, 300, 100, 30, 10, 3, 0}

// novelRatio is r for first-ever events.
const novelRatio = 1000

var novelLog = math.Log(novelRatio)

// noveltyLogs is pairLogs for an event that history never saw: history's
// exposure, with no events in it, joins the partner's. A cell spends it at its
// own pace, each part once.
func noveltyLogs(c counts, margin, spent, history float64, out *[cells]float64) {
	if c.xc+c.xs == 0 {
		*out = [cells]float64{}
		return
	}
	var d [cells]float64
	for i, k := range novelSlices {
		ws := c.ws
		if k*(spent+c.wc) <= history {
			ws += k * c.wc
		}
		d[i] = ws
		if ws > 0 {
			d[i] = (margin*c.wc + ws) / (margin*novelRatio*c.wc + ws)
		}
	}
	logs := d
	ln(logs[:])
	for i, l := range logs {
		out[i] = 0
		if d[i] > 0 {
			out[i] = c.xc*(novelLog+l) + c.xs*l
		}
	}
}

// refreshes says whether the margin is found anew after so many tests: every
// refreshMargin, and from 128 on every eighth to sixteenth part of them all, for
// more do not move a bound that rests on all.
func refreshes(tests int32) bool {
	every := max(int32(1)<<bits.Len32(uint32(tests))>>4, refreshMargin)
	return tests%every == 0
}

// refresh sets the margin from what earlier seconds said, and those only: not
// while seconds wait that will be tested with it.
func (i *indicator) refresh(w *watch, l *level) {
	if !refreshes(l.harm.ticks) || l.opt().held != nil && l.opt().held.pend != (counts{}) || l.side == lower {
		return
	}
	floor := i.floor(w)
	if floor <= 0 {
		return
	}
	l.margin = float32(w.minRatio)
	p := l.controlBound(true)
	if w.young { // history is all there is, and its bound holds what it leaves open
		p = float64(l.upper)
	}
	if p > 0 && !math.IsInf(p, 1) {
		l.margin = float32(math.Max(w.minRatio, 1+floor/p))
	}
}

// step counts one second at one level. concurrent says whether the partner is
// the old cohort; else it is history. It gives the counts that were tested:
// exporters batch, so a second may hold only one of the cohorts; such seconds
// wait for their partner, and are then tested as one. (Grouping by exposure
// alone keeps the counts given exposure what they are.)
func (i *indicator) step(w *watch, l *level, sec int64, c counts, concurrent bool) (counts, bool) {
	if c.wc <= 0 && c.xc > 0 {
		i.with().carry += c.xc
		c.xc = 0
	} else if c.wc > 0 && i.more != nil {
		c.xc += i.more.carry
		i.more.carry = 0
	}
	concurrent = concurrent && i.aside != AsideCaller
	i.refresh(w, l)
	l.total.add(c)
	c, ok := l.pair(c, concurrent && !i.firstEver)
	if !ok {
		return c, false
	}
	var logs [cells]float64
	var o odds
	switch {
	case i.firstEver:
		noveltyLogs(c, float64(l.margin), i.with().slice, l.base.Exposure, &logs)
		o.of(&logs)
		i.with().slice += c.wc
	case concurrent:
		o.pair(&c, float64(l.margin), l.side)
	case l.base.Exposure > 0:
		bound := float64(l.upper)
		if l.side == lower {
			bound = float64(l.lower)
		}
		rateLogs(c.xc, c.wc, bound, float64(l.margin), l.side, &logs)
		o.of(&logs)
		c.wh, c.eh = c.wc, bound*c.wc
		l.with().wh += c.wh
		l.with().eh += c.eh
	}
	if concurrent || c.wh > 0 || i.firstEver {
		w.note(i, l, sec, &c, &o)
		l.harm.always = w.always
		if o.some && l.harm.told == nil {
			l.hear(sec, c)
		}
		l.harm.take(&o, sec, &c)
	} else {
		if l.opt().held == nil {
			l.with().held = new(held)
		}
		l.opt().held.untested.add(c)
	}
	if l.opt().better != nil {
		switch {
		case concurrent && !o.some && !i.firstEver:
			l.opt().better.ticks++ // no event tells nothing
			return c, true
		case concurrent:
			pairLogs(c, w.minRatio, !l.side, &logs)
		case l.base.Exposure > 0 && l.side == upper:
			rateLogs(c.xc, c.wc, float64(l.lower), w.minRatio, lower, &logs)
		default:
			logs = [cells]float64{}
		}
		l.opt().better.step(&logs)
	}
	return c, true
}

// tolerated is ln E of "worse than tolerance".
func (i *indicator) tolerated(w *watch, l *level) (nats, phi float64) {
	if l.opt().tol == nil {
		return 0, 1
	}
	// What the new cohort does is asked, not what the version would on other
	// instances: differences between instances are no noise here.
	all := l.counts()
	all.heavy = w.design()
	phi = i.inflation(w, l, all, w.span(l.harm.began(), w.engine.open.Load()-1, l.harm.ticks), false)
	return toleranceNats(&l.opt().tol.ratio, &l.opt().tol.rise, phi), phi
}

// toleranceNats is ln E of two tests of "worse than tolerated", which means both.
func toleranceNats(ratio, rise *product, phi float64) float64 {
	a := ratio.tempered(phi)
	if rise.ticks == 0 {
		return a
	}
	return logAddExp(a, rise.tempered(phi)) - math.Ln2
}

// inflation is φ for counts of a window of such a length.
func (i *indicator) inflation(w *watch, l *level, c counts, long extent, instances bool) float64 {
	if i.opt().gauge != nil && !i.firstEver {
		return i.opt().gauge.inflation(c)
	}
	d := i.dispersion(w, l, instances)
	return d.phi(c, long)
}

// weigh brings the indicator's evidence up to date.
func (i *indicator) weigh(w *watch, sec int64) {
	best := math.Inf(-1)
	nats := w.engine.nats[:0]
	for k := range i.levels {
		e, phi := i.levelNats(w, &i.levels[k], sec)
		if i.levels[k].harm.ticks > 0 && e > best {
			best, i.best, i.phi = e, uint8(k), float32(phi)
		}
		nats = append(nats, e)
	}
	i.nats = meanE(nats)
	w.engine.nats = nats
	if i.firstEver && i.levels[0].total.xc < firstEverMin {
		i.nats = math.Min(i.nats, 0)
	}
}

// meanE is ln of the mean of E, given as their logarithms.
func meanE(nats []float64) float64 {
	if len(nats) == 1 {
		return min(nats[0], maxLog)
	}
	sum := 0.
	for _, e := range nats {
		sum += math.Exp(math.Min(e, maxLog))
	}
	return math.Log(sum / float64(len(nats)))
}

func logAddExp(a, b float64) float64 {
	if a < b {
		a, b = b, a
	}
	return a + math.Log1p(math.Exp(b-a))
}
