package report

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
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
		"/app/cart.py:9: DeprecationWarning: use sum":                   {File: "/app/cart.py", Line: 9, Level: "warning", Message: "DeprecationWarning: use sum"},
		"\x1b[1msrc/a.c:3:4:\x1b[0m error: no":                          {File: "src/a.c", Line: 3, Level: "error", Message: "no"},
		"src/cart.ts(12,5): error TS2322: Type 'a' is not b":            {File: "src/cart.ts", Line: 12, Level: "error", Message: "TS2322: Type 'a' is not b"},
		"[ERROR] /src/Cart.java:[12,5] cannot find symbol":              {File: "/src/Cart.java", Line: 12, Level: "error", Message: "cannot find symbol"},
		"cart/total.py:9: error: Incompatible return value  [return]\r": {File: "cart/total.py", Line: 9, Level: "error", Message: "Incompatible return value  [return]"},
	} {
		want.Tool, want.Rule = "make", "output"
		want.Fingerprint = want.File + "\x1f" + want.Message
		require.Equal(t, []event.Finding{want}, found(Source{}, line), line)
	}
	for _, line := range []string{"", "ok  \tacme/cart\t0.01s", "http://example.com:80: up", "10:42:07: INFO: started", "a.c:3:4: note: declared here", strings.Repeat("x", 1<<20) + ".go:1: y"} {
		require.Empty(t, found(Source{}, line), line)
	}
	got := found(Source{}, "error[E0425]: cannot find value `x`", "  --> src/main.rs:12:5")
	require.Len(t, got, 1)
	require.Equal(t, "error[E0425]: cannot find value `x`", got[0].Message)
	require.Equal(t, 12, got[0].Line)
}

// found is what is told of lines.
func found(source Source, lines ...string) (list []event.Finding) {
	tool := ToolOutput{Tool: "make", Source: source, Tell: func(f event.Finding) { list = append(list, f) }}
	for _, line := range lines {
		tool.Line(line)
	}
	tool.End()
	return list
}

// TestWhatToolsPrint reads what a tool printed where it failed, and the last words of
// programs that crashed: each names what was thrown, and the top frame of own code.
func TestWhatToolsPrint(t *testing.T) {
	for name, want := range map[string][]string{
		"cargo_build":    {"src/lib.rs:3 error error[E0308]: mismatched types"},
		"cargo_test":     {"src/lib.rs:10 error assertion `left == right` failed; left: 3; right: 4"},
		"dotnet":         {"Cart.cs:12 error System.InvalidOperationException: order 17 cannot be totalled"},
		"eslint":         {"src/cart/total.js:3 warning 'unused' is assigned a value but never used (no-unused-vars)", "src/cart/total.js:12 error 'tax' is not defined (no-undef)", "src/cart/total.js:14 error Parsing error: Unexpected token }", "src/index.js:1 error Definition for rule 'foo/bar' was not found (foo/bar)"},
		"gcc":            {"total.c:2 error ‘b’ undeclared (first use in this function)", "total.c:3 warning implicit declaration of function ‘missing’ [-Wimplicit-function-declaration]", "total.c:3 error expected ‘;’ before ‘}’ token", "total.c:2 warning control reaches end of non-void function [-Wreturn-type]"},
		"go_panic":       {"main.go:5 error panic: runtime error: index out of range [7] with length 3"},
		"java":           {"com/acme/Cart.java:12 error java.lang.IllegalStateException: order 17 cannot be totalled"},
		"maven":          {"src/main/java/com/acme/Cart.java:12 error cannot find symbol", "src/main/java/com/acme/Cart.java:12 error cannot find symbol"},
		"mypy":           {`cart/total.py:12 error Unsupported operand types for * ("None" and "int")  [operator]`},
		"node":           {"cart/total.js:2 error TypeError: Cannot read properties of undefined (reading 'amount')"},
		"node_module":    {"bad.mjs:0 error Error [ERR_MODULE_NOT_FOUND]: Cannot find module 'nosuch.js' imported from bad.mjs"},
		"node_rejection": {"rej.js:1 error RangeError: no such order"},
		"node_syntax":    {"syn.js:2 error SyntaxError: Unexpected end of input"},
		"php":            {"cart/total.php:6 error TypeError: Unsupported operand types: null * int"},
		"pytest":         {"tests/test_cart.py:12 error AssertionError: assert 6 == 7", "cart/total.py:6 error KeyError: 'price'"},
		"python":         {"cart/total.py:6 error TypeError: unsupported operand type(s) for *: 'NoneType' and 'int'"},
		"python_chain":   {"main.py:5 error cart.errors.InvalidOrder: order 17 cannot be totalled"},
		"python_library": {"main.py:3 error UnicodeDecodeError: 'utf-8' codec can't decode byte 0xff in position 0: invalid start byte"},
		"python_syntax":  {"bad.py:2 error SyntaxError: '(' was never closed"},
		"ruby":           {"cart/total.rb:6 error NoMethodError: undefined method `*' for nil:NilClass"},
		"ruby_3.4":       {"cart/total.rb:6 error NoMethodError: undefined method '*' for nil"},
		"rust":           {"main.rs:2 error index out of bounds: the len is 3 but the index is 7"},
		"tsc":            {"src/cart/total.ts:12 error TS2322: Type 'string' is not assignable to type 'number'.", "src/cart/total.ts:14 error TS2339: Property 'price' does not exist on type 'Item'."},
		"tsc_terminal":   {"src/cart/total.ts:12 error TS2322: Type 'string' is not assignable to type 'number'.", "src/cart/total.ts:14 error TS2339: Property 'price' does not exist on type 'Item'."},
	} {
		t.Run(name, func(t *testing.T) {
			text, err := os.ReadFile(filepath.Join("testdata", "output", name+".txt"))
			require.NoError(t, err)
			for _, root := range []string{"/work/app", "/home/ada/shop"} { // the same wherever it ran
				lines := strings.Split(strings.ReplaceAll(string(text), "/work/app", root), "\n")
				var got []string
				for _, f := range found(Source{Root: root}, lines...) {
					got = append(got, fmt.Sprintf("%s:%d %s %s", f.File, f.Line, f.Level, f.Message))
					require.NotContains(t, f.Fingerprint, root)
				}
				require.Equal(t, want, got)
			}
		})
	}
	recorded, err := filepath.Glob("testdata/output/*.txt")
	require.NoError(t, err)
	require.Len(t, recorded, 24)
}

