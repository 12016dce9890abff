package suspect

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"regexp"
	"strings"
)

// MaxSymptomBytes is the most of a symptom's text that is read.
const MaxSymptomBytes = 4 << 20

var (
	goFail     = regexp.MustCompile(`^\s*--- FAIL: (\S+)`)
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
	for line := range strings.Lines(s.Text) {
		line = strings.TrimRight(line, "\r\n")
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
