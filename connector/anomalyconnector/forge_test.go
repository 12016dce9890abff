package anomalyconnector

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/component/componenttest"
	"go.opentelemetry.io/collector/confmap"

	"github.com/deployloop/deployloop/internal/event"
	"github.com/deployloop/deployloop/internal/forge/forgeconfig"
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
		f := &Forge{Settings: forgeconfig.Default(100), Kind: "gitea", Repository: "acme/shop"}
		f.Endpoint, f.Token = forge.URL, "secret"
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

// A forge that takes longer than an alert waits: it goes out in time, and is
// told again with its suspects when they come, not with the next heartbeat.
func TestSuspectsThatComeLate(t *testing.T) {
	const previous, head = "1111111111111111111111111111111111111111", "2222222222222222222222222222222222222222"
	answer := make(chan struct{})
	forge := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		<-answer
		w.Header().Set("Content-Type", "application/json")
		switch path, _ := strings.CutPrefix(r.URL.Path, "/api/v1/repos/acme/shop/"); path {
		case "compare/" + previous + "..." + head:
			_, _ = w.Write([]byte(`{"total_commits":1,"commits":[{"sha":"` + head + `","html_url":"https://forge.example/c","parents":[{"sha":"` + previous + `"}],"commit":{"message":"Sum","author":{"name":"Ada","email":"ada@shop.example"},"committer":{"date":"2026-03-04T14:03:05Z"}}}]}`))
		case "git/commits/" + head + ".diff":
			_, _ = w.Write([]byte("diff --git a/cart/total.ts b/cart/total.ts\n--- a/cart/total.ts\n+++ b/cart/total.ts\n@@ -88 +88 @@ Cart.total\n-a\n+b\n"))
		default:
			w.WriteHeader(http.StatusNotFound)
		}
	}))
	defer forge.Close()
	b := newBench(t, func(c *Config) {
		f := &Forge{Kind: "gitea", Repository: "acme/shop", Settings: forgeconfig.Default(50)}
		f.Endpoint = forge.URL
		c.Repositories = []Repository{{Service: "*", Forge: f}}
	})
	b.sight("1.41.3")
	b.seconds(60, old(200))
	_, _ = b.ledger.RecordDeployment(event.Deployment{Service: "checkout", Environment: "production", Version: "1.42.0", PreviousVersion: "1.41.3",
		Revision: head, PreviousRevision: previous, StartedAt: b.now, Status: event.DeploymentStarted, Sources: []event.Source{{Name: "api", At: b.now}}})
	var first []event.Anomaly
	for range 20 {
		b.send(old(100), load{version: "1.42.0", instance: "new-1", rate: 100, errors: .3, exception: "TypeError"})
		b.now = b.now.Add(time.Second)
		b.m.step(b.now)
		b.m.flush()
		told, _ := b.told()
		first = append(first, told...)
	}
	require.NotEmpty(t, first, "it waited for the forge")
	assert.Nil(t, first[0].Verdict.Suspicion)
	assert.Equal(t, event.KindDeployment, first[0].Kind)

	close(answer)
	b.settle() // at the same second
	b.m.flush()
	later, verdicts := b.told()
	require.Len(t, later, len(first), "each alert, once")
	for i, a := range later {
		require.NotNil(t, a.Verdict.Suspicion)
		assert.Equal(t, head, a.Verdict.Suspicion.Suspects[0].Change.Revision)
		assert.Equal(t, first[i].StartsAt, a.StartsAt)
		assert.Equal(t, first[i].DetectedAt, a.DetectedAt)
	}
	require.NotEmpty(t, verdicts)
	require.NotNil(t, verdicts[len(verdicts)-1].Suspicion)
	b.settle()
	b.m.flush()
	again, _ := b.told()
	assert.Empty(t, again, "nothing is told twice")
}

// What is not written is the default, also in a list.
func TestForgeSettings(t *testing.T) {
	read := func(forge map[string]any) *Config {
		c := createDefaultConfig().(*Config)
		require.NoError(t, confmap.NewFromStringMap(map[string]any{
			"repositories": []any{map[string]any{"service": "*", "forge": forge}},
		}).Unmarshal(c))
		return c
	}
	c := read(map[string]any{"kind": "github", "token": "secret", "app": nil})
	require.NoError(t, c.Validate())
	want := forgeconfig.Default(5)
	want.Token = "secret"
	require.Equal(t, &Forge{Settings: want, Kind: "github"}, c.Repositories[0].Forge)
	c = read(map[string]any{"kind": "gitlab", "timeout": "2s", "requests_per_second": 50, "endpoint": "https://git.example.com"})
	require.NoError(t, c.Validate())
	require.Equal(t, 2*time.Second, c.Repositories[0].Forge.Timeout)
	require.Equal(t, 50.0, c.Repositories[0].Forge.RequestsPerSecond)

	for want, forge := range map[string]map[string]any{
		"repositories[0]::forge::kind": {"kind": "svn", "endpoint": "https://git.example.com"},
		"repositories[0]::forge::endpoint: write the forge's base URL, for example https://git.example.com": {"kind": "gitea"},
		"is no owner/name": {"kind": "github", "repository": "shop"},
		"repositories[0]::forge::requests_per_second: must be above 0": {"kind": "gitlab", "requests_per_second": -1},
		"repositories[0]::forge::app: only GitHub has apps":            {"kind": "gitlab", "app": map[string]any{"id": "x"}},
	} {
		require.ErrorContains(t, read(forge).Validate(), want)
	}
	c = read(map[string]any{"kind": "github"})
	c.Repositories[0].Forge = nil
	require.ErrorContains(t, c.Validate(), "or set forge to where the code is")
}
