package report

import (
	"bytes"
	"regexp"
	"strconv"
	"strings"

	"github.com/deployloop/deployloop/internal/logpattern"
)

// crashForm is how one runtime tells of an exception, or a panic, that nobody
// caught.
type crashForm struct {
	head    *regexp.Regexp // its first line
	message string         // of groups of head; "": it stands below
	stack   bool           // what has none is no crash
	// more takes each line after it, until one is not of the crash.
	more func(c *crash, line string) bool
}

// crash is one under way.
type crash struct {
	form    *crashForm
	found   []string // of head
	text    []byte   // all lines
	lines   int
	message string
	framed  bool // its stack has begun
	marked  bool // of Node: the column in the source was shown
}

const (
	maxCrashLines = 300
	maxUnframed   = 20 // lines of a message, before the stack
)

var (
	pythonHead  = regexp.MustCompile(`^(?:Traceback \(most recent call last\):|  File "[^"]+", line \d+)$`)
	pythonChain = []string{"During handling of the above exception", "The above exception was the direct cause"}
	javaHead    = regexp.MustCompile(`^Exception in thread "[^"]*" (.+)$`)
	dotnetHead  = regexp.MustCompile(`^Unhandled [Ee]xception[.:] (.+)$`)
	atFrame     = regexp.MustCompile(`^\s+(?:at |\.\.\. |--- End of )`)
	cause       = regexp.MustCompile(`^\s*(?:Caused by|Suppressed): `)
	nodeHead    = regexp.MustCompile(`^((?:/|file:///|node:|[A-Za-z]:[\\/]).*):(\d{1,7})$`)
	nodeMark    = regexp.MustCompile(`^\s*\^+$`)
	nodeImport  = regexp.MustCompile(` imported from (\S+)$`)
	nodeError   = regexp.MustCompile(`^(?:Uncaught )?[\w.$]*(?:Error|Exception)(?: \[\w+\])?: `)
	rubyHead    = regexp.MustCompile("^(\\S[^:]*):\\d{1,7}:in ['`][^']*': (.+) \\(([A-Z][\\w:]*)\\)$")
	rustHead    = regexp.MustCompile(`^\s*thread '[^']*'(?: \(\d+\))? panicked at (?:'(.*)', )?[^\s:]+:\d{1,7}:\d{1,7}:?$`)
	goHead      = regexp.MustCompile(`^(?:panic|fatal error): .+$`)
	goStack     = regexp.MustCompile(`^(?:\s|goroutine \d|created by |\[signal |exit status |panic: |.*\)$)`)
	phpHead     = regexp.MustCompile(`^(?:PHP )?Fatal error:\s+Uncaught (.+) in (?:/|[A-Za-z]:\\).+:\d+$`)
	phpStack    = regexp.MustCompile(`^(?:Stack trace:$|#\d+ |\s+thrown in )`)
)

var crashForms = []crashForm{
	{pythonHead, "", false, (*crash).python},
	{javaHead, "$1", true, (*crash).framesBelow},
	{dotnetHead, "$1", true, (*crash).framesBelow},
	{nodeHead, "", false, (*crash).node},
	{rubyHead, "$3: $2", false, func(_ *crash, line string) bool { return indented(line) }},
	{rustHead, "$1", false, (*crash).rust},
	{goHead, "$0", true, func(c *crash, line string) bool {
		c.framed = c.framed || strings.HasPrefix(line, "goroutine ")
		return line == "" || !c.framed && c.lines <= maxUnframed || c.framed && goStack.MatchString(line)
	}},
	{phpHead, "$1", false, func(_ *crash, line string) bool { return phpStack.MatchString(line) }},
}

// crashHead begins one where a line does.
func crashHead(line string) *crash {
	for i := range crashForms {
		form := &crashForms[i]
		if found := form.head.FindStringSubmatch(line); found != nil {
			return &crash{form: form, found: found, text: []byte(line + "\n"), message: form.head.ReplaceAllString(line, form.message)}
		}
	}
	return nil
}

// take tells whether a line is of the crash.
func (c *crash) take(line string) bool {
	c.lines++
	if c.lines > maxCrashLines || len(c.text)+len(line) > maxStack {
		if c.form.head != pythonHead || c.message != "" {
			return false
		}
		// The top frame stands last, and what was thrown below it: of a deep recursion
		// the outer frames are left out.
		_, rest, _ := bytes.Cut(c.text[len(c.text)/2:], []byte("\n"))
		c.text, c.lines = bytes.Clone(rest), c.lines/2
	}
	if !c.form.more(c, line) {
		return false
	}
	c.text = append(append(c.text, line...), '\n')
	return true
}

// place is what was thrown, and the top frame of own code; "" where nothing says so.
func (c *crash) place() (file string, line int, message string) {
	if c.message == "" || c.form.stack && !c.framed {
		return "", 0, ""
	}
	if c.form.head == nodeHead && !strings.HasPrefix(c.found[1], "node:") { // a syntax error has the parser's frames alone
		line, _ = strconv.Atoi(c.found[2])
		file = strings.TrimPrefix(c.found[1], "file://")
	}
	for _, f := range logpattern.ParseStack(string(c.text)) {
		if f.File != "" && logpattern.InApp(f) {
			return f.File, f.Line, c.message
		}
	}
	if found := nodeImport.FindStringSubmatch(c.message); found != nil && file == "" { // all that Node says of a module that is missing
		file = found[1]
	}
	return file, line, c.message
}

func indented(line string) bool { return line == "" || line[0] == ' ' || line[0] == '\t' }

// python: the exception stands below its frames. Of a chain the last one ended the
// program.
func (c *crash) python(line string) bool {
	switch {
	case c.message == "" && (indented(line) || pythonHead.MatchString(line)):
		return true
	case c.message == "":
		c.message = line
		return true
	case strings.HasPrefix(line, pythonChain[0]) || strings.HasPrefix(line, pythonChain[1]):
		c.message, c.text, c.lines = "", nil, 0
		return true
	}
	return line == ""
}

// framesBelow: of the JVM and .NET, whose messages may have several lines.
func (c *crash) framesBelow(line string) bool {
	frame := atFrame.MatchString(line)
	c.framed = c.framed || frame
	return frame || cause.MatchString(line) || !c.framed && c.lines <= maxUnframed
}

// node: a line of source, a mark below its column, what was thrown, its frames.
func (c *crash) node(line string) bool {
	c.framed = c.framed || c.message != "" && atFrame.MatchString(line)
	switch {
	case nodeMark.MatchString(line):
		c.marked = true
	case c.message == "" && line != "" && (c.marked || nodeError.MatchString(line)):
		c.message = strings.TrimPrefix(line, "Uncaught ")
	case c.framed:
		return atFrame.MatchString(line)
	case c.lines == 2 && line != "", c.message == "" && c.lines > 5:
		return false
	}
	return c.lines <= maxUnframed
}

// rust: what the panic says stands on its own line, or below it.
func (c *crash) rust(line string) bool {
	c.framed = c.framed || c.found[1] != "" || line == "stack backtrace:"
	switch {
	case strings.HasPrefix(line, "note: ") || line == "" && c.message != "":
		return false
	case !c.framed && line != "":
		c.message = strings.TrimPrefix(c.message+"; "+strings.TrimSpace(line), "; ")
		return c.lines <= maxUnframed
	}
	return !c.framed || indented(line) || line == "stack backtrace:"
}
