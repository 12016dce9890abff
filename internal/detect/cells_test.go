package detect

import (
	"math"
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/require"
)

// A grid at once is what package math gives one by one.
func TestLogarithmsAndExponentialsOfAGrid(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	for range 20_000 {
		var y, l, e, x [cells]float64
		for i := range y {
			y[i] = math.Exp(8 * rng.NormFloat64())
			x[i] = 690 * (2*rng.Float64() - 1) * math.Pow(rng.Float64(), 4)
		}
		y[0], y[1], y[2], x[0] = 1, 1/3., math.Nextafter(1, 2), 0
		l, e = y, x
		ln(l[:])
		exp(e[:])
		for i := range y {
			require.InDelta(t, math.Log(y[i]), l[i], 4e-16*math.Abs(math.Log(y[i])), y[i])
			require.InEpsilon(t, math.Exp(x[i]), e[i], 4e-16, x[i])
		}
	}
	far := [cells]float64{-1e9, 1e9, math.Inf(-1)}
	exp(far[:])
	require.Less(t, far[0], 1e-300)
	require.Less(t, far[2], 1e-300)
	require.False(t, math.IsInf(far[1], 0))
}

// The bounds of a rate solve Chernoff's equation, whatever was counted.
func TestBoundsOfARateSolveTheirEquation(t *testing.T) {
	for _, x := range []float64{1e-9, .3, 1, 2.5, 40, 1e4, 1e8, 1e12} {
		for _, alpha := range []float64{.05, .0005, 1e-9} {
			target := math.Log(1 / alpha)
			rise := upperRate(x, 1, 1, alpha) - x
			require.InEpsilon(t, target, rise-x*math.Log1p(rise/x), 1e-3, "above %v at %v", x, alpha)
			low := lowerRate(x, 1, 1, alpha)
			require.True(t, low >= 0 && low < x, "below %v at %v", x, alpha)
			if low > 0 {
				require.InEpsilon(t, target, low-x-x*math.Log(low/x), 1e-3, "below %v at %v", x, alpha)
			}
		}
	}
	require.InEpsilon(t, math.Log(20)/7, upperRate(0, 7, 1, .05), 1e-15)
}

// What is thinned keeps its sums, its order and its newest.
func TestThinningKeepsWhatItHolds(t *testing.T) {
	var s series
	for k := range int32(5000) {
		s.add(step{at: k, ticks: 1, margin: 1.1, xc: 1, wc: 2}, maxSteps)
		require.Less(t, len(s), maxSteps)
	}
	ticks, events, last := int32(0), float32(0), int32(-1)
	for _, x := range s {
		require.Greater(t, x.at, last)
		last, ticks, events = x.at, ticks+x.ticks, events+x.xc
	}
	require.Equal(t, int32(5000), ticks)
	require.Equal(t, float32(5000), events)
	require.Equal(t, int32(4999), last)
}

// By multiplication or by logarithms, the odds of a second are the same.
func TestOddsAreTheirLogarithms(t *testing.T) {
	rng := rand.New(rand.NewPCG(3, 4))
	for range 20_000 {
		c := counts{xc: float64(rng.IntN(4)), xs: float64(rng.IntN(12)), wc: 300 * rng.Float64(), ws: 2000 * rng.Float64()}
		if rng.IntN(8) == 0 {
			c.xc, c.xs = float64(rng.IntN(150)), float64(rng.IntN(100))
		}
		if rng.IntN(8) == 0 {
			c.xs += .5 // a sampling weight
		}
		margin, s := 1+rng.Float64(), side(rng.IntN(2) == 0)
		var logs [cells]float64
		var want, got odds
		pairLogs(c, margin, s, &logs)
		want.of(&logs)
		got.pair(&c, margin, s)
		require.Equal(t, want.some, got.some)
		for k := range got.log {
			require.InDelta(t, want.log[k], got.log[k], 1e-12*(1+math.Abs(want.log[k])))
		}
		for i := range got.ratio {
			switch {
			case !got.some:
			case logs[i] < -690 || want.ratio[i] == 0: // less than nothing
				require.Less(t, got.ratio[i], 1e-140)
			default:
				require.InEpsilon(t, math.Ldexp(want.ratio[i], scaleBits*int(want.scale-got.scale)), got.ratio[i], 1e-11)
			}
		}
	}
}
