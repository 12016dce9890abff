package detect

import (
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

// A process that keeps one pair of cells until an event tells them apart is the
// process that kept all from the begin.
func TestOnePairStandsForAllUntilAnEvent(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		always := rapid.Bool().Draw(t, "always")
		lazy, full := process{always: always}, process{always: always}
		full.hold(trackers)
		quiet := rapid.IntRange(0, 40).Draw(t, "quiet")
		for sec := range int64(quiet + rapid.IntRange(0, 20).Draw(t, "seconds")) {
			c := counts{wc: 10, ws: 30, heavy: 1}
			if sec >= int64(quiet) {
				c.xc, c.xs = float64(rapid.IntRange(0, 4).Draw(t, "xc")), float64(rapid.IntRange(0, 4).Draw(t, "xs"))
			}
			var o odds
			o.pair(&c, 1.1, upper)
			lazy.take(&o, 100+2*sec, &c)
			full.take(&o, 100+2*sec, &c)
			if sec < int64(quiet) {
				require.Len(t, lazy.pairs(), 1)
			}
			require.InDelta(t, full.logE(), lazy.logE(), 1e-12)
			require.Equal(t, *full.leading(), *lazy.leading())

			written := &numbers{}
			lazy.walk(written)
			again := process{always: always}
			again.walk(&numbers{list: written.list, reading: true})
			require.Equal(t, lazy, again)
		}
		lazy.hold(trackers)
		if full.ticks > 0 {
			require.Equal(t, full, lazy)
		}
	})
}
