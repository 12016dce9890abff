package forgeconfig

import (
	"errors"
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/time/rate"

	"github.com/deployloop/deployloop/internal/forge/forgeapi"
)

func TestProblemsNameTheirOption(t *testing.T) {
	whole := &App{ID: "Iv1.abc", InstallationID: 77, PrivateKey: "pem"}
	for name, c := range map[string]struct {
		kind   string
		change func(*Settings)
		want   string // "" for none
	}{
		"public":           {"github", func(*Settings) {}, ""},
		"an app":           {"github", func(s *Settings) { s.App = whole }, ""},
		"own server":       {"gitea", func(s *Settings) { s.Endpoint = "https://git.example.com" }, ""},
		"no server":        {"gitea", func(*Settings) {}, "endpoint: write the forge's base URL"},
		"no URL":           {"gitlab", func(s *Settings) { s.Endpoint = "git.example.com" }, `endpoint: "git.example.com" is not an http(s) URL`},
		"another's app":    {"gitlab", func(s *Settings) { s.App = whole }, "app: only GitHub has apps"},
		"app and token":    {"github", func(s *Settings) { s.App, s.Token = whole, "t" }, "app and token are both set"},
		"half an app":      {"github", func(s *Settings) { s.App = &App{ID: "Iv1.abc"} }, "app: needs id"},
		"never asks":       {"github", func(s *Settings) { s.RequestsPerSecond = 0 }, "requests_per_second: must be above 0"},
		"a negative limit": {"github", func(s *Settings) { s.RequestsPerSecond = -1 }, "requests_per_second: must be above 0"},
	} {
		s := Default(1)
		c.change(&s)
		got := s.Problems(c.kind)
		if c.want == "" {
			assert.Empty(t, got, name)
			continue
		}
		require.Len(t, got, 1, name)
		assert.ErrorContains(t, got[0], c.want, name)
	}
	for _, kind := range forgeapi.Kinds() {
		assert.NoError(t, CheckKind(kind))
	}
	assert.ErrorContains(t, CheckKind("svn"), `"svn" is none of gitea, github, gitlab`)
	s := Default(0)
	s.App, s.Token = &App{}, "t"
	assert.ErrorContains(t, errors.Join(s.Problems("gitea")...), "endpoint:", "all of them are told")
	assert.Len(t, s.Problems("gitea"), 3)
}

func TestOptionsCarryEverySetting(t *testing.T) {
	s := Default(1)
	s.Endpoint, s.Token, s.App = "https://git.example.com", "t", &App{ID: "Iv1.abc", InstallationID: 77, PrivateKey: "pem"}
	client, limiter := &http.Client{}, rate.NewLimiter(1, 1)
	o := s.Options(client, limiter, time.Now)
	assert.Equal(t, &forgeapi.App{ID: "Iv1.abc", Installation: 77, PrivateKey: []byte("pem")}, o.App)
	assert.Equal(t, [2]string{s.Endpoint, "t"}, [2]string{o.Endpoint, o.Token})
	assert.Same(t, client, o.HTTP)
	assert.Same(t, limiter, o.Limiter)
	assert.Equal(t, "acme/shop", s.RepositoryPath("gitea", "https://git.example.com/acme/shop.git"))
	assert.Empty(t, s.RepositoryPath("gitea", "https://evil.example/acme/shop.git"))
}
