package doctor

import (
	"context"
	"net/http"
	"testing"
	"time"

	"code.gitea.io/sdk/gitea"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/time/rate"

	"github.com/deployloop/deployloop/internal/doctor"
	"github.com/deployloop/deployloop/internal/forge/forgeapi"
	"github.com/deployloop/deployloop/test/giteatest"
)

// A real Gitea says which of its tokens may tell verdicts, and nothing is
// written to find out.
func TestTokensOfGitea(t *testing.T) {
	server := giteatest.Start(t)
	ada, eve := server.User("ada", true), server.User("eve", false)
	_, _, err := ada.CreateRepo(gitea.CreateRepoOption{Name: "shop", AutoInit: true, DefaultBranch: "main"})
	require.NoError(t, err)
	_, _, err = ada.CreateRepo(gitea.CreateRepoOption{Name: "private", AutoInit: true, DefaultBranch: "main", Private: true})
	require.NoError(t, err)
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	for name, c := range map[string]struct {
		token, repository string
		cause             doctor.Cause
	}{
		"may do everything":       {ada.Token, "ada/shop", ""},
		"has what is needed":      {server.Token(ada, "write:repository,write:issue,read:user"), "ada/shop", ""},
		"may only read":           {server.Token(ada, "read:repository,read:issue,read:user"), "ada/shop", doctor.CauseNoPermission},
		"may not write comments":  {server.Token(ada, "write:repository,read:user"), "ada/shop", doctor.CauseNoPermission},
		"may not say whose it is": {server.Token(ada, "write:repository,write:issue"), "ada/shop", doctor.CauseNoPermission},
		"is no collaborator's":    {eve.Token, "ada/shop", doctor.CauseNoPermission},
		"does not see it":         {eve.Token, "ada/private", doctor.CauseRepositoryUnknown},
		"is no token":             {"nonsense", "ada/shop", doctor.CauseUnauthenticated},
	} {
		t.Run(name, func(t *testing.T) {
			api, err := forgeapi.NewGitea(forgeapi.Options{Endpoint: server.URL, Token: c.token, HTTP: client, Limiter: rate.NewLimiter(rate.Inf, 1), Now: time.Now})
			require.NoError(t, err)
			list := doctor.Run(context.Background(), 20*time.Second, func(string, bool) {}, []doctor.Check{doctor.ForgeAccess(doctor.Forge{
				Key: "exporters::forge", Kind: "gitea", URL: server.URL, API: api, Comments: true,
				Repositories: func(context.Context) []string { return []string{c.repository} },
			})})
			require.Len(t, list, 1)
			assert.Equal(t, c.cause, list[0].Cause, "%+v", list[0])
		})
	}
}
