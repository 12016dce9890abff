package detect

import (
	"fmt"
	"math"
	"slices"
	"time"

	"github.com/deployloop/deployloop/internal/event"
)

// recomputeThreshold finds the threshold again where the document holds what it
// was found from.
func (d *Document) recomputeThreshold(alpha float64, wrong func(string, ...any)) {
	c, b := d.Verdict.Calibration, d.Verdict.Basis
	switch {
	case c.Source == event.CalibrationProvisional:
		b = &Basis{}
	case b == nil:
		return // written before it was kept
	case !b.usable(alpha, c.Source) || b.Windows != c.Windows:
		wrong("what the threshold was found from is not whole: %d of %d windows", len(b.Highest), c.Windows)
		return
	}
	if t := b.threshold(c, alpha); math.Abs(t-d.Verdict.Threshold) > 1e-6*t {
		wrong("the threshold is %.4f nats from %s placebo windows, %.4f in the verdict", t, c.Source, d.Verdict.Threshold)
	}
}

// prior is what is assumed of a kind of indicator: the noise of its rate, the
// drift between then and now, and the spread between instances.
type prior struct{ noise, drift, spread float64 }

func priorOf(p *IndicatorPart) []prior {
	plain, coarse := prior{priorNoise, priorInstance, priorInstance}, prior{patternNoise, patternNoise / 2, patternNoise / 2}
	switch p.Shown.Signal {
	case event.SignalThroughput:
		return []prior{{vanishNoise, vanishNoise / 2, vanishNoise / 2}}
	case event.SignalException, event.SignalLog:
		return []prior{coarse}
	case event.SignalErrors, event.SignalLatency:
		if p.Class == classNames[classTail] { // counters of metrics, too
			return []prior{plain, coarse}
		}
	}
	return []prior{plain}
}

// recomputeNoise compares what the noise is reckoned from with what is assumed
// of its kind, with the course of the past, and with what the instances of the
// past showed. What it has no inputs for it names.
func (l *LevelPart) recomputeNoise(p *IndicatorPart, wrong func(string, ...any), given func(what string)) {
	d := &l.Dispersed
	measured := p.Shown.Signal == event.SignalLatency // how far instances differ; of a gauge it does not matter
	if !slices.ContainsFunc(priorOf(p), func(x prior) bool {
		return x.noise == d.Noise && x.drift == d.Drift && (measured || d.Clusters != nil || same(x.spread, d.Spread))
	}) {
		wrong("%s, %s: a noise of %v, a drift of %v and a spread between instances of %v are not those of its kind", p.name(), l.Event, d.Noise, d.Drift, d.Spread)
	}
	if (d.Clusters != nil) != (p.Shown.Signal == event.SignalGauge) {
		wrong("%s, %s: samples of one instance hang together where they are a gauge's, and there alone", p.name(), l.Event)
		return
	}
	switch {
	case d.Clusters != nil && d.Clusters.Ranks == nil:
		given("how samples of one instance hang together")
	case d.Clusters != nil:
		if got := d.Clusters.Ranks.correlation(); !same(got, d.Clusters.Correlation) {
			wrong("%s, %s: a correlation of %.4g within instances follows from the ranks, %.4g in the document", p.name(), l.Event, got, d.Clusters.Correlation)
		}
		return // nothing else matters
	case measured && l.Fellows == nil:
		given("how far instances differ in latency")
	case measured:
		if got := l.Fellows.spread(); !same(got, d.Spread) {
			wrong("%s, %s: a spread of %.4g between instances follows from what they showed, %.4g in the document", p.name(), l.Event, got, d.Spread)
		}
	}
	if l.Course == nil {
		if l.Base.Exposure > 0 && !d.FirstEver {
			given("how noisy the past was")
		}
		return
	}
	said := spread{}
	if d.Past != nil {
		said = *d.Past
	}
	for k, v := range l.Course.spread() {
		if !same(v, said[k]) {
			wrong("%s, %s: the past's spread does not follow from its course", p.name(), l.Event)
			return
		}
	}
}

// same are two numbers that differ by rounding alone.
func same(a, b float64) bool {
	return math.Abs(a-b) <= 1e-6*math.Max(math.Abs(a), math.Abs(b))+1e-12
}

