// Package forgeconfig holds the settings of a forge's client, for every
// component that has one.
package forgeconfig

import (
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"go.opentelemetry.io/collector/config/confighttp"
	"go.opentelemetry.io/collector/config/configopaque"
	"golang.org/x/time/rate"

	"github.com/deployloop/deployloop/internal/endpoint"
	"github.com/deployloop/deployloop/internal/forge/forgeapi"
)

// Settings of a client. ClientConfig.Endpoint is the base URL of the forge's
// API; empty for github.com and gitlab.com. Which kind of forge it is stands
// beside them, under the name that the component gives it.
type Settings struct {
	confighttp.ClientConfig `mapstructure:",squash"`

	// Token of an account. Empty: the client's own auth, or none.
	Token configopaque.String `mapstructure:"token"`
	// App is a GitHub App, in place of a token.
	App *App `mapstructure:"app"`
	// RequestsPerSecond bounds the calls to the forge.
	RequestsPerSecond float64 `mapstructure:"requests_per_second"`
}

// App is a GitHub App that is installed on the repositories in question.
type App struct {
	ID             string              `mapstructure:"id"`
	InstallationID int64               `mapstructure:"installation_id"`
	PrivateKey     configopaque.String `mapstructure:"private_key"` // PEM
}

// Default are the settings where nothing is written.
func Default(requestsPerSecond float64) Settings {
	client := confighttp.NewDefaultClientConfig()
	client.Timeout = 15 * time.Second
	return Settings{ClientConfig: client, RequestsPerSecond: requestsPerSecond}
}

// CheckKind refuses what is no kind of forge.
func CheckKind(kind string) error {
	if kinds := forgeapi.Kinds(); !slices.Contains(kinds, kind) {
		return fmt.Errorf("%q is none of %s", kind, strings.Join(kinds, ", "))
	}
	return nil
}

// Problems are what is wrong for that kind of forge, each beginning with the
// name of its option.
func (s *Settings) Problems(kind string) (problems []error) {
	bad := func(message string) { problems = append(problems, errors.New(message)) }
	switch {
	case s.Endpoint == "" && !forgeapi.Public(kind):
		bad("endpoint: write the forge's base URL, for example https://git.example.com")
	case s.Endpoint != "" && !IsHTTP(s.Endpoint):
		bad(fmt.Sprintf("endpoint: %q is not an http(s) URL; write the forge's base URL, for example https://git.example.com", endpoint.Shown(s.Endpoint)))
	}
	if a := s.App; a != nil {
		switch {
		case kind != "github":
			bad("app: only GitHub has apps; use token")
		case s.Token != "":
			bad("app and token are both set: leave one out")
		case a.ID == "" || a.InstallationID <= 0 || a.PrivateKey == "":
			bad("app: needs id (the client id), installation_id and private_key, which may be ${file:/path/to/key.pem}")
		}
	}
	if s.RequestsPerSecond <= 0 {
		bad("requests_per_second: must be above 0")
	}
	return problems
}

// IsHTTP tells whether an address is a URL that a client can call.
func IsHTTP(address string) bool {
	u, err := url.Parse(address)
	return err == nil && u.Host != "" && (u.Scheme == "http" || u.Scheme == "https")
}

// Options of the client, over an HTTP client made of ClientConfig.
func (s *Settings) Options(client *http.Client, limiter *rate.Limiter, now func() time.Time) forgeapi.Options {
	o := forgeapi.Options{Endpoint: s.Endpoint, Token: string(s.Token), HTTP: client, Limiter: limiter, Now: now}
	if a := s.App; a != nil {
		o.App = &forgeapi.App{ID: a.ID, Installation: a.InstallationID, PrivateKey: []byte(a.PrivateKey)}
	}
	return o
}

// RepositoryPath is what a forge of that kind calls the repository that
// something else named so, by its path or a clone's address; "" for any other.
func (s *Settings) RepositoryPath(kind, name string) string {
	return forgeapi.RepositoryPath(name, forgeapi.WebHost(kind, s.Endpoint))
}
