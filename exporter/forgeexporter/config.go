package forgeexporter

import (
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"time"

	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/config/confighttp"
	"go.opentelemetry.io/collector/config/configopaque"
	"golang.org/x/time/rate"

	"github.com/deployloop/deployloop/internal/forge/forgeapi"
	"github.com/deployloop/deployloop/internal/waiver"
)

// Config of the forge exporter. ClientConfig.Endpoint is the base URL of the
// forge's API; empty for github.com and
// gitlab.com.
type Config struct {
	confighttp.ClientConfig `mapstructure:",squash"`

	// Forge is the kind of forge, see clients.
	Forge string `mapstructure:"forge"`
	// Token that may write commit statuses and pull-request comments. Empty:
	// the client's own auth.
	Token configopaque.String `mapstructure:"token"`
	// App is a GitHub App, in place of a token.
	App *App `mapstructure:"app"`
	// Login is the account of the token; empty asks the forge.
	Login string `mapstructure:"login"`
	// ConsoleURL is where people reach the console; links are left out without it.
	ConsoleURL string `mapstructure:"console_url"`
	// Repositories names the repository of services whose deployments do not.
	Repositories []Repository `mapstructure:"repositories"`
	// InconclusiveState is the commit status of a watch that proved nothing:
	// pending, which blocks no one and claims nothing, or error.
	InconclusiveState string `mapstructure:"inconclusive_state"`
	// Statuses and Comments turn either off.
	Statuses bool `mapstructure:"statuses"`
	Comments bool `mapstructure:"comments"`
	// SuspectPatience is how long a comment waits for the suspects, so that it
	// lands on the right pull request.
	SuspectPatience time.Duration `mapstructure:"suspect_patience"`
	// Ledger is the extension that is told when a comment was written, and
	// where a waiver closes the alert.
	Ledger component.ID `mapstructure:"ledger"`
	// Waivers honours replies "/deployloop waive REASON" of people who may push.
	Waivers bool `mapstructure:"waivers"`
	// WaiverInterval is how often replies are looked for, WaiverTerm how long a
	// waiver lasts that names no day.
	WaiverInterval time.Duration `mapstructure:"waiver_interval"`
	WaiverTerm     time.Duration `mapstructure:"waiver_term"`
	// WarnPulls is how many open pull requests are looked through for the file
	// that a regression points to; 0 warns none.
	WarnPulls int `mapstructure:"warn_pulls"`
	// RequestsPerSecond bounds the calls to the forge.
	RequestsPerSecond float64 `mapstructure:"requests_per_second"`
	// MaxPending bounds the deployments that wait to be told; the oldest
	// leaves first, and is counted.
	MaxPending int `mapstructure:"max_pending"`
	// RetryInterval is the pause after the forge could not be reached; it
	// doubles up to MaxRetryInterval. A pause that the forge asks for wins.
	RetryInterval    time.Duration `mapstructure:"retry_interval"`
	MaxRetryInterval time.Duration `mapstructure:"max_retry_interval"`
}

// App is a GitHub App that is installed on the repositories to write to.
type App struct {
	ID             string              `mapstructure:"id"`
	InstallationID int64               `mapstructure:"installation_id"`
	PrivateKey     configopaque.String `mapstructure:"private_key"` // PEM
}

// Repository says where a service's code is.
type Repository struct {
	Service    string `mapstructure:"service"`
	Repository string `mapstructure:"repository"` // "owner/name"
}

var _ component.Config = (*Config)(nil)

// clients by the kind of forge.
var clients = map[string]func(forgeapi.Options) (forgeapi.Forge, error){
	"github": forgeapi.NewGitHub,
	"gitea":  forgeapi.NewGitea, // and Forgejo
	"gitlab": forgeapi.NewGitLab,
}

// Client is the forge's, over an HTTP client made of ClientConfig.
func (c *Config) Client(http *http.Client, limiter *rate.Limiter, now func() time.Time) (forgeapi.Forge, error) {
	var app *forgeapi.App
	if a := c.App; a != nil {
		app = &forgeapi.App{ID: a.ID, Installation: a.InstallationID, PrivateKey: []byte(a.PrivateKey)}
	}
	return clients[c.Forge](forgeapi.Options{
		App: app, Endpoint: c.Endpoint, Token: string(c.Token), Login: c.Login, HTTP: http, Now: now, Limiter: limiter,
	})
}

// RepositoryPath is "owner/name" of what something called a repository of this
// forge; "" for anything else.
func (c *Config) RepositoryPath(name string) string {
	return forgeapi.RepositoryPath(name, c.webHost())
}

