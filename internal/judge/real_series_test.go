package judge

import (
	"bufio"
	"encoding/json"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/deployloop/deployloop/internal/report"
)

// recorded is one run of a project's benchmarks, as its CI kept it.
type recorded struct {
	Suite   string
	Commit  struct{ ID string }
	Benches [][5]any
}

// readSeries reads the runs of a file of ../shared/data/series, by suite.
func readSeries(t *testing.T, name string) (suites []string, runs map[string][]*Run) {
	t.Helper()
	dir, err := os.Getwd()
	require.NoError(t, err)
	path := ""
	for ; dir != "/"; dir = filepath.Dir(dir) {
		if p := filepath.Join(dir, "..", "shared", "data", "series", name); exists(p) {
			path = p
			break
		}
	}
	if path == "" {
		t.Skip("../shared/data/series is not beside this clone")
	}
	f, err := os.Open(path)
	require.NoError(t, err)
	defer f.Close()
	runs = map[string][]*Run{}
	for lines := bufio.NewScanner(f); lines.Scan(); {
		var r recorded
		require.NoError(t, json.Unmarshal(lines.Bytes(), &r))
		run := NewRun(r.Commit.ID)
		for _, b := range r.Benches {
			value, _ := b[1].(float64)
			run.Add(report.Item{Benchmark: &report.Benchmark{Suite: r.Suite, Name: fmt.Sprint(b[0]), Value: value, Unit: fmt.Sprint(b[2])}})
		}
		if runs[r.Suite] == nil {
			suites = append(suites, r.Suite)
		}
		runs[r.Suite] = append(runs[r.Suite], run)
	}
	return suites, runs
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

// TestBlameOfRecordedBenchmarks is the target: where the benchmarked code hardly
// changed (gha-benchmark), commits are hardly ever blamed; and a slow-down that is
// put into the same series is found. What is blamed in otel-js may be real.
func TestBlameOfRecordedBenchmarks(t *testing.T) {
	for file, most := range map[string]float64{"gha-benchmark.jsonl": .001, "otel-js.jsonl": .002} {
		suites, runs := readSeries(t, file)
		points, blamed := 0, 0
		for _, suite := range suites {
			b := NewBaseline()
			for _, run := range runs[suite] {
				points += len(run.measures)
				for _, j := range b.Judge(run).Judgements {
					blamed++
					t.Logf("%s: %s ×%.2f", suite, j.Measure, j.Shift.Ratio)
				}
			}
		}
		t.Logf("%s: %d of %d measurements blamed", file, blamed, points)
		require.LessOrEqual(t, float64(blamed), most*float64(points))
		for _, injected := range []struct{ ratio, atLeast float64 }{{1.2, 0}, {1.3, .5}, {1.5, .75}, {2, .85}} {
			random := rand.New(rand.NewPCG(20261124, 7))
			tried, found := 0, 0
			for _, suite := range suites {
				if len(runs[suite]) < 60 {
					continue
				}
				for range 20 {
					tried++
					if slowed(runs[suite], 30+random.IntN(len(runs[suite])-45), injected.ratio) {
						found++
					}
				}
			}
			t.Logf("%s: a slow-down ×%.1f put in %d times, found within 10 runs %d times", file, injected.ratio, tried, found)
			require.GreaterOrEqual(t, float64(found), injected.atLeast*float64(tried))
		}
	}
}

// slowed tells whether a slow-down of the first benchmark from run at on is found
// within ten runs.
func slowed(runs []*Run, at int, ratio float64) bool {
	key := slices.Sorted(maps.Keys(runs[at].measures))[0]
	b := NewBaseline()
	for n, run := range runs[:at+10] {
		if m, ok := run.measures[key]; ok && n >= at {
			run = NewRun(run.Revision)
			run.measures = maps.Clone(runs[n].measures)
			if m.higherBetter {
				m.value /= ratio
			} else {
				m.value *= ratio
			}
			run.measures[key] = m
		}
		for _, j := range b.Judge(run).Judgements {
			if n >= at && strings.HasSuffix(j.Measure, " "+runs[at].measures[key].name) {
				return true
			}
		}
	}
	return false
}
