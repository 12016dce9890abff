package detect

import (
	"fmt"
	"math"

	"github.com/deployloop/deployloop/internal/event"
)

// Recomputation is a verdict derived anew from a document's counts.
type Recomputation struct {
	Agrees     bool                    `json:"agrees"`
	Conclusive bool                    `json:"conclusive"` // false: the document holds too little to tell
	State      event.VerdictState      `json:"state"`      // as far as counts decide it
	Nats       float64                 `json:"nats"`
	Threshold  float64                 `json:"threshold"`
	Indicators []RecomputedIndicator   `json:"indicators"`
	Problems   []string                `json:"problems"` // why it does not agree
	Gaps       []string                `json:"gaps"`     // what could not be recomputed, though the verdict needs it
	Given      []string                `json:"given"`    // what was taken from the document as it is, without a check
	Tolerance  RecomputationTolerances `json:"tolerance"`
}

// RecomputedIndicator is one indicator's evidence, recomputed beside recorded.
type RecomputedIndicator struct {
	Signal    event.Signal `json:"indicator"`
	Operation string       `json:"operation,omitempty"`
	Recorded  float64      `json:"recorded_nats"`
	Nats      float64      `json:"nats"`
	Within    bool         `json:"within"` // shown to be within tolerance
	Exact     bool         `json:"exact"`  // no tests were taken together
	Verified  bool         `json:"verified"`
}

// RecomputationTolerances are how far recomputed evidence may lie from the
// recorded: Exact is relative and absolute (nats) where every test stands
// alone, what is left is the rounding of counts to seven digits; Coarse where
// tests were taken together.
type RecomputationTolerances struct {
	Exact, Coarse [2]float64 // absolute, relative
}

var recomputeTolerances = RecomputationTolerances{Exact: [2]float64{1e-3, 1e-4}, Coarse: [2]float64{.5, .05}}

// stepsLimit bounds the ticks of one level that are replayed: a week of seconds.
const stepsLimit = 7 * 86400

// Recompute derives the verdict anew from the counts in the document, with the
// engine's own statistics, and compares.
func (d *Document) Recompute() Recomputation {
	r := Recomputation{Threshold: d.Verdict.Threshold, Problems: []string{}, Gaps: []string{}, Given: []string{}, Indicators: []RecomputedIndicator{}, Tolerance: recomputeTolerances}
	wrong := func(format string, args ...any) { r.Problems = append(r.Problems, fmt.Sprintf(format, args...)) }
	if d.Schema != DocumentSchema {
		r.Gaps = append(r.Gaps, fmt.Sprintf("the document's schema is %q, this program reads %q", d.Schema, DocumentSchema))
		return r
	}
	if got := d.Settings.hash(); got != d.SettingsHash {
		wrong("the settings are not those of their hash %.12s: they give %.12s", d.SettingsHash, got)
	}
	alpha := d.Settings.FalseAlarms / 1000
	if least := math.Log(1 / alpha); !(d.Verdict.Threshold >= least) {
		wrong("the threshold of %.2f nats is below ln(1/α) = %.2f", d.Verdict.Threshold, least)
	}
	d.recomputeThreshold(alpha, wrong)
	d.recomputeList(wrong)
	g := &givens{of: map[string][]string{}}
	sum, left, low := 0., 1., 0. // low: what is proved
	within, criticals := true, 0
	for k := range d.Indicators {
		p := &d.Indicators[k]
		x := p.recompute(d, wrong, g)
		r.Indicators = append(r.Indicators, x)
		if !(p.Share >= 0 && p.Share <= 1) {
			wrong("%s: a share of %v", p.name(), p.Share)
			continue
		}
		if p.Critical {
			criticals++
			within = within && x.Within
		}
		if !p.Cleared {
			left -= p.Share
			e := p.Share * math.Exp(math.Min(x.Nats, maxLog))
			sum += e
			if x.Verified {
				low += e
			} else {
				r.Gaps = append(r.Gaps, p.name()+": its counts were not recorded, for want of room")
			}
		}
	}
	if d.Rest.Strongest <= 0 && d.Rest.Evidence > d.Rest.Share*(1+1e-9) {
		wrong("the indicators that are not listed claim more evidence (%.3g) than their share (%.3g) without harm", d.Rest.Evidence, d.Rest.Share)
	}
	if left -= d.Rest.Share; left < -1e-6 {
		wrong("the shares add up to more than one")
	}
	left = math.Max(left, 0)
	r.Nats = math.Log(sum + left + d.Rest.Evidence)
	proved := math.Log(low + left + math.Min(d.Rest.Evidence, d.Rest.Share))
	if !near(r.Nats, d.Verdict.Nats, r.coarse()) {
		wrong("the deployment's evidence is %.2f nats from the counts, and %.2f in the verdict", r.Nats, d.Verdict.Nats)
	}
	r.conclude(d, proved, within && criticals > 0, wrong)
	r.Given = d.given(g)
	r.Agrees = r.Conclusive && len(r.Problems) == 0
	return r
}

