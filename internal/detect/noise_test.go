package detect

import (
	"math"
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/deployloop/deployloop/internal/event"
)

// Deployments that change nothing, of services whose telemetry is restless by
// itself, with nothing but history to compare with.

// restless plays a service that change alters each second, before a
// deployment and after it, and gives the verdict.
func restless(seed uint64, made func(s *sim, version string) *pod, change func(s *sim, p *pod), before, after int) (*sim, event.Verdict) {
	s := newSim(seed, Config{})
	play := func(p *pod, seconds int, stop bool) {
		for range seconds {
			change(s, p)
			s.play(p)
			if s.tick(); stop && s.state("d") == event.Regressed {
				return
			}
		}
	}
	play(made(s, "1"), before, false)
	s.deploy("d", "2", "1")
	play(made(s, "2"), after, true)
	return s, s.last["d"]
}

func plain(s *sim, version string) *pod { return s.pod(version, 0, 50, .002) }

// burst makes a fifth of the requests fail for 15 s every so often.
func burst(every, seed int) func(s *sim, p *pod) {
	return func(s *sim, p *pod) {
		p.errors = .002
		if (int(s.sec)+seed*97)%every < 15 {
			p.errors = .2
		}
	}
}

func TestBurstsOfErrorsAsBeforeAreNoHarm(t *testing.T) {
	for _, every := range []int{60, 300, 900} {
		for seed := range 6 {
			_, v := restless(uint64(seed), plain, burst(every, seed), 1900, 1200)
			require.Contains(t, []event.VerdictState{event.Watching, event.Inconclusive, event.Healthy}, v.State, "every %d s, seed %d: %s", every, seed, v.Detail)
		}
	}
}

func TestHarmAmongBurstsIsSeen(t *testing.T) {
	var took []float64
	for seed := range 6 {
		deployed := simStart + 1900
		s, v := restless(uint64(seed), plain, func(s *sim, p *pod) {
			burst(300, seed)(s, p)
			if s.sec >= deployed {
				p.errors = .2
			}
		}, 1900, 600)
		require.Equal(t, event.Regressed, v.State, "seed %d: %s", seed, v.Detail)
		took = append(took, float64(s.sec-deployed))
	}
	t.Logf("20 %% errors that last, among bursts of 15 s every five minutes: median %v s, worst %v s", quantile(took, .5), quantile(took, 1))
	require.LessOrEqual(t, quantile(took, 1), 240.)
}

func TestTrafficThatComesAndGoesIsNoHarm(t *testing.T) {
	for _, period := range []int{30, 60, 120, 300} {
		for seed := range uint64(4) {
			_, v := restless(seed, plain, func(s *sim, p *pod) {
				p.rate = 0
				if seed%2 == 0 { // alive all the same
					p.source.Log(LogLine{Template: 1, At: s.sec * second, Text: "idle", Severity: 9}, nil)
				}
				if int(s.sec)/period%2 == 0 {
					p.rate = 20
				}
			}, 1800, 1800)
			require.NotEqual(t, event.Regressed, v.State, "period %d s, seed %d: %s", period, seed, v.Detail)
		}
	}
}

// Load that ends for good soon after a deployment: nothing says that the
// deployment ended it.
func TestLoadThatEndsIsNoHarm(t *testing.T) {
	for _, rate := range []float64{5, 50, 500} {
		_, v := restless(1, func(s *sim, version string) *pod { return s.pod(version, 0, rate, .01) }, func(s *sim, p *pod) {
			if s.sec > simStart+990 {
				p.rate = 0
			}
		}, 900, 700)
		require.NotEqual(t, event.Regressed, v.State, v.Detail)
	}
}

// All of the instances' latencies drift together, as on a busy host.
func TestLatencyThatDriftsAsBeforeIsNoHarm(t *testing.T) {
	for seed := range uint64(8) {
		s := newSim(seed, Config{})
		drift := ar1{sigma: .4, tau: 120}
		play := func(version string, seconds int) {
			var pods []*pod
			for i := range 6 {
				pods = append(pods, s.pod(version, i, 30, .01))
			}
			for range seconds {
				median := 80 * drift.next(s.rng)
				for _, p := range pods {
					p.median = median
				}
				s.run(1, pods, nil)
			}
		}
		play("1", 1800)
		s.deploy("d", "2", "1")
		play("2", 900)
		require.NotEqual(t, event.Regressed, s.state("d"), "seed %d: %s", seed, s.last["d"].Detail)
	}
}

