package main

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// Whoever asks for retries that cannot be is told so.
func TestRunSaysWhichRetriesThereAreNot(t *testing.T) {
	module(t, map[string]string{"cart/total.go": "package cart\n\nfunc Total() int { return x }\n", "cart/total_test.go": "package cart\n"})
	_, notes, code := runStep(t, "--retries=1", "--flaky-ok", "--", "sh", "-c", "exit 3")
	require.Equal(t, 3, code)
	require.Contains(t, notes, "--retries: only the tests of a go test, called as such, can be run again; sh runs once\n")
	_, notes, code = runStep(t, "--retries=2", "--", "go", "test", "./...")
	require.Equal(t, 1, code)
	require.Equal(t, 1, strings.Count(notes, "--retries: no test failed that could be run again\n"), notes)
}

// One that was cut short says nothing of the tests that it did not come to.
func TestRunDoesNotMissWhatAPanicKept(t *testing.T) {
	const file = "package cart\n\nimport (\n\t\"os\"\n\t\"testing\"\n)\n\nfunc TestA(t *testing.T) {\n\tif os.Getenv(\"PANIC\") != \"\" {\n\t\tpanic(\"oh\")\n\t}\n}\n\nfunc TestB(t *testing.T) {}\n"
	module(t, map[string]string{"cart/cart_test.go": file})
	_, notes, code := runStep(t, "--baseline", "b.json", "--update", "--revision", "aaaaaaa1", "--", "go", "test", "-json", "./...")
	require.Zero(t, code, notes)
	t.Setenv("PANIC", "1")
	out, _, _ := runStep(t, "--baseline", "b.json", "-o", "json", "--revision", "bbbbbbb1", "--", "go", "test", "-json", "./...")
	require.Contains(t, out, `"call":"new_failure"`)
	require.NotContains(t, out, "vanished")
}

// With --output json standard output is one document, whatever the command prints.
func TestRunKeepsItsDocumentApart(t *testing.T) {
	module(t, map[string]string{})
	out, notes, code := runStep(t, "-o", "json", "--", "sh", "-c", oneFailsOnePasses+"echo done; exit 3")
	require.Equal(t, 3, code)
	require.Contains(t, notes, "done\n")
	require.Contains(t, notes, `"Test":"TestA"`)
	var document reportOutput
	require.NoError(t, json.Unmarshal([]byte(out), &document), out)
	require.Equal(t, 1, document.Failed)
}
