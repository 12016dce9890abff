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

// latencyLevels is how many bounds an operation's latency is counted at: one
// for each of latencyTails, and one for the tolerance.
const latencyLevels = 7

// latencyTails are the control's tail shares whose bounds are sought: its q50,
// q75, q90, q95, q99 and q99.9.
var latencyTails = [latencyLevels - 1]float64{.5, .25, .1, .05, .01, .001}

// latencyTest is where an operation's latency is tested.
type latencyTest struct {
	bounds [latencyLevels]int16 // indexes into latencyBounds, ascending, distinct
	n      int                  // of them
	tail   [latencyLevels]float64
	q95    int // the level nearest the control's q95
	limit  int // the level at 1.25 times that bound: the tolerance
}

// latencyTolerance is how far q95 may rise and be well still.
const latencyTolerance = 1.25

// newLatencyTest finds the bounds nearest the wanted tail shares of a sketch,
// among those of its layout (nil: all of the engine's). A bound serves only
// where the control's tail lies in [5e-4, .95].
func newLatencyTest(sketch [latencyBins]float32, layout *Layout) (*latencyTest, bool) {
	total := 0.
	for _, c := range sketch {
		total += float64(c)
	}
	if total <= 0 {
		return nil, false
	}
	var share [latencyBins - 1]float64
	rest := total
	for i := range share {
		rest -= float64(sketch[i])
		share[i] = rest / total
	}
	distance := func(got, want float64) float64 { return max(got, want)/min(got, want) - 1 }
	wanted := map[int]bool{}
	at95 := -1
	for _, want := range latencyTails {
		best := -1
		for i := range share {
			if share[i] > .95 || share[i] < 5e-4 || !layout.resolves(i) {
				continue
			}
			if best < 0 || distance(share[i], want) < distance(share[best], want) {
				best = i
			}
		}
		if best < 0 {
			// All of the control is in one bin: its upper end is the only bound.
			for i := range share {
				if share[i] < .5 && layout.resolves(i) {
					best = i
					break
				}
			}
		}
		if best < 0 {
			return nil, false
		}
		wanted[best] = true
		if want == .05 {
			at95 = best
		}
	}
	limit := layout.beyond(at95)
	wanted[limit] = true
	t := &latencyTest{}
	for i := range share {
		if wanted[i] && t.n < latencyLevels {
			t.bounds[t.n], t.tail[t.n] = int16(i), share[i]
			if i == at95 {
				t.q95 = t.n
			}
			if i == limit {
				t.limit = t.n
			}
			t.n++
		}
	}
	return t, true
}

// beyond is the bound at latencyTolerance times another, or where a histogram's
// bounds are coarser, its next one; the last where there is none.
func (l *Layout) beyond(bound int) int {
	limit := bound
	for i := bound + 1; i < len(latencyBounds); i++ {
		if !l.resolves(i) {
			continue
		}
		limit = i
		if float64(latencyBounds[i]) >= latencyTolerance*float64(latencyBounds[bound]) {
			break
		}
	}
	return limit
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