// recomputeOnset estimates the onset of an indicator that is called harmful
// from its counts anew, and compares.
func (p *IndicatorPart) recomputeOnset(d *Document, r *replayed, wrong func(string, ...any)) {
	said := p.Shown.Onset
	if said == nil || d.Window.Warmup == 0 { // written before it was kept
		return
	}
	second := func(t time.Time) int64 { return int64(math.Round(t.Sub(d.Window.Opened).Seconds())) }
	stride, warm := d.Window.Stride, int64(-1)
	switch p.Shown.Signal {
	case event.SignalGauge, event.SignalException, event.SignalLog:
		stride = 0
	case event.SignalThroughput:
		if p.Pattern {
			stride = 0
		}
		fallthrough
	case event.SignalLatency:
		warm = int64(d.Window.Warmup)
	}
	if d.Window.Ready.IsZero() {
		warm = -1
	}
	at, earliest, latest := r.onsetOf(stride, second(d.Window.Ready), warm)
	slack := r.within(at)
	for _, x := range []struct {
		what      string
		got, said int64
	}{{"onset", at, second(said.At)}, {"onset's earliest", earliest, second(said.Earliest)}, {"onset's latest", latest, second(said.Latest)}} {
		if off := x.got - x.said; off > slack || off < -slack {
			wrong("%s: the %s is %d s after the watch was opened by the counts, %d s in the document", p.name(), x.what, x.got, x.said)
			return
		}
	}
}

// recompute replays the tests of a level. exact: none were taken together.
func (l *LevelPart) recompute(firstEver bool) (p *replayed, exact bool, problem string) {
	p = &replayed{}
	if l.Phi < 1 || math.IsNaN(l.Phi) {
		return p, true, fmt.Sprintf("phi is %v; counts are never less than Poisson", l.Phi)
	}
	down := side(l.Harm == "lower")
	exact = !l.FirstLate
	var sum Tested
	spent := 0.
	for k, s := range l.Steps {
		if s.Ticks < 1 || int(p.ticks)+int(s.Ticks) > stepsLimit {
			return p, exact, fmt.Sprintf("a step of %d tests", s.Ticks)
		}
		n := float64(s.Ticks)
		c := counts{xc: s.NewEvents / n, wc: s.NewExposure / n, xs: s.OldEvents / n, ws: s.OldExposure / n}
		if s.Ticks > 1 && c.xc+c.xs+s.Exposure > 0 {
			exact = false
		}
		var paired, bound [cells]float64
		if !firstEver && s.NewExposure > 0 {
			pairLogs(c, s.Margin, down, &paired)
		}
		if s.Exposure > 0 {
			rateLogs(s.Events/n, 1, s.Mean/n, 1, down, &bound)
		}
		till := s.At + s.Ticks
		if k+1 < len(l.Steps) {
			till = l.Steps[k+1].At
		}
		p.spans = append(p.spans, span{int64(s.At), max(int64(till-s.At), 1)})
		for tick := range s.Ticks {
			if firstEver {
				noveltyLogs(c, s.Margin, spent, l.Base.Exposure, &paired)
				spent += c.wc
			}
			logs := paired
			for i := range logs {
				logs[i] += bound[i]
			}
			p.step(&logs, int64(s.At)+int64(tick)*int64(till-s.At)/int64(s.Ticks), c)
		}
		sum.NewEvents += s.NewEvents + s.Events
		sum.NewExposure += s.NewExposure + s.Exposure
		sum.OldEvents += s.OldEvents
		sum.OldExposure += s.OldExposure
	}
	if p.ticks == 0 {
		return p, exact, ""
	}
	for _, x := range []struct {
		what      string
		got, said float64
	}{
		{"events of the new version", sum.NewEvents, l.Tested.NewEvents},
		{"exposure of the new version", sum.NewExposure, l.Tested.NewExposure},
	} {
		if math.Abs(x.got-x.said) > 1e-4*math.Max(x.got, x.said)+1e-3 {
			problem = fmt.Sprintf("the steps hold %.6g %s, the sums %.6g", x.got, x.what, x.said)
		}
	}
	p.nats = p.tempered(l.Phi)
	return p, exact, problem
}

// replayed is an e-process made anew.
type replayed struct {
	process
	nats  float64
	spans []span // of its steps
}

// span is when a step begins, and the seconds till the next.
type span struct{ at, seconds int64 }

// within is how far apart an onset at so many seconds may be found: the steps
// around it, and a second for the rounding of counts.
func (r *replayed) within(at int64) int64 {
	most := int64(1)
	for _, s := range r.spans {
		if s.at-s.seconds <= at && at <= s.at+2*s.seconds && s.seconds > 1 {
			most = max(most, 2*s.seconds)
		}
	}
	return most
}

// recompute replays the tests of "worse than tolerated", whose order does not matter.
func (t *TolerancePart) recompute() float64 {
	replay := func(steps []Step) *product {
		p := &product{}
		for _, s := range steps {
			var paired, bound [cells]float64
			pairLogs(counts{xc: s.NewEvents, wc: s.NewExposure, xs: s.OldEvents, ws: s.OldExposure}, s.Margin, lower, &paired)
			if s.Exposure > 0 {
				rateLogs(s.Events, 1, s.Mean, 1, lower, &bound)
			}
			for i := range paired {
				paired[i] += bound[i]
			}
			p.step(&paired)
		}
		return p
	}
	return toleranceNats(replay(t.Ratio), replay(t.Rise), t.Phi)
}
