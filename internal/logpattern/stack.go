package logpattern

import (
	"path"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/deployloop/deployloop/internal/event"
)

// Limits of what ParseStack looks at.
const (
	MaxFrames     = 256      // frames returned
	maxStackBytes = 64 << 10 // a longer text loses its middle: runtimes put the top at either end
	maxStackLine  = 2 << 10  // a longer line is no frame
)

// ParseStack finds the frames of the stack traces in text, wherever they are,
// top (innermost) first. It knows the forms that Go, Java and Kotlin, Python,
// JavaScript and TypeScript (V8, Firefox, Safari), .NET, Ruby, PHP and Rust
// print; of other lines it takes no notice. It never fails: no frame, no result.
//
// A frame's File is as the runtime told it, but for the JVM, which tells only
// the base name: there the package gives the folders ("com/acme/Cart.java").
// Function is the name inside its module or package ("(*Cart).Total",
// "Cart.total"), Module the package, namespace or crate. Line is 1-based, 0
// when unknown; Column likewise, which only JavaScript tells. Chained
// exceptions keep the order of the text, except in Python, which prints the innermost last and is turned round as a whole. Of a
// dump of goroutines only the first one's frames are given.
func ParseStack(text string) []event.Frame {
	if len(text) > maxStackBytes {
		half := maxStackBytes / 2
		text = text[:half] + "\n" + text[len(text)-half:]
	}
	var (
		frames   []event.Frame
		python   []event.Frame // in order of the text: outermost first
		previous string        // the line before: Go and Rust tell a frame in two
	)
	for line := range strings.SplitSeq(text, "\n") {
		line = strings.TrimRight(line, "\r \t")
		if len(line) > maxStackLine || line == "" {
			previous = ""
			continue
		}
		if len(frames) > 0 && goroutineHead(line) {
			break // a dump of all goroutines: the first one is it, the others come and go
		}
		if f, ok := pythonFrame(line); ok {
			if len(python) >= MaxFrames { // the innermost are the last
				copy(python, python[1:])
				python = python[:MaxFrames-1]
			}
			python = append(python, f)
		} else if len(frames) < MaxFrames {
			for i := range forms {
				if !strings.Contains(line, forms[i].mark) {
					continue
				}
				m := forms[i].re.FindStringSubmatch(line)
				if m == nil {
					continue
				}
				if f, ok := forms[i].frame(m, previous); ok {
					frames = append(frames, f)
					break
				}
			}
		}
		previous = line
	}
	if len(python) > 0 {
		slices.Reverse(python)
		frames = append(python, frames...)
	}
	if len(frames) > MaxFrames {
		frames = frames[:MaxFrames]
	}
	return frames
}

// form is how one runtime prints a frame. Forms are tried in order; mark is a
// piece of text that each line of the form holds, so that most lines cost a
// search and no expression.
type form struct {
	mark  string
	re    *regexp.Regexp
	frame func(m []string, previous string) (event.Frame, bool)
}

var forms = []form{
	// <tab>/src/cart/total.go:88 +0x1d        (the function is the line before)
	{".go:", regexp.MustCompile(`^\s+(\S.*\.go):(\d+)(?: \+0x[0-9a-f]+)?$`), goFrame},
	// <tab>at com.acme.Cart.total(Cart.java:88), also Kotlin, Scala, Groovy
	{"at ", regexp.MustCompile(`^\s*at (?:[\w.\-]*(?:@[\w.\-]+)?/)*([\w.$\\<>\-]+)\(([^()\s]*|Native Method|Unknown Source)\)(?: ~?\[.*\])?$`), javaFrame},
	//    at Acme.Cart.Total(Order order) in /src/Cart.cs:line 88
	{"at ", regexp.MustCompile(`^\s*at ((?:async )?[\w.<>` + "`" + `\[\]|+$,&=@]+)\((.*?)\)(?: in (.+):line (\d+))?$`), dotnetFrame},
	//     at Cart.total (/app/cart/total.ts:88:12), at async f (…), at /app/x.js:1:2
	{"at ", regexp.MustCompile(`^\s*at (?:(.+?) \()?((?:[A-Za-z][\w+.\-]*:(?://)?)?[^():]*(?::\d+/[^():]*)?):(\d+):(\d+)\)?$`), v8Frame},
	{"at ", regexp.MustCompile(`^\s*at (.+?) \(((?:<anonymous>|native|index \d+))\)$`), v8NativeFrame},
	// total@https://shop.example/assets/cart.js:88:12
	{"@", regexp.MustCompile(`^\s*([^@\s]*)@((?:https?|file|webpack|app|capacitor|resource)[^@\s]*|/[^@\s]*):(\d+):(\d+)$`), geckoFrame},
	// from /app/cart/total.rb:88:in 'Cart#total'
	{":in ", regexp.MustCompile(`^\s*(?:\d+: )?(?:from )?(\S[^:]*|[A-Za-z]:[^:]*|<internal:[^>]*>):(\d+):in ['` + "`" + `]([^']*)'`), rubyFrame},
	// #0 /app/cart/total.php(88): Acme\Cart->total()
	{"#", regexp.MustCompile(`^\s*#\d+ (?:(.+?)\((\d+)\)|\[internal function\]): ([^(]+)\(.*$`), phpFrame},
	// PHP Fatal error: Uncaught Exception: message in /app/cart/total.php:88
	{" in /", regexp.MustCompile(` in (/.+\.php):(\d+)$`), phpThrow},
	// thread 'main' panicked at src/cart/total.rs:88:12:
	{"panicked at ", regexp.MustCompile(`panicked at (?:'.*', )?([^\s:]+\.rs):(\d+):\d+:?$`), rustPanic},
}

