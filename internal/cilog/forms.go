package cilog

import "strings"

// words fills in what the text of a line says.
func (s *state) words(v *Vector, text, rest string, lvl level) {
	kinds := vocabulary(rest)
	low := strings.ToLower(rest)
	v.set(featStrong, kinds&wordStrong != 0)
	v.set(featWeak, kinds&wordWeak != 0)
	v.set(featAssert, kinds&wordAssert != 0)
	v.set(featFrame, frame(rest))
	v.set(featException, exception(rest))
	v.set(featPlace, place(rest))
	v.set(featVerdict, anyIn(low, verdicts))
	v.set(featHelp, anyIn(low, helps) || strings.HasPrefix(low, "[help ") || strings.HasPrefix(low, "-> [help "))
	v.set(featSummary, summary(low))
	v.set(featProgress, lvl != levelError && (anyPrefix(rest, transfers) || strings.Contains(rest, "B/s") || percentage(rest)))
	v.set(featCommand, anyPrefix(text, commands) || strings.Contains(text, "] $ "))
}

// verdicts say that the build failed and not why; in lower case.
var verdicts = []string{
	"build failure", "build failed", "finished: failure", "marked build as failure", "process completed with exit code", "exited with", "exit code", "exit status", "job failed",
	"elifecycle", "command failed", "returned a non-zero code", "failed with exit", "non-zero exit", "make: ***", "recipe for target", "failed to execute script", "ninja: build stopped",
	"could not compile `", "aborting due to", "the build failed", "tests failed", "test run failed", "there were failing tests", "compilation error",
}

// helps say where to read more and how to run again; in lower case.
var helps = []string{
	"re-run", "rerun", "for more information", "full stack trace", "run with --", "--stacktrace", "get more help", "resume the build", "-rf :", "complete log of this run",
	"rust_backtrace", "please refer to", "for more details", "after correcting the problems", "please read the following", "for usage", "see the report at", "--verbose", "debug log",
	"for details", "stack_trace", "run `", "rustc --explain", "documentation at",
}

var transfers = []string{"Download", "download", "Progress (", "Receiving objects", "remote: ", "Resolving deltas", "Unpacking", "Get:", "Fetched ", "Pulling", "Extracting", "Collecting ", "Fetching", "Uploading", "Uploaded", "Counting objects", "Compressing objects"}

var commands = []string{"+ ", "$ ", "> Task ", "> Configure ", " > git ", "[command]", "##[group]", "##[command]", "Running ", "Run ", "Step ", "=== RUN", "make["}

func anyIn(s string, list []string) bool {
	for _, part := range list {
		if strings.Contains(s, part) {
			return true
		}
	}
	return false
}

func anyPrefix(s string, list []string) bool {
	for _, part := range list {
		if strings.HasPrefix(s, part) {
			return true
		}
	}
	return false
}

// ornament tells a line of white space and rules from one with words.
func ornament(s string) bool {
	for i := range len(s) {
		if wordByte(s[i]) {
			return false
		}
	}
	return true
}

// frame tells the frames of stacks: of the JVM, .NET and JavaScript ("at f(x)"),
// Python (File "x", line 3), Go ("\t/x.go:3 +0x1f"), Ruby ("from x.rb:3:in"),
// Rust ("3: core::f") and what stands for those left out.
func frame(s string) bool {
	switch {
	case strings.HasPrefix(s, "at "):
		return strings.ContainsAny(s, "(/") || strings.Contains(s, " in ")
	case strings.HasPrefix(s, `File "`):
		return strings.Contains(s, ", line ")
	case strings.HasPrefix(s, "... "):
		return strings.HasSuffix(s, " more") || strings.Contains(s, "frames")
	case strings.HasPrefix(s, "from "):
		return strings.Contains(s, ":in ")
	}
	if i := strings.Index(s, ".go:"); i > 0 && strings.Contains(s[i:], " +0x") {
		return true
	}
	i := digits(s, 0)
	return i > 0 && i < len(s) && s[i] == ':' && strings.Contains(s[i:], "::")
}

// exception tells the heads of exceptions, tracebacks and panics, and the heads
// of their causes.
func exception(s string) bool {
	for _, p := range exceptionHeads {
		if strings.HasPrefix(s, p) {
			return true
		}
	}
	if strings.HasPrefix(s, "thread '") && strings.Contains(s, "' panicked at") {
		return true
	}
	for _, suffix := range []string{"Exception", "Error"} {
		for from := 0; ; {
			i := strings.Index(s[from:], suffix)
			if i < 0 {
				break
			}
			i += from
			from = i + len(suffix)
			if i > 0 && wordByte(s[i-1]) && (from == len(s) || s[from] == ':' || s[from] == ' ' && strings.HasPrefix(s[from:], " at ")) {
				return true
			}
		}
	}
	return false
}

var exceptionHeads = []string{"Caused by:", "Caused:", "Suppressed:", "Also:", "Traceback (most recent call last)", "panic: ", "Exception in thread", "Unhandled exception", "During handling of the above exception", "The above exception was", "fatal error: "}

// place tells that a line names a line of a file: "x.go:12", "X.java:[3,7]",
// "x.ts(3,7)", `x.py", line 3`.
func place(s string) bool {
	for i := 0; i < len(s); i++ {
		if s[i] != '.' {
			continue
		}
		end := i + 1
		for end < len(s) && end-i <= 10 && (s[end] >= 'a' && s[end] <= 'z' || s[end] >= 'A' && s[end] <= 'Z') {
			end++
		}
		if end == i+1 || end >= len(s) || i == 0 || !wordByte(s[i-1]) {
			continue
		}
		rest := s[end:]
		if (strings.HasPrefix(rest, ":[") || strings.HasPrefix(rest, "(")) && digits(rest, len(rest)-len(strings.TrimLeft(rest, ":[("))) > 0 ||
			rest[0] == ':' && digits(rest, 1) > 1 || strings.HasPrefix(rest, `", line `) {
			return true
		}
	}
	return false
}

// digits is the end of the digits that begin at i; 0 where there is none.
func digits(s string, i int) int {
	start := i
	for i < len(s) && s[i] >= '0' && s[i] <= '9' {
		i++
	}
	if i == start {
		return 0
	}
	return i
}

// summary tells counts: "3 errors", "10 tests completed, 1 failed", "Tests run: 9".
func summary(low string) bool {
	low = strings.TrimLeft(low, "=- ")
	if strings.HasPrefix(low, "tests run:") || strings.HasPrefix(low, "tests:") || strings.HasPrefix(low, "total time") || strings.HasPrefix(low, "found ") {
		return true
	}
	i := digits(low, 0)
	return i > 0 && len(low) < 120 && i < len(low) && low[i] == ' ' &&
		anyIn(low, []string{"error", "warning", "test", "failed", "passed", "failure", "problem", "actionable"})
}

func percentage(s string) bool {
	i := strings.IndexByte(s, '%')
	return i > 0 && s[i-1] >= '0' && s[i-1] <= '9'
}
