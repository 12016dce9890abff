package backtest

import (
	"encoding/json"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/deployloop/deployloop/internal/suspect"
)

func load(t *testing.T) []Case {
	t.Helper()
	file, err := Find(".")
	if err != nil {
		t.Skip(err)
	}
	cases, err := Load(file)
	require.NoError(t, err)
	return cases
}

// The figures of docs/suspects.md, with a little room for what a rule for
// another language may move. A change that loses more must say so there.
func TestCrossValidatedFigures(t *testing.T) {
	reports := CrossValidate(load(t))
	require.Len(t, reports, 2)
	traced, named := reports[0], reports[1]
	t.Logf("\n%s\n%s", traced, named)
	require.Equal(t, 31, traced.Ours.Cases)
	require.Equal(t, 83, named.Ours.Cases)

	require.GreaterOrEqual(t, traced.Ours.Top1, .60)
	require.GreaterOrEqual(t, traced.Ours.Top3, .85)
	require.GreaterOrEqual(t, traced.NamedRight, .90, "who is named is right")
	require.GreaterOrEqual(t, traced.Named, .35)
	best := 0.0
	for _, b := range named.Baselines {
		best = max(best, b.Top1)
	}
	require.GreaterOrEqual(t, named.Ours.Top1, 1.5*best)
	for _, r := range reports {
		for _, b := range r.Baselines {
			require.Greater(t, r.Ours.Top1, b.Top1, b.Name)
			require.Greater(t, r.Ours.Reciprocal, b.Reciprocal, b.Name)
		}
	}
}

func TestCommittedWeightsAreTheFittedOnes(t *testing.T) {
	w := Fit(load(t))
	for k, name := range suspect.FeatureNames {
		require.InDelta(t, w.Feature[k], suspect.Default.Feature[k], .02, "%s: run go run ./test/suspects -fit", name)
	}
	require.InDelta(t, w.Other, suspect.Default.Other, .02)
	for k, slope := range gradient(learning(prepare(load(t)), ""), w) {
		require.InDelta(t, 0, slope, .2, "weight %d: the fit did not reach the top", k)
	}
	for k := range w.Sure {
		require.InDelta(t, w.Sure[k], suspect.Default.Sure[k], .02)
	}
}

// TestNothingLeaks: the same ranking comes of a file without any answer in it.
func TestNothingLeaks(t *testing.T) {
	file, err := Find(".")
	if err != nil {
		t.Skip(err)
	}
	text, err := os.ReadFile(file)
	require.NoError(t, err)
	var raw []map[string]json.RawMessage
	require.NoError(t, json.Unmarshal(text, &raw))
	for _, c := range raw[:40] {
		whole, err := json.Marshal(c)
		require.NoError(t, err)
		bare, err := json.Marshal(map[string]json.RawMessage{"stack_trace": c["stack_trace"], "failing_tests": c["failing_tests"], "candidates": c["candidates"]})
		require.NoError(t, err)
		require.Equal(t, rank(t, string(whole)), rank(t, string(bare)))
	}
}

func rank(t *testing.T, text string) []string {
	symptom, commits, err := suspect.ReadCase(strings.NewReader(text))
	require.NoError(t, err)
	var order []string
	for _, s := range suspect.Rank(symptom, commits, suspect.Options{}).Suspects {
		order = append(order, s.Change.Revision)
	}
	return order
}

func TestPlacesOfEqualScoresAreShared(t *testing.T) {
	p := place([]float64{0, 0, 0, 0}, 2)
	require.InDelta(t, .25, p.top1, 1e-9)
	require.InDelta(t, .75, p.top3, 1e-9)
	require.InDelta(t, (1+.5+1./3+.25)/4, p.reciprocal, 1e-9)
	require.Equal(t, placed{1, 1, 1}, place([]float64{1, 3, 2}, 1))
	p = place([]float64{5, 1, 1, 7}, 1)
	require.Zero(t, p.top1)
	require.InDelta(t, .5, p.top3, 1e-9)
}

// TestFitFindsWhatTheDataSays: in made-up choices only one feature matters.
func TestFitFindsWhatTheDataSays(t *testing.T) {
	var samples []sample
	for i := range 200 {
		vectors := make([]suspect.Vector, 10)
		answer := i % 10
		for k := range vectors {
			vectors[k][0] = float64((i*7+k*3)%10) / 10 // noise
		}
		vectors[answer][1] = 1
		samples = append(samples, sample{vectors, answer, 1})
	}
	w := ascend(samples)
	require.Greater(t, w.Feature[1], 4.0, "from a prior of %v", suspect.Prior.Feature[1])
	require.Less(t, math.Abs(w.Feature[0]), 1.5)
}

func TestFindSaysWhatIsMissing(t *testing.T) {
	_, err := Find(t.TempDir())
	require.ErrorContains(t, err, "commits/cases.json")
	bad := filepath.Join(t.TempDir(), "cases.json")
	require.NoError(t, os.WriteFile(bad, []byte(`[{"candidates":[{"sha":"a"}],"culprit":"b"}]`), 0o600))
	_, err = Load(bad)
	require.ErrorContains(t, err, "not among the candidates")
}
