package detect

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/deployloop/deployloop/internal/event"
)

// bursty plays pods that serve for so many seconds every so often, and nothing between.
func bursty(s *sim, pods []*pod, seconds, every, length int, stop func() bool) {
	for range seconds {
		if (s.sec-simStart)%int64(every) < int64(length) {
			s.run(1, pods, nil)
		} else {
			s.run(1, nil, nil)
		}
		if stop != nil && stop() {
			return
		}
	}
}

// Traffic that comes in bursts is decided by its number of requests, as any other.
func TestBurstyTrafficIsDecided(t *testing.T) {
	for _, every := range []int{300, 900} {
		for name, beside := range map[string]bool{"beside the old version": true, "in its place": false} {
			for _, errors := range []float64{.01, .2} {
				s := newSim(1, Config{})
				var pods []*pod
				for i := range 3 {
					pods = append(pods, s.pod("1", i, 100, .01))
				}
				bursty(s, pods, 7200, every, 15, nil)
				s.deploy("d", "2", "1")
				began := s.sec
				next := s.pod("2", 0, 100, errors)
				if beside {
					pods = append(pods, next)
				} else {
					pods = []*pod{next}
				}
				bursty(s, pods, 20*every, every, 15, func() bool { return s.state("d") != event.Watching && s.state("d") != "" })
				want := event.Healthy
				if errors > .1 {
					want = event.Regressed
				}
				w := s.e.watches["d"]
				t.Logf("%d s apart, %s, %.2f: %s after %s", every, name, errors, s.state("d"), time.Duration(s.sec-began)*time.Second)
				require.Equal(t, want, s.state("d"), "%d s apart, %s: %s", every, name, s.last["d"].Detail)
				require.Equal(t, 1., w.newSources, "an instance that was silent counts once")
				if beside {
					require.Equal(t, 3., w.oldSources)
				}
			}
		}
	}
}
