package detect

import (
	"math/bits"
	"strconv"
	"time"
)

// Latencies are kept in log-linear buckets with decimal bounds, so that a
// threshold reads well ("> 250ms") and coincides with the bounds that explicit
// histograms use. Fourteen a decade from 10 µs to 1000 s: neighbours differ by
// 7 to 25 %.
const (
	perDecade   = 14
	decades     = 8
	latencyBins = perDecade*decades + 1 // bin i holds bound[i-1] < d <= bound[i]; the last is open
)

var (
	latencyBounds [latencyBins - 1]int64 // nanoseconds, ascending
	// latencyGuess maps the exponent and the top two mantissa bits of a duration
	// to a bin at or below the right one.
	latencyGuess [64 * 4]uint8
)

func init() {
	mantissas := [perDecade]int64{100, 125, 150, 175, 200, 250, 300, 350, 400, 500, 600, 700, 800, 900}
	unit := int64(100) // 100 × 100 ns = 10 µs
	for decade := range decades {
		for i, m := range mantissas {
			latencyBounds[decade*perDecade+i] = m * unit
		}
		unit *= 10
	}
	for e := range 64 {
		for sub := range 4 {
			low := uint64(1) << e
			if e >= 2 {
				low |= uint64(sub) << (e - 2)
			}
			bin := 0
			for bin < len(latencyBounds) && uint64(latencyBounds[bin]) < low {
				bin++
			}
			latencyGuess[e*4+sub] = uint8(bin)
		}
	}
}

// latencyBin is the bin of a duration in nanoseconds (not negative).
func latencyBin(d int64) int {
	if d <= 0 {
		return 0
	}
	e := bits.Len64(uint64(d)) - 1
	sub := 0
	if e >= 2 {
		sub = int(uint64(d)>>(e-2)) & 3
	}
	bin := int(latencyGuess[e*4+sub])
	for bin < len(latencyBounds) && d > latencyBounds[bin] {
		bin++
	}
	return bin
}

// quantileBounds returns the indexes into latencyBounds nearest the wanted tail
// shares of a sketch, ascending and distinct; -1 fills what is left over. A
// bound serves only where the control's tail lies in [5e-4, .95].
func quantileBounds(sketch *[latencyBins]float64) (bounds [latencyLevels]int16, ok bool) {
	var total float64
	for _, c := range sketch {
		total += c
	}
	if total <= 0 {
		return bounds, false
	}
	for i := range bounds {
		bounds[i] = -1
	}
	found, last := 0, -1
	for _, want := range latencyTails {
		best, bestDistance := -1, 2.0
		tail := total
		for i := range latencyBounds {
			tail -= sketch[i]
			share := tail / total
			if share > .95 || share < 5e-4 {
				continue
			}
			distance := share/want - 1
			if distance < 0 {
				distance = want/share - 1
			}
			if distance < bestDistance {
				best, bestDistance = i, distance
			}
		}
		if best > last {
			bounds[found], last = int16(best), best
			found++
		}
	}
	return bounds, found > 0
}

// latencyLevels is how many bounds an operation's latency is tested at.
const latencyLevels = 5

// latencyTails are the control's tail shares whose bounds are sought: its q50,
// q75, q90, q95 and q99.
var latencyTails = [latencyLevels]float64{.5, .25, .1, .05, .01}

// boundText is how a bound reads: "> 250ms".
func boundText(bound int16) string {
	return "> " + shortDuration(time.Duration(latencyBounds[bound]))
}

// shortDuration prints a duration with at most four digits and one unit.
func shortDuration(d time.Duration) string {
	format := func(v float64, unit string) string { return strconv.FormatFloat(v, 'g', 4, 64) + unit }
	switch {
	case d < time.Millisecond:
		return format(float64(d)/1e3, "µs")
	case d < time.Second:
		return format(float64(d)/1e6, "ms")
	default:
		return format(d.Seconds(), "s")
	}
}
