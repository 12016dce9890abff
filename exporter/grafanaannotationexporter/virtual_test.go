package grafanaannotationexporter

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/config/configauth"
	"go.opentelemetry.io/collector/config/configoptional"
	"go.opentelemetry.io/collector/exporter"
	"go.opentelemetry.io/collector/exporter/exportertest"

	"github.com/deployloop/deployloop/internal/event"
	"github.com/deployloop/deployloop/test/grafanatest"
)

// inProcess is an authenticator whose transport needs no network, so that a test
// may run in virtual time; it notes when it was called.
type inProcess struct {
	component.StartFunc
	component.ShutdownFunc
	server *grafanatest.Server

	mu    sync.Mutex
	down  bool // nobody listens
	calls []time.Time
}

func (p *inProcess) RoundTripper(http.RoundTripper) (http.RoundTripper, error) { return p, nil }

func (p *inProcess) RoundTrip(r *http.Request) (*http.Response, error) {
	p.mu.Lock()
	down := p.down
	p.calls = append(p.calls, time.Now())
	p.mu.Unlock()
	if down {
		return nil, errors.New("connection refused")
	}
	recorder := httptest.NewRecorder()
	p.server.Handler.ServeHTTP(recorder, r)
	response := recorder.Result()
	response.Request = r
	return response, nil
}

func (p *inProcess) set(down bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.down = down
}

// between counts the calls of a span of time.
func (p *inProcess) between(from, to time.Time) (n int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, at := range p.calls {
		if !at.Before(from) && at.Before(to) {
			n++
		}
	}
	return n
}

type extensions map[component.ID]component.Component

func (e extensions) GetExtensions() map[component.ID]component.Component { return e }

// newReplica runs an exporter as it is shipped, but for its transport.
func newReplica(t *testing.T, network *inProcess, change func(*Config)) exporter.Logs {
	t.Helper()
	id := component.MustNewID("in_process")
	cfg := createDefaultConfig().(*Config)
	cfg.Endpoint, cfg.Token = "http://grafana.example/grafana", grafanatest.Token
	cfg.Auth = configoptional.Some(configauth.Config{AuthenticatorID: id})
	if change != nil {
		change(cfg)
	}
	e, err := NewFactory().CreateLogs(t.Context(), exportertest.NewNopSettings(Type), cfg)
	require.NoError(t, err)
	require.NoError(t, e.Start(t.Context(), extensions{id: network}))
	return e
}

