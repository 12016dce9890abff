package detect

import (
	"slices"
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
		require.Equal(t, all, w.all())
		require.True(t, w.fits())
		twice := w
		twice.N = slices.Clone(w.N)
		twice.add(&w)
		for i := range all {
			all[i] *= 2
		}
		require.Equal(t, all, twice.all())
	})
}
