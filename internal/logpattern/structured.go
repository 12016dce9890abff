package logpattern

import (
	"fmt"
	"maps"
	"path"
	"slices"
	"strconv"
	"strings"
)

// Limits of what Structured looks at.
const (
	maxDepth  = 6
	maxFields = 1000
)

// Thrown is an exception as a structured log tells it. Type and Message are ""
// where it does not tell them apart from the stack.
type Thrown struct {
	Type, Message, Stack string
}

// Structured finds the exception with its stack in the fields of a structured
// log line: a text of several lines, a list of lines or a list of frames, in a
// field that is named for it, at whatever depth. So write it, among others,
//
//	Go              zap (errorVerbose before stacktrace), zerolog (stack: frames)
//	Java, Kotlin    logback and log4j: stack_trace, ECS error.stack_trace, thrown, exception; Quarkus (frames)
//	JavaScript      pino and bunyan (err.stack), winston (stack)
//	Python          structlog (exception: text or frames), python-json-logger (exc_info), loguru (text)
//	.NET            Serilog (@x, Exception), Microsoft.Extensions.Logging (Exception)
//	Ruby            semantic_logger (exception.stack_trace), ougai (err.stack), lograge (exception, backtrace)
//	PHP             monolog (context.exception.trace)
//	Rust            tracing (fields.error, fields.panic.backtrace)
//
// Of several the one that an error's own name holds comes first, and of those
// the highest.
func Structured(fields map[string]any) (Thrown, bool) {
	w := walk{left: maxFields, rank: foundNone}
	w.fields(fields, foundStack, 0)
	return w.best, w.rank < foundNone
}

// Where a stack was found, best first.
const (
	foundError = iota // in what is named for an error
	foundStack        // in what is named for a stack: maybe that of the log call alone
	foundText         // in a message
	foundNone
)

type walk struct {
	best  Thrown
	rank  int
	depth int
	left  int // fields that may still be looked at
}

// Names of fields, in small letters and without what stands between words.
var (
	stackNames   = set("stack stacktrace backtrace traceback trace extendedstacktrace stacktracestring frames excinfo exctext x errorverbose panicbacktrace")
	typeNames    = set("type name class kind exctype exceptiontype exceptionclass classname errorname")
	ownTypes     = set("errortype errorkind errorclass errorname exceptiontype exceptionclass exceptionname throwableclass exctype")
	messageNames = set("message msg excvalue exceptionmessage errormessage value")
	ownMessages  = set("errormessage exceptionmessage errormsg excvalue error err")
)

func set(names string) map[string]bool {
	m := map[string]bool{}
	for _, name := range strings.Fields(names) {
		m[name] = true
	}
	return m
}

// plainName is a field's name in small letters and without what stands between words.
func plainName(key string) string {
	return strings.Map(func(c rune) rune {
		switch {
		case c >= 'A' && c <= 'Z':
			return c + 'a' - 'A'
		case strings.ContainsRune("_-.@ ", c):
			return -1
		}
		return c
	}, key)
}

// ofError: error, err, errorVerbose, error.stack_trace, exception, exc_info, thrown, @x.
func ofError(name string) bool {
	return strings.HasPrefix(name, "err") || strings.HasPrefix(name, "exc") || strings.HasPrefix(name, "thrown") || strings.HasPrefix(name, "throwable") ||
		strings.HasPrefix(name, "panic") || name == "x"
}

// fields looks at an object. Its names are sorted, as a map has no order.
func (w *walk) fields(m map[string]any, rank, depth int) {
	if depth > maxDepth {
		return
	}
	for _, key := range slices.Sorted(maps.Keys(m)) {
		if w.left--; w.left < 0 {
			return
		}
		name, own := plainName(key), rank
		if ofError(name) {
			own = foundError
		}
		var stack string
		switch v := m[key].(type) {
		case string:
			stack = v
			if !strings.ContainsRune(v, '\n') {
				continue
			}
			if _, ok := Printed(v); !ok && (!stackNames[name] || len(ParseStack(v)) == 0) {
				continue
			}
			if own != foundError && !stackNames[name] {
				own = foundText
			}
		case []any:
			if stackNames[name] {
				stack = lines(v)
			}
			if stack == "" {
				w.list(v, own, depth+1)
				continue
			}
		case map[string]any:
			w.fields(v, own, depth+1)
			continue
		default:
			continue
		}
		if own < w.rank || own == w.rank && depth < w.depth {
			w.rank, w.depth = own, depth
			w.best = describe(m, rank == foundError, stack)
		}
	}
}