// Grafana is away for ten minutes, in every way that it can be, while verdicts
// change, deployments come and one of two replicas restarts. After it is back
// each deployment has one annotation, with its latest verdict.
func TestGrafanaAwayForTenMinutes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := grafanatest.New(t, "/grafana")
		networks := []*inProcess{{server: s}, {server: s}}
		replicas := []exporter.Logs{newReplica(t, networks[0], nil), newReplica(t, networks[1], nil)}
		states := map[string]event.VerdictState{}
		began := time.Now()
		// As the connector does: all that is known, every heartbeat.
		live := func(d time.Duration) {
			for end := time.Now().Add(d); time.Now().Before(end); time.Sleep(30 * time.Second) {
				var all []event.Verdict
				for _, id := range slices.Sorted(maps.Keys(states)) {
					all = append(all, verdict(id, states[id]))
				}
				for _, r := range replicas {
					require.NoError(t, r.ConsumeLogs(t.Context(), logsOf(t, all...)))
				}
			}
		}
		deploy := func(from, to int, state event.VerdictState) {
			for i := from; i < to; i++ {
				states[fmt.Sprintf("d%02d", i)] = state
			}
		}
		away := func(refused, unavailable, busy bool) {
			for _, n := range networks {
				n.set(refused)
			}
			s.Away.Store(unavailable)
			s.Busy.Store(busy)
		}
		deploy(0, 20, event.Watching)
		live(time.Minute)
		require.Equal(t, "watching", s.Verdict("d19"))

		s.LoseAnswer.Store(true) // the last that it stored, it did not confirm
		deploy(20, 21, event.Watching)
		live(30 * time.Second)
		gone := time.Now()
		away(true, false, false)
		deploy(0, 10, event.Regressed)
		deploy(21, 40, event.Watching)
		live(3 * time.Minute)
		away(false, true, false)
		deploy(10, 30, event.Healthy)
		live(2 * time.Minute)
		require.NoError(t, replicas[0].Shutdown(t.Context()))
		replicas[0] = newReplica(t, networks[0], nil)
		live(2 * time.Minute)
		away(false, false, true)
		deploy(40, 60, event.Watching)
		deploy(30, 40, event.Inconclusive)
		live(3 * time.Minute)
		back := time.Now()
		require.Equal(t, 10*time.Minute, back.Sub(gone))
		for i, n := range networks {
			// 1, 2, 4 … 30 s, each life anew.
			assert.LessOrEqual(t, n.between(gone, back), 35, "replica %d leaves it alone", i)
			assert.Greater(t, n.between(gone, back), 15, "replica %d keeps trying", i)
		}
		away(false, false, false)
		live(2 * time.Minute)

		for id, state := range states {
			assert.Equal(t, string(state), s.Verdict(id), "%s: once, with its latest verdict", id)
		}
		assert.Len(t, s.All(), len(states))
		for i, n := range networks {
			for at := began; at.Before(time.Now()); at = at.Add(100 * time.Millisecond) {
				assert.LessOrEqual(t, n.between(at, at.Add(time.Second)), 6, "five a second, and the first: replica %d at %v", i, at.Sub(began))
			}
		}
		for _, r := range replicas {
			require.NoError(t, r.Shutdown(context.Background()))
		}
	})
}

// One annotation that Grafana stumbles over does not keep the others out.
func TestOneThatFailsDoesNotBlockTheOthers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := grafanatest.New(t, "/grafana")
		s.StumbleOver = "d0"
		e := newReplica(t, &inProcess{server: s}, nil)
		require.NoError(t, e.ConsumeLogs(t.Context(), logsOf(t, verdict("d0", event.Healthy), verdict("d1", event.Healthy), verdict("d2", event.Healthy))))
		time.Sleep(10 * time.Second)
		assert.Equal(t, "healthy", s.Verdict("d1"))
		assert.Equal(t, "healthy", s.Verdict("d2"))
		assert.Empty(t, s.Of("d0"))
		require.NoError(t, e.Shutdown(context.Background()))
	})
}

// A token may be given its right later: a refusal stands for ten minutes.
func TestARefusalIsTriedAgainInTenMinutes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := grafanatest.New(t, "/grafana")
		s.Good = "another"
		e := newReplica(t, &inProcess{server: s}, nil)
		for range 25 { // twelve and a half minutes of heartbeats
			require.NoError(t, e.ConsumeLogs(t.Context(), logsOf(t, verdict("d1", event.Regressed))))
			time.Sleep(30 * time.Second)
		}
		assert.Equal(t, int64(2), s.Calls.Load())
		s.Good = grafanatest.Token
		time.Sleep(refusedFor)
		require.NoError(t, e.ConsumeLogs(t.Context(), logsOf(t, verdict("d1", event.Regressed))))
		synctest.Wait()
		time.Sleep(time.Second)
		assert.Equal(t, "regressed", s.Verdict("d1"))
		require.NoError(t, e.Shutdown(context.Background()))
	})
}

func TestABusyGrafanaIsLeftAloneForAsLongAsItAsks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := grafanatest.New(t, "/grafana")
		s.Busy.Store(true)
		e := newReplica(t, &inProcess{server: s}, nil)
		require.NoError(t, e.ConsumeLogs(t.Context(), logsOf(t, verdict("d1", event.Regressed))))
		time.Sleep(29 * time.Second)
		assert.Equal(t, int64(1), s.Calls.Load())
		s.Busy.Store(false)
		time.Sleep(5 * time.Second)
		assert.Equal(t, "regressed", s.Verdict("d1"))
		require.NoError(t, e.Shutdown(context.Background()))
	})
}
