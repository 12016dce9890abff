package report

import (
	"encoding/json"
	"strings"
	"time"

	"github.com/deployloop/deployloop/internal/event"
)

// goEvent is one line of go test -json (go doc test2json) or go build -json.
type goEvent struct {
	Time        time.Time
	Action      string
	Package     string
	ImportPath  string
	Test        string
	Output      string
	Elapsed     float64
	FailedBuild string
}

// goTestEvents is the state of reading go test -json. Tests of many packages run
// at once; each is told as soon as it ends.
type goTestEvents struct {
	p       *parse
	tests   map[[2]string]*goCase // open ones, and packages under ""
	failed  map[string]bool       // packages with a failure that was told
	benches map[[2]string]string  // the begin of a benchmark's line
	builds  map[string]*output    // compiler's words by import path
	bounds  pendingOutput
	named   int         // bytes of the keys of tests
	text    *goTestText // for lines that are no events
	shed    int
	broken  int
}

// Limits of what is held beside open tests.
const (
	maxBenches   = 1000 // benchmarks whose line has begun
	maxBenchLine = 4096 // bytes of it
)

func parseGoTestJSON(p *parse) error {
	g := &goTestEvents{
		p: p, tests: map[[2]string]*goCase{}, failed: map[string]bool{}, benches: map[[2]string]string{},
		builds: map[string]*output{}, text: newGoTestText(p),
	}
	err := lines(p.in, g.line)
	if p.stopped != nil {
		return p.stopped
	}
	for key, c := range g.tests {
		if key[1] != "" && c.status == "" {
			p.cutOff("it ends while %s of %s runs", key[1], key[0])
			break
		}
	}
	if g.broken > 0 {
		p.problem("%d lines are broken events and were left out", g.broken)
	}
	if g.shed > 0 {
		p.problem("%d events beyond %d tests at once, or %d MiB of their names, were left out", g.shed, maxPending, maxPendingNames>>20)
	}
	if last := g.text.finish("", false); last != nil {
		return last
	}
	g.bounds.dropped += g.text.bounds.dropped
	g.text.bounds.dropped = g.bounds.dropped
	g.text.complain()
	return err
}

func (g *goTestEvents) line(line []byte) error {
	if len(line) == 0 {
		return nil
	}
	if line[0] != '{' {
		return g.text.line(string(line))
	}
	var e goEvent
	if json.Unmarshal(line, &e) != nil || e.Action == "" {
		g.broken++
		return nil
	}
	key := [2]string{cut(e.Package, maxName), cut(e.Test, maxName)}
	switch e.Action {
	case "build-output":
		path := cut(e.ImportPath, maxName)
		b := g.builds[path]
		if b == nil && len(g.builds) < maxBuilds {
			b = &output{}
			g.builds[path] = b
		}
		if b != nil {
			g.bounds.add(b, e.Output)
		} else {
			g.text.unheld += len(e.Output)
		}
	case "output":
		return g.output(key, e.Output)
	case "run", "start":
		g.of(key)
	case "pass", "skip", "fail":
		return g.end(key, e)
	}
	return nil
}

// of is the open test, or package, of that name; nil when there are too many.
func (g *goTestEvents) of(key [2]string) *goCase {
	c := g.tests[key]
	if c == nil {
		size := len(key[0]) + len(key[1])
		if len(g.tests) >= maxPending || g.named+size > maxPendingNames {
			g.shed++
			return nil
		}
		g.named += size
		c = &goCase{name: key[1]}
		g.tests[key] = c
	}
	return c
}

// forget the open test, or package, of that name.
func (g *goTestEvents) forget(key [2]string) {
	if c := g.tests[key]; c != nil {
		g.bounds.release(&c.out)
		g.named -= len(key[0]) + len(key[1])
		delete(g.tests, key)
	}
}

