package deploylooptest

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/deployloop/deployloop/test/servertest"
)

// FullProgram is the binary with the opt-in components, which `make full`
// builds. A test that needs it is skipped where it was not built; CI names it
// in DEPLOYLOOP_FULL_BIN, and then its absence is a failure.
func FullProgram(t testing.TB) string {
	t.Helper()
	if path := os.Getenv("DEPLOYLOOP_FULL_BIN"); path != "" {
		if _, err := os.Stat(path); err != nil {
			t.Fatalf("DEPLOYLOOP_FULL_BIN: %v", err)
		}
		return path
	}
	path := filepath.Join(servertest.Root(t), "build", "full", "deployloop-full")
	if _, err := os.Stat(path); err != nil {
		t.Skip("the binary with the opt-in components is not built: run `make full` (minutes, once)")
	}
	return path
}
