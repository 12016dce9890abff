package anomalyconnector

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/deployloop/deployloop/internal/event"
)

// A clone is opened once, and its list of commits to look past is heeded.
func TestAClonesOwnListOfIgnoredCommits(t *testing.T) {
	dir := t.TempDir()
	git := func(args ...string) string {
		cmd := exec.Command("git", append([]string{"-C", dir, "-c", "user.name=ann", "-c", "user.email=ann@example.com", "-c", "commit.gpgsign=false"}, args...)...)
		out, err := cmd.CombinedOutput()
		require.NoError(t, err, "git %v: %s", args, out)
		return strings.TrimSpace(string(out))
	}
	write := func(name, text string) {
		require.NoError(t, os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600))
		git("add", name)
	}
	git("init", "-q")
	write("cart.go", "package cart\n")
	git("commit", "-qm", "begin")
	previous := git("rev-parse", "HEAD")
	write("cart.go", "package cart\n\nfunc total() {}\n")
	git("commit", "-qm", "format")
	formatted := git("rev-parse", "HEAD")
	write(".git-blame-ignore-revs", "# formatting\n"+formatted+"\n")
	git("commit", "-qm", "look past the formatting")
	head := git("rev-parse", "HEAD")

	b := newBench(t, func(c *Config) { c.Repositories = []Repository{{Service: "*", Path: dir}} })
	d := event.Deployment{Service: "checkout", PreviousRevision: previous, Revision: head}
	got := b.m.commits(t.Context(), d, b.m.config.repositoriesOf("checkout"))
	assert.Equal(t, "clone", got.source)
	assert.Len(t, got.list, 2)
	assert.Equal(t, []string{formatted}, got.ignored)

	first, err := b.m.clones.open(dir)
	require.NoError(t, err)
	again, err := b.m.clones.open(dir)
	require.NoError(t, err)
	assert.Same(t, first, again)
	_, err = b.m.clones.open(filepath.Join(dir, "nowhere"))
	require.Error(t, err)
	assert.Len(t, b.m.clones.byPath, 1, "what failed is tried again")
}
