package ledger

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/deployloop/deployloop/internal/event"
)

func TestAnomalyIsClosedOnceAndStaysClosed(t *testing.T) {
	l := New(Limits{})
	a := event.Anomaly{ID: "a", Service: "cart", Open: true, At: t0, StartsAt: t0, Severity: event.SeverityWarning}
	l.RecordAnomaly(a)
	later := a
	later.At, later.StartsAt, later.Severity = t0.Add(time.Minute), t0.Add(time.Hour), event.SeverityCritical
	l.RecordAnomaly(later)
	l.RecordAnomaly(a) // delivered again, late
	got, ok := l.Anomaly("a")
	require.True(t, ok)
	assert.Equal(t, later.At, got.At)
	assert.Equal(t, t0, got.StartsAt, "its identity is frozen")
	assert.Equal(t, event.SeverityWarning, got.Severity)

	assert.True(t, l.CloseAnomaly("a", event.Closure{Reason: event.ClosedRolledBack, At: t0.Add(2 * time.Minute)}))
	assert.False(t, l.CloseAnomaly("a", event.Closure{Reason: event.ClosedRecovered, At: t0.Add(3 * time.Minute)}))
	assert.False(t, l.CloseAnomaly("unknown", event.Closure{}))
	later.At = t0.Add(time.Hour)
	l.RecordAnomaly(later)
	got, _ = l.Anomaly("a")
	assert.False(t, got.Open)
	assert.Equal(t, event.ClosedRolledBack, got.Closure.Reason)
	assert.Empty(t, l.Anomalies(Query{OpenOnly: true}))
	assert.Len(t, l.Anomalies(Query{Service: "cart"}), 1)
}

func TestWhatIsReadIsACopy(t *testing.T) {
	l := New(Limits{})
	v := event.Verdict{Deployment: event.Deployment{ID: "d"}, At: t0, Evidence: []event.Evidence{{Operation: "GET /"}}}
	l.RecordVerdict(v)
	v.Evidence[0].Operation = "altered after it was told"
	got, _ := l.Verdict("d")
	got.Evidence[0].Operation = "altered by a reader"
	got, _ = l.Verdict("d")
	assert.Equal(t, "GET /", got.Evidence[0].Operation)
	l.RecordVerdict(event.Verdict{Deployment: v.Deployment, At: t0.Add(-time.Hour), State: event.Healthy})
	got, _ = l.Verdict("d")
	assert.Empty(t, got.State, "an older verdict changes nothing")
}

func TestFinishedRunStaysFinished(t *testing.T) {
	l := New(Limits{})
	l.RecordPipelineRun(event.PipelineRun{ID: "7", State: "finished", Result: "failure", Revision: revA, FinishedAt: t0.Add(time.Minute)})
	l.RecordPipelineRun(event.PipelineRun{ID: "7", State: "executing", Pipeline: "build", StartedAt: t0})
	l.RecordPipelineRun(event.PipelineRun{ID: "7", Attempt: 2, State: "executing", StartedAt: t0.Add(time.Hour)})
	runs := l.PipelineRuns(RunQuery{RunID: "7"})
	require.Len(t, runs, 2)
	assert.Equal(t, event.PipelineRun{
		ID: "7", Pipeline: "build", State: "finished", Result: "failure", Revision: revA, StartedAt: t0, FinishedAt: t0.Add(time.Minute),
	}, runs[1])
	assert.Len(t, l.PipelineRuns(RunQuery{Revision: revA[:8]}), 1)
}

// history records the commits c0 … c9 of one branch.
func history(l *Ledger) (revisions []string) {
	for i := range 10 {
		revisions = append(revisions, fmt.Sprintf("%07d%033d", i+1, i+1))
		c := event.Change{Repository: "acme/shop", Revision: revisions[i], At: t0.Add(time.Duration(i) * time.Minute)}
		if i > 0 {
			c.Previous = revisions[i-1]
		}
		l.RecordChange(c)
	}
	return revisions
}

func TestChangeRange(t *testing.T) {
	l := New(Limits{Range: 5})
	r := history(l)
	got, complete, note := l.ChangeRange("https://forge.example/acme/shop.git", r[2][:7], r[5])
	require.Len(t, got, 3)
	assert.Equal(t, []any{true, "", r[5], r[3]}, []any{complete, note, got[0].Revision, got[2].Revision})
	for name, c := range map[string]struct {
		previous, new string
		commits       int
		note          string
	}{
		"previous unknown":    {"", r[5], 1, "previous revision is unknown"},
		"new never pushed":    {r[1], "ffffffff", 0, "was in no push"},
		"previous elsewhere":  {"ffffffff", r[3], 4, "what came before 0000001 was not told"},
		"longer than allowed": {r[0], r[9], 5, "more than 5 commits"},
	} {
		t.Run(name, func(t *testing.T) {
			got, complete, note := l.ChangeRange("acme/shop", c.previous, c.new)
			assert.False(t, complete)
			assert.Len(t, got, c.commits)
			assert.Contains(t, note, c.note)
		})
	}
}

