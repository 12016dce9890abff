package report

import (
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/deployloop/deployloop/internal/event"
)

// Lines of go test. A test that prints without a line end pushes "--- PASS" to
// the middle of a line, so that is looked for anywhere.
var (
	goRun     = regexp.MustCompile(`^=== (RUN|PAUSE|CONT|NAME)\s+(\S.*)$`)
	goResult  = regexp.MustCompile(`--- (PASS|FAIL|SKIP|BENCH): (\S+)(?: \(([\d.]+) ?s(?:econds)?\))?$`)
	goPackage = regexp.MustCompile(`^(ok|FAIL|\?) {0,8}[\t ]\s*(\S+)(?:\s+(.*))?$`)
	goBuild   = regexp.MustCompile(`^# (\S+)(?: \[.*\])?$`)
	goBench   = regexp.MustCompile(`^(Benchmark\S*)\s+\d+((?:\s+[\d.e+-]+ \S+)+)`)
	goValue   = regexp.MustCompile(`([\d.e+-]+) (\S+)`)
	goLog     = regexp.MustCompile(`^\s*(\S+\.go):(\d+)(?::\d+)?: ?(.*)$`)
	goProcs   = regexp.MustCompile(`-\d+$`)
)

// Limits of what is held till its package, or its test, ends.
const (
	maxPending      = 20_000   // tests
	maxPendingNames = 4 << 20  // bytes of their names together
	maxAllOutput    = 16 << 20 // bytes of their output together
	maxBuilds       = 5000     // packages that did not build; of JSON, or have a test that failed
)

// output is what one test printed: its first bytes, to a limit.
type output struct{ text []byte }

func (o *output) Len() int       { return len(o.text) }
func (o *output) String() string { return string(o.text) }
func (o *output) Reset()         { o.text = nil }

// pendingOutput bounds all outputs of a report together.
type pendingOutput struct{ held, dropped int }

func (p *pendingOutput) add(o *output, line string) {
	room := min(maxStack-o.Len(), maxAllOutput-p.held)
	if room <= 0 {
		p.dropped += len(line)
		return
	}
	kept := line[:min(len(line), room)]
	o.text = append(o.text, kept...)
	p.held += len(kept)
}

func (p *pendingOutput) release(o *output) { p.held -= o.Len() }

// goTestText is the state of reading the text of go test: tests wait for the
// line that names their package.
type goTestText struct {
	p       *parse
	tests   []*goCase
	named   int                // bytes of their names
	open    map[string]*goCase // the latest run of each name
	current *goCase            // whose output the next line is
	suite   string             // of "pkg:", which a benchmark prints
	builds  map[string]*output // compiler's words by package
	build   *output
	beyond  output // build, of a package beyond maxBuilds: it stays empty
	loose   output // belongs to no test
	bounds  pendingOutput
	unheld  int // bytes of packages beyond
	early   bool
	whole   bool // the test binary said FAIL itself, and nothing of its own since
}

type goCase struct {
	name, status string
	took         time.Duration
	out          output
	whole        bool // of a package: it came to its end
}

func parseGoTest(p *parse) error {
	g := newGoTestText(p)
	err := lines(p.in, func(line []byte) error { return g.line(string(line)) })
	if p.stopped != nil {
		return p.stopped
	}
	if last := g.finish("", false); last != nil {
		return last
	}
	g.complain()
	return err
}

func newGoTestText(p *parse) *goTestText {
	return &goTestText{p: p, open: map[string]*goCase{}, builds: map[string]*output{}}
}

func (g *goTestText) complain() {
	if g.bounds.dropped > 0 {
		g.p.problem("%d bytes of output beyond %d KiB a test were left out", g.bounds.dropped, maxStack>>10)
	}
	if g.unheld > 0 {
		g.p.problem("%d bytes of output of packages that did not build, beyond the first %d of them, were left out", g.unheld, maxBuilds)
	}
	if g.early {
		g.p.problem("more than %d tests of one package, or %d MiB of their names: some were told without its name", maxPending, maxPendingNames>>20)
	}
}

