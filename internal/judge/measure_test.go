package judge

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/deployloop/deployloop/internal/event"
	"github.com/deployloop/deployloop/internal/report"
)

// covered is a run with so much covered, in percent.
func covered(revision string, percent float64) *Run {
	const lines = 100_000
	r := NewRun(revision)
	r.Add(report.Item{Coverage: &report.Coverage{Unit: "lines", Covered: int(percent * lines / 100), Total: lines}})
	return r
}

// coverage of 500 runs as suites have it: a little noise, some runs and pairs of runs
// of which a part was not measured, code that comes and goes.
func coverage(random *rand.Rand, level, noise float64) []float64 {
	values := make([]float64, 500)
	for n := range values {
		level = min(100, level+.02*random.NormFloat64())
		values[n] += level + noise*random.NormFloat64()
		if random.Float64() < .02 {
			for i := n; i < min(n+1+random.IntN(2), len(values)); i++ {
				values[i] -= 5
			}
		}
		values[n] = max(1, min(100, values[n]))
	}
	return values
}

func TestCoverageThatFallsBeyondItsNoise(t *testing.T) {
	random := rand.New(rand.NewPCG(20261201, 5))
	falls := map[float64]int{} // found within ten runs, by size
	const histories = 60
	alarms := 0
	for h := range histories {
		level, noise := 40+58*random.Float64(), []float64{0, .05, .2}[h%3]
		values := coverage(random, level, noise)
		for _, fall := range []float64{0, .5, 2, 5} {
			at := 60 + random.IntN(400)
			b, found := NewBaseline(), false
			for n, value := range values {
				if fall > 0 && n >= at {
					value -= fall
				}
				if fall > 0 && n == at+10 {
					break
				}
				for _, j := range b.Judge(covered(fmt.Sprintf("%07d", n), max(0, value))).Judgements {
					require.Equal(t, event.Worsened, j.Call)
					require.Equal(t, "coverage lines", j.Measure)
					if fall == 0 || n < at {
						t.Logf("history %d, noise %.2f, run %d: %.2f → %.2f", h, noise, n, j.Shift.Before, j.Shift.After)
						if fall == 0 {
							alarms++
						}
					} else {
						require.Less(t, j.Shift.After, j.Shift.Before)
						require.InDelta(t, level, j.Shift.Before, 5)
						found = true
					}
				}
			}
			if found {
				falls[fall]++
			}
		}
	}
	t.Logf("%d false alarms in %d histories of 500 runs; falls found of %d: %v", alarms, histories, histories, falls)
	require.LessOrEqual(t, alarms, 1)
	require.LessOrEqual(t, falls[.5], 1, "half a point is nobody's trouble")
	require.GreaterOrEqual(t, falls[2], histories*9/10)
	require.GreaterOrEqual(t, falls[5], histories*95/100)
}

// A count may be zero, and so may what it was before.
func TestCountsThatGrow(t *testing.T) {
	b := NewBaseline()
	warnings := func(n int, count float64) []event.Judgement {
		r := NewRun(fmt.Sprintf("%07d", n))
		r.Add(report.Item{Benchmark: &report.Benchmark{Suite: "javac", Name: "warnings", Value: count, Unit: "{warning}"}})
		return b.Judge(r).Judgements
	}
	for n := range 200 {
		count := 0.0
		if n%9 == 4 {
			count = 1
		}
		require.Empty(t, warnings(n, count), "one that comes and goes")
	}
	b = NewBaseline()
	var told []event.Judgement
	for n := range 30 {
		told = append(told, warnings(n, 0)...)
	}
	require.Empty(t, told)
	for n := range 5 {
		told = append(told, warnings(30+n, 6)...)
	}
	require.Len(t, told, 1)
	require.Equal(t, event.Worsened, told[0].Call)
	require.Zero(t, told[0].Shift.Before)
	require.InDelta(t, 6, told[0].Shift.After, 1e-9)
	require.Equal(t, "0000030", told[0].FirstBad)
}

// Two sizes that grow together grew by code: no machine makes a binary larger.
func TestSizesGrowTogether(t *testing.T) {
	b := NewBaseline()
	var told []event.Judgement
	for n := range 40 {
		r := NewRun(fmt.Sprintf("%07d", n))
		grown := 1.0
		if n >= 30 {
			grown = 1.3
		}
		for name, size := range map[string]float64{"image": 80e6, "binary": 30e6} {
			r.Add(report.Item{Benchmark: &report.Benchmark{Suite: "release", Name: name, Value: size * grown, Unit: "By"}})
		}
		told = append(told, b.Judge(r).Judgements...)
	}
	require.Len(t, told, 2)
	require.Equal(t, event.Worsened, told[0].Call)
	require.InDelta(t, 1.3, told[0].Shift.Ratio, .01)
}

// What a tool finds is told finding by finding; that it became a lot more is told too.
func TestFindingsOfAToolAreCounted(t *testing.T) {
	b := NewBaseline()
	var told []event.Call
	for n := range 40 {
		r := NewRun(fmt.Sprintf("%07d", n))
		r.Ran("lint")
		found := 20
		if n >= 30 {
			found = 30
		}
		for i := range found {
			r.Add(report.Item{Finding: &event.Finding{Tool: "lint", Rule: "r", Fingerprint: fmt.Sprint(i)}})
		}
		for _, j := range b.Judge(r).Judgements {
			told = append(told, j.Call)
		}
	}
	require.Len(t, told, 11)
	for _, call := range told[:10] {
		require.Equal(t, event.NewFinding, call)
	}
	require.Equal(t, event.Worsened, told[10])
}

// On a main branch a fall is an alert, until coverage is back.
func TestCoverageThatFallsIsAnAlert(t *testing.T) {
	b := newBench(t)
	n := 0
	run := func(share float64) {
		n++
		revision := fmt.Sprintf("%07d", n)
		b.Measurement(event.Measurement{Suite: "acme/shop", Name: "coverage lines", Value: share, Unit: "1", Repository: "acme/shop", Ref: "main", Revision: revision}, b.now)
		b.tick(time.Second)
		b.tick(time.Minute)
	}
	for range 20 {
		run(.85)
	}
	require.Empty(t, b.open())
	for range 4 {
		run(.81)
	}
	open := b.open()
	require.Len(t, open, 1)
	require.Equal(t, event.SeverityInfo, open[0].Severity)
	require.Equal(t, "0000021", open[0].Commit)
	require.Equal(t, []string{"worsened coverage acme/shop lines"}, said(*open[0].Feedback))
	for range fasterRuns {
		run(.86)
	}
	require.Empty(t, b.open())
	closed := b.alerts[open[0].ID].Closure
	require.Equal(t, event.ClosedFixedBy, closed.Reason)
	require.Contains(t, closed.Detail, "as good as before again")
}
