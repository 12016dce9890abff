package judge

import (
	"strings"

	"github.com/deployloop/deployloop/internal/event"
)

// minSlower is the least slow-down of a test that is worth a word, seconds.
const minSlower = .05

// learn takes a run in, and adds to its verdict what only many runs can tell:
// that something became slower.
func (b *Baseline) learn(r *Run, v *Verdict) {
	calls := make(map[string]event.Call, len(v.Judgements))
	for _, j := range v.Judgements {
		if j.Test != nil && j.Call != event.Vanished {
			calls[Key(j.Test.Suite, j.Test.Case)] = j.Call
		}
	}
	last := b.Runs
	b.Runs++
	suites := map[string]bool{}
	for _, key := range r.order {
		suite, _, _ := strings.Cut(key, "\x1f")
		suites[suite] = true
		b.learnTest(key, r.tests[key], calls[key], r.Revision, v)
	}
	for key, h := range b.Tests {
		suite, _, _ := strings.Cut(key, "\x1f")
		switch {
		case h.LastRun == last && (r.Partial || !suites[suite]):
			h.LastRun = b.Runs // not told of this time; still expected
		case b.Runs-h.LastRun > forgetAfter:
			delete(b.Tests, key)
		}
	}
	b.learnFindings(r)
	b.learnMeasures(r, v)
	b.Revision = r.Revision
	if b.Recent = append(b.Recent, r.Revision); len(b.Recent) > maxRecent {
		b.Recent = b.Recent[len(b.Recent)-maxRecent:]
	}
	b.Left += r.Left
}

func (b *Baseline) learnTest(key string, a *attempt, call event.Call, revision string, v *Verdict) {
	h := b.Tests[key]
	if h == nil {
		if len(b.Tests) >= maxEntries {
			b.Left++
			return // judged as unknown, and not kept
		}
		h = &History{}
		b.Tests[key] = h
	}
	h.LastRun = b.Runs
	h.learn(a, call, revision, b.Runs)
	if !a.passed() || a.failed() || call == event.KnownFlaky {
		return
	}
	if h.Time == nil {
		h.Time = &Series{}
	}
	if shift := h.Time.add(a.duration.Seconds(), v.common, revision); shift != nil && shift.After-shift.Before >= minSlower {
		suite, name, _ := strings.Cut(key, "\x1f")
		v.Judgements = append(v.Judgements, event.Judgement{Call: event.Slower, Unit: "s", Shift: shift, LastPass: shift.LastGood, FirstBad: shift.FirstBad,
			Test: &event.TestResult{Suite: suite, Case: name, Status: "pass", Duration: a.duration}})
	}
}

func (b *Baseline) learnFindings(r *Run) {
	now := map[string]int{}
	for _, f := range r.findings {
		r.Ran(f.Tool)
		now[f.Fingerprint]++
		s := b.Findings[f.Fingerprint]
		if s == nil {
			if len(b.Findings) >= maxEntries {
				b.Left++
				continue
			}
			s = &Standing{From: b.Runs}
			b.Findings[f.Fingerprint] = s
		}
		if s.Until > 0 {
			s.From, s.Until = b.Runs, 0
		}
		s.Tool, s.Rule, s.File, s.Line = f.Tool, f.Rule, f.File, f.Line
		if !r.Partial || now[f.Fingerprint] > s.Count {
			s.Count = now[f.Fingerprint]
		}
	}
	for print, s := range b.Findings {
		switch {
		case r.tools[s.Tool] && now[print] == 0 && s.Until == 0 && !r.Partial:
			s.Until = b.Runs
		case s.Until > 0 && b.Runs-s.Until > maxRecent: // no branch that is compared began at it
			delete(b.Findings, print)
		}
	}
	for tool := range r.tools {
		b.Tools[tool] = true
	}
}

func (b *Baseline) learnMeasures(r *Run, v *Verdict) {
	common := b.commonOfMeasures(r)
	for key, m := range r.measures {
		s := b.measure(key)
		if s == nil {
			continue
		}
		beside := common[m.suite]
		if m.alone {
			beside = 0
		}
		shift := s.add(m.cost(), beside, r.Revision)
		if shift == nil || shift.After-shift.Before < m.least {
			continue
		}
		shift.Before, shift.After = m.valueOf(shift.Before), m.valueOf(shift.After)
		if m.percent || m.count {
			shift.Ratio = shift.After / max(shift.Before, 1) // their costs are no values
		}
		v.Judgements = append(v.Judgements, event.Judgement{Call: m.call(), Measure: strings.TrimSpace(m.suite + " " + m.name), Unit: m.unit,
			Shift: shift, LastPass: shift.LastGood, FirstBad: shift.FirstBad})
	}
	for _, c := range v.Coverage {
		if s := b.measure(coverageKey(c.Unit)); s != nil {
			s.Reference = []float64{c.Share}
		}
	}
}

// measure is the series of that key; nil beyond the limit.
func (b *Baseline) measure(key string) *Series {
	s := b.Measures[key]
	if s == nil {
		if len(b.Measures) >= maxEntries {
			b.Left++
			return nil
		}
		s = &Series{}
		b.Measures[key] = s
	}
	return s
}

// commonOfMeasures is, by suite, the log ratio by which its benchmarks moved
// together.
func (b *Baseline) commonOfMeasures(r *Run) map[string]float64 {
	deviations := map[string][]float64{}
	for key, m := range r.measures {
		if s := b.Measures[key]; s != nil && !m.alone {
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
