package detect

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/deployloop/deployloop/internal/event"
)

// After a restart the new version may be heard before the old one, in the same
// second or seconds apart: what befell both is not held against the new one.
func TestARestartWaitsForTheOldVersion(t *testing.T) {
	for _, later := range []int{0, 4} {
		s := newSim(1, Config{})
		old, next := s.pod("1", 0, 150, .01), s.pod("2", 0, 50, .3)
		s.run(300, []*pod{old}, nil)
		state, err := s.e.Snapshot() // it knows nothing of the deployment
		require.NoError(t, err)
		s.e = New(Config{Start: time.Unix(s.sec, 0)})
		require.NoError(t, s.e.Restore(state))
		s.deploy("d", "2", "1")
		old.source, next.source = s.e.Source(old.source.Origin()), s.e.Source(next.source.Origin())
		old.errors = .3
		s.run(later, []*pod{next}, nil)
		s.run(120, []*pod{old, next}, func() bool { return s.state("d") == event.Exonerated })
		v := s.last["d"]
		require.Equal(t, event.Exonerated, v.State, "%d s later: %s", later, v.Detail)
		require.Equal(t, event.ReasonOldCohortAffected, v.Reason)
	}
}

// An old version that is gone is not waited for longer than that.
func TestARestartWaitsForNobodyWhoIsGone(t *testing.T) {
	s := newSim(1, Config{})
	s.run(300, []*pod{s.pod("1", 0, 150, .01)}, nil)
	state, err := s.e.Snapshot()
	require.NoError(t, err)
	s.e = New(Config{Start: time.Unix(s.sec, 0)})
	require.NoError(t, s.e.Restore(state))
	s.deploy("d", "2", "1")
	begun := s.sec
	s.run(60, []*pod{s.pod("2", 0, 50, .3)}, func() bool { return s.state("d") == event.Regressed })
	require.Equal(t, event.Regressed, s.state("d"))
	require.LessOrEqual(t, s.sec-begun, int64(rejoinFor+5))
}
