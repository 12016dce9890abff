package detect

import (
	"fmt"
	"math"
	"slices"
	"strings"

	"github.com/deployloop/deployloop/internal/event"
)

// givens are what a recomputation took as it is, by what, and of which
// indicators.
type givens struct {
	what []string
	of   map[string][]string
}

func (g *givens) add(what, of string) {
	if g.of[what] == nil {
		g.what = append(g.what, what)
	}
	if !slices.Contains(g.of[what], of) {
		g.of[what] = append(g.of[what], of)
	}
}

// maxGivenNames bounds the indicators that are named.
const maxGivenNames = 4

// given lists by name what was not checked, since its inputs are gone or would
// have no bound: whoever reads that a verdict agrees must know what it rests on.
func (d *Document) given(g *givens) []string {
	out := []string{"the counts themselves: the telemetry that they were made of is gone"}
	if b := d.Verdict.Basis; b != nil && d.Verdict.Calibration.Source != event.CalibrationProvisional {
		out = append(out, fmt.Sprintf("the evidence of %d placebo windows, from which the threshold follows", b.Windows))
	} else if d.Verdict.Calibration.Source != event.CalibrationProvisional {
		out = append(out, "the threshold, but that it is not below ln(1/α)")
	}
	cut, shared := []string{}, false
	for k := range d.Indicators {
		p := &d.Indicators[k]
		if p.Shown.Signal == event.SignalLatency || p.Shown.Signal == event.SignalGauge {
			cut = append(cut, p.name())
		}
		shared = shared || p.Shown.Signal == event.SignalThroughput && p.Shown.Operation == "" && !p.Pattern
	}
	if len(cut) > 0 {
		out = append(out, "at which values they are cut, quantiles of the past: "+names(cut))
	}
	for _, what := range g.what {
		out = append(out, what+": "+names(g.of[what]))
	}
	if shared {
		out = append(out, "how much traffic was usual by then, from the weeks before and from peers")
	}
	out = append(out, "which instances were new and which old, which indicators are critical, and the order in which they came, which gives their shares (that shares add up to no more than one is checked)")
	if d.Rest.Indicators > 0 {
		out = append(out, fmt.Sprintf("the evidence of %d more indicators, in sum", d.Rest.Indicators))
	}
	if d.Verdict.State == event.Exonerated {
		out = append(out, "the reason of the exoneration (that no other harm was left is checked)")
	}
	return out
}

func names(list []string) string {
	if more := len(list) - maxGivenNames; more > 0 {
		return strings.Join(list[:maxGivenNames], ", ") + fmt.Sprintf(" and %d more", more)
	}
	return strings.Join(list, ", ")
}

// margins are the smallest and the largest that were tested with.
func (l *LevelPart) margins() (low, high float64) {
	low = math.Inf(1)
	for _, s := range l.Steps {
		if s.NewEvents+s.OldEvents+s.Exposure > 0 {
			low, high = math.Min(low, s.Margin), math.Max(high, s.Margin)
		}
	}
	return low, high
}

// leastMargin is the least that a kind of indicator is tested with.
func leastMargin(p *IndicatorPart, ratio float64) float64 {
	switch {
	case p.Shown.Signal == event.SignalThroughput && p.Shown.Operation == "" && !p.Pattern:
		return trafficMargin
	case p.Shown.Signal == event.SignalThroughput:
		return vanishMargin
	case p.Shown.Signal == event.SignalGauge:
		return math.Min(gaugeMargin, ratio)
	}
	return ratio
}
