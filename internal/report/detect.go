package report

import (
	"bytes"
	"fmt"
	"regexp"
)

// detectWindow is how much of a report tells its kind: enough for the licences
// and build logs that some begin with.
const detectWindow = 64 << 10

var (
	xmlNoise  = regexp.MustCompile(`(?s)^(?:\s+|<\?.*?\?>|<!--.*?-->|<!DOCTYPE[^\[>]*(?:\[.*?\])?\s*>)`)
	xmlRoot   = regexp.MustCompile(`^<(?:[\w.-]+:)?([A-Za-z_][\w.-]*)`)
	goTest    = regexp.MustCompile(`(?m)^\s*(?:--- (?:PASS|FAIL|SKIP|BENCH): |=== (?:RUN|PAUSE|CONT) |(?:ok|FAIL|\?|---) {0,8}\t|ok   |FAIL    |Benchmark\S+\s+\d+\s+[\d.]+ |PASS$|FAIL$|testing: warning: no tests to run$|panic: )`)
	goAction  = regexp.MustCompile(`"Action"\s*:\s*"`)
	sarifHint = regexp.MustCompile(`"(?:runs|inlineExternalProperties)"\s*:\s*\[|sarif`)
	eventHint = regexp.MustCompile(`^\{"(?:run|test|finding|benchmark|coverage|report":\{"kind)":`)
	benchHint = regexp.MustCompile(`"(?:value|real_time)"\s*:\s*-?\d`)
)

// detect is the kind of a report that begins with head; "" when it cannot be told.
func detect(head []byte) Kind {
	text := head
	for { // declarations and comments before the root
		noise := xmlNoise.Find(text)
		if noise == nil {
			break
		}
		text = text[len(noise):]
	}
	if len(text) == 0 {
		return ""
	}
	switch {
	case text[0] == '<':
		root := xmlRoot.FindSubmatch(text)
		if root == nil {
			return ""
		}
		switch string(root[1]) {
		case "testsuites", "testsuite", "testcase":
			return JUnit
		case "coverage":
			return Cobertura
		}
		return ""
	case eventHint.Match(text):
		return Events
	case text[0] == '{' && goAction.Match(firstLines(text)):
		return GoTestJSON
	case text[0] == '{' && sarifHint.Match(text):
		return SARIF
	case (text[0] == '{' || text[0] == '[') && benchHint.Match(text):
		return BenchJSON
	case bytes.HasPrefix(text, []byte("mode: ")):
		return GoCover
	case bytes.HasPrefix(text, []byte("TN:")), bytes.HasPrefix(text, []byte("SF:")):
		return LCOV
	case goAction.Match(firstLines(text)): // a build's words before the first event
		return GoTestJSON
	case goTest.Match(text):
		return GoTest
	}
	return ""
}

// firstLines is what an event of go test -json must appear in.
func firstLines(text []byte) []byte { return text[:min(len(text), 8<<10)] }

func unknownKind(head []byte) error {
	if len(bytes.TrimSpace(head)) == 0 {
		return fmt.Errorf("%w: it is empty", ErrUnknownKind)
	}
	begin := printable(cut(string(bytes.TrimSpace(head)[:min(len(bytes.TrimSpace(head)), 60)]), 60))
	return fmt.Errorf("%w: it begins with %q; say which of %v it is", ErrUnknownKind, begin, Kinds())
}
