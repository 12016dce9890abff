package detect

import (
	"math"
	"sort"
	"strings"

	"github.com/deployloop/deployloop/internal/event"
)

// Worse says which way a gauge gets worse.
type Worse uint8

// The directions of a gauge.
const (
	WorseBoth Worse = iota
	WorseHigher
	WorseLower
)

// Sample is one point of a gauge.
type Sample struct {
	Name   string // of the metric
	Series string // its attributes as text, "" without; part of what makes one gauge
	At     int64  // event time, Unix nanoseconds
	Value  float64
	Worse  Worse
	// Golden: it says how well requests are served (a success ratio, a
	// latency), not what serving costs (CPU, heap).
	Golden bool
	// Callee is the service that the sample speaks of when it is not the
	// source's own: the caller's view of it. It then counts for that service.
	Callee string
}

const (
	gaugeRing       = 600  // samples of one gauge that its history holds
	gaugeEnough     = 20   // samples in which quantiles can be found
	gaugePending    = 4096 // samples that wait at one service
	gaugeMargin     = 1.5
	gaugePriorICC   = .1  // correlation of samples of one instance, before any was seen
	gaugePriorPods  = 2.  // weight of that prior, in instances
	gaugeConcurrent = 180 // seconds for which the old cohort's last sample is a control
	maxGauges       = 200 // of a service
)

type gaugeKey struct{ name, series, client string }

// gauge is one gauge of a service: what its samples were of late.
type gauge struct {
	key    gaugeKey
	worse  Worse
	golden bool
	ring   [gaugeRing]gaugePast
	n, at  int

	excursions *excursions // of one that is searched, since its service was last deployed
}

type gaugePast struct {
	value  float64
	source *Source
}

func (g *gauge) learn(value float64, s *Source) {
	g.ring[g.at] = gaugePast{value, s}
	g.at = (g.at + 1) % gaugeRing
	g.n = min(g.n+1, gaugeRing)
}

// gaugeSample waits for its second to close.
type gaugeSample struct {
	gauge  *gauge
	source *Source
	second int64
	value  float64
	worse  Worse // as the settings have it now
	golden bool
}

// gauges are the gauges of one service. Their lock is the service's mu.
type gauges struct {
	byKey   map[gaugeKey]*gauge
	order   []*gauge
	pending []gaugeSample
	now     []gaugeSample    // of the second that closes; belongs to Tick
	twins   map[*Source]twin // of the old cohort, by instance; belongs to Tick
}

// Gauge counts one sample. Samples are rare beside spans, so they wait at the
// service and not in the source's open seconds.
func (s *Source) Gauge(x Sample) {
	if !finite(x.Value) {
		s.service.losses.add("invalid_gauge", 1)
		return
	}
	x.At = s.engine.clock.at(x.At)
	s.mu.Lock()
	if _, ok := s.weigh(1); !ok {
		s.items++
		s.mu.Unlock()
		return
	}
	ok := s.place(x.At) != nil
	s.mu.Unlock()
	if !ok {
		return
	}
	to, key := s.service, gaugeKey{name: cut(x.Name, maxText), series: cut(x.Series, maxText)}
	if x.Callee != "" && x.Callee != s.origin.Service {
		if !x.Golden || x.Worse != WorseLower {
			return // what a caller waits or spends is its own as well
		}
		to, key.client = s.engine.serviceOf(x.Callee, s.origin.Environment), s.origin.Service
	}
	to.gauge(s, key, x)
}

func (s *service) gauge(from *Source, key gaugeKey, x Sample) {
	lost := ""
	s.mu.Lock()
	g := s.gauges.byKey[key]
	switch {
	case len(s.gauges.pending) >= gaugePending:
		lost = "gauge_samples_over_limit"
	case g == nil && s.engine.sheds(shedNames):
		lost = lossMemoryGauges
	case g == nil && len(s.gauges.order) >= maxGauges:
		lost = "other_gauges"
	case g == nil:
		g = s.gauges.make(key, x)
	}
	if lost == "" {
		sec := max(x.At/second, s.engine.open.Load())
		s.gauges.pending = append(s.gauges.pending, gaugeSample{g, from, sec, x.Value, x.Worse, x.Golden})
	}
	s.mu.Unlock()
	if lost != "" {
		s.losses.add(lost, 1)
	}
}

