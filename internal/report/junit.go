package report

import (
	"encoding/xml"
	"errors"
	"strconv"
	"strings"
	"time"

	"github.com/deployloop/deployloop/internal/event"
)

// junit is the state of reading JUnit XML. The dialects differ in where they put
// the reason (attribute, text, CDATA), the status (child element; attribute of
// googletest and CTest) and reruns (Surefire's flakyFailure and rerunFailure).
type junit struct {
	p       *parse
	suites  []junitSuite
	test    *event.TestResult
	outcome string // the element within a test case that is read now
	message string
	kind    string
	body    strings.Builder
	flakes  []event.TestResult
	unnamed int
	root    bool
}

type junitSuite struct {
	name, file string
	at         time.Time
}

// maxFlakes is how many failed attempts of one test are kept.
const maxFlakes = 10

func parseJUnit(p *parse) error {
	d, guard := newXMLDecoder(p.in)
	j := &junit{p: p}
	err := walkXML(d, j.start, j.text, j.end)
	if err == nil && !j.root {
		err = errors.New("it has neither testsuites, testsuite nor testcase")
	}
	if err != nil && p.stopped == nil && j.test != nil {
		p.problem("the test case %q is incomplete and was left out", j.test.Case)
	}
	if guard.dropped > 0 {
		p.problem("%d characters of text longer than %d KiB were left out", guard.dropped, maxXMLText>>10)
	}
	if j.unnamed > 0 {
		p.problem("%d test cases have no name and were left out", j.unnamed)
	}
	return err
}

func (j *junit) start(e xml.StartElement) error {
	switch name := e.Name.Local; name {
	case "testsuites":
		j.root = true
	case "testsuite":
		j.root = true
		s := junitSuite{name: attribute(e, "name"), file: attribute(e, "file", "filepath"), at: junitTime(attribute(e, "timestamp"))}
		if len(j.suites) > 0 { // Nested suites say what they leave out by their parent.
			up := j.suites[len(j.suites)-1]
			if s.name == "" {
				s.name = up.name
			}
			if s.at.IsZero() {
				s.at = up.at
			}
			if s.file == "" {
				s.file = up.file
			}
		}
		j.suites = append(j.suites, s)
	case "testcase":
		j.root = true
		j.begin(e)
	case "failure", "error", "skipped", "flakyFailure", "flakyError", "warning", "system-out":
		if j.test == nil || j.outcome != "" {
			return nil
		}
		j.outcome, j.message, j.kind = name, attribute(e, "message"), attribute(e, "type")
		j.body.Reset()
	}
	return nil
}

func (j *junit) begin(e xml.StartElement) {
	t := event.TestResult{
		Suite: attribute(e, "classname", "class"), Case: attribute(e, "name"), Status: pass,
		File: attribute(e, "file", "filepath", "filename"), Duration: junitSeconds(attribute(e, "time", "duration")),
		At: junitTime(attribute(e, "timestamp")),
	}
	t.Line, _ = strconv.Atoi(attribute(e, "line", "lineno"))
	if len(j.suites) > 0 {
		s := j.suites[len(j.suites)-1]
		if t.Suite == "" {
			t.Suite = s.name
		}
		if t.At.IsZero() {
			t.At = s.at
		}
		if t.File == "" && t.Line > 0 {
			t.File = s.file
		}
	}
	// googletest: status="notrun", result="skipped"; CTest: status="fail".
	switch strings.ToLower(attribute(e, "result")) {
	case "skipped", "suppressed":
		t.Status = skip
	}
	switch strings.ToLower(attribute(e, "status")) {
	case "fail", "failed", "failure":
		t.Status = fail
	case "error", "errored":
		t.Status = erred
	case "notrun", "disabled", "skipped", "skip", "ignored", "pending":
		t.Status = skip
	}
	j.test, j.outcome, j.flakes = &t, "", nil
}

func (j *junit) text(b []byte) {
	if j.outcome == "" || j.outcome == "system-out" && !Failed(j.test.Status) { // nobody asks what a test that passed printed
		return
	}
	room := maxStack - j.body.Len()
	j.body.Write(b[:max(0, min(len(b), room))])
}

func (j *junit) end(name string) error {
	switch {
	case name == "testsuite" && len(j.suites) > 0:
		j.suites = j.suites[:len(j.suites)-1]
	case name == "testcase" && j.test != nil:
		t, flakes := *j.test, j.flakes
		j.test, j.outcome = nil, ""
		if t.Case == "" && t.Suite == "" {
			j.unnamed++
			return nil
		}
		if t.Case == "" {
			t.Case = t.Suite
		}
		for _, flake := range flakes { // the attempts that failed before it passed
			if err := j.p.test(flake); err != nil {
				return err
			}
		}
		return j.p.test(t)
	case name == j.outcome && j.test != nil:
		j.close()
	}
	return nil
}

// close takes the element that says how a test ended.
func (j *junit) close() {
	outcome, body := j.outcome, strings.TrimSpace(j.body.String())
	j.outcome = ""
	if outcome == "system-out" { // CTest and others tell the reason there only
		if Failed(j.test.Status) && j.test.Stacktrace == "" {
			j.test.Stacktrace = body
			if j.test.Message == "" {
				j.test.Message = firstLine(body)
			}
		}
		return
	}
	message := strings.TrimSpace(j.message)
	if message == "" {
		message = reason(body)
	}
	if message == "" || message == "Failed" && body != "" { // go-junit-report: the reason is in the text
		if first := firstLine(body); first != "" {
			message = first
		} else {
			message = j.kind
		}
	}
	switch outcome {
	case "failure", "error":
		if Failed(j.test.Status) && j.test.Message != "" { // several assertions: the first says most
			j.test.Stacktrace = cut(j.test.Stacktrace+"\n"+body, maxStack)
			return
		}
		j.test.Status = map[string]string{"failure": fail, "error": erred}[outcome]
		j.test.Message, j.test.Stacktrace = message, body
	case "skipped":
		if !Failed(j.test.Status) {
			j.test.Status, j.test.Message = skip, message
		}
	case "flakyFailure", "flakyError":
		if len(j.flakes) < maxFlakes {
			t := *j.test
			t.Status, t.Message, t.Stacktrace, t.Duration = fail, message, body, 0
			j.flakes = append(j.flakes, t)
		}
	}
}

// junitSeconds reads a duration; some locales group thousands by commas.
func junitSeconds(s string) time.Duration {
	seconds, err := strconv.ParseFloat(strings.TrimSuffix(strings.ReplaceAll(strings.TrimSpace(s), ",", ""), "s"), 64)
	if err != nil || !(seconds >= 0) || seconds > 1e9 {
		return 0
	}
	return time.Duration(seconds * float64(time.Second))
}

// junitTime reads a timestamp; one without a zone is taken for UTC.
func junitTime(s string) time.Time {
	if s == "" { // as of most tests: each layout that fails costs an error
		return time.Time{}
	}
	for _, layout := range []string{time.RFC3339Nano, "2006-01-02T15:04:05.999999999", "2006-01-02T15:04:05.999999999-0700", "2006-01-02 15:04:05"} {
		if t, err := time.Parse(layout, s); err == nil && t.Year() > 1970 && t.Year() < 2200 {
			return t.UTC()
		}
	}
	return time.Time{}
}
