package judge

import (
	"math"
	"sort"
	"strings"

	"gonum.org/v1/gonum/mathext"

	"github.com/deployloop/deployloop/internal/event"
)

// Call is what a result means.
type Call string

// The calls. Only NewFailure, NewFinding and Slower are news for the worse.
const (
	NewFailure     Call = "new_failure"
	KnownFlaky     Call = "known_flaky"
	AlreadyFailing Call = "already_failing"
	Fixed          Call = "fixed"
	Slower         Call = "slower"
	Vanished       Call = "vanished"
	NewFinding     Call = "new_finding"
	FixedFinding   Call = "fixed_finding"
)

const (
	// maxEpisode is how many failures in a row may be a flake that went away;
	// longer ones were a real breakage that somebody repaired.
	maxEpisode = 2
	// Prior of a test's flake rate: Beta(.5, 50), most tests hardly ever.
	priorFlakes, priorPasses = .5, 50.0
	// unlikely is the probability under its own rate at which a flaky test's
	// streak of failures is no longer put down to flakiness. It is small because
	// every run of every flaky test asks.
	unlikely = 1e-6
	// minSlower is the least slow-down of a test that is worth a word, seconds.
	minSlower = .05
)

// Judgement is one thing to say.
type Judgement struct {
	Call     Call              `json:"call"`
	Test     *event.TestResult `json:"test,omitempty"`
	Finding  *event.Finding    `json:"finding,omitempty"`
	Measure  string            `json:"measure,omitempty"` // of Slower: the benchmark, or "coverage"
	Unit     string            `json:"unit,omitempty"`
	Rate     float64           `json:"flake_rate,omitempty"`      // posterior mean
	Interval [2]float64        `json:"flake_interval,omitzero"`   // 95 %, of the rate
	LastPass string            `json:"last_pass,omitempty"`       // revision
	FirstBad string            `json:"first_bad,omitempty"`       // revision
	Streak   int               `json:"failures_in_row,omitempty"` // with this one
	Shift    *Shift            `json:"shift,omitempty"`
}

// Verdict is what a run means.
type Verdict struct {
	Judgements []Judgement `json:"judgements"` // news for the worse first
	Tests      int         `json:"tests"`
	Passed     int         `json:"passed"`
	Failed     int         `json:"failed"`
	Skipped    int         `json:"skipped"`
	Findings   int         `json:"findings"`
	Unchanged  int         `json:"findings_unchanged"`
	NotRun     int         `json:"suites_not_run"` // that the last run had
	Coverage   []Coverage  `json:"coverage,omitempty"`

	common float64 // see Baseline.commonOfTests
}

// Coverage is the run's total in one unit, and the baseline's.
type Coverage struct {
	Unit   string  `json:"unit"`
	Share  float64 `json:"share"`
	Before float64 `json:"before,omitempty"`
}

// Count is how many judgements are of that call.
func (v Verdict) Count(call Call) int {
	n := 0
	for _, j := range v.Judgements {
		if j.Call == call {
			n++
		}
	}
	return n
}

// Judge tells what the run means against the baseline, and takes it into the
// baseline. To judge without learning, do not write the baseline.
func (b *Baseline) Judge(r *Run) Verdict {
	v := Verdict{Tests: len(r.tests), Findings: len(r.findings)}
	last := b.Runs
	b.Runs++
	suites := map[string]bool{}
	v.common = b.commonOfTests(r)
	for _, key := range r.order {
		a := r.tests[key]
		suites[a.result.Suite] = true
		switch {
		case a.failed():
			v.Failed++
		case a.passed():
			v.Passed++
		default:
			v.Skipped++
		}
		v.Judgements = append(v.Judgements, b.judgeTest(key, a, r.Revision, v.common)...)
	}
	missing := map[string]bool{}
	for key, h := range b.Tests {
		if h.LastRun != last || last == 0 {
			continue
		}
		suite, name, _ := strings.Cut(key, "\x1f")
		switch {
		case !suites[suite]:
			missing[suite] = true
			h.LastRun = b.Runs // not told of this time; still expected
		case !strings.HasPrefix(name, "["): // "[build failed]" is no test
			v.Judgements = append(v.Judgements, Judgement{Call: Vanished, Test: &event.TestResult{Suite: suite, Case: name}, LastPass: h.LastPass})
		}
	}
	v.NotRun = len(missing)
	b.judgeFindings(r, &v)
	b.judgeMeasures(r, &v)
	b.Revision = r.Revision
	b.Left += r.Left
	order := map[Call]int{NewFailure: 0, NewFinding: 1, Slower: 2, Vanished: 3, AlreadyFailing: 4, KnownFlaky: 5, Fixed: 6, FixedFinding: 7}
	sort.SliceStable(v.Judgements, func(i, j int) bool {
		x, y := v.Judgements[i], v.Judgements[j]
		if order[x.Call] != order[y.Call] {
			return order[x.Call] < order[y.Call]
		}
		return x.name() < y.name()
	})
	return v
}

