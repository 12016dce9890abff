package judge

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/deployloop/deployloop/internal/event"
)

// word tells how a job of one run on main goes, or how the run does: task "".
func (b *bench) word(task, state, result string, stage event.Stage) {
	p := event.PipelineRun{ID: "7", Pipeline: "CI", Task: task, Attempt: 1, Stage: stage, State: state, Result: result,
		Repository: "acme/shop", Ref: "main", Revision: "ccccccc1", StartedAt: b.now}
	if task != "" {
		p.TaskID = "id of " + task
	}
	if state == "finished" {
		p.FinishedAt = b.now
	}
	b.PipelineRun(p, b.now)
}

// A job began and its end was never told: what passed beside it does not make the
// commit healthy. When the word of its end comes after all, it does.
func TestWithoutAJobsEndThereIsNoPass(t *testing.T) {
	const build = event.StageBuild
	for _, c := range []struct {
		name       string
		begins     []string
		ends, late []string
		headline   []string // the jobs that are missing
	}{
		{"a job", []string{"unit", "lint"}, []string{"lint"}, []string{"unit"}, []string{"unit"}},
		{"a job, of which the run's end tells", []string{"", "unit", "lint"}, []string{"lint"}, []string{""}, []string{"", "unit"}},
		{"the run", []string{"", "lint"}, []string{"lint"}, []string{""}, []string{""}},
		{"all", []string{"unit"}, nil, []string{"unit"}, []string{"unit"}},
	} {
		for _, restart := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s, restart %v", c.name, restart), func(t *testing.T) {
				b := newBench(t)
				b.run("main", "aaaaaaa1", "TestTotal pass")
				for _, task := range c.begins {
					b.word(task, "executing", "", build)
				}
				b.tick(time.Minute)
				for _, task := range c.ends {
					b.tests("main", "ccccccc1", "TestTotal pass")
					b.word(task, "finished", "success", build)
				}
				b.tick(hangs - 2*time.Minute)
				require.True(t, b.feedback["ccccccc1"].Running)
				b.tick(3 * time.Minute)
				f := b.feedback["ccccccc1"]
				require.False(t, f.Running)
				require.Equal(t, event.Inconclusive, f.State)
				var names []string
				for _, u := range f.Unended {
					names = append(names, u.Job)
				}
				require.ElementsMatch(t, c.headline, names)

				if restart {
					b = b.after()
				}
				b.run("main", "ccccccc1", "TestOther pass")
				require.Equal(t, event.Inconclusive, b.feedback["ccccccc1"].State, "another job proves nothing of it")
				for _, task := range c.late {
					b.word(task, "finished", "success", build)
				}
				b.tick(time.Minute)
				f = b.feedback["ccccccc1"]
				require.Empty(t, f.Unended)
				require.Equal(t, event.Healthy, f.State)
			})
		}
	}
}

