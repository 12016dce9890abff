package acceptance

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/deployloop/deployloop/test/load"
)

// history is a git repository whose range before..after holds one commit that
// adds the line which throws.
type history struct {
	path               string
	before, after, bad string
	exception          *load.Exception
}

const (
	logLine  = "cannot price basket: currency EUR has no rate"
	stackTop = "priceBasket"
)

// writeHistory makes the repository: eight commits by three authors, the bad
// one in the middle of what was deployed.
func writeHistory(t *testing.T) history {
	t.Helper()
	dir := t.TempDir()
	git := func(author string, args ...string) string {
		command := exec.Command("git", args...)
		command.Dir = dir
		command.Env = append(os.Environ(), "GIT_CONFIG_GLOBAL=/dev/null", "GIT_CONFIG_SYSTEM=/dev/null",
			"GIT_AUTHOR_NAME="+author, "GIT_AUTHOR_EMAIL="+author+"@example.com",
			"GIT_COMMITTER_NAME="+author, "GIT_COMMITTER_EMAIL="+author+"@example.com",
			"GIT_AUTHOR_DATE="+time.Now().Add(-time.Hour).Format(time.RFC3339))
		out, err := command.CombinedOutput()
		require.NoError(t, err, string(out))
		return strings.TrimSpace(string(out))
	}
	commit := func(author, file, content, message string) string {
		path := filepath.Join(dir, file)
		require.NoError(t, os.MkdirAll(filepath.Dir(path), 0o700))
		require.NoError(t, os.WriteFile(path, []byte(content), 0o600))
		git(author, "add", "-A")
		git(author, "commit", "-qm", message)
		return git(author, "rev-parse", "HEAD")
	}
	body := func(name string, lines int, extra string) string {
		var b strings.Builder
		for i := range lines {
			fmt.Fprintf(&b, "// %s, line %d\n", name, i)
		}
		return b.String() + extra
	}
	git("ada", "init", "-q", "-b", "main")
	commit("ada", "src/cart/basket.js", body("basket", 40, ""), "Hold what is bought")
	commit("bob", "src/cart/price.js", body("price", 40, "function priceBasket(basket) {\n  return basket.total\n}\n"), "Price a basket")
	before := commit("eve", "src/search/index.js", body("search", 60, ""), "Search the shop")

	commit("bob", "src/search/index.js", body("search", 70, ""), "Rank by stock")
	bad := commit("ada", "src/cart/price.js", body("price", 40,
		"function priceBasket(basket) {\n  const rate = rates[basket.currency]\n  if (!rate) {\n    log.error('cannot price basket: currency ' + basket.currency + ' has no rate')\n    throw new RateError('no rate')\n  }\n  return basket.total * rate\n}\n"),
		"Price in the currency of the buyer")
	commit("eve", "docs/README.md", body("readme", 30, ""), "Say how to run it")
	commit("bob", "src/cart/basket.js", body("basket", 44, ""), "Empty a basket")
	after := commit("eve", "src/search/index.js", body("search", 75, ""), "Tolerate typing errors")

	return history{
		path: dir, before: before, after: after, bad: bad,
		exception: &load.Exception{
			Type: "RateError", Message: "no rate", LogLine: logLine,
			Stacktrace: "RateError: no rate\n    at " + stackTop + " (/app/src/cart/price.js:45:11)\n    at checkout (/app/src/cart/checkout.js:20:3)",
		},
	}
}

// missing says what an alert of the exception lacks.
func (h history) missing(s sighting) (faults []string) {
	example := s.annotations["log_example"]
	if !strings.Contains(example, stackTop) {
		faults = append(faults, fmt.Sprintf("no stack top in log_example %q", example))
	}
	if !strings.Contains(example, logLine) {
		faults = append(faults, fmt.Sprintf("no log line in log_example %q", example))
	}
	if !strings.HasPrefix(s.annotations["suspect"], h.bad[:7]) {
		faults = append(faults, fmt.Sprintf("suspect is %q, not %s", s.annotations["suspect"], h.bad[:7]))
	}
	return faults
}
