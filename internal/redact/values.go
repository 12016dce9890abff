package redact

import (
	"bytes"
	"cmp"
	"encoding/json"
	"html"
	"io"
	"net/url"
	"slices"
	"strings"
)

// minValue keeps short values, which are in many words, from hiding them all.
const minValue = 6

// common are values that are no secrets though their variables' names say so.
var common = map[string]bool{
	"disabled": true, "enabled": true, "default": true, "example": true, "password": true, "postgres": true, "required": true, "secret": true,
	"changeme": true, "localhost": true, "production": true, "staging": true, "development": true, "testing": true,
}

// Values are secrets that are known by what they are; nil: none is.
type Values struct {
	list     []string // the longest first: one may be a part of another
	replacer *strings.Replacer
}

// Environment gives the values of variables whose names say that they are secrets.
func Environment(environ []string) *Values {
	v := &Values{}
	for _, variable := range environ {
		name, text, _ := strings.Cut(variable, "=")
		if !secretName(name) {
			continue
		}
		for line := range strings.Lines(text) { // of a key; a log has them one by one
			if line = strings.TrimSpace(line); len(line) >= minValue && !common[strings.ToLower(line)] {
				v.list = append(v.list, forms(line)...)
			}
		}
	}
	slices.SortFunc(v.list, func(a, b string) int { return cmp.Or(cmp.Compare(len(b), len(a)), cmp.Compare(a, b)) })
	v.list = slices.Compact(v.list)
	pairs := make([]string, 0, 2*len(v.list))
	for _, s := range v.list {
		pairs = append(pairs, s, Hidden)
	}
	v.replacer = strings.NewReplacer(pairs...)
	return v
}

func secretName(name string) bool {
	name = strings.ToUpper(name)
	return slices.ContainsFunc([]string{"TOKEN", "SECRET", "PASSWORD", "PASSWD", "KEY", "CREDENTIAL"}, func(word string) bool { return strings.Contains(name, word) })
}

// forms are how a value stands in a text, a URL, XML and JSON.
func forms(s string) []string {
	list := []string{s, url.QueryEscape(s), url.PathEscape(s), html.EscapeString(s)}
	for _, escape := range []bool{true, false} {
		var text bytes.Buffer
		to := json.NewEncoder(&text)
		to.SetEscapeHTML(escape)
		if to.Encode(s) == nil { // a string always can be
			list = append(list, strings.Trim(strings.TrimSuffix(text.String(), "\n"), `"`))
		}
	}
	return list
}

// Hide hides the values.
func (v *Values) Hide(s string) string {
	if v == nil {
		return s
	}
	return v.replacer.Replace(s)
}

// Text hides the values, and what has the form of a secret.
func (v *Values) Text(s string) string { return Text(v.Hide(s)) }

// Reader gives what in gives, with each value overwritten by as many *: what says
// how long it is keeps true.
func (v *Values) Reader(in io.Reader) io.Reader {
	if v == nil || len(v.list) == 0 {
		return in
	}
	return &reader{in: in, values: v.list, longest: len(v.list[0])}
}

type reader struct {
	in      io.Reader
	values  []string
	longest int
	raw     []byte // what may be a part of a value: told, and then not
	told    int    // of raw
	ready   []byte
	err     error
}

func (r *reader) Read(p []byte) (int, error) {
	for len(r.ready) == 0 {
		if r.err != nil {
			return 0, r.err
		}
		r.more()
	}
	n := copy(p, r.ready)
	r.ready = r.ready[n:]
	return n, nil
}

// more reads on, and makes ready what no value that comes can still be in.
func (r *reader) more() {
	chunk := make([]byte, 64<<10)
	var n int
	n, r.err = r.in.Read(chunk)
	r.raw = append(r.raw, chunk[:n]...)
	sure := len(r.raw)
	if r.err == nil {
		sure = max(r.told, sure-r.longest+1)
	}
	shown := slices.Clone(r.raw)
	for _, value := range r.values {
		for from := 0; ; {
			at := bytes.Index(r.raw[from:], []byte(value))
			if at < 0 {
				break
			}
			from += at + 1 // they may overlap
			for i := range value {
				shown[from-1+i] = '*'
			}
		}
	}
	r.ready = shown[r.told:sure]
	drop := max(0, sure-r.longest+1)
	r.raw, r.told = slices.Clone(r.raw[drop:]), sure-drop
}
