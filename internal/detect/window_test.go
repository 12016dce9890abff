package detect

import (
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

// A window holds what an array of all bins would.
func TestWindowHoldsWhatWasCounted(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var w window[uint32]
		var all [latencyBins]uint32
		for _, bin := range rapid.SliceOf(rapid.IntRange(0, latencyBins-1)).Draw(t, "bins") {
			*w.at(bin)++
			all[bin]++
		}
		var got [latencyBins]uint32
		copy(got[w.first:], w.n)
		require.Equal(t, all, got)
		require.LessOrEqual(t, w.first+len(w.n), latencyBins)
	})
}
