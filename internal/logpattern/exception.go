package logpattern

import (
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
// of any count; without a stack the masked message stands in.
func Fingerprint(typ, message, stacktrace string) Exception {
	x := Exception{Type: typ}
	all := ParseStack(stacktrace)
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
	for _, f := range frames[:min(len(frames), topFrames)] {
		part(stablePath(f.File))
		part(stable(f.Module))
		part(stable(f.Function))
	}
	x.Fingerprint = h.Sum64()
	return x
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

// typeOf reads "com.acme.CartException: message" at the head of a trace whose
// reporter gave no type.
func typeOf(message, stacktrace string) string {
	for _, text := range []string{stacktrace, message} {
		head, _, _ := strings.Cut(text, "\n")
		name, _, ok := strings.Cut(head, ":")
		if ok && len(name) < 200 && !strings.ContainsAny(name, " \t/") && (strings.HasSuffix(name, "Error") || strings.HasSuffix(name, "Exception")) {
			return name
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
	return stable(file[from+1:])
}

// stable masks runs of six and more hexadecimal digits and the numbers that
// compilers give to what has no name ("lambda$total$3", "Proxy12").
func stable(name string) string {
	b := make([]byte, 0, len(name))
	for i := 0; i < len(name); {
		c := name[i]
		switch classOf[c] {
		case classDigit, classHex, classLetter:
			end, digits, other, _ := word(name, i)
			switch {
			case digits > 0 && other == 0 && end-i >= 6, digits == end-i && i > 0 && name[i-1] == '$':
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