func (j Judgement) name() string {
	switch {
	case j.Test != nil:
		return Key(j.Test.Suite, j.Test.Case)
	case j.Finding != nil:
		return j.Finding.File + "\x1f" + j.Finding.Rule
	}
	return j.Measure
}

// commonOfTests is the log ratio by which this run's tests took longer than they
// use to, all together.
func (b *Baseline) commonOfTests(r *Run) float64 {
	var deviations []float64
	for key, a := range r.tests {
		if h := b.Tests[key]; h != nil && h.Time != nil && a.passed() && !a.failed() {
			if d, ok := h.Time.deviation(a.result.Duration.Seconds()); ok {
				deviations = append(deviations, d)
			}
		}
	}
	return shared(deviations)
}

func (b *Baseline) judgeTest(key string, a *attempt, revision string, common float64) []Judgement {
	h := b.Tests[key]
	if h == nil {
		if len(b.Tests) >= maxEntries {
			b.Left++
			h = &History{} // judged as unknown, and not kept
		} else {
			h = &History{}
			b.Tests[key] = h
		}
	}
	h.LastRun = b.Runs
	if !a.failed() && !a.passed() {
		return nil
	}
	h.Runs++
	test := a.result
	if a.failed() && a.passed() { // it changed its mind on one revision: flaky beyond doubt
		h.Flakes += a.fails
		h.end()
		return []Judgement{h.flaky(Judgement{Call: KnownFlaky, Test: &test, LastPass: revision})}
	}
	if !a.failed() && h.FirstBad == revision && revision != "" && !h.Confirmed {
		// The same code, run again, passes: so did nobody repair it.
		h.Broken = false // its failures are flakes
		h.passed(revision)
		return []Judgement{h.flaky(Judgement{Call: KnownFlaky, Test: &test, LastPass: revision})}
	}
	if !a.failed() {
		var said []Judgement
		if h.Broken {
			said = append(said, Judgement{Call: Fixed, Test: &test, FirstBad: h.FirstBad, Streak: h.Streak})
		}
		h.passed(revision)
		if h.Time == nil {
			h.Time = &Series{}
		}
		if shift := h.Time.add(test.Duration.Seconds(), common, revision); shift != nil && shift.After-shift.Before >= minSlower {
			said = append(said, Judgement{Call: Slower, Test: &test, Unit: "s", Shift: shift})
		}
		return said
	}

	h.Streak++
	h.Failures += a.fails
	h.Confirmed = h.Confirmed || a.fails > 1
	if h.Streak == 1 {
		h.FirstBad = revision
	}
	j := h.flaky(Judgement{Test: &test, LastPass: h.LastPass, FirstBad: h.FirstBad, Streak: h.Streak})
	switch {
	case h.Broken:
		j.Call = AlreadyFailing
	case h.Flakes > 0 && h.chance() > unlikely:
		j.Call = KnownFlaky
	default:
		j.Call, h.Broken = NewFailure, true
	}
	return []Judgement{j}
}

// passed ends a streak of failures. A short one that was not confirmed is taken
// for a flake, so that a test is called new once, and flaky from then on.
func (h *History) passed(revision string) {
	if !h.Broken || h.Streak <= maxEpisode && !h.Confirmed {
		h.Flakes += h.Failures
	}
	h.end()
	h.Passes++
	h.LastPass = revision
}

func (h *History) end() {
	h.Streak, h.Failures, h.Broken, h.Confirmed, h.FirstBad = 0, 0, false, false, ""
}

