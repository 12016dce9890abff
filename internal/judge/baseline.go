// Package judge tells what a run's test results, findings and measurements mean
// against the runs before it: a new failure from a flaky test, a slow-down from
// noise. It is pure: a Baseline is what it knows, and a JSON file is its home.
package judge

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/deployloop/deployloop/internal/event"
	"github.com/deployloop/deployloop/internal/report"
)

// Limits of a baseline.
const (
	maxEntries  = 200_000 // tests, findings and measurements, each
	maxFileSize = 512 << 20
	formatNow   = 1
)

// Baseline is what is known of the runs of one branch.
type Baseline struct {
	Format   int                 `json:"format"`
	Revision string              `json:"revision,omitempty"` // of the last run taken in
	Runs     int                 `json:"runs"`
	Tests    map[string]*History `json:"tests,omitempty"`
	Findings map[string]int      `json:"findings,omitempty"` // how often each fingerprint stood in the last run
	Tools    map[string]bool     `json:"tools,omitempty"`    // that findings came from
	Named    map[string]Finding  `json:"named,omitempty"`    // findings by fingerprint, to name the fixed ones
	Measures map[string]*Series  `json:"measures,omitempty"` // benchmarks and coverage
	Left     int                 `json:"left_out,omitempty"` // entries beyond the limit, never taken in
}

// Finding is as much of a finding as names it.
type Finding struct {
	Tool string `json:"tool,omitempty"`
	Rule string `json:"rule"`
	File string `json:"file,omitempty"`
	Line int    `json:"line,omitempty"`
}

// History is one test's past.
type History struct {
	Runs      int     `json:"runs"`                // in which it passed or failed
	Passes    int     `json:"passes"`              //
	Flakes    int     `json:"flakes,omitempty"`    // failures that went away by themselves: see maxEpisode
	Streak    int     `json:"streak,omitempty"`    // runs in a row that it failed in, up to the last
	Failures  int     `json:"failures,omitempty"`  // in those, with the attempts again in one run
	Confirmed bool    `json:"confirmed,omitempty"` // in one of those it failed again when it was run again
	Broken    bool    `json:"broken,omitempty"`    // the streak was judged a real failure
	LastRun   int     `json:"last_run"`            // number of the run that had it last
	LastPass  string  `json:"last_pass,omitempty"` // the revision it passed at last
	FirstBad  string  `json:"first_bad,omitempty"` // the revision that the streak began at
	Time      *Series `json:"time,omitempty"`      // seconds of passing runs
}

// NewBaseline knows nothing.
func NewBaseline() *Baseline {
	b := &Baseline{Format: formatNow}
	b.fill()
	return b
}

func (b *Baseline) fill() {
	if b.Tests == nil {
		b.Tests = map[string]*History{}
	}
	if b.Findings == nil {
		b.Findings = map[string]int{}
	}
	if b.Tools == nil {
		b.Tools = map[string]bool{}
	}
	if b.Named == nil {
		b.Named = map[string]Finding{}
	}
	if b.Measures == nil {
		b.Measures = map[string]*Series{}
	}
}

// Read reads a baseline file; one that does not exist yet gives an empty baseline.
func Read(path string) (*Baseline, error) {
	f, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return NewBaseline(), nil
	} else if err != nil {
		return nil, err
	}
	defer f.Close()
	b := &Baseline{}
	if err := json.NewDecoder(io.LimitReader(f, maxFileSize)).Decode(b); err != nil {
		return nil, fmt.Errorf("%s is no baseline: %w; delete it to begin anew", path, err)
	}
	if b.Format != formatNow {
		return nil, fmt.Errorf("%s has format %d, this deployloop reads %d; delete it to begin anew", path, b.Format, formatNow)
	}
	b.fill()
	for name, h := range b.Tests {
		if h == nil {
			delete(b.Tests, name)
		}
	}
	for name, s := range b.Measures {
		if s == nil {
			delete(b.Measures, name)
		}
	}
	return b, nil
}

// Write replaces the baseline file as one step, so that a crash leaves the old one.
func (b *Baseline) Write(path string) error {
	f, err := os.CreateTemp(filepath.Dir(path), filepath.Base(path)+".*")
	if err != nil {
		return err
	}
	defer os.Remove(f.Name()) // fails when it was renamed
	if err := errors.Join(f.Chmod(0o644), json.NewEncoder(f).Encode(b), f.Close()); err != nil {
		return err
	}
	return os.Rename(f.Name(), path)
}

// Run is one run's results, as reports gave them.
type Run struct {
	Revision string
	tests    map[string]*attempt
	order    []string
	findings []event.Finding
	measures map[string]measure
	covered  map[string][2]int // by unit: covered, total
	Left     int               // beyond the limit
}

// attempt joins what one run says of one test: some runners try again.
type attempt struct {
	result        event.TestResult // the first failure, else the last word
	passes, fails int
}

func (a *attempt) passed() bool { return a.passes > 0 }
func (a *attempt) failed() bool { return a.fails > 0 }

type measure struct {
	value             float64
	unit, suite, name string
	higherBetter      bool
}

// cost is the value, or its inverse where more is better: a larger one is worse.
func (m measure) cost() float64 {
	if m.higherBetter && m.value > 0 {
		return 1 / m.value
	}
	return m.value
}

// NewRun is a run that nothing was said of yet.
func NewRun(revision string) *Run {
	return &Run{Revision: revision, tests: map[string]*attempt{}, measures: map[string]measure{}, covered: map[string][2]int{}}
}

// Key names a test across runs.
func Key(suite, name string) string { return suite + "\x1f" + name }

// Add takes in what a report says.
func (r *Run) Add(i report.Item) {
	switch {
	case i.Test != nil:
		r.addTest(*i.Test)
	case i.Finding != nil:
		if len(r.findings) >= maxEntries {
			r.Left++
			return
		}
		r.findings = append(r.findings, *i.Finding)
	case i.Benchmark != nil:
		b := i.Benchmark
		key := Key(b.Suite, b.Name) + "\x1f" + b.Unit
		was, known := r.measures[key]
		if !known && len(r.measures) >= maxEntries {
			r.Left++
			return
		}
		m := measure{value: b.Value, unit: b.Unit, suite: b.Suite, name: b.Name, higherBetter: higherIsBetter(b.Unit)}
		// The best of several counts disturbs least.
		if known && (m.higherBetter && was.value > m.value || !m.higherBetter && was.value < m.value) {
			m = was
		}
		r.measures[key] = m
	case i.Coverage != nil:
		sum := r.covered[i.Coverage.Unit]
		r.covered[i.Coverage.Unit] = [2]int{sum[0] + i.Coverage.Covered, sum[1] + i.Coverage.Total}
	}
}

func (r *Run) addTest(t event.TestResult) {
	key := Key(t.Suite, t.Case)
	a := r.tests[key]
	if a == nil {
		if len(r.tests) >= maxEntries {
			r.Left++
			return
		}
		a = &attempt{result: t}
		r.tests[key] = a
		r.order = append(r.order, key)
	}
	if !a.failed() {
		a.result = t
	}
	switch {
	case report.Failed(t.Status):
		a.fails++
	case t.Status == "pass":
		a.passes++
	}
}
