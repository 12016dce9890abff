package anomalyconnector

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/component/componenttest"

	"github.com/deployloop/deployloop/internal/event"
)

// Where the clone does not have a revision the forge is asked; where that does
// not answer, push events remain.
func TestCommitsOfAForge(t *testing.T) {
	const previous, head = "1111111111111111111111111111111111111111", "2222222222222222222222222222222222222222"
	answering := true
	forge := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		assert.Equal(t, "token secret", r.Header.Get("Authorization"))
		w.Header().Set("Content-Type", "application/json")
		const repo = "/api/v1/repos/acme/shop/"
		switch path, _ := strings.CutPrefix(r.URL.Path, repo); {
		case !answering:
			w.WriteHeader(http.StatusServiceUnavailable)
		case path == "compare/"+previous+"..."+head:
			_, _ = w.Write([]byte(`{"total_commits":1,"commits":[{"sha":"` + head + `","html_url":"https://forge.example/c","parents":[{"sha":"` + previous + `"}],"commit":{"message":"Sum","author":{"name":"Ada","email":"ada@shop.example"},"committer":{"date":"2026-03-04T14:03:05Z"}}}]}`))
		case path == "git/commits/"+head+".diff":
			_, _ = w.Write([]byte("diff --git a/cart/total.go b/cart/total.go\n--- a/cart/total.go\n+++ b/cart/total.go\n@@ -1 +1 @@ func Total()\n-a\n+b\n"))
		case path == "raw/CODEOWNERS":
			_, _ = w.Write([]byte("* @acme/cart\n"))
		default:
			w.WriteHeader(http.StatusNotFound)
		}
	}))
	defer forge.Close()

	b := newBench(t, func(c *Config) {
		f := &Forge{Kind: "gitea", Token: "secret", Repository: "acme/shop"}
		f.Endpoint = forge.URL
		c.Repositories = []Repository{{Service: "*", Path: t.TempDir(), Forge: f}}
	})
	d := event.Deployment{Service: "checkout", PreviousRevision: previous, Revision: head}
	clones := b.m.config.repositoriesOf("checkout")
	require.NoError(t, b.m.remotes.open(t.Context(), b.m.config.Repositories, componenttest.NewNopHost(), componenttest.NewNopTelemetrySettings()))
	defer b.m.remotes.close()

	answering = false
	b.ledger.RecordChange(event.Change{Repository: "acme/shop", Revision: head, Previous: previous, Parents: []string{previous}, At: b.now, Modified: []string{"x"}, PullURL: "https://forge.example/pulls/7"})
	named := d
	named.Repository = "acme/shop"
	assert.Equal(t, "push events", b.m.commits(t.Context(), named, clones).source)

	answering = true
	got := b.m.commits(t.Context(), named, clones)
	assert.Equal(t, "forge", got.source)
	require.Len(t, got.list, 1)
	assert.Equal(t, "func Total()", got.list[0].Files[0].Hunks[0].Function)
	assert.Equal(t, []string{"@acme/cart"}, got.owners.Of("cart/total.go"))
	assert.Equal(t, "https://forge.example/pulls/7", got.list[0].PullURL)
	got = b.m.commits(t.Context(), d, clones)
	assert.Equal(t, "forge", got.source, "the settings say which repository")
}

func TestForgeSettings(t *testing.T) {
	for want, f := range map[string]Forge{
		"forge::kind": {Kind: "svn", Repository: "a/b"},
		"write the forge's base URL, for example https://git.example.com": {Kind: "gitea"},
		"is no owner/name":     {Kind: "github", Repository: "shop"},
		"must not be negative": {Kind: "gitlab", RequestsPerSecond: -1},
	} {
		c := createDefaultConfig().(*Config)
		c.Repositories = []Repository{{Service: "*", Forge: &f}}
		require.ErrorContains(t, c.Validate(), want)
	}
	c := createDefaultConfig().(*Config)
	c.Repositories = []Repository{{Service: "*", Forge: &Forge{Kind: "github"}}}
	require.NoError(t, c.Validate())
	c.Repositories[0].Forge = nil
	require.ErrorContains(t, c.Validate(), "or set forge to where the code is")
}
