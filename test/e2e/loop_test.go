// Package e2e plays the whole loop on real parts: the real binary, a real
// Alertmanager, OTLP over HTTP, and kill -9.
package e2e

import (
	"context"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/deployloop/deployloop/internal/event"
	"github.com/deployloop/deployloop/test/alertmanagertest"
	"github.com/deployloop/deployloop/test/deploylooptest"
	"github.com/deployloop/deployloop/test/load"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const (
	rev1 = "1111111111111111111111111111111111111111"
	rev2 = "2222222222222222222222222222222222222222"
	rev3 = "3333333333333333333333333333333333333333"

	// heartbeat is long enough that a killed process is back within three.
	heartbeat = 3 * time.Second
)

// A good deploy is silent. A bad deploy becomes one alert, with its proof and
// rollback; kill -9 in its middle changes neither its fingerprint nor resolves
// it; the rollback resolves it with that reason.
func TestTheLoopTurns(t *testing.T) {
	am := alertmanagertest.Start(t)
	loop := deploylooptest.Start(t, deploylooptest.Options{
		Alertmanager: am.URL, Heartbeat: heartbeat, Anomaly: map[string]any{"watch": []string{"1m", "10m"}},
	})
	ctx, stop := context.WithCancel(context.Background())
	generator := load.New(loop.OTLP, 1)
	watcher := watch(am)
	var running sync.WaitGroup
	running.Go(func() { generator.Run(ctx) })
	running.Go(func() { watcher.run(ctx) })
	t.Cleanup(func() { stop(); running.Wait() })

	cohort := func(service, version, revision string, instances int, rate, errors float64) load.Cohort {
		c := load.Cohort{
			Service: service, Environment: "production", Version: version, Revision: revision,
			Instances: instances, Rate: rate, Operation: "POST /cart/checkout", ErrorRatio: errors,
		}
		if errors > 0.1 {
			c.Exception = &load.Exception{
				Type: "TypeError", Message: "total is undefined", LogLine: "checkout failed: total is undefined",
				Stacktrace: "TypeError: total is undefined\n    at total (/app/src/cart/total.ts:88:9)\n    at checkout (/app/src/cart/checkout.ts:20:3)",
			}
		}
		return c
	}
	// Two services at rest; then one gets a good deploy, the other a bad one.
	for _, service := range []string{"search", "checkout"} {
		generator.Set(service, cohort(service, "1.0.0", rev1, 4, 200, 0.01))
	}
	eventually(t, 30*time.Second, func() bool { return generator.Sent("checkout").Requests > 2000 }, "some history")

	loop.Mark(map[string]any{"service": "search", "environment": "production", "revision": rev2, "version": "1.1.0", "status": "started"})
	generator.Set("search", cohort("search", "1.0.0", rev1, 3, 150, 0.01))
	generator.Set("search-good", cohort("search", "1.1.0", rev2, 1, 50, 0.01))

	loop.Mark(map[string]any{
		"service": "checkout", "environment": "production", "revision": rev3, "version": "1.1.0", "status": "started",
		"rollback_command": "./deploy checkout 1.0.0",
	})
	generator.Set("checkout", cohort("checkout", "1.0.0", rev1, 3, 150, 0.01))
	generator.Set("checkout-bad", cohort("checkout", "1.1.0", rev3, 1, 50, 0.2))

	rollUp := map[string]string{"alertname": "DeployRegressed", "service": "checkout"}
	eventually(t, 30*time.Second, func() bool { return len(am.Find(rollUp)) == 1 }, "an alert of the bad deploy")
	t.Logf("alert %.1fs after the first bad request", time.Since(generator.Sent("checkout-bad").FirstFailure).Seconds())
	alert := am.Find(rollUp)[0]
	deployment, err := loop.Deployment("checkout", rev3)
	require.NoError(t, err)
	assert.Equal(t, deployment.ID, alert.Labels["deployment"])
	assert.Equal(t, rev3, alert.Labels["commit"])
	assert.Equal(t, "production", alert.Labels["environment"])
	assert.Equal(t, "./deploy checkout 1.0.0", alert.Annotations["fix"])
	assert.Contains(t, alert.Annotations["summary"], "checkout")
	assert.LessOrEqual(t, len([]rune(alert.Annotations["summary"])), 120)
	assert.Contains(t, alert.Annotations["what_changed"], "1.0.0 → 1.1.0")
	for _, name := range []string{"why", "evidence", "suspect", "verdict_url"} {
		assert.NotEmpty(t, alert.Annotations[name], name)
	}
	eventually(t, 15*time.Second, func() bool {
		found := am.Find(rollUp)
		return len(found) == 1 && found[0].Annotations["log_example"] != "" && found[0].Annotations["trace_examples"] != ""
	}, "related errors in the alert")
	assert.Contains(t, am.Find(rollUp)[0].Annotations["log_example"], "total is undefined")
	symptoms := map[string]string{"alertname": "DeployRegression", "service": "checkout"}
	eventually(t, 15*time.Second, func() bool {
		found := am.Find(symptoms)
		for _, symptom := range found {
			if len(symptom.Status.InhibitedBy) != 1 || symptom.Status.InhibitedBy[0] != *alert.Fingerprint {
				return false
			}
		}
		return len(found) > 0
	}, "symptoms, inhibited by the roll-up")

	// kill -9 in mid-alert, twice; each time it comes back and says the same.
	for range 2 {
		began := time.Now()
		loop.Kill()
		loop.Start()
		t.Logf("back %.1fs after kill -9", time.Since(began).Seconds())
		require.Less(t, time.Since(began), 3*heartbeat-time.Second, "the machine is too slow for this test's heartbeat")
		// Longer than three heartbeats: only a live process keeps it open.
		hold := time.Now().Add(3*heartbeat + time.Second)
		eventually(t, 30*time.Second, func() bool { return time.Now().After(hold) }, "held")
		found := am.Find(rollUp)
		require.Len(t, found, 1, "the alert is still open")
		require.Equal(t, *alert.Fingerprint, *found[0].Fingerprint)
		require.True(t, time.Time(*alert.StartsAt).Equal(time.Time(*found[0].StartsAt)), "startsAt is frozen")
	}
	assert.Empty(t, watcher.gaps(*alert.Fingerprint), "no resolve in between")
	_, resolved := am.Resolved(rollUp)
	assert.False(t, resolved, "no notification of a resolve")

	// The rollback.
	loop.Mark(map[string]any{"service": "checkout", "environment": "production", "revision": rev1, "version": "1.0.0", "status": "started"})
	generator.Stop("checkout-bad")
	generator.Set("checkout", cohort("checkout", "1.0.0", rev1, 4, 200, 0.01))
	rolledBack := time.Now()
	eventually(t, 60*time.Second, func() bool { _, ok := am.Resolved(rollUp); return ok }, "the alert resolves")
	t.Logf("resolved %.1fs after the rollback", time.Since(rolledBack).Seconds())
	over, _ := am.Resolved(rollUp)
	assert.Equal(t, *alert.Fingerprint, over.Fingerprint)
	assert.Contains(t, over.Annotations["resolution"], "olled back", "with the reason: %s", over.Annotations["resolution"])
	eventually(t, 15*time.Second, func() bool { return len(am.Find(map[string]string{"service": "checkout"})) == 0 }, "nothing stays open")

	// The good deploy was silent throughout, and the loop was fed throughout.
	assert.False(t, watcher.seenOf("search"), "no alert of the good deploy")
	good, err := loop.Verdict("search", rev2)
	require.NoError(t, err)
	assert.Contains(t, []event.VerdictState{event.Watching, event.Healthy}, good.State)
	assert.Greater(t, generator.Sent("search-good").Requests, 1000)
}

func eventually(t *testing.T, limit time.Duration, condition func() bool, what string) {
	t.Helper()
	require.Eventually(t, condition, limit, 100*time.Millisecond, what)
}

// watcher polls Alertmanager the whole time, as a person at its page would.
type watcher struct {
	am *alertmanagertest.Server

	mu       sync.Mutex
	services map[string]bool
	first    map[string]time.Time // by fingerprint
	absent   map[string][]time.Time
}

func watch(am *alertmanagertest.Server) *watcher {
	return &watcher{am: am, services: map[string]bool{}, first: map[string]time.Time{}, absent: map[string][]time.Time{}}
}

func (w *watcher) run(ctx context.Context) {
	ticker := time.NewTicker(100 * time.Millisecond)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case now := <-ticker.C:
			alerts, err := w.am.Alerts()
			if err != nil {
				continue
			}
			w.mu.Lock()
			open := map[string]bool{}
			for _, alert := range alerts {
				open[*alert.Fingerprint] = true
				w.services[alert.Labels["service"]] = true
				if _, ok := w.first[*alert.Fingerprint]; !ok {
					w.first[*alert.Fingerprint] = now
				}
			}
			for fingerprint := range w.first {
				if !open[fingerprint] {
					w.absent[fingerprint] = append(w.absent[fingerprint], now)
				}
			}
			w.mu.Unlock()
		}
	}
}

// gaps are the moments since its first sight at which an alert was not open.
func (w *watcher) gaps(fingerprint string) []time.Time {
	w.mu.Lock()
	defer w.mu.Unlock()
	return append([]time.Time(nil), w.absent[fingerprint]...)
}

func (w *watcher) seenOf(service string) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.services[service]
}
