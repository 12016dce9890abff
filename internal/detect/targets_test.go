package detect

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/deployloop/deployloop/internal/event"
)

// The delays here are from the start of the first second with bad requests to
// the Tick that told, on a virtual clock: they hold the lateness of one second
// and the tick, but no transport.

func delays(t *testing.T, runs int, bad float64, allAtOnce bool) []float64 {
	t.Helper()
	var out []float64
	for seed := range uint64(runs) {
		s := newSim(seed, Config{})
		pods := s.roll(100, .01, 900, .01)
		old, canary := pods[:9], pods[9]
		s.run(120, old, nil)
		s.deploy("d", "2", "1")
		canary.errors = bad
		serving := pods
		if allAtOnce {
			serving = nil
			for i := range 10 {
				serving = append(serving, s.pod("2", i, 100, bad))
			}
		}
		start := s.sec
		s.run(600, serving, func() bool { return s.state("d") == event.Regressed })
		require.Equal(t, event.Regressed, s.state("d"), "seed %d: %+v", seed, s.last["d"])
		out = append(out, float64(s.sec-start))
	}
	return out
}

func TestTwentyPercentErrorsBesideOldCohort(t *testing.T) {
	d := delays(t, 40, .2, false)
	t.Logf("median %v s, p95 %v s", quantile(d, .5), quantile(d, .95))
	require.LessOrEqual(t, quantile(d, .5), 8.)
}

func TestThreePercentErrorsBesideOldCohort(t *testing.T) {
	d := delays(t, 100, .03, false)
	t.Logf("median %v s, p95 %v s", quantile(d, .5), quantile(d, .95))
	require.LessOrEqual(t, quantile(d, .5), 20.)
	require.LessOrEqual(t, quantile(d, .95), 50.)
}

func TestTwentyPercentErrorsAllAtOnce(t *testing.T) {
	d := delays(t, 40, .2, true)
	t.Logf("median %v s, p95 %v s", quantile(d, .5), quantile(d, .95))
	require.LessOrEqual(t, quantile(d, .95), 10.)
}

func TestFirstEverException(t *testing.T) {
	for seed := range uint64(20) {
		s := newSim(seed, Config{})
		pods := s.roll(10, 0, 90, 0)
		s.run(300, pods[:9], nil)
		s.deploy("d", "2", "1")
		s.run(20, pods, nil)
		thrown := 0
		for thrown < 6 && s.state("d") != event.Regressed {
			for _, p := range pods {
				s.play(p)
			}
			if s.sec%2 == 0 {
				thrown++
				pods[9].source.Exception(Exception{Fingerprint: 42, At: s.sec * second, Trace: uint64(thrown), Type: "KeyError", Message: "'sku'",
					Frames: []event.Frame{{File: "cart.py", Line: 42, Function: "total"}}}, fixedExample{})
			}
			s.tick()
		}
		s.run(2, pods, nil)
		v, _ := s.e.Verdict("d")
		require.Equal(t, event.Regressed, v.State, "seed %d, %d thrown: %+v", seed, thrown, v)
		require.NotEmpty(t, v.Related)
		require.True(t, v.Related[0].OnlyInNew)
		require.Len(t, v.Related[0].Examples, 3)
		require.Equal(t, event.SignalException, v.Evidence[0].Signal)
		require.True(t, v.Evidence[0].Harm)
		if seed == 0 {
			t.Logf("after %d occurrences: %.1f nats of %.1f; %s", thrown, v.Nats, v.Threshold, v.Detail)
		}
	}
}

type fixedExample struct{}

func (fixedExample) Example() event.Example {
	return event.Example{At: time.Unix(simStart, 0), TraceID: "t", Message: "boom"}
}

func TestNoChangeGetsHealthyAndStays(t *testing.T) {
	var took []float64
	for seed := range uint64(10) {
		s := newSim(seed, Config{})
		pods := s.roll(100, .01, 900, .01)
		s.run(120, pods[:9], nil)
		s.deploy("d", "2", "1")
		start, healthy := s.sec, int64(0)
		s.run(1800, pods, func() bool {
			require.NotEqual(t, event.Regressed, s.state("d"), "seed %d: %+v", seed, s.last["d"])
			if healthy == 0 && s.state("d") == event.Healthy {
				healthy = s.sec
			}
			return false
		})
		require.NotZero(t, healthy, "seed %d: %+v", seed, s.last["d"])
		took = append(took, float64(healthy-start))
	}
	t.Logf("healthy after: median %v s, worst %v s", quantile(took, .5), quantile(took, 1))
	require.LessOrEqual(t, quantile(took, .5), 300.)
}

func TestColdStartIsNeverHealthy(t *testing.T) {
	s := newSim(1, Config{})
	pods := s.roll(100, .01, 900, .01)
	s.deploy("d", "2", "1")
	s.run(700, pods[9:], nil)
	v := s.last["d"]
	require.Equal(t, event.Inconclusive, v.State)
	require.Equal(t, event.ReasonNoControl, v.Reason)
	require.Equal(t, event.ControlNone, v.Control)
}

