package main

import (
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"sync"

	"github.com/deployloop/deployloop/internal/doctor"
	"github.com/deployloop/deployloop/internal/terminal"
	"github.com/deployloop/deployloop/internal/wording"
)

// doctorReport is what deployloop doctor prints.
type doctorReport struct {
	Out      io.Writer
	Of       string // what was tested
	Console  string // its URL; "" without one
	Findings []doctor.Finding
}

func (r doctorReport) count(s doctor.Status) (n int) {
	for _, f := range r.Findings {
		if f.Status == s {
			n++
		}
	}
	return n
}

func (r doctorReport) print(output string) error {
	if output == "json" {
		e := json.NewEncoder(r.Out)
		e.SetIndent("", "  ")
		e.SetEscapeHTML(false)
		return e.Encode(struct {
			Healthy  bool             `json:"healthy"`
			OK       int              `json:"ok"`
			Warnings int              `json:"warnings"`
			Failures int              `json:"failures"`
			Skipped  int              `json:"skipped"`
			Findings []doctor.Finding `json:"findings"`
		}{r.count(doctor.Failure) == 0, r.count(doctor.OK), r.count(doctor.Warning), r.count(doctor.Failure), r.count(doctor.Skipped), r.Findings})
	}
	p := terminal.NewPainter(r.Out)
	marks := map[doctor.Status]string{doctor.OK: p.Good("✓"), doctor.Warning: p.Warn("!"), doctor.Failure: p.Bad("✗"), doctor.Skipped: p.Dim("-")}
	var text strings.Builder
	fmt.Fprintf(&text, "\n  %s  %s\n\n", p.Bold("deployloop doctor"), wording.OneLine(r.Of, 300))
	for _, f := range r.Findings {
		name := f.Check
		if f.Target != "" {
			name += " " + wording.OneLine(f.Target, 120)
		}
		what := wording.OneLine(f.What, 500)
		switch f.Status {
		case doctor.OK:
			fmt.Fprintf(&text, "  %s %s: %s\n", marks[f.Status], name, what)
		case doctor.Skipped:
			fmt.Fprintf(&text, "  %s %s\n", marks[f.Status], p.Dim(name+": "+what))
			if f.Fix != "" {
				fmt.Fprintf(&text, "      %s\n", p.Dim(wording.OneLine(f.Fix, 500)))
			}
		default:
			fmt.Fprintf(&text, "  %s %s: %s %s\n", marks[f.Status], p.Bold(name), what, p.Dim("("+string(f.Cause)+")"))
			fmt.Fprintf(&text, "      fix: %s\n", wording.OneLine(f.Fix, 500))
		}
	}
	fmt.Fprintf(&text, "\n  %d ok, %s, %s, %d skipped", r.count(doctor.OK),
		tally(r.count(doctor.Warning), "warning", p.Warn), tally(r.count(doctor.Failure), "failure", p.Bad), r.count(doctor.Skipped))
	if r.Console != "" {
		fmt.Fprintf(&text, "; each service: %s", p.Link(strings.TrimRight(r.Console, "/")+"/coverage"))
	}
	text.WriteString("\n\n")
	_, err := io.WriteString(r.Out, text.String())
	return err
}

func tally(n int, what string, paint func(string) string) string {
	s := fmt.Sprintf("%d %s", n, what)
	if n != 1 {
		s += "s"
	}
	if n > 0 {
		s = paint(s)
	}
	return s
}

// doctorProgress shows on a terminal which checks are waited for.
type doctorProgress struct {
	w     io.Writer
	paint terminal.Painter
	on    bool

	mu      sync.Mutex
	running map[string]int
	done    int
	all     int
}

func newDoctorProgress(w io.Writer, all int) *doctorProgress {
	return &doctorProgress{w: w, paint: terminal.NewPainter(w), on: terminal.IsTerminal(w), running: map[string]int{}, all: all}
}

func (p *doctorProgress) tell(name string, begun bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if begun {
		p.running[name]++
	} else {
		p.done++
		if p.running[name]--; p.running[name] == 0 {
			delete(p.running, name)
		}
	}
	if p.on && len(p.running) > 0 {
		fmt.Fprintf(p.w, "\r\x1b[K  %d of %d  %s", p.done, p.all, p.paint.Dim(wording.OneLine(strings.Join(slices.Sorted(maps.Keys(p.running)), ", "), 100)))
	}
}

func (p *doctorProgress) clear() {
	if p.on {
		fmt.Fprint(p.w, "\r\x1b[K")
	}
}
