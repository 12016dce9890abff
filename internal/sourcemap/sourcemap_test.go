package sourcemap

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/deployloop/deployloop/internal/event"
	"github.com/deployloop/deployloop/internal/logpattern"
)

// segment leads a column of the bundle's only line to a place in a source.
type segment struct{ column, source, line, sourceColumn, name int }

// vlq writes a number as source maps do: base 64, five bits a digit, sign last.
func vlq(n int) string {
	const digits = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
	v := n << 1
	if n < 0 {
		v = -n<<1 | 1
	}
	var b strings.Builder
	for {
		d := v & 31
		if v >>= 5; v > 0 {
			d |= 32
		}
		b.WriteByte(digits[d])
		if v == 0 {
			return b.String()
		}
	}
}

func bundle(sources, names []string, segments ...segment) []byte {
	var parts []string
	var last segment
	for _, s := range segments {
		parts = append(parts, vlq(s.column-last.column)+vlq(s.source-last.source)+vlq(s.line-last.line)+vlq(s.sourceColumn-last.sourceColumn)+vlq(s.name-last.name))
		last = s
	}
	text, err := json.Marshal(map[string]any{"version": 3, "file": "app.js", "sources": sources, "names": names, "mappings": strings.Join(parts, ",")})
	if err != nil {
		panic(err)
	}
	return text
}

func write(t *testing.T, folder, name string, text []byte) {
	t.Helper()
	file := filepath.Join(folder, name)
	require.NoError(t, os.MkdirAll(filepath.Dir(file), 0o700))
	require.NoError(t, os.WriteFile(file, text, 0o600))
}

func open(t *testing.T, folder string) *Maps {
	t.Helper()
	m, err := Open(folder)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, m.Close()) })
	return m
}

var shop = bundle([]string{"webpack://shop/./src/cart/total.ts", "../node_modules/lodash/sum.js"}, []string{"total", "sum"},
	segment{column: 0, source: 0, line: 9, sourceColumn: 0, name: 0},
	segment{column: 120, source: 0, line: 41, sourceColumn: 4, name: 0},
	segment{column: 300, source: 1, line: 6, sourceColumn: 0, name: 1})

func TestFramesOfABundle(t *testing.T) {
	folder := t.TempDir()
	write(t, folder, "assets/app.3f9a.js.map", shop)
	m := open(t, folder)
	// As a browser prints it: everything on line 1, told apart by the column.
	frames := logpattern.ParseStack("TypeError: x is undefined\n    at s (https://shop.example/v2/assets/app.3f9a.js:1:125)\n    at c (https://shop.example/v2/assets/app.3f9a.js?v=1:1:301)\n")
	require.Len(t, frames, 2)
	got, ok := m.Frame(frames[0])
	require.True(t, ok)
	require.Equal(t, event.Frame{File: "src/cart/total.ts", Line: 42, Function: "total"}, got)
	got, ok = m.Frame(frames[1])
	require.True(t, ok)
	require.False(t, logpattern.InApp(got), "a library stays one: %+v", got)

	for _, f := range []event.Frame{
		{File: "/assets/app.3f9a.js", Line: 1}, {File: "/assets/app.3f9a.js", Line: 9, Column: 1}, {File: "/assets/other.js", Line: 1, Column: 5},
		{File: "cart/total.go", Line: 1, Column: 5}, {File: "", Line: 1, Column: 1},
	} {
		same, ok := m.Frame(f)
		require.False(t, ok, "%+v", f)
		require.Equal(t, f, same)
	}
	same, ok := (*Maps)(nil).Frame(frames[0])
	require.False(t, ok)
	require.Equal(t, frames[0], same)
}

func TestMapsStayInTheirFolderAndBounds(t *testing.T) {
	outside := t.TempDir()
	write(t, outside, "secret.js.map", shop)
	folder := filepath.Join(outside, "maps")
	write(t, folder, "broken.js.map", []byte(`{"version":3,"mappings":"!!!!`))
	write(t, folder, "old.js.map", []byte(`{"version":2,"sources":["a"],"mappings":"AAAA"}`))
	write(t, folder, "lies.js.map", []byte(`{"version":3,"sources":[],"names":[],"mappings":"AAAA,gggggggggggggggggE"}`))
	require.NoError(t, os.Symlink(filepath.Join(outside, "secret.js.map"), filepath.Join(folder, "link.js.map")))
	require.NoError(t, os.Mkdir(filepath.Join(folder, "folder.js.map"), 0o700))
	m := open(t, folder)
	for _, name := range []string{"../secret.js", "/../../secret.js", "secret.js", "link.js", "broken.js", "old.js", "lies.js", "folder.js", `..\secret.js`} {
		_, ok := m.Frame(event.Frame{File: name, Line: 1, Column: 1})
		require.False(t, ok, name)
	}
	large, err := os.Create(filepath.Join(folder, "large.js.map"))
	require.NoError(t, err)
	require.NoError(t, large.Truncate(MaxBytes+1))
	require.NoError(t, large.Close())
	_, err = m.text("large.js.map")
	require.ErrorIs(t, err, errSize)

	for i := range 3 * keptMaps {
		write(t, folder, fmt.Sprintf("%d.js.map", i), shop)
		_, ok := m.Frame(event.Frame{File: fmt.Sprintf("%d.js", i), Line: 1, Column: 1})
		require.True(t, ok)
		require.LessOrEqual(t, len(m.byName), keptMaps)
	}
	require.Equal(t, m.recent.Len(), len(m.byName))
	require.Equal(t, int64(keptMaps*len(shop)), m.bytes)
	for i := range 2 * maxMissing {
		m.Frame(event.Frame{File: fmt.Sprintf("gone%d.js", i), Line: 1, Column: 1})
	}
	require.LessOrEqual(t, len(m.missing), maxMissing)
}

func FuzzParse(f *testing.F) {
	f.Add(shop, 1, 125)
	f.Add([]byte(`{"version":3,"sections":[{"offset":{"line":-1,"column":0},"map":{"version":3,"sources":["a"],"mappings":"AAAA;;;"}}]}`), 3, 1)
	f.Add([]byte(")]}'\n{\"version\":3,\"sources\":[\"a\"],\"mappings\":\"AADAD\"}"), 1, 1)
	f.Fuzz(func(t *testing.T, text []byte, line, column int) {
		c, err := parse(text)
		if err == nil {
			lookUp(c, line, column)
		}
	})
}
