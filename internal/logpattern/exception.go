package logpattern

import (
	"regexp"
	"strings"

	"github.com/cespare/xxhash/v2"

	"github.com/deployloop/deployloop/internal/event"
)

// topFrames is how many in-app frames tell one exception from another.
const topFrames = 3

// Exception is what an exception is known by.
type Exception struct {
	Fingerprint uint64 // of the type and the top in-app frames; stable over versions, hosts and restarts
	Type        string
	Frames      []event.Frame // in-app, top first, at most 8
}

// ID is the fingerprint as 16 hexadecimal digits.
func (x Exception) ID() string { return hexID(x.Fingerprint) }

// Fingerprint names an exception by its type and the file and function of its
// top three frames of the application's own code: no line, which every edit
// above it moves, and no folder of a release. Without own frames the top three
// of any count. Where no frame names a function, as in minified code, whose
// names each build deals out anew, what the stack says joins them; without a
// stack the masked message stands in.
func Fingerprint(typ, message, stacktrace string) Exception {
	x := Exception{Type: typ}
	all := belowPanic(ParseStack(stacktrace))
	for _, f := range all {
		if InApp(f) {
			if x.Frames = append(x.Frames, f); len(x.Frames) == 8 {
				break
			}
		}
	}
	if typ == "" {
		x.Type = typeOf(message, stacktrace)
	}
	var h xxhash.Digest
	h.Reset()
	part := func(s string) {
		_, _ = h.WriteString(s)
		_, _ = h.Write([]byte{0})
	}
	part(x.Type)
	frames := x.Frames
	if len(frames) == 0 {
		frames = all
	}
	if len(frames) == 0 {
		part(Mask(message))
	}
	named := len(frames) == 0
	for _, f := range frames[:min(len(frames), topFrames)] {
		part(stablePath(f.File))
		if minified(f) {
			continue
		}
		part(stable(f.Module))
		part(stable(f.Function))
		named = named || f.Function != ""
	}
	if !named {
		part(Mask(said(stacktrace)))
	}
	x.Fingerprint = h.Sum64()
	return x
}

// belowPanic leaves out what ran when a panic of Go's was recovered: the same
// few functions, whatever panicked.
func belowPanic(frames []event.Frame) []event.Frame {
	for i := len(frames) - 1; i >= 0; i-- {
		if frames[i].Function == "panic" && strings.HasSuffix(frames[i].File, "runtime/panic.go") {
			return frames[i+1:]
		}
	}
	return frames
}

// minified: nobody writes lines of so many columns.
func minified(f event.Frame) bool { return f.Column >= 500 }

// said is the line of a printed trace that says what happened: the head, after
// which Rust's panic tells its message on a line of its own. The property that
// V8 could not read is of the code, and is no variable text.
func said(stacktrace string) string {
	head, rest, _ := strings.Cut(stacktrace, "\n")
	if strings.Contains(head, "panicked at ") && strings.HasSuffix(head, ":") {
		head, _, _ = strings.Cut(rest, "\n")
	}
	return strings.NewReplacer("(reading '", "(reading ", "(setting '", "(setting ").Replace(head)
}

// Mask replaces what is variable in a line by its form.
func Mask(line string) string {
	var s scanner
	s.scan(line)
	return string(s.text)
}

// Masker hashes masked lines without an allocation a line. It is not safe for
// concurrent use.
type Masker struct{ scanner scanner }

// Hash is that of Mask(line).
func (m *Masker) Hash(line string) uint64 {
	m.scanner.scan(line)
	return xxhash.Sum64(m.scanner.text)
}

// heads are how printed traces begin, with the type of what was thrown.
var heads = []*regexp.Regexp{
	// com.acme.CartException: message, after what runtimes put before it
	regexp.MustCompile(`^(?:Exception in thread "[^"]*" |Unhandled exception\. |Uncaught (?:\(in promise\) )?|(?:PHP )?Fatal error: +Uncaught )?((?:[\w$]+[.\\])*[\w$]*(?:Error|Exception))(?::|$)`),
	// /app/cart.rb:88:in `total': message (Shop::CartError)
	regexp.MustCompile(`:in ['` + "`" + `].*\(([A-Z]\w*(?:::\w+)*)\)$`),
	// … {"exception":"[object] (App\\CartException(code: 0): message at …
	regexp.MustCompile(`\[object\] \(([\w\\]+)\(code: `),
	// panic: runtime error: …, fatal error: concurrent map writes
	regexp.MustCompile(`^(?:panic: )?(runtime error: .+|fatal error: .+)$`),
}

// typeOf reads the type at the head of a trace whose reporter gave none, or at
// its end, where Python tells it.
func typeOf(message, stacktrace string) string {
	texts := []string{stacktrace, message}
	if strings.HasPrefix(stacktrace, "Traceback (most recent") {
		tail := strings.TrimSpace(stacktrace)
		texts[0] = tail[strings.LastIndexByte(tail, '\n')+1:]
	}
	for _, text := range texts {
		head, _, _ := strings.Cut(text, "\n")
		if len(head) > maxStackLine {
			head = head[:maxStackLine]
		}
		for i, re := range heads {
			if m := re.FindStringSubmatch(strings.TrimRight(head, "\r ")); m != nil {
				if i == len(heads)-1 { // its numbers are of the moment
					return Mask(m[1])
				}
				return strings.ReplaceAll(m[1], `\\`, `\`) // as JSON has it
			}
		}
	}
	return ""
}

// stablePath is the last three elements of a path, without what a build or a
// release puts into them: "/srv/releases/20261123/cart.4f2a9c1b.js".
func stablePath(file string) string {
	file = strings.ReplaceAll(file, `\`, "/")
	from := len(file)
	for n := 0; n < topFrames && from >= 0; n++ {
		from = strings.LastIndexByte(file[:from], '/')
	}
	return stable(unhashed(file[from+1:]))
}

// bundleHash is what Vite, Rollup and esbuild put into the name of a bundle:
// eight characters of any kind, of which one is no small letter beyond the first.
var bundleHash = regexp.MustCompile(`[-.]([\w-]{8})(\.m?js)$`)

func unhashed(file string) string {
	m := bundleHash.FindStringSubmatchIndex(file)
	if m == nil || strings.IndexFunc(file[m[2]+1:m[3]], func(c rune) bool { return c < 'a' || c > 'z' }) < 0 {
		return file
	}
	return file[:m[2]] + "*" + file[m[3]:]
}

// stable masks runs of six and more hexadecimal digits and the numbers that
// compilers give to what has no name ("lambda$total$3", "fn__1234") or that
// templates' functions bear ("_show_html_erb__4071930293859327123_21880").
func stable(name string) string {
	b := make([]byte, 0, len(name))
	for i := 0; i < len(name); {
		c := name[i]
		switch classOf[c] {
		case classDigit, classHex, classLetter:
			end, digits, other, _ := word(name, i)
			before := name[max(i-2, 0):i]
			switch {
			case digits > 0 && other == 0 && end-i >= 6,
				digits == end-i && (strings.HasSuffix(before, "$") || before == "__" || strings.HasSuffix(string(b), "*_")):
				b = append(b, '*')
			default:
				b = append(b, name[i:end]...)
			}
			i = end
		default:
			b = append(b, c)
			i++
		}
	}
	return string(b)
}
