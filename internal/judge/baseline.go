// Package judge tells what a run's test results, findings and measurements mean
// against the runs before it: a new failure from a flaky test, a slow-down from
// noise. It is pure: a Baseline is what it knows, and a JSON file is its home.
package judge

import (
	"encoding/json"
	"errors"
	"fmt"
	"hash/fnv"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/deployloop/deployloop/internal/cilog"
	"github.com/deployloop/deployloop/internal/event"
	"github.com/deployloop/deployloop/internal/report"
)

// Limits of a baseline. A test that was in none of forgetAfter runs is forgotten;
// beyond maxEntries nothing new is taken in, and Left counts it.
const (
	maxEntries  = 200_000 // tests, findings and measurements, each
	maxFailing  = 50_000  // tests of one run that fail, beyond maxEntries of any result
	maxRecent   = 100     // revisions that a branch may have begun at
	forgetAfter = 200     // runs
	maxFileSize = 512 << 20
	formatNow   = 2
)

// Baseline is what is known of the runs of one branch.
type Baseline struct {
	Format   int                  `json:"format"`
	Revision string               `json:"revision,omitempty"` // of the last run taken in
	Runs     int                  `json:"runs"`
	Recent   []string             `json:"recent,omitempty"` // revisions of the last runs, the newest last
	Tests    map[string]*History  `json:"tests,omitempty"`
	Findings map[string]*Standing `json:"findings,omitempty"` // by fingerprint
	Tools    map[string]bool      `json:"tools,omitempty"`    // that findings came from
	Measures map[string]*Series   `json:"measures,omitempty"` // benchmarks, durations and coverage
	Left     int                  `json:"left_out,omitempty"` // entries beyond the limit, never taken in
	// Logs is what the last log of each job that passed left behind.
	Logs map[string]*cilog.Baseline `json:"logs,omitempty"`
}

// maxLogs bounds the jobs whose logs are known.
const maxLogs = 100

// LearnLog takes in the log of a job that passed, in place of the one before.
func (b *Baseline) LearnLog(job string, log *cilog.Baseline) {
	if b.Logs == nil {
		b.Logs = map[string]*cilog.Baseline{}
	}
	if _, known := b.Logs[job]; !known && len(b.Logs) >= maxLogs {
		b.Left++
		return
	}
	b.Logs[job] = log
}

// Standing is a finding that stands, or stood not long ago.
type Standing struct {
	Tool  string `json:"tool,omitempty"`
	Rule  string `json:"rule"`
	File  string `json:"file,omitempty"`
	Line  int    `json:"line,omitempty"`
	Count int    `json:"count"`           // in the run that told of it last
	From  int    `json:"from"`            // run that it came with
	Until int    `json:"until,omitempty"` // run that no longer had it; 0: it stands
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
	BadFrom   int     `json:"bad_from,omitempty"`  // run that the last real failure began with
	BadUntil  int     `json:"bad_until,omitempty"` // run that it was gone in
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

// fill makes the maps that are not there, and drops what is null in a file.
func (b *Baseline) fill() {
	b.Logs = without(b.Logs)
	b.Tests, b.Findings, b.Measures = without(b.Tests), without(b.Findings), without(b.Measures)
	if b.Tools == nil {
		b.Tools = map[string]bool{}
	}
}

func without[T any](m map[string]*T) map[string]*T {
	if m == nil {
		return map[string]*T{}
	}
	for key, value := range m {
		if value == nil {
			delete(m, key)
		}
	}
	return m
}

// runAt is the number of the last run that a branch from base has in it; for a
// base that is not known, the last run.
func (b *Baseline) runAt(base string) int {
	if len(base) >= minAbbreviation {
		for i, revision := range slices.Backward(b.Recent) {
			if strings.HasPrefix(revision, base) || len(revision) >= minAbbreviation && strings.HasPrefix(base, revision) {
				return b.Runs - (len(b.Recent) - 1 - i)
			}
		}
	}
	return b.Runs
}

const minAbbreviation = 7

// Read reads a baseline file; one that does not exist yet gives an empty baseline.
func Read(path string) (*Baseline, error) {
	f, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return NewBaseline(), nil
	} else if err != nil {
		return nil, err
	}
	defer f.Close()
	b, err := Decode(io.LimitReader(f, maxFileSize))
	if err != nil {
		return nil, fmt.Errorf("%s %w; delete it to begin anew", path, err)
	}
	return b, nil
}