func (g *goTestText) line(line string) error {
	if found := goRun.FindStringSubmatch(line); found != nil {
		g.build = nil
		if found[1] == "RUN" {
			return g.begin(found[2])
		}
		g.current = g.open[cut(found[2], maxName)]
		return nil
	}
	if found := goResult.FindStringSubmatch(line); found != nil {
		return g.result(found, line)
	}
	if found := goPackage.FindStringSubmatch(line); found != nil && packageLine(found) {
		return g.pkg(found[1], found[2], found[3])
	}
	if !strings.HasPrefix(line, "coverage: ") && !strings.HasPrefix(line, "exit status ") {
		g.whole = line == "FAIL"
	}
	if found := goBuild.FindStringSubmatch(line); found != nil {
		g.build = g.buildOf(cut(strings.Trim(found[1], "[]"), maxName)) // vet's words stand below "# [p]"
		return nil
	}
	if found := goBench.FindStringSubmatch(line); found != nil {
		return g.p.benchmarks(g.suite, found)
	}
	switch {
	case strings.HasPrefix(line, "pkg: "):
		g.suite = cut(strings.TrimSpace(line[5:]), maxName)
	case line == "PASS" || line == "FAIL" || strings.HasPrefix(line, "coverage: ") || strings.HasPrefix(line, "exit status "):
		g.current, g.build = nil, nil
	case strings.HasPrefix(line, "goos: ") || strings.HasPrefix(line, "goarch: ") || strings.HasPrefix(line, "cpu: "):
	case g.build == &g.beyond:
		g.unheld += len(line) + 1
	case g.build != nil:
		g.bounds.add(g.build, line+"\n")
	case g.current != nil:
		g.bounds.add(&g.current.out, line+"\n")
	default:
		g.bounds.add(&g.loose, line+"\n")
	}
	return nil
}

// buildOf is where the compiler's words of a package go.
func (g *goTestText) buildOf(name string) *output {
	b := g.builds[name]
	switch {
	case b != nil: // a package and its tests are built apart
	case len(g.builds) == maxBuilds:
		b = &g.beyond
	default:
		b = &output{}
		g.builds[strings.Clone(name)] = b
	}
	return b
}

// packageLine tells the last line of a package from words that begin alike.
func packageLine(found []string) bool {
	rest := found[3]
	switch found[1] {
	case "?":
		return strings.HasPrefix(rest, "[no test files]")
	case "ok":
		return rest != "" && (rest[0] == '(' || rest[0] >= '0' && rest[0] <= '9')
	}
	return rest == "" || rest[0] == '[' || rest[0] == '(' || rest[0] >= '0' && rest[0] <= '9'
}

func (g *goTestText) begin(name string) error {
	name = strings.Clone(cut(name, maxName)) // a part of a line would hold all of it
	if len(g.tests) >= maxPending || g.named+len(name) > maxPendingNames {
		g.early = true
		if err := g.flush("", false); err != nil {
			return err
		}
	}
	c := &goCase{name: name}
	g.tests, g.named = append(g.tests, c), g.named+len(name)
	g.open[name] = c
	g.current = c
	return nil
}

func (g *goTestText) result(found []string, line string) error {
	name := cut(found[2], maxName)
	c := g.open[name]
	if found[1] == "BENCH" || c == nil && strings.HasPrefix(name, "Benchmark") && found[1] == "PASS" {
		g.current = nil
		return nil
	}
	if c == nil || c.status != "" {
		if err := g.begin(name); err != nil {
			return err
		}
		c = g.current
	}
	if at := strings.Index(line, "--- "); strings.TrimSpace(line[:at]) != "" {
		g.bounds.add(&c.out, line[:at]+"\n")
	}
	c.status = map[string]string{"PASS": pass, "FAIL": fail, "SKIP": skip}[found[1]]
	c.took = junitSeconds(found[3])
	if c.out.Len() == 0 && g.loose.Len() > 0 && strings.HasPrefix(name, "Benchmark") {
		c.out, g.loose = g.loose, output{} // a benchmark prints before it is named
	}
	g.current = c // without -v its output follows
	return nil
}

