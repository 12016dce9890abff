package main

import (
	"bytes"
	"cmp"
	"fmt"
	"io"
	"math"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/deployloop/deployloop/internal/detect"
	"github.com/deployloop/deployloop/internal/event"
	"github.com/deployloop/deployloop/internal/terminal"
	"github.com/deployloop/deployloop/internal/wording"
)

// printExplanation tells a document to a person who never read about e-values.
func printExplanation(w io.Writer, paint terminal.Painter, d *detect.Document, r *detect.Recomputation) error {
	var text bytes.Buffer
	p := explanation{w: &text, paint: paint, d: d, r: r}
	p.verdict()
	p.compared()
	p.indicators()
	if d.Verdict.State == event.Healthy {
		p.tolerances()
	}
	p.growth()
	p.threshold()
	p.recomputed()
	_, err := w.Write(text.Bytes())
	return err
}

type explanation struct {
	w     io.Writer
	paint terminal.Painter
	d     *detect.Document
	r     *detect.Recomputation
}

func (p *explanation) line(format string, args ...any) { fmt.Fprintf(p.w, format+"\n", args...) }

func (p *explanation) heading(text string) { p.line("\n%s", p.paint.Bold(text)) }

func (p *explanation) state(s event.VerdictState) string {
	switch s {
	case event.Regressed:
		return p.paint.Bad(string(s))
	case event.Healthy:
		return p.paint.Good(string(s))
	case event.Inconclusive:
		return p.paint.Warn(string(s))
	}
	return plain(string(s))
}

func (p *explanation) verdict() {
	s := &p.d.Deployment
	p.line("%s %s in %s: %s", plain(s.Service), plain(cmp.Or(s.Version, event.ShortRevision(s.Revision))), plain(s.Environment), p.state(p.d.Verdict.State))
	p.line("%s", plain(p.d.Verdict.Detail))
}

// compared says what was set beside what, and when.
func (p *explanation) compared() {
	d := p.d
	p.heading("What was compared")
	table := tabwriter.NewWriter(p.w, 0, 0, 2, ' ', 0)
	row := func(name, format string, args ...any) {
		fmt.Fprintf(table, "  %s\t%s\n", name, fmt.Sprintf(format, args...))
	}
	row("new", "%s, %s", plain(cmp.Or(d.Deployment.Version, event.ShortRevision(d.Deployment.Revision))), count(d.Control.NewInstances, "instance"))
	row("control", "%s: %s", plain(string(d.Control.Kind)), plain(d.Control.Why))
	switch d.Control.Kind {
	case event.ControlConcurrent:
		row("", "both served at the same time, so what befell both, as a slow database, is no evidence")
	case event.ControlHistory:
		row("", "nothing old served beside it, so its rates are compared with an upper bound of the past")
	}
	if !d.Window.Ready.IsZero() {
		row("counted", "from %s, the first telemetry of the new version, to %s: %s", clock(d.Window.Ready), clock(d.At), d.At.Sub(d.Window.Ready).Round(time.Second))
	}
	row("settings", "%.12s (sha256): a rise below ×%.3g, or of errors below %s, is no harm", plain(d.SettingsHash), d.Settings.MinRateRatio, points(d.Settings.MinErrorRatio))
	for k, l := range d.Losses {
		row([]string{"not counted", ""}[min(k, 1)], "%s", loss(l))
	}
	table.Flush()
}

// loss is what did not count, and why.
func loss(l event.Loss) string {
	text := fmt.Sprintf("%s: %d", plain(l.Name), l.Count)
	if words := wording.Loss(l.Name); words != "" {
		text += " (" + words + ")"
	}
	return text
}

