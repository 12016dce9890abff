package detect

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/deployloop/deployloop/internal/event"
)

// A clock set back by an hour must not blind the engine: an open watch goes on,
// a new one opens, and both are told in the time that the clock now shows.
func TestAClockSetBackDoesNotBlind(t *testing.T) {
	for _, restart := range []bool{false, true} {
		s := newSim(1, Config{})
		pods := []*pod{s.pod("1", 0, 50, .01)}
		s.run(300, pods, nil)
		s.deploy("open", "2", "1")
		next := s.pod("2", 0, 50, .01)
		s.run(40, []*pod{next}, nil)
		s.sec -= 3600
		if restart { // it was set back while the engine was down
			state, err := s.e.Snapshot()
			require.NoError(t, err)
			s.e = New(Config{Start: time.Unix(s.sec, 0)})
			require.NoError(t, s.e.Restore(state))
			next.source = s.e.Source(next.source.Origin())
		}
		s.run(5, []*pod{next}, nil)
		bad := s.sec
		next.errors = .3
		s.run(60, []*pod{next}, func() bool { return s.state("open") == event.Regressed })
		v := s.last["open"]
		require.Equal(t, event.Regressed, v.State, "restart %v: %s", restart, v.Detail)
		assert.InDelta(t, float64(bad), float64(v.Onset.At.Unix()), 5, "restart %v", restart)
		assert.InDelta(t, float64(s.sec), float64(v.At.Unix()), 1)
		assert.InDelta(t, float64(s.sec), float64(v.RegressedAt.Unix()), 5)
		assert.False(t, v.FirstBadAt.After(time.Unix(s.sec, 0)))
		if !restart { // what a restart counts was before its watch's memory
			assert.NotZero(t, lossesOf(v)["clock_set_back"])
		}
		assert.Contains(t, s.e.Status().Losses, event.Loss{Name: "clock_set_back", Count: 1})

		s.deploy("after", "3", "2")
		last := s.pod("3", 0, 50, .6)
		s.run(60, []*pod{last}, func() bool { return s.state("after") == event.Regressed })
		require.Equal(t, event.Regressed, s.state("after"), "restart %v", restart)
		assert.InDelta(t, float64(s.sec), float64(s.last["after"].WatchedFrom.Unix()), 60)
	}
}

// A step back of less than items may be late is waited out, uncounted.
func TestASmallStepBackIsWaitedOut(t *testing.T) {
	s := newSim(1, Config{})
	pods := []*pod{s.pod("1", 0, 50, .01)}
	s.run(300, pods, nil)
	mark := s.e.Status().Watermark
	s.sec -= 30
	s.run(30, pods, nil)
	assert.Equal(t, mark, s.e.Status().Watermark)
	s.run(30, pods, nil)
	assert.Equal(t, mark.Add(30*time.Second), s.e.Status().Watermark)
	for _, l := range s.e.Status().Losses {
		assert.NotEqual(t, "clock_set_back", l.Name)
		assert.NotEqual(t, "late", l.Name)
	}
}
