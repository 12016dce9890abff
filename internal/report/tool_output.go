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
	// tsc on a terminal: src/cart.ts:12:5 - error TS2322: Type …
	{regexp.MustCompile(`^([^\s:][^:]{0,300}):(\d{1,7}):\d{1,7} - (error|warning) (.+)$`), 1, 2, 3, 4},
}

// maxToolLine is the longest line that may name a place.
const maxToolLine = 2000

// ToolOutput recognises, line by line, what compilers and linters print, and
// exceptions that nobody caught.
type ToolOutput struct {
	Tool   string // that the findings are of
	Source Source
	Tell   func(event.Finding)

	last     string // the line before, for those that say it there
	file     string // of the lines below, as eslint has it
	asserted string // what pytest says of a failure, above its place
	crash    *crash
}

// Line reads one line without its end.
func (t *ToolOutput) Line(line string) {
	line = strings.TrimRight(line, "\r")
	long := len(line) > maxToolLine
	line = colour.ReplaceAllString(line[:min(len(line), maxToolLine)], "")
	for t.crash != nil {
		if t.crash.take(line) {
			return
		}
		t.crashed()
	}
	before := t.last
	if t.last = line; long {
		t.last = ""
		return
	}
	switch t.crash = crashHead(line); {
	case t.crash != nil || t.listed(line):
	case strings.HasPrefix(line, "E   ") && t.asserted == "":
		t.asserted = strings.TrimSpace(line[1:])
	default:
		t.named(line, before)
	}
}

// End tells what the last line left open.
func (t *ToolOutput) End() {
	for t.crash != nil {
		t.crashed()
	}
}

// crashed tells of a crash that is over. What only began like one is read as any other
// lines are.
func (t *ToolOutput) crashed() {
	c := t.crash
	t.crash = nil
	file, line, message := c.place()
	t.tell(event.Finding{File: file, Line: line, Level: "error", Message: message})
	if file != "" || c.framed {
		return
	}
	_, rest, _ := strings.Cut(string(c.text), "\n")
	for line := range strings.Lines(rest) {
		t.Line(strings.TrimSuffix(line, "\n"))
	}
}

// eslint, stylelint: a line with the file, then "  12:15  error  'tax' is not defined  no-undef".
var (
	listedFile  = regexp.MustCompile(`^(?:[A-Za-z]:)?[^\s:][^:]{0,300}\.\w{1,10}$`)
	listedPlace = regexp.MustCompile(`^\s+(\d{1,7}):\d{1,7}\s+(error|warning)\s+(.+?)(?:\s{2,}(\S+))?$`)
)

// listed tells whether a line is of a list that names the file above it.
func (t *ToolOutput) listed(line string) bool {
	if listedFile.MatchString(line) {
		t.file = line
		return true
	}
	found := listedPlace.FindStringSubmatch(line)
	if found == nil || t.file == "" {
		t.file = ""
		return false
	}
	f := event.Finding{File: t.file, Level: found[2], Message: found[3]}
	f.Line, _ = strconv.Atoi(found[1])
	if found[4] != "" {
		f.Message += " (" + found[4] + ")"
	}
	t.tell(f)
	return true
}

// pythonWarning is how Python says that it goes on.
var pythonWarning = regexp.MustCompile(`^[A-Z]\w*Warning: `)

// exceptionName is all that pytest says of it at its place.
var exceptionName = regexp.MustCompile(`^[\w.]+$`)

// named tells of a line that names a place itself.
func (t *ToolOutput) named(line, before string) {
	for _, s := range toolShapes {
		found := s.shape.FindStringSubmatch(line)
		if found == nil {
			continue
		}
		f := event.Finding{File: found[s.file], Level: "error"}
		f.Line, _ = strconv.Atoi(found[s.line])
		if s.message > 0 {
			f.Message = found[s.message]
		} else {
			f.Message = strings.TrimSpace(before)
		}
		if s.level > 0 && found[s.level] != "" {
			f.Level = strings.ToLower(found[s.level])
		} else if s.message == 0 {
			f.Level, _, _ = strings.Cut(f.Message, ":")
			f.Level, _, _ = strings.Cut(f.Level, "[") // error[E0308]
		}
		switch f.Level {
		case "note", "info", "help":
			return // it explains the one before
		case "warning":
		default:
			if f.Level = "error"; pythonWarning.MatchString(f.Message) {
				f.Level = "warning"
			}
		}
		if t.asserted != "" && exceptionName.MatchString(f.Message) {
			f.Message = t.asserted
		}
		t.asserted = ""
		t.tell(f)
		return
	}
}

func (t *ToolOutput) tell(f event.Finding) {
	if f.File == "" || f.Message == "" {
		return
	}
	f.Tool, f.Rule = t.Tool, "output"
	f.File, f.Message = printable(t.Source.relative(f.File)), printable(t.Source.local(f.Message))
	f.Fingerprint = f.File + "\x1f" + f.Message // lines move
	t.Source.own(&f)
	t.Tell(f)
}

// colour is what a terminal makes colours of.
var colour = regexp.MustCompile("\x1b\\[[0-9;]{0,20}m")
