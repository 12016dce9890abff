package judge

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/deployloop/deployloop/internal/event"
)

// bench is a store with a clock.
type bench struct {
	t *testing.T
	*Store
	now      time.Time
	feedback map[string]event.Feedback // newest, by revision
	alerts   map[string]event.Anomaly  // newest, by id
}

func newBench(t *testing.T) *bench {
	return &bench{t: t, now: time.Unix(1_800_000_000, 0).UTC(), feedback: map[string]event.Feedback{}, alerts: map[string]event.Anomaly{},
		Store: NewStore(Options{Trunks: []string{"main"}, Quiet: 30 * time.Second, Limits: DefaultLimits,
			Mode: func(string) event.Mode { return event.Advise }})}
}

func (b *bench) tick(after time.Duration) {
	b.now = b.now.Add(after)
	feedback, anomalies := b.Tick(b.now)
	for _, f := range feedback {
		b.feedback[f.Revision] = f
	}
	for _, a := range anomalies {
		b.alerts[a.ID] = a
	}
}

// tests tells of results, "name pass" each, at one commit of a branch.
func (b *bench) tests(ref, revision string, results ...string) {
	for _, r := range results {
		name, status, _ := strings.Cut(r, " ")
		b.Test(event.TestResult{Suite: "acme/cart", Case: name, Status: status, Duration: time.Second, Message: "want 3, got 4",
			Repository: "acme/shop", Ref: ref, Revision: revision, Base: "aaaaaaa1"}, b.now)
	}
	b.tick(time.Second)
}

// run is tests and the quiet after them.
func (b *bench) run(ref, revision string, results ...string) event.Feedback {
	b.tests(ref, revision, results...)
	b.tick(time.Minute)
	f := b.feedback[revision]
	require.False(b.t, f.Running)
	return f
}

func (b *bench) open() (open []event.Anomaly) {
	for _, a := range b.alerts {
		if a.Open {
			open = append(open, a)
		}
	}
	return open
}

func said(f event.Feedback) (list []string) {
	for _, j := range f.Judgements {
		name := j.Measure
		if j.Test != nil {
			name = j.Test.Case
		} else if j.Finding != nil {
			name = j.Finding.Rule
		}
		list = append(list, string(j.Call)+" "+name)
	}
	return list
}

func TestFirstRunOfATrunkIsItsBaseline(t *testing.T) {
	b := newBench(t)
	f := b.run("main", "aaaaaaa1", "TestA pass", "TestB fail")
	require.Equal(t, event.Healthy, f.State)
	require.Equal(t, []string{"already_failing TestB"}, said(f))
	require.Empty(t, b.alerts)
	f = b.run("main", "aaaaaaa2", "TestA pass", "TestB fail")
	require.Equal(t, []string{"already_failing TestB"}, said(f))
	require.Empty(t, b.alerts)
	f = b.run("main", "aaaaaaa3", "TestA pass", "TestB pass")
	require.Equal(t, []string{"fixed TestB"}, said(f))
}

func TestAlertOfTheFirstNewFailureWhileTheRunGoesOn(t *testing.T) {
	b := newBench(t)
	b.run("main", "aaaaaaa1", "TestA pass", "TestB pass", "TestC pass")
	b.tests("main", "aaaaaaa2", "TestA fail")
	f := b.feedback["aaaaaaa2"]
	require.True(t, f.Running)
	require.Equal(t, event.Regressed, f.State)
	require.Len(t, b.open(), 1)
	a := b.open()[0]
	require.Equal(t, event.KindBuild, a.Kind)
	require.Equal(t, event.StageTest, a.Stage)
	require.Equal(t, "aaaaaaa2", a.Commit)
	require.Equal(t, "aaaaaaa1", a.Feedback.Judgements[0].LastPass)
	require.Equal(t, "want 3, got 4", a.Feedback.Judgements[0].Test.Message)

	b.tests("main", "aaaaaaa2", "TestB fail", "TestC pass")
	b.tick(time.Minute)
	require.Len(t, b.open(), 1, "one alert a commit")
	require.Len(t, b.open()[0].Feedback.Judgements, 2)
	require.Equal(t, 3, b.feedback["aaaaaaa2"].Tests)

	f = b.run("main", "aaaaaaa3", "TestA fail", "TestB pass", "TestC pass")
	require.Equal(t, event.Healthy, f.State, "nothing new")
	require.Equal(t, []string{"already_failing TestA", "fixed TestB"}, said(f))
	require.Len(t, b.open(), 1, "TestA is left")

	b.run("main", "aaaaaaa4", "TestA pass", "TestB pass", "TestC pass")
	require.Empty(t, b.open())
	closed := b.alerts[a.ID]
	require.Equal(t, event.ClosedFixedBy, closed.Closure.Reason)
	require.Equal(t, "aaaaaaa4", closed.Closure.Revision)
	require.Equal(t, "all 2 are over; the last: passes since aaaaaaa4", closed.Closure.Detail)
}

