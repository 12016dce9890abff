package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"

	"github.com/deployloop/deployloop/internal/judge"
	"github.com/deployloop/deployloop/internal/report"
)

// benchRun is one run of a project's benchmarks, as its CI kept it.
type benchRun struct {
	commit  string
	benches []report.Benchmark
}

// seriesResult is how benchmark series of one project are judged.
type seriesResult struct {
	file           string
	suites, runs   int
	points, blamed int
	ruled          int            // by the rule that benchmark actions come with
	slowed         []slowedResult // slow-downs that were put in
}

type slowedResult struct {
	ratio               float64
	tried, found, ruled int
}

const (
	ruleRatio    = 2.0 // of the value before: the default of benchmark actions
	slowedWithin = 10  // runs
	slowedTries  = 20  // a suite
)

// benchmarkSeries judges recorded benchmarks run after run, as
// `deployloop report` does, and then with slow-downs put in.
func benchmarkSeries(root string, seed uint64) ([]seriesResult, error) {
	var out []seriesResult
	for _, name := range []string{"gha-benchmark.jsonl", "otel-js.jsonl"} {
		suites, runs, err := readSeries(filepath.Join(root, "data", "series", name))
		if err != nil {
			return nil, err
		}
		r := seriesResult{file: name, suites: len(suites)}
		for _, suite := range suites {
			b, last := judge.NewBaseline(), map[string]float64{}
			for _, run := range runs[suite] {
				r.runs++
				r.points += len(run.benches)
				r.blamed += len(b.Judge(run.measured("", 1)).Judgements)
				for _, m := range run.benches {
					if ruledSlower(last[m.Name], m) {
						r.ruled++
					}
					last[m.Name] = m.Value
				}
			}
		}
		for _, ratio := range []float64{1.2, 1.3, 1.5, 2} {
			s, rng := slowedResult{ratio: ratio}, rand.New(rand.NewPCG(seed, 7))
			for _, suite := range suites {
				list := runs[suite]
				if len(list) < 60 {
					continue
				}
				for range slowedTries {
					s.tried++
					found, ruled := slowDown(list, 30+rng.IntN(len(list)-45), ratio)
					if found {
						s.found++
					}
					if ruled {
						s.ruled++
					}
				}
			}
			r.slowed = append(r.slowed, s)
		}
		out = append(out, r)
	}
	return out, nil
}

// readSeries reads the runs of a file, by suite in their order.
func readSeries(path string) (suites []string, runs map[string][]benchRun, err error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, nil, err
	}
	defer f.Close()
	runs = map[string][]benchRun{}
	lines := bufio.NewScanner(f)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		var r struct {
			Suite   string
			Commit  struct{ ID string }
			Benches [][5]any
		}
		if err := json.Unmarshal(lines.Bytes(), &r); err != nil {
			return nil, nil, fmt.Errorf("%s: %w", path, err)
		}
		run := benchRun{commit: r.Commit.ID}
		for _, b := range r.Benches {
			value, _ := b[1].(float64)
			run.benches = append(run.benches, report.Benchmark{Suite: r.Suite, Name: fmt.Sprint(b[0]), Value: value, Unit: fmt.Sprint(b[2])})
		}
		if runs[r.Suite] == nil {
			suites = append(suites, r.Suite)
		}
		runs[r.Suite] = append(runs[r.Suite], run)
	}
	return suites, runs, lines.Err()
}

// measured is the run for the judge, one benchmark of it slower by a factor.
func (r *benchRun) measured(slower string, ratio float64) *judge.Run {
	out := judge.NewRun(r.commit)
	for _, b := range r.benches {
		if b.Name == slower {
			b.Value = slowedValue(b, ratio)
		}
		out.Add(report.Item{Benchmark: &b})
	}
	return out
}

// perSecond says whether a larger value is better.
func perSecond(unit string) bool {
	return strings.HasSuffix(unit, "/s") || strings.HasSuffix(unit, "/sec")
}

func slowedValue(b report.Benchmark, ratio float64) float64 {
	if perSecond(b.Unit) {
		return b.Value / ratio
	}
	return b.Value * ratio
}

// ruledSlower is the rule: twice as slow as the last time.
func ruledSlower(last float64, b report.Benchmark) bool {
	switch {
	case last <= 0 || b.Value <= 0:
		return false
	case perSecond(b.Unit):
		return last > ruleRatio*b.Value
	}
	return b.Value > ruleRatio*last
}

// slowDown puts a slow-down of the first benchmark into the runs from at on, and
// says whether it is told within ten runs, by us and by the rule.
func slowDown(runs []benchRun, at int, ratio float64) (found, ruled bool) {
	if len(runs[at].benches) == 0 {
		return false, false
	}
	name := runs[at].benches[0].Name
	for _, b := range runs[at].benches {
		name = min(name, b.Name)
	}
	b, last := judge.NewBaseline(), 0.
	for n := range runs[:at+slowedWithin] {
		slower := 1.
		if n >= at {
			slower = ratio
		}
		for _, j := range b.Judge(runs[n].measured(name, slower)).Judgements {
			found = found || n >= at && strings.HasSuffix(j.Measure, " "+name)
		}
		for _, m := range runs[n].benches {
			if m.Name == name {
				m.Value = slowedValue(m, slower)
				ruled = ruled || n >= at && ruledSlower(last, m)
				last = m.Value
			}
		}
	}
	return found, ruled
}

func reportSeries(p func(string, ...any), list []seriesResult) {
	p("## Benchmarks of commits")
	p("")
	p("Two projects' benchmarks as their CI kept them, judged run after run (`docs/builds.md`). In gha-benchmark the benchmarked code hardly changes, so whoever is blamed is blamed wrongly; what is blamed in otel-js may be real. Then one benchmark is slowed from a random run on (%d times a suite of 60 runs or more) and must be told within %d runs. Beside it the rule that benchmark actions come with: %.0f× the value of the last run.", slowedTries, slowedWithin, ruleRatio)
	p("")
	p("| series | runs | measurements | blamed, of 10 000 [Wilson 95 %%] | by the rule | slowed × 1.2 | × 1.3 | × 1.5 | × 2 | by the rule, × 2 |")
	p("|---|---|---|---|---|---|---|---|---|---|")
	for _, r := range list {
		lo, hi := wilson(r.blamed, r.points)
		cells := ""
		for _, s := range r.slowed {
			cells += fmt.Sprintf(" %d of %d |", s.found, s.tried)
		}
		last := r.slowed[len(r.slowed)-1]
		p("| %s | %d of %d suites | %d | %d: %.1f [%.1f, %.1f] | %d: %.1f |%s %d of %d |", r.file, r.runs, r.suites, r.points,
			r.blamed, 1e4*float64(r.blamed)/float64(r.points), 1e4*lo, 1e4*hi, r.ruled, 1e4*float64(r.ruled)/float64(r.points), cells, last.ruled, last.tried)
	}
	p("")
}
