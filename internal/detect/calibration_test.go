package detect

import (
	"bytes"
	"encoding/gob"
	"math"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/deployloop/deployloop/internal/event"
)

// A value from the same source exceeds the conformal threshold with a
// probability of at most α, whatever the distribution.
func TestConformalThresholdHoldsItsLevel(t *testing.T) {
	const n, runs, alpha = 199, 4000, .02
	rng := rand.New(rand.NewPCG(1, 2))
	for name, draw := range map[string]func() float64{
		"exponential": rng.ExpFloat64,
		"heavy":       func() float64 { return math.Pow(rng.Float64(), -2) },
		"mostly none": func() float64 { return math.Max(0, rng.NormFloat64()-1) },
	} {
		beyond := 0
		for range runs {
			x := make([]float64, n)
			for i := range x {
				x[i] = draw()
			}
			slices.Sort(x)
			if draw() > conformal(x, alpha) {
				beyond++
			}
		}
		share := float64(beyond) / runs
		require.LessOrEqual(t, share, alpha+3*math.Sqrt(alpha*(1-alpha)/runs), name)
	}
}

func TestConformalNeedsEnough(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		alpha := rapid.Float64Range(.001, .4).Draw(t, "alpha")
		x := rapid.SliceOfN(rapid.Float64Range(0, 50), 1, 2000).Draw(t, "x")
		slices.Sort(x)
		c := conformal(x, alpha)
		if enough := float64(len(x)) >= 1/alpha-1-1e-6; math.IsInf(c, 1) == enough {
			t.Fatalf("%d values at α %v give %v", len(x), alpha, c)
		}
		if wider := conformal(x, alpha/2); wider < c {
			t.Fatalf("a smaller α gave a smaller threshold: %v, %v", wider, c)
		}
	})
}

// The tail's quantile is near the true one and, by its allowance, rather above.
func TestTailQuantileOfKnownDistributions(t *testing.T) {
	const n, runs, alpha = 300, 400, .001
	rng := rand.New(rand.NewPCG(3, 4))
	for name, x := range map[string]struct {
		draw  func() float64
		truth float64
	}{
		"exponential": {rng.ExpFloat64, -math.Log(alpha)},
		"shape .3":    {func() float64 { return (math.Pow(rng.Float64(), -.3) - 1) / .3 }, (math.Pow(alpha, -.3) - 1) / .3},
	} {
		above, got := 0, make([]float64, runs)
		for r := range runs {
			draws := make([]float64, n)
			for i := range draws {
				draws[i] = x.draw()
			}
			slices.Sort(draws)
			got[r] = tailQuantile(draws, alpha)
			if got[r] > x.truth {
				above++
			}
		}
		slices.Sort(got)
		t.Logf("%s: true %.2f, median %.2f, above the truth in %.0f %%", name, x.truth, median(got), 100*float64(above)/runs)
		require.InDelta(t, x.truth, median(got), .5*x.truth, name)
		require.GreaterOrEqual(t, median(got), .9*x.truth, name)
	}
}

func TestThresholdStaysWithinItsBounds(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		alpha := rapid.SampledFrom([]float64{.001, .002, .02, .3}).Draw(t, "alpha")
		c := calibration{Version: calibrationVersion}
		var p pool
		rng := rand.New(rand.NewPCG(rapid.Uint64().Draw(t, "seed"), 1))
		others := calibration{}
		for range rapid.IntRange(0, 600).Draw(t, "others") {
			m := 3 * rng.ExpFloat64()
			p.add(&others, m, most(alpha))
			others.add(m)
		}
		scale := rapid.Float64Range(0, 30).Draw(t, "scale")
		for range rapid.IntRange(0, 300).Draw(t, "own") {
			m := scale * rng.ExpFloat64()
			p.add(&c, m, most(alpha))
			c.add(m)
			c.book(m >= least(alpha), alpha)
		}
		got, rests := c.threshold(&p, alpha)
		if got < least(alpha) || got > most(alpha) || !finite(got) {
			t.Fatalf("%v nats at α %v", got, alpha)
		}
		need := math.Ceil(1/alpha-1e-9) - 1
		enough := map[event.CalibrationSource]bool{
			event.CalibrationOwn:         float64(len(c.Peaks)) >= need && len(c.Peaks) >= fewPeaks,
			event.CalibrationPooled:      len(c.Peaks) >= fewPeaks && float64(len(p.Peaks)) >= need,
			event.CalibrationTail:        len(c.Peaks) >= fewPeaks && len(p.Peaks) >= tailPeaks,
			event.CalibrationProvisional: true,
		}
		if !enough[rests.Source] {
			t.Fatalf("%v with %d own and %d pooled windows", rests.Source, len(c.Peaks), len(p.Peaks))
		}
		if rests.Source == event.CalibrationProvisional && len(c.Peaks) >= fewPeaks && len(p.Peaks) >= tailPeaks {
			t.Fatal("provisional, though there are windows enough")
		}
	})
}

// More of what its placebos showed never lowers what a service needs.
func TestRestlessPlacebosNeverLowerTheThreshold(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		rng := rand.New(rand.NewPCG(rapid.Uint64().Draw(t, "seed"), 1))
		var quiet, restless calibration
		var p pool
		factor := rapid.Float64Range(1, 5).Draw(t, "factor")
		for range ownPeaks {
			m := rng.ExpFloat64()
			quiet.add(m)
			restless.add(m * factor)
		}
		a, _ := quiet.threshold(&p, .001)
		b, _ := restless.threshold(&p, .001)
		if b < a-1e-6 {
			t.Fatalf("%v for the quiet one, %v for the restless one", a, b)
		}
	})
}