// conclude compares what follows with what was said.
func (r *Recomputation) conclude(d *Document, proved float64, within bool, wrong func(string, ...any)) {
	slack := 0.
	if r.coarse() {
		slack = recomputeTolerances.Coarse[0] + recomputeTolerances.Coarse[1]*r.Threshold
	}
	r.Conclusive = true
	harm := r.Nats >= r.Threshold
	switch {
	case harm:
		r.State = event.Regressed
	case within && r.Nats <= r.Threshold/2:
		r.State = event.Healthy
	default:
		r.State = event.Watching
	}
	switch d.Verdict.State {
	case event.Regressed:
		switch {
		case r.Nats < r.Threshold-slack:
			wrong("regressed, but the counts give %.2f nats of the %.2f needed", r.Nats, r.Threshold)
		case proved < r.Threshold-slack:
			r.Conclusive = false
			r.Gaps = append(r.Gaps, fmt.Sprintf("only %.2f of the %.2f nats needed rest on recorded counts", proved, r.Threshold))
		default:
			r.State = event.Regressed
		}
	case event.Healthy:
		if !within {
			wrong("healthy, but the counts do not show every critical indicator within tolerance")
		}
		if r.Nats > r.Threshold/2+slack {
			wrong("healthy, but there are %.2f nats of harm", r.Nats)
		}
	case event.Exonerated:
		if r.Nats >= r.Threshold+slack {
			wrong("exonerated, but what was not cleared gives %.2f nats of the %.2f needed", r.Nats, r.Threshold)
		}
		r.State = event.Exonerated
	default:
		if r.Nats >= r.Threshold+slack {
			wrong("%s, but the counts give %.2f nats of the %.2f needed for regressed", d.Verdict.State, r.Nats, r.Threshold)
		} else if !harm && r.State != event.Healthy {
			r.State = d.Verdict.State
		}
	}
}

func (r *Recomputation) coarse() bool {
	for _, i := range r.Indicators {
		if !i.Exact {
			return true
		}
	}
	return false
}

// near says whether two evidences agree.
func near(a, b float64, coarse bool) bool {
	t := recomputeTolerances.Exact
	if coarse {
		t = recomputeTolerances.Coarse
	}
	return math.Abs(a-b) <= t[0]+t[1]*math.Max(math.Abs(a), math.Abs(b))
}

func (p *IndicatorPart) name() string {
	name := string(p.Shown.Signal)
	if p.Shown.Operation != "" {
		name += " of " + p.Shown.Operation
	}
	return name
}

// recompute derives one indicator's evidence.
func (p *IndicatorPart) recompute(d *Document, wrong func(string, ...any), g *givens) RecomputedIndicator {
	x := RecomputedIndicator{Signal: p.Shown.Signal, Operation: p.Shown.Operation, Recorded: p.Nats, Exact: true, Verified: true}
	nats := make([]float64, len(p.Levels))
	tolerated, best := 0., -1
	var leading *replayed
	for k := range p.Levels {
		l := &p.Levels[k]
		if !l.Recorded {
			x.Verified, nats[k] = false, l.Nats
			continue
		}
		l.recomputeNoise(p, wrong, func(what string) { g.add(what, p.name()) })
		low, high := l.margins()
		if least := leastMargin(p, d.Settings.MinRateRatio); low < least*(1-1e-6) {
			wrong("%s, %s: a margin of %.4g, the least is %.4g", p.name(), l.Event, low, least)
		} else if high > least*(1+1e-6) && l.Dispersed.Clusters == nil {
			g.add("margins above the least, from earlier counts of the control", p.name())
		}
		l.rederive(alphaOf(d), func(format string, args ...any) {
			wrong("%s, %s: "+format, append([]any{p.name(), l.Event}, args...)...)
		})
		again, exact, err := l.recompute(p.Shown.FirstEver)
		if err != "" {
			wrong("%s, %s: %s", p.name(), l.Event, err)
		}
		e := again.nats
		nats[k] = e
		if again.ticks > 0 && (best < 0 || l.Nats > p.Levels[best].Nats) {
			best, leading = k, again
		}
		x.Exact = x.Exact && exact
		said := l.Nats
		if !exact { // below zero the order of what was taken together tells, and neither speaks for harm
			e, said = math.Max(e, 0), math.Max(said, 0)
		}
		if !near(e, said, !exact) {
			wrong("%s, %s: %.2f nats from the counts, %.2f in the document", p.name(), l.Event, e, l.Nats)
		}
		if t := l.Tolerance; t != nil {
			e := t.recompute()
			if !near(e, t.Nats, true) {
				wrong("%s, %s: %.2f nats against \"worse than tolerated\" from the counts, %.2f in the document", p.name(), l.Event, e, t.Nats)
			}
			tolerated = math.Max(tolerated, e)
			if t.Needed < -math.Log(d.Settings.HealthyAlpha)-1e-9 {
				wrong("%s: %.2f nats are not enough for healthy at %v", p.name(), t.Needed, d.Settings.HealthyAlpha)
			}
			slack := recomputeTolerances.Coarse[1] * t.Needed
			x.Within = x.Within || e >= t.Needed || t.Nats >= t.Needed && e >= t.Needed-slack
		}
	}
	if len(nats) > 0 {
		x.Nats = meanE(nats)
	}
	if p.Shown.FirstEver && len(p.Levels) > 0 && p.Levels[0].Tested.NewEvents < firstEverMin {
		x.Nats = math.Min(x.Nats, 0)
	}
	if !x.Verified {
		x.Nats = p.Nats
	} else if leading != nil {
		p.recomputeOnset(d, leading, wrong)
	}
	return x
}

