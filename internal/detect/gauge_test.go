package detect

import (
	"testing"

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