// Decode reads a baseline's JSON.
func Decode(r io.Reader) (*Baseline, error) {
	b := &Baseline{}
	if err := json.NewDecoder(r).Decode(b); err != nil {
		return nil, fmt.Errorf("is no baseline: %w", err)
	}
	if b.Format != formatNow {
		return nil, fmt.Errorf("has format %d, this deployloop reads %d", b.Format, formatNow)
	}
	b.fill()
	return b, nil
}

// Write replaces the baseline file as one step, so that a crash leaves the old one.
// Its folder need not be there yet.
func (b *Baseline) Write(path string) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
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
	tools    map[string]bool   // that ran, with findings or without
	seen     map[uint64]bool   // results by their id
	passed   int               // tests that only passed
	failed   int               // tests that failed, if only at one of their attempts
	Left     int               // beyond the limit

	// Partial: some results are known to be missing, of a report that breaks off or
	// a package that panicked, say. Then what is not there says nothing.
	Partial bool
}

// attempt joins what one run says of one test: some runners try again.
type attempt struct {
	failure       *event.TestResult // the first
	duration      time.Duration     // of the last that passed
	passes, fails int
}

func (a *attempt) passed() bool { return a.passes > 0 }
func (a *attempt) failed() bool { return a.fails > 0 }

// NewRun is a run that nothing was said of yet.
func NewRun(revision string) *Run {
	return &Run{Revision: revision, tests: map[string]*attempt{}, measures: map[string]measure{}, covered: map[string][2]int{}, tools: map[string]bool{}, seen: map[uint64]bool{}}
}

// repeated tells whether a result with that id is in the run already: a sender that
// was told to send again cannot know what was taken.
func (r *Run) repeated(id string) bool {
	if id == "" {
		return false
	}
	h := fnv.New64a()
	_, _ = io.WriteString(h, id)
	if r.seen[h.Sum64()] {
		return true
	}
	if len(r.seen) < maxEntries {
		r.seen[h.Sum64()] = true
	}
	return false
}

// Ran notes that a tool ran, whether it found something or not.
func (r *Run) Ran(tool string) {
	if len(r.tools) < event.MaxReportNames {
		r.tools[tool] = true
	}
}

// Ended takes in how a report was read: which tools ran, and whether all of it is
// known.
func (r *Run) Ended(sum report.Summary) {
	r.Partial = r.Partial || sum.Broken
	for _, tool := range sum.Tools {
		r.Ran(tool)
	}
}

// Expect has findings of a tool judged from its first run on.
func (b *Baseline) Expect(tool string) { b.Tools[tool] = true }

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
		m := newMeasure(b.Suite, b.Name, b.Value, b.Unit)
		// The best of several counts disturbs least.
		if known && (m.higherBetter && was.value > m.value || !m.higherBetter && was.value < m.value) {
			m = was
		}
		r.measures[key] = m
	case i.Cut != "":
		r.Partial = true
	case i.Coverage != nil:
		sum := r.covered[i.Coverage.Unit]
		r.covered[i.Coverage.Unit] = [2]int{sum[0] + i.Coverage.Covered, sum[1] + i.Coverage.Total}
	}
}

// addTest takes in one result and gives all that the run says of the test.
func (r *Run) addTest(t event.TestResult) *attempt {
	key := Key(t.Suite, t.Case)
	a := r.tests[key]
	if a == nil {
		if n := len(r.tests); n >= maxEntries && (!report.Failed(t.Status) || n >= maxEntries+maxFailing) {
			r.Left++
			return &attempt{}
		}
		a = &attempt{}
		r.tests[key] = a
		r.order = append(r.order, key)
	}
	r.count(a, -1)
	switch {
	case report.Failed(t.Status):
		if a.fails++; a.failure == nil {
			a.failure = &t
		}
	case t.Status == "pass":
		a.passes++
		a.duration = t.Duration
	}
	r.count(a, 1)
	return a
}

func (r *Run) count(a *attempt, n int) {
	switch {
	case a.failed():
		r.failed += n
	case a.passed():
		r.passed += n
	}
}

// Tests is how many tests the run has told of, and how many of them failed.
func (r *Run) Tests() (known, failed int) { return len(r.tests), r.failed }

// Size is how much the run holds.
func (r *Run) Size() int { return len(r.tests) + len(r.findings) + len(r.measures) }
