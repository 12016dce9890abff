package detect

import (
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/deployloop/deployloop/internal/event"
)

// gaugeRun plays pods that send a gauge every ten seconds: old ones for ten
// minutes, then three new ones beside them. bias is how far pods differ by
// nature, in the unit of the gauge; sick is added to the new ones.
func gaugeRun(seed uint64, x Sample, level, noise, bias, sick float64) event.Verdict {
	s := newSim(seed, Config{})
	type meter struct {
		source *Source
		at     float64
	}
	var meters []meter
	add := func(version string, n int, extra float64) {
		for i := range n {
			meters = append(meters, meter{s.pod(version, i, 0, 0).source, level + bias*s.rng.NormFloat64() + extra})
		}
	}
	run := func(seconds int) {
		for range seconds {
			if s.sec%10 == 0 {
				for _, m := range meters {
					x := x
					x.At, x.Value = s.sec*second, m.at+noise*s.rng.NormFloat64()
					m.source.Gauge(x)
				}
			}
			s.tick()
		}
	}
	add("1", 5, 0)
	run(600)
	s.deploy("d", "2", "1")
	add("2", 3, sick)
	run(900)
	v, _ := s.e.Verdict("d")
	return v
}

func TestGaugeThatGetsWorse(t *testing.T) {
	v := gaugeRun(1, Sample{Name: "edge.success_ratio", Worse: WorseLower, Golden: true}, .99, .004, 0, -.3)
	require.Equal(t, event.Regressed, v.State, "%+v", v)
	require.Equal(t, event.SignalGauge, v.Evidence[0].Signal)
	require.Equal(t, "edge.success_ratio", v.Evidence[0].Operation)
	require.Equal(t, event.ControlConcurrent, v.Control)
	require.Greater(t, v.Evidence[0].After, v.Evidence[0].Before)
	t.Log(v.Detail)
}

func TestGaugeThatGetsBetterIsNoHarm(t *testing.T) {
	v := gaugeRun(1, Sample{Name: "edge.latency", Worse: WorseHigher, Golden: true}, 50, 5, 0, -30)
	require.NotEqual(t, event.Regressed, v.State, "%+v", v)
}

// Pods that differ by nature, as in memory, are no evidence against a version.
func TestGaugeOfPodsThatDifferByNature(t *testing.T) {
	harmed := 0
	for seed := range uint64(200) {
		if gaugeRun(seed, Sample{Name: "memory", Worse: WorseHigher}, 100, 1, 20, 0).State == event.Regressed {
			harmed++
		}
	}
	require.LessOrEqual(t, harmed, 1)
}

func TestGaugePlacebos(t *testing.T) {
	harmed := 0
	for seed := range uint64(200) {
		if gaugeRun(seed, Sample{Name: "edge.latency", Worse: WorseHigher, Golden: true}, 100, 10, 3, 0).State == event.Regressed {
			harmed++
		}
	}
	require.LessOrEqual(t, harmed, 1)
}

// What only a gauge showed is over when the gauge says so: the version got
// well, or it left and the others are.
func TestAGaugeTellsOfRecovery(t *testing.T) {
	for _, left := range []bool{false, true} {
		s := newSim(1, Config{})
		x := Sample{Name: "edge.success_ratio", Worse: WorseLower, Golden: true}
		sick := -.3
		var old, next []*Source
		for i := range 5 {
			old, next = append(old, s.pod("1", i, 0, 0).source), append(next, s.pod("2", i, 0, 0).source)
		}
		run := func(seconds int, stop func() bool, sources ...*Source) {
			for range seconds {
				if s.sec%10 == 0 {
					for _, from := range sources {
						x.At, x.Value = s.sec*second, .99+.004*s.rng.NormFloat64()
						if from.origin.Version == "2" {
							x.Value += sick
						}
						from.Gauge(x)
					}
				}
				if s.tick(); stop != nil && stop() {
					return
				}
			}
		}
		run(900, nil, old...)
		s.deploy("d", "2", "1")
		both := slices.Concat(old, next)
		run(900, func() bool { return s.state("d") == event.Regressed }, both...)
		require.Equal(t, event.Regressed, s.state("d"))
		run(120, nil, both...)
		require.False(t, s.e.Recovery("d").Within)
		_, err := s.e.Snapshot()
		require.NoError(t, err)
		if left {
			run(900, nil, old...)
		} else {
			sick = 0
			run(900, nil, both...)
		}
		r := s.e.Recovery("d")
		require.True(t, r.Within, "left %v: %+v", left, r)
		require.Equal(t, left, r.Gone)
		require.Contains(t, r.Detail, "edge.success_ratio")
	}
}

// A restart in the middle of a recovery that a gauge led.
func TestARegressedGaugeSurvivesASnapshot(t *testing.T) {
	s := newSim(1, Config{})
	p := s.pod("1", 0, 20, .01)
	s.run(600, []*pod{p}, nil)
	s.deploy("d", "2", "1")
	q := s.pod("2", 0, 20, .3)
	s.run(60, []*pod{q}, func() bool { return s.state("d") == event.Regressed })
	w := s.e.watches["d"]
	require.NotEmpty(t, w.undo.parts)
	g := &indicator{kind: kindOfSignal(event.SignalGauge), op: -1, pattern: -1, levels: make([]level, 1), more: &indicatorMore{gauge: &gaugeTest{gauge: &gauge{}, bounds: make([]gaugeBound, 1)}}}
	w.indicators = append([]*indicator{g}, w.indicators...)
	w.undo.parts = append([]undonePart{{i: g}}, w.undo.parts...)
	state, err := s.e.Snapshot()
	require.NoError(t, err)
	again := New(Config{Start: time.Unix(s.sec, 0)})
	require.NoError(t, again.Restore(state))
	r := again.watches["d"].undo.parts
	require.Len(t, r, len(w.undo.parts)-1)
	for k := range r {
		require.Equal(t, w.undo.parts[k+1].i.signal(), r[k].i.signal())
		require.Equal(t, w.undo.parts[k+1].bound, r[k].bound)
	}
}
