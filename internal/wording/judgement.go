package wording

import (
	"fmt"
	"math"
	"strings"

	"github.com/deployloop/deployloop/internal/event"
	"github.com/deployloop/deployloop/internal/logpattern"
)

// Judged is what a judgement is about.
func Judged(j event.Judgement) string {
	switch {
	case j.Test != nil && j.Test.Suite == j.Test.Case: // as Jest has them
		return j.Test.Case
	case j.Test != nil:
		return strings.TrimSpace(j.Test.Suite + " " + j.Test.Case)
	case j.Finding != nil:
		return strings.TrimSpace(j.Finding.Tool + " " + j.Finding.Rule)
	}
	return j.Measure
}

// JudgementDetails are where, why, since when, and how to see it again.
func JudgementDetails(j event.Judgement) []string {
	var lines []string
	if f := j.Finding; f != nil {
		place := f.File
		if f.Line > 0 {
			place = fmt.Sprintf("%s:%d", f.File, f.Line)
		}
		return []string{join(": ", place, f.Message)}
	}
	if s := j.Shift; s != nil {
		lines = append(lines, fmt.Sprintf("%.4g → %.4g %s (×%.2f), over the last %d runs; last good %s, first bad %s", s.Before, s.After, j.Unit, s.Ratio, s.Runs, orUnknown(s.LastGood), orUnknown(s.FirstBad)))
		return lines
	}
	t := j.Test
	if t == nil {
		return nil
	}
	failing := j.Call == event.NewFailure || j.Call == event.KnownFlaky || j.Call == event.AlreadyFailing || j.Call == event.NotCertain
	if failing {
		if t.File != "" {
			lines = append(lines, fmt.Sprintf("at %s:%d", t.File, t.Line))
		}
		limit := maxMessageLines
		if t.IsJob() { // they are the few that were chosen
			limit = math.MaxInt
		}
		lines = append(lines, MessageLines(*t, limit)...)
		for _, frame := range logpattern.ParseStack(t.Stacktrace) {
			if logpattern.InApp(frame) && frame.Function != "" {
				lines = append(lines, fmt.Sprintf("in %s (%s:%d)", frame.Function, frame.File, frame.Line))
				break
			}
		}
	}
	if j.Rate > 0 {
		lines = append(lines, fmt.Sprintf("fails by itself in %.1f%% of runs (95%%: %.1f–%.1f%%)", 100*j.Rate, 100*j.Interval[0], 100*j.Interval[1]))
	}
	if j.LastPass != "" && j.Call != event.KnownFlaky {
		lines = append(lines, "last passed at "+event.ShortRevision(j.LastPass))
	}
	if j.Call == event.AlreadyFailing {
		lines = append(lines, fmt.Sprintf("failing since %s, %d runs", orUnknown(j.FirstBad), j.Streak))
	}
	if j.Call == event.NotCertain {
		lines = append(lines, WhyNotCertain)
	}
	if command := RunAgain(*t); failing && command != "" {
		lines = append(lines, "again: "+command)
	}
	return lines
}

const maxMessageLines = 8

// WhyNotCertain explains event.NotCertain.
const WhyNotCertain = "the main branch has changed in this since the branch was first heard of, and nobody told where the branch began: send its base with the report"

// MessageLines are the first lines of what a test or a job that failed says. Of the
// log of a build they are where the cause stands, and, further in, its lines.
func MessageLines(t event.TestResult, limit int) (lines []string) {
	for line := range strings.SplitSeq(strings.TrimSpace(t.Message), "\n") {
		if limit--; limit < 0 {
			break
		}
		if line = strings.TrimRight(line, " \t\r"); line != "" {
			lines = append(lines, line)
		}
	}
	return lines
}

func orUnknown(revision string) string {
	if revision == "" {
		return "an unknown revision"
	}
	return event.ShortRevision(revision)
}
