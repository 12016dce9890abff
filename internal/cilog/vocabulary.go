package cilog

import "strings"

// level is what a line says of itself.
type level byte

const (
	levelNone level = iota
	levelInfo
	levelWarn
	levelError
)

// levels are the words with which loggers, compilers and runners begin a line,
// in lower case, without brackets and the colon after them.
var levels = map[string]level{
	"error": levelError, "err": levelError, "err!": levelError, "fatal": levelError, "severe": levelError, "critical": levelError, "panic": levelError, "failure": levelError,
	"e": levelError, "fail": levelError, "failed": levelError, "***": levelError,
	"warning": levelWarn, "warn": levelWarn, "w": levelWarn, "deprecated": levelWarn,
	"info": levelInfo, "debug": levelInfo, "trace": levelInfo, "note": levelInfo, "notice": levelInfo, "hint": levelInfo, "i": levelInfo, "d": levelInfo, "verbose": levelInfo, "command": levelInfo, "group": levelInfo, "section": levelInfo,
}

// levelOf finds the level at the begin of a line, behind a time, a process's
// name in brackets, "##" and "::" of runners, and what comes after it.
func levelOf(s string) (l level, rest string) {
	rest = s
	for skipped := 0; skipped < 3; skipped++ {
		t := strings.TrimLeft(rest, " ")
		end := strings.IndexAny(t, " \t")
		if end < 0 {
			end = len(t)
		}
		word, after := t[:end], t[end:]
		bracketed := strings.ContainsAny(word, "[]<>|:") || strings.HasPrefix(word, "##") || word == strings.ToUpper(word)
		name := strings.ToLower(strings.Trim(strings.TrimPrefix(word, "##"), "[]()<>|:"))
		if close := strings.IndexByte(word, ']'); close > 0 && close < len(word)-1 { // "[ERROR]text", "##[error]text"
			name, after = strings.ToLower(strings.Trim(word[:close], "#[(")), word[close+1:]+after
		}
		if open := strings.IndexByte(name, '['); open > 0 { // rustc's error[E0308]
			name = name[:open]
		}
		if found, ok := levels[name]; ok && bracketed && (len(name) > 1 || strings.HasSuffix(word, ":") || strings.HasPrefix(after, "   ")) { // pytest's "E   "
			return found, after
		}
		if !timeLike(word) && name != "npm" && name != "pnpm" && name != "yarn" {
			break
		}
		rest = after
	}
	if failing(s) || diagnostic(s) {
		return levelError, s
	}
	return levelNone, s
}

// failing tells the lines in which test runners name a failing test.
func failing(s string) bool {
	for _, end := range []string{" FAILED", "<<< FAILURE!", "<<< ERROR!"} {
		if strings.HasSuffix(s, end) {
			return !strings.HasPrefix(s, "> Task ")
		}
	}
	t := strings.TrimLeft(s, " ")
	for _, begin := range []string{"--- FAIL: ", "FAILED ", "FAIL ", "not ok ", "✗ ", "✕ ", "✘ ", "× "} {
		if strings.HasPrefix(t, begin) {
			return true
		}
	}
	return false
}

// diagnostic tells what compilers print that give no level: "cart/total.go:88:14:
// undefined: price", "src/total.ts(12,5): …". A warning or a note is none.
func diagnostic(s string) bool {
	if s == "" || s[0] == ' ' || s[0] == '\t' {
		return false
	}
	place, message, ok := strings.Cut(s, ": ")
	place = strings.TrimRight(place, ":])")
	line := strings.TrimRight(place, "0123456789")                         // the place up to the column
	file := strings.TrimRight(strings.TrimRight(line, ":,"), "0123456789") // … and up to the line
	if !ok || line == place || len(file) < 3 || len(file) >= len(line)-1 || strings.IndexByte(":[(", file[len(file)-1]) < 0 || strings.IndexByte(file, '.') < 0 || strings.IndexByte(place, ' ') >= 0 {
		return false
	}
	for _, mild := range []string{"warning", "note", "info"} {
		if strings.HasPrefix(message, mild) {
			return false
		}
	}
	return true
}

