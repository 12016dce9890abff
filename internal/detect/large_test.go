package detect

import (
	"encoding/json"
	"math"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/deployloop/deployloop/internal/event"
)

// However many requests there are: what does no harm is shown to do none, what
// does is told, and all that is told of it are numbers.
func TestLargeServicesAreJudgedLikeOthers(t *testing.T) {
	for _, rate := range []float64{100, 3000, 1e6} { // of each of ten instances
		for share, want := range map[float64]event.VerdictState{.01: event.Healthy, .03: event.Regressed} {
			s := newSim(9, Config{})
			s.run(300, s.roll(rate, .01, 9*rate, .01)[:9], nil)
			s.deploy("d", "2", "1")
			var next []*pod
			for i := range 10 {
				next = append(next, s.pod("2", i, rate, share))
			}
			s.run(300, next, func() bool {
				v, ok := s.e.Verdict("d")
				require.True(t, ok)
				_, err := json.Marshal(v)
				require.NoError(t, err, "%v a second", rate)
				return v.State == want
			})
			require.Equal(t, want, s.state("d"), "%v a second and instance, %v of them fail", rate, share)
			d, ok := s.e.Document("d")
			require.True(t, ok)
			require.Empty(t, d.Recompute().Problems)
		}
	}
}

// What counts tell may be far beyond a float's range, either way and in turn.
func TestEvidenceBeyondAFloatsRange(t *testing.T) {
	var p process
	var q product
	sec := int64(0)
	tell := func(nats float64) float64 {
		var logs [cells]float64
		for k := range logs {
			logs[k] = nats
		}
		sec++
		p.step(&logs, sec, counts{wc: 1, wh: 1, eh: 1})
		q.step(&logs)
		require.False(t, math.IsNaN(p.logE()) || math.IsInf(p.logE(), 0) || math.IsInf(p.tempered(7), 0), "%v nats: %v", nats, p.logE())
		return p.logE()
	}
	for _, nats := range []float64{-1000, 5000, -3000} {
		tell(nats)
	}
	require.InDelta(t, 2000, p.logE(), 10) // 5000 and −3000, from the second on: and the prior of a start
	require.InDelta(t, 5000-644.7-3000, q.logE(), 1)
	tell(-1e9)
	require.InDelta(t, 300, tell(300), 10, "it begins anew")
	tell(1e9)
	tell(-1e9)
	require.InDelta(t, 300, tell(300), 10)
}
