package wording

import (
	"fmt"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/stretchr/testify/require"

	"github.com/deployloop/deployloop/internal/event"
)

func TestABranchsAlertInWords(t *testing.T) {
	a := event.Anomaly{Kind: event.KindBuild, Service: "acme/shop", Commit: "9f2c1ab", Feedback: &event.Feedback{
		Repository: "acme/shop", Ref: "main", Judgements: []event.Judgement{{
			Call: event.NewFailure, LastPass: "a1b2c3d", FirstBad: "9f2c1ab",
			Test: &event.TestResult{Suite: "acme/shop/cart", Case: "TestTotal", File: "total_test.go", Line: 14, Message: "want 3, got 4"},
		}},
	}}
	require.Equal(t, "acme/shop main: acme/shop/cart TestTotal fails since 9f2c1ab (last good a1b2c3d)", Summary(a))
	require.Equal(t, "new failure: acme/shop/cart TestTotal (total_test.go:14): want 3, got 4", Why(a))
	require.Equal(t, "go test -count=1 -run '^TestTotal$' acme/shop/cart", BuildFix(*a.Feedback))

	a.Feedback.Judgements[0].Test.Case = strings.Repeat("TestVeryLong", 40)
	require.LessOrEqual(t, utf8.RuneCountInString(Summary(a)), SummaryLimit)
	require.Contains(t, Summary(a), "since 9f2c1ab")

	a.Feedback.Judgements = []event.Judgement{{Call: event.Slower, Measure: "ci build duration", Unit: "s", Shift: &event.Shift{Before: 60, After: 180, Ratio: 3}}}
	require.Equal(t, "acme/shop main: ci build duration 60 s → 180 s (×3) since 9f2c1ab", Summary(a))

	a.Feedback = nil // a record of another version
	require.Equal(t, "acme/shop got worse since 9f2c1ab", Summary(a))
	require.Empty(t, Why(a))
}

func TestFeedbackInWords(t *testing.T) {
	f := event.Feedback{State: event.Regressed, Tests: 212, Judgements: []event.Judgement{{Call: event.NewFailure}, {Call: event.NewFailure}, {Call: event.KnownFlaky}}}
	require.Equal(t, "2 new failures, 1 known flaky; 212 tests", FeedbackHeadline(f))
	require.Equal(t, "nothing new; 1 test", FeedbackHeadline(event.Feedback{State: event.Healthy, Tests: 1}))
	require.Equal(t, "nothing new so far", FeedbackHeadline(event.Feedback{State: event.Watching, Running: true}))
	require.Equal(t, "1 failed, none known to be new so far; 2 tests", FeedbackHeadline(event.Feedback{State: event.Watching, Running: true, Tests: 2, Failed: 1}))
	require.Equal(t, "2 failed, and no run of the main branch is known to compare with; 3 tests", FeedbackHeadline(event.Feedback{State: event.Inconclusive, Tests: 3, Failed: 2}))
	require.Equal(t, "it ended without a result", FeedbackHeadline(event.Feedback{State: event.Inconclusive}))
	require.Equal(t, "deployloop was restarted while it ran, so that more may have failed; 3 tests",
		FeedbackHeadline(event.Feedback{State: event.Inconclusive, Tests: 3, Broken: 1, Restarts: 1}), "no report broke off")
	require.Equal(t, "2 reports broke off and deployloop was restarted while it ran, so that more may have failed",
		FeedbackHeadline(event.Feedback{State: event.Inconclusive, Broken: 3, Restarts: 1}))
	job := event.UnendedJob{RunID: "7", Pipeline: "CI", Job: "unit\n"}
	require.Equal(t, "no end was told of CI / unit, so that more may have failed; 3 tests",
		FeedbackHeadline(event.Feedback{State: event.Inconclusive, Tests: 3, Unended: []event.UnendedJob{{RunID: "7", Pipeline: "CI"}, job}}), "the pipeline's goes without saying")
	require.Equal(t, "no end was told of CI, so that more may have failed",
		FeedbackHeadline(event.Feedback{State: event.Inconclusive, Unended: []event.UnendedJob{{RunID: "7", Pipeline: "CI"}}}))
	require.Equal(t, "no end was told of 2 jobs, so that more may have failed",
		FeedbackHeadline(event.Feedback{State: event.Inconclusive, Unended: []event.UnendedJob{{RunID: "6", Pipeline: "CI"}, job}}))
	stopped := event.UnendedJob{RunID: "8", Pipeline: "CI", Cancelled: true}
	require.Equal(t, "CI cancelled, so that more may have failed; 3 tests",
		FeedbackHeadline(event.Feedback{State: event.Inconclusive, Tests: 3, Unended: []event.UnendedJob{stopped}}))
	require.Equal(t, "1 of 2 jobs cancelled, of the others no end was told, so that more may have failed",
		FeedbackHeadline(event.Feedback{State: event.Inconclusive, Unended: []event.UnendedJob{job, stopped}}))
	require.Equal(t, "1 report broke off, so that more may have failed; 3 tests", FeedbackHeadline(event.Feedback{State: event.Inconclusive, Tests: 3, Broken: 1}))
	require.Equal(t, "Its builds and tests said: turned flaky: cart TestTotal at 9f2c1ab", BuildsSentence([]event.Judgement{
		{Call: event.KnownFlaky, NewFlake: true, FirstBad: "9f2c1ab", Test: &event.TestResult{Suite: "cart", Case: "TestTotal"}}}))
}