// indicators tells before and after, strongest first.
func (p *explanation) indicators() {
	p.heading("What was seen")
	table := tabwriter.NewWriter(p.w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "  INDICATOR\tBEFORE\tAFTER\tCHANGE\tNEW VERSION\tCONTROL\tEVIDENCE\tRECOMPUTED")
	for k := range p.d.Indicators {
		part := &p.d.Indicators[k]
		again := "-"
		if k < len(p.r.Indicators) {
			again = fmt.Sprintf("%.1f", p.r.Indicators[k].Nats)
		}
		e := &part.Shown
		name := plain(string(e.Signal))
		if e.Operation != "" {
			name += " " + plain(e.Operation)
		}
		if e.Detail != "" {
			name += " " + plain(e.Detail)
		}
		change := "-"
		switch {
		case e.FirstEver:
			change = "first ever"
		case e.New.Exposure > 0 && e.Old.Exposure > 0:
			change = "×" + strconv.FormatFloat(e.Ratio, 'g', 3, 64)
		}
		state := ""
		switch {
		case part.Cleared:
			state = " (does not count)"
		case e.Harm:
			state = " " + p.paint.Bad("harm")
		case e.Within:
			state = " " + p.paint.Good("within")
		}
		fmt.Fprintf(table, "  %s\t%s\t%s\t%s\t%s\t%s\t%.1f%s\t%s\n", wording.Clip(name, 60), rate(e.Before, e.Old, e.Unit), rate(e.After, e.New, e.Unit), change,
			counted(e.New), counted(e.Old), part.Nats, state, again)
	}
	table.Flush()
	if n := p.d.Rest.Indicators; n > 0 {
		p.line("  and %s of which none speaks for harm by more than %.1f nats", count(float64(n), "indicator"), p.d.Rest.Strongest)
	}
}

// tolerances tells what healthy rests on.
func (p *explanation) tolerances() {
	s := &p.d.Settings
	p.heading("Why healthy")
	p.line("  Silence is no proof. Each critical indicator had to show that it is not worse than tolerated:")
	p.line("  errors ×%.3g and %s more, the 95th percentile ×%.3g; %.1f nats (%.0f to 1) each.", s.ErrorTolerance, points(s.ErrorRise), s.LatencyFactor, -math.Log(s.HealthyAlpha), 1/s.HealthyAlpha)
	for k := range p.d.Indicators {
		part := &p.d.Indicators[k]
		for _, l := range part.Levels {
			if l.Tolerance != nil {
				name := strings.TrimSpace(plain(string(part.Shown.Signal)) + " " + plain(part.Shown.Operation))
				p.line("  %5.1f  %s, %s", l.Tolerance.Nats, name, plain(l.Event))
			}
		}
	}
}

const (
	barWidth   = 40
	growthRows = 16
)

// growth draws the evidence over time, where it moved by what the last figure
// or the bar shows.
func (p *explanation) growth() {
	shown := turns(p.d.Growth, .05)
	for step := .1; len(shown) > growthRows; step *= 1.5 {
		shown = turns(p.d.Growth, step)
	}
	if len(shown) < 2 {
		return
	}
	p.heading("How the evidence grew")
	full := math.Max(p.d.Verdict.Threshold, p.d.Verdict.Nats)
	for _, x := range shown {
		n := int(math.Round(barWidth * math.Max(x.Nats, 0) / full))
		bar := strings.Repeat("█", max(0, min(n, barWidth)))
		if x.Nats >= p.d.Verdict.Threshold {
			bar = p.paint.Bad(bar)
		}
		p.line("  %s  %6.1f  %s", clock(p.d.Window.Opened.Add(time.Duration(x.At)*time.Second)), x.Nats, bar)
	}
	p.line("  %s  %6.1f  needed for regressed", strings.Repeat(" ", len("15:04:05")), p.d.Verdict.Threshold)
}

// turns are the first point, those that lie so far from the one before, and the last.
func turns(points []detect.Point, step float64) []detect.Point {
	var out []detect.Point
	for k, x := range points {
		if k == 0 || k == len(points)-1 || math.Abs(x.Nats-out[len(out)-1].Nats) >= step {
			out = append(out, x)
		}
	}
	return out
}