func createDefaultConfig() component.Config {
	client := confighttp.NewDefaultClientConfig()
	client.Timeout = 15 * time.Second
	return &Config{
		ClientConfig:      client,
		Ledger:            component.MustNewID("ledger"),
		Forge:             "github",
		InconclusiveState: string(forgeapi.Pending),
		Statuses:          true,
		Comments:          true,
		SuspectPatience:   30 * time.Second,
		Waivers:           true,
		WaiverInterval:    30 * time.Second,
		WaiverTerm:        7 * 24 * time.Hour,
		WarnPulls:         20,
		RequestsPerSecond: 1,
		MaxPending:        1000,
		RetryInterval:     2 * time.Second,
		MaxRetryInterval:  time.Minute,
	}
}

// Validate names what is wrong and what to write instead.
func (c *Config) Validate() error {
	var errs []error
	kinds := strings.Join(slices.Sorted(maps.Keys(clients)), ", ")
	if _, ok := clients[c.Forge]; !ok {
		errs = append(errs, fmt.Errorf("forge: %q is none of %s", c.Forge, kinds))
	}
	if c.Endpoint == "" && !forgeapi.Public(c.Forge) {
		errs = append(errs, errors.New("endpoint: write the forge's base URL, for example https://git.example.com"))
	}
	if c.Endpoint != "" && !isHTTP(c.Endpoint) {
		errs = append(errs, fmt.Errorf("endpoint: %q is not an http(s) URL", c.Endpoint))
	}
	if a := c.App; a != nil {
		switch {
		case c.Forge != "github":
			errs = append(errs, errors.New("app: only GitHub has apps; use token"))
		case c.Token != "":
			errs = append(errs, errors.New("app and token are both set: leave one out"))
		case a.ID == "" || a.InstallationID <= 0 || a.PrivateKey == "":
			errs = append(errs, errors.New("app: needs id (the client id), installation_id and private_key, which may be ${file:/path/to/key.pem}"))
		}
	}
	if c.ConsoleURL != "" && !isHTTP(c.ConsoleURL) {
		errs = append(errs, fmt.Errorf("console_url: %q is not an http(s) URL", c.ConsoleURL))
	}
	seen := map[string]bool{}
	for i, r := range c.Repositories {
		if r.Service == "" || forgeapi.RepositoryPath(r.Repository, "") == "" {
			errs = append(errs, fmt.Errorf("repositories[%d]: needs service and repository (owner/name), has %q and %q", i, r.Service, r.Repository))
		}
		if seen[r.Service] {
			errs = append(errs, fmt.Errorf("repositories[%d]: service %q stands there twice", i, r.Service))
		}
		seen[r.Service] = true
	}
	if s := forgeapi.State(c.InconclusiveState); s != forgeapi.Pending && s != forgeapi.Error {
		errs = append(errs, fmt.Errorf("inconclusive_state: %q is neither pending nor error", c.InconclusiveState))
	}
	if !c.Statuses && !c.Comments {
		errs = append(errs, errors.New("statuses and comments are both false: nothing would be told; leave the exporter out instead"))
	}
	if c.SuspectPatience < 0 {
		errs = append(errs, errors.New("suspect_patience: must not be negative"))
	}
	if c.honoursWaivers() && (c.WaiverInterval <= 0 || c.WaiverTerm <= 0 || c.WaiverTerm > waiver.Limit) {
		errs = append(errs, fmt.Errorf("waiver_interval must be above 0, and waiver_term above 0 and at most %s", waiver.Limit))
	}
	if c.WarnPulls < 0 || c.WarnPulls > 100 {
		errs = append(errs, errors.New("warn_pulls: must be between 0 and 100"))
	}
	if c.RequestsPerSecond <= 0 {
		errs = append(errs, errors.New("requests_per_second: must be above 0"))
	}
	if c.MaxPending < 1 {
		errs = append(errs, errors.New("max_pending: must be at least 1"))
	}
	if c.RetryInterval <= 0 || c.MaxRetryInterval < c.RetryInterval {
		errs = append(errs, errors.New("retry_interval must be above 0 and max_retry_interval at least as long"))
	}
	return errors.Join(errs...)
}

// honoursWaivers: a reply belongs to a comment.
func (c *Config) honoursWaivers() bool { return c.Waivers && c.Comments }

func isHTTP(address string) bool {
	u, err := url.Parse(address)
	return err == nil && u.Host != "" && (u.Scheme == "http" || u.Scheme == "https")
}

var commit = regexp.MustCompile(`^([0-9a-f]{40}|[0-9a-f]{64})$`)

// webHost is where people clone from, by the API's address.
func (c *Config) webHost() string { return forgeapi.WebHost(c.Forge, c.Endpoint) }

// repositoryOf is where a deployment's code is; "" when that is not known.
func (c *Config) repositoryOf(service, told string) string {
	if path := forgeapi.RepositoryPath(told, c.webHost()); path != "" {
		return path
	}
	for _, r := range c.Repositories {
		if r.Service == service {
			return forgeapi.RepositoryPath(r.Repository, c.webHost())
		}
	}
	return ""
}
