package wording

import (
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
	require.Equal(t, "2 failed, and no run of the main branch is known to compare with; 3 tests", FeedbackHeadline(event.Feedback{State: event.Inconclusive, Tests: 3, Failed: 2}))
	require.Equal(t, "it ended without a result", FeedbackHeadline(event.Feedback{State: event.Inconclusive}))
	require.Equal(t, "1 report broke off, so that more may have failed; 3 tests", FeedbackHeadline(event.Feedback{State: event.Inconclusive, Tests: 3, Broken: 1}))
	require.Equal(t, "Its builds and tests said: turned flaky: cart TestTotal at 9f2c1ab", BuildsSentence([]event.Judgement{
		{Call: event.KnownFlaky, NewFlake: true, FirstBad: "9f2c1ab", Test: &event.TestResult{Suite: "cart", Case: "TestTotal"}}}))
}
