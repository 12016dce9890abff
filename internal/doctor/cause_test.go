package doctor

import (
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"strconv"
	"testing"

	"github.com/stretchr/testify/require"
)

// Every cause is explained in docs/doctor.md.
func TestEveryCauseIsDocumented(t *testing.T) {
	page, err := os.ReadFile("../../docs/doctor.md")
	require.NoError(t, err)
	file, err := parser.ParseFile(token.NewFileSet(), "cause.go", nil, 0)
	require.NoError(t, err)
	causes := 0
	ast.Inspect(file, func(node ast.Node) bool {
		if literal, ok := node.(*ast.BasicLit); ok && literal.Kind == token.STRING {
			cause, err := strconv.Unquote(literal.Value)
			require.NoError(t, err)
			require.Contains(t, string(page), "`"+cause+"`")
			causes++
		}
		return true
	})
	require.Greater(t, causes, 40, "cause.go was read")
}