func TestForcePushIsSaid(t *testing.T) {
	l := New(Limits{})
	r := history(l)
	l.RecordChange(event.Change{Repository: "acme/shop", Revision: "eeeeeeee", Previous: r[9], Parents: []string{r[6]}, Forced: true, At: t0})
	got, complete, note := l.ChangeRange("acme/shop", r[6], "eeeeeeee")
	assert.Len(t, got, 1)
	assert.True(t, complete)
	assert.Contains(t, note, "force-push")
}

func TestChangeByUniquePrefix(t *testing.T) {
	l := New(Limits{Changes: 2})
	l.RecordChange(event.Change{Repository: "a/b", Revision: "abcdef01", At: t0})
	l.RecordChange(event.Change{Repository: "a/b", Revision: "abcdef02", At: t0})
	_, ok := l.Change("a/b", "abcdef0")
	assert.False(t, ok, "two begin so")
	_, ok = l.Change("a/b", "abcdef02")
	assert.True(t, ok)
	l.RecordChange(event.Change{Repository: "a/b", Revision: "1111111", At: t0})
	c, ok := l.Change("", "abcdef0")
	assert.True(t, ok, "the other was evicted")
	assert.Equal(t, "abcdef02", c.Revision)
	assert.EqualValues(t, 1, l.Dropped()["changes"])
	assert.Len(t, l.Changes(ChangeQuery{Repository: "a/b"}), 2)
}

func TestSlowSubscriberIsToldWhatItMissed(t *testing.T) {
	l := New(Limits{Subscribers: 1})
	updates, cancel := l.Subscribe(2)
	for i := range 5 {
		l.RecordChange(event.Change{Repository: "a/b", Revision: fmt.Sprint(i), At: t0})
	}
	assert.Equal(t, Update{Kind: "change", ID: "0", At: t0}, <-updates)
	<-updates
	l.RecordChange(event.Change{Repository: "a/b", Revision: "5", At: t0})
	assert.Equal(t, Update{Kind: "change", ID: "5", At: t0, Missed: 3}, <-updates)
	refused, _ := l.Subscribe(1)
	_, open := <-refused
	assert.False(t, open)
	cancel()
	cancel()
	_, open = <-updates
	assert.False(t, open)
	l.RecordChange(event.Change{Repository: "a/b", Revision: "6", At: t0}) // nobody listens
}

func TestRetentionKeepsWhatIsOpenOrCurrent(t *testing.T) {
	l := New(Limits{Retention: 24 * time.Hour})
	sight := func(version string, at time.Duration) (event.Deployment, bool) {
		return l.RecordSighting(Sighting{Service: "cart", Version: version, At: t0.Add(at)})
	}
	sight("1", 0)
	old, isNew := sight("2", time.Hour)
	require.True(t, isNew)
	current, isNew := sight("3", 2*time.Hour)
	require.True(t, isNew)
	l.RecordAnomaly(event.Anomaly{ID: "open", Deployment: old.ID, Open: true, At: t0})
	l.RecordAnomaly(event.Anomaly{ID: "closed", Deployment: old.ID, At: t0})
	l.RecordPipelineRun(event.PipelineRun{ID: "7", FinishedAt: t0})
	sight("3", 47*time.Hour)
	l.Expire(t0.Add(48 * time.Hour))
	assert.Equal(t, map[string]int{"deployments": 2, "places": 1, "changes": 0, "runs": 0, "anomalies": 1, "verdicts": 0, "evidence": 0, "feedback": 0}, l.Sizes())
	_, _, ok := l.Current("cart", "", "3", "")
	assert.True(t, ok)
	l.CloseAnomaly("open", event.Closure{Reason: event.ClosedWaived, At: t0.Add(48 * time.Hour)})
	l.Expire(t0.Add(100 * time.Hour))
	assert.Zero(t, l.Sizes()["deployments"]+l.Sizes()["places"]+l.Sizes()["anomalies"])
	_, _, ok = l.Current("cart", "", "3", "")
	assert.False(t, ok)
	_, ok = l.Deployment(current.ID)
	assert.False(t, ok)
	for _, item := range l.Dirty() {
		assert.Nil(t, item.Value, "%s is deleted", item.Key)
	}
}

func TestLoadRefusesWhatItCannotRead(t *testing.T) {
	l := New(Limits{})
	for value, want := range map[string]string{
		`{`:                          "unexpected end",
		`{"v":2,"key":"change/a@b"}`: "reads up to 1",
		`{"v":1,"key":"change/a@c"}`: "holds the object of",
		`{"v":1,"key":"change/a@b"}`: "no object of that kind",
		`{"v":1,"key":"change/a@b","run":{"id":"7"}}`: "no object of that kind",
	} {
		assert.ErrorContains(t, l.Load("change/a@b", []byte(value)), want)
	}
	assert.Zero(t, l.Sizes()["changes"])
}
