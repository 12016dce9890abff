package detect

import (
	"math"
	"slices"
	"time"
)

// A Layout lays a histogram's bucket bounds over the engine's own, so that
// histograms and spans share one sketch. A bucket's count goes into the bin of
// its upper bound; what is beyond one of the engine's bounds is then exactly
// what is beyond the histogram's last bound at or below it. A test may stand
// only where there is such a bound, and names that one.
type Layout struct {
	at   [latencyBins - 1]int64 // the histogram's bound, ns, by the engine's; 0: none in that bin
	bins []uint8                // of the histogram's buckets
}

// spanLayout is that of durations: every bound of the engine's is one.
var spanLayout = &Layout{}

func init() {
	copy(spanLayout.at[:], latencyBounds[:])
}

// sameBound is how far two bounds may differ, as a factor less one, and be one.
const sameBound = .01

// NewLayout lays out a histogram of the given upper bounds, in nanoseconds,
// ascending; the last bucket is open. False where the bounds are not ascending.
func NewLayout(bounds []float64) (*Layout, bool) {
	l := &Layout{bins: make([]uint8, len(bounds)+1)}
	for i, b := range bounds {
		if !finite(b) || i > 0 && b <= bounds[i-1] {
			return nil, false
		}
		l.bins[i] = l.put(b)
	}
	l.bins[len(bounds)] = latencyBins - 1
	return l, true
}

// put notes a bound and gives the bin of the bucket below it.
func (l *Layout) put(bound float64) uint8 {
	if bound <= 0 {
		return 0
	}
	if bound > float64(latencyBounds[latencyBins-2]) {
		return latencyBins - 1
	}
	ns := int64(math.Ceil(bound))
	bin := latencyBin(ns)
	l.at[bin] = ns // ascending: the last one in a bin stays
	return uint8(bin)
}

// Bin is the bin of a bucket of an explicit histogram.
func (l *Layout) Bin(bucket int) int {
	if bucket < 0 || bucket >= len(l.bins) {
		return latencyBins - 1
	}
	return int(l.bins[bucket])
}

// MaxScale is the finest scale of an exponential histogram that is told apart:
// four buckets an octave are as fine as the engine's own bins. Finer ones are
// scaled down to it, so that instances whose scales differ share their bounds.
const MaxScale = 2

// An ExponentialLayout is a Layout of the buckets (2^(i/2^scale), 2^((i+1)/2^scale)].
type ExponentialLayout struct {
	*Layout
	scale int
	unit  float64 // nanoseconds of the value 1
}

// NewExponentialLayout is that of a scale (at most MaxScale) and a unit in nanoseconds.
func NewExponentialLayout(scale int, unit float64) *ExponentialLayout {
	l := &ExponentialLayout{Layout: &Layout{}, scale: min(scale, MaxScale), unit: unit}
	first := int(math.Floor(l.index(float64(latencyBounds[0])/2))) - 1
	last := int(math.Ceil(l.index(float64(latencyBounds[latencyBins-2])))) + 1
	for i := first; i <= last; i++ {
		l.put(l.upper(i))
	}
	return l
}

func (l *ExponentialLayout) index(ns float64) float64 {
	return math.Log2(ns/l.unit) * math.Exp2(float64(l.scale))
}

func (l *ExponentialLayout) upper(i int) float64 {
	return l.unit * math.Exp2(float64(i+1)/math.Exp2(float64(l.scale)))
}

// Bin is the bin of the bucket i of a histogram of another scale, not below the layout's.
func (l *ExponentialLayout) Bin(i, scale int) int {
	if scale > l.scale {
		i >>= min(scale-l.scale, 62)
	}
	up := l.upper(i)
	switch {
	case up <= float64(latencyBounds[0]):
		return 0
	case up > float64(latencyBounds[latencyBins-2]):
		return latencyBins - 1
	}
	return latencyBin(int64(math.Ceil(up)))
}

// meet is the layout of what was counted by either: the bounds that both have.
func (l *Layout) meet(o *Layout) *Layout {
	switch {
	case l == nil || l == o:
		return o
	case o == nil:
		return l
	}
	out := &Layout{}
	same := true
	for i, a := range l.at {
		b := o.at[i]
		if a != 0 && b != 0 && math.Abs(float64(a)/float64(b)-1) <= sameBound {
			out.at[i] = a
		} else if a != 0 {
			same = false
		}
	}
	if same {
		return l
	}
	return out
}

// resolves says whether there is a bound in a bin.
func (l *Layout) resolves(bound int) bool { return l == nil || l.at[bound] != 0 }

// holds says whether all of a test's bounds are the layout's.
func (l *Layout) holds(t *latencyTest) bool {
	return !slices.ContainsFunc(t.bounds[:t.n], func(b int16) bool { return !l.resolves(int(b)) })
}

// bound is the histogram's bound at one of the engine's, in nanoseconds.
func (l *Layout) bound(bound int16) int64 {
	if l != nil && l.at[bound] != 0 {
		return l.at[bound]
	}
	return latencyBounds[bound]
}

// text is how a bound reads: "> 250ms".
func (l *Layout) text(bound int16) string {
	return "> " + shortDuration(time.Duration(l.bound(bound)))
}

// Bins is how many bins a Layout has; the last is open.
const Bins = latencyBins