func alphaOf(d *Document) float64 { return d.Settings.FalseAlarms / 1000 }

// recomputeList derives which indicators are called harmful (e-BH). Where
// some with evidence are not listed it cannot.
func (d *Document) recomputeList(wrong func(string, ...any)) {
	if d.Rest.Strongest > 0 {
		return
	}
	var nats []float64
	leader := math.Inf(-1)
	for k := range d.Indicators {
		if p := &d.Indicators[k]; !p.Cleared && p.Share > 0 {
			nats = append(nats, p.Nats)
			leader = math.Max(leader, p.Nats+math.Log(p.Share))
		}
	}
	bar := eBH(nats, len(nats)+d.Rest.Indicators)
	for k := range d.Indicators {
		p := &d.Indicators[k]
		harm := !p.Cleared && p.Share > 0 && (p.Nats >= bar || d.Verdict.State == event.Regressed && p.Nats+math.Log(p.Share) >= leader)
		if p.Shown.New.Exposure > 0 && harm != p.Shown.Harm {
			wrong("%s: harm is %v by the evidence of all, and %v in the document", p.name(), harm, p.Shown.Harm)
		}
	}
}

// rederive derives φ, and the bounds of the past rate, from what they follow from.
func (l *LevelPart) rederive(alpha float64, wrong func(string, ...any)) {
	d := l.Dispersed
	d.base, d.instanced = l.Base, true
	if l.Tested.NewExposure > 0 || l.Tested.BoundExposure > 0 {
		w, long := l.Window, extent{l.Seconds, l.Seconds}
		if l.Noisy > 0 {
			long.noise = l.Noisy
		}
		phi := d.phi(counts{w.NewEvents, w.NewExposure, w.OldEvents, w.OldExposure, w.BoundExposure, w.BoundMean, l.Heaviest}, long)
		if !same(phi, l.Phi) {
			wrong("phi is %.4g from the window's counts, %.4g in the document", phi, l.Phi)
		}
	}
	if l.Base.Exposure <= 0 {
		return
	}
	past := pastPhi(l.Base.Events, d.Noise, d.Seconds, d.Past)
	if d.Clusters != nil {
		past = 1 + (l.Base.Exposure/math.Max(d.Instances, 1)-1)*d.Clusters.Correlation
	}
	low, up := bounds(l.Base, past, alpha)
	if !same(low, l.Bounds[0]) || !same(up, l.Bounds[1]) {
		wrong("the past rate's bounds are %.4g and %.4g from its counts, %.4g and %.4g in the document", low, up, l.Bounds[0], l.Bounds[1])
	}
	for _, s := range l.Steps {
		mean := l.Bounds[1] * s.Margin * s.Exposure
		if l.Harm == "lower" {
			mean = l.Bounds[0] / s.Margin * s.Exposure
		}
		if s.Ticks == 1 && s.Exposure > 0 && math.Abs(mean-s.Mean) > 1e-4*mean+1e-9 {
			wrong("the bound allows %.4g events in the step at %d s, the document says %.4g", mean, s.At, s.Mean)
			return
		}
	}
}
