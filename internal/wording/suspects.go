package wording

import (
	"strings"

	"github.com/deployloop/deployloop/internal/event"
)

const maxReasons = 3

// SuspectLine writes one commit with the reasons that speak for it: "9f2c1ab
// “Round totals to cents” by Ada, 83%: stack line inside a changed hunk".
func SuspectLine(s event.Suspect) string {
	c := s.Change
	title, _, _ := strings.Cut(strings.TrimSpace(c.Message), "\n")
	if title = OneLine(title, nameLimit); title != "" {
		title = "“" + title + "”"
	}
	by := ""
	if author := OneLine(c.Author, 40); author != "" {
		by = "by " + author
	}
	owned := ""
	if owners := ownersOf(s); owners != "" {
		owned = "(owned by " + owners + ")"
	}
	line := join(" ", shortRevision(c.Revision), title, by, owned)
	if s.Probability > 0 && finite(s.Probability) {
		line += ", " + Percent(s.Probability)
	}
	var reasons []string
	for _, r := range s.Reasons {
		if r = OneLine(r, messageLimit); r != "" && len(reasons) < maxReasons {
			reasons = append(reasons, r)
		}
	}
	if len(reasons) > 0 {
		line += ": " + strings.Join(reasons, "; ")
	}
	return line
}

// ownersOf lists who owns what a suspect changed: "@acme/cart, ada@shop.example".
func ownersOf(s event.Suspect) string {
	var names []string
	for _, name := range s.Owners {
		if name = OneLine(name, 60); name != "" && len(names) < 3 {
			names = append(names, name)
		}
	}
	return strings.Join(names, ", ")
}

// SuspectSentence names the commit that most probably did it, or says honestly that
// none is certain; "" when nothing is known of the range.
func SuspectSentence(s *event.Suspicion) string {
	if s == nil {
		return ""
	}
	note := join("; ", elsewhere(s), OneLine(s.RangeNote, messageLimit))
	switch {
	case len(s.Suspects) > 0 && !s.Abstained:
		return join("; ", SuspectLine(s.Suspects[0]), note)
	case s.Commits > 0:
		return join("; ", "this deployment; the commit is not certain ("+join(" in ", plural(s.Commits, "commit"), OneLine(s.Range, nameLimit))+")", note)
	default:
		return join("; ", "this deployment; its commits are not known", note)
	}
}

// elsewhere names the deployment that more likely did it, when that is not the
// one that the suspicion is of: only then calls explain part of the harm.
func elsewhere(s *event.Suspicion) string {
	if len(s.Deployments) < 2 || s.Deployments[0].Explained <= 0 {
		return ""
	}
	d := s.Deployments[0]
	return "more likely " + join(" ", OneLine(d.Service, nameLimit), OneLine(d.Version, 40)) + ", which it calls (" + Percent(d.Probability) + "): failed calls to it explain " + Percent(d.Explained) + " of the harm"
}

// OtherSuspects writes the next suspects, at most limit, one a line. When no
// commit is named, it lists the most probable ones.
func OtherSuspects(s *event.Suspicion, limit int) string {
	if s == nil {
		return ""
	}
	rest := s.Suspects
	if !s.Abstained && len(rest) > 0 {
		rest = rest[1:]
	}
	var lines []string
	for _, suspect := range rest[:min(len(rest), max(0, limit))] {
		lines = append(lines, SuspectLine(suspect))
	}
	return strings.Join(lines, "\n")
}

// hunkLines bounds a changed place to what can be read at a glance.
const hunkLines = 16

// ChangedPlace is what of the named suspect the error points to: a caption
// ("cart/total.go:42, where Total (/app/cart/total.go:42) points") and the
// changed lines as a unified diff; both "" when there is none.
func ChangedPlace(s *event.Suspicion) (caption, diff string) {
	if s == nil || s.Abstained || len(s.Suspects) == 0 || s.Suspects[0].Hunk == "" {
		return "", ""
	}
	suspect := s.Suspects[0]
	caption = Where(event.Frame{File: suspect.File, Line: suspect.Line})
	if pointer := OneLine(suspect.PointedBy, messageLimit); pointer != "" {
		caption = join(", where ", caption, pointer+" points")
	}
	lines := strings.Split(strings.TrimRight(suspect.Hunk, "\n"), "\n")
	if len(lines) > hunkLines {
		lines = append(lines[:hunkLines], "…")
	}
	return caption, strings.Join(lines, "\n")
}