func TestFailureThatPassesWhenRunAgainClosesAsFlaky(t *testing.T) {
	b := newBench(t)
	b.run("main", "aaaaaaa1", "TestA pass")
	b.tests("main", "aaaaaaa2", "TestA fail")
	require.Len(t, b.open(), 1)
	f := b.run("main", "aaaaaaa2", "TestA pass")
	require.Equal(t, []string{"known_flaky TestA"}, said(f))
	require.True(t, f.Judgements[0].NewFlake, "it turned flaky with this commit")
	require.Equal(t, event.Healthy, f.State)
	require.Empty(t, b.open())
	for _, a := range b.alerts {
		require.Equal(t, event.ClosedRecovered, a.Closure.Reason)
	}
	f = b.run("main", "aaaaaaa3", "TestA fail")
	require.Equal(t, []string{"known_flaky TestA"}, said(f))
	require.False(t, f.Judgements[0].NewFlake)
	require.Empty(t, b.open())
}

// A job of the same commit that is started again after its alert ended the first
// run is the same code all the same.
func TestLaterRerunOfTheSameCommit(t *testing.T) {
	b := newBench(t)
	b.run("main", "aaaaaaa1", "TestA pass")
	b.run("main", "aaaaaaa2", "TestA fail")
	require.Len(t, b.open(), 1)
	b.tick(time.Hour)
	f := b.run("main", "aaaaaaa2", "TestA pass")
	require.Equal(t, []string{"known_flaky TestA"}, said(f))
	require.Empty(t, b.open())
}

func TestBranchIsComparedWithWhereItBegan(t *testing.T) {
	b := newBench(t)
	b.run("main", "aaaaaaa0", "TestA pass", "TestB pass")
	b.run("main", "aaaaaaa1", "TestA pass", "TestB fail")
	b.run("main", "aaaaaaa2", "TestA pass", "TestB pass")
	b.run("main", "aaaaaaa3", "TestA fail", "TestB pass")
	alerts := len(b.alerts)
	f := b.run("feature", "bbbbbbb1", "TestA fail", "TestB fail")
	require.Equal(t, []string{"new_failure TestA", "already_failing TestB"}, said(f), "as main was at aaaaaaa1")
	require.Equal(t, event.Regressed, f.State)
	require.False(t, f.Trunk)
	require.Len(t, b.alerts, alerts, "a branch pages nobody")
	f = b.run("feature", "bbbbbbb2", "TestA pass", "TestB pass")
	require.Equal(t, []string{"fixed TestB"}, said(f))
	require.Equal(t, event.Healthy, f.State)
	f = b.run("main", "aaaaaaa4", "TestA fail", "TestB pass")
	require.Equal(t, []string{"already_failing TestA"}, said(f), "a branch teaches main nothing")
}

func TestBranchWithoutATrunkIsInconclusive(t *testing.T) {
	b := newBench(t)
	f := b.run("feature", "bbbbbbb1", "TestA fail")
	require.Equal(t, event.Inconclusive, f.State)
}

func TestNewFindingAndItsEnd(t *testing.T) {
	b := newBench(t)
	report := func(ref, revision string, prints ...string) event.Feedback {
		for _, p := range prints {
			b.Finding(event.Finding{Tool: "vet", Rule: p, Fingerprint: p, File: "a.go", Line: 3, Repository: "acme/shop", Ref: ref, Revision: revision}, b.now)
		}
		b.Report(event.Report{Kind: "sarif", Tools: []string{"vet"}, Findings: len(prints), Repository: "acme/shop", Ref: ref, Revision: revision}, b.now)
		b.tick(time.Second)
		b.tick(time.Minute)
		return b.feedback[revision]
	}
	report("main", "aaaaaaa1", "old")
	f := report("main", "aaaaaaa2", "old", "leak")
	require.Equal(t, []string{"new_finding leak"}, said(f))
	require.Len(t, b.open(), 1)
	require.Equal(t, event.StageBuild, b.open()[0].Stage)
	f = report("feature", "bbbbbbb1", "leak")
	require.Equal(t, []string{"fixed_finding old"}, said(f))
	report("main", "aaaaaaa3", "old", "leak")
	require.Len(t, b.open(), 1)
	f = report("main", "aaaaaaa4") // the tool ran and found nothing
	require.Equal(t, []string{"fixed_finding leak", "fixed_finding old"}, said(f))
	require.Empty(t, b.open())
}

