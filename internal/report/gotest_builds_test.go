package report

import (
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// Of more packages than are held, each that is says its own words, and the others say
// none: they do not say those of another.
func TestPackagesThatDidNotBuildBeyondTheBound(t *testing.T) {
	var compiler, verdicts strings.Builder
	for i := range maxBuilds + 2 {
		fmt.Fprintf(&compiler, "# acme/p%d\np%d.go:7:1: undefined: f%d\n", i, i, i)
		fmt.Fprintf(&verdicts, "FAIL\tacme/p%d [build failed]\n", i)
	}
	items, sum, err := all(t, GoTest, "go: warning: it belongs to none\n"+compiler.String()+verdicts.String())
	require.NoError(t, err)
	require.Len(t, items, maxBuilds+2)
	for i, of := range testsOf(items) {
		want := ""
		if i < maxBuilds {
			want = fmt.Sprintf("undefined: f%d", i)
		}
		require.Equal(t, [3]string{fmt.Sprintf("acme/p%d", i), "[build failed]", want}, [3]string{of.Suite, of.Case, of.Message})
		require.Equal(t, strings.Count(of.Stacktrace, "\n"), 0, of.Stacktrace)
	}
	left := 2 * len("p5000.go:7:1: undefined: f5000\n")
	assert.Equal(t, []string{fmt.Sprintf("%d bytes of output of packages that did not build, beyond the first 5000 of them, were left out", left)}, sum.Problems)
}

func TestWhatVetSaysIsOfItsPackage(t *testing.T) {
	items, _, err := all(t, GoTest, "# acme/cart\n# [acme/cart]\n./cart_test.go:6:2: fmt.Printf format %d has arg \"x\" of wrong type string\nFAIL\tacme/cart [build failed]\nFAIL\n")
	require.NoError(t, err)
	require.Len(t, items, 1)
	assert.Equal(t, `fmt.Printf format %d has arg "x" of wrong type string`, items[0].Test.Message)
	assert.Equal(t, "./cart_test.go", items[0].Test.File)
}
