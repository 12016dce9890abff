package forgeexporter

import (
	"net/http"
	"testing"
	"time"

	"github.com/google/go-github/v89/github"
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

// told brings a teller's status of the deployment to a state, some time after the first.
func (f *fakeGitHub) told(t *testing.T, e *teller, state event.VerdictState, after time.Duration, change func(*event.Verdict)) string {
	v := verdict(state)
	v.At = start.Add(after)
	if change != nil {
		change(&v)
	}
	f.mu.Lock()
	f.at = v.At
	f.mu.Unlock()
	tell(t, e, v)
	settled(t, e)
	s := f.status(head)
	return s.GetState()
}

// What one replica found bad is not taken back by one that has not heard of it: neither
// by its own verdict nor, after a restart without a memory, by its watch that goes on.
func TestNoReplicaTakesBackAFailureItDidNotSee(t *testing.T) {
	f := newFakeGitHub(t)
	first, second := startTeller(t, f, nil), startTeller(t, f, nil)
	require.Equal(t, "pending", f.told(t, second, event.Watching, 2*time.Minute, nil))
	require.Equal(t, "failure", f.told(t, first, event.Regressed, 3*time.Minute, nil))
	require.Equal(t, "failure", f.told(t, second, event.Healthy, 4*time.Minute, nil))
	restarted := startTeller(t, f, nil)
	require.Equal(t, "failure", f.told(t, restarted, event.Watching, 5*time.Minute, nil))
	require.Equal(t, "failure", f.told(t, restarted, event.Inconclusive, 6*time.Minute, nil))
	require.Equal(t, "failure", f.told(t, restarted, event.Exonerated, 7*time.Minute, nil), "of what it never saw")
	require.Equal(t, "success", f.told(t, first, event.Exonerated, 8*time.Minute, func(v *event.Verdict) { v.RegressedAt = start.Add(time.Minute) }), "it saw both")

	// The same commit, deployed again: what is red is of before.
	require.Equal(t, "failure", f.told(t, first, event.Regressed, 9*time.Minute, nil))
	again := func(v *event.Verdict) { v.Deployment.ID, v.Deployment.StartedAt = "d2", start.Add(time.Hour) }
	require.Equal(t, "pending", f.told(t, restarted, event.Watching, 62*time.Minute, again))
	require.Equal(t, "success", f.told(t, restarted, event.Healthy, 70*time.Minute, again))
}

// A failure that is written between another replica's reading and writing is put back,
// even where that one could not look at once.
func TestAFailureThatWasCoveredIsPutBack(t *testing.T) {
	for _, away := range []bool{false, true} {
		f := newFakeGitHub(t)
		slow := startTeller(t, f, nil)
		bad := github.RepoStatus{State: github.Ptr("failure"), Context: github.Ptr("deployloop/production/checkout"), Description: github.Ptr("checkout errors 0.21% → 4.8%"), TargetURL: github.Ptr("http://127.0.0.1:8090/deployments/d1")}
		raced, refused := false, 0
		f.set(func(w http.ResponseWriter, r *http.Request) bool {
			switch {
			case r.Method == http.MethodPost && !raced: // it has read
				raced = true
				f.say(head, bad)
			case r.Method == http.MethodGet && raced && away && refused < 3:
				refused++
				answer(w, 502, map[string]string{"message": "bad gateway"})
				return true
			}
			return false
		})
		require.Equal(t, "failure", f.told(t, slow, event.Healthy, 2*time.Minute, nil))
		top := f.status(head)
		require.Equal(t, bad.GetDescription(), top.GetDescription())
		require.Equal(t, bad.GetTargetURL(), top.GetTargetURL())
		calls := f.callCount()
		require.Equal(t, "failure", f.told(t, slow, event.Healthy, 2*time.Minute, nil))
		require.Equal(t, calls, f.callCount(), "said once")
	}
}

// The status of a commit's builds is one for all branches. A replica without a memory of
// the failure leaves it; the one that saw it makes it green when it passes.
func TestNoReplicaTakesBackAFailedBuildItDidNotSee(t *testing.T) {
	f := newFakeGitHub(t)
	saw, other := startTeller(t, f, nil), startTeller(t, f, nil)
	state := func() string { s := f.status(pushed); return s.GetState() }
	pullOfBranch(f)
	tellBuild(t, saw, feedback(pushed, event.Regressed, 0))
	require.Equal(t, "failure", state())
	going := feedback(pushed, event.Watching, time.Minute)
	going.Running = true
	tellBuild(t, other, going)
	require.Equal(t, "failure", state())
	tellBuild(t, other, feedback(pushed, event.Healthy, 2*time.Minute))
	require.Equal(t, "failure", state())
	merged := feedback(pushed, event.Healthy, 3*time.Minute)
	merged.Ref, merged.Trunk, merged.ID = "main", true, event.FeedbackID("acme/shop", "main", pushed)
	tellBuild(t, saw, merged)
	require.Equal(t, "success", state())
}
