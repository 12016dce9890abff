package ledger

import (
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/deployloop/deployloop/internal/event"
)

// Anomalies and verdicts have a bound in bytes, whatever becomes of them.
func TestAnomaliesAndVerdictsAreBoundedInBytes(t *testing.T) {
	l := New(Limits{})
	at := time.Unix(1_800_000_000, 0).UTC()
	v := event.Verdict{State: event.Regressed, Evidence: make([]event.Evidence, 3), Suspicion: &event.Suspicion{Suspects: []event.Suspect{{
		Change: event.Change{Message: strings.Repeat("m", 4<<10), Modified: []string{"internal/cart/cart.go"}}, Hunk: strings.Repeat("+", 20<<10)}}}}
	for range 30 {
		v.Related = append(v.Related, event.RelatedError{Examples: []event.Example{
			{Stacktrace: strings.Repeat("s", 4<<10)}, {Stacktrace: strings.Repeat("s", 4<<10)}, {Stacktrace: strings.Repeat("s", 4<<10)}}})
	}
	const many = 400
	for i := range many {
		at = at.Add(time.Second)
		id := strconv.Itoa(i)
		v.At, v.Deployment.ID = at, id
		l.RecordVerdict(v)
		told := v
		a := event.Anomaly{ID: id, Service: "cart", Open: true, At: at, DetectedAt: at, Verdict: &told, Symptoms: []string{"a", "b"}}
		l.RecordAnomaly(a)
		a.At = at.Add(time.Millisecond)
		l.RecordAnomaly(a) // told again
		l.RecordSilence(id, &event.Silence{ID: "s", Comment: "known"})
		require.True(t, l.CloseAnomaly(id, event.Closure{Reason: event.ClosedRecovered, Detail: "recovered", At: at}))
		require.LessOrEqual(t, l.anomalyBytes, maxShelfBytes)
		require.LessOrEqual(t, l.verdictBytes, maxShelfBytes)
	}
	held := func(l *Ledger) (anomalies, verdicts int) {
		for _, a := range l.Anomalies(Query{Limit: many}) {
			anomalies += a.Size()
		}
		for _, d := range l.verdicts.Values() {
			verdicts += d.Value.Size()
		}
		return anomalies, verdicts
	}
	anomalies, verdicts := held(l)
	require.Greater(t, anomalies, maxShelfBytes*9/10)
	require.Greater(t, verdicts, maxShelfBytes*9/10)
	require.Equal(t, anomalies, l.anomalyBytes)
	require.Equal(t, verdicts, l.verdictBytes)
	require.NotZero(t, l.Dropped()["anomalies"])
	require.NotZero(t, l.Dropped()["verdicts"])
	_, ok := l.Anomaly("0")
	require.False(t, ok, "the one told first went first")
	_, ok = l.Anomaly(strconv.Itoa(many - 1))
	require.True(t, ok)

	again := New(Limits{})
	for _, item := range l.Dirty() {
		if item.Value != nil {
			require.NoError(t, again.Load(item.Key, item.Value))
		}
	}
	again.Loaded()
	require.Equal(t, l.anomalyBytes, again.anomalyBytes)
	require.Equal(t, l.verdictBytes, again.verdictBytes)
	again.Expire(at.Add(10_000 * time.Hour))
	require.Zero(t, again.anomalyBytes)
	require.Zero(t, again.verdictBytes)
}
