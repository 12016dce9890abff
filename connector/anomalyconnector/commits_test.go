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

// A clone is opened once, so that it keeps the ranges that it read; it tells
// which commits to look past and who owns what.
func TestAClone(t *testing.T) {
	dir := t.TempDir()
	git := func(arguments ...string) string {
		c := exec.Command("git", append([]string{"-C", dir, "-c", "user.name=ann", "-c", "user.email=ann@shop.example", "-c", "commit.gpgsign=false"}, arguments...)...)
		out, err := c.CombinedOutput()
		require.NoError(t, err, "git %v: %s", arguments, out)
		return strings.TrimSpace(string(out))
	}
	commit := func(name, text string) string {
		require.NoError(t, os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600))
		git("add", name)
		git("commit", "-qm", name)
		return git("rev-parse", "HEAD")
	}
	git("init", "-q")
	previous := commit("CODEOWNERS", "* @acme/cart\n")
	formatted := commit("cart.go", "package cart\n")
	head := commit(".git-blame-ignore-revs", formatted+"\n")

	b := newBench(t, func(c *Config) { c.Repositories = []Repository{{Service: "*", Path: dir}} })
	b.ledger.RecordChange(event.Change{Repository: "acme/shop", Revision: head, Previous: previous, Parents: []string{formatted}, At: b.now, PullURL: "https://forge.example/pulls/7"})
	d := event.Deployment{Service: "checkout", Repository: "acme/shop", PreviousRevision: previous, Revision: head}
	got := b.m.commits(t.Context(), d, b.m.config.repositoriesOf("checkout"))
	assert.Equal(t, "clone", got.source)
	require.Len(t, got.list, 2)
	assert.Equal(t, []string{formatted}, got.ignored)
	assert.Equal(t, []string{"@acme/cart"}, got.owners.Of("cart.go"))
	assert.Equal(t, "https://forge.example/pulls/7", got.list[0].PullURL, "as the forge told")

	require.Empty(t, got.list[1].Reports)
	overflow := event.Judgement{Call: event.NewFinding, Finding: &event.Finding{Rule: "G115", File: "cart.go", Message: "integer overflow"}}
	fails := event.Judgement{Call: event.NewFailure, FirstBad: formatted, LastPass: previous, Test: &event.TestResult{Suite: "cart", Case: "TestTotal", Status: "fail"}}
	skipped := event.Judgement{Call: event.NewFailure, FirstBad: head, LastPass: previous, Test: &event.TestResult{Case: "TestVoucher"}} // formatted was not tested
	flaky := event.Judgement{Call: event.KnownFlaky, Test: &event.TestResult{Suite: "cart", Case: "TestClock", Status: "fail"}}
	b.ledger.RecordFeedback(event.Feedback{ID: "1", Repository: "acme/shop", Revision: formatted, Base: previous, At: b.now, Judgements: []event.Judgement{overflow}})
	b.ledger.RecordFeedback(event.Feedback{ID: "2", Repository: "acme/shop", Revision: head, At: b.now, Judgements: []event.Judgement{fails, flaky, skipped}})
	got = b.m.commits(t.Context(), d, b.m.config.repositoriesOf("checkout"))
	require.Empty(t, got.list[0].Reports, "what began before is not this commit's, and what is flaky is nobody's")
	require.Len(t, got.list[1].Reports, 2)
	names := []string{got.list[1].Reports[0].Name, got.list[1].Reports[1].Name}
	assert.ElementsMatch(t, []string{"G115", "cart#TestTotal"}, names)

	first, err := b.m.clones.open(dir)
	require.NoError(t, err)
	again, err := b.m.clones.open(dir)
	require.NoError(t, err)
	assert.Same(t, first, again)
	_, err = b.m.clones.open(filepath.Join(dir, "nowhere"))
	require.Error(t, err)
}