// timeLike: digits and what stands between those of a time, in brackets or not, or
// the number of a step.
func timeLike(word string) bool {
	if strings.HasPrefix(word, "#") && digits(word, 1) == len(word) {
		return true // a step of docker build
	}
	digits := 0
	for i := range len(word) {
		switch c := word[i]; {
		case c >= '0' && c <= '9':
			digits++
		case strings.IndexByte("[]():.,-/TZ+", c) < 0:
			return false
		}
	}
	return digits >= 4
}

// Words that speak of an error, by how plainly they do; in lower case.
const (
	wordStrong = 1 << iota // error, failed, fatal …
	wordWeak               // cannot, missing, denied …
	wordAssert             // expected, actual, assertion …
)

var words = func() map[string]byte {
	m := map[string]byte{}
	for kind, list := range map[byte]string{
		wordStrong: `error errors failed failure failures fatal exception panic panicked crash crashed abort aborted aborting segfault sigsegv sigkill
			sigabrt killed traceback unsuccessful unsuccessfully erroneous failing fails fail`,
		wordWeak: `cannot can't couldn't unable unresolved undefined unexpected invalid missing denied refused unreachable unsupported unsafe unauthorized
			forbidden timeout exceeded incompatible conflict conflicts unknown illegal mismatch mismatched nonexistent unrecognized unrecognised uncaught unhandled
			corrupt corrupted rejected violation violations duplicate ambiguous bad wrong unavailable overflow leak deadlock null nil nullpointer
			required found insufficient oom unsatisfied unmet broken malformed unterminated undeclared redefinition`,
		wordAssert: `expected actual assertion assert asserterror assertionerror expecting`,
	} {
		for _, w := range strings.Fields(list) {
			m[w] |= kind
		}
	}
	return m
}()

// phrases of two words that neither word says alone.
var phrases = map[string]map[string]byte{
	"could":      {"not": wordStrong},
	"not":        {"found": wordStrong, "exist": wordStrong, "resolve": wordStrong, "find": wordStrong, "a": wordWeak, "defined": wordStrong, "be": wordWeak, "supported": wordStrong, "allowed": wordStrong, "match": wordStrong, "enough": wordStrong},
	"no":         {"such": wordStrong, "space": wordStrong},
	"does":       {"not": wordWeak},
	"did":        {"not": wordWeak},
	"timed":      {"out": wordStrong},
	"out":        {"of": wordWeak},
	"was":        {"not": wordWeak},
	"is":         {"not": wordWeak},
	"space":      {"left": wordStrong},
	"permission": {"denied": wordStrong},
	"core":       {"dumped": wordStrong},
	"went":       {"wrong": wordStrong},
}

// vocabulary is the union of what the words and phrases of a line say. Counts of
// nothing ("0 errors", "Failures: 0", "no errors") say nothing.
func vocabulary(s string) (kinds byte) {
	before := ""       // the word before
	pending := byte(0) // of the word before, which a count of nothing takes back: "Failures: 0"
	for i := 0; i < len(s); {
		if !wordByte(s[i]) {
			i++
			continue
		}
		start := i
		for i < len(s) && (wordByte(s[i]) || s[i] == '\'') {
			i++
		}
		w := strings.ToLower(strings.Trim(s[start:i], "'"))
		if len(w) > 24 {
			before = ""
			kinds |= pending
			pending = 0
			continue
		}
		if w != "0" {
			kinds |= pending
		} else if pending != 0 {
			w = "" // it is of the word before, not of the one after
		}
		pending = 0
		k := words[w]
		if k&wordStrong != 0 && (before == "0" || before == "no" || before == "without") {
			k = 0
		}
		if k&wordStrong != 0 {
			pending = k
		} else {
			kinds |= k
		}
		if second, ok := phrases[before]; ok {
			kinds |= second[w]
		}
		before = w
	}
	return kinds | pending
}

func wordByte(c byte) bool {
	return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c >= 0x80
}
