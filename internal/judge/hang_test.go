package judge

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/deployloop/deployloop/internal/event"
)

// job tells how the job unit of a run on main goes.
func (b *bench) job(run int, state, result string, started time.Time) {
	p := event.PipelineRun{
		ID: fmt.Sprint(run), Pipeline: "CI", Task: "unit", TaskID: fmt.Sprint("j", run), State: state, Result: result,
		Repository: "acme/shop", Ref: "main", Revision: fmt.Sprintf("aaaaaa%03d", run), StartedAt: started, QueuedAt: started.Add(-20 * time.Second),
	}
	if state == "finished" {
		p.FinishedAt = b.now
	}
	b.PipelineRun(p, b.now)
}

// usual plays runs whose job takes five minutes, more or less.
func (b *bench) usual(runs int) {
	for run := range runs {
		started := b.now
		b.job(run, "executing", "", started)
		b.tick(time.Duration(290+run%5*5) * time.Second)
		b.job(run, "finished", "success", started)
		b.tick(time.Minute)
	}
	require.Empty(b.t, b.alerts)
}

func TestJobThatHangsIsToldOfWhileItHangs(t *testing.T) {
	b := newBench(t)
	b.usual(15)
	started := b.now
	b.job(100, "executing", "", started)
	b.tick(9 * time.Minute)
	require.Empty(t, b.open(), "slow, and maybe no more")
	b.tick(3 * time.Minute)
	require.Len(t, b.open(), 1)
	a := b.open()[0]
	require.Equal(t, event.SignalBuild, a.Signal)
	require.Equal(t, event.StageBuild, a.Stage)
	require.Equal(t, event.SeverityWarning, a.Severity)
	require.Equal(t, "aaaaaa100", a.Commit)
	j := a.Feedback.Judgements[0]
	require.Equal(t, event.Hanging, j.Call)
	require.Equal(t, "aaaaaa014", j.LastPass)
	require.Equal(t, "it goes on for 12m0s and has not ended; it usually takes 5m0s, and took 5m10s at most in 15 runs", j.Test.Message)
	f := b.feedback["aaaaaa100"]
	require.True(t, f.Running)
	require.Equal(t, event.Watching, f.State, "nothing failed yet")
	require.Equal(t, []string{"hanging [unit]"}, said(f))

	b.tick(time.Hour)
	require.Len(t, b.open(), 1, "told once")

	// Another job of the run fails: the one that hangs does not explain it.
	b.PipelineRun(event.PipelineRun{ID: "100", Pipeline: "CI", Task: "lint", TaskID: "l", State: "finished", Result: "failure",
		Repository: "acme/shop", Ref: "main", Revision: "aaaaaa100", FinishedAt: b.now}, b.now)
	b.tick(time.Second)
	require.Equal(t, []string{"new_failure [lint]", "hanging [unit]"}, said(b.feedback["aaaaaa100"]))

	b.job(100, "finished", "cancellation", started)
	b.tick(time.Minute)
	require.Len(t, b.open(), 1, "lint still fails")
	for _, j := range b.open()[0].Feedback.Judgements {
		if j.Call == event.Hanging {
			require.Equal(t, "the job ended with cancellation after 1h12m1s", j.Closure.Detail)
			require.Equal(t, event.ClosedRecovered, j.Closure.Reason)
		}
	}
}

func TestHangThatEndsClosesItsAlert(t *testing.T) {
	b := newBench(t)
	b.usual(12)
	started := b.now
	b.job(100, "executing", "", started)
	b.tick(30 * time.Minute)
	require.Len(t, b.open(), 1)
	id := b.open()[0].ID

	// A restart loses the run under way and takes up the alert.
	again := newBench(t)
	again.now = b.now
	again.Adopt(b.alerts[id])
	again.job(100, "finished", "success", started)
	again.tick(time.Second)
	require.False(t, again.alerts[id].Open)
	require.Equal(t, "the job ended with success after 30m0s", again.alerts[id].Closure.Detail)

	b.tick(time.Minute)
	b.job(100, "finished", "timeout", started)
	b.tick(time.Second)
	require.False(t, b.alerts[id].Open)
	require.Len(t, b.open(), 1, "and it failed")
	require.Equal(t, event.NewFailure, b.open()[0].Feedback.Judgements[0].Call)
}

