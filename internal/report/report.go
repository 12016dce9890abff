// Package report reads what builds and tests leave behind: JUnit XML in its
// dialects, go test output (text and JSON), SARIF, coverage, benchmarks.
//
// Every parser streams: memory does not grow with the report, because text is
// cut where it enters (xml_guard.go, json_guard.go, lines.go) and every map has
// a limit. A broken report costs only what comes after the break: what could be
// read was emitted, and the Summary names the rest.
package report

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/deployloop/deployloop/internal/event"
	"github.com/deployloop/deployloop/internal/redact"
)

// Kind is a report's format.
type Kind string

// The kinds that Parse reads.
const (
	JUnit      Kind = "junit"
	GoTest     Kind = "gotest"      // text of go test, with or without -v or -bench
	GoTestJSON Kind = "gotest-json" // go test -json
	SARIF      Kind = "sarif"
	GoCover    Kind = "go-coverage"
	Cobertura  Kind = "cobertura"
	LCOV       Kind = "lcov"
	BenchJSON  Kind = "bench-json"
	Events     Kind = "events" // deployloop's own, one JSON object a line
	Log        Kind = "log"    // what a build printed; never detected, since any text could be one
)

// parsers by kind.
var parsers = map[Kind]func(*parse) error{
	JUnit: parseJUnit, GoTest: parseGoTest, GoTestJSON: parseGoTestJSON, SARIF: parseSARIF,
	GoCover: parseGoCover, Cobertura: parseCobertura, LCOV: parseLCOV, BenchJSON: parseBenchJSON,
	Events: parseEvents, Log: parseLog,
}

// Kinds are all kinds, in the order in which help texts list them.
func Kinds() []Kind {
	return []Kind{JUnit, GoTest, GoTestJSON, SARIF, GoCover, Cobertura, LCOV, BenchJSON, Events, Log}
}

// ParseKind is the kind of that name; "" means detect.
func ParseKind(name string) (Kind, error) {
	if _, known := parsers[Kind(name)]; known || name == "" {
		return Kind(name), nil
	}
	return "", fmt.Errorf("kind %q is none of %v", name, Kinds())
}

// Item is one thing that a report says: exactly one field is set.
type Item struct {
	Test      *event.TestResult
	Finding   *event.Finding
	Coverage  *Coverage
	Benchmark *Benchmark
	Run       *event.PipelineRun
	Report    *event.Report // of events: whether they are all that there were
	// Cut is a package of go test that failed and did not come to its end: tests
	// after the one that panicked, or ran out of time, did not run.
	Cut string
}

// Coverage is how much of one file the tests ran.
type Coverage struct {
	File    string `json:"file"`
	Covered int    `json:"covered"`
	Total   int    `json:"total"`
	Unit    string `json:"unit"` // statements | lines
}

// Benchmark is one measured value of one benchmark.
type Benchmark struct {
	Suite string  `json:"suite,omitempty"` // the Go package
	Name  string  `json:"name"`
	Value float64 `json:"value"`
	Unit  string  `json:"unit"` // as told: ns/op, B/op, MB/s, …
}

// Summary is what was read, and what could not be.
type Summary struct {
	Kind       Kind     `json:"kind"`
	Bytes      int64    `json:"bytes"` // of text, after its encoding
	Tests      int      `json:"tests,omitempty"`
	Failures   int      `json:"failures,omitempty"` // of Tests: fail or error
	Findings   int      `json:"findings,omitempty"`
	Suppressed int      `json:"suppressed,omitempty"` // findings that the tool itself holds for no problem
	Coverage   int      `json:"coverage_files,omitempty"`
	Benchmarks int      `json:"benchmarks,omitempty"`
	Runs       int      `json:"runs,omitempty"`
	Tools      []string `json:"tools,omitempty"`    // that ran, with findings or without; at most event.MaxReportNames
	Broken     bool     `json:"broken,omitempty"`   // it breaks off: the last of Problems says where
	Problems   []string `json:"problems,omitempty"` // what was not read, and why; at most maxProblems
	Omitted    int      `json:"problems_omitted,omitempty"`
}

// Items is how many things were read.
func (s Summary) Items() int {
	return s.Tests + s.Findings + s.Suppressed + s.Coverage + s.Benchmarks + s.Runs
}

const (
	maxProblems = 20
	maxName     = 1 << 10  // bytes of a name, path or rule
	maxMessage  = 4 << 10  // bytes of a message
	maxStack    = 16 << 10 // bytes of a stack trace
)