// Several causes of several lines share the room of an alert: each has its say, and what
// is left out is counted.
func TestCausesOfABuildShareTheAlert(t *testing.T) {
	cause := func(name string, lines int) event.Judgement {
		var text []string
		for block := range 3 {
			text = append(text, fmt.Sprintf("lines %d–%d of the log (no log that passed has it, error):", 100*block, 100*block+lines))
			for i := range lines {
				text = append(text, fmt.Sprintf("  %d: %s cause %d line %d %s", 100*block+i, name, block, i, strings.Repeat("x", 300)))
			}
		}
		return event.Judgement{Call: event.NewFailure, Test: &event.TestResult{Suite: "ci", Case: "[" + name + "]", Message: strings.Join(text, "\n")}}
	}
	a := event.Anomaly{Kind: event.KindBuild, Feedback: &event.Feedback{Judgements: []event.Judgement{cause("compile", 5)}}}
	why := Why(a)
	for block := range 3 {
		require.Contains(t, why, fmt.Sprintf("compile cause %d line 0", block))
	}
	require.Contains(t, why, "\n  … 11 more lines")
	require.LessOrEqual(t, utf8.RuneCountInString(why), WhyLimit)

	a.Feedback.Judgements = append(a.Feedback.Judgements, cause("lint", 5), cause("package", 5), cause("deploy", 5))
	why = Why(a)
	require.LessOrEqual(t, utf8.RuneCountInString(why), WhyLimit)
	for _, name := range []string{"compile", "lint", "package"} {
		require.Contains(t, why, "new failure: ci ["+name+"]\n  lines 0–5 of the log (no log that passed has it, error):\n  0: "+name+" cause 0 line 0")
	}
	require.True(t, strings.HasSuffix(why, "\nand 1 more"), why)

	a.Feedback.Judgements = []event.Judgement{{Call: event.NewFailure, Test: &event.TestResult{Suite: "ci", Case: "[compile]", Message: "line 7 of the log (error):\n  7: no space left on device"}}}
	require.Equal(t, "new failure: ci [compile]\n  line 7 of the log (error):\n  7: no space left on device", Why(a))
	require.Equal(t, []string{"a", " b", "c", "… 2 more lines"}, someOf([]string{"a", " b", " c", "c", " d"}, 4))
	require.Empty(t, someOf([]string{"a", "b"}, 0))
}
