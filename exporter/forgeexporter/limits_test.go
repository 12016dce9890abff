package forgeexporter

import (
	"context"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/deployloop/deployloop/internal/event"
)

// A limit that names no time is waited for longer each time that it is met again, as
// GitHub asks, and as at first once it is over.
func TestALimitThatGoesOnIsWaitedForLonger(t *testing.T) {
	f := newFakeGitHub(t)
	refusals := 6
	f.set(func(w http.ResponseWriter, _ *http.Request) bool {
		if refusals == 0 {
			return false
		}
		refusals--
		answer(w, 403, map[string]string{"message": "You have exceeded a secondary rate limit. Please wait"})
		return true
	})
	var mu sync.Mutex
	var slept []time.Duration
	e := startTeller(t, f, func(e *teller) {
		e.sleep = func(_ context.Context, d time.Duration) {
			mu.Lock()
			defer mu.Unlock()
			slept = append(slept, d)
		}
	})
	tell(t, e, verdict(event.Watching))
	settled(t, e)
	f.mu.Lock()
	refusals = 1
	f.mu.Unlock()
	tell(t, e, verdict(event.Regressed))
	settled(t, e)
	mu.Lock()
	defer mu.Unlock()
	const m = time.Minute
	assert.Equal(t, []time.Duration{m, 2 * m, 4 * m, 8 * m, 16 * m, 16 * m, m}, slept)
	assert.Len(t, f.bodies(7), 1)
	assert.Len(t, f.statuses[head], 2)
}

// What was done and whose answer was lost is not done twice.
func TestALostAnswerPostsNothingTwice(t *testing.T) {
	f := newFakeGitHub(t)
	pullOfBranch(f)
	f.loseAnswers = map[string]bool{}
	e := startTeller(t, f, nil)
	tell(t, e, verdict(event.Watching))
	settled(t, e)
	bad := verdict(event.Regressed)
	bad.At = bad.At.Add(time.Minute)
	tell(t, e, bad)
	settled(t, e)
	tellBuild(t, e, feedback(pushed, event.Regressed, 0))
	closed := closedBy(bad, event.ClosedRolledBack, "rolled back to 1.41.3 at 14:09Z")
	require.NoError(t, e.ConsumeLogs(t.Context(), logsOf(nil, closed)))
	settled(t, e)
	assert.Len(t, f.bodies(7), 1)
	assert.Len(t, f.bodies(31), 1)
	assert.Len(t, f.statuses[head], 3, "pending, failure, and how it ended")
	assert.Len(t, f.statuses[pushed], 1)
	assert.GreaterOrEqual(t, len(f.loseAnswers), 4, "each of the writes lost its first answer")
}

// A pull request whose replies cannot be read does not hold up the rest.
func TestRepliesThatFailHoldUpNothing(t *testing.T) {
	f := newFakeGitHub(t)
	open := closedBy(verdict(event.Regressed), "", "")
	open.Closure, open.Open = nil, true
	e := startTeller(t, f, func(e *teller) {
		e.cfg.WaiverInterval = time.Millisecond
		e.now = func() time.Time { return start.Add(time.Hour).Add(time.Since(began)) }
	})
	e.ledger.RecordAnomaly(open)
	require.NoError(t, e.ConsumeLogs(t.Context(), logsOf(nil, open)))
	settled(t, e)
	refused := make(chan struct{}, 1)
	f.set(func(w http.ResponseWriter, r *http.Request) bool {
		if r.Method != http.MethodGet || r.URL.Query().Get("since") == "" {
			return false
		}
		select {
		case refused <- struct{}{}:
		default:
		}
		answer(w, 502, map[string]string{"message": "bad gateway"})
		return true
	})
	<-refused
	other := verdict(event.Watching)
	other.Deployment.ID, other.Deployment.Service, other.Deployment.Revision = "d2", "cart", culprit
	tell(t, e, other)
	settled(t, e)
	s := f.status(culprit)
	assert.Equal(t, "pending", s.GetState())
}

// A deployment whose status the forge fails to take again and again does not hold up what
// builds say.
func TestADeploymentThatFailsHoldsUpNoBuild(t *testing.T) {
	f := newFakeGitHub(t)
	f.set(func(w http.ResponseWriter, r *http.Request) bool {
		if !strings.Contains(r.URL.Path, head) {
			return false
		}
		answer(w, 502, map[string]string{"message": "bad gateway"})
		return true
	})
	e := startTeller(t, f, nil)
	tell(t, e, verdict(event.Watching))
	tellBuild(t, e, feedback(pushed, event.Regressed, 0))
	s := f.status(pushed)
	assert.Equal(t, "failure", s.GetState())
	f.set(nil)
	settled(t, e)
	s = f.status(head)
	assert.Equal(t, "pending", s.GetState())
}
