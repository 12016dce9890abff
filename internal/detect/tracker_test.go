package detect

import (
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

// A process that keeps nothing until an event tells cells apart is the process
// that kept all from the begin.
func TestNothingIsKeptUntilAnEvent(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		always := rapid.Bool().Draw(t, "always")
		lazy, full := process{always: always}, process{always: always}
		full.hear(100, 0, &counts{})
		var before counts
		quiet := rapid.IntRange(0, 40).Draw(t, "quiet")
		for sec := range int64(quiet + rapid.IntRange(0, 20).Draw(t, "seconds")) {
			c := counts{wc: 10, ws: 30, heavy: 1}
			if sec >= int64(quiet) {
				c.xc, c.xs = float64(rapid.IntRange(0, 4).Draw(t, "xc")), float64(rapid.IntRange(0, 4).Draw(t, "xs"))
			}
			var o odds
			o.pair(&c, 1.1, upper)
			if o.some && lazy.told == nil {
				lazy.hear(100+2*sec, lazy.ticks, &before)
			}
			before.wc, before.ws = before.wc+c.wc, before.ws+c.ws
			lazy.take(&o, 100+2*sec, &c)
			full.take(&o, 100+2*sec, &c)
			if sec < int64(quiet) {
				require.Nil(t, lazy.told)
			}
			require.InDelta(t, full.logE(), lazy.logE(), 1e-12)
			if lazy.told != nil {
				was, is := *full.leading(), *lazy.leading()
				require.LessOrEqual(t, is.latest-was.latest, uint16(1), "silent seconds are not told apart")
				is.latest = was.latest
				require.Equal(t, was, is)
			}

			written := &numbers{}
			lazy.walk(written)
			again := process{always: always}
			again.walk(&numbers{list: written.list, reading: true})
			require.Equal(t, lazy, again)
		}
	})
}
