package event_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
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
