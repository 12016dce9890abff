package suspect

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/deployloop/deployloop/internal/event"
)

// explain fills the reasons of a suspect, strongest first, and the place that
// speaks most for it.
func explain(s *event.Suspect, c *Commit, e *evidence, w Weights, usual float64) {
	files := filesOf(c)
	type reason struct {
		nats float64
		text string
	}
	var reasons []reason
	add := func(feature int, format string, arguments ...any) {
		if nats := w.Feature[feature] * e.Vector[feature]; nats != 0 {
			reasons = append(reasons, reason{nats, fmt.Sprintf(format, arguments...)})
		}
	}
	if e.line.frame >= 0 && e.line.file >= 0 && e.Vector[featLine] > 0 {
		f := files[e.line.file]
		h := f.Hunks[e.line.hunk]
		if e.line.line >= h.NewStart && e.line.line < h.NewStart+h.NewLines {
			add(featLine, "changed line %d of %s, where the stack trace points", e.line.line, f.Path)
		} else {
			add(featLine, "changed %s next to line %d, where the stack trace points", f.Path, e.line.line)
		}
	}
	if e.literal.file >= 0 {
		verb := "added"
		if e.Vector[featLiteral] < 1 {
			verb = "changed"
		}
		add(featLiteral, "%s the line that says %q (%s)", verb, e.literal.text, files[e.literal.file].Path)
	}
	if e.file.file >= 0 {
		add(featFile, "changed %s, which is in the stack trace", files[e.file.file].Path)
	}
	if e.function.file >= 0 {
		add(featFunction, "changed %s in %s", e.function.text, files[e.function.file].Path)
	}
	if e.subject.file >= 0 {
		add(featSubject, "changed %s, which the failing test is named after", files[e.subject.file].Path)
	}
	// In a softmax only the difference to the others counts; half a nat is said.
	if nats := w.Feature[featChurn]*(e.Vector[featChurn]-usual) + w.Feature[featChurnElsewhere]*e.Vector[featChurnElsewhere]; nats > .5 {
		reasons = append(reasons, reason{nats, fmt.Sprintf("changed more code than most of the range: %s in %s", counted(e.codeLines, "line"), counted(e.codeFiles, "file"))})
	}
	if e.reported != "" {
		add(featReported, "its own build said so: %s", cutText(e.reported, 200))
	}
	add(featTestFile, "changed the failing test itself")
	add(featTestLine, "changed the very line of the test that failed")
	add(featCosmetic, "seems to only move, rename or reformat: counts less")
	add(featTestFrame, "changed the test's code in the stack trace")
	add(featPackage, "changed code in the same folder")
	if len(e.words) > 0 {
		nats := w.Feature[featPathWords]*e.Vector[featPathWords] + w.Feature[featTextWords]*e.Vector[featTextWords] + w.Feature[featDiffWords]*e.Vector[featDiffWords]
		if nats > 0 {
			reasons = append(reasons, reason{nats, "shares words with the error: " + strings.Join(e.words, ", ")})
		}
	}
	if e.specials != "" {
		what := map[kind]string{kindConfig: "configuration", kindDependency: "a dependency", kindMigration: "a migration", kindFlag: "a feature flag"}[e.special]
		add(featSpecial, "changed %s (%s)", what, e.specials)
	}
	if e.Vector[featNoCode] > 0 && len(files) > 0 {
		what := "only tests, documents or build files"
		if e.Vector[featDocsOnly] > 0 {
			what = "only documents or build files"
		}
		add(featNoCode, "changed %s: counts less", what)
	} else if len(files) == 0 {
		add(featNoCode, "changed no file: counts less")
	}
	slices.SortStableFunc(reasons, func(a, b reason) int { return cmp.Compare(b.nats, a.nats) })
	for _, r := range reasons {
		s.Reasons = append(s.Reasons, r.text)
	}
	place(s, files, e, w)
}

// place shows the hunk that speaks most for the commit.
func place(s *event.Suspect, files []FileDiff, e *evidence, w Weights) {
	best, nats := noHit, 0.0
	try := func(feature int, h hit, pointer string) {
		if n := w.Feature[feature] * e.Vector[feature]; h.file >= 0 && n > nats {
			best, nats, s.PointedBy = h, n, pointer
		}
	}
	if e.line.frame >= 0 && e.line.file >= 0 && e.Vector[featLine] > 0 {
		try(featLine, hit{e.line.file, e.line.hunk, e.line.line, ""}, frameText(e.lineFrame))
	}
	try(featLiteral, e.literal, e.literal.text)
	try(featFunction, e.function, e.function.text)
	if best.file < 0 {
		try(featFile, e.file, frameText(e.fileFrame))
		try(featSubject, e.subject, "")
	}
	if best.file < 0 {
		return
	}
	f := files[best.file]
	s.File, s.Line = f.Path, best.line
	if best.hunk < 0 && len(f.Hunks) > 0 {
		best.hunk = max(slices.IndexFunc(f.Hunks, func(h Hunk) bool {
			return slices.ContainsFunc(slices.Concat(h.Added, h.Removed), func(line string) bool { return !bookkeeping.MatchString(line) })
		}), 0)
		s.Line = f.Hunks[best.hunk].NewStart
	}
	if best.hunk >= 0 {
		s.Hunk = f.Hunks[best.hunk].Text
	}
}

// frameText is a frame in one line: "Total (/app/cart/total.go:42)".
func frameText(f event.Frame) string {
	where := f.File
	if f.Line > 0 {
		where = fmt.Sprintf("%s:%d", where, f.Line)
	}
	if f.Function == "" {
		return where
	}
	return f.Function + " (" + where + ")"
}

func counted(n int, thing string) string {
	if n == 1 {
		return "1 " + thing
	}
	return fmt.Sprintf("%d %ss", n, thing)
}
