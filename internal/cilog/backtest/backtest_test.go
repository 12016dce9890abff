package backtest

import (
	"math"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/deployloop/deployloop/internal/cilog"
)

func load(t *testing.T) []Case {
	t.Helper()
	dir, err := Find(".")
	if err != nil {
		t.Skip(err)
	}
	cases, err := Load(dir)
	require.NoError(t, err)
	return cases
}

// The figures of docs/builds.md, with a little room for what a rule for another
// tool may move. A change that loses more must say so there.
func TestCrossValidatedFigures(t *testing.T) {
	rows, err := Measure(load(t))
	require.NoError(t, err)
	t.Log("\n" + Header())
	for _, r := range rows {
		t.Log(r)
	}
	ours, alone, jenkins, diff, published, person := rows[0], rows[1], rows[2], rows[3], rows[4], rows[5]
	require.Equal(t, 36, ours.Cases)
	require.Equal(t, 5, jenkins.Cases)
	// As published: a diff .21 precision, .93 recall; the method .47, .91: F1 .62.
	assert.GreaterOrEqual(t, ours.By[second].F1, .86)
	assert.GreaterOrEqual(t, ours.By[second].MeanF1, .83)
	assert.GreaterOrEqual(t, ours.By[both].F1, .86)
	assert.GreaterOrEqual(t, ours.By[first].F1, .67)
	assert.GreaterOrEqual(t, alone.By[second].F1, .72)
	assert.GreaterOrEqual(t, jenkins.By[second].F1, .66)
	for _, other := range []Row{diff, published, person} {
		assert.Greater(t, ours.By[second].F1, other.By[second].F1, other.Name)
	}
	// What stands beside us is what it claims to be.
	assert.InDelta(t, .31, diff.By[second].Precision, .01)
	assert.InDelta(t, .98, diff.By[second].Recall, .01)
	assert.InDelta(t, .47, published.By[second].Precision, .02)
}

func TestCommittedWeightsAreTheFittedOnes(t *testing.T) {
	cases := load(t)
	for compared, committed := range map[bool]cilog.Weights{true: cilog.Compared, false: cilog.Alone} {
		w, err := Fit(cases, compared)
		require.NoError(t, err)
		for f := range cilog.FeatureCount {
			require.InDelta(t, w.Feature[f], committed.Feature[f], .02, "%s: run go run ./test/cilogs -fit", cilog.FeatureName(f))
		}
		require.InDelta(t, w.Bias, committed.Bias, .02)
		require.InDelta(t, w.Threshold, committed.Threshold, 1e-9)
	}
}

// TestExplainChoosesWhatIsMeasured: the figures are of the code that users run.
func TestExplainChoosesWhatIsMeasured(t *testing.T) {
	cases := load(t)
	prepared, err := prepare(cases, true)
	require.NoError(t, err)
	for i, c := range cases {
		b := new(cilog.Baseline)
		require.NoError(t, reading(c.Passed, b.Learn))
		f, err := os.Open(c.Failed)
		require.NoError(t, err)
		r, err := cilog.Explain(f, b)
		require.NoError(t, err)
		require.NoError(t, f.Close())
		chosen := 0
		for _, is := range cilog.Choose(prepared[i].scores(cilog.Compared), cilog.Compared.Threshold) {
			if is {
				chosen++
			}
		}
		assert.Equal(t, chosen, r.Chosen, c.Name)
		assert.Equal(t, len(prepared[i].at), r.Lines, c.Name)
	}
}

func TestDiff(t *testing.T) {
	for name, tc := range map[string]struct {
		passed, failed   []string
		plain, published []int // indices
	}{
		"the same":                   {[]string{"a", "b"}, []string{"a", "b"}, nil, nil},
		"added":                      {[]string{"a", "b"}, []string{"a", "x", "b", "y"}, []int{1, 3}, []int{1, 3}},
		"rewritten":                  {[]string{"a", "took 3 s in all", "b"}, []string{"a", "took 4 s in all", "b"}, []int{1}, nil},
		"moved":                      {[]string{"m", "a", "b", "c"}, []string{"a", "b", "c", "m"}, []int{3}, nil},
		"nothing in common":          {[]string{"a"}, []string{"x", "y z"}, []int{0, 1}, []int{0, 1}},
		"no log that passed":         {nil, []string{"x"}, []int{0}, []int{0}},
		"the longest common is kept": {[]string{"x", "a", "b", "c"}, []string{"a", "b", "x", "c"}, []int{2}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			d := compare(tc.passed, tc.failed)
			assert.Equal(t, tc.published, indices(d.cidiff()))
			assert.Equal(t, tc.plain, indices(d.plain()), "whatever was asked of it before")
		})
	}
}

func indices(set []bool) (list []int) {
	for i, is := range set {
		if is {
			list = append(list, i)
		}
	}
	return list
}

// TestFitFindsWhatTheDataSays: in made-up lines only one feature matters.
func TestFitFindsWhatTheDataSays(t *testing.T) {
	w := ascend([]sample{{0b001, 5, 5}, {0b011, 50, 5}, {0b010, 50, 5}, {0b000, 5, 50}})
	assert.Greater(t, w.Feature[1], 1.5)
	assert.Less(t, math.Abs(w.Feature[0]), w.Feature[1])
	assert.Zero(t, w.Feature[2], "the prior holds what no line shows")
}

func TestSolve(t *testing.T) {
	assert.InDeltaSlice(t, []float64{1, 2}, solve([][]float64{{4, 1}, {1, 3}}, []float64{6, 7}), 1e-12)
}

func TestMarks(t *testing.T) {
	file := filepath.Join(t.TempDir(), "groundtruth")
	require.NoError(t, os.WriteFile(file, []byte("DEFAULT\nE 3-5\nC 1\nE 9\n\n"), 0o600))
	dialect, lines, err := marked(file)
	require.NoError(t, err)
	assert.Equal(t, "DEFAULT", dialect)
	var list []int
	for n := range lines {
		list = append(list, n)
	}
	slices.Sort(list)
	assert.Equal(t, []int{3, 4, 5, 9}, list)
	_, err = Find(t.TempDir())
	require.ErrorContains(t, err, "ci-logs")
}
