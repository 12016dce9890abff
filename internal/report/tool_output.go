package report

import (
	"regexp"
	"strconv"
	"strings"

	"github.com/deployloop/deployloop/internal/event"
)

// The shapes in which compilers and linters name a place. Each is tried in order;
// the groups are file, line, column, level and message, as far as the shape has them.
var toolShapes = []struct {
	shape                      *regexp.Regexp
	file, line, level, message int
}{
	// tsc: src/cart.ts(12,5): error TS2322: Type …
	{regexp.MustCompile(`^([^\s:()][^:()]{0,300})\((\d{1,7})(?:,\d{1,7})?\): (?:(fatal error|error|warning|note|info)\b[: ]?\s*)?(.+)$`), 1, 2, 3, 4},
	// Maven: [ERROR] /src/Cart.java:[12,5] cannot find symbol
	{regexp.MustCompile(`^\[(ERROR|WARNING)\]\s+([^\s:][^:]{0,300}):\[(\d{1,7}),\d{1,7}\] (.+)$`), 2, 3, 1, 4},
	// go, gcc, clang, eslint -f unix, mypy, ruff, javac: file:line[:column]: [level:] message
	{regexp.MustCompile(`^((?:[A-Za-z]:)?[^\s:][^:]{0,300}\.\w{1,10}):(\d{1,7})(?::\d{1,7})?:\s+(?:(fatal error|error|warning|note|info)\b:?\s*)?(.+)$`), 1, 2, 3, 4},
	// rustc: "  --> src/main.rs:12:5", whose message stood a line before
	{regexp.MustCompile(`^\s+--> ([^\s:][^:]{0,300}):(\d{1,7}):\d{1,7}$`), 1, 2, 0, 0},
	// Python: File "cart/total.py", line 12
	{regexp.MustCompile(`^\s*File "([^"]{1,300})", line (\d{1,7})(?:, in .*)?$`), 1, 2, 0, 0},
}

// maxToolLine is the longest line that may name a place.
const maxToolLine = 2000

// ToolOutput recognises, line by line, what compilers and linters print.
type ToolOutput struct {
	Tool string // that the findings are of
	last string // the line before, for those that say it there
}

// Line reads one line without its end; ok is false where it names no place.
func (t *ToolOutput) Line(line string) (f event.Finding, ok bool) {
	before := t.last
	line = strings.TrimRight(line, "\r")
	if len(line) > maxToolLine {
		t.last = ""
		return f, false
	}
	line = colour.ReplaceAllString(line, "")
	t.last = line
	for _, s := range toolShapes {
		found := s.shape.FindStringSubmatch(line)
		if found == nil {
			continue
		}
		f = event.Finding{Tool: t.Tool, Rule: "output", File: printable(found[s.file]), Level: "error"}
		f.Line, _ = strconv.Atoi(found[s.line])
		if s.message > 0 {
			f.Message = printable(found[s.message])
		} else {
			f.Message = printable(strings.TrimSpace(before))
		}
		if s.level > 0 && found[s.level] != "" {
			f.Level = strings.ToLower(found[s.level])
		} else if s.message == 0 && strings.HasPrefix(before, "warning") {
			f.Level = "warning"
		}
		switch f.Level {
		case "note", "info":
			return event.Finding{}, false // it explains the one before
		case "fatal error":
			f.Level = "error"
		}
		f.Fingerprint = f.File + "\x1f" + f.Message // lines move
		return f, f.Message != ""
	}
	return f, false
}

// colour is what a terminal makes colours of.
var colour = regexp.MustCompile("\x1b\\[[0-9;]{0,20}m")
