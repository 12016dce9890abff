// Package terminal colours what the commands print for a person.
package terminal

import (
	"io"
	"os"
)

// Painter colours text for a terminal, and leaves it plain for a file, a pipe
// or when NO_COLOR is set.
type Painter struct{ on bool }

// NewPainter paints what is written to w, if w is a terminal.
func NewPainter(w io.Writer) Painter {
	return Painter{on: IsTerminal(w) && os.Getenv("NO_COLOR") == "" && os.Getenv("TERM") != "dumb"}
}

// IsTerminal tells a terminal from a file or a pipe.
func IsTerminal(w io.Writer) bool {
	f, ok := w.(*os.File)
	if !ok {
		return false
	}
	info, err := f.Stat()
	return err == nil && info.Mode()&os.ModeCharDevice != 0
}

func (p Painter) paint(code, s string) string {
	if !p.on || s == "" {
		return s
	}
	return "\x1b[" + code + "m" + s + "\x1b[0m"
}

// Bold is for what matters most.
func (p Painter) Bold(s string) string { return p.paint("1", s) }

// Dim is for what can be skipped.
func (p Painter) Dim(s string) string { return p.paint("2", s) }

// Link is for addresses.
func (p Painter) Link(s string) string { return p.paint("4;36", s) }

// Good is for what went well.
func (p Painter) Good(s string) string { return p.paint("32", s) }

// Bad is for what went wrong.
func (p Painter) Bad(s string) string { return p.paint("31", s) }

// Warn is for what is not certain.
func (p Painter) Warn(s string) string { return p.paint("33", s) }
