package main

import (
	"math"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestQualityFloors is the small scorecard of every change: fixed seed, floors a
// little below what the full one measures. It fails when quality drops.
func TestQualityFloors(t *testing.T) {
	r := suite(small, 1)
	ours := r.Suite[0]
	t.Logf("recall %.2f, precision %.2f of %d; false %d of %d; 1 → 3 %% %v; hard %v; healthy %v; onset %v", ours.recall(), ours.precision(), ours.bad,
		r.Placebo[0].falsePositive, r.Placebo[0].good, quantile(r.Errors[0], .5), quantile(r.Hard, .5), quantile(r.Healthy, .5), quantile(r.Onsets, .5))
	require.GreaterOrEqual(t, ours.recall(), .85)
	require.GreaterOrEqual(t, ours.precision(), .95)
	require.LessOrEqual(t, r.Placebo[0].falsePositive, 1)
	require.LessOrEqual(t, quantile(r.Errors[0], .5), 20.)
	require.LessOrEqual(t, quantile(r.Errors[0], .95), 50.)
	require.LessOrEqual(t, quantile(r.Errors[1], .5), 20.)
	require.LessOrEqual(t, quantile(r.Hard, .5), 8.)
	require.LessOrEqual(t, quantile(r.Thrown, .95), 8.)
	require.Equal(t, r.HealthyN, len(r.Healthy), "every deployment that changes nothing becomes healthy")
	require.LessOrEqual(t, quantile(r.Healthy, .5), 400.)
	// The raw test shows what the noise does to it.
	require.Greater(t, r.Placebo[4].falsePositive, 0)

	text := report("go test", r, recordedResults{})
	for _, name := range append([]string{"deployloop"}, baselineNames...) {
		require.Contains(t, text, "| "+name+" |")
	}
	require.NotContains(t, text, "NaN")
	require.False(t, strings.Contains(text, "%!"), text)
}

// TestRecordedRollouts holds the attribution on recorded incidents.
func TestRecordedRollouts(t *testing.T) {
	root, ok := shared()
	if !ok {
		t.Skip("../shared/data is not there")
	}
	list, err := rollouts(t.Context(), root, t.TempDir())
	require.NoError(t, err)
	require.Len(t, list, 11)
	top := 0
	for _, r := range list {
		if r.ours == r.defective {
			top++
		}
	}
	require.GreaterOrEqual(t, top, 10)
	calls := callsOf(list)
	t.Logf("%+v", calls)
	require.GreaterOrEqual(t, calls.incidents, 3)
	require.Equal(t, calls.incidents, calls.right)
	require.Equal(t, 39, calls.good)
	require.LessOrEqual(t, calls.blamed, 1)
	require.Greater(t, calls.ruledBlamed, calls.blamed, "the rule blames more")
}

func TestWilson(t *testing.T) {
	lo, hi := wilson(0, 3000)
	require.Zero(t, lo)
	require.InDelta(t, .00128, hi, 1e-4)
	lo, hi = wilson(50, 100)
	require.InDelta(t, .4038, lo, 1e-3)
	require.InDelta(t, .5962, hi, 1e-3)
}

func TestRankZ(t *testing.T) {
	require.InDelta(t, 0, rankZ([]float64{1, 2, 3, 4}, []float64{1, 2, 3, 4}), 1e-9)
	require.InDelta(t, 2.611, rankZ([]float64{6, 7, 8, 9, 10}, []float64{1, 2, 3, 4, 5}), 1e-3)
}

func TestBestSplit(t *testing.T) {
	var x []float64
	for i := range 40 {
		x = append(x, math.Sin(float64(i))/10)
		if i >= 25 {
			x[i]++
		}
	}
	at, q := bestSplit(x)
	require.Equal(t, 25, at)
	require.Positive(t, q)
}
