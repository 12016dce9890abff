package e2e

import (
	"encoding/base64"
	"net/http"
	"testing"
	"time"

	"code.gitea.io/sdk/gitea"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/time/rate"

	"github.com/deployloop/deployloop/internal/forge/forgeapi"
	"github.com/deployloop/deployloop/internal/gitrange"
	"github.com/deployloop/deployloop/internal/suspect"
	"github.com/deployloop/deployloop/test/giteatest"
)

// TestGiteaTellsARange reads a range, its diffs and its owners from a real
// Gitea, without a clone, and ranks it.
func TestGiteaTellsARange(t *testing.T) {
	forge := giteatest.Start(t)
	ada := forge.User("ada", true)
	_, _, err := ada.CreateRepo(gitea.CreateRepoOption{Name: "shop", DefaultBranch: "main", AutoInit: true})
	require.NoError(t, err)
	write := func(name, text, message string) string {
		t.Helper()
		options := gitea.FileOptions{Message: message, BranchName: "main"}
		content := base64.StdEncoding.EncodeToString([]byte(text))
		old, _, err := ada.GetContents("ada", "shop", "main", name)
		if err != nil {
			made, _, err := ada.CreateFile("ada", "shop", name, gitea.CreateFileOptions{FileOptions: options, Content: content})
			require.NoError(t, err)
			return made.Commit.SHA
		}
		made, _, err := ada.UpdateFile("ada", "shop", name, gitea.UpdateFileOptions{FileOptions: options, SHA: old.SHA, Content: content})
		require.NoError(t, err)
		return made.Commit.SHA
	}
	const source = "package cart\n\nfunc Total(prices []int) int {\n\tsum := 0\n\tfor _, p := range prices {\n\t\tsum += p\n\t}\n\treturn sum\n}\n"
	write("CODEOWNERS", "cart/ @ada\n", "Owners")
	previous := write("cart/total.go", source, "Sum prices")
	write("docs/ä b.md", "words\n", "Words")
	culprit := write("cart/total.go", "package cart\n\nfunc Total(prices []int) int {\n\tsum := prices[0]\n\tfor _, p := range prices[1:] {\n\t\tsum += p\n\t}\n\treturn sum\n}\n", "Begin with the first price")
	head := write("web/page.ts", "export const title = 'Shop'\n", "A title")

	h, err := forgeapi.NewHistory("gitea", forgeapi.Options{
		Endpoint: forge.URL, Token: ada.Token, HTTP: &http.Client{Transport: &http.Transport{DisableKeepAlives: true}},
		Limiter: rate.NewLimiter(rate.Inf, 0), Now: time.Now,
	})
	require.NoError(t, err)
	r := gitrange.NewRemote(h)
	got, err := r.Range(t.Context(), "ada/shop", previous, head, gitrange.Options{})
	require.NoError(t, err)
	require.True(t, got.Complete, got.Note)
	require.Empty(t, got.Note)
	require.Len(t, got.Commits, 3)
	assert.Equal(t, []string{head, culprit}, []string{got.Commits[0].Revision, got.Commits[1].Revision})
	assert.Equal(t, "docs/ä b.md", got.Commits[2].Files[0].Path)
	assert.WithinDuration(t, time.Now(), got.Commits[0].At, time.Hour)
	assert.NotEmpty(t, got.Commits[0].URL)

	owners := r.Owners(t.Context(), "ada/shop", head)
	ranking := suspect.Rank(suspect.Symptom{Text: "panic: runtime error: index out of range [0] with length 0\n\ngoroutine 1 [running]:\nshop/cart.Total(...)\n\t/src/cart/total.go:4 +0x1d\n"}, got.Commits, suspect.Options{Owners: owners.Of})
	require.False(t, ranking.Abstained, "%+v", ranking.Suspects[0])
	assert.Equal(t, culprit, ranking.Suspects[0].Change.Revision)
	assert.Equal(t, "cart/total.go", ranking.Suspects[0].File)
	assert.Contains(t, ranking.Suspects[0].Hunk, "+\tsum := prices[0]")
	assert.Equal(t, []string{"@ada"}, ranking.Suspects[0].Owners)

	only, err := r.Range(t.Context(), "ada/shop", previous, head, gitrange.Options{Paths: []string{"web/**"}})
	require.NoError(t, err)
	assert.Len(t, only.Commits, 1)
	back, err := r.Range(t.Context(), "ada/shop", head, previous, gitrange.Options{})
	require.NoError(t, err)
	assert.Empty(t, back.Commits)
	unknown, err := r.Range(t.Context(), "ada/shop", "feedfacefeedfacefeedfacefeedfacefeedface", head, gitrange.Options{})
	require.NoError(t, err)
	assert.False(t, unknown.Complete)
	assert.Len(t, unknown.Commits, 6)
	_, err = r.Range(t.Context(), "ada/nowhere", previous, head, gitrange.Options{})
	require.ErrorContains(t, err, "the forge does not have this revision")
}