// A job was cancelled: what passed beside it does not make the commit healthy. A later
// run that passes does, of the same job or of all.
func TestACancelledJobIsNoPass(t *testing.T) {
	const build = event.StageBuild
	for name, c := range map[string]struct {
		before, after func(b *bench)
		state         event.VerdictState
	}{
		"a job":                        {state: event.Inconclusive},
		"another job passes later":     {after: func(b *bench) { b.again("docs", "success") }, state: event.Inconclusive},
		"the job is cancelled again":   {after: func(b *bench) { b.again("unit", "cancellation") }, state: event.Inconclusive},
		"another run of it passes":     {after: func(b *bench) { b.again("unit", "success") }, state: event.Healthy},
		"another run passes":           {after: func(b *bench) { b.again("", "success") }, state: event.Healthy},
		"another run of it fails":      {after: func(b *bench) { b.again("unit", "failure") }, state: event.Regressed},
		"its run passes after all":     {after: func(b *bench) { b.word("", "finished", "success", build) }, state: event.Healthy},
		"another run of it passed":     {before: func(b *bench) { b.again("unit", "success") }, state: event.Healthy},
		"the commit was well before":   {before: func(b *bench) { b.again("unit", "success"); b.tick(time.Minute) }, state: event.Healthy},
		"the commit was not so before": {before: func(b *bench) { b.again("docs", "cancellation"); b.tick(time.Minute) }, state: event.Inconclusive},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBench(t)
			b.run("main", "aaaaaaa1", "TestTotal pass")
			if c.before != nil {
				c.before(b)
			}
			b.word("unit", "executing", "", build)
			b.tests("main", "ccccccc1", "TestTotal pass")
			b.word("lint", "finished", "success", build)
			b.word("unit", "finished", "cancellation", build)
			b.tick(time.Minute)
			if c.after != nil {
				require.Equal(t, event.Inconclusive, b.feedback["ccccccc1"].State)
				b = b.after()
				c.after(b)
				b.tick(time.Minute)
			}
			require.Equal(t, c.state, b.feedback["ccccccc1"].State)
			require.False(t, b.feedback["ccccccc1"].Running)
		})
	}
}

// The end of a job was never told, and another run of it passed meanwhile.
func TestAJobThatPassesInAnotherRunIsAPass(t *testing.T) {
	for _, task := range []string{"unit", ""} {
		b := newBench(t)
		b.run("main", "aaaaaaa1", "TestTotal pass")
		b.word("unit", "executing", "", event.StageBuild)
		b.tick(time.Hour)
		b.again(task, "success")
		b.tick(hangs + time.Minute)
		require.Equal(t, event.Healthy, b.feedback["ccccccc1"].State)
		require.Empty(t, b.runs)
	}
}

// again tells how a job of another run of the same pipeline at the same commit ended.
func (b *bench) again(task, result string) {
	b.PipelineRun(event.PipelineRun{ID: "8", Pipeline: "CI", Task: task, Attempt: 1, Stage: event.StageBuild, State: "finished", Result: result,
		Repository: "acme/shop", Ref: "main", Revision: "ccccccc1", StartedAt: b.now, FinishedAt: b.now}, b.now)
}

// What such a job would have told of is not gone.
func TestWithoutAJobsEndNothingVanishes(t *testing.T) {
	b := newBench(t)
	b.run("main", "aaaaaaa1", "TestTotal pass", "TestOther pass")
	b.word("unit", "executing", "", event.StageBuild)
	b.tests("main", "ccccccc1", "TestTotal pass")
	b.tick(hangs + time.Minute)
	require.Equal(t, event.Inconclusive, b.feedback["ccccccc1"].State)
	require.Empty(t, said(b.feedback["ccccccc1"]))
}

// A run too many is judged as it is: of what goes on in it no end is known.
func TestARunThatMakesRoomIsNoPass(t *testing.T) {
	b := newBench(t)
	b.run("main", "aaaaaaa1", "TestTotal pass")
	b.options.Limits.Runs = 1
	b.word("unit", "executing", "", event.StageBuild)
	b.tests("main", "ccccccc1", "TestTotal pass")
	b.tests("main", "ddddddd1", "TestTotal pass")
	require.Equal(t, event.Inconclusive, b.feedback["ccccccc1"].State)
	b.word("unit", "finished", "success", event.StageBuild)
	b.tick(time.Minute)
	require.Equal(t, event.Healthy, b.feedback["ccccccc1"].State)
}