// threshold tells what the figures mean.
func (p *explanation) threshold() {
	s, v := &p.d.Settings, &p.d.Verdict
	p.heading("How it was decided")
	p.line("  Each second bets on the counts: were the new version at most ×%.3g as bad as its control, the stake", s.MinRateRatio)
	p.line("  could not be expected to grow. The evidence is the logarithm of the stake: %.1f nats are %s to 1.", v.Threshold, odds(v.Threshold))
	p.line("  Such a stake is reached by chance in at most %.3g of 1000 deployments, however often one looks.", s.FalseAlarms)
	if leader := p.leading(); leader != nil {
		p.line("  Real counts vary more than pure chance: those of the leading indicator by a factor of %.3g (phi), which", leader.Phi)
		p.line("  its evidence was divided by. It holds a share of %.3g of the deployment's evidence.", p.d.Indicators[0].Share)
	}
	if text := wording.Calibration(v.Calibration); text != "" {
		p.line("  %s", text)
	}
	if text := wording.FalseAlarms(v.Calibration.Service); text != "" {
		p.line("  %s", text)
	}
}

// leading is the strongest level of the strongest indicator.
func (p *explanation) leading() *detect.LevelPart {
	if len(p.d.Indicators) == 0 {
		return nil
	}
	var best *detect.LevelPart
	for k := range p.d.Indicators[0].Levels {
		if l := &p.d.Indicators[0].Levels[k]; best == nil || l.Nats > best.Nats {
			best = l
		}
	}
	return best
}

func (p *explanation) recomputed() {
	p.heading("Recomputed from the counts")
	tests := 0
	for _, i := range p.d.Indicators {
		for _, l := range i.Levels {
			for _, s := range l.Steps {
				tests += int(s.Ticks)
			}
		}
	}
	p.line("  %s of counts give %.2f nats of the %.2f needed; the verdict says %.2f.", count(float64(tests), "test"), p.r.Nats, p.r.Threshold, p.d.Verdict.Nats)
	if len(p.r.Given) > 0 {
		p.line("  Taken from the document as given, without a check:")
	}
	for _, x := range p.r.Given {
		p.line("  - %s", plain(x))
	}
	for _, g := range p.r.Gaps {
		p.line("  %s %s", p.paint.Warn("gap:"), plain(g))
	}
	for _, x := range p.r.Problems {
		p.line("  %s %s", p.paint.Bad("wrong:"), plain(x))
	}
	switch {
	case len(p.r.Problems) > 0:
		p.line("  %s: the verdict %q does not follow from what the document holds.", p.paint.Bad("It does not agree"), p.d.Verdict.State)
	case !p.r.Conclusive:
		p.line("  %s: the document holds too little.", p.paint.Warn("It cannot be told"))
	default:
		p.line("  %s: %q follows from the counts.", p.paint.Good("It agrees"), p.r.State)
	}
}

func clock(t time.Time) string { return t.UTC().Format(time.TimeOnly) }

func odds(nats float64) string {
	return strconv.FormatFloat(math.Exp(math.Min(nats, 30)), 'g', 2, 64)
}

func count(n float64, what string) string {
	text := strconv.FormatFloat(math.Round(n), 'f', -1, 64) + " " + what
	if math.Round(n) != 1 {
		text += "s"
	}
	return text
}

func points(share float64) string {
	return strconv.FormatFloat(100*share, 'g', 3, 64) + " points"
}

const noData = "no data"

func rate(x float64, of event.Count, unit string) string {
	switch {
	case of.Exposure <= 0:
		return noData
	case unit == "1":
		return strconv.FormatFloat(100*x, 'f', 2, 64) + "%"
	}
	return strconv.FormatFloat(x, 'g', 4, 64) + " " + plain(unit)
}

func counted(c event.Count) string {
	if c.Exposure <= 0 {
		return noData
	}
	return strconv.FormatFloat(math.Round(c.Events), 'f', -1, 64) + " of " + strconv.FormatFloat(math.Round(c.Exposure), 'f', -1, 64)
}