// Source is what a report does not say itself and its sender knows.
type Source struct {
	Repository, Revision, RunID string
	Ref, Base                   string    // branch, and the revision it is compared with
	Root                        string    // folder of the sources, below which files are told by their path from there; "": not known
	At                          time.Time // stands in for times that the report lacks
	Job                         Job       // whose log it is; of no other kind
}

// ErrUnknownKind is wrapped when a report's kind cannot be told from its begin.
var ErrUnknownKind = errors.New("this is no report of a known kind")

// Parse reads one report and gives each thing it says to emit, in order. kind ""
// is detected. The error is emit's own, or says why nothing at all could be
// read; a report that breaks off later is no error but a problem in Summary.
func Parse(r io.Reader, kind Kind, source Source, emit func(Item) error) (Summary, error) {
	text := &counter{r: decoded(r)}
	in := bufio.NewReaderSize(text, detectWindow)
	if kind == "" {
		head, err := in.Peek(detectWindow)
		if kind = detect(head); kind == "" {
			if err != nil && !errors.Is(err, io.EOF) {
				return Summary{}, fmt.Errorf("it could not be read: %w", err)
			}
			return Summary{}, unknownKind(head)
		}
	}
	p := &parse{in: in, source: source, out: emit, sum: Summary{Kind: kind}}
	err := parsers[kind](p)
	p.sum.Bytes = text.n
	if p.stopped != nil {
		return p.sum, p.stopped
	}
	if err != nil && p.sum.Items() == 0 {
		p.sum.Tools = nil // that none found anything is not known
		return p.sum, fmt.Errorf("%s: %w", kind, err)
	}
	if err != nil {
		p.problem("%v; what came after it was not read", err)
		p.sum.Broken = true
	}
	return p.sum, nil
}

// parse is one report on its way.
type parse struct {
	in      *bufio.Reader
	source  Source
	out     func(Item) error
	stopped error // emit's
	sum     Summary
}

// problem names what was not read.
func (p *parse) problem(format string, args ...any) {
	if len(p.sum.Problems) == maxProblems {
		p.sum.Omitted++
		return
	}
	p.sum.Problems = append(p.sum.Problems, cut(printable(fmt.Sprintf(format, args...)), maxName))
}

// cutOff names what the report's early end left incomplete.
func (p *parse) cutOff(format string, args ...any) {
	p.sum.Broken = true
	p.problem(format+": it is cut off", args...)
}

func (p *parse) emit(i Item) error {
	if err := p.out(i); err != nil {
		p.stopped = err
		return err
	}
	return nil
}

func (p *parse) test(t event.TestResult) error {
	t.Suite, t.Case = cut(t.Suite, maxName), cut(t.Case, maxName)
	t.File = cut(t.File, maxName)
	t.Message, t.Stacktrace = cut(redact.Text(t.Message), maxMessage), cut(redact.Text(t.Stacktrace), maxStack) // they go to pull requests and alerts
	p.sum.Tests++
	if Failed(t.Status) {
		p.sum.Failures++
		locate(&t)
	}
	p.source.Own(&t)
	return p.emit(Item{Test: &t})
}

func (p *parse) finding(f event.Finding) error {
	f.Tool, f.Rule, f.File = cut(f.Tool, maxName), cut(f.Rule, maxName), cut(f.File, maxName)
	if message := redact.Text(f.Message); message != f.Message { // of which a tool's fingerprint may be made
		f.Message, f.Fingerprint = message, strings.ReplaceAll(f.Fingerprint, f.Message, message)
	}
	f.Message, f.Fingerprint = cut(f.Message, maxMessage), cut(f.Fingerprint, maxName)
	p.source.own(&f)
	p.sum.Findings++
	p.ran(f.Tool)
	return p.emit(Item{Finding: &f})
}

// ran notes that a tool ran.
func (p *parse) ran(tool string) {
	if tool = cut(tool, maxName); len(p.sum.Tools) < event.MaxReportNames && !slices.Contains(p.sum.Tools, tool) {
		p.sum.Tools = append(p.sum.Tools, tool)
	}
}

func (p *parse) coverage(c Coverage) error {
	c.File = p.source.relative(cut(c.File, maxName))
	p.sum.Coverage++
	return p.emit(Item{Coverage: &c})
}

func (p *parse) benchmark(b Benchmark) error {
	b.Suite, b.Name, b.Unit = cut(b.Suite, maxName), cut(b.Name, maxName), cut(b.Unit, maxName)
	p.sum.Benchmarks++
	return p.emit(Item{Benchmark: &b})
}

// The statuses of a test, as event.TestResult has them.
const (
	pass  = "pass"
	fail  = "fail"
	skip  = "skip"
	erred = "error"
)

// Failed tells whether a test of this status did not do what it should.
func Failed(status string) bool { return status == fail || status == erred }
