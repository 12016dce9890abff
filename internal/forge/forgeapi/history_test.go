package forgeapi

import (
	"encoding/base64"
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/deployloop/deployloop/internal/event"
	"github.com/deployloop/deployloop/internal/gitrange"
)

const (
	before, first = "1111111111111111111111111111111111111111", "2222222222222222222222222222222222222222"
	onePatch      = "@@ -40,3 +40,4 @@ func (c *Cart) Total() int {\n a\n-b\n+c\n+d\n e"
)

type answers = map[string]any

// ranged reads the range before..revision through a forge and checks what all
// three must tell alike.
func ranged(t *testing.T, kind, endpoint, repository string) gitrange.Result {
	t.Helper()
	o := options(endpoint)
	o.Token = "secret"
	h, err := NewHistory(kind, o)
	require.NoError(t, err)
	r := gitrange.NewRemote(h)
	got, err := r.Range(t.Context(), repository, before, revision, gitrange.Options{})
	require.NoError(t, err)
	require.True(t, got.Complete, got.Note)
	require.Empty(t, got.Note)
	require.Len(t, got.Commits, 2)
	assert.Equal(t, []string{revision, first}, []string{got.Commits[0].Revision, got.Commits[1].Revision})
	newest := got.Commits[0]
	assert.Equal(t, event.Change{
		Repository: repository, Revision: revision, Parents: []string{first}, Message: "Sum the vouchers\n\nAll of them.", Author: "Ada", Email: "ada@shop.example",
		At: at, URL: "https://forge.example/c/2", Modified: []string{"cart/total.go"}, Added: []string{"cart/sum.go"}, Removed: []string{"cart/add.go"},
	}, inUTC(newest.Change))
	require.Len(t, newest.Files, 2)
	require.Len(t, newest.Files[0].Hunks, 1)
	h0 := newest.Files[0].Hunks[0]
	assert.Equal(t, "func (c *Cart) Total() int {", h0.Function)
	assert.Equal(t, []string{"c", "d"}, h0.Added)
	assert.Equal(t, 41, h0.NewStart)
	assert.Equal(t, [2]int{2, 1}, [2]int{newest.Files[0].Added, newest.Files[0].Removed})
	assert.Equal(t, "cart/add.go", newest.Files[1].OldPath)

	assert.Equal(t, []string{"@acme/cart"}, r.Owners(t.Context(), repository, revision).Of("cart/total.go"))
	assert.Empty(t, r.IgnoredRevisions(t.Context(), repository, revision))
	return got
}

func inUTC(c event.Change) event.Change {
	c.At = c.At.UTC()
	return c
}

func TestGitHubTellsARange(t *testing.T) {
	c := newServer(t, "github", func(r *http.Request) bool { return r.Header.Get("Authorization") == "Bearer secret" })
	commit := func(id, parent, message, url string) answers {
		who := answers{"name": "Ada", "email": "ada@shop.example", "date": at}
		return answers{"sha": id, "html_url": url, "parents": []answers{{"sha": parent}}, "commit": answers{"message": message, "author": who, "committer": who}}
	}
	const repo = "GET /repos/acme/shop"
	c.on(repo+"/compare/{range}", func(w http.ResponseWriter, r *http.Request, _ map[string]string) {
		assert.Equal(t, before+"..."+revision, r.PathValue("range"))
		all := []answers{ // oldest first, in pages
			commit(first, before, "Set up", "https://forge.example/c/1"),
			commit(revision, first, "Sum the vouchers\n\nAll of them.", "https://forge.example/c/2"),
		}
		page := all[:1]
		if r.URL.Query().Get("page") == "2" {
			page = all[1:]
		} else {
			w.Header().Set("Link", `<`+c.URL+`/repos/acme/shop/compare/x?page=2>; rel="next"`)
		}
		say(w, 200, answers{"status": "ahead", "total_commits": 2, "commits": page})
	})
	c.on(repo+"/commits/{sha}", func(w http.ResponseWriter, r *http.Request, _ map[string]string) {
		files := []answers{{"filename": "logo.png", "status": "modified", "additions": 0, "deletions": 0, "changes": 0}, {"filename": "big.sql", "status": "added", "additions": 9000, "deletions": 0, "changes": 9000}}
		if r.PathValue("sha") == revision {
			files = []answers{
				{"filename": "cart/total.go", "status": "modified", "additions": 2, "deletions": 1, "changes": 3, "patch": onePatch},
				{"filename": "cart/sum.go", "previous_filename": "cart/add.go", "status": "renamed", "additions": 0, "deletions": 0, "changes": 0},
			}
		}
		full := commit(r.PathValue("sha"), first, "x", "")
		full["files"] = files
		say(w, 200, full)
	})
	c.on(repo+"/contents/{path...}", func(w http.ResponseWriter, r *http.Request, _ map[string]string) {
		assert.Equal(t, revision, r.URL.Query().Get("ref"))
		if r.PathValue("path") != ".github/CODEOWNERS" {
			say(w, 404, answers{"message": "Not Found"})
			return
		}
		say(w, 200, answers{"type": "file", "encoding": "base64", "name": "CODEOWNERS", "path": ".github/CODEOWNERS", "content": base64.StdEncoding.EncodeToString([]byte("cart/ @acme/cart\n"))})
	})
	got := ranged(t, "github", c.URL, "acme/shop")
	assert.True(t, got.Commits[1].Files[0].Binary)
	assert.True(t, got.Commits[1].Files[1].Truncated)
	assert.Equal(t, 9000, got.Commits[1].Files[1].Added)
}