// make registers a gauge.
func (g *gauges) make(key gaugeKey, x Sample) *gauge {
	if g.byKey == nil {
		g.byKey = map[gaugeKey]*gauge{}
	}
	key.name, key.series = strings.Clone(key.name), strings.Clone(key.series)
	made := &gauge{key: key, worse: x.Worse, golden: x.Golden}
	g.byKey[key] = made
	g.order = append(g.order, made)
	return made
}

// take moves the samples of a second, and of those before, out.
func (g *gauges) take(sec int64) {
	g.now = g.now[:0]
	later := g.pending[:0]
	for _, x := range g.pending {
		if x.second <= sec {
			g.now = append(g.now, x)
		} else {
			later = append(later, x)
		}
	}
	clear(g.pending[len(later):])
	g.pending = later
}

// closeGauges gives a second's samples to the watches and to history.
func (s *service) closeGauges(sec int64, frozen bool) {
	s.mu.Lock()
	s.gauges.take(sec)
	s.mu.Unlock()
	s.gauges.now = s.dropCopies(s.gauges.now)
	if len(s.gauges.now) == 0 {
		return
	}
	s.eachWatch(func(w *watch) {
		if w.undo != nil {
			w.undo.observeGauges(w, sec, s.gauges.now)
		}
		if !w.ended {
			w.observeGauges(sec, s.gauges.now)
		}
	})
	for _, x := range s.gauges.now {
		x.gauge.turn(x.worse, x.golden)
		s.excur(x.gauge, sec, x.value, frozen)
		// While a deployment is watched, only what is missing is learnt, and
		// only from what is not new.
		if !frozen || x.gauge.n < gaugeEnough && x.gauge.key.client == "" && !s.isFresh(x.source) {
			x.gauge.learn(x.value, x.source)
		}
	}
}

// turn takes the direction that the settings give. What a snapshot kept was
// learnt under another one, where they were changed since.
func (g *gauge) turn(worse Worse, golden bool) {
	if g.worse != worse || g.golden != golden {
		g.worse, g.golden, g.excursions = worse, golden, nil
	}
}

// searched says whether the always-on channel looks at it. What is not golden
// (processors, queues, active requests) follows the load: it has a course over
// the day as traffic has, which all instances share.
func (g *gauge) searched() bool { return g.golden }

// gaugeIndicator makes the indicator of a gauge once its history is enough.
func (w *watch) gaugeIndicator(g *gauge) *indicator {
	if i := w.byGauge[g]; i != nil {
		return i
	}
	if g.n < gaugeEnough || w.always && !g.searched() {
		return nil
	}
	c := classTail
	switch {
	case g.key.client != "":
		c = classCallers
	case g.golden:
		c = classGolden
	}
	i := w.newIndicator(event.SignalGauge, -1, -1, c)
	i.with().gauge = newGaugeTest(g)
	i.levels = make([]level, len(i.opt().gauge.bounds))
	for k, b := range i.opt().gauge.bounds {
		x, n, pods := g.base(b)
		l := &i.levels[k]
		l.base, l.complement, l.side, l.margin = event.Count{Events: x, Exposure: n}, b.within, side(b.within), gaugeMargin
		if b.within {
			l.margin = float32(w.minRatio)
		}
		design := 1 + (n/math.Max(pods, 1)-1)*i.opt().gauge.icc
		l.bound(design, w.alpha)
	}
	if w.byGauge == nil {
		w.byGauge = map[*gauge]*indicator{}
	}
	w.byGauge[g] = i
	return i
}

