package report

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"regexp"
	"strconv"
	"strings"

	"golang.org/x/text/encoding"
	"golang.org/x/text/encoding/htmlindex"
	"golang.org/x/text/encoding/unicode"
	"golang.org/x/text/transform"

	"github.com/deployloop/deployloop/internal/event"
	"github.com/deployloop/deployloop/internal/logpattern"
)

// declared finds the encoding in an XML declaration.
var declared = regexp.MustCompile(`^\s*<\?xml[^>]{0,200}?\sencoding\s*=\s*["']([A-Za-z0-9._:-]{1,40})["']`)

// decoded gives r's text as UTF-8, by its byte order mark or its XML declaration;
// bytes that are no text in that encoding become U+FFFD.
func decoded(r io.Reader) io.Reader {
	in := bufio.NewReaderSize(r, 4096)
	head, _ := in.Peek(300) // an error comes again on Read
	var from encoding.Encoding
	switch {
	case bytes.HasPrefix(head, []byte("\xEF\xBB\xBF")):
		_, _ = in.Discard(3)
	case bytes.HasPrefix(head, []byte("\xFF\xFE")), bytes.HasPrefix(head, []byte("\xFE\xFF")):
		from = unicode.UTF16(unicode.LittleEndian, unicode.ExpectBOM)
	case bytes.HasPrefix(head, []byte("<\x00")):
		from = unicode.UTF16(unicode.LittleEndian, unicode.IgnoreBOM)
	case bytes.HasPrefix(head, []byte("\x00<")):
		from = unicode.UTF16(unicode.BigEndian, unicode.IgnoreBOM)
	default:
		if found := declared.FindSubmatch(head); found != nil {
			// The declaration was readable byte by byte, so it is not UTF-16
			// whatever it says (.NET writes that into UTF-8 files).
			name := strings.ToLower(string(found[1]))
			if e, err := htmlindex.Get(name); err == nil && !strings.HasPrefix(name, "utf") {
				from = e
			}
		}
	}
	if from != nil {
		return transform.NewReader(in, from.NewDecoder())
	}
	return in
}

// counter counts what was read.
type counter struct {
	r io.Reader
	n int64
}

func (c *counter) Read(b []byte) (int, error) {
	n, err := c.r.Read(b)
	c.n += int64(n)
	return n, err
}

// lines gives each line without its end, cut to maxLine bytes, until the end or
// the first error of take. The slice is valid during the call only.
func lines(in *bufio.Reader, take func(line []byte) error) error {
	const maxLine = 64 << 10
	var long []byte
	for {
		part, err := in.ReadSlice('\n')
		if errors.Is(err, bufio.ErrBufferFull) {
			long = append(long, part[:min(len(part), maxLine-len(long))]...)
			continue
		}
		if len(long) > 0 {
			part = append(long, part[:min(len(part), maxLine-len(long))]...)
			long = long[:0]
		}
		if len(part) > 0 {
			if failure := take(bytes.TrimRight(part, "\r\n")); failure != nil {
				return failure
			}
		}
		if errors.Is(err, io.EOF) {
			return nil
		} else if err != nil {
			return err
		}
	}
}

// cut bounds text from outside; the result is valid UTF-8, and holds nothing of what
// was cut off.
func cut(s string, limit int) string {
	if len(s) > limit {
		s = strings.Clone(s[:limit])
	}
	return strings.ToValidUTF8(s, "\uFFFD")
}

// printable replaces what moves a terminal's cursor.
func printable(s string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f {
			return ' '
		}
		return r
	}, s)
}

// firstLine is the first line that says something.
func firstLine(s string) string {
	for line := range strings.Lines(s) {
		if line = strings.TrimSpace(line); line != "" {
			return line
		}
	}
	return ""
}

// frameLine begins a stack below what was thrown, as JavaScript and Java print it.
var frameLine = regexp.MustCompile(`(?m)^\s+at \S`)

// maxReason is how many lines a reason has: Jest's says what was expected and what
// was received below its first.
const maxReason = 8

// reason is what stands above the stack of a failure that has no message; its first
// line where there is no such stack.
func reason(body string) string {
	stack := frameLine.FindStringIndex(body)
	if stack == nil {
		return firstLine(body)
	}
	var said []string
	for line := range strings.Lines(body[:stack[0]]) {
		if line = strings.TrimSpace(line); line != "" && len(said) < maxReason {
			said = append(said, line)
		}
	}
	if len(said) == 0 {
		return firstLine(body)
	}
	return strings.Join(said, "\n")
}

// place finds path/file.ext:12 in a line of output.
var place = regexp.MustCompile(`(?:^|[\s(\["'])((?:[A-Za-z]:[\\/])?[\w@+./\\-]+\.[A-Za-z]\w{0,9}):(\d{1,7})\b`)

// locate fills in file and line of a failure: the top in-app frame of its stack,
// else the first place that its text names.
func locate(t *event.TestResult) {
	if t.File != "" && t.Line > 0 {
		return
	}
	for _, frame := range logpattern.ParseStack(t.Stacktrace) {
		if frame.File != "" && frame.Line > 0 && logpattern.InApp(frame) && (t.File == "" || strings.HasSuffix(t.File, frame.File) || strings.HasSuffix(frame.File, t.File)) {
			t.File, t.Line = cut(frame.File, maxName), frame.Line
			return
		}
	}
	for _, text := range []string{t.Message, t.Stacktrace} {
		if found := place.FindStringSubmatch(text); found != nil && (t.File == "" || strings.HasSuffix(t.File, found[1])) {
			t.Line, _ = strconv.Atoi(found[2])
			t.File = cut(found[1], maxName)
			return
		}
	}
}
