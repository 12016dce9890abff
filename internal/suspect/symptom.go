package suspect

import (
	"path"
	"regexp"
	"strings"

	"github.com/deployloop/deployloop/internal/event"
	"github.com/deployloop/deployloop/internal/logpattern"
)

// Limits of what is looked at of a symptom.
const (
	maxTraces   = 16
	maxFrames   = 40
	maxLiterals = 24
	maxNames    = 32
	maxText     = 64 << 10
)

// query is a symptom, taken apart into what can be found in a commit.
type query struct {
	frames   []weighedFrame
	tests    []testName
	names    []string // functions of spans and routes that got worse, and what traces name
	literals []string // pieces of messages and log lines that stand literally in a source
	words    map[string]float64
	written  map[string]string // how a word stands in the symptom first
	source   func(event.Frame) (event.Frame, bool)
}

// weighedFrame is a frame of the application's own code.
type weighedFrame struct {
	event.Frame
	weight float64 // 1/depth: 1 for the top frame, a half for its caller
	test   bool    // it is the test's own code: where it was seen, not what broke
}

type testName struct {
	file    string // of a path-like name, else ""
	class   string // "CSVParserTest"
	method  string
	subject string // what it tests, by its name: "CSVParser"; "" when the name tells none
	pkg     string // "org/apache/commons/csv", "" when the name tells none
}

func newQuery(s Symptom, o Options) query {
	q := query{words: map[string]float64{}, written: map[string]string{}, source: o.Source}
	traces := 0
	addTrace := func(text string) {
		if text == "" || traces >= maxTraces {
			return
		}
		traces++
		if len(text) > maxText {
			text = text[:maxText]
		}
		// Several traces in one text are ranked apart: each has its own top.
		for _, part := range splitTraces(text) {
			q.addFrames(logpattern.ParseStack(part))
			q.addMessage(part)
		}
	}
	addTrace(s.Text)
	for _, e := range s.Errors {
		frames := e.Frames
		if len(frames) == 0 {
			for _, x := range e.Examples {
				if frames = logpattern.ParseStack(x.Stacktrace); len(frames) > 0 {
					break
				}
			}
		}
		q.addFrames(frames)
		q.addWords(plainMessage(e.Type), 1)
		for _, text := range []string{plainMessage(e.Message), plainMessage(e.Template)} {
			q.addWords(text, 1)
			q.addLiterals(text)
		}
		for _, x := range e.Examples {
			q.addLiterals(plainMessage(x.Message))
		}
	}
	for _, o := range s.Operations {
		q.addWords(o, 1)
		q.addName(lastName(o))
		q.addLiterals(o) // a span named in words, "confirm order", stands so in the source
	}
	for _, t := range s.Tests {
		if len(q.tests) == maxNames {
			break
		}
		name := parseTest(t)
		q.tests = append(q.tests, name)
		q.addWords(name.method, 1)
		q.addWords(name.subject, 1)
		if name.subject == "" {
			q.addWords(name.class, 1)
		}
		words(name.class, func(w string) { // BugCLI265Test: the ticket
			if w[0] >= '0' && w[0] <= '9' && len(q.words) < 400 {
				q.words[w] = 1
			}
		})
	}
	return q
}

// splitTraces cuts a text at lines that begin another trace.
func splitTraces(text string) []string {
	var parts []string
	for {
		i := strings.Index(text[min(len(text), 1):], "\n--- ")
		if i < 0 || len(parts) == maxTraces {
			return append(parts, text)
		}
		parts = append(parts, text[:i+1])
		text = text[i+2:]
	}
}

func (q *query) addFrames(frames []event.Frame) {
	depth := 0
	for _, f := range frames {
		if len(q.frames) >= maxFrames {
			return
		}
		if q.source != nil {
			f, _ = q.source(f)
		}
		if !logpattern.InApp(f) {
			continue
		}
		test := isTest(f.File)
		w := 1 / (1 + float64(depth))
		if test {
			w *= .5
		}
		depth++
		q.frames = append(q.frames, weighedFrame{Frame: f, weight: w, test: test})
		name := lastName(f.Function)
		if !test {
			q.addName(name)
		}
		if !plainNames[strings.ToLower(name)] {
			q.addWords(f.Function, .3*w)
		}
	}
}

