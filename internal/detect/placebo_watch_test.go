package detect

import (
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/deployloop/deployloop/internal/event"
)

// Placebos see what a watch sees and change nothing of it: histories, verdicts
// and records are the same with and without them, all but the threshold.
func TestPlacebosLeaveNoTrace(t *testing.T) {
	play := func(indicators int) (event.Verdict, int, history) {
		s, pods := calm(4, Config{Placebos: PlaceboConfig{Window: time.Minute, Indicators: indicators}}, 700)
		pods = next(s, pods)
		s.run(60, pods, nil)
		pods[len(pods)-1].errors = .05
		s.run(120, pods, func() bool { return s.state("d") == event.Regressed })
		v := s.last["d"]
		v.Calibration, v.Threshold, v.Calibrating, v.Detail = event.Calibration{}, 0, false, ""
		for i := range v.Evidence {
			v.Evidence[i].Threshold = 0
		}
		return v, s.e.recorded, *s.e.order[0].history
	}
	with, recorded, past := play(0)
	without, recordedWithout, pastWithout := play(-1)
	require.Equal(t, event.Regressed, with.State)
	require.Equal(t, without, with)
	require.Equal(t, recordedWithout, recorded)
	require.Equal(t, pastWithout.Requests, past.Requests)
	require.Equal(t, pastWithout.Errors, past.Errors)
}

func TestPlaceboSplitsAreDrawnBySeed(t *testing.T) {
	draw := func(names []string, tried int64) (out []string) {
		s := newSim(1, Config{})
		for _, name := range names {
			x := s.e.Source(Origin{Service: "a", Version: "1", Instance: name})
			x.opTotal, x.lastActive, x.first = []float64{1}, s.sec, s.sec-600
		}
		a := s.e.order[0]
		a.calibration.Tried, a.calibration.Canary = tried, 3
		for x := range a.pseudoCanary(s.sec) {
			out = append(out, x.origin.Instance)
		}
		slices.Sort(out)
		return out
	}
	var names []string
	for i := range 12 {
		names = append(names, "pod-"+strconv.Itoa(i))
	}
	turned := slices.Clone(names)
	slices.Reverse(turned)
	seen := map[string]int{}
	for tried := range int64(32) {
		a := draw(names, tried)
		require.Len(t, a, 3)
		require.Equal(t, a, draw(turned, tried), "the order of arrival changed the draw")
		for _, name := range a {
			seen[name]++
		}
	}
	require.Len(t, seen, len(names), "some instance was never drawn in 32 windows: %v", seen)
	require.Nil(t, draw(names[:2], 1), "two instances are too few")
}

func TestPlacebosStayWithinTheirBudget(t *testing.T) {
	s := newSim(5, Config{Placebos: PlaceboConfig{Window: 30 * time.Second, Indicators: 40}})
	var pods []*pod
	for i := range 12 {
		p := s.pod("1", 0, 20, .01)
		p.source = s.e.Source(Origin{Service: "service-" + strconv.Itoa(i), Version: "1", Instance: "a"})
		pods = append(pods, p)
	}
	most := 0
	s.run(1500, pods, func() bool {
		most = max(most, s.e.Status().Placebos.Indicators)
		return false
	})
	require.Positive(t, most)
	require.LessOrEqual(t, most, 40)
	for _, x := range s.e.order {
		if x.key.name == "checkout" { // says nothing here
			continue
		}
		require.GreaterOrEqual(t, x.calibration.Windows, uint64(5), "the round robin left out %s", x.key.name)
	}
	s.e.PausePlacebos(true)
	require.Zero(t, s.e.Status().Placebos.Running)
	s.run(60, pods, nil)
	require.Zero(t, s.e.Status().Placebos.Running)
	s.e.PausePlacebos(false)
	s.run(20, pods, nil)
	require.Positive(t, s.e.Status().Placebos.Running)
}

func TestSilentServicesPlayNoPlacebos(t *testing.T) {
	s, pods := calm(6, Config{}, 320)
	require.Equal(t, 2, s.e.Status().Placebos.Running, "one window in time, one in space")
	s.run(200, nil, nil)
	st := s.e.Status().Placebos
	require.Zero(t, st.Running)
	_ = pods
	for _, x := range s.e.order {
		require.EqualValues(t, st.Windows, x.calibration.Windows)
	}
}

// A deployment that was found healthy counts as one window more, and tells how
// many instances a canary has.
func TestHealthyDeploymentIsAPlacebo(t *testing.T) {
	s, pods := calm(7, Config{Placebos: PlaceboConfig{Window: 5 * time.Minute}}, 900)
	c := &s.e.order[0].calibration
	before := len(c.Peaks)
	s.deploy("d", "2", "1")
	pods = append(pods, s.pod("2", 0, 20, .01), s.pod("2", 1, 20, .01))
	s.run(400, pods, func() bool { return len(c.Peaks) > before })
	require.Equal(t, event.Healthy, s.state("d"), s.last["d"].Detail)
	require.Len(t, c.Peaks, before+1)
	require.Equal(t, 2, c.Canary)
}

func BenchmarkTickWithPlacebos(b *testing.B) {
	for _, indicators := range []int{-1, 2000} {
		b.Run(strconv.Itoa(indicators), func(b *testing.B) {
			s, pods := calm(8, Config{Placebos: PlaceboConfig{Indicators: indicators, Window: time.Hour}}, 320)
			b.ResetTimer()
			for range b.N {
				b.StopTimer()
				for _, p := range pods {
					s.play(p)
				}
				b.StartTimer()
				s.tick()
			}
			b.ReportMetric(float64(s.e.Status().Placebos.Indicators), "indicators")
		})
	}
}