// A crash ends where other words begin, and holds no more than its bound.
func TestACrashEnds(t *testing.T) {
	lines := []string{"Traceback (most recent call last):", `  File "/work/app/main.py", line 13, in <module>`, "    main()", "KeyError: 'price'", "main.c:3:1: error: no"}
	require.Len(t, found(Source{}, lines...), 2)
	lines = []string{"panic: in a name", "Exception in thread \"main\" is what it says", "/work/app/list.js:3", "main.c:3:1: error: no", "Traceback (most recent call last):", `  File "/work/app/main.py", line 13, in <module>`, "KeyError: 'price'"}
	require.Len(t, found(Source{}, lines...), 2, "what only begins like a crash hides nothing")
	lines = []string{"panic: no", "goroutine 1 [running]:", "main.main()", "\t/work/app/main.go:12 +0x77"}
	for range 100_000 {
		lines = append(lines, "\t/work/app/main.go:13 +0x77")
	}
	got := found(Source{Root: "/work/app"}, append(lines, "main.c:3:1: error: no")...)
	require.Len(t, got, 2)
	require.Equal(t, "main.go", got[0].File)
	require.Equal(t, 12, got[0].Line)
}

// Python's recursions are deep, and what was thrown stands below all of their frames.
func TestADeepPythonCrashIsNamed(t *testing.T) {
	lines := []string{"Traceback (most recent call last):"}
	for i := range 1000 {
		lines = append(lines, fmt.Sprintf(`  File "/work/app/walk.py", line %d, in visit`, i+1), "    return self.visit(node.left)", "           ^^^^^^^^^^^^^^^^^^^^^")
	}
	recursion := "RecursionError: maximum recursion depth exceeded"
	handling := append(append(slices.Clone(lines), recursion, "", "During handling of the above exception, another exception occurred:", ""), lines[:600]...)
	for message, lines := range map[string][]string{recursion: lines, "ValueError: no tree": handling} {
		got := found(Source{Root: "/work/app"}, append(lines, message, "main.c:3:1: error: no")...)
		require.Len(t, got, 2)
		require.Equal(t, message, got[0].Message)
		require.Equal(t, "walk.py", got[0].File)
	}
}

func FuzzToolOutput(f *testing.F) {
	f.Add("./cart/total.go:12:5: undefined: x")
	f.Add("src/cart.ts(12,5): error TS2322: no")
	f.Add("  --> src/main.rs:12:5")
	f.Add("Traceback (most recent call last):\n  File \"/work/a.py\", line 3, in f\nKeyError: 'x'")
	f.Add("/work/a.js:3\n  f()\n  ^\n\nTypeError: x\n    at f (/work/a.js:3:1)")
	f.Add("thread 'main' panicked at src/a.rs:1:2:\nx\nnote: y")
	f.Fuzz(func(t *testing.T, line string) {
		for _, f := range found(Source{Root: "/work"}, append(strings.Split(line, "\n"), line, line)...) {
			if f.File == "" || f.Message == "" || f.Line < 0 {
				t.Fatalf("%q: %+v", line, f)
			}
		}
	})
}
