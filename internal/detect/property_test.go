package detect

import (
	"math"
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

// The sup of E over a watch exceeds 1/α in at most a share α of runs without a
// change (Ville), whatever the traffic's course and wherever one would stop:
// at the margin's edge, over both sides, and against a known rate.
func TestVilleBoundHoldsUnderTheNull(t *testing.T) {
	const runs, seconds, alpha = 4000, 200, .05
	for _, s := range []side{upper, lower} {
		for _, paired := range []bool{true, false} {
			rng := rand.New(rand.NewPCG(5, 11))
			draw := (&sim{rng: rng}).poisson
			m := 1.1
			if s == lower {
				m = 1 / m
			}
			crossed := 0
			for range runs {
				var p process
				var logs [cells]float64
				for sec := range seconds {
					w := 5 + 20*rng.Float64()
					ws := 10 + 100*rng.Float64()
					c := counts{wc: w, ws: ws, xc: draw(.05 * m * w), xs: draw(.05 * ws)}
					if paired {
						pairLogs(c, 1.1, s, &logs)
					} else {
						rateLogs(c.xc, w, .05, 1.1, s, &logs)
					}
					p.step(&logs, int64(sec), c)
					if p.logE() >= math.Log(1/alpha) {
						crossed++
						break
					}
				}
			}
			share := float64(crossed) / runs
			t.Logf("side %v, paired %v: %.4f of runs crossed, α = %v", s, paired, share, alpha)
			require.LessOrEqual(t, share, alpha+2*math.Sqrt(alpha*(1-alpha)/runs))
		}
	}
}

func TestTwoSidesAreMirrors(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		c := counts{xc: float64(rapid.IntRange(0, 50).Draw(t, "xc")), xs: float64(rapid.IntRange(0, 50).Draw(t, "xs")),
			wc: rapid.Float64Range(.1, 1000).Draw(t, "wc"), ws: rapid.Float64Range(.1, 1000).Draw(t, "ws")}
		m := rapid.Float64Range(1, 5).Draw(t, "m")
		var up, down [cells]float64
		pairLogs(c, m, upper, &up)
		pairLogs(counts{xc: c.xs, wc: c.ws, xs: c.xc, ws: c.wc}, m, lower, &down)
		for i := range up {
			// New too high is old too low: θ_r(new) = 1 − θ_{1/r}(old).
			if math.Abs(up[i]-down[i]) > 1e-9*(1+math.Abs(up[i])) {
				t.Fatalf("cell %d: %v up, %v mirrored", i, up[i], down[i])
			}
		}
	})
}

func TestMoreHarmIsMoreEvidence(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		c := counts{xc: float64(rapid.IntRange(0, 50).Draw(t, "xc")), xs: float64(rapid.IntRange(0, 50).Draw(t, "xs")),
			wc: rapid.Float64Range(.1, 1000).Draw(t, "wc"), ws: rapid.Float64Range(.1, 1000).Draw(t, "ws")}
		more := c
		more.xc++
		var a, b, wide [cells]float64
		pairLogs(c, 1.1, upper, &a)
		pairLogs(more, 1.1, upper, &b)
		for i := range a {
			if b[i] < a[i] {
				t.Fatal("one more event of harm took evidence away")
			}
		}
		rateLogs(c.xc, c.wc, .1, 1.1, upper, &a)
		rateLogs(c.xc, c.wc, .2, 1.1, upper, &wide)
		for i := range a {
			if wide[i] > a[i] {
				t.Fatal("a higher bound of the control gave more evidence")
			}
		}
	})
}

func TestTemperingNeverAdds(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var p process
		var logs [cells]float64
		for sec := range rapid.IntRange(1, 50).Draw(t, "seconds") {
			c := counts{xc: float64(rapid.IntRange(0, 9).Draw(t, "xc")), wc: 10, xs: 3, ws: 30}
			pairLogs(c, 1.1, upper, &logs)
			p.step(&logs, int64(sec), c)
		}
		phi := rapid.Float64Range(1, 100).Draw(t, "phi")
		if p.tempered(phi) > p.logE()+1e-9 || p.tempered(phi*2) > p.tempered(phi)+1e-9 {
			t.Fatal("a larger φ gave more evidence")
		}
	})
}

func TestBoundsHoldTheirRate(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		x, w := float64(rapid.IntRange(0, 1000).Draw(t, "x")), rapid.Float64Range(1, 1e6).Draw(t, "w")
		tight, loose := rapid.Float64Range(.05, .5).Draw(t, "a"), .0005
		if !(lowerRate(x, w, 1, loose) <= lowerRate(x, w, 1, tight) && lowerRate(x, w, 1, tight) <= x/w && x/w <= upperRate(x, w, 1, tight) &&
			upperRate(x, w, 1, tight) <= upperRate(x, w, 1, loose) && upperRate(x, w, 1, tight) <= upperRate(x, w, 2, tight)) {
			t.Fatal("bounds are not nested")
		}
	})
}

func TestSharesSumToOneAtMost(t *testing.T) {
	sum := 0.
	for j := 1; j <= 1_000_000; j++ {
		sum += arrivalShare(j)
	}
	require.LessOrEqual(t, sum, 1.)
	require.LessOrEqual(t, classShare[0]+classShare[1]+classShare[2]+classShare[3], 1.)
	pi := 0.
	for tick := int32(1); tick <= 1_000_000; tick++ {
		pi += onsetOf(tick).pi
	}
	require.LessOrEqual(t, pi, 1.)
	// From the table on, each stretch of starts has the weight of its last.
	for tick := int32(2); tick < 100_000_000; tick += tick/7 + 1 {
		exact, got := weightOfOnset(float64(tick)), onsetOf(tick).pi
		require.LessOrEqual(t, got, exact*(1+1e-12), "%d", tick)
		require.Greater(t, got, .994*exact, "%d", tick)
		require.InDelta(t, math.Log(got), onsetOf(tick).log, 1e-12)
	}
	require.Positive(t, onsetOf(math.MaxInt32).pi)
}

func TestLatencyBinsAgreeWithTheirBounds(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		d := rapid.Int64Range(0, 2e12).Draw(t, "d")
		bin := latencyBin(d)
		if bin > 0 && d <= latencyBounds[bin-1] || bin < len(latencyBounds) && d > latencyBounds[bin] {
			t.Fatalf("%d fell into bin %d", d, bin)
		}
	})
}