func TestGitLabTellsARange(t *testing.T) {
	c := newServer(t, "gitlab", func(r *http.Request) bool {
		return r.Header.Get("Private-Token") == "secret" || r.Header.Get("Authorization") == "Bearer secret"
	})
	commit := func(id, parent, message, url string) answers {
		return answers{"id": id, "parent_ids": []string{parent}, "message": message, "author_name": "Ada", "author_email": "ada@shop.example", "committed_date": at, "web_url": url}
	}
	c.on("GET "+project+"/repository/compare", func(w http.ResponseWriter, r *http.Request, _ map[string]string) {
		assert.Equal(t, [2]string{before, revision}, [2]string{r.URL.Query().Get("from"), r.URL.Query().Get("to")})
		say(w, 200, answers{"commits": []answers{
			commit(first, before, "Set up", "https://forge.example/c/1"),
			commit(revision, first, "Sum the vouchers\n\nAll of them.", "https://forge.example/c/2"),
		}, "diffs": []answers{}})
	})
	c.on("GET "+project+"/repository/commits/{sha}/diff", func(w http.ResponseWriter, r *http.Request, _ map[string]string) {
		if r.PathValue("sha") == revision {
			say(w, 200, []answers{
				{"old_path": "cart/total.go", "new_path": "cart/total.go", "a_mode": "100644", "b_mode": "100644", "diff": onePatch + "\n"},
				{"old_path": "cart/add.go", "new_path": "cart/sum.go", "a_mode": "100644", "b_mode": "100644", "renamed_file": true, "diff": ""},
			})
			return
		}
		say(w, 200, []answers{
			{"old_path": "logo.png", "new_path": "logo.png", "a_mode": "100644", "b_mode": "100644", "diff": "Binary files a/logo.png and b/logo.png differ\n"},
			{"old_path": "big.sql", "new_path": "big.sql", "a_mode": "100644", "b_mode": "100644", "diff": "", "too_large": true},
			{"old_path": "lib", "new_path": "lib", "a_mode": "160000", "b_mode": "160000", "diff": "@@ -1 +1 @@\n-Subproject commit 1\n+Subproject commit 2\n"},
		})
	})
	c.on("GET "+project+"/repository/files/{path}/raw", func(w http.ResponseWriter, r *http.Request, _ map[string]string) {
		if r.PathValue("path") != "CODEOWNERS" {
			say(w, 404, answers{"message": "404 File Not Found"})
			return
		}
		_, _ = w.Write([]byte("[Shop] @acme/all\ncart/ @acme/cart\n"))
	})
	got := ranged(t, "gitlab", c.URL, "acme/web/shop")
	assert.True(t, got.Commits[1].Files[0].Binary)
	assert.True(t, got.Commits[1].Files[1].Truncated)
	assert.True(t, got.Commits[1].Files[2].Submodule)
}

// A forge that refuses tells when to come again; what is gone is told apart.
func TestRangesOfAForgeThatRefuses(t *testing.T) {
	for kind, repository := range map[string]string{"github": "acme/shop", "gitlab": "acme/web/shop", "gitea": "acme/shop"} {
		code := 404
		c := newServer(t, kind, func(*http.Request) bool { return true })
		c.mux = http.NewServeMux()
		c.mux.HandleFunc("/", func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Retry-After", "30")
			w.Header().Set("Content-Type", "application/json")
			say(w, code, answers{"message": "no"})
		})
		h, err := NewHistory(kind, options(c.URL))
		require.NoError(t, err)
		_, _, err = h.Between(t.Context(), repository, before, revision, 10)
		var f *Failed
		require.ErrorAs(t, err, &f, kind)
		assert.True(t, f.Gone(), kind)
		code = 429
		_, err = h.Diff(t.Context(), repository, revision)
		require.ErrorAs(t, err, &f, kind)
		assert.True(t, f.Limited, kind)
		assert.Equal(t, 30*time.Second, f.RetryAfter, kind)
		_, err = h.File(t.Context(), repository, revision, "CODEOWNERS")
		require.ErrorAs(t, err, &f, kind)
		assert.False(t, f.Gone(), kind)
	}
}
