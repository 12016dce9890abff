package report

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/deployloop/deployloop/internal/event"
)

func TestPlacesInWhatToolsPrint(t *testing.T) {
	for line, want := range map[string]event.Finding{
		"./cart/total.go:12:5: undefined: x":                            {File: "./cart/total.go", Line: 12, Level: "error", Message: "undefined: x"},
		"cart/total.go:12: missing return":                              {File: "cart/total.go", Line: 12, Level: "error", Message: "missing return"},
		"src/a.c:3:4: warning: unused variable 'x' [-Wunused]":          {File: "src/a.c", Line: 3, Level: "warning", Message: "unused variable 'x' [-Wunused]"},
		"src/a.c:3:4: fatal error: y.h: No such file":                   {File: "src/a.c", Line: 3, Level: "error", Message: "y.h: No such file"},
		"\x1b[1msrc/a.c:3:4:\x1b[0m error: no":                          {File: "src/a.c", Line: 3, Level: "error", Message: "no"},
		"src/cart.ts(12,5): error TS2322: Type 'a' is not b":            {File: "src/cart.ts", Line: 12, Level: "error", Message: "TS2322: Type 'a' is not b"},
		"[ERROR] /src/Cart.java:[12,5] cannot find symbol":              {File: "/src/Cart.java", Line: 12, Level: "error", Message: "cannot find symbol"},
		"cart/total.py:9: error: Incompatible return value  [return]\r": {File: "cart/total.py", Line: 9, Level: "error", Message: "Incompatible return value  [return]"},
	} {
		tool := ToolOutput{Tool: "make"}
		got, ok := tool.Line(line)
		require.True(t, ok, line)
		want.Tool, want.Rule = "make", "output"
		want.Fingerprint = want.File + "\x1f" + want.Message
		require.Equal(t, want, got)
	}
	tool := ToolOutput{}
	for _, line := range []string{"", "ok  \tacme/cart\t0.01s", "http://example.com:80: up", "10:42:07: INFO: started", "a.c:3:4: note: declared here", strings.Repeat("x", 1<<20) + ".go:1: y"} {
		_, ok := tool.Line(line)
		require.False(t, ok, line)
	}
	_, _ = tool.Line("error[E0425]: cannot find value `x`")
	got, ok := tool.Line("  --> src/main.rs:12:5")
	require.True(t, ok)
	require.Equal(t, "error[E0425]: cannot find value `x`", got.Message)
	require.Equal(t, 12, got.Line)
}

func FuzzToolOutput(f *testing.F) {
	f.Add("./cart/total.go:12:5: undefined: x")
	f.Add("src/cart.ts(12,5): error TS2322: no")
	f.Add("  --> src/main.rs:12:5")
	f.Fuzz(func(t *testing.T, line string) {
		tool := ToolOutput{}
		_, _ = tool.Line(line)
		if found, ok := tool.Line(line); ok && (found.File == "" || found.Message == "" || found.Line < 0) {
			t.Fatalf("%q: %+v", line, found)
		}
	})
}
