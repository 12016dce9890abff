package forgeexporter

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/deployloop/deployloop/internal/event"
)

// Replicas share nothing but the forge: what one wrote the other does not write
// again, and who is behind takes nothing back.
func TestReplicasThatShareNothingSayEachThingOnce(t *testing.T) {
	f := newFakeGitHub(t)
	ahead, behind := startTeller(t, f, nil), startTeller(t, f, nil)
	both := []*teller{ahead, behind}
	states := func() (list []string) {
		f.mu.Lock()
		defer f.mu.Unlock()
		for _, s := range f.statuses[head] {
			list = append([]string{s.GetState() + " " + s.GetDescription()}, list...)
		}
		return list
	}
	watching := verdict(event.Watching)
	for _, at := range []time.Duration{2 * time.Minute, 3 * time.Minute} {
		watching.At = start.Add(at)
		for _, e := range both {
			tell(t, e, watching)
			settled(t, e)
		}
	}
	require.Equal(t, []string{"pending watching 1.42.0, 4m left", "pending watching 1.42.0, 3m left"}, states())

	bad := verdict(event.Regressed)
	bad.At = start.Add(4 * time.Minute)
	tell(t, ahead, bad)
	settled(t, ahead)
	watching.At = start.Add(4 * time.Minute)
	tell(t, behind, watching)
	settled(t, behind)
	require.Len(t, states(), 3)
	require.Contains(t, states()[2], "failure", "what is found is not taken back for a watch that goes on")

	tell(t, behind, bad)
	settled(t, behind)
	require.Len(t, states(), 3)
	require.Len(t, f.bodies(7), 1)
	closed := closedBy(bad, event.ClosedRolledBack, "rolled back to 1.41.3 at 14:09Z")
	require.NoError(t, ahead.ConsumeLogs(t.Context(), logsOf(nil, closed)))
	settled(t, ahead)
	said := f.bodies(7)
	require.Contains(t, said[0], "**Closed:** Rolled back")
	lagging := verdict(event.Regressed)
	lagging.At, lagging.Suspicion.Suspects[0].Change.Revision = bad.At.Add(time.Second), head
	tell(t, behind, lagging)
	settled(t, behind)
	assert.Equal(t, said, f.bodies(7), "nor opened again by who has not heard of its end")
	require.NoError(t, behind.ConsumeLogs(t.Context(), logsOf(nil, closed)))
	settled(t, behind)
	assert.Equal(t, said, f.bodies(7))
	assert.Equal(t, 1, f.edits)
	assert.Len(t, states(), 4)
}

// A later deployment takes the comment over: how the one before ends is not written
// over it.
func TestALaterDeploymentKeepsItsComment(t *testing.T) {
	f := newFakeGitHub(t)
	e := startTeller(t, f, nil)
	first := verdict(event.Regressed)
	tell(t, e, first)
	settled(t, e)
	second := verdict(event.Regressed)
	second.Deployment.ID, second.Deployment.Version, second.Deployment.StartedAt = "d2", "1.42.1", start.Add(10*time.Minute)
	second.At = start.Add(12 * time.Minute)
	tell(t, e, second)
	settled(t, e)
	require.Len(t, f.bodies(7), 1)
	said := f.bodies(7)
	require.Contains(t, said[0], "1.42.1")
	require.NoError(t, e.ConsumeLogs(t.Context(), logsOf(nil, closedBy(first, event.ClosedSuperseded, "1.42.1 took its place"))))
	settled(t, e)
	assert.Equal(t, said, f.bodies(7))
}

func TestReplicasTellOfBuildsOnce(t *testing.T) {
	f := newFakeGitHub(t)
	pullOfBranch(f)
	ahead, behind := startTeller(t, f, nil), startTeller(t, f, nil)
	going := feedback(pushed, event.Watching, 0)
	going.Running = true
	bad := feedback(pushed, event.Regressed, 0)
	bad.At = bad.At.Add(time.Minute)
	for _, e := range []*teller{ahead, behind} {
		tellBuild(t, e, going)
	}
	tellBuild(t, ahead, bad)
	going.At = going.At.Add(2 * time.Minute)
	going.Judgements = []event.Judgement{{Call: event.KnownFlaky, Test: &event.TestResult{Suite: "acme/cart", Case: "TestClock", Status: "fail"}}}
	tellBuild(t, behind, going)
	require.Equal(t, "failure", *f.status(pushed).State)
	bad.At = bad.At.Add(2 * time.Minute)
	tellBuild(t, behind, bad)
	f.mu.Lock()
	statuses := len(f.statuses[pushed])
	f.mu.Unlock()
	require.Equal(t, 2, statuses)
	require.Len(t, f.bodies(31), 1)
	require.Zero(t, f.edits)
	over := feedback(mended, event.Healthy, time.Hour)
	for _, e := range []*teller{ahead, behind} {
		tellBuild(t, e, over)
	}
	require.Equal(t, 1, f.edits)
}