// A job that deploys is no part of its commit's builds and tests, which are not
// pending for it. That it hangs is told, from a tag too.
func TestADeployThatHangs(t *testing.T) {
	b := newBench(t)
	require.Equal(t, event.Healthy, b.run("main", "aaaaaaa1", "TestTotal pass").State)
	word := func(run int, ref, state, result string, started time.Time) {
		p := event.PipelineRun{
			ID: fmt.Sprint(run), Pipeline: "release", Task: "production", TaskID: fmt.Sprint("d", run), Stage: event.StageDeploy, State: state, Result: result,
			Repository: "acme/shop", Ref: ref, Revision: fmt.Sprintf("ddddddd%03d", run), StartedAt: started, URL: fmt.Sprint("https://ci.example/", run),
		}
		if state == "finished" {
			p.FinishedAt = b.now
		}
		b.PipelineRun(p, b.now)
	}
	for run := range 15 {
		started := b.now
		word(run, fmt.Sprint("v1.0.", run), "executing", "", started)
		b.tick(time.Duration(290+run%5*5) * time.Second)
		word(run, fmt.Sprint("v1.0.", run), "finished", "success", started)
		word(run, fmt.Sprint("v1.0.", run), "finished", "success", started) // told twice
	}
	b.tick(time.Minute)
	require.Empty(t, b.alerts)
	require.Len(t, b.feedback, 1, "a deploy is no run of builds and tests")
	require.Len(t, b.baselines[branch{"acme/shop", "main"}].Measures[Key("release", "production")+"\x1fduration"].Reference, 15)
	require.Empty(t, b.deploys)

	b = b.after()
	started := b.now
	word(100, "v1.1.0", "executing", "", started)
	b.tick(9 * time.Minute)
	require.Empty(t, b.open())
	b.tick(3 * time.Minute)
	require.Len(t, b.open(), 1)
	a := b.open()[0]
	require.Equal(t, event.StageDeploy, a.Stage)
	require.Equal(t, event.SignalBuild, a.Signal)
	require.Equal(t, "ddddddd100", a.Commit)
	require.Equal(t, "v1.1.0", a.Feedback.Ref)
	require.Equal(t, "https://ci.example/100", a.Feedback.URL)
	require.Equal(t, event.Hanging, a.Feedback.Judgements[0].Call)
	b.tick(time.Hour)
	require.Len(t, b.open(), 1, "told once")
	word(100, "v1.1.0", "finished", "failure", started)
	b.tick(time.Second)
	require.Empty(t, b.open())
	require.Equal(t, "the job ended with failure after 1h12m0s", b.alerts[a.ID].Closure.Detail)
	require.Empty(t, b.feedback)

	// The word of its own end is lost, that of its whole run comes.
	word(101, "v1.1.1", "executing", "", b.now)
	b.tick(time.Hour)
	require.Len(t, b.open(), 1)
	b.PipelineRun(event.PipelineRun{ID: "101", Pipeline: "release", State: "finished", Result: "cancellation", Repository: "acme/shop", Ref: "v1.1.1", Revision: "ddddddd101", FinishedAt: b.now}, b.now)
	b.tick(time.Second)
	require.Empty(t, b.open())
}

// The word of its end, and of its run's, never comes: the alert ends when nothing was
// heard of the job for long, and says so; over a restart, too.
func TestAHangWhoseEndIsNeverToldEnds(t *testing.T) {
	for _, c := range []struct {
		name  string
		stage event.Stage
		ref   string
	}{{"a deploy of a tag", event.StageDeploy, "v2.0.0"}, {"a build of main", event.StageBuild, "main"}} {
		for _, restart := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s, restart %v", c.name, restart), func(t *testing.T) {
				b := newBench(t)
				b.usual(15)
				word := func(run int, ref, state, result string, started time.Time) {
					p := event.PipelineRun{
						ID: fmt.Sprint(run), Pipeline: "release", Task: "production", TaskID: fmt.Sprint("d", run), Stage: c.stage, State: state, Result: result,
						Repository: "acme/shop", Ref: ref, Revision: fmt.Sprintf("ddddddd%03d", run), StartedAt: started,
					}
					if state == "finished" {
						p.FinishedAt = b.now
					}
					b.PipelineRun(p, b.now)
				}
				for run := range 15 {
					started := b.now
					word(run, "main", "executing", "", started)
					b.tick(5 * time.Minute)
					word(run, "main", "finished", "success", started)
					b.tick(time.Minute)
				}
				started := b.now
				word(100, c.ref, "executing", "", started)
				b.tick(time.Hour)
				require.Len(t, b.open(), 1)
				id := b.open()[0].ID
				b.tick(3 * time.Hour)
				word(100, c.ref, "executing", "", started) // it is still heard of
				if restart {
					b.tick(time.Second)
					b = b.after()
				}
				b.tick(5 * time.Hour)
				require.True(t, b.alerts[id].Open, "heard of five hours ago")
				b.tick(hangs)
				a := b.alerts[id]
				require.False(t, a.Open)
				require.Equal(t, event.ClosedUnheard, a.Closure.Reason)
				require.Equal(t, "nothing was heard of the job for 6 h, and it is not known how it ended", a.Closure.Detail)
				b.tick(time.Hour)
				require.Empty(t, b.open(), "nor told anew")
				require.Empty(t, b.deploys)
				require.Empty(t, b.Store.alerts)
			})
		}
	}
}

// after is the same bench behind a restart, which loses the runs under way.
func (b *bench) after() *bench {
	saved, err := b.Dirty()
	require.NoError(b.t, err)
	again := newBench(b.t)
	again.now = b.now
	for _, value := range saved {
		require.NoError(b.t, again.Load(value))
	}
	for _, f := range b.feedback {
		again.Resume(f, again.now)
	}
	for id, a := range b.alerts {
		again.Adopt(a)
		again.alerts[id] = a
	}
	return again
}

