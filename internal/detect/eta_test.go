package detect

import (
	"math"
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/deployloop/deployloop/internal/event"
)

// halfway is the median of the law it claims to be: of a Gaussian walk whose
// variance is twice its drift, as a log likelihood ratio's is.
func TestHalfwayIsTheMedianOfFirstPassage(t *testing.T) {
	rng := rand.New(rand.NewPCG(5, 5))
	const step = .005 // of a second at a drift of one nat a second
	for _, nats := range []float64{1, 3, 7} {
		var took []float64
		for range 1500 {
			x, seconds := 0., 0.
			for x < nats && seconds < 20*nats {
				x += step + math.Sqrt(2*step)*rng.NormFloat64()
				seconds += step
			}
			took = append(took, seconds)
		}
		require.InEpsilon(t, quantile(took, .5), halfway(nats), .15, "%v nats", nats)
	}
}

// What is told of deployments that change nothing comes neither late nor soon on
// the whole, be there little traffic or much.
func TestETAsOfHealthyDeploymentsAreFair(t *testing.T) {
	for _, traffic := range [][2]float64{{4, 36}, {100, 900}} {
		var ratios []float64
		right := 0
		for seed := range uint64(16) {
			s := newSim(seed, Config{})
			pods := s.roll(traffic[0], .01, traffic[1], .01)
			s.run(300, pods[:9], nil)
			s.deploy("d", "2", "1")
			told := map[int64]float64{}
			s.run(1500, pods, func() bool {
				if v := s.last["d"]; v.ETA > 0 {
					told[v.At.Unix()] = v.ETA.Seconds()
				}
				return s.state("d") == event.Healthy
			})
			if s.state("d") != event.Healthy {
				continue
			}
			for at, eta := range told {
				x := float64(s.last["d"].At.Unix()-at) / eta
				ratios = append(ratios, x)
				if x >= .5 && x <= 2 {
					right++
				}
			}
		}
		share := float64(right) / float64(len(ratios))
		t.Logf("%v requests/s: %d told, took/told median %.2f, within a factor of two %.2f", traffic, len(ratios), quantile(ratios, .5), share)
		require.Greater(t, len(ratios), 40)
		require.InDelta(t, 0, math.Log(quantile(ratios, .5)), math.Log(1.5))
		require.GreaterOrEqual(t, share, .6)
	}
}

// Seconds without traffic are waited for like others.
func TestETAsOfBurstsAreTimesOfTheClock(t *testing.T) {
	var ratios []float64
	for seed := range uint64(3) {
		s := newSim(seed, Config{})
		pods := []*pod{s.pod("1", 0, 100, .01), s.pod("1", 1, 100, .01)}
		bursty(s, pods, 3600, 300, 15, nil)
		s.deploy("d", "2", "1")
		pods = append(pods, s.pod("2", 0, 100, .01))
		began, told := s.sec, map[int64]float64{}
		bursty(s, pods, 6000, 300, 15, func() bool {
			if v := s.last["d"]; v.ETA > 0 && s.sec-began > 600 {
				told[v.At.Unix()] = v.ETA.Seconds()
			}
			return s.state("d") == event.Healthy
		})
		require.Equal(t, event.Healthy, s.state("d"), s.last["d"].Detail)
		for at, eta := range told {
			ratios = append(ratios, float64(s.last["d"].At.Unix()-at)/eta)
		}
	}
	require.Greater(t, len(ratios), 40)
	took := quantile(ratios, .5)
	t.Logf("%d told, took/told median %.2f", len(ratios), took)
	require.InDelta(t, 0, math.Log(took), math.Log(3))
}
