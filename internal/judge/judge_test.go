package judge

import (
	"fmt"
	"math"
	"math/rand/v2"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/deployloop/deployloop/internal/event"
	"github.com/deployloop/deployloop/internal/report"
)

// runOf is a run of revision with the tests given as name, status pairs.
func runOf(revision string, pairs ...string) *Run {
	r := NewRun(revision)
	for i := 0; i < len(pairs); i += 2 {
		r.Add(report.Item{Test: &event.TestResult{Suite: "s", Case: pairs[i], Status: pairs[i+1], Duration: time.Second, Message: "m"}})
	}
	return r
}

func calls(v Verdict) []string {
	var list []string
	for _, j := range v.Judgements {
		switch {
		case j.Test != nil:
			list = append(list, string(j.Call)+" "+j.Test.Case)
		case j.Finding != nil:
			list = append(list, string(j.Call)+" "+j.Finding.Rule)
		default:
			list = append(list, string(j.Call)+" "+j.Measure)
		}
	}
	return list
}

func TestCallsOfATest(t *testing.T) {
	b := NewBaseline()
	require.Empty(t, b.Judge(runOf("r1", "a", "pass", "b", "pass")).Judgements)
	v := b.Judge(runOf("r2", "a", "fail", "b", "pass"))
	require.Equal(t, []string{"new_failure a"}, calls(v))
	require.Equal(t, "r1", v.Judgements[0].LastPass)
	require.Equal(t, "r2", v.Judgements[0].FirstBad)
	require.True(t, v.Worse())
	for range 3 {
		v = b.Judge(runOf("r3", "a", "fail", "b", "pass"))
		require.Equal(t, []string{"already_failing a"}, calls(v))
		require.False(t, v.Worse())
	}
	require.Equal(t, []string{"fixed a"}, calls(b.Judge(runOf("r4", "a", "pass", "b", "pass"))))
	require.Equal(t, []string{"new_failure a"}, calls(b.Judge(runOf("r5", "a", "fail", "b", "pass"))), "a repaired breakage is no flake")
	require.Equal(t, []string{"fixed a"}, calls(b.Judge(runOf("r5", "a", "pass", "b", "pass"))), "but one that came and went is")
	v = b.Judge(runOf("r6", "a", "fail", "b", "pass"))
	require.Equal(t, []string{"known_flaky a"}, calls(v))
	require.Greater(t, v.Judgements[0].Rate, v.Judgements[0].Interval[0])
	require.Less(t, v.Judgements[0].Rate, v.Judgements[0].Interval[1])
	require.Equal(t, []string{"vanished b"}, calls(b.Judge(runOf("r7", "a", "pass"))))
	require.Empty(t, calls(b.Judge(runOf("r8", "a", "pass"))), "told once")
}

func TestFlakyTestThatBreaksForGoodIsNew(t *testing.T) {
	b := NewBaseline()
	for i := range 100 {
		b.Judge(runOf("r", "a", map[bool]string{true: "fail", false: "pass"}[i%20 == 19]))
	}
	said := map[string]int{}
	for range 10 {
		for _, c := range calls(b.Judge(runOf("bad", "a", "fail"))) {
			said[c]++
		}
	}
	require.Equal(t, 1, said["new_failure a"])
	require.LessOrEqual(t, said["known_flaky a"], 6)
}

func TestPassAndFailOfOneRunIsFlaky(t *testing.T) {
	b := NewBaseline()
	require.Equal(t, []string{"known_flaky a"}, calls(b.Judge(runOf("r1", "a", "fail", "a", "pass"))))
}

func TestPartialRunVanishesNothing(t *testing.T) {
	b := NewBaseline()
	b.Judge(runOf("r1", "a", "pass"))
	other := NewRun("r2")
	other.Add(report.Item{Test: &event.TestResult{Suite: "other", Case: "x", Status: "pass"}})
	v := b.Judge(other)
	require.Empty(t, v.Judgements)
	require.Equal(t, 1, v.NotRun)
	require.Equal(t, []string{"new_failure a"}, calls(b.Judge(runOf("r3", "a", "fail"))))
}