func (g *goTestText) pkg(word, name, rest string) error {
	if strings.HasPrefix(rest, "[") && word == "FAIL" {
		out := &g.loose
		name = cut(name, maxName)
		if b := g.builds[name]; b != nil {
			out = b
		} else if g.unheld > 0 { // what is loose may be of any other
			out = &g.beyond
		}
		t := event.TestResult{Suite: name, Case: rest[:strings.IndexByte(rest+"]", ']')+min(1, strings.Count(rest, "]"))], Status: erred}
		explain(&t, out.String())
		g.bounds.release(out)
		out.Reset()
		delete(g.builds, name)
		return g.p.test(t)
	}
	whole := g.whole
	g.whole = false
	if err := g.finish(name, word == "FAIL"); err != nil || word != "FAIL" || whole {
		return err
	}
	return g.p.emit(Item{Cut: name})
}

// finish ends a package ("": the report ended before it).
func (g *goTestText) finish(suite string, failed bool) error {
	explained := false
	for _, c := range g.tests {
		explained = explained || c.status == fail || c.status == ""
	}
	if failed && !explained {
		t := event.TestResult{Suite: suite, Case: "[package failed]", Status: erred}
		explain(&t, g.loose.String())
		if err := g.p.test(t); err != nil {
			return err
		}
	}
	if suite == "" {
		for _, c := range g.tests {
			if c.status == "" {
				g.p.cutOff("the report ends while %q runs", c.name)
				break
			}
		}
	}
	err := g.flush(suite, failed)
	g.bounds.release(&g.loose)
	g.loose = output{}
	g.current, g.build, g.suite = nil, nil, ""
	return err
}

func (g *goTestText) flush(suite string, failed bool) error {
	if suite == "" {
		suite = g.suite
	}
	for _, c := range g.tests {
		g.bounds.release(&c.out)
		t := event.TestResult{Suite: suite, Case: c.name, Status: c.status, Duration: c.took}
		switch {
		case t.Status == "" && failed: // a panic, os.Exit or a timeout ended it
			t.Status = fail
			if c.out.Len() == 0 {
				c.out = g.loose
			}
		case t.Status == "":
			continue
		}
		if t.Status != pass {
			explain(&t, c.out.String())
		}
		if err := g.p.test(t); err != nil {
			return err
		}
	}
	g.tests, g.named, g.current = nil, 0, nil
	clear(g.open)
	return nil
}

// benchmarks emits the values of one line.
func (p *parse) benchmarks(suite string, found []string) error {
	for _, pair := range goValue.FindAllStringSubmatch(found[2], -1) {
		value, err := strconv.ParseFloat(pair[1], 64)
		if err != nil {
			continue
		}
		if err := p.benchmark(Benchmark{Suite: suite, Name: goProcs.ReplaceAllString(found[1], ""), Value: value, Unit: pair[2]}); err != nil {
			return err
		}
	}
	return nil
}

// explain fills in what a test that did not pass said: the first logged line with
// what belongs to it, or its panic.
func explain(t *event.TestResult, out string) {
	t.Stacktrace = strings.TrimRight(out, "\n")
	var said []string
	inRace := false
	for line := range strings.Lines(out) {
		line = strings.TrimRight(line, "\r\n")
		trimmed := strings.TrimSpace(line)
		if trimmed == "==================" {
			inRace = !inRace
			continue
		}
		switch found := goLog.FindStringSubmatch(line); {
		case strings.HasPrefix(trimmed, "panic: "), strings.HasPrefix(trimmed, "fatal error: "), trimmed == "WARNING: DATA RACE":
			t.Message, t.File, t.Line = trimmed, "", 0 // its stack says where
			return
		case inRace:
		case found != nil && len(said) > 0 && t.Line > 0:
			t.Message = strings.Join(said, "\n") // keep looking for a panic
		case found != nil && t.Line == 0:
			t.File = found[1]
			t.Line, _ = strconv.Atoi(found[2])
			if found[3] != "" {
				said = append(said, found[3])
			}
		case t.Line > 0 && t.Message == "" && trimmed != "" && len(said) < 20:
			said = append(said, trimmed)
		}
	}
	if t.Message == "" {
		t.Message = strings.Join(said, "\n")
	}
	if t.Message == "" && Failed(t.Status) {
		t.Message = firstLine(out)
	}
}
