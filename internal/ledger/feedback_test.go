package ledger

import (
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/deployloop/deployloop/internal/event"
)

func TestFeedbackIsKeptAndComesBack(t *testing.T) {
	l := New(Limits{Feedback: 2})
	at := time.Unix(1_800_000_000, 0).UTC()
	revision := strings.Repeat("9f2c1ab", 5) + "00000"
	f := event.Feedback{ID: "1", Repository: "acme/shop", Ref: "main", Revision: revision, State: event.Watching, At: at}
	l.RecordFeedback(f)
	f.State, f.At = event.Regressed, at.Add(time.Minute)
	f.Judgements = []event.Judgement{{Call: event.NewFailure, Test: &event.TestResult{Case: "TestA", Message: strings.Repeat("x", maxText+1)}}}
	l.RecordFeedback(f)
	f.Judgements[0].Test.Case = "changed by its owner"
	l.RecordFeedback(event.Feedback{ID: "1", Revision: revision, State: event.Healthy, At: at}) // an older word

	found := l.Feedback(RunQuery{Repository: "https://forge.example/acme/shop.git", Revision: "9f2c1ab"})
	require.Len(t, found, 1)
	require.Equal(t, event.Regressed, found[0].State)
	require.Equal(t, "TestA", found[0].Judgements[0].Test.Case)
	require.LessOrEqual(t, len(found[0].Judgements[0].Test.Message), maxText)

	again := New(Limits{})
	for _, item := range l.Dirty() {
		require.NoError(t, again.Load(item.Key, item.Value))
	}
	again.Loaded()
	require.Equal(t, found, again.Feedback(RunQuery{}))

	l.RecordFeedback(event.Feedback{ID: "2", Revision: "b", At: at.Add(time.Hour)})
	l.RecordFeedback(event.Feedback{ID: "3", Revision: "c", At: at.Add(time.Hour)})
	require.Len(t, l.Feedback(RunQuery{}), 2)
	require.EqualValues(t, 1, l.Dropped()["feedback"])
	require.NotZero(t, l.Expire(at.Add(1000*time.Hour)))
	require.Empty(t, l.Feedback(RunQuery{}))
}

// Only what fails anew keeps its whole text, and all have a bound in bytes.
func TestFeedbackIsBoundedInBytes(t *testing.T) {
	l := New(Limits{})
	long := strings.Repeat("x", maxText)
	judgements := make([]event.Judgement, event.MaxJudgements)
	for i := range judgements {
		judgements[i] = event.Judgement{Call: event.AlreadyFailing, Test: &event.TestResult{Case: "TestA", Message: long, Stacktrace: long}}
	}
	judgements[0].Call = event.NewFailure
	f := event.Feedback{ID: "old", Revision: "a", State: event.Regressed, At: time.Unix(1_800_000_000, 0), Judgements: judgements}
	l.RecordFeedback(f)
	kept := l.Feedback(RunQuery{})[0].Judgements
	require.Len(t, kept[0].Test.Message+kept[0].Test.Stacktrace, 2*maxText)
	require.Len(t, kept[1].Test.Message, maxOldText)
	require.Empty(t, kept[1].Test.Stacktrace)
	require.Equal(t, l.feedbackBytes, l.Feedback(RunQuery{})[0].Size())

	for i := range judgements {
		judgements[i].Call = event.NewFailure
	}
	for i := range 400 {
		f.ID, f.At = strconv.Itoa(i), f.At.Add(time.Second)
		l.RecordFeedback(f)
		l.RecordFeedback(f) // told again
	}
	require.LessOrEqual(t, l.feedbackBytes, maxShelfBytes)
	require.Less(t, l.Sizes()["feedback"], 400)
	require.NotZero(t, l.Dropped()["feedback"])
	sum := 0
	for _, x := range l.Feedback(RunQuery{Limit: 1000}) {
		sum += x.Size()
		require.NotEqual(t, "old", x.ID)
	}
	require.Equal(t, sum, l.feedbackBytes)
	require.Equal(t, "399", l.Feedback(RunQuery{})[0].ID)

	again := New(Limits{})
	for _, item := range l.Dirty() {
		if item.Value != nil {
			require.NoError(t, again.Load(item.Key, item.Value))
		}
	}
	again.Loaded()
	require.Equal(t, sum, again.feedbackBytes)
	again.Expire(f.At.Add(10_000 * time.Hour))
	require.Zero(t, again.feedbackBytes)
}
