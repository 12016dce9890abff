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
// exceptions keep the order of the text, except in Python, which prints the
// innermost last and is turned round as a whole. Of a dump of goroutines only the
// first one's frames are given.
func ParseStack(text string) []event.Frame {
	if len(text) > maxStackBytes {
		half := maxStackBytes / 2
		text = text[:half] + "\n" + text[len(text)-half:]
	}
	var (
		frames   []event.Frame
		python   []event.Frame // in order of the text: outermost first
		previous string        // the line before: Go tells a frame in two
		rust     string        // the function of a numbered frame, whose place may follow
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
		if name := rust; name != "" {
			rust = ""
			f, told := rustFrame(name, line)
			if f.Function != "" && len(frames) < MaxFrames {
				frames = append(frames, f)
			}
			if told {
				continue
			}
		}
		if numbered(line) {
			if m := rustNumber.FindStringSubmatch(line); m != nil && (rustPath(m[1]) || !strings.ContainsRune(m[1], ' ')) {
				rust, previous = m[1], line
				continue
			}
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
	if f, _ := rustFrame(rust, ""); f.Function != "" && len(frames) < MaxFrames {
		frames = append(frames, f)
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
	// <tab>/src/cart/total.go:88 +0x1d        (the function is the line before; an error that wraps another may indent by "| ")
	{".go:", regexp.MustCompile(`^\s+(?:\|\s+)?(\S.*\.go):(\d+)(?: \+0x[0-9a-f]+)?$`), goFrame},
	// <tab>at com.acme.Cart.total(Cart.java:88), also Kotlin, Scala, Groovy
	{"at ", regexp.MustCompile(`^\s*at (?:[\w.\-]*(?:@[\w.\-]+)?/)*([\w.$\\<>\-]+)\(([^()\s]*|Native Method|Unknown Source(?::\d+)?)\)(?: ~?\[.*\])?$`), javaFrame},
	//    at Acme.Cart.Total(Order order) in /src/Cart.cs:line 88, also "at async Task<Order> Acme.Cart.Total(…)" and "… + 0x3f"
	{"at ", regexp.MustCompile(`^\s*at (?:new )?(?:async )?(?:(?:void|bool|int|long|string|object|[A-Z][\w.<>,\[\]?]*) )?([\w.<>` + "`" + `\[\]|+$,&=@]+)\((.*?)\)(?: \+ 0x[0-9a-f]+)?(?: in (.+):line (\d+))?$`), dotnetFrame},
	//   at Acme.Cart.Total (Order order) [0x00012] in /src/Cart.cs:88
	{"] in ", regexp.MustCompile(`^\s*at ([\w.<>` + "`" + `\[\]|+$,&=@/]+) ?\((.*?)\) \[0x[0-9a-f]+\] in (.+):(\d+)$`), monoFrame},
	//     at Cart.total (/app/cart/total.ts:88:12), at async f (…), at /app/x.js:1:2
	{"at ", regexp.MustCompile(`^\s*at (?:async )?(?:(.+?) \()?((?:[A-Za-z][\w+.\-]*:(?://)?)?[^:]*?(?::\d+/[^:]*)?):(\d+):(\d+)\)?$`), v8Frame},
	{"at ", regexp.MustCompile(`^\s*at (.+?) \(((?:<anonymous>|native|index \d+))\)$`), v8NativeFrame},
	// total@https://shop.example/assets/cart.js:88:12, promise callback*total@…, global code@…
	{"@", regexp.MustCompile(`^\s*((?:[\w.]+ (?:callback|handler)\*)?(?:(?:global|module|eval) code|[^@\s]*))@((?:https?|file|webpack|app|capacitor|resource)[^@\s]*|/[^@\s]*):(\d+):(\d+)$`), geckoFrame},
	// from /app/cart/total.rb:88:in 'Cart#total'
	{":in ", regexp.MustCompile(`^\s*(?:\d+: )?(?:from )?(\S[^:]*|[A-Za-z]:[^:]*|<internal:[^>]*>):(\d+):in ['` + "`" + `]([^']*)'`), rubyFrame},
	// #0 /app/cart/total.php(88): Acme\Cart->total()
	{"#", regexp.MustCompile(`^\s*#\d+ (?:(.+?)\((\d+)\)|\[internal function\]): ([^(]+)\(.*$`), phpFrame},
	// PHP Fatal error: Uncaught Exception: message in /app/cart/total.php:88
	{" in /", regexp.MustCompile(` in (/.+\.php):(\d+)$`), phpThrow},
	// [object] (Error(code: 0): message at /app/cart/total.php:88), as Laravel and Symfony log it
	{".php:", regexp.MustCompile(`\[object\] \(.*? at ((?:/|[A-Za-z]:\\)[^"()]+\.php):(\d+)\)`), phpThrow},
	// thread 'main' panicked at src/cart/total.rs:88:12:
	{"panicked at ", regexp.MustCompile(`panicked at (?:'.*', )?([^\s:]+\.rs):(\d+):\d+:?$`), rustPanic},
}

var (
	pythonLine = regexp.MustCompile(`^[\s|>]*File "([^"]+)", line (\d+)(?:, in (.+))?$`)
	rustNumber = regexp.MustCompile(`^\s*\d+:\s+(?:0x[0-9a-f]+ - )?(.+)$`)
	rustPlace  = regexp.MustCompile(`^\s+at (\S.*?):(\d+)(?::\d+)?$`)
	rustHash   = regexp.MustCompile(`::h[0-9a-f]{16}$`)
	rustNth    = regexp.MustCompile(`\{closure#\d+\}`)
)

// goroutineHead: "goroutine 34 [chan receive, 2 minutes]:".
func goroutineHead(line string) bool {
	return strings.HasPrefix(line, "goroutine ") && strings.HasSuffix(line, "]:")
}

// numbered: "  12: …".
func numbered(line string) bool {
	line = strings.TrimLeft(line, " \t")
	return line[0] >= '0' && line[0] <= '9'
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
	name := strings.TrimPrefix(strings.Trim(previous, " \t|"), "created by ")
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
	known := file == "Native Method" || file == "Unknown Source" || file == "SourceFile" || strings.HasPrefix(file, "r8-map-id-")
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

// What .NET's compiler makes of a lambda, a local function and the body of an
// async method or iterator. Their numbers change with whatever stands above.
var (
	dotnetClosure = regexp.MustCompile("<>c(?:__DisplayClass\\d+_\\d+)?(?:`\\d+)?\\.")
	dotnetLambda  = regexp.MustCompile(`<(<?[\w.]+>?\$?)>b__\d+(?:_\d+)*`)
	dotnetLocal   = regexp.MustCompile(`<(<?[\w.]+>?\$?)>g__(\w+)\|\d+(?:_\d+)*`)
	dotnetBody    = regexp.MustCompile("<([^>]+(?:>\\$)?[^>]*)>d(?:__\\d+)?(?:`\\d+)?\\.MoveNext$")
)

// dotnetFrame: Acme.Cart.<Total>d__5.MoveNext is the body of async
// Acme.Cart.Total, Acme.Cart.<>c.<Total>b__3_0 a lambda in it.
func dotnetFrame(m []string, _ string) (event.Frame, bool) {
	name := m[1]
	if m[3] == "" && (!strings.ContainsRune(name, '.') || strings.ContainsAny(m[2], "/:") || strings.HasPrefix(m[2], "<")) {
		return event.Frame{}, false // V8: "at f (/app/x.js:1:2)" has the blank that this form forbids; "(native)" has not. "(<generated>)" is a proxy on the JVM
	}
	f := event.Frame{File: strings.ReplaceAll(m[3], `\`, "/"), Line: number(m[4])}
	if strings.ContainsRune(name, '<') {
		name = dotnetClosure.ReplaceAllString(name, "")
		name = dotnetLambda.ReplaceAllString(name, "$1{lambda}")
		name = dotnetLocal.ReplaceAllString(name, "$1{$2}")
		name = dotnetBody.ReplaceAllString(name, "$1")
	}
	dot := strings.LastIndexByte(name, '.')
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

// monoFrame: a place that is not known is "<filename unknown>" or a module's id.
func monoFrame(m []string, previous string) (event.Frame, bool) {
	if strings.HasPrefix(m[3], "<") {
		m = []string{m[0], m[1], m[2], "", ""}
	}
	return dotnetFrame(m, previous)
}

func v8Frame(m []string, _ string) (event.Frame, bool) {
	place := strings.TrimPrefix(m[2], "address at ") // Hermes
	f := event.Frame{File: ScriptPath(place), Line: number(m[3]), Column: number(m[4]), Function: scriptFunction(m[1])}
	return f, strings.ContainsAny(f.File, `./:`) // "at 12:30:45" is a time
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
	name = name[strings.LastIndexByte(name, '*')+1:] // Firefox: "async*total"
	name = strings.TrimPrefix(name, "async ")
	name = strings.TrimPrefix(name, "new ")
	name, _, _ = strings.Cut(name, " [as ")
	name = strings.TrimRight(name, "/<") // Firefox: "total/<" is a function without a name in total
	if name == "anonymous>" || name == "<anonymous>" || name == "Object.<anonymous>" || strings.HasSuffix(name, " code") {
		return ""
	}
	return strings.TrimPrefix(name, "Object.")
}

// rubyInside: "block (2 levels) in ", "rescue in ", "ensure in ", one after another.
var rubyInside = regexp.MustCompile(`^(?:block|rescue|ensure)(?: \(\d+ levels\))? in `)

func rubyFrame(m []string, _ string) (event.Frame, bool) {
	name := m[3]
	for rubyInside.MatchString(name) {
		name = rubyInside.ReplaceAllString(name, "")
	}
	f := event.Frame{File: m[1], Line: number(m[2]), Function: name}
	if i := strings.LastIndex(name, "::"); i > 0 {
		f.Module, f.Function = name[:i], name[i+2:]
	}
	return f, true
}

// phpClass is what PHP appends to the name of a class that has none: place and a number.
var phpClass = regexp.MustCompile(`@anonymous.*?(->|::)`)

func phpFrame(m []string, _ string) (event.Frame, bool) {
	f := event.Frame{File: m[1], Line: number(m[2]), Function: phpClass.ReplaceAllString(m[3], "@anonymous$1")}
	// From 8.4 on a closure tells whose it is, or in which file, and its line.
	if before, of, ok := strings.Cut(f.Function, "{closure:"); ok {
		if of, _, _ = strings.Cut(of, ":/"); strings.ContainsRune(of, '/') {
			f.Function = before + "{closure}"
		} else {
			f.Function = of + "{closure}"
		}
	}
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

// rustFrame is the numbered frame of a function, with the place that the next
// line tells, or without one: a release build knows none. No function: no frame.
func rustFrame(name, next string) (f event.Frame, told bool) {
	place := rustPlace.FindStringSubmatch(next)
	if name == "" || place == nil && !rustPath(name) {
		return f, false
	}
	if place != nil {
		f.File, f.Line = strings.ReplaceAll(place[1], `\`, "/"), number(place[2])
	}
	f.Function = rustNth.ReplaceAllString(rustHash.ReplaceAllString(name, ""), "{{closure}}")
	own := f.Function
	for strings.HasSuffix(own, "::{{closure}}") {
		own = strings.TrimSuffix(own, "::{{closure}}")
	}
	if i := strings.LastIndex(own, "::"); i > 0 && !strings.HasPrefix(own, "<") {
		f.Module, f.Function = f.Function[:i], f.Function[i+2:]
	}
	return f, place != nil
}

// rustPath says whether a text is a path of Rust's: "shop::pay::call",
// "<shop::Cart as shop::Total>::total"; blanks stand only between brackets.
func rustPath(name string) bool {
	depth := 0
	for _, c := range name {
		switch c {
		case '<':
			depth++
		case '>':
			depth--
		case ' ':
			if depth <= 0 {
				return false
			}
		}
	}
	return strings.Contains(name, "::")
}

func number(s string) int {
	n, err := strconv.Atoi(s)
	if err != nil || n < 0 {
		return 0
	}
	return n
}
