package forgeexporter

import (
	"context"
	"net/http"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/deployloop/deployloop/internal/event"
	"github.com/deployloop/deployloop/internal/ledger"
)

// onOthers runs a story on the forges that are not GitHub, which has its own tests.
func onOthers(t *testing.T, story func(t *testing.T, f *fakeForge)) {
	for _, kind := range []string{"gitea", "gitlab"} {
		t.Run(kind, func(t *testing.T) { story(t, newFakeForge(t, kind)) })
	}
}

// The comment goes to the pull request that the suspect came by, a squash too, and
// restarts and replicas say nothing twice.
func TestOtherForgesHearTheSameOnce(t *testing.T) {
	onOthers(t, func(t *testing.T, f *fakeForge) {
		failed := map[string]string{"gitea": "failure", "gitlab": "failed"}[f.kind]
		v := verdict(event.Regressed)
		replicas := []*teller{f.startOn(t, nil), f.startOn(t, nil)}
		for _, e := range replicas {
			tell(t, e, v)
		}
		for _, e := range replicas {
			settled(t, e)
		}
		require.Len(t, f.bodies(7), 1)
		assert.Contains(t, f.bodies(7)[0], "after this merged")
		assert.Empty(t, f.bodies(12), "the deployed commit's")
		assert.Equal(t, failed, f.states()[0])
		statuses := len(f.states())

		again := f.startOn(t, nil)
		tell(t, again, v)
		settled(t, again)
		require.Len(t, f.bodies(7), 1)
		assert.Len(t, f.states(), statuses)

		closed := closedBy(v, event.ClosedRolledBack, "rolled back to 1.41.3 at 14:09Z")
		require.NoError(t, again.ConsumeLogs(t.Context(), logsOf(nil, closed)))
		settled(t, again)
		require.Len(t, f.bodies(7), 1, "edited in place")
		assert.Contains(t, f.bodies(7)[0], "**Closed:** Rolled back")
		assert.Len(t, f.states(), statuses+1)
		require.NoError(t, again.Shutdown(t.Context()))

		last := f.startOn(t, nil)
		require.NoError(t, last.ConsumeLogs(t.Context(), logsOf(nil, closed)))
		settled(t, last)
		require.Len(t, f.bodies(7), 1)
		assert.Len(t, f.states(), statuses+1)
	})
}

func TestOtherForgesAreWaitedForAsTheyAsk(t *testing.T) {
	onOthers(t, func(t *testing.T, f *fakeForge) {
		for name, c := range map[string]struct {
			limit http.Header
			want  time.Duration
		}{
			"seconds":        {http.Header{"Retry-After": {"40"}}, 40 * time.Second},
			"date":           {http.Header{"Retry-After": {start.Add(90 * time.Second).Format(http.TimeFormat)}}, 90 * time.Second},
			"window":         {http.Header{"Ratelimit-Remaining": {"0"}, "Ratelimit-Reset": {"1772633045"}}, time.Minute + time.Second},
			"without a time": {http.Header{}, time.Minute},
		} {
			t.Run(name, func(t *testing.T) {
				f.mu.Lock()
				f.limited = c.limit
				f.mu.Unlock()
				var mu sync.Mutex
				var slept []time.Duration
				e := f.startOn(t, func(e *teller) {
					e.now = func() time.Time { return start }
					e.sleep = func(_ context.Context, d time.Duration) {
						mu.Lock()
						defer mu.Unlock()
						slept = append(slept, d)
					}
				})
				tell(t, e, verdict(event.Watching))
				settled(t, e)
				mu.Lock()
				defer mu.Unlock()
				assert.Equal(t, []time.Duration{c.want}, slept)
			})
		}
		assert.Len(t, f.states(), 1, "it was written once, and then known")
	})
}

func TestOtherForgesTakeWaiversOfThoseWhoMayPush(t *testing.T) {
	onOthers(t, func(t *testing.T, f *fakeForge) {
		v := verdict(event.Regressed)
		v.RegressedAt = time.Now().Add(-time.Minute)
		v.At = v.RegressedAt.Add(time.Second)
		open := closedBy(v, "", "")
		open.Closure, open.Open = nil, true
		e := f.startOn(t, func(e *teller) { e.cfg.WaiverInterval = time.Millisecond })
		e.ledger.RecordAnomaly(open)
		require.NoError(t, e.ConsumeLogs(t.Context(), logsOf(nil, open)))
		settled(t, e)
		require.Len(t, f.bodies(7), 1)
		say := func(who, body string) {
			f.mu.Lock()
			defer f.mu.Unlock()
			f.add(7, who, body, time.Now())
		}
		say("eve", "/deployloop waive nobody minds")
		require.Eventually(t, func() bool { return e.answered.Len() == 1 }, 10*time.Second, time.Millisecond)
		known, _ := e.ledger.(ledger.Reader).Anomaly(open.ID)
		require.True(t, known.Open, "who may only read does not count")
		say("ada", "/deployloop waive mended in 1.43.0")
		require.Eventually(t, func() bool {
			known, _ = e.ledger.(ledger.Reader).Anomaly(open.ID)
			return !known.Open
		}, 10*time.Second, time.Millisecond)
		assert.Equal(t, event.ClosedWaived, known.Closure.Reason)
		assert.Equal(t, "ada", known.Closure.By)
	})
}

func TestOtherForgesWarnOpenPullsOnce(t *testing.T) {
	onOthers(t, func(t *testing.T, f *fakeForge) {
		v := verdict(event.Regressed)
		v.Suspicion.Suspects[0].File = "cart/total.ts"
		for range 2 { // the second is a restart
			e := f.startOn(t, nil)
			tell(t, e, v)
			settled(t, e)
			require.Eventually(t, func() bool {
				e.mu.Lock()
				defer e.mu.Unlock()
				return e.deployments["d1"].warned
			}, 10*time.Second, time.Millisecond)
			require.NoError(t, e.Shutdown(t.Context()))
		}
		require.Len(t, f.bodies(31), 1)
		assert.Contains(t, f.bodies(31)[0], "A regression points to `cart/total.ts`")
		assert.Equal(t, 2, f.postsTo("/issues/")+f.postsTo("/notes"), "this one and that of the suspect")
	})
}

func TestOtherForgesHearOfTheirTests(t *testing.T) {
	onOthers(t, func(t *testing.T, f *fakeForge) {
		for range 2 { // the second is a restart
			e := f.startOn(t, nil)
			tellBuild(t, e, feedback(pushed, event.Regressed, 0))
			require.NoError(t, e.Shutdown(t.Context()))
		}
		require.Len(t, f.bodies(31), 1)
		assert.Contains(t, f.bodies(31)[0], "### 1 new failure")
		assert.Len(t, f.states(), 1)
		assert.Equal(t, "deployloop/builds", f.statuses[0].name)
	})
}
