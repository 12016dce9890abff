package report

import (
	"bufio"
	"bytes"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"unicode/utf8"
)

// Limits of one XML token. encoding/xml holds a token whole, so the guard cuts
// them before it sees them.
const (
	maxXMLText = 64 << 10 // bytes of a run of text, a CDATA section or an attribute
	maxXMLTag  = 1 << 20  // bytes of a tag
	maxOpenXML = 4 << 20  // bytes of the tags of all open elements, whose names and namespaces the decoder holds
	maxDepth   = 512      // of elements or JSON values
)

// xmlGuard gives XML in which no token is large: long text and attributes are
// cut, comments, processing instructions and document types (with all entities
// in them) are left out, characters that XML forbids are replaced.
type xmlGuard struct {
	in      *bufio.Reader
	out     bytes.Buffer
	state   xmlState
	n       int // bytes of the present text, CDATA or attribute
	tag     int // bytes of the present tag
	subset  int // depth of [ in a document type
	quote   rune
	brakes  int // how many of "]]" or "--" or "?" were just seen
	dropped int64
	err     error
}

type xmlState uint8

const (
	inText xmlState = iota
	inTag
	inAttribute
	inCDATA
	inComment
	inInstruction
	inDoctype
)

func newXMLDecoder(in *bufio.Reader) (*xml.Decoder, *xmlGuard) {
	guard := &xmlGuard{in: in}
	d := xml.NewDecoder(guard)
	d.Strict = false // an unknown entity stays as it is written; a wrong end tag closes what is open
	d.CharsetReader = func(_ string, r io.Reader) (io.Reader, error) { return r, nil }
	return d, guard
}

func (g *xmlGuard) Read(b []byte) (int, error) {
	for g.out.Len() < len(b) && g.err == nil && g.out.Len() < 32<<10 {
		g.err = g.step()
	}
	if g.out.Len() > 0 {
		return g.out.Read(b)
	}
	return 0, g.err
}

// step moves one character on.
func (g *xmlGuard) step() error {
	c, size, err := g.in.ReadRune()
	if err != nil {
		return err
	}
	if c == utf8.RuneError && size == 1 || c < ' ' && c != '\n' && c != '\t' && c != '\r' || c == 0xFFFE || c == 0xFFFF {
		c = utf8.RuneError
	}
	switch g.state {
	case inText:
		if c == '<' {
			return g.open()
		}
		if c == '>' { // allowed, but not in "]]>"
			g.entity("&gt;")
			return nil
		}
		g.text(c)
	case inTag:
		if g.tag += size; g.tag > maxXMLTag {
			return fmt.Errorf("a tag is larger than %d bytes", maxXMLTag)
		}
		g.out.WriteRune(c)
		switch c {
		case '>':
			g.state, g.n = inText, 0
		case '"', '\'':
			g.state, g.quote, g.n = inAttribute, c, 0
		}
	case inAttribute:
		if c == g.quote {
			g.state = inTag
			g.out.WriteRune(c)
			return nil
		}
		if g.tag += min(size, max(0, maxXMLText-g.n)); g.tag > maxXMLTag {
			return fmt.Errorf("a tag is larger than %d bytes", maxXMLTag)
		}
		if c == '<' { // forbidden there, and often forgotten
			g.entity("&lt;")
			return nil
		}
		g.text(c)
	case inCDATA:
		if g.ends(c, ']') {
			g.out.WriteString("]]>")
			g.state, g.n = inText, 0
			return nil
		}
		if c != ']' {
			g.text(c)
		}
	case inComment:
		if g.ends(c, '-') {
			g.state = inText
		}
	case inInstruction:
		if c == '>' && g.brakes > 0 {
			g.state = inText
		}
		g.brakes = 0
		if c == '?' {
			g.brakes = 1
		}
	case inDoctype:
		switch {
		case c == '[':
			g.subset++
		case c == ']':
			g.subset--
		case c == '>' && g.subset <= 0:
			g.state = inText
		}
	}
	return nil
}

// ends counts the two marks before a closing >.
func (g *xmlGuard) ends(c, mark rune) bool {
	switch {
	case c == mark:
		if g.brakes++; g.brakes > 2 && mark == ']' {
			g.text(mark)
		}
	case c == '>' && g.brakes >= 2:
		g.brakes = 0
		return true
	default:
		if mark == ']' { // they were text after all
			for range min(g.brakes, 2) {
				g.text(mark)
			}
		}
		g.brakes = 0
	}
	return false
}

func (g *xmlGuard) text(c rune) {
	if g.n >= maxXMLText {
		g.dropped++
		return
	}
	before := g.out.Len()
	g.out.WriteRune(c)
	g.n += g.out.Len() - before
}

// entity is text that stands for one character.
func (g *xmlGuard) entity(s string) {
	if g.n+len(s) > maxXMLText {
		g.dropped++
		return
	}
	g.out.WriteString(s)
	g.n += len(s)
}

// open looks at what a < begins.
func (g *xmlGuard) open() error {
	head, _ := g.in.Peek(8) // an error comes again
	skip := func(n int, s xmlState) error {
		_, err := g.in.Discard(n)
		g.state, g.brakes, g.subset = s, 0, 0
		return err
	}
	switch {
	case bytes.HasPrefix(head, []byte("!--")):
		return skip(3, inComment)
	case bytes.HasPrefix(head, []byte("![CDATA[")):
		g.out.WriteString("<![CDATA[")
		g.n = 0
		return skip(8, inCDATA)
	case bytes.HasPrefix(head, []byte("!")):
		return skip(1, inDoctype)
	case bytes.HasPrefix(head, []byte("?")):
		return skip(1, inInstruction)
	}
	g.out.WriteByte('<')
	g.state, g.tag = inTag, 0
	return nil
}

// walkXML gives each element's begin, text and end; the text of all that is in
// an element is the caller's to join. It names the line of what broke.
func walkXML(d *xml.Decoder, start func(xml.StartElement) error, text func([]byte), end func(name string) error) error {
	var tags []int64 // sizes of those of the open elements
	held := int64(0)
	for {
		from := d.InputOffset()
		token, err := d.Token()
		switch {
		case errors.Is(err, io.EOF) && len(tags) == 0:
			return nil
		case err != nil:
			line, _ := d.InputPos()
			if syntax := new(xml.SyntaxError); errors.As(err, &syntax) && syntax.Msg == "unexpected EOF" {
				return fmt.Errorf("it ends within an element, at line %d: it is cut off", line)
			}
			return fmt.Errorf("line %d: %w", line, err)
		}
		switch token := token.(type) {
		case xml.StartElement:
			tags = append(tags, d.InputOffset()-from)
			if held += tags[len(tags)-1]; held > maxOpenXML {
				return fmt.Errorf("the tags of the elements that are open are larger than %d MiB", maxOpenXML>>20)
			}
			if len(tags) > maxDepth {
				return fmt.Errorf("elements are nested deeper than %d", maxDepth)
			}
			err = start(token)
		case xml.CharData:
			text(token)
		case xml.EndElement:
			held -= tags[len(tags)-1]
			tags = tags[:len(tags)-1]
			err = end(token.Name.Local)
		}
		if err != nil {
			return err
		}
	}
}

func attribute(e xml.StartElement, names ...string) string {
	for _, name := range names {
		for _, a := range e.Attr {
			if a.Name.Local == name && a.Value != "" {
				return a.Value
			}
		}
	}
	return ""
}