// flaky fills in the posterior of the flake rate: Beta(prior + flakes, prior + passes).
func (h *History) flaky(j Judgement) Judgement {
	if h.Flakes == 0 {
		return j
	}
	a, b := h.posterior()
	j.Rate = a / (a + b)
	j.Interval = [2]float64{mathext.InvRegIncBeta(a, b, .025), mathext.InvRegIncBeta(a, b, .975)}
	return j
}

// posterior is of a test that flaked: the prior's weight then is that of one run
// in fifty, since that it can flake is known.
func (h *History) posterior() (a, b float64) {
	weight := priorPasses
	if h.Flakes > 0 {
		weight = 1
	}
	return priorFlakes + float64(h.Flakes), weight + float64(h.Passes)
}

// chance of the present streak under the posterior (beta-binomial).
func (h *History) chance() float64 {
	a, b := h.posterior()
	log := 0.0
	for i := range h.Failures {
		log += math.Log((a + float64(i)) / (a + b + float64(i)))
	}
	return math.Exp(log)
}

func (b *Baseline) judgeFindings(r *Run, v *Verdict) {
	now, tools := map[string]int{}, map[string]bool{}
	named := map[string]Finding{}
	for i := range r.findings {
		f := r.findings[i]
		tools[f.Tool] = true
		now[f.Fingerprint]++
		named[f.Fingerprint] = Finding{f.Tool, f.Rule, f.File, f.Line}
		if now[f.Fingerprint] <= b.Findings[f.Fingerprint] {
			v.Unchanged++
			continue
		}
		if b.Tools[f.Tool] { // a tool's first run is its baseline
			v.Judgements = append(v.Judgements, Judgement{Call: NewFinding, Finding: &f})
		}
	}
	for print, before := range b.Findings {
		was := b.Named[print]
		if !tools[was.Tool] { // it did not run
			now[print], named[print] = before, was
			continue
		}
		for range before - now[print] {
			v.Judgements = append(v.Judgements, Judgement{Call: FixedFinding, Finding: &event.Finding{Tool: was.Tool, Rule: was.Rule, File: was.File, Line: was.Line, Fingerprint: print}})
		}
	}
	for tool := range tools {
		b.Tools[tool] = true
	}
	b.Findings, b.Named = now, named
}

func (b *Baseline) judgeMeasures(r *Run, v *Verdict) {
	series := func(key string) *Series {
		s := b.Measures[key]
		if s == nil {
			s = &Series{}
			if len(b.Measures) < maxEntries {
				b.Measures[key] = s
			} else {
				b.Left++
			}
		}
		return s
	}
	common := b.commonOfMeasures(r)
	for key, m := range r.measures {
		shift := series(key).add(m.cost(), common[m.suite], r.Revision)
		if shift == nil {
			continue
		}
		if m.higherBetter {
			shift.Before, shift.After = 1/shift.Before, 1/shift.After
		}
		v.Judgements = append(v.Judgements, Judgement{Call: Slower, Measure: strings.TrimPrefix(m.suite+" "+m.name, " "), Unit: m.unit, Shift: shift})
	}
	for unit, sum := range r.covered {
		if sum[1] == 0 {
			continue
		}
		c := Coverage{Unit: unit, Share: float64(sum[0]) / float64(sum[1])}
		s := series("coverage\x1f" + unit)
		if n := len(s.Reference); n > 0 {
			c.Before = s.Reference[n-1]
		}
		s.Reference = []float64{c.Share}
		v.Coverage = append(v.Coverage, c)
	}
	sort.Slice(v.Coverage, func(i, j int) bool { return v.Coverage[i].Unit < v.Coverage[j].Unit })
}

// commonOfMeasures is, by suite, the log ratio by which its benchmarks moved
// together.
func (b *Baseline) commonOfMeasures(r *Run) map[string]float64 {
	deviations := map[string][]float64{}
	for key, m := range r.measures {
		if s := b.Measures[key]; s != nil {
			if d, ok := s.deviation(m.cost()); ok {
				deviations[m.suite] = append(deviations[m.suite], d)
			}
		}
	}
	common := make(map[string]float64, len(deviations))
	for suite, list := range deviations {
		common[suite] = shared(list)
	}
	return common
}

// Worse tells whether the run brings news for the worse that should stop a push.
func (v Verdict) Worse() bool { return v.Count(NewFailure)+v.Count(NewFinding) > 0 }