func TestFindingsByFingerprint(t *testing.T) {
	run := func(prints ...string) *Run {
		r := NewRun("r")
		for i, p := range prints {
			r.Add(report.Item{Finding: &event.Finding{Tool: "vet", Rule: p, Fingerprint: p, Line: i}})
		}
		return r
	}
	b := NewBaseline()
	require.Empty(t, b.Judge(run("a", "a", "b")).Judgements, "the first run of a tool is its baseline")
	v := b.Judge(run("a", "a", "a", "c"))
	require.Equal(t, []string{"new_finding a", "new_finding c", "fixed_finding b"}, calls(v))
	require.Equal(t, 2, v.Unchanged)
	require.Empty(t, calls(b.Judge(runOf("r", "t", "pass"))), "the tool did not run: nothing is fixed")
	require.Empty(t, calls(b.Judge(run("a", "a", "a", "c"))))
}

func TestBaselineFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "baseline.json")
	b, err := Read(path)
	require.NoError(t, err)
	b.Judge(runOf("r1", "a", "pass", "b", "fail"))
	require.NoError(t, b.Write(path))
	again, err := Read(path)
	require.NoError(t, err)
	require.Equal(t, b, again)
	require.Equal(t, []string{"new_failure a", "already_failing b"}, calls(again.Judge(runOf("r2", "a", "fail", "b", "fail"))))
}

// TestHistoryOf500Runs is the target: of real new failures at least 95 % called
// new at their first run, flaky tests never once they are known, slow-downs found
// within 10 runs, at most one false alarm.
func TestHistoryOf500Runs(t *testing.T) {
	const tests, flaky, runs, histories = 200, 20, 500, 5
	var breaks, caught, slow, found, falsely, flakyAsNew, beforeKnown, unseen, first int
	for seed := range uint64(histories) {
		random := rand.New(rand.NewPCG(seed, 1))
		rate := make([]float64, tests)
		for i := range flaky {
			rate[i] = .02 + .38*random.Float64()
		}
		broken, slowed := map[int]int{}, map[int]int{}
		for i := range 5 {
			broken[100+i] = 50 + random.IntN(400)
		}
		for i := range 3 {
			slowed[150+i] = 50 + random.IntN(400)
		}
		flakes := make([]int, tests)
		foundSlow := map[int]bool{}
		b := NewBaseline()
		for n := range runs {
			r := NewRun(fmt.Sprint(n))
			failing := make([]bool, tests)
			for i := range tests {
				status, seconds := "pass", .5*math.Exp(.1*random.NormFloat64())
				if random.Float64() < .02 {
					seconds *= 3 // a busy machine
				}
				if random.Float64() < rate[i] {
					status, failing[i] = "fail", true
				}
				if at, ok := broken[i]; ok && n >= at && n < at+20 {
					status = "fail"
				}
				if at, ok := slowed[i]; ok && n >= at {
					seconds *= 1.4
				}
				r.Add(report.Item{Test: &event.TestResult{Suite: "s", Case: fmt.Sprint(i), Status: status, Duration: time.Duration(seconds * 1e9)}})
			}
			said := map[int]Call{}
			for _, j := range b.Judge(r).Judgements {
				var i int
				_, err := fmt.Sscan(j.Test.Case, &i)
				require.NoError(t, err)
				if j.Call == NewFailure || j.Call == Slower {
					said[i] = j.Call
				}
			}
			for i, at := range broken {
				if n == at {
					breaks++
					if said[i] == NewFailure {
						caught++
					}
					delete(said, i)
				}
			}
			for i, at := range slowed {
				if said[i] == Slower && n >= at && !foundSlow[i] {
					foundSlow[i] = true
					if n < at+10 {
						found++
					}
					delete(said, i)
				}
			}
			for i := range said {
				switch {
				case i < flaky && said[i] == NewFailure:
					switch {
					case n <= 10:
						first++
					case b.Tests[Key("s", fmt.Sprint(i))].Flakes > 0:
						flakyAsNew++
					case flakes[i] == 0:
						unseen++
					default:
						beforeKnown++
					}
				default:
					falsely++
				}
			}
			for i := range tests {
				if failing[i] {
					flakes[i]++
				}
			}
		}
		slow += len(slowed)
	}
	t.Logf("%d histories: %d of %d new failures called at once; %d of %d slow-downs within 10 runs; %d false alarms in %d test runs", histories, caught, breaks, found, slow, falsely, histories*runs*tests)
	t.Logf("flaky tests called new: %d in the first ten runs, %d at the first failure they ever had, %d before they were known, %d once known", first, unseen, beforeKnown, flakyAsNew)
	require.GreaterOrEqual(t, float64(caught), .95*float64(breaks))
	require.GreaterOrEqual(t, float64(found), .9*float64(slow))
	require.Zero(t, flakyAsNew)
	require.LessOrEqual(t, falsely, histories)
}