// A job that hung when the process ended and fails afterwards is a failure, and
// hangs no more.
func TestHangOverARestartThatFailsIsToldOf(t *testing.T) {
	b := newBench(t)
	b.usual(15)
	started := b.now
	b.job(100, "executing", "", started)
	b.tick(30 * time.Minute)
	require.Equal(t, []string{"hanging [unit]"}, said(b.feedback["aaaaaa100"]))
	hang := b.open()[0].ID

	b = b.after()
	b.tick(time.Second)
	b.job(100, "finished", "timeout", started)
	b.tick(time.Second)
	require.False(t, b.alerts[hang].Open)
	require.Len(t, b.open(), 1, "it failed")
	require.Equal(t, event.NewFailure, b.open()[0].Feedback.Judgements[0].Call)
	require.Equal(t, []string{"new_failure [unit]"}, said(b.feedback["aaaaaa100"]))
	b.tick(time.Hour)
	require.Equal(t, []string{"new_failure [unit]"}, said(b.feedback["aaaaaa100"]))
	require.Equal(t, event.Regressed, b.feedback["aaaaaa100"].State)
}

// The word of a job's end may be lost: that of its run's end ends it as well, but not
// the jobs of a later attempt.
func TestJobEndsWithItsRun(t *testing.T) {
	for attempt, open := range map[int]int{1: 0, 2: 1} {
		b := newBench(t)
		b.usual(15)
		started := b.now
		job := event.PipelineRun{ID: "100", Pipeline: "CI", Task: "unit", TaskID: "j100", Attempt: attempt, State: "executing", Source: "github",
			Repository: "acme/shop", Ref: "main", Revision: "aaaaaa100", StartedAt: started}
		b.PipelineRun(job, b.now)
		b.tick(30 * time.Minute)
		require.Len(t, b.open(), 1)
		id := b.open()[0].ID

		run := job
		run.Task, run.TaskID, run.Attempt, run.State, run.Result, run.FinishedAt = "", "", 1, "finished", "cancellation", b.now
		b.PipelineRun(run, b.now)
		b.tick(time.Second)
		require.Len(t, b.open(), open, "attempt %d", attempt)
		b.tick(time.Hour)
		require.Len(t, b.open(), open, "attempt %d", attempt)
		if open == 0 {
			require.Equal(t, "it is not known how the job ended, but its run ended with cancellation", b.alerts[id].Closure.Detail)
			require.False(t, b.feedback["aaaaaa100"].Running)
			require.Empty(t, said(b.feedback["aaaaaa100"]))
		}
	}
}

// Two commits' jobs hang: when the first one's ends, the second's is told of.
func TestHangOfASecondCommitOutlivesTheFirst(t *testing.T) {
	b := newBench(t)
	b.usual(15)
	started := b.now
	b.job(100, "executing", "", started)
	b.job(101, "executing", "", started)
	b.tick(30 * time.Minute)
	require.Len(t, b.open(), 1, "one thing is wrong")
	first := b.open()[0]
	runs := map[string]int{"aaaaaa100": 100, "aaaaaa101": 101}
	b.job(runs[first.Commit], "finished", "cancellation", started)
	b.tick(time.Second)
	require.Len(t, b.open(), 1)
	second := b.open()[0]
	require.NotEqual(t, first.Commit, second.Commit)
	b.job(runs[second.Commit], "finished", "cancellation", started)
	b.tick(time.Second)
	require.Empty(t, b.open())
}

func TestJobsThatAreNotTakenForHanging(t *testing.T) {
	for name, c := range map[string]struct {
		runs    int
		state   string
		started bool
	}{
		"too little is known":     {minValues - 1, "executing", true},
		"it waits for a worker":   {20, "pending", true},
		"its begin is not known":  {20, "executing", false},
		"its run ended meanwhile": {20, "finished", true},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBench(t)
			b.usual(c.runs)
			var started time.Time
			if c.started {
				started = b.now
			}
			b.job(100, c.state, "success", started)
			b.tick(3 * time.Hour)
			require.Empty(t, b.open())
		})
	}
}

// A job of seconds is not told to hang for being a few seconds late, and one whose
// times scatter is when it takes four times its longest.
func TestPatience(t *testing.T) {
	b := NewBaseline()
	short, wild := b.measure("short"), b.measure("wild")
	for i := range 30 {
		short.add(3, 0, fmt.Sprint(i))
		wild.add([]float64{60, 600, 200}[i%3], 0, fmt.Sprint(i))
	}
	patience, _, _, ok := short.patience()
	require.True(t, ok)
	require.InDelta(t, 63, patience, 1e-6)
	patience, usual, longest, ok := wild.patience()
	require.True(t, ok)
	require.InDelta(t, 200, usual, 1e-6)
	require.InDelta(t, 600, longest, 1e-6)
	require.InDelta(t, 2400, patience, 1e-6)
}
