package wording

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/deployloop/deployloop/internal/event"
)

// callWords are what a call is named, one and many.
var callWords = []struct {
	call      event.Call
	one, many string
}{
	{event.NewFailure, "new failure", "new failures"}, {event.NewFinding, "new finding", "new findings"}, {event.Hanging, "job hangs", "jobs hang"}, {event.Slower, "slower", "slower"}, {event.Worsened, "got worse", "got worse"},
	{event.Vanished, "vanished", "vanished"}, {event.NotCertain, "not certain", "not certain"}, {event.AlreadyFailing, "already failing", "already failing"},
	{event.KnownFlaky, "known flaky", "known flaky"}, {event.Fixed, "fixed", "fixed"}, {event.FixedFinding, "finding fixed", "findings fixed"},
}

// FeedbackHeadline sums up what builds and tests say of a commit: "2 new failures,
// 1 known flaky; 212 tests".
func FeedbackHeadline(f event.Feedback) string {
	var parts []string
	for _, w := range callWords {
		switch n := f.Count(w.call); {
		case n == 1:
			parts = append(parts, "1 "+w.one)
		case n > 1:
			parts = append(parts, fmt.Sprintf("%d %s", n, w.many))
		}
	}
	if f.More > 0 {
		parts = append(parts, fmt.Sprintf("%d more", f.More))
	}
	said := join(", ", parts...)
	counted := ""
	if f.Tests > 0 {
		counted = plural(f.Tests, "test")
	}
	switch {
	case f.Running && said == "" && f.Failed > 0:
		said = fmt.Sprintf("%d failed, none known to be new so far", f.Failed)
	case f.Running && said == "":
		said = "nothing new so far"
	case f.State == event.Inconclusive && f.Broken > 0:
		why := ""
		if n := f.Broken - f.Restarts; n > 0 {
			why = plural(n, "report") + " broke off"
		}
		if f.Restarts > 0 {
			why = join(" and ", why, "deployloop was restarted while it ran")
		}
		said = join(", ", said, why+", so that more may have failed")
	case f.State == event.Inconclusive && len(f.Unended) > 0:
		said = join(", ", said, unended(f.Unended))
	case f.State == event.Inconclusive && !f.Running && f.Tests+f.Findings+f.Failed == 0:
		said = join(", ", said, "it ended without a result")
	case f.State == event.Inconclusive && f.Count(event.NotCertain) > 0:
		said = join(", ", said, "where the branch began was not told")
	case f.State == event.Inconclusive:
		said = join(", ", fmt.Sprintf("%d failed", f.Failed), "and no run of the main branch is known to compare with")
	case said == "":
		said = "nothing new"
	}
	return join("; ", said, counted)
}

// unended names the job that was cancelled or whose end was never told, or says how many
// there are: of a pipeline that has not ended, its jobs.
func unended(all []event.UnendedJob) string {
	jobs := slices.DeleteFunc(slices.Clone(all), func(whole event.UnendedJob) bool {
		return whole.Whole() && slices.ContainsFunc(all, func(job event.UnendedJob) bool { return !job.Whole() && job.RunID == whole.RunID })
	})
	cancelled, lost := 0, 0
	for _, job := range jobs {
		if job.Cancelled {
			cancelled++
		} else {
			lost++
		}
	}
	name := plural(cancelled+lost, "job")
	if len(jobs) == 1 {
		name = cmp.Or(join(" / ", OneLine(jobs[0].Pipeline, 40), OneLine(jobs[0].Job, 40)), "a job")
	}
	what := name + " cancelled"
	switch {
	case cancelled > 0 && lost > 0:
		what = fmt.Sprintf("%d of %s cancelled, of the others no end was told", cancelled, name)
	case lost > 0:
		what = "no end was told of " + name
	}
	return what + ", so that more may have failed"
}

// FeedbackTitle says of which commit feedback is: "acme/shop main 9f2c1ab".
func FeedbackTitle(f event.Feedback) string {
	return join(" ", OneLine(f.Repository, nameLimit), OneLine(f.Ref, nameLimit), shortRevision(f.Revision))
}

// JudgementLine says one judgement in a line: "new failure: acme/cart TestTotal
// (total_test.go:14)".
func JudgementLine(j event.Judgement) string {
	word := strings.ReplaceAll(string(j.Call), "_", " ")
	if j.NewFlake {
		word = "turned flaky"
	}
	line := word + ": " + OneLine(Judged(j), operationLimit)
	switch {
	case j.Shift != nil:
		line += fmt.Sprintf(" %s → %s (%s)", measured(j.Shift.Before, j.Unit), measured(j.Shift.After, j.Unit), Ratio(j.Shift.Ratio))
	case j.Test != nil && j.Test.File != "":
		line += fmt.Sprintf(" (%s:%d)", OneLine(j.Test.File, operationLimit), j.Test.Line)
	case j.Finding != nil && j.Finding.File != "":
		line += fmt.Sprintf(" (%s:%d)", OneLine(j.Finding.File, operationLimit), j.Finding.Line)
	}
	return line
}

func measured(value float64, unit string) string { return fmt.Sprintf("%.4g", value) + unitGap(unit) }

func unitGap(unit string) string {
	if unit == "" || unit == "1" {
		return ""
	}
	return " " + unit
}