var (
	pythonLine = regexp.MustCompile(`^[\s|]*File "([^"]+)", line (\d+)(?:, in (.+))?$`)
	rustNumber = regexp.MustCompile(`^\s*\d+:\s+(?:0x[0-9a-f]+ - )?(.+)$`)
	rustHash   = regexp.MustCompile(`::h[0-9a-f]{16}$`)
)

// goroutineHead: "goroutine 34 [chan receive, 2 minutes]:".
func goroutineHead(line string) bool {
	return strings.HasPrefix(line, "goroutine ") && strings.HasSuffix(line, "]:")
}

func pythonFrame(line string) (event.Frame, bool) {
	if !strings.Contains(line, `File "`) {
		return event.Frame{}, false
	}
	m := pythonLine.FindStringSubmatch(line)
	if m == nil {
		return event.Frame{}, false
	}
	return event.Frame{File: m[1], Line: number(m[2]), Function: m[3]}, true
}

func goFrame(m []string, previous string) (event.Frame, bool) {
	f := event.Frame{File: m[1], Line: number(m[2])}
	name := strings.TrimPrefix(strings.TrimSpace(previous), "created by ")
	name, _, _ = strings.Cut(name, " in goroutine ")
	// The arguments are the last parenthesis that closes the line; a receiver
	// "(*Cart)" is another one.
	if strings.HasSuffix(name, ")") {
		depth := 0
		for i := len(name) - 1; i >= 0; i-- {
			if name[i] == ')' {
				depth++
			} else if name[i] == '(' {
				if depth--; depth == 0 {
					name = name[:i]
					break
				}
			}
		}
	}
	if name == "" || strings.ContainsAny(name, " \t") {
		return f, true
	}
	slash := strings.LastIndexByte(name, '/') + 1
	if dot := strings.IndexByte(name[slash:], '.'); dot >= 0 {
		f.Module, f.Function = name[:slash+dot], name[slash+dot+1:]
	} else {
		f.Function = name // "panic"
	}
	return f, true
}

