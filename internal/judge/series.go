package judge

import (
	"math"
	"slices"
	"strings"
)

// Limits and thresholds of a series, in robust standard deviations of log value.
const (
	keptValues = 40
	minValues  = 20   // before them nothing is judged
	drift      = 1.0  // CUSUM allowance: half the shift that it is tuned to
	alarm      = 11.0 // CUSUM threshold: under independent noise, about exp(2·drift·alarm) runs to a false alarm
	clip       = 3.0  // so that no single run alarms
	minSpread  = 0.03 // of log value; a series steadier than its clock is not trusted to 3 %
	minRatio   = 1.15 // and below this a shift is nobody's trouble
)

// Series is one measured value over runs: the last values under which it was
// stable, and a one-sided CUSUM (Page 1954) of how far it lies above them since.
type Series struct {
	Reference []float64 `json:"reference"`           // log values
	Sum       float64   `json:"sum,omitempty"`       // CUSUM
	Since     []float64 `json:"since,omitempty"`     // log values while Sum > 0
	First     string    `json:"first,omitempty"`     // the revision that Since begins at
	LastGood  string    `json:"last_good,omitempty"` // the revision before
}

// Shift is a change for the worse that is no noise.
type Shift struct {
	Before   float64 `json:"before"` // medians
	After    float64 `json:"after"`
	Ratio    float64 `json:"ratio"`
	LastGood string  `json:"last_good,omitempty"`
	FirstBad string  `json:"first_bad,omitempty"`
	Runs     int     `json:"runs"` // since it began
}

// add takes one more value in; a larger one is worse. It tells a shift once, and
// then begins anew at the new level.
func (s *Series) add(value float64, revision string) *Shift {
	if !(value > 0) || math.IsInf(value, 0) {
		return nil
	}
	x := math.Log(value)
	if len(s.Reference) < minValues {
		s.Reference = append(s.Reference, x)
		s.LastGood = revision
		return nil
	}
	middle := median(s.Reference)
	deviations := make([]float64, len(s.Reference))
	for i, r := range s.Reference {
		deviations[i] = math.Abs(r - middle)
	}
	spread := max(1.4826*median(deviations), minSpread)
	z := max(-clip, min(clip, (x-middle)/spread))
	s.Sum = max(0, s.Sum+z-drift)
	if s.Sum == 0 {
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
	after := median(s.Since)
	if s.Sum < alarm || len(s.Since) < 3 || after-middle < math.Log(minRatio) {
		return nil
	}
	shift := &Shift{Before: math.Exp(middle), After: math.Exp(after), Ratio: math.Exp(after - middle), LastGood: s.LastGood, FirstBad: s.First, Runs: len(s.Since)}
	*s = Series{Reference: s.Since, LastGood: revision}
	return shift
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

// higherIsBetter of a benchmark's unit: throughput.
func higherIsBetter(unit string) bool {
	unit = strings.ToLower(unit)
	return strings.HasSuffix(unit, "/s") || strings.HasSuffix(unit, "/sec") || strings.HasSuffix(unit, "ps") && !strings.HasSuffix(unit, "steps")
}