// addMessage takes the words and literals of the lines of a trace or log
// excerpt that are no frames.
func (q *query) addMessage(text string) {
	taken := 0
	lines := strings.Split(text, "\n")
	for i, line := range lines {
		trimmed := strings.TrimSpace(line)
		if trimmed == "" || runnerLine.MatchString(trimmed) || strings.HasPrefix(trimmed, "at ") || strings.HasPrefix(trimmed, "--- ") ||
			strings.HasPrefix(trimmed, "File \"") || strings.HasPrefix(trimmed, "goroutine ") || len(logpattern.ParseStack(line)) > 0 {
			continue
		}
		if i+1 < len(lines) && headsFrame(line, lines[i+1]) {
			continue
		}
		trimmed = plainMessage(trimmed)
		if taken++; taken > 20 {
			return
		}
		q.addWords(trimmed, 1)
		q.addLiterals(trimmed)
	}
}

// headsFrame says whether a line is the first of a frame's two, as Go and Rust
// print it: the function, behind the path of its module.
func headsFrame(line, next string) bool {
	if len(line) > 2<<10 || len(next) > 2<<10 {
		return false
	}
	alone := logpattern.ParseStack(next)
	if len(alone) == 0 {
		return false
	}
	both := logpattern.ParseStack(line + "\n" + next)
	return len(both) == 1 && both[0].Function != "" && alone[0].Function == ""
}

// boilerplate is what runtimes say of any program: no words of the error.
var boilerplate = regexp.MustCompile(`^(?:\[signal |created by |Traceback \(most recent call last\)|(?:During handling of the above exception|The above exception was)|\.\.\. \d+ (?:more|common frames)|note: run with)` +
	`|^(?:Caused by|Suppressed|panic|fatal error|Uncaught|Unhandled|Error):|Exception in thread "[^"]*"|\[recovered(?:, repanicked)?\]` +
	`|runtime error: (?:invalid memory address or nil pointer dereference|(?:index|slice bounds) out of range.*|integer divide by zero|makeslice: \w+ out of range|hash of unhashable type)` +
	`|assignment to entry in nil map|all goroutines are asleep - deadlock!|concurrent map (?:read and map write|writes|iteration and map write)|interface conversion: |(?:send on|close of) (?:closed|nil) channel` +
	`|Cannot (?:read|set) propert(?:y|ies)|of (?:undefined|null) \((?:reading|setting)|is not (?:a function|defined|iterable)|Cannot invoke|because the return value of` +
	`|object has no attribute|unsupported operand type|is not (?:subscriptable|callable)|(?:Not equal|Should (?:not )?be \w+|Received unexpected error):?$`)

// wholeLine are those of them whose line says nothing else either.
var wholeLine = regexp.MustCompile(`^(?:\[signal |created by |Traceback |During handling |The above exception |\.\.\. \d|note: run with)`)

// qualified is the package before the name of an exception's class.
var qualified = regexp.MustCompile(`\b(?:[a-z_]\w*\.)+([A-Z]\w*)`)

// plainMessage takes from a message what its runtime adds.
func plainMessage(line string) string {
	if wholeLine.MatchString(line) {
		return ""
	}
	return qualified.ReplaceAllString(boilerplate.ReplaceAllString(line, " "), "$1")
}

// runnerLine is what a test runner says of itself, and where: no words of the error.
var runnerLine = regexp.MustCompile(`^(?:=== |FAIL\b|ok\s|PASS$|Error Trace:|Test:\s|exit status \d)`)

func (q *query) addWords(text string, weight float64) {
	spelled(cutText(text, 4<<10), func(w, written string) {
		if w[0] >= '0' && w[0] <= '9' {
			return // a quantity, not a ticket
		}
		if len(q.words) < 400 || q.words[w] > 0 {
			q.words[w] = max(q.words[w], weight)
			if q.written[w] == "" {
				q.written[w] = written
			}
		}
	})
}