// rank is how directly a gauge says how well requests are served: success
// ratios and the like before latencies, what serving costs last.
func (g *gauge) rank() int {
	switch {
	case g.golden && g.worse == WorseLower:
		return 0
	case g.golden:
		return 1
	}
	return 2
}

// prepareGauges makes the indicators of the gauges that history knows, by rank.
// Success ratios, one for each edge of the service, have no order among them:
// they share evenly what falls to them.
func (w *watch) prepareGauges() {
	w.service.mu.Lock()
	list := append([]*gauge(nil), w.service.gauges.order...)
	w.service.mu.Unlock()
	sort.SliceStable(list, func(i, j int) bool { return list[i].rank() < list[j].rank() })
	var ratios [classes][]*indicator
	for _, g := range list {
		if i := w.gaugeIndicator(g); i != nil && g.rank() == 0 {
			ratios[i.class] = append(ratios[i.class], i)
		}
	}
	for _, of := range ratios {
		sum := 0.
		for _, i := range of {
			sum += float64(i.share)
		}
		for _, i := range of {
			i.share = float32(sum / float64(len(of)))
		}
	}
}

// observeGauges takes one second's samples of the service into the watch.
func (w *watch) observeGauges(sec int64, samples []gaugeSample) {
	type tally struct {
		of  *indicator
		new []float64
		old []float64
	}
	var order []*tally
	byGauge := map[*gauge]*tally{}
	for _, x := range samples {
		i := w.gaugeIndicator(x.gauge)
		if i == nil || i.cleared {
			continue
		}
		t := byGauge[x.gauge]
		if t == nil {
			t = &tally{of: i}
			byGauge[x.gauge] = t
			order = append(order, t)
		}
		// What callers see of the service is all of its instances: they are
		// compared with what they saw before.
		c := cohortNew
		switch {
		case x.gauge.key.client != "" && w.mixed():
			continue
		case x.gauge.key.client == "":
			c = w.cohortOf(x.source)
			if c == cohortNew && !x.gauge.golden && !x.source.settled(sec, w.warmup) {
				continue
			}
		}
		switch c {
		case cohortNew:
			t.new = append(t.new, x.value)
			i.opt().gauge.pods[x.source] = true
			w.gaugeSamples++
		case cohortOld:
			t.old = append(t.old, x.value)
			i.opt().gauge.oldAt = sec
		}
	}
	for _, t := range order {
		test := t.of.opt().gauge
		concurrent := test.oldAt != 0 && sec-test.oldAt <= gaugeConcurrent && test.gauge.key.client == ""
		for k := range t.of.levels {
			b := test.bounds[k]
			c := counts{wc: float64(len(t.new)), ws: float64(len(t.old))}
			for _, v := range t.new {
				if b.counts(v) {
					c.xc++
				}
			}
			for _, v := range t.old {
				if b.counts(v) {
					c.xs++
				}
			}
			if c.xc > 0 && !b.within && t.of.firstBad == 0 {
				t.of.firstBad = sec * second
			}
			t.of.step(w, &t.of.levels[k], sec, c, concurrent)
		}
	}
}

// levelOf is the index of one of an indicator's levels.
func (i *indicator) levelOf(l *level) int {
	for k := range i.levels {
		if &i.levels[k] == l {
			return k
		}
	}
	return 0
}

// gaugeControl is what the strongest gauge was compared with.
func (w *watch) gaugeControl() event.ControlKind {
	best := event.ControlNone
	top := math.Inf(-1)
	for _, i := range w.indicators {
		if i.opt().gauge == nil || i.nats <= top {
			continue
		}
		l := &i.levels[i.best]
		switch {
		case l.total.wc == 0:
			continue
		case l.total.ws > 0 && l.opt().wh < l.total.wc/2:
			best = event.ControlConcurrent
		default:
			best = event.ControlHistory
		}
		top = i.nats
	}
	return best
}