func TestLedgerRaisesAndForgives(t *testing.T) {
	c := calibration{}
	for range 999 {
		c.book(false, .001)
	}
	c.book(true, .001)
	require.Zero(t, c.Raise, "one in a thousand is what was allowed")
	c.book(true, .001)
	require.Zero(t, c.Raise, "two may be chance")
	c.book(true, .001)
	require.InDelta(t, math.Ln2, c.Raise, 1e-12, "three in a thousand are more")
	require.Zero(t, c.SinceWindows)
	c.book(true, .001)
	require.InDelta(t, math.Ln2, c.Raise, 1e-12, "counted anew, one is no rate")
	c.SinceWindows, c.SinceAlarms = 0, 0
	for range ownPeaks {
		c.book(false, .001)
	}
	require.Zero(t, c.Raise, "quiet since")
	require.EqualValues(t, 4, c.Alarms)
}

func TestWilson(t *testing.T) {
	low, high := wilson(0, 3000)
	require.Zero(t, low)
	require.InDelta(t, .00128, high, .00001)
	low, high = wilson(5, 100)
	require.InDelta(t, .0215, low, .0001)
	require.InDelta(t, .1118, high, .0001)
	low, high = wilson(0, 0)
	require.Equal(t, [2]float64{0, 1}, [2]float64{low, high})
}

// calm plays a service of nine noisy instances, with short windows, that
// deploys nothing.
func calm(seed uint64, cfg Config, seconds int) (*sim, []*pod) {
	if cfg.Placebos.Window == 0 {
		cfg.Placebos.Window = time.Minute
	}
	s := newSim(seed, cfg)
	var pods []*pod
	for i := range 9 {
		p := s.pod("1", i, 20, .01*math.Exp(.1*s.rng.NormFloat64()))
		p.noise, p.faults = ar1{sigma: .1, tau: 20}, ar1{sigma: .1, tau: 20}
		pods = append(pods, p)
	}
	s.run(seconds, pods, nil)
	return s, pods
}

// next is the new version beside what serves.
func next(s *sim, pods []*pod) []*pod {
	s.deploy("d", "2", "1")
	return append(pods, s.pod("2", 0, 20, .01))
}

func TestCalibrationEndsWhenItsThresholdIsInUse(t *testing.T) {
	for _, x := range []struct {
		seconds int
		want    event.CalibrationSource
	}{{310, event.CalibrationProvisional}, {1200, event.CalibrationOwn}} {
		s, pods := calm(1, Config{FalseAlarms: 50}, x.seconds)
		pods = next(s, pods)
		s.run(30, pods, nil)
		v := s.last["d"]
		require.Equal(t, x.want, v.Calibration.Source)
		require.Equal(t, x.want == event.CalibrationProvisional, v.Calibrating)
		want, _ := s.e.order[0].calibration.threshold(&s.e.placebos.pool, .05)
		require.InDelta(t, want, v.Threshold, 1e-12)
		if x.want == event.CalibrationOwn {
			require.GreaterOrEqual(t, v.Calibration.Windows, fewPeaks)
			require.GreaterOrEqual(t, v.Threshold, least(.05))
		}
		st := s.e.Status().Placebos
		require.Zero(t, st.Running, "windows run beside a deployment")
		require.EqualValues(t, st.Windows, v.Calibration.Service.Windows)
		t.Logf("after %d s: %+v; %d windows, %d false alarms, %d dropped", x.seconds, v.Calibration, st.Windows, st.FalseAlarms, st.Dropped)
	}
}

func TestCalibrationSurvivesARestart(t *testing.T) {
	s, pods := calm(2, Config{FalseAlarms: 50}, 1200)
	next(s, pods)
	s.tick()
	data, err := s.e.Snapshot()
	require.NoError(t, err)
	e := New(Config{FalseAlarms: 50, Start: time.Unix(s.sec, 0), Placebos: PlaceboConfig{Window: time.Minute}})
	require.NoError(t, e.Restore(data))
	require.Equal(t, s.e.order[0].calibration, e.order[0].calibration)
	require.Equal(t, s.e.placebos.pool.Peaks, e.placebos.pool.Peaks)
	require.Equal(t, s.e.placebos.ledger, e.placebos.ledger)
	was, _ := s.e.Verdict("d")
	is, _ := e.Verdict("d")
	require.Equal(t, was.Calibration, is.Calibration)
	require.InDelta(t, was.Threshold, is.Threshold, 1e-12)

	// What another engine's evidence showed is not comparable.
	var in snapshot
	require.NoError(t, gob.NewDecoder(bytes.NewReader(data)).Decode(&in))
	in.Services[0].Calibration.Version = 99
	var buf bytes.Buffer
	require.NoError(t, gob.NewEncoder(&buf).Encode(in))
	e = New(Config{FalseAlarms: 50, Start: time.Unix(s.sec, 0)})
	require.NoError(t, e.Restore(buf.Bytes()))
	require.Empty(t, e.order[0].calibration.Peaks)
}

// A service that is bad now and then by itself, beyond what its history tells,
// learns to ask for more.
func TestRestlessServiceAsksForMore(t *testing.T) {
	s := newSim(3, Config{FalseAlarms: 10, Placebos: PlaceboConfig{Window: time.Minute}})
	p := s.pod("1", 0, 50, .002)
	for range 4 * 3600 {
		p.errors = .002
		if s.sec%1777 < 40 {
			p.errors = .1
		}
		s.play(p)
		s.tick()
	}
	c := s.e.order[0].calibration
	got, rests := c.threshold(&s.e.placebos.pool, .01)
	t.Logf("%d windows, %d false alarms, threshold %.1f nats of at least %.1f: %+v", c.Windows, c.Alarms, got, least(.01), rests)
	require.Greater(t, c.Windows, uint64(100))
	require.Greater(t, got, least(.01)+math.Ln2)
}
