package consoleextension

import (
	"cmp"
	"fmt"
	"html/template"
	"net/url"
	"strings"
	"time"

	"github.com/deployloop/deployloop/internal/event"
	"github.com/deployloop/deployloop/internal/wording"
)

// formatFuncs are what the templates may call; each is pure.
var formatFuncs = template.FuncMap{
	"builds":     wording.BuildsSentence,
	"mark":       wording.Calibration,
	"alarms":     wording.FalseAlarms,
	"short":      event.ShortRevision,
	"elapsed":    wording.Elapsed,
	"percent":    wording.Percent,
	"number":     func(f float64) string { return wording.Value(f, "") },
	"whole":      wording.Count,
	"tally":      func(n uint64) string { return wording.Count(float64(n)) },
	"where":      wording.Where,
	"errorName":  wording.ErrorName,
	"resolution": func(c *event.Closure) string { return wording.Resolution(*c) },
	"safeURL":    safeURL,
	"firstLine":  firstLine,
	"stateLabel": stateLabel,
	"count":      count,
	"loss":       func(name string) string { return cmp.Or(wording.Loss(name), strings.ReplaceAll(name, "_", " ")) },
	"lost":       wording.Lost,
	"plain":      func(code string) string { return strings.ReplaceAll(code, "_", " ") },
	"link":       func(href, text string) link { return link{safeURL(href), text} },
}

// link is an address that safeURL let pass ("" otherwise) and what it says.
type link struct{ URL, Text string }

// clock is the time of one rendering.
type clock struct {
	now time.Time
	// still leaves relative times to the page's script, so that the fragment
	// of an unchanged page stays the same from second to second (see write).
	still bool
}

// moment is a time as a page shows it.
type moment struct {
	Known bool
	ISO   string // for machines
	Clock string // UTC, short
	Full  string // UTC, whole
	Ago   string // relative to the rendering
}

// When shows t in UTC with its distance from now.
func (c clock) When(t time.Time) moment {
	if t.IsZero() {
		return moment{}
	}
	t = t.UTC()
	short := "15:04:05"
	switch {
	case t.Year() != c.now.Year():
		short = "2006-01-02 15:04"
	case t.YearDay() != c.now.YearDay():
		short = "Jan 2 15:04"
	}
	m := moment{Known: true, ISO: t.Format(time.RFC3339), Clock: t.Format(short), Full: t.Format("2006-01-02 15:04:05 UTC")}
	if !c.still {
		m.Ago = relative(c.now.Sub(t))
	}
	return m
}

// relative says a distance in time in one unit, as the page's script does.
func relative(d time.Duration) string {
	text := func(n time.Duration, unit string) string {
		if d < 0 {
			return fmt.Sprintf("in %d %s", n, unit)
		}
		return fmt.Sprintf("%d %s ago", n, unit)
	}
	switch abs := d.Abs(); {
	case abs < time.Second:
		return "now"
	case abs < time.Minute:
		return text(abs/time.Second, "s")
	case abs < time.Hour:
		return text(abs/time.Minute, "min")
	case abs < 48*time.Hour:
		return text(abs/time.Hour, "h")
	default:
		return text(abs/(24*time.Hour), "d")
	}
}

// safeURL lets absolute http and https addresses pass and nothing else:
// links come from payloads, and a javascript: address would run here.
func safeURL(raw string) string {
	u, err := url.Parse(raw)
	if err != nil || u.Host == "" || (u.Scheme != "http" && u.Scheme != "https") {
		return ""
	}
	return raw
}

func firstLine(text string) string {
	line, _, _ := strings.Cut(strings.TrimSpace(text), "\n")
	return strings.TrimSpace(line)
}

// stateLabel is a verdict's state as one word for a person.
func stateLabel(state string) string {
	switch event.VerdictState(state) {
	case event.Watching:
		return "Watching"
	case event.Healthy:
		return "Healthy"
	case event.Regressed:
		return "Regressed"
	case event.Inconclusive:
		return "Inconclusive"
	case event.Exonerated:
		return "Exonerated"
	}
	if state == stateBaseline {
		return "Baseline"
	}
	return "Not judged"
}

// States of a deployment that no verdict has.
const (
	stateBaseline = "baseline" // the first version ever seen: nothing to compare with
	stateNone     = "none"     // no verdict recorded yet
)

// count says how many of a thing, in the singular or the plural.
func count(n int, thing string) string {
	if n == 1 {
		return "1 " + thing
	}
	return wording.Count(float64(n)) + " " + thing + "s"
}
