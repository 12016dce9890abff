package judge

import (
	"math"
	"slices"

	"github.com/deployloop/deployloop/internal/event"
)

// Limits and thresholds of a series.
const (
	keptValues = 40
	minValues  = 12   // before them nothing is judged
	minSpread  = 0.03 // of log value: a series steadier than its clock is not trusted to 3 %
	minRatio   = 1.15 // below this a shift is nobody's trouble
	minAfter   = 3    // runs that a shift must show in

	// falseAlarmRuns is the runs of one series to a false alarm that the threshold
	// is made for: the evidence's expectation grows by one a run (see Series).
	falseAlarmRuns = 50_000
	tails          = 4.0 // degrees of freedom of the noise: heavy, a busy machine is no shift
)

// What the reference's median and spread may be off by, in spreads / √n: their
// standard errors. Half of them find some more slow-downs for many more false
// alarms (docs/builds.md).
const levelBound, spreadBound = 1.25, 1.17

// shifts are the sizes tested for, in spreads of the reference; the evidence is
// their average.
var shifts = [...]float64{1.5, 3, 6, 12, 24}

// onsetSize is the size by which the begin of a shift is told: where its log
// likelihood ratio last was zero.
const onsetSize = 3

// threshold of the evidence, in nats.
var threshold = math.Log(falseAlarmRuns)

// Series is one measured value over runs: the last values under which it was
// stable, and the evidence that it lies above them since. The evidence is a
// Shiryaev–Roberts sum R ← (1 + R)·L of likelihood ratios, the always-on form of
// the e-process that judges deployments: without a shift E[R] grows by one a
// run, whatever the run at which it is looked at.
type Series struct {
	Reference []float64            `json:"reference"`           // log values
	Evidence  [len(shifts)]float64 `json:"evidence,omitzero"`   // log R by size of shift; 0 is R = 1
	Rise      float64              `json:"rise,omitempty"`      // log likelihood ratio of a shift since Since began
	Since     []float64            `json:"since,omitempty"`     // log values while Rise > 0
	First     string               `json:"first,omitempty"`     // the revision that Since begins at
	LastGood  string               `json:"last_good,omitempty"` // the revision before
}

// deviation is how far a value lies above the reference, as a log ratio; not ok
// while there is too little of it.
func (s *Series) deviation(value float64) (d float64, ok bool) {
	if !(value > 0) || math.IsInf(value, 0) || len(s.Reference) < minValues {
		return 0, false
	}
	return math.Log(value) - median(s.Reference), true
}

// add takes one more value in; a larger one is worse. common is the log ratio by
// which everything measured beside it moved in this run, which is the machine's
// doing and no code's. It tells a shift once, and then begins anew at its level.
func (s *Series) add(value, common float64, revision string) *event.Shift {
	if !(value > 0) || math.IsInf(value, 0) {
		return nil
	}
	x := math.Log(value) - common
	if len(s.Reference) < minValues {
		s.Reference = append(s.Reference, x)
		s.LastGood = revision
		return nil
	}
	middle, spread, inflation := s.normal()
	// Against an upper bound of the reference's level, as a deployment against its
	// history.
	z := (x-middle)/spread - levelBound/math.Sqrt(float64(len(s.Reference)))
	for i, size := range shifts {
		ratio := (tails + 1) / 2 * (math.Log1p(z*z/tails) - math.Log1p((z-size)*(z-size)/tails))
		ratio = min(ratio, threshold/minAfter) // cut, it is still valid evidence, and no one run decides
		s.Evidence[i] = logAddExp(0, s.Evidence[i]) + ratio/inflation
		if size == onsetSize {
			s.Rise = max(0, s.Rise+ratio)
		}
	}
	if s.Rise == 0 {
		// The values of a rise that came to nothing are as normal as others.
		s.Reference = append(append(s.Reference, s.Since...), x)
		if extra := len(s.Reference) - keptValues; extra > 0 {
			s.Reference = slices.Clone(s.Reference[extra:])
		}
		s.Since, s.First, s.LastGood = nil, "", revision
		return nil
	}
	if len(s.Since) == 0 {
		s.First = revision
	}
	if s.Since = append(s.Since, x); len(s.Since) > keptValues {
		s.Since = s.Since[1:]
	}
	after, nats := median(s.Since), s.nats()
	if nats < threshold || len(s.Since) < minAfter || after-middle < math.Log(minRatio) {
		return nil
	}
	shift := &event.Shift{
		Before: math.Exp(middle), After: math.Exp(after), Ratio: math.Exp(after - middle), Nats: nats, Threshold: threshold,
		LastGood: s.LastGood, FirstBad: s.First, Runs: len(s.Since),
	}
	*s = Series{Reference: s.Since, LastGood: revision}
	return shift
}

// normal describes the reference: its median, its robust spread, widened by its own
// standard error, and how much more its sums vary than those of
// independent values would. Runs share machines and caches, so neighbours are
// alike, and evidence from them counts for less: the φ of package detect.
func (s *Series) normal() (middle, spread, inflation float64) {
	middle = median(s.Reference)
	n := float64(len(s.Reference))
	deviations := make([]float64, len(s.Reference))
	for i, r := range s.Reference {
		deviations[i] = math.Abs(r - middle)
	}
	spread = max(1.4826*median(deviations), minSpread) * (1 + spreadBound/math.Sqrt(n))
	var own, next float64
	clipped := func(i int) float64 { return max(-3*spread, min(3*spread, s.Reference[i]-middle)) }
	for i := range s.Reference {
		own += clipped(i) * clipped(i)
		if i > 0 {
			next += clipped(i) * clipped(i-1)
		}
	}
	correlation := 0.0
	if own > 0 {
		// What chance alone gives is taken off.
		correlation = max(0, min(.5, next/own-1/math.Sqrt(n)))
	}
	return middle, spread, (1 + correlation) / (1 - correlation)
}

// nats is the log of the average R over the sizes.
func (s *Series) nats() float64 {
	sum := math.Inf(-1)
	for _, e := range s.Evidence {
		sum = logAddExp(sum, e)
	}
	return sum - math.Log(float64(len(shifts)))
}

// logAddExp is log(exp(a) + exp(b)).
func logAddExp(a, b float64) float64 {
	if a < b {
		a, b = b, a
	}
	return a + math.Log1p(math.Exp(b-a))
}

// shared is what deviations have in common: their median, of two in the middle
// the one nearer to zero, and nothing when those differ in sign. One alone shares
// with none.
func shared(deviations []float64) float64 {
	n := len(deviations)
	if n < 2 {
		return 0
	}
	slices.Sort(deviations)
	a, b := deviations[(n-1)/2], deviations[n/2]
	if a*b <= 0 {
		return 0
	}
	if math.Abs(a) < math.Abs(b) {
		return a
	}
	return b
}

func median(values []float64) float64 {
	sorted := slices.Clone(values)
	slices.Sort(sorted)
	n := len(sorted)
	if n == 0 {
		return 0
	}
	return (sorted[(n-1)/2] + sorted[n/2]) / 2
}