func (g *goTestEvents) output(key [2]string, text string) error {
	// A benchmark's line comes in two parts.
	if begun := g.benches[key]; begun != "" || strings.HasPrefix(text, "Benchmark") {
		whole := begun + text
		delete(g.benches, key)
		if !strings.HasSuffix(whole, "\n") {
			if len(whole) < maxBenchLine && len(g.benches) < maxBenches {
				g.benches[key] = whole
				return nil
			}
		} else if found := goBench.FindStringSubmatch(whole); found != nil {
			return g.p.benchmarks(key[0], found)
		}
		text = whole // it was none
	}
	trimmed := strings.TrimSpace(text)
	if key[1] == "" && trimmed == "FAIL" { // the test binary's own last word
		if c := g.of(key); c != nil {
			c.whole = true
		}
	}
	switch {
	case strings.HasPrefix(text, "=== "), goResult.MatchString(trimmed) && strings.HasPrefix(trimmed, "--- "),
		key[1] == "" && (trimmed == "PASS" || trimmed == "FAIL" || strings.HasPrefix(text, "FAIL\t") || strings.HasPrefix(text, "ok  \t") ||
			strings.HasPrefix(text, "exit status ") || strings.HasPrefix(text, "goos: ") || strings.HasPrefix(text, "goarch: ") || strings.HasPrefix(text, "pkg: ") || strings.HasPrefix(text, "coverage: ")):
		return nil
	}
	if c := g.of(key); c != nil {
		g.bounds.add(&c.out, text)
	}
	return nil
}

func (g *goTestEvents) end(key [2]string, e goEvent) error {
	c := g.tests[key]
	g.forget(key)
	delete(g.benches, key)
	if c == nil {
		c = &goCase{}
	}
	t := event.TestResult{Suite: key[0], Case: key[1], Status: e.Action, Duration: junitDuration(e.Elapsed), At: e.Time.UTC()}
	if e.Time.IsZero() {
		t.At = time.Time{}
	}
	if key[1] == "" { // a package
		told := g.failed[key[0]]
		delete(g.failed, key[0])
		if err := g.abandoned(key[0], e.Action == "fail", &told, c, t); err != nil {
			return err
		}
		if e.Action == "fail" && !c.whole {
			if err := g.p.emit(Item{Cut: key[0]}); err != nil {
				return err
			}
		}
		if e.Action != "fail" || told {
			return nil
		}
		t.Case, t.Status = "[package failed]", erred
		if b := g.builds[cut(e.FailedBuild, maxName)]; e.FailedBuild != "" {
			t.Case = "[build failed]"
			if b != nil {
				explain(&t, b.String())
				return g.p.test(t)
			}
		}
		explain(&t, c.out.String())
		return g.p.test(t)
	}
	if e.Action == "pass" && strings.HasPrefix(key[1], "Benchmark") {
		return nil // it is told by its values
	}
	if e.Action == "fail" && len(g.failed) < maxBuilds {
		g.failed[key[0]] = true
	}
	if t.Status != pass {
		explain(&t, c.out.String())
	}
	return g.p.test(t)
}

// abandoned ends the tests that were open when their package ended.
func (g *goTestEvents) abandoned(suite string, failed bool, told *bool, pkg *goCase, like event.TestResult) error {
	for key, c := range g.tests {
		if key[0] != suite || key[1] == "" {
			continue
		}
		g.forget(key)
		if !failed || strings.HasPrefix(key[1], "Benchmark") && c.out.Len() == 0 {
			continue
		}
		t := like
		t.Case, t.Status = key[1], fail
		if c.out.Len() == 0 {
			c.out = pkg.out
		}
		explain(&t, c.out.String())
		*told = true
		if err := g.p.test(t); err != nil {
			return err
		}
	}
	return nil
}

func junitDuration(seconds float64) time.Duration {
	if !(seconds >= 0) || seconds > 1e9 {
		return 0
	}
	return time.Duration(seconds * float64(time.Second))
}