// The end of a pipeline that waits for somebody to let it deploy is the deployment's to
// tell, and the end of one that deploys ends its builds, too.
func TestAPipelineThatWaitsToDeployIsAPass(t *testing.T) {
	b := newBench(t)
	b.run("main", "aaaaaaa1", "TestTotal pass")
	b.word("", "executing", "", event.StageBuild)
	b.word("production", "pending", "", event.StageDeploy)
	b.tick(time.Hour)
	b.tests("main", "ccccccc1", "TestTotal pass")
	b.tick(hangs + time.Minute)
	b.tick(time.Minute)
	require.Equal(t, event.Healthy, b.feedback["ccccccc1"].State)
	require.Empty(t, b.deploys)

	b.word("unit", "executing", "", event.StageBuild)
	b.tick(hangs + time.Minute)
	require.Equal(t, event.Inconclusive, b.feedback["ccccccc1"].State)
	b.word("", "finished", "success", event.StageDeploy)
	b.tick(time.Minute)
	require.Empty(t, b.feedback["ccccccc1"].Unended)
}

// A job that takes hours as a rule is told of when it hangs, not forgotten before.
func TestAJobOfHoursIsToldToHang(t *testing.T) {
	for _, stage := range []event.Stage{event.StageBuild, event.StageDeploy} {
		t.Run(string(stage), func(t *testing.T) {
			b := newBench(t)
			b.run("main", "aaaaaaa1", "TestTotal pass")
			word := func(run int, state, result string, started time.Time) {
				p := event.PipelineRun{ID: fmt.Sprint(run), Pipeline: "nightly", Task: "long", TaskID: fmt.Sprint("j", run), Stage: stage, State: state, Result: result,
					Repository: "acme/shop", Ref: "main", Revision: fmt.Sprintf("eeeeeee%03d", run), StartedAt: started}
				if state == "finished" {
					p.FinishedAt = b.now
				}
				b.PipelineRun(p, b.now)
			}
			for run := range 15 {
				started := b.now
				word(run, "executing", "", started)
				b.tick(time.Duration(330+run%5*5) * time.Minute)
				word(run, "finished", "success", started)
				b.tick(time.Hour)
			}
			word(100, "executing", "", b.now)
			b.tick(hangs + 10*time.Minute)
			require.Empty(t, b.open(), "late, and maybe no more")
			b.tick(24 * time.Hour)
			require.Len(t, b.open(), 1)
			require.Equal(t, event.Hanging, b.open()[0].Feedback.Judgements[0].Call)
			id := b.open()[0].ID
			b.tick(hangs + time.Minute)
			require.Equal(t, event.ClosedUnheard, b.alerts[id].Closure.Reason)
			require.Empty(t, b.runs)
			b.tick(time.Second)
			require.Empty(t, b.deploys)
			if stage == event.StageBuild {
				require.Equal(t, event.Inconclusive, b.feedback["eeeeeee100"].State)
			}
		})
	}
}

// However long a job takes as a rule, it is not waited for for ever.
func TestNoJobIsWaitedForForEver(t *testing.T) {
	b := newBench(t)
	b.run("main", "aaaaaaa1", "TestTotal pass")
	series := b.baselines[branch{"acme/shop", "main"}].measure(Key("CI", "unit") + "\x1fduration")
	for i := range 20 {
		series.add([]float64{1e6, 1e9, 3e7}[i%3], 0, fmt.Sprint(i))
	}
	b.word("unit", "executing", "", event.StageBuild)
	b.tick(longestWait - time.Hour)
	require.Len(t, b.runs, 1)
	b.tick(2 * time.Hour)
	require.Empty(t, b.runs)
}

// Of more jobs than are kept apart it stays said that the end of one was never told.
func TestUnendedJobsHaveALimit(t *testing.T) {
	r := newOpenRun(runKey{}, time.Time{})
	var all []event.PipelineRun
	for i := range maxUnended + 20 {
		p := event.PipelineRun{ID: "7", Task: "t", TaskID: fmt.Sprint(i)}
		all = append(all, p)
		r.unend(p)
		r.unend(p)
	}
	require.Len(t, r.unended, maxUnended)
	for _, p := range slices.Backward(all) {
		r.ends(p)
	}
	r.ends(event.PipelineRun{ID: "7", Attempt: 9})
	require.Equal(t, []event.UnendedJob{{}}, r.unended)
}
