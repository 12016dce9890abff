package detect

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/deployloop/deployloop/internal/event"
)

// Harm that ends while the version goes on serving is seen to end, however
// short the history was; harm that only shrank is not.
func TestRecoveryAfterAShortHistory(t *testing.T) {
	for _, history := range []int{10, 20, 60, 300} {
		for _, rate := range []float64{10, 100, 1000} {
			for _, concurrent := range []bool{true, false} {
				t.Run(fmt.Sprint(history, rate, concurrent), func(t *testing.T) {
					play := func(after float64) int64 {
						s := newSim(3, Config{})
						pods := []*pod{s.pod("1", 0, rate*.45, .01), s.pod("1", 1, rate*.45, .01)}
						s.run(history, pods, nil)
						s.deploy("d", "2", "1")
						bad := s.pod("2", 0, rate, .3)
						if concurrent {
							bad.rate = rate / 10
							pods = append(pods, bad)
						} else {
							pods = []*pod{bad}
						}
						s.run(300, pods, func() bool { return s.state("d") == event.Regressed })
						require.Equal(t, event.Regressed, s.state("d"))
						s.run(20, pods, nil)
						require.False(t, s.e.Recovery("d").Within)
						bad.errors = after
						ended := s.sec
						s.run(1200, pods, func() bool { return s.e.Recovery("d").Within })
						return s.sec - ended
					}
					took := play(.01)
					require.Less(t, took, int64(900), "seconds to recovery")
					t.Logf("recovered after %d s", took)
					if rate*float64(history) >= 6000 { // 1 % is known well enough to tell 5 % from it
						require.Equal(t, int64(1200), play(.05), "five times the control's rate is no recovery")
					}
				})
			}
		}
	}
}

// A harm is not found to be over while nobody asks for anything: the noise of
// the seconds that were seen does not fade in a pause.
func TestNothingRecoversBetweenBursts(t *testing.T) {
	const every, length = 300, 15
	recovered := 0
	for seed := range uint64(8) {
		for _, old := range []float64{3, 10, 30, 100} {
			s := newSim(seed, Config{})
			pods := []*pod{s.pod("1", 0, old, .01), s.pod("1", 1, old, .01)}
			s.run(600, pods, nil)
			s.deploy("d", "2", "1")
			s.run(300, append(pods, s.pod("2", 0, 30, .3)), func() bool { return s.state("d") == event.Regressed })
			require.Equal(t, event.Regressed, s.state("d"))
			bursty(s, pods, 40*every, every, length, func() bool { return s.e.Recovery("d").Within })
			if !s.e.Recovery("d").Within {
				continue
			}
			recovered++
			into := (s.sec - 1 - simStart) % every
			t.Logf("%d, %.0f/s: after %d s, %d s into a burst", seed, old, s.sec, into)
			require.Less(t, into, int64(length+2*noiseMemory), "it was called over in a pause")
		}
	}
	require.Positive(t, recovered)
}