func TestNoDataIsNeverHealthy(t *testing.T) {
	s := newSim(1, Config{})
	pods := s.roll(100, .01, 900, .01)
	s.run(120, pods[:9], nil)
	s.deploy("d", "2", "1")
	s.run(700, pods[:9], nil)
	require.Equal(t, event.Inconclusive, s.state("d"))
	require.Equal(t, event.ReasonNoData, s.last["d"].Reason)
}

func TestRollbackIsSeenToRecover(t *testing.T) {
	for _, allAtOnce := range []bool{false, true} {
		s := newSim(3, Config{})
		pods := s.roll(100, .2, 900, .01)
		old, serving := pods[:9], pods
		if allAtOnce {
			serving = nil
			for i := range 10 {
				serving = append(serving, s.pod("2", i, 100, .2))
			}
		}
		s.run(300, old, nil)
		s.deploy("d", "2", "1")
		s.run(60, serving, nil)
		require.Equal(t, event.Regressed, s.state("d"))
		require.False(t, s.e.Recovery("d").Within)
		for i := range old {
			old[i] = s.pod("1", 100+i, 111, .01)
		}
		d := s.deploy("r", "1", "2")
		require.Equal(t, "r", d.ID)
		start := s.sec
		s.run(300, old, func() bool { return s.e.Recovery("d").Recovered() })
		r := s.e.Recovery("d")
		require.True(t, r.Within, "%+v", r)
		require.True(t, r.Gone)
		require.Less(t, s.sec-start, int64(120))
		t.Logf("all at once %v: recovered after %d s: %s", allAtOnce, s.sec-start, r.Detail)
		require.NotEqual(t, event.Regressed, s.state("r"))
	}
}

func TestSlowVersionIsCaught(t *testing.T) {
	for _, allAtOnce := range []bool{false, true} {
		s := newSim(5, Config{})
		pods := s.roll(100, .01, 900, .01)
		s.run(300, pods[:9], nil)
		s.deploy("d", "2", "1")
		serving := pods
		if allAtOnce {
			serving = nil
			for i := range 10 {
				serving = append(serving, s.pod("2", i, 100, .01))
			}
			for _, p := range serving {
				p.median = 200
			}
		}
		pods[9].median = 200
		start := s.sec
		s.run(300, serving, func() bool { return s.state("d") == event.Regressed })
		v := s.last["d"]
		require.Equal(t, event.Regressed, v.State, "%+v", v)
		require.Equal(t, event.SignalLatency, v.Evidence[0].Signal)
		t.Logf("all at once %v: after %d s: %s", allAtOnce, s.sec-start, v.Detail)
	}
}

func TestVanishedOperation(t *testing.T) {
	s := newSim(6, Config{})
	pods := s.roll(100, .01, 900, .01)
	var orders []*pod
	for i := range 9 {
		p := s.pod("1", i, 10, 0)
		p.op = "POST /orders"
		orders = append(orders, p)
	}
	s.run(300, append(append([]*pod{}, pods[:9]...), orders...), nil)
	s.deploy("d", "2", "1")
	start := s.sec
	s.run(300, append(append([]*pod{}, pods...), orders...), func() bool { return s.state("d") == event.Regressed })
	v := s.last["d"]
	require.Equal(t, event.Regressed, v.State, "%+v", v)
	require.Equal(t, event.SignalThroughput, v.Evidence[0].Signal)
	t.Logf("after %d s: %s", s.sec-start, v.Detail)
}

// Inner work (an order's event is no longer published) that stops with the new
// version, beside an old cohort and all at once.
func TestVanishedWork(t *testing.T) {
	for _, allAtOnce := range []bool{false, true} {
		s := newSim(8, Config{})
		pods := s.roll(100, .01, 900, .01)
		next := pods
		if allAtOnce {
			next = nil
			for i := range 9 {
				next = append(next, s.pod("2", i, 100, .01))
			}
		}
		second := func(serving []*pod) {
			for _, p := range serving {
				if p.source.origin.Version == "1" {
					for range 10 {
						p.source.Work(Work{Name: "publish orders", End: s.sec * second})
					}
				}
			}
			s.run(1, serving, nil)
		}
		for range 300 {
			second(pods[:9])
		}
		s.deploy("d", "2", "1")
		start := s.sec
		for range 180 {
			if second(next); s.state("d") == event.Regressed {
				break
			}
		}
		v := s.last["d"]
		require.Equal(t, event.Regressed, v.State, "%+v", v)
		require.Equal(t, event.SignalThroughput, v.Evidence[0].Signal)
		require.Equal(t, "publish orders", v.Evidence[0].Operation)
		t.Logf("all at once %v: after %d s: %s", allAtOnce, s.sec-start, v.Detail)
	}
}

// All traffic but the new version's sparse own stops succeeding to arrive.
func TestVanishedTraffic(t *testing.T) {
	s := newSim(8, Config{})
	pods := s.roll(100, .01, 900, .01)
	s.run(300, pods[:9], nil)
	s.deploy("d", "2", "1")
	next := []*pod{s.pod("2", 0, 5, .01), s.pod("2", 1, 5, .01)}
	start := s.sec
	s.run(180, next, func() bool { return s.state("d") == event.Regressed })
	v := s.last["d"]
	require.Equal(t, event.Regressed, v.State, "%+v", v)
	t.Logf("after %d s: %s", s.sec-start, v.Detail)
}
