package detect

import (
	"math/rand/v2"
	"slices"
	"strings"
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

// What averages noise out is the bursts, not the time between them; what bounds
// the past's is the clock, which its curve was learnt by.
func TestNoiseIsForgottenBetweenBursts(t *testing.T) {
	for name, c := range map[string]struct {
		every, length, bursts int
		least, most           float64
	}{
		"one burst":           {300, 15, 1, 15, 15},
		"two bursts":          {300, 15, 2, 55, 55},
		"four bursts":         {300, 15, 4, 130, 135},
		"no pause":            {300, 300, 1, 300, 300},
		"more than are known": {50, 1, maxStretches + 20, 40*maxStretches - 40, 40 * maxStretches},
	} {
		s := newSim(1, Config{})
		old := []*pod{s.pod("1", 0, 100, .01), s.pod("1", 1, 100, .01)}
		bursty(s, old, 3600, c.every, c.length, nil)
		s.deploy("d", "2", "1")
		pods := append(old, s.pod("2", 0, 100, .014))
		clock := (c.bursts-1)*c.every + c.length
		bursty(s, pods, clock, c.every, c.length, nil)
		d, ok := s.e.Document("d")
		require.True(t, ok)
		w, l := s.e.watches["d"], &s.e.watches["d"].errors.levels[0]
		all := w.span(l.harm.began(), s.sec-2, l.harm.ticks)
		require.InDelta(t, clock, all.clock, 2, name)
		require.GreaterOrEqual(t, all.noise, c.least-2, name)
		require.LessOrEqual(t, all.noise, c.most, name)

		derived := func(alter func(p *LevelPart)) string { // what is wrong with phi
			got, _ := through(t, d)
			for k := range got.Indicators {
				if i := &got.Indicators[k]; i.Shown.Signal == event.SignalErrors && i.Shown.Operation == "" {
					alter(&i.Levels[0])
				}
			}
			return strings.Join(slices.DeleteFunc(got.Recompute().Problems, func(x string) bool { return !strings.Contains(x, "phi is") }), "; ")
		}
		require.Empty(t, derived(func(p *LevelPart) {
			require.Equal(t, c.bursts > 1, p.Noisy > 0 && p.Noisy < p.Seconds, name)
			require.LessOrEqual(t, p.Noisy, all.noise, name)
		}), name)
		if c.bursts > 1 {
			require.NotEmpty(t, derived(func(p *LevelPart) { p.Noisy = 0 }), "%s: it is said of which seconds", name)
		}

		data, err := s.e.Snapshot()
		require.NoError(t, err)
		again := New(Config{Start: time.Unix(s.sec, 0)})
		require.NoError(t, again.Restore(data))
		require.Equal(t, w.stretches, again.watches["d"].stretches, name)
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

// Seconds within stretches are those that a walk through all would count.
func TestSecondsWithinStretches(t *testing.T) {
	rng := rand.New(rand.NewPCG(8, 9))
	for range 2000 {
		var s stretches
		end := int64(0)
		for range rng.IntN(3 * maxStretches) {
			end += 1 + rng.Int64N(90)
			s.spoke(end)
		}
		sec := end + rng.Int64N(60)
		from := rng.Int64N(sec + 1)
		want := int64(0)
		for _, at := range s {
			want += max(min(at+2*noiseMemory, sec+1)-max(at, from+1), 0)
		}
		require.Equal(t, want, s.within(from, sec))
	}
}
