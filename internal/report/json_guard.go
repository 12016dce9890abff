package report

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
)

// maxJSONString is how many bytes of a JSON string are kept.
const maxJSONString = 64 << 10

// jsonGuard gives JSON in which no string or number is long, since
// encoding/json holds each whole.
type jsonGuard struct {
	in       *bufio.Reader
	out      bytes.Buffer
	inString bool
	n        int // bytes of the present string or word
	dropped  int64
	err      error
}

func (g *jsonGuard) Read(b []byte) (int, error) {
	for g.out.Len() < len(b) && g.err == nil && g.out.Len() < 32<<10 {
		g.err = g.step()
	}
	if g.out.Len() > 0 {
		return g.out.Read(b)
	}
	return 0, g.err
}

func (g *jsonGuard) step() error {
	c, err := g.in.ReadByte()
	if err != nil {
		return err
	}
	if !g.inString {
		switch c {
		case '"':
			g.inString, g.n = true, 0
		case ' ', '\t', '\n', '\r', ',', ':', '{', '}', '[', ']':
			g.n = 0
		default:
			if g.n++; g.n > 1000 {
				return errors.New("a number or word is longer than 1000 characters")
			}
		}
		return g.out.WriteByte(c)
	}
	switch {
	case c == '"':
		g.inString, g.n = false, 0
		return g.out.WriteByte(c)
	case c == '\\':
		escaped, err := g.in.ReadByte()
		if err != nil {
			return err
		}
		rest := []byte{c, escaped}
		if escaped == 'u' {
			digits := make([]byte, 4)
			if _, err := io.ReadFull(g.in, digits); err != nil {
				return err
			}
			rest = append(rest, digits...)
		}
		g.keep(rest)
	default:
		if c < ' ' { // forbidden, and often forgotten
			c = ' '
		}
		g.keep([]byte{c})
	}
	return nil
}

func (g *jsonGuard) keep(b []byte) {
	if g.n += len(b); g.n > maxJSONString {
		g.dropped += int64(len(b))
		return
	}
	g.out.Write(b)
}

// jsonWalk reads JSON token by token; what nobody asks for is skipped unheld.
type jsonWalk struct {
	*json.Decoder
	guard *jsonGuard
	depth int
}

func newJSONWalk(in *bufio.Reader) *jsonWalk {
	guard := &jsonGuard{in: in}
	d := json.NewDecoder(guard)
	d.UseNumber()
	return &jsonWalk{Decoder: d, guard: guard}
}

// object calls field with each name; field reads or skips the value. A value
// that is no object is skipped.
func (w *jsonWalk) object(field func(name string) error) error {
	return w.composite('{', func() error {
		for w.More() {
			name, err := w.Token()
			if err != nil {
				return err
			}
			text, _ := name.(string)
			if err := field(text); err != nil {
				return err
			}
		}
		return nil
	})
}

// array calls element for each; element reads or skips it.
func (w *jsonWalk) array(element func() error) error {
	return w.composite('[', func() error { return w.each(element) })
}

// each calls element for each of an array whose begin was read.
func (w *jsonWalk) each(element func() error) error {
	for w.More() {
		if err := element(); err != nil {
			return err
		}
	}
	return nil
}

func (w *jsonWalk) composite(open json.Delim, inner func() error) error {
	token, err := w.Token()
	if err != nil {
		return err
	}
	got, isDelim := token.(json.Delim)
	if !isDelim {
		return nil // another type: left out
	}
	if got != open {
		return w.rest()
	}
	if w.depth++; w.depth > maxDepth {
		return fmt.Errorf("values are nested deeper than %d", maxDepth)
	}
	if err := inner(); err != nil {
		return err
	}
	w.depth--
	_, err = w.Token()
	return err
}

// rest skips what remains of a composite whose begin was read.
func (w *jsonWalk) rest() error {
	for depth := 1; depth > 0; {
		token, err := w.Token()
		if err != nil {
			return err
		}
		switch token {
		case json.Delim('{'), json.Delim('['):
			if depth++; depth+w.depth > maxDepth {
				return fmt.Errorf("values are nested deeper than %d", maxDepth)
			}
		case json.Delim('}'), json.Delim(']'):
			depth--
		}
	}
	return nil
}

func (w *jsonWalk) skip() error {
	token, err := w.Token()
	if _, composite := token.(json.Delim); composite && err == nil {
		return w.rest()
	}
	return err
}

// text reads a string; any other value gives "".
func (w *jsonWalk) text(into *string) error {
	token, err := w.scalar()
	if s, ok := token.(string); ok {
		*into = s
	}
	return err
}

// number reads a number, also one in a string; any other value leaves into alone.
func (w *jsonWalk) number(into *float64) error {
	token, err := w.scalar()
	switch n := token.(type) {
	case json.Number:
		if f, bad := n.Float64(); bad == nil {
			*into = f
		}
	case string:
		if f, bad := json.Number(n).Float64(); bad == nil {
			*into = f
		}
	}
	return err
}

func (w *jsonWalk) scalar() (json.Token, error) {
	token, err := w.Token()
	if _, composite := token.(json.Delim); composite && err == nil {
		return nil, w.rest()
	}
	return token, err
}

// broken says where reading ended, in words.
func (w *jsonWalk) broken(err error) error {
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return fmt.Errorf("it ends within a value, after %d bytes: it is cut off", w.InputOffset())
	}
	return fmt.Errorf("after %d bytes: %w", w.InputOffset(), err)
}