func TestJobThatFailsOrTakesLonger(t *testing.T) {
	b := newBench(t)
	quiet := time.Hour
	job := func(revision, result string, took time.Duration) {
		p := event.PipelineRun{ID: "1", Pipeline: "ci", Task: "build", TaskID: "2", State: "executing", Stage: event.StageBuild,
			Repository: "acme/shop", Ref: "main", Revision: revision, QueuedAt: b.now, StartedAt: b.now.Add(time.Second)}
		b.PipelineRun(p, b.now)
		b.tick(quiet)
		require.True(t, b.feedback[revision].Running || b.feedback[revision].ID == "", "it goes on, however quiet")
		p.State, p.Result, p.FinishedAt = "finished", result, p.StartedAt.Add(took)
		b.PipelineRun(p, b.now)
		b.tick(time.Second)
		b.tick(time.Minute)
	}
	for i := range 30 {
		if i == minValues-1 {
			quiet = 100 * time.Second // what is quiet for longer hangs, once it is known how long it takes
		}
		job(fmt.Sprintf("aaaaa%02d", i), "success", time.Minute)
	}
	require.Empty(t, b.alerts)
	job("bbbbbb1", "failure", time.Minute)
	require.Equal(t, []string{"new_failure [build]"}, said(b.feedback["bbbbbb1"]))
	require.Len(t, b.open(), 1)
	job("bbbbbb2", "success", time.Minute)
	require.Empty(t, b.open())
	for i := range 6 {
		job(fmt.Sprintf("ccccc%02d", i), "success", 3*time.Minute)
	}
	require.Len(t, b.open(), 1)
	slow := b.open()[0]
	require.Equal(t, event.SeverityInfo, slow.Severity)
	require.Equal(t, "ccccc00", slow.Commit)
	require.InDelta(t, 3, slow.Feedback.Judgements[0].Shift.Ratio, .2)
	for i := range fasterRuns {
		job(fmt.Sprintf("ddddd%02d", i), "success", time.Minute)
	}
	require.Empty(t, b.open(), "as fast as before")
}

// A failing job whose tests say why is no failure of its own.
func TestJobFailsBecauseOfItsTests(t *testing.T) {
	b := newBench(t)
	b.run("main", "aaaaaaa1", "TestA pass")
	b.tests("main", "aaaaaaa2", "TestA fail")
	b.PipelineRun(event.PipelineRun{ID: "1", Pipeline: "ci", State: "finished", Result: "failure", Repository: "acme/shop", Ref: "main",
		Revision: "aaaaaaa2", FinishedAt: b.now}, b.now)
	b.tick(time.Minute)
	require.Equal(t, []string{"new_failure TestA"}, said(b.feedback["aaaaaaa2"]))
}

// After kill -9 baselines come back as they were saved last, and alerts out of
// the ledger: what was told is not told anew, and still ends.
func TestStoreSurvivesACrash(t *testing.T) {
	b := newBench(t)
	b.run("main", "aaaaaaa1", "TestA pass", "TestB pass")
	saved, err := b.Dirty()
	require.NoError(t, err)
	require.Len(t, saved, 1)
	b.tests("main", "aaaaaaa2", "TestA fail") // its end is lost
	open := b.open()
	require.Len(t, open, 1)

	after := newBench(t)
	after.now = b.now
	for _, value := range saved {
		require.NoError(t, after.Load(value))
	}
	after.Adopt(open[0])
	f := after.run("main", "aaaaaaa3", "TestA fail", "TestB pass")
	require.Equal(t, []string{"already_failing TestA"}, said(f))
	require.Empty(t, after.alerts, "nothing new")
	after.run("main", "aaaaaaa4", "TestA pass", "TestB pass")
	require.Equal(t, event.ClosedFixedBy, after.alerts[open[0].ID].Closure.Reason)

	require.Error(t, after.Load([]byte("broken")))
}

func TestLimitsOfAStore(t *testing.T) {
	b := newBench(t)
	b.options.Limits = Limits{Baselines: 2, Tests: 100, Runs: 2, Results: 5, Problems: 1, Commits: 3, Said: 1 << 20}
	for i := range 4 {
		b.Test(event.TestResult{Suite: "s", Case: "a", Status: "pass", Repository: fmt.Sprint(i), Ref: "main", Revision: "aaaaaaa1"}, b.now)
		b.tick(time.Second)
	}
	_, runs, _ := b.Sizes()
	require.Equal(t, 2, runs)
	require.EqualValues(t, 2, b.Dropped["runs"])
	b.tick(time.Minute)
	baselines, runs, _ := b.Sizes()
	require.Equal(t, 2, baselines)
	require.Zero(t, runs)
	require.Zero(t, b.results)
	b.run("main", "aaaaaaa1", "TestA pass", "TestB pass")
	b.run("main", "aaaaaaa2", "TestA fail", "TestB fail")
	require.Len(t, b.open()[0].Feedback.Judgements, 1)
	require.NotZero(t, b.Dropped["problems"])
}

func TestWaivedAlertIsNotToldAnew(t *testing.T) {
	b := newBench(t)
	b.run("main", "aaaaaaa1", "TestA pass")
	b.run("main", "aaaaaaa2", "TestA fail")
	id := b.open()[0].ID
	b.Close(id)
	delete(b.alerts, id)
	b.run("main", "aaaaaaa3", "TestA fail")
	require.Empty(t, b.alerts)
}
