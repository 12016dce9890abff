package detect

import (
	"math"
	"testing"

	"github.com/stretchr/testify/require"
)

// More traffic against the same past never shows less: what the old version
// served beside the new one for its last seconds is no partner of what came later.
func TestTheSmallestVisibleRiseDoesNotGrowWithTraffic(t *testing.T) {
	s := newSim(41, Config{})
	old := s.pod("1", 0, 2, .02)
	s.run(600, []*pod{old}, nil)
	s.deploy("d", "2", "1")
	fresh := s.pod("2", 0, 2, .02)
	s.run(10, []*pod{old, fresh}, nil)
	s.run(50, []*pod{fresh}, nil)
	visible := func() float64 {
		v, _ := s.e.Verdict("d")
		t.Logf("%.0f requests: ×%.3g, +%.3g; %s", v.NewRequests, v.MinimumEffect, v.MinimumEffectAbs, v.ControlDetail)
		return v.MinimumEffectAbs
	}
	first := visible()
	require.Positive(t, first)
	least := first
	for range 20 {
		s.run(60, []*pod{fresh}, nil)
		now := visible()
		require.Positive(t, now, "nothing could be seen any more")
		require.LessOrEqual(t, now, 1.1*least)
		least = math.Min(least, now)
	}
	require.Less(t, least, .7*first)
}
