package main

import (
	"fmt"
	"math"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestQualityFloors is the small scorecard of every change: fixed seed, floors a
// little below what the full one measures. It fails when quality drops.
func TestQualityFloors(t *testing.T) {
	r := suite(small, 1)
	var rec recordedResults
	logFloors(t, seededFloors, &r, &rec)
	require.Empty(t, fallen(seededFloors, &r, &rec))

	text := card("go test", r, rec)
	for _, name := range append([]string{"deployloop"}, baselineNames...) {
		require.Contains(t, text, "| "+name+" |")
	}
	for _, kind := range restlessKinds {
		require.Contains(t, text, "| "+kind.noise.name+" |")
	}
	require.NotContains(t, text, "NaN")
	require.NotContains(t, text, "%!")
}

// TestRecordedFloors is the same of recorded data.
func TestRecordedFloors(t *testing.T) {
	root, ok := shared()
	if !ok {
		t.Skip("../shared/data is not there")
	}
	rec, err := recorded(t.Context(), root, t.TempDir(), 1, 8)
	require.NoError(t, err)
	require.Len(t, rec.rollouts, 11)
	require.Len(t, rec.canary, 37)
	logFloors(t, recordedFloors, &results{}, &rec)
	require.Empty(t, fallen(recordedFloors, &results{}, &rec))

	var text strings.Builder
	reportRecorded(func(format string, args ...any) { fmt.Fprintf(&text, format+"\n", args...) }, rec)
	require.NotContains(t, strings.ReplaceAll(text.String(), "NaN Replacement", ""), "NaN")
	require.NotContains(t, text.String(), "%!")
}

func logFloors(t *testing.T, floors []floor, r *results, rec *recordedResults) {
	t.Helper()
	for i := range floors {
		t.Log(floors[i].told(floors[i].value(r, rec)))
	}
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

func TestETACeiling(t *testing.T) {
	require.InDelta(t, 1, passage(3, 1e6), 1e-6)
	require.InDelta(t, .65, etaCeiling(3), .01)
	require.InDelta(t, .83, etaCeiling(7), .01)
	require.Less(t, etaCeiling(1), etaCeiling(2))
}
