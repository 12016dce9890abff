package judge

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/deployloop/deployloop/internal/event"
)

// Another job of the same commit that reports late, and well, does not make good
// what failed; the test itself does.
func TestLaterJobOfAFailedCommitDoesNotMakeItGreen(t *testing.T) {
	for _, ref := range []string{"main", "feature"} {
		t.Run(ref, func(t *testing.T) {
			b := newBench(t)
			b.run("main", "aaaaaaa1", "TestA pass", "TestB pass")
			first := b.run(ref, "bbbbbbb1", "TestA fail")
			require.Equal(t, event.Regressed, first.State)
			open := len(b.open())
			b.tick(10 * time.Minute)

			b.tests(ref, "bbbbbbb1", "TestB pass")
			require.Equal(t, event.Regressed, b.feedback["bbbbbbb1"].State, "while it runs")
			b.tick(time.Minute)
			f := b.feedback["bbbbbbb1"]
			require.Equal(t, event.Regressed, f.State)
			require.Equal(t, []string{"new_failure TestA"}, said(f))
			require.Equal(t, first.StartedAt, f.StartedAt, "a commit is as old as its first run")
			require.Len(t, b.open(), open, "the test is not gone: it is in the other job")

			f = b.run(ref, "bbbbbbb1", "TestA fail")
			require.Contains(t, said(f), "new_failure TestA", "since this very commit, however often it is run")
			require.Equal(t, event.Regressed, f.State)
		})
	}
	b := newBench(t)
	b.run("main", "aaaaaaa1", "TestA pass", "TestB pass")
	b.run("feature", "bbbbbbb1", "TestA fail", "TestB fail")
	f := b.run("feature", "bbbbbbb1", "TestB pass")
	require.Equal(t, []string{"new_failure TestA"}, said(f))
	f = b.run("feature", "bbbbbbb1", "TestA pass", "TestB pass")
	require.Equal(t, event.Healthy, f.State)
}

func TestLaterJobDoesNotHideAFinding(t *testing.T) {
	b := newBench(t)
	vet := func(revision string, prints ...string) event.Feedback {
		for _, p := range prints {
			b.Finding(event.Finding{Tool: "vet", Rule: p, Fingerprint: p, Repository: "acme/shop", Ref: "main", Revision: revision}, b.now)
		}
		b.Report(event.Report{Kind: "sarif", Tools: []string{"vet"}, Repository: "acme/shop", Ref: "main", Revision: revision}, b.now)
		b.tick(time.Second)
		b.tick(time.Minute)
		return b.feedback[revision]
	}
	vet("aaaaaaa1")
	require.Equal(t, event.Regressed, vet("aaaaaaa2", "leak").State)
	require.Equal(t, event.Regressed, b.run("main", "aaaaaaa2", "TestA pass").State)
	require.Equal(t, event.Regressed, vet("aaaaaaa2", "leak").State, "found again")
	require.Equal(t, event.Healthy, vet("aaaaaaa2").State)
}

// A restart loses the results of runs under way, and nothing that was said.
func TestStoreResumesWhatWasSaid(t *testing.T) {
	b := newBench(t)
	b.run("main", "aaaaaaa1", "TestA pass", "TestB pass", "TestC pass")
	b.run("feature", "bbbbbbb1", "TestA fail")
	b.tests("feature", "bbbbbbb2", "TestA pass") // goes on
	b.tests("feature", "bbbbbbb3", "TestA fail") // goes on
	saved, err := b.Dirty()
	require.NoError(t, err)

	after := newBench(t)
	after.now = b.now
	for _, value := range saved {
		require.NoError(t, after.Load(value))
	}
	for _, f := range b.feedback {
		after.Resume(f, after.now)
	}
	require.Equal(t, event.Regressed, after.run("feature", "bbbbbbb1", "TestB pass").State)
	after.tick(time.Minute)
	for revision, want := range map[string]event.VerdictState{"bbbbbbb2": event.Inconclusive, "bbbbbbb3": event.Regressed} {
		f := after.feedback[revision]
		require.False(t, f.Running, "not pending for ever")
		require.Equal(t, want, f.State, revision)
		require.Equal(t, b.feedback[revision].StartedAt, f.StartedAt)
	}
	require.Equal(t, event.Inconclusive, after.run("feature", "bbbbbbb2", "TestB pass").State, "what was lost stays unknown")
	require.Equal(t, event.Healthy, after.run("feature", "bbbbbbb4", "TestA pass", "TestB pass", "TestC pass").State)
}

// A pipeline that is cancelled before it tells anything does not stay pending.
func TestCancelledPipelineEnds(t *testing.T) {
	b := newBench(t)
	p := event.PipelineRun{ID: "1", Pipeline: "ci", State: "executing", Repository: "acme/shop", Ref: "main", Revision: "aaaaaaa1", StartedAt: b.now}
	b.PipelineRun(p, b.now)
	b.tick(time.Second)
	require.True(t, b.feedback["aaaaaaa1"].Running)
	p.State, p.Result, p.FinishedAt = "finished", "cancellation", b.now
	b.PipelineRun(p, b.now)
	b.tick(time.Second)
	b.tick(time.Minute)
	require.False(t, b.feedback["aaaaaaa1"].Running)
	require.Equal(t, event.Inconclusive, b.feedback["aaaaaaa1"].State)
}

func TestWhatIsRememberedOfCommitsIsBounded(t *testing.T) {
	b := newBench(t)
	b.options.Limits.Commits, b.options.Limits.Said = 3, 1<<20
	b.run("main", "aaaaaaa1", "TestA pass")
	for i := range 5 {
		b.run("feature", fmt.Sprintf("bbbbbb%d", i), "TestA fail")
	}
	require.Len(t, b.before, 3)
	require.EqualValues(t, 2, b.Dropped["commits"])
	b.options.Limits.Said = 1
	b.run("feature", "ccccccc1", "TestA fail")
	require.Len(t, b.before, 1)
	sum := 0
	for _, f := range b.before {
		sum += f.Size()
	}
	require.Equal(t, sum, b.bytes)
}
