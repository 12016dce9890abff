package judge

import (
	"cmp"
	"slices"
	"sort"
	"strings"

	"github.com/deployloop/deployloop/internal/event"
)

// Verdict is what a run means.
type Verdict struct {
	Judgements []event.Judgement     `json:"judgements"` // news for the worse first
	Tests      int                   `json:"tests"`
	Passed     int                   `json:"passed"`
	Failed     int                   `json:"failed"`
	Skipped    int                   `json:"skipped"`
	Findings   int                   `json:"findings"`
	Unchanged  int                   `json:"findings_unchanged"`
	Uncompared int                   `json:"findings_uncompared"`      // of tools that never ran before: a tool's first run is its baseline
	First      []event.Finding       `json:"findings_first,omitempty"` // those, by place
	NotRun     int                   `json:"suites_not_run"`           // that the last run had
	Coverage   []event.CoverageTotal `json:"coverage,omitempty"`

	common float64 // see Baseline.commonOfTests
}

// Count is how many judgements are of that call.
func (v Verdict) Count(call event.Call) int {
	n := 0
	for _, j := range v.Judgements {
		if j.Call == call {
			n++
		}
	}
	return n
}

// Worse tells whether the run brings news for the worse that should stop a push.
func (v Verdict) Worse() bool { return v.Count(event.NewFailure)+v.Count(event.NewFinding) > 0 }

// Compare tells what the run of a branch means against the baseline as it was at
// base, where that is known, else as it is now. It learns nothing. That something
// became slower or worse needs several runs, so only Judge can tell it.
func (b *Baseline) Compare(r *Run, base string) Verdict {
	v := b.compare(r, b.runAt(base))
	order(v.Judgements)
	return v
}

// Say adds one result to a run that goes on, and tells what it means by now.
func (b *Baseline) Say(r *Run, t event.TestResult) event.Judgement {
	j, said := b.sayTest(Key(t.Suite, t.Case), r.addTest(t), r.Revision, b.Runs)
	if !said {
		j = event.Judgement{Test: &t}
	}
	return j
}

// Judge tells what the run means against the baseline, and takes it into the
// baseline.
func (b *Baseline) Judge(r *Run) Verdict {
	r.sum()
	v := b.compare(r, b.Runs)
	b.learn(r, &v)
	order(v.Judgements)
	return v
}

// compare tells what changes since run number at.
func (b *Baseline) compare(r *Run, at int) Verdict {
	v := Verdict{Tests: len(r.tests), Passed: r.passed, Failed: r.failed, Skipped: len(r.tests) - r.passed - r.failed, Findings: len(r.findings)}
	v.common = b.commonOfTests(r)
	suites := map[string]bool{}
	for _, key := range r.order {
		a := r.tests[key]
		suite, _, _ := strings.Cut(key, "\x1f")
		suites[suite] = true
		if j, ok := b.sayTest(key, a, r.Revision, at); ok {
			v.Judgements = append(v.Judgements, j)
		}
	}
	missing := map[string]bool{}
	for key, h := range b.Tests {
		if h.LastRun != b.Runs || b.Runs == 0 || r.tests[key] != nil {
			continue
		}
		suite, name, _ := strings.Cut(key, "\x1f")
		switch {
		case !suites[suite]:
			missing[suite] = true
		case r.Partial:
		case !strings.HasPrefix(name, "["): // "[build failed]" is no test
			v.Judgements = append(v.Judgements, event.Judgement{Call: event.Vanished, Test: &event.TestResult{Suite: suite, Case: name}, LastPass: h.LastPass})
		}
	}
	v.NotRun = len(missing)
	b.compareFindings(r, at, &v)
	b.compareCoverage(r, &v)
	return v
}

// compareFindings counts each fingerprint, since a line may be copied.
func (b *Baseline) compareFindings(r *Run, at int, v *Verdict) {
	now, tools := map[string]int{}, map[string]bool{}
	for i := range r.findings {
		f := r.findings[i]
		tools[f.Tool] = true
		now[f.Fingerprint]++
		switch {
		case !b.newFinding(f, now[f.Fingerprint], at):
			v.Unchanged++
		case !b.Tools[f.Tool]:
			v.Uncompared++
			v.First = append(v.First, f)
		default:
			v.Judgements = append(v.Judgements, event.Judgement{Call: event.NewFinding, Finding: &f})
		}
	}
	slices.SortStableFunc(v.First, func(x, y event.Finding) int {
		return cmp.Or(cmp.Compare(x.File, y.File), cmp.Compare(x.Line, y.Line), cmp.Compare(x.Rule, y.Rule))
	})
	for print, was := range b.Findings {
		if r.Partial || !tools[was.Tool] && !r.tools[was.Tool] { // it did not run
			continue
		}
		for range was.at(at) - now[print] {
			v.Judgements = append(v.Judgements, event.Judgement{Call: event.FixedFinding, Finding: &event.Finding{Tool: was.Tool, Rule: was.Rule, File: was.File, Line: was.Line, Fingerprint: print}})
		}
	}
}

// newFinding tells whether the nth finding of its fingerprint is one more than
// there were.
func (b *Baseline) newFinding(f event.Finding, nth, at int) bool {
	return nth > b.Findings[f.Fingerprint].at(at)
}

// at is how often the finding stood in run number at.
func (s *Standing) at(run int) int {
	if s == nil || run < s.From || s.Until > 0 && run >= s.Until {
		return 0
	}
	return s.Count
}

func (b *Baseline) compareCoverage(r *Run, v *Verdict) {
	for unit, sum := range r.covered {
		if sum[1] == 0 {
			continue
		}
		c := event.CoverageTotal{Unit: unit, Share: float64(sum[0]) / float64(sum[1])}
		if s := b.Measures[coverageKey(unit)]; s != nil && len(s.Reference) > 0 {
			c.Before = s.Reference[len(s.Reference)-1]
		}
		v.Coverage = append(v.Coverage, c)
	}
	sort.Slice(v.Coverage, func(i, j int) bool { return v.Coverage[i].Unit < v.Coverage[j].Unit })
}

func coverageKey(unit string) string { return "coverage\x1f" + unit }

// ranks put news for the worse first.
var ranks = map[event.Call]int{
	event.NewFailure: 0, event.NewFinding: 1, event.Hanging: 2, event.Slower: 3, event.Worsened: 3, event.Vanished: 4,
	event.NotCertain: 5, event.AlreadyFailing: 5, event.KnownFlaky: 6, event.Fixed: 7, event.FixedFinding: 8,
}

func order(list []event.Judgement) {
	sort.SliceStable(list, func(i, j int) bool {
		x, y := list[i], list[j]
		if ranks[x.Call] != ranks[y.Call] {
			return ranks[x.Call] < ranks[y.Call]
		}
		return orderName(x) < orderName(y)
	})
}

func orderName(j event.Judgement) string {
	if f := j.Finding; f != nil {
		return f.File + "\x1f" + f.Rule
	}
	return j.Key()
}

// commonOfTests is the log ratio by which this run's tests took longer than they
// use to, all together.
func (b *Baseline) commonOfTests(r *Run) float64 {
	var deviations []float64
	for key, a := range r.tests {
		if h := b.Tests[key]; h != nil && h.Time != nil && a.passed() && !a.failed() {
			if d, ok := h.Time.deviation(a.duration.Seconds()); ok {
				deviations = append(deviations, d)
			}
		}
	}
	return shared(deviations)
}
