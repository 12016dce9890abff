package event_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"reflect"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/deployloop/deployloop/internal/event"
)

// Every name in names.go stands in docs/events.md, the register for people.
func TestEveryNameIsRegistered(t *testing.T) {
	register, err := os.ReadFile("../../docs/events.md")
	require.NoError(t, err)
	file, err := parser.ParseFile(token.NewFileSet(), "names.go", nil, 0)
	require.NoError(t, err)
	names := 0
	ast.Inspect(file, func(node ast.Node) bool {
		literal, ok := node.(*ast.BasicLit)
		if !ok || literal.Kind != token.STRING {
			return true
		}
		name, err := strconv.Unquote(literal.Value)
		require.NoError(t, err)
		if !strings.Contains(name, ".") {
			return true // the default environment
		}
		names++
		require.Contains(t, string(register), "`"+name+"`", "docs/events.md lacks a row for it")
		return true
	})
	require.Greater(t, names, 80, "names.go was read")
}

// Every key of a verdict's body stands there, too.
func TestEveryKeyOfAVerdictIsRegistered(t *testing.T) {
	text, err := os.ReadFile("../../docs/events.md")
	require.NoError(t, err)
	_, register, ok := strings.Cut(string(text), "## The body of a verdict")
	require.True(t, ok)
	register, _, _ = strings.Cut(register, "\n## ")
	keys, elsewhere := 0, map[reflect.Type]bool{ // shapes of their own
		reflect.TypeFor[event.Deployment](): true, reflect.TypeFor[event.Change](): true, reflect.TypeFor[event.Judgement](): true,
	}
	var walk func(reflect.Type)
	walk = func(typ reflect.Type) {
		for typ.Kind() == reflect.Pointer || typ.Kind() == reflect.Slice || typ.Kind() == reflect.Array {
			typ = typ.Elem()
		}
		if typ.Kind() != reflect.Struct || elsewhere[typ] {
			return
		}
		elsewhere[typ] = true
		for i := range typ.NumField() {
			key, _, _ := strings.Cut(typ.Field(i).Tag.Get("json"), ",")
			if key == "" {
				continue // time.Time's own
			}
			keys++
			require.Contains(t, register, "`"+key+"`", "docs/events.md lacks the key of %s.%s", typ.Name(), typ.Field(i).Name)
			walk(typ.Field(i).Type)
		}
	}
	walk(reflect.TypeFor[event.Verdict]())
	require.Greater(t, keys, 90)
}
