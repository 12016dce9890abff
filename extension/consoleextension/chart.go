package consoleextension

import (
	"math"
	"unicode"
	"unicode/utf8"

	"github.com/deployloop/deployloop/internal/event"
	"github.com/deployloop/deployloop/internal/wording"
)

// Sizes of what is drawn, in units of its own SVG.
const (
	barWidth   = 100.0
	chartWidth = 200.0
	chartPad   = 8.0
)

// meter is the evidence against what is needed, as a bar. The mark of the
// threshold always stands at the same place, so that bars can be compared; a
// bar that reaches the end holds at least half as much again as is needed.
type meter struct {
	Fill    float64 // of barWidth
	Mark    float64
	Reached bool
	Words   string
}

const markAt = barWidth * 2 / 3

func newMeter(nats, threshold float64) meter {
	m := meter{Mark: markAt}
	if !(threshold > 0) || math.IsInf(threshold, 0) || math.IsNaN(nats) {
		m.Words = "No threshold is known yet."
		return m
	}
	nats = max(0, nats)
	m.Reached = nats >= threshold
	m.Fill = min(barWidth, markAt*nats/threshold)
	m.Words = wording.Value(nats, "") + " nats of evidence; " + wording.Value(threshold, "") + " are needed"
	if m.Reached {
		m.Words += " (" + wording.Ratio(nats/threshold) + ")"
	}
	return m
}

// indicator is a row of the table of indicators.
type indicator struct {
	event.Evidence
	Name      string
	BeforeIs  string
	AfterIs   string
	Change    string
	Certainty string // the interval in words, or what is known instead
	Judgement string // worse | better | within | unsure
	Says      string // the judgement in words
	Counts    string
	Chart     chart
}

// chart draws before (a ring), after (a diamond) and the 95 % interval of
// after given before (a bar) on one line, from zero where that is in reach.
type chart struct {
	Drawn            bool
	Before, After    float64
	From, To         float64 // of the interval
	HasInterval      bool
	Least, Most, Alt string
}

func newIndicator(e event.Evidence, related []event.RelatedError) indicator {
	row := indicator{
		Evidence: e, Name: sentence(wording.Subject(e, related)),
		BeforeIs: wording.Value(e.Before, e.Unit), AfterIs: wording.Value(e.After, e.Unit),
		Change: wording.Difference(e.After-e.Before, e.Unit), Certainty: wording.Interval(e.Interval, e.Unit),
		Chart: newChart(e),
	}
	if e.Operation == "" && row.Name != "" {
		first, size := utf8.DecodeRuneInString(row.Name)
		row.Name = string(unicode.ToUpper(first)) + row.Name[size:]
	}
	if e.Before > 0 && e.After != e.Before {
		if r := wording.Ratio(e.Ratio); r != "" {
			row.Change += " (" + r + ")"
		}
	}
	switch {
	case e.Harm:
		row.Judgement, row.Says = "worse", "worse"
	case e.Improved:
		row.Judgement, row.Says = "better", "better"
	case e.Within:
		row.Judgement, row.Says = "within", "within tolerance"
	default:
		row.Judgement, row.Says = "unsure", "not certain"
	}
	if e.New.Exposure > 0 {
		row.Counts = wording.Count(e.New.Events) + " of " + wording.Count(e.New.Exposure) + " new"
		if e.Old.Exposure > 0 {
			row.Counts += ", " + wording.Count(e.Old.Events) + " of " + wording.Count(e.Old.Exposure) + " old"
		}
	}
	return row
}

func newChart(e event.Evidence) chart {
	values := []float64{e.Before, e.After}
	known := e.Interval[0] != e.Interval[1] && finite(e.Interval[0]) && finite(e.Interval[1])
	if known {
		values = append(values, e.Before+e.Interval[0], e.Before+e.Interval[1])
	}
	least, most := 0.0, 0.0
	for _, v := range values {
		if !finite(v) {
			return chart{}
		}
		least, most = min(least, v), max(most, v)
	}
	if e.Before >= 0 && e.After >= 0 {
		least = 0 // an interval of a share may reach below zero; the share cannot
	}
	if most <= least {
		most = least + 1
	}
	x := func(v float64) float64 {
		share := clamp((v - least) / (most - least))
		return math.Round((chartPad+share*(chartWidth-2*chartPad))*10) / 10
	}
	c := chart{Drawn: true, Before: x(e.Before), After: x(e.After), HasInterval: known,
		Least: wording.Value(least, e.Unit), Most: wording.Value(most, e.Unit)}
	c.Alt = "before " + wording.Value(e.Before, e.Unit) + ", after " + wording.Value(e.After, e.Unit)
	if known {
		c.From, c.To = x(e.Before+e.Interval[0]), x(e.Before+e.Interval[1])
		c.Alt += ", " + wording.Interval(e.Interval, e.Unit)
	}
	return c
}

// Span is the width of the interval, wide enough to be seen.
func (c chart) Span() float64 { return max(2, math.Round((c.To-c.From)*10)/10) }

func finite(f float64) bool { return !math.IsNaN(f) && !math.IsInf(f, 0) }