// BuildsSentence says what builds and tests found new in the commits of a
// deployment: "Before it was deployed: turned flaky: … (at 9f2c1ab)".
func BuildsSentence(list []event.Judgement) string {
	var parts []string
	for _, j := range list {
		if len(parts) == 3 {
			parts = append(parts, fmt.Sprintf("and %d more", len(list)-3))
			break
		}
		part := JudgementLine(j)
		if j.FirstBad != "" {
			part += " at " + shortRevision(j.FirstBad)
		}
		parts = append(parts, part)
	}
	if len(parts) == 0 {
		return ""
	}
	return "Its builds and tests said: " + join("; ", parts...)
}

// ProductionLine says what a commit did where it was deployed.
func ProductionLine(p event.ProductionEffect) string {
	line := OneLine(p.Service, nameLimit) + " got worse in " + OneLine(p.Environment, nameLimit)
	if at := ClockSeconds(p.At); at != "" {
		line += " at " + at
	}
	return join(": ", line, OneLine(p.Summary, operationLimit*3))
}

// buildSummary is Summary of a branch's alert: "acme/shop main: TestTotal fails
// since 9f2c1ab (last good a1b2c3d)".
func buildSummary(a event.Anomaly) string {
	f := a.Feedback
	if f == nil || len(f.Judgements) == 0 {
		return fit(OneLine(a.Service, nameLimit), "got worse", "since "+shortRevision(a.Commit))
	}
	who := join(" ", OneLine(f.Repository, nameLimit), OneLine(f.Ref, 40)) + ":"
	lead, open := f.Judgements[0], 0
	for _, j := range f.Judgements {
		if j.Closure == nil {
			if open == 0 {
				lead = j
			}
			open++
		}
	}
	middle, tail := OneLine(Judged(lead), operationLimit), "since "+shortRevision(a.Commit)
	switch {
	case lead.Shift != nil:
		tail = fmt.Sprintf("%s → %s (%s) %s", measured(lead.Shift.Before, lead.Unit), measured(lead.Shift.After, lead.Unit), Ratio(lead.Shift.Ratio), tail)
	case lead.Finding != nil:
		middle = "new finding " + middle
	case lead.Call == event.Hanging:
		tail = "hangs at " + shortRevision(a.Commit)
	default:
		tail = "fails " + tail
	}
	if more := open - 1 + f.More; more > 0 {
		tail = fmt.Sprintf("and %d more ", more) + tail
	}
	if last := lead.LastPass; last != "" {
		if with := tail + " (last good " + shortRevision(last) + ")"; utf8.RuneCountInString(join(" ", who, middle, with)) <= SummaryLimit {
			tail = with
		}
	}
	return fit(who, middle, tail)
}

// WhyLimit is the most runes that the reasons of a branch's alert have.
const WhyLimit = 1000

// buildWhy tells each of the first problems of a branch's alert in a line, and below
// those that are open what they say where that has several: the cause in a build's log.
// They share the room.
func buildWhy(f event.Feedback, limit int) string {
	shown := f.Judgements[:min(len(f.Judgements), limit)]
	heads, said := make([]string, len(shown)), make([][]string, len(shown))
	room, quoted := WhyLimit, 0
	for i, j := range shown {
		heads[i] = JudgementLine(j)
		message := ""
		switch {
		case j.Test != nil:
			message = j.Test.Message
		case j.Finding != nil:
			message = j.Finding.Message
		}
		if j.Closure == nil && j.Test != nil {
			if all := MessageLines(*j.Test, math.MaxInt); len(all) > 1 {
				said[i], message = all, ""
				quoted++
			}
		}
		heads[i] = join(": ", heads[i], OneLine(message, operationLimit*2))
		if j.Closure != nil {
			heads[i] += " (over: " + OneLine(j.Closure.Detail, operationLimit) + ")"
		}
		room -= utf8.RuneCountInString(heads[i]) + 1
	}
	more := ""
	if n := len(f.Judgements) + f.More - len(shown); n > 0 {
		more = fmt.Sprintf("and %d more", n)
		room -= len(more)
	}
	for i, all := range said {
		if len(all) == 0 {
			continue
		}
		// A line shorter than this says nothing.
		const least = 40
		share := room / quoted
		n := min(len(all), max(3, maxMessageLines/quoted), share/least)
		for _, line := range someOf(all, n) {
			heads[i] += "\n  " + OneLine(line, min(operationLimit*2, share/n-3))
		}
	}
	return join("\n", append(heads, more)...)
}

// someOf are n of the lines: of each block, which begins at a line that is not further
// in, the first two before the third, so that every cause has its say; and how many are left out.
func someOf(lines []string, n int) []string {
	if len(lines) <= n || n < 1 {
		return lines[:max(0, min(n, len(lines)))]
	}
	depth := make([]int, len(lines))
	for i, line := range lines {
		if i > 0 && strings.TrimLeft(line, " \t") != line {
			depth[i] = depth[i-1] + 1
		}
	}
	kept := map[int]bool{}
	for d := 1; len(kept) < n-1; d++ {
		for i := range lines {
			if max(depth[i], 1) == d && len(kept) < n-1 {
				kept[i] = true
			}
		}
	}
	var out []string
	for i, line := range lines {
		if kept[i] {
			out = append(out, line)
		}
	}
	return append(out, fmt.Sprintf("… %d more lines", len(lines)-len(out)))
}

// BuildFix is the command that shows the first open problem of a branch's alert
// again; "" when its runner is not known.
func BuildFix(f event.Feedback) string {
	for _, j := range f.Judgements {
		if j.Closure == nil && j.Test != nil {
			if command := RunAgain(*j.Test); command != "" {
				return command
			}
		}
	}
	return ""
}
