package detect

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/deployloop/deployloop/internal/event"
)

// A release replaces all instances at once, and its own telemetry never comes.
// What its callers see tells whether it serves.
func TestNewVersionThatIsNeverHeard(t *testing.T) {
	for name, c := range map[string]struct {
		calls, fails   float64 // of a request of its callers, and the share that fails
		lull, goes     bool    // its callers' own load ends; the rollout is not done yet
		callersChanged bool    // they were deployed at the same time
		callersFail    bool    // all their requests fail, by themselves
		want           event.VerdictState
		why            string
	}{
		"calls fail":                     {calls: 1, fails: 1, want: event.Regressed, why: "never heard"},
		"calls stop":                     {want: event.Regressed, why: "throughput"},
		"it serves in the dark":          {calls: 1, want: event.Inconclusive},
		"load or telemetry ends":         {lull: true, want: event.Inconclusive},
		"the rollout goes on":            {goes: true, want: event.Inconclusive},
		"its callers call nobody by now": {callersChanged: true, want: event.Inconclusive},
		"its callers fail before a call": {callersFail: true, want: event.Inconclusive},
	} {
		for seed := range uint64(3) {
			x := newTiers(seed)
			x.play(600)
			d := event.Deployment{ID: "payments", Service: "payments", Environment: "prod", Version: "2", PreviousVersion: "1", StartedAt: time.Unix(x.sec, 0)}
			x.e.Watch(d, event.Advise)
			if c.callersChanged {
				x.deployed("web", &x.web)
				x.deployed("mobile", &x.mobile)
			}
			x.play(20)
			if !c.goes {
				d.Status, d.FinishedAt = event.DeploymentSucceeded, time.Unix(x.sec, 0)
				x.e.Watch(d, event.Advise)
			}
			for range 330 {
				end := x.sec*second + second/2
				for range 40 {
					if c.lull {
						break
					}
					for _, caller := range []*Source{x.web, x.mobile} {
						caller.Request(Request{Operation: "POST /order", End: end, Duration: 4e6, Failed: c.callersFail}, nil)
						if c.calls > 0 {
							caller.Call(Call{Callee: "payments", End: end, Duration: 3e6, Failed: x.rng.Float64() < c.fails})
						}
					}
				}
				x.source("search", "1").Request(Request{Operation: "GET /search", End: end, Duration: 4e6}, nil)
				x.tick()
			}
			v, ok := x.e.Verdict("payments")
			require.True(t, ok)
			require.Equal(t, c.want, v.State, "seed %d, %s: %s", seed, name, v.Detail)
			require.Contains(t, v.Detail, c.why, name)
			if c.want == event.Inconclusive {
				require.Equal(t, event.ReasonNoData, v.Reason, name)
			}
		}
	}
}

// A deployment may be announced when it is done long since: what its callers
// saw before is not known, and not nothing. It may first be heard seconds later.
func TestADeploymentThatIsAnnouncedLate(t *testing.T) {
	for _, silent := range []int{0, 2} {
		x := newTiers(1)
		play := func(seconds int, heard bool) {
			for range seconds {
				end := x.sec*second + second/2
				for range 300 {
					x.web.Request(Request{Operation: "POST /order", End: end, Duration: 4e6}, nil)
					x.web.Call(Call{Callee: "payments", End: end, Duration: 3e6})
					if heard {
						x.payments.Request(Request{Operation: "POST /pay", End: end, Duration: 2e6}, nil)
					}
				}
				x.tick()
			}
		}
		play(600, true)
		began := time.Unix(x.sec, 0)
		x.payments = x.source("payments", "2")
		play(40, true)
		x.e.Watch(event.Deployment{ID: "payments", Service: "payments", Environment: "prod", Version: "2", PreviousVersion: "1",
			StartedAt: began, FinishedAt: began.Add(time.Second), Status: event.DeploymentSucceeded}, event.Advise)
		require.NotEmpty(t, x.e.watches["payments"].depend)
		for k := range 60 {
			play(1, k >= silent)
			v, _ := x.e.Verdict("payments")
			require.NotEqual(t, event.Regressed, v.State, "heard after %d seconds, in second %d: %s", silent, k, v.Detail)
		}
	}
}

// A caller that was silent for long, and calls since it is not, depends as much
// as one that always did.
func TestDependentsByTheTimeOfBoth(t *testing.T) {
	x := newTiers(1)
	x.web.Request(Request{Operation: "POST /order", End: x.sec * second}, nil)
	for range 500 {
		x.payments.Request(Request{Operation: "POST /pay", End: x.sec * second}, nil)
		x.tick()
	}
	x.play(100)
	x.e.Watch(event.Deployment{ID: "payments", Service: "payments", Environment: "prod", Version: "2", PreviousVersion: "1", StartedAt: time.Unix(x.sec, 0)}, event.Advise)
	depend := x.e.watches["payments"].depend
	require.InDelta(t, 1, depend["web"], .1)
	data, err := x.e.Snapshot()
	require.NoError(t, err)
	again := New(Config{Start: time.Unix(x.sec, 0)})
	require.NoError(t, again.Restore(data))
	require.Equal(t, depend, again.watches["payments"].depend, "and after a restart")
}

// A service that is known to start slowly is waited for, though it is not heard.
func TestNewVersionThatIsNeverHeardMayWarmUp(t *testing.T) {
	for name, learnt := range map[string]int64{"it is known": 120, "it is not": 0} {
		x := newTiers(1)
		x.play(600)
		s := x.e.services[serviceKey{"payments", "prod"}]
		if learnt > 0 {
			s.warmup = learnt
		}
		x.e.Watch(event.Deployment{ID: "payments", Service: "payments", Environment: "prod", Version: "2", PreviousVersion: "1",
			StartedAt: time.Unix(x.sec, 0), FinishedAt: time.Unix(x.sec, 0), Status: event.DeploymentSucceeded}, event.Advise)
		for k := range 300 {
			end := x.sec*second + second/2
			for range 40 {
				for _, caller := range []*Source{x.web, x.mobile} {
					caller.Request(Request{Operation: "POST /order", End: end, Duration: 4e6}, nil)
					if k >= 110 {
						caller.Call(Call{Callee: "payments", End: end, Duration: 3e6})
					}
				}
			}
			x.tick()
		}
		v, _ := x.e.Verdict("payments")
		if learnt > 0 {
			require.NotEqual(t, event.Regressed, v.State, "%s: %s", name, v.Detail)
		} else {
			require.Equal(t, event.Regressed, v.State, "%s: %s", name, v.Detail)
		}
	}
}
