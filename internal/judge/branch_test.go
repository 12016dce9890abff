package judge

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/deployloop/deployloop/internal/event"
)

// A job's own word does not say whose main it ran for. A fork's must not teach the
// repository's main, pass for its good run, or have it alarmed.
func TestAJobOfNobodysMainIsNotTheRepositorys(t *testing.T) {
	b := newBench(t)
	b.usual(3)
	word := func(revision, ref, task, result string, assumed bool) {
		b.PipelineRun(event.PipelineRun{
			ID: "7", Pipeline: "CI", Task: task, TaskID: task, State: "finished", Result: result, Repository: "acme/shop",
			Ref: ref, RefAssumed: assumed, Revision: revision, StartedAt: b.now.Add(-1), FinishedAt: b.now,
		}, b.now)
		b.tick(b.options.Quiet * 2)
	}
	trunk := b.baselines[branch{"acme/shop", "main"}]
	runs := trunk.Runs
	word("eeeeeee1", "main", "unit", "failure", true)
	word("eeeeeee2", "main", "unit", "success", true)
	word("eeeeeee3", "", "lint", "failure", true) // what an app checks of a fork's commit
	require.Empty(t, b.alerts)
	require.Empty(t, b.feedback["eeeeeee1"].ID)
	require.Empty(t, b.feedback["eeeeeee2"].ID, "nothing is green that nobody knows")
	require.Equal(t, runs, trunk.Runs)
	require.Len(t, b.baselines, 1)
	require.EqualValues(t, 3, b.Dropped["branch_unknown"])

	// Its run, or a report, says whose it is.
	word("eeeeeee1", "eve:main", "", "failure", false)
	word("eeeeeee1", "main", "unit", "failure", true)
	require.Equal(t, "eve:main", b.feedback["eeeeeee1"].Ref)
	require.Empty(t, b.alerts)
	// A commit that both have is the repository's own.
	word("eeeeeee4", "main", "", "success", false)
	word("eeeeeee4", "anna:main", "", "success", false)
	word("eeeeeee4", "main", "package", "failure", true)
	require.Len(t, b.open(), 1, "main's, which comes after anna:main by its name")
	require.Equal(t, "main", b.open()[0].Feedback.Ref)
	b.alerts = map[string]event.Anomaly{}
	word("aaaaaaa1", "main", "", "success", false)
	word("aaaaaaa1", "main", "unit", "failure", true)
	require.Len(t, b.open(), 1)
	word("bbbbbbb1", "faster-cart", "unit", "failure", true)
	require.Equal(t, "faster-cart", b.feedback["bbbbbbb1"].Ref, "another branch learns nothing, whoever's it is")
}
