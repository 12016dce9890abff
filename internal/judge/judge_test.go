package judge

import (
	"path/filepath"
	"strconv"
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
	require.Equal(t, []string{"fixed a"}, calls(b.Judge(runOf("r5b", "a", "pass", "b", "pass"))), "but one that came and went is")
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

// What fails beyond the limit of results is kept, since it is what a run is for.
func TestAFailureBeyondTheLimitIsJudged(t *testing.T) {
	b, r := NewBaseline(), NewRun("aaaaaaa1")
	for i := range maxEntries + 3 {
		r.addTest(event.TestResult{Suite: "s", Case: strconv.Itoa(i), Status: "pass"})
	}
	r.addTest(event.TestResult{Suite: "s", Case: "fails", Status: "fail"})
	v := b.Judge(r)
	require.Equal(t, 1, v.Failed)
	require.Equal(t, 1, v.Count(event.NewFailure))
	require.Equal(t, 3, r.Left)
}
