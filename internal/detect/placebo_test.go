package detect

import (
	"fmt"
	"math"
	"os"
	"strconv"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/deployloop/deployloop/internal/event"
)

// playPlacebo plays deployments that change nothing, on noisy pods: AR(1) noise of
// σ .1 and τ 20 s on each instance's traffic and, apart from it, on its error
// share and latency, and persistent differences between instances: 10 % in
// error share and in median latency.
func playPlacebo(seed uint64, seconds int, errors, rate float64, allAtOnce bool) event.Verdict {
	s := newSim(seed, Config{})
	noisy := func(version string, i int, rate float64) *pod {
		p := s.pod(version, i, rate, errors*math.Exp(.1*s.rng.NormFloat64()))
		p.median *= math.Exp(.1 * s.rng.NormFloat64())
		p.noise, p.faults = ar1{sigma: .1, tau: 20}, ar1{sigma: .1, tau: 20}
		return p
	}
	var old, canary []*pod
	for i := range 9 {
		old = append(old, noisy("1", i, rate))
	}
	s.run(300, old, nil)
	s.deploy("d", "2", "1")
	if allAtOnce {
		for i := range 9 {
			canary = append(canary, noisy("2", i, rate))
		}
	} else {
		canary = append(old, noisy("2", 0, rate))
	}
	s.run(seconds, canary, func() bool { return s.state("d") == event.Regressed })
	return s.last["d"]
}

// TestPlaceboDeploys is short in an ordinary run; `make scorecard` runs the
// full form with DEPLOYLOOP_PLACEBOS=3000 (windows, over all shapes).
func TestPlaceboDeploys(t *testing.T) {
	windows := 36
	if n, err := strconv.Atoi(os.Getenv("DEPLOYLOOP_PLACEBOS")); err == nil {
		windows = n
	}
	shapes := []struct {
		errors, rate float64
		allAtOnce    bool
	}{{.01, 100, false}, {.01, 100, true}, {.05, 300, false}, {.002, 20, false}, {.002, 20, true}, {.05, 300, true}}
	false_, healthy, inconclusive := 0, 0, 0
	why := map[string]int{}
	for i := range windows {
		shape := shapes[i%len(shapes)]
		v := playPlacebo(uint64(1000+i), 600, shape.errors, shape.rate, shape.allAtOnce)
		switch v.State {
		case event.Regressed:
			false_++
			why[fmt.Sprintf("%v: %s", shape, v.Evidence[0].Signal)]++
			t.Logf("seed %d %v: %s", 1000+i, shape, v.Detail)
		case event.Healthy:
			healthy++
		default:
			inconclusive++
			why[fmt.Sprintf("%v: %s %s", shape, v.State, v.Reason)]++
		}
	}
	t.Logf("%d windows of 10 min: %d false regressed (%.2f per 1000), %d healthy, %d undecided; %v", windows, false_,
		1000*float64(false_)/float64(windows), healthy, inconclusive, why)
	require.LessOrEqual(t, float64(false_), math.Ceil(.005*float64(windows)), "more than 5 in 1000 placebo deployments were called regressed")
}
