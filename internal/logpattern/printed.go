package logpattern

import (
	"regexp"
	"slices"
	"strings"
)

// printedMarks are what a printed stack holds and other text of several lines
// does not.
var printedMarks = [...]string{
	"\n\tat ", "\n    at ", "\n   at ", "\nTraceback (most recent", "\n  File \"", // JVM, V8, .NET, Python
	"goroutine ", "panicked at ", "\nstack backtrace:", "\nStack backtrace:", // Go, Rust and anyhow
	"\nStack trace:\n#0", "\n[stacktrace]\n#0", ":in `", ":in '", // PHP, Laravel, Ruby
}

// printedFrames are frames that only their whole line tells from other text. The
// mark comes first, since a log is full of lines and the expression is slow.
var printedFrames = [...]struct {
	mark string
	line *regexp.Regexp
}{
	{".go:", regexp.MustCompile(`\n[ |]*\t[ |]*\S[^\n]*\.go:[0-9]`)}, // an error of Go's with its frames
	{"\n  at ", regexp.MustCompile(`\n  at [^\n]+\) [\[<]0x`)},       // Mono
}

// Printed says whether a text is an exception that was printed with its stack,
// and gives the line that says what happened.
func Printed(line string) (head string, ok bool) {
	first := strings.IndexByte(line, '\n')
	if first < 0 {
		return "", false
	}
	printed := slices.ContainsFunc(printedMarks[:], func(mark string) bool { return strings.Contains(line, mark) })
	for _, frame := range printedFrames {
		printed = printed || strings.Contains(line, frame.mark) && frame.line.MatchString(line[first:])
	}
	if !printed {
		return "", false
	}
	if strings.HasPrefix(line, "Traceback (most recent") { // Python says it last
		tail := strings.TrimRight(line, "\n ")
		return tail[strings.LastIndexByte(tail, '\n')+1:], true
	}
	return line[:first], true
}