// list looks at the objects of a list: structlog's chain of exceptions, Serilog's.
func (w *walk) list(all []any, rank, depth int) {
	for _, v := range all {
		if w.left--; w.left < 0 {
			return
		}
		if m, ok := v.(map[string]any); ok {
			w.fields(m, rank, depth)
		}
	}
}

// describe finds type and message beside a stack. In an object of the error's own
// every name says what it says, elsewhere one that names the error.
func describe(m map[string]any, isError bool, stack string) Thrown {
	t := Thrown{Stack: stack}
	types, messages := ownTypes, ownMessages
	if isError {
		types, messages = typeNames, messageNames
	}
	for _, key := range slices.Sorted(maps.Keys(m)) {
		name := plainName(key)
		switch v := m[key].(type) {
		case string:
			if strings.ContainsRune(v, '\n') && v == stack {
				continue
			}
			if t.Type == "" && types[name] {
				t.Type = v
			}
			if t.Message == "" && messages[name] {
				t.Message = v
			}
		case []any: // lograge: ["NoMethodError", "undefined method …"]
			if name == "exception" && len(v) == 2 {
				t.Type, _ = v[0].(string)
				t.Message, _ = v[1].(string)
			}
		}
	}
	return t
}

// lines is a list of lines or frames as a printed stack; "" when it is none.
func lines(all []any) string {
	var text strings.Builder
	for _, v := range all[:min(len(all), MaxFrames)] {
		switch v := v.(type) {
		case string:
			if file, line, ok := cutLine(v); ok && strings.HasSuffix(file, ".php") && !strings.Contains(v, " ") { // monolog
				v = " in " + file + ":" + line
			}
			text.WriteString(v)
		case map[string]any:
			text.WriteString(frameText(v))
		}
		if text.WriteByte('\n'); text.Len() > maxStackBytes {
			break
		}
	}
	if len(ParseStack(text.String())) == 0 {
		return ""
	}
	return text.String()
}

func cutLine(place string) (file, line string, ok bool) {
	i := strings.LastIndexByte(place, ':')
	if i < 0 {
		return "", "", false
	}
	_, err := strconv.Atoi(place[i+1:])
	return place[:i], place[i+1:], err == nil
}

// frameText is a frame that is an object as its runtime prints it.
func frameText(frame map[string]any) string {
	var file, function, class, line string
	for _, key := range slices.Sorted(maps.Keys(frame)) {
		said := ""
		switch v := frame[key].(type) {
		case string:
			said = v
		case float64:
			said = strconv.FormatFloat(v, 'f', 0, 64)
		case int64:
			said = strconv.FormatInt(v, 10)
		}
		switch plainName(key) {
		case "file", "filename", "source":
			file = said
		case "func", "function", "method", "methodname", "name":
			function = said
		case "class", "classname":
			class = said
		case "lineno", "linenumber":
			line = said
		case "line":
			if _, err := strconv.Atoi(said); err == nil { // structlog's is the source
				line = said
			}
		}
	}
	switch extension := path.Ext(file); {
	case class != "":
		if file == "" { // Quarkus tells none
			name, _, _ := strings.Cut(class[strings.LastIndexByte(class, '.')+1:], "$")
			file = name + ".java"
		}
		return fmt.Sprintf("\tat %s.%s(%s:%s)", class, function, file, line)
	case extension == ".py":
		return fmt.Sprintf("  File %q, line %s, in %s", file, line, function)
	case extension == ".go":
		return fmt.Sprintf("%s\n\t%s:%s", function, file, line)
	case extension == ".rb":
		return fmt.Sprintf("%s:%s:in '%s'", file, line, function)
	}
	return fmt.Sprintf("    at %s (%s:%s:1)", function, file, line)
}
