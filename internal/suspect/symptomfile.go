package suspect

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"path"
	"regexp"
	"strings"
)

// MaxSymptomBytes is the most of a symptom's text that is read.
const MaxSymptomBytes = 4 << 20

var (
	goFail     = regexp.MustCompile(`^\s*--- FAIL: (\S+)`)
	goRun      = regexp.MustCompile(`^=== (?:RUN|CONT|NAME) +(\S+)`)
	goPlace    = regexp.MustCompile(`^\s+(?:Error Trace:\s+)?(\S*_test\.go):\d+`)
	goPackage  = regexp.MustCompile(`^FAIL\t(\S+)`)
	pytestFail = regexp.MustCompile(`^FAILED (\S+::\S+)`)
	testLine   = regexp.MustCompile(`^(?:--- )?((?:[A-Za-z_$][\w$]*\.)*[A-Za-z_$][\w$]*(?:#|::)[A-Za-z_$][\w$\[\]]*)$`)
)

// ReadSymptom reads a stack trace, an excerpt of a log, names of failing tests
// (org.acme.CartTest#adds, tests/test_cart.py::test_add, a go test output), or
// all of it in one text; or a JSON object with stack_trace and failing_tests.
func ReadSymptom(r io.Reader) (Symptom, error) {
	text, err := io.ReadAll(io.LimitReader(r, MaxSymptomBytes))
	if err != nil {
		return Symptom{}, err
	}
	if trimmed := strings.TrimSpace(string(text)); strings.HasPrefix(trimmed, "{") && json.Valid(text) {
		var c caseFile
		if err := json.Unmarshal(text, &c); err != nil {
			return Symptom{}, fmt.Errorf("no JSON object with stack_trace and failing_tests: %w", err)
		}
		if c.StackTrace != "" || len(c.FailingTests) > 0 {
			return Symptom{Text: c.StackTrace, Tests: c.FailingTests}, nil
		}
	}
	s := Symptom{Text: strings.ToValidUTF8(string(text), "\uFFFD")}
	var tests goTests
	for line := range strings.Lines(s.Text) {
		line = strings.TrimRight(line, "\r\n")
		tests.read(line, &s)
		for _, form := range []*regexp.Regexp{goFail, pytestFail, testLine} {
			if m := form.FindStringSubmatch(line); m != nil && len(s.Tests) < maxNames {
				s.Tests = append(s.Tests, m[1])
				break
			}
		}
	}
	if strings.TrimSpace(s.Text) == "" {
		return Symptom{}, errors.New("the symptom is empty: give a stack trace, a log excerpt or names of failing tests")
	}
	return s, nil
}

// goTests follow the output of go test, which tells a failing test's name, its
// file and its package in lines of their own.
type goTests struct {
	running, failed string
	file            map[string]string // of a test: where it failed first
	from            int               // of the failing tests, the first of this package
}

// read takes one line, before the names of its tests are. At a package's end the
// tests that failed in it get their file: "acme/shop/cart/total_test.go::TestTotal".
func (g *goTests) read(line string, s *Symptom) {
	if m := goRun.FindStringSubmatch(line); m != nil {
		g.running, g.failed = m[1], ""
	} else if m := goFail.FindStringSubmatch(line); m != nil {
		g.failed = m[1]
	} else if m := goPlace.FindStringSubmatch(line); m != nil {
		name := cmp.Or(g.failed, g.running)
		if g.file == nil {
			g.file = map[string]string{}
		}
		if known, ok := g.file[name]; len(g.file) < 4*maxNames && (!ok || !strings.Contains(known, "/") && strings.Contains(m[1], "/")) {
			g.file[name] = m[1]
		}
	} else if m := goPackage.FindStringSubmatch(line); m != nil {
		for i, name := range s.Tests[g.from:] {
			if file := g.file[name]; file != "" {
				if !strings.Contains(file, "/") {
					file = path.Join(m[1], file)
				}
				s.Tests[g.from+i] = file + "::" + name
			}
		}
		*g = goTests{from: len(s.Tests)}
	}
}
