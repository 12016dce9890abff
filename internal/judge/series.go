package judge

import (
	"math"
	"slices"

	"github.com/deployloop/deployloop/internal/event"
)

// Limits and thresholds of a series.
const (
	keptValues = 60   // of 120 slow-downs in synthetic histories 40 find 113, 60 find 116, 100 find 118; but levels of real benchmarks drift
	keptSince  = 40   // values of a rise
	minValues  = 12   // before them nothing is judged
	minSpread  = 0.03 // of log value: a series steadier than its clock is not trusted to 3 %
	minRatio   = 1.15 // below this a shift is nobody's trouble
	minAfter   = 3    // runs that a shift must show in

	// falseAlarmRuns is the runs of one series to a false alarm that the threshold
	// is made for: the evidence's expectation grows by one a run (see Series).
	falseAlarmRuns = 50_000
	tails          = 4.0 // degrees of freedom of the noise: heavy, a busy machine is no shift
)

// shifts are the sizes tested for, in spreads of the reference; the evidence is
// their average.
var shifts = [...]float64{1.5, 3, 6, 12, 24, 48}

// onsetSize is the size by which the begin of a shift is told: where its log
// likelihood ratio last was zero.
const onsetSize = 3

// threshold of the evidence, in nats.
var threshold = math.Log(falseAlarmRuns)

// Series is one measured value over runs: the last values under which it was
// stable, and those since that lie above them. The evidence of a shift is a
// Shiryaev–Roberts sum of likelihood ratios over when it may have begun (see
// evidence), the always-on form of the e-process that judges deployments: without a
// shift its expectation grows by at most one a run, whatever the run at which it is
// looked at.
type Series struct {
	Reference []float64 `json:"reference"`           // log values
	Rise      float64   `json:"rise,omitempty"`      // log likelihood ratio of a shift since Since began
	Since     []float64 `json:"since,omitempty"`     // log values while Rise > 0
	First     string    `json:"first,omitempty"`     // the revision that Since begins at
	LastGood  string    `json:"last_good,omitempty"` // the revision before
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
	usual := normalOf(s.Reference)
	z := (x - usual.middle) / usual.spread
	if s.Rise = max(0, s.Rise+logT(z-onsetSize)-logT(z)); s.Rise == 0 {
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
	if s.Since = append(s.Since, x); len(s.Since) > keptSince {
		s.Since = s.Since[1:]
	}
	after := median(s.Since)
	if len(s.Since) < minAfter || after-usual.middle < math.Log(minRatio) {
		return nil
	}
	nats := usual.evidence(s.Since)
	if nats < threshold {
		return nil
	}
	shift := &event.Shift{
		Before: math.Exp(usual.middle), After: math.Exp(after), Ratio: math.Exp(after - usual.middle), Nats: nats, Threshold: threshold,
		LastGood: s.LastGood, FirstBad: s.First, Runs: len(s.Since),
	}
	*s = Series{Reference: s.Since, LastGood: revision}
	return shift
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