func (q *query) addName(name string) {
	if len(name) < 4 || len(q.names) >= maxNames || plainNames[strings.ToLower(name)] {
		return
	}
	for _, n := range q.names {
		if n == name {
			return
		}
	}
	q.names = append(q.names, name)
}

// plainNames are functions that every program has: a hit says nothing.
var plainNames = set(`main init run call invoke apply accept handle handler execute start stop close open read write next test tostring equals
	hashcode func1 func2 servehttp process dofilter then catch lambda anonymous constructor module callback`)

var notInLiteral = regexp.MustCompile(`<[^<>]*>|\*+|"[^"]*"|'[^']*'|\[[^\]]*\]|%[-+ #0-9.]*[a-zA-Z]|\{[^{}]*\}|[0-9][0-9a-fA-F:.\-/]*`)

// addLiterals takes the pieces of a message that do not vary: runs of at least
// two words and twelve bytes without numbers, quotes or placeholders.
func (q *query) addLiterals(message string) {
	message, _, _ = strings.Cut(cutText(message, 2<<10), "\n")
	for _, piece := range notInLiteral.Split(message, -1) {
		for part := range strings.SplitSeq(piece, ": ") {
			part = strings.Trim(part, " \t.,;:!=()[]{}\"'")
			if len(part) < 12 || !strings.Contains(part, " ") || len(q.literals) >= maxLiterals {
				continue
			}
			q.literals = append(q.literals, strings.ToLower(cutText(part, 120)))
		}
	}
}

func cutText(s string, n int) string {
	if len(s) <= n {
		return s
	}
	return strings.ToValidUTF8(s[:n], "")
}

// lastName is the last identifier of "(*Cart).Total", "Cart.total",
// "POST /cart/checkout", "shop.v1.Cart/Checkout".
func lastName(name string) string {
	name = strings.TrimRight(name, "()/ ")
	if i := strings.LastIndexAny(name, ".:/#>$ "); i >= 0 {
		name = name[i+1:]
	}
	return strings.Trim(name, "{}<>:*()")
}

var testAffix = regexp.MustCompile(`(?i)(?:_?(?:integration|unit|functional|acceptance|regression|e2e|abstract)?_?(?:tests?|testcase|it|spec)(?:case|base|suite)?)$`)

// parseTest reads "org.acme.CartTest#adds", "org.acme.CartTest::adds",
// "tests/test_cart.py::TestCart::test_add", "TestCart/adds".
func parseTest(name string) testName {
	name = cutText(strings.TrimSpace(name), 500)
	var t testName
	class, method, ok := strings.Cut(name, "::")
	if !ok {
		class, method, ok = strings.Cut(name, "#")
	}
	if strings.Contains(class, "/") && path.Ext(class) != "" { // a file
		t.file, t.method = class, method
		base := path.Base(class)
		t.class = strings.TrimSuffix(base, path.Ext(base))
	} else if ok {
		t.method = method
		if i := strings.LastIndexByte(class, '.'); i >= 0 {
			t.pkg, class = strings.ReplaceAll(class[:i], ".", "/"), class[i+1:]
		}
		t.class = class
	} else { // a bare function: TestCart/adds
		t.method = name
		first, _, _ := strings.Cut(name, "/")
		t.class = first
	}
	t.subject = subjectOf(t.class)
	return t
}

// subjectOf takes from a test's name what makes it one.
func subjectOf(class string) string {
	s := testAffix.ReplaceAllString(class, "")
	s = strings.TrimPrefix(s, "Test")
	s = strings.TrimPrefix(s, "test_")
	s = strings.TrimPrefix(s, "Abstract")
	for _, affix := range []string{"Integration", "Unit", ".spec", ".test", "_"} {
		s = strings.TrimSuffix(s, affix)
	}
	if strings.ContainsAny(s, "0123456789") { // Issue413, Github_24: a ticket, no class
		letters := strings.TrimRight(s, "0123456789_-")
		if l := strings.ToLower(letters); l == "issue" || l == "issues" || l == "github" || l == "ticket" || l == "bug" || strings.HasPrefix(l, "bug") {
			return ""
		}
	}
	if len(s) < 3 || s == class && !strings.HasPrefix(class, "Test") {
		return ""
	}
	return s
}