func TestOneHeavySpanDecidesNothing(t *testing.T) {
	for _, failed := range []bool{true, false} {
		s := newSim(4, Config{})
		pods := s.roll(100, .01, 900, .01)
		s.run(300, pods[:9], nil)
		s.deploy("d", "2", "1")
		s.run(40, pods, nil)
		heavy := Request{Operation: "POST /cart", End: s.sec*second + 1, Duration: 50e6, Failed: failed, Weight: 9e5}
		pods[9].source.Request(heavy, nil)
		if !failed {
			heavy.Duration = 60e9
			pods[9].source.Request(heavy, nil)
		}
		s.run(300, pods, func() bool { return s.state("d") == event.Regressed })
		v := s.last["d"]
		require.NotEqual(t, event.Regressed, v.State, v.Detail)
		require.Contains(t, lossNamesOf(v), "weight_capped")
		// And it blunts the view of what comes after for no long.
		pods[9].errors = .2
		start := s.sec
		s.run(60, pods, func() bool { return s.state("d") == event.Regressed })
		require.Equal(t, event.Regressed, s.state("d"), s.last["d"].Detail)
		t.Logf("20 %% errors after a heavy span: %d s", s.sec-start)
	}
}

func lossNamesOf(v event.Verdict) (out []string) {
	for _, l := range v.Losses {
		out = append(out, l.Name)
	}
	return out
}

// What a second brings has no part in the margin that it is tested with.
func TestMarginKnowsOnlyThePast(t *testing.T) {
	margins := func(last float64) []float64 {
		s := newSim(7, Config{})
		pods := s.roll(100, .002, 900, .002)
		s.run(60, pods[:9], nil)
		s.deploy("d", "2", "1")
		s.run(refreshMargin*5, pods, nil)
		w := s.e.watches["d"]
		for !refreshes(w.errors.levels[0].harm.ticks + 1) { // one second is open still
			s.run(1, pods, nil)
		}
		for i := range pods {
			s.inject(pods[i], 500, 500*last, 80)
		}
		s.tick()
		s.tick()
		var out []float64
		for _, i := range w.indicators {
			for k := range i.levels {
				out = append(out, float64(i.levels[k].margin))
			}
		}
		return out
	}
	require.Equal(t, margins(0), margins(.5))
}

func TestCurveFindsTheNoiseAtItsLength(t *testing.T) {
	rng := rand.New(rand.NewPCG(3, 3))
	draw := (&sim{rng: rng}).poisson
	const n, p = 100., .02
	play := func(rate func(sec int) float64) spread {
		var c curve
		for sec := range 7200 {
			c.add(int64(sec), draw(n*rate(sec)), n)
		}
		return c.spread()
	}
	quiet := play(func(int) float64 { return p })
	for k, v := range quiet {
		require.LessOrEqual(t, v, .02, "scale %d", k)
	}
	// Half a minute on, half a minute off: relative variance 1 within half a
	// minute, little over many.
	square := play(func(sec int) float64 { return 2 * p * float64(sec/32%2) })
	require.InDelta(t, 1, square.at(16), .1)
	require.InDelta(t, 1, square.at(1), .1)
	require.Less(t, square.at(512), .1)
	// Noise with a memory of 20 s and a relative variance of .09.
	a := ar1{sigma: .3, tau: 20}
	noisy := play(func(int) float64 { return p * a.next(rng) / math.Exp(.3*.3/2) })
	require.InDelta(t, .09, noisy.at(2), .04)
	require.Less(t, noisy.at(256), noisy.at(4)/2)
}

func TestCurveIsMonotoneAndBounded(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var c curve
		sec := int64(0)
		for range rapid.IntRange(0, 200).Draw(t, "steps") {
			sec += int64(rapid.IntRange(0, 50).Draw(t, "gap"))
			n := rapid.Float64Range(0, 1000).Draw(t, "n")
			c.add(sec, n*rapid.Float64Range(0, 1).Draw(t, "share"), n)
		}
		c.turn(sec + 1)
		s := c.spread()
		for x := 1.; x < 5000; x *= 1.7 {
			a, b := s.at(x), s.at(2*x)
			if !finite(a) || a < 0 || b > a*(1+1e-9) || b < a/2*(1-1e-9) {
				t.Fatalf("relative variance %v at %v s, %v at twice that", a, x, b)
			}
		}
	})
}