func javaFrame(m []string, _ string) (event.Frame, bool) {
	name, place := m[1], m[2]
	file, line, _ := strings.Cut(place, ":")
	known := place == "Native Method" || place == "Unknown Source"
	if !known {
		// "(Order order)" and "()" are .NET; a file has a suffix.
		if path.Ext(file) == "" || strings.ContainsAny(file, `/\`) || !strings.ContainsRune(name, '.') {
			return event.Frame{}, false
		}
	} else {
		file = ""
	}
	var f event.Frame
	f.Line = number(line)
	dot := strings.LastIndexByte(name, '.')
	if dot < 0 {
		f.Function = name
	} else if pkg := strings.LastIndexAny(name[:dot], `.\`); pkg < 0 {
		f.Function = name
	} else {
		f.Module, f.Function = name[:pkg], name[pkg+1:]
	}
	if file != "" && f.Module != "" {
		file = strings.NewReplacer(".", "/", `\`, "/").Replace(f.Module) + "/" + file
	}
	f.File = file
	return f, true
}

func dotnetFrame(m []string, _ string) (event.Frame, bool) {
	name := strings.TrimPrefix(m[1], "async ")
	if m[3] == "" && (!strings.ContainsRune(name, '.') || strings.ContainsAny(m[2], "/:")) {
		return event.Frame{}, false // V8: "at f (/app/x.js:1:2)" has the blank that this form forbids; "(native)" has not
	}
	f := event.Frame{File: strings.ReplaceAll(m[3], `\`, "/"), Line: number(m[4])}
	dot := strings.LastIndexByte(name, '.')
	if strings.HasSuffix(name, ".MoveNext") && strings.Contains(name, "+<") || strings.Contains(name, ".<") && strings.HasSuffix(name, ".MoveNext") {
		// Acme.Cart.<Total>d__5.MoveNext is the compiled body of async Acme.Cart.Total.
		if open := strings.LastIndexByte(name, '<'); open > 0 {
			if end := strings.IndexByte(name[open:], '>'); end > 1 {
				name = name[:open-1] + "." + name[open+1:open+end]
				dot = strings.LastIndexByte(name, '.')
			}
		}
	}
	if strings.HasSuffix(name, "..ctor") || strings.HasSuffix(name, "..cctor") {
		dot = strings.LastIndex(name, "..")
	}
	if dot > 0 {
		if ns := strings.LastIndexByte(name[:dot], '.'); ns >= 0 {
			f.Module, f.Function = name[:ns], name[ns+1:]
			return f, true
		}
	}
	f.Function = name
	return f, true
}

func v8Frame(m []string, previous string) (event.Frame, bool) {
	f := event.Frame{File: ScriptPath(m[2]), Line: number(m[3]), Column: number(m[4])}
	if f.File == "" {
		return f, false
	}
	if strings.HasSuffix(f.File, ".rs") && m[1] == "" {
		if n := rustNumber.FindStringSubmatch(previous); n != nil {
			name := rustHash.ReplaceAllString(n[1], "")
			if i := strings.LastIndex(strings.TrimSuffix(name, "::{{closure}}"), "::"); i > 0 && !strings.HasPrefix(name, "<") {
				f.Module, f.Function = name[:i], name[i+2:]
			} else {
				f.Function = name
			}
		}
		return f, true
	}
	f.Function = scriptFunction(m[1])
	return f, true
}

func v8NativeFrame(m []string, _ string) (event.Frame, bool) {
	return event.Frame{File: "<" + strings.Trim(m[2], "<>") + ">", Function: scriptFunction(m[1])}, true
}

func geckoFrame(m []string, _ string) (event.Frame, bool) {
	return event.Frame{File: ScriptPath(m[2]), Line: number(m[3]), Column: number(m[4]), Function: scriptFunction(m[1])}, true
}

// ScriptPath takes scheme and host from the URL of a script, and a bundler's own
// scheme from a source: a bundle keeps its path over hosts.
func ScriptPath(file string) string {
	file = strings.TrimPrefix(file, "async ")
	if scheme, rest, ok := strings.Cut(file, "://"); ok {
		if i := strings.IndexByte(rest, '/'); i >= 0 {
			rest = rest[i:]
		}
		if scheme == "webpack" || scheme == "webpack-internal" {
			rest = strings.TrimPrefix(strings.TrimLeft(rest, "/"), "./")
		}
		file = rest
	}
	file, _, _ = strings.Cut(file, "?")
	return strings.ReplaceAll(file, `\`, "/")
}

func scriptFunction(name string) string {
	name = strings.TrimPrefix(name, "async ")
	name = strings.TrimPrefix(name, "async*")
	name = strings.TrimPrefix(name, "new ")
	name, _, _ = strings.Cut(name, " [as ")
	if name == "<anonymous>" || name == "Object.<anonymous>" {
		return ""
	}
	return strings.TrimPrefix(name, "Object.")
}

func rubyFrame(m []string, _ string) (event.Frame, bool) {
	name := m[3]
	for _, p := range []string{"block in ", "rescue in ", "ensure in "} {
		name = strings.TrimPrefix(name, p)
	}
	if i := strings.Index(name, " in "); i >= 0 && strings.HasPrefix(name, "block (") {
		name = name[i+len(" in "):]
	}
	f := event.Frame{File: m[1], Line: number(m[2]), Function: name}
	if i := strings.LastIndex(name, "::"); i > 0 {
		f.Module, f.Function = name[:i], name[i+2:]
	}
	return f, true
}

func phpFrame(m []string, _ string) (event.Frame, bool) {
	f := event.Frame{File: m[1], Line: number(m[2]), Function: m[3]}
	if m[1] == "" {
		f.File = "[internal function]"
	}
	if i := strings.LastIndexByte(f.Function, '\\'); i > 0 {
		f.Module, f.Function = f.Function[:i], f.Function[i+1:]
	}
	return f, true
}

func phpThrow(m []string, _ string) (event.Frame, bool) {
	return event.Frame{File: m[1], Line: number(m[2])}, true
}

func rustPanic(m []string, _ string) (event.Frame, bool) {
	return event.Frame{File: m[1], Line: number(m[2])}, true
}

func number(s string) int {
	n, err := strconv.Atoi(s)
	if err != nil || n < 0 {
		return 0
	}
	return n
}
