package forgeapi

import (
	"context"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/time/rate"

	"github.com/deployloop/deployloop/test/contracttest"
)

// Whose a token is, and its scopes where the forge tells them.
func TestAccount(t *testing.T) {
	for name, c := range map[string]struct {
		client func(Options) (Forge, error)
		routes map[string]string // answers by path; another path is 404
		status int               // of "GET /user" and the like, else 200
		scopes string            // header of GitHub
		want   Account
		code   int // of the failure
	}{
		"GitHub, classic":       {client: NewGitHub, routes: map[string]string{"/user": `{"login":"bot"}`}, scopes: "repo, read:org", want: Account{"bot", []string{"repo", "read:org"}}},
		"GitHub, no scope":      {client: NewGitHub, routes: map[string]string{"/user": `{"login":"bot"}`}, scopes: " ", want: Account{"bot", []string{}}},
		"GitHub, fine-grained":  {client: NewGitHub, routes: map[string]string{"/user": `{"login":"bot"}`}, want: Account{"bot", nil}},
		"GitHub, bad":           {client: NewGitHub, status: http.StatusUnauthorized, code: http.StatusUnauthorized},
		"Gitea":                 {client: NewGitea, routes: map[string]string{"/api/v1/user": `{"login":"bot"}`}, want: Account{"bot", nil}},
		"Gitea, bad":            {client: NewGitea, status: http.StatusUnauthorized, code: http.StatusUnauthorized},
		"GitLab":                {client: NewGitLab, routes: map[string]string{"/api/v4/personal_access_tokens/self": `{"scopes":["api"]}`, "/api/v4/user": `{"id":1,"username":"bot"}`}, want: Account{"bot", []string{"api"}}},
		"GitLab, a job's token": {client: NewGitLab, routes: map[string]string{"/api/v4/user": `{"id":1,"username":"bot"}`}, want: Account{"bot", nil}},
		"GitLab, bad":           {client: NewGitLab, status: http.StatusUnauthorized, code: http.StatusUnauthorized},
	} {
		t.Run(name, func(t *testing.T) {
			kind, _, _ := strings.Cut(strings.ToLower(strings.ReplaceAll(name, ",", " ")), " ")
			server := httptest.NewServer(contracttest.For(t, kind).Serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				w.Header().Set("Content-Type", "application/json")
				if c.scopes != "" {
					w.Header().Set("X-OAuth-Scopes", c.scopes)
				}
				answer, known := c.routes[r.URL.Path]
				switch {
				case c.status != 0:
					http.Error(w, `{"message":"no"}`, c.status)
				case !known:
					http.Error(w, `{"message":"404 Not Found"}`, http.StatusNotFound)
				default:
					_, _ = w.Write([]byte(answer))
				}
			})))
			t.Cleanup(server.Close)
			forge, err := c.client(Options{Endpoint: server.URL, Token: "t", HTTP: server.Client(), Limiter: rate.NewLimiter(rate.Inf, 1), Now: time.Now})
			require.NoError(t, err)
			got, err := forge.Account(context.Background())
			if c.code != 0 {
				var failed *Failed
				require.ErrorAs(t, err, &failed)
				require.Equal(t, c.code, failed.Code)
				return
			}
			require.NoError(t, err)
			require.Equal(t, c.want, got)
		})
	}
}
