package ledger

import (
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
