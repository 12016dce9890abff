package forgeexporter

import (
	"errors"
	"fmt"
	"net/http"
	"regexp"
	"time"

	"go.opentelemetry.io/collector/component"
	"golang.org/x/time/rate"

	"github.com/deployloop/deployloop/internal/endpoint"
	"github.com/deployloop/deployloop/internal/forge/forgeapi"
	"github.com/deployloop/deployloop/internal/forge/forgeconfig"
	"github.com/deployloop/deployloop/internal/waiver"
)

// Config of the forge exporter. Its account must be one that may write commit
// statuses and pull-request comments.
type Config struct {
	forgeconfig.Settings `mapstructure:",squash"`

	// Forge is the kind of forge: github, gitlab or gitea (and Forgejo).
	Forge string `mapstructure:"forge"`
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
	// MaxPending bounds the deployments that wait to be told; the oldest
	// leaves first, and is counted.
	MaxPending int `mapstructure:"max_pending"`
	// RetryInterval is the pause after the forge could not be reached; it
	// doubles up to MaxRetryInterval. A pause that the forge asks for wins.
	RetryInterval    time.Duration `mapstructure:"retry_interval"`
	MaxRetryInterval time.Duration `mapstructure:"max_retry_interval"`
}

// Repository says where a service's code is.
type Repository struct {
	Service    string `mapstructure:"service"`
	Repository string `mapstructure:"repository"` // "owner/name"
}

var _ component.Config = (*Config)(nil)

// Client is the forge's, over an HTTP client made of ClientConfig.
func (c *Config) Client(http *http.Client, limiter *rate.Limiter, now func() time.Time) (forgeapi.Forge, error) {
	options := c.Options(http, limiter, now)
	options.Login = c.Login
	return forgeapi.New(c.Forge, options)
}

// RepositoryPath is "owner/name" of what something called a repository of this
// forge; "" for anything else.
func (c *Config) RepositoryPath(name string) string { return c.Settings.RepositoryPath(c.Forge, name) }

func createDefaultConfig() component.Config {
	return &Config{
		Settings:          forgeconfig.Default(1),
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
		MaxPending:        1000,
		RetryInterval:     2 * time.Second,
		MaxRetryInterval:  time.Minute,
	}
}

// Validate names what is wrong and what to write instead.
func (c *Config) Validate() error {
	var errs []error
	if err := forgeconfig.CheckKind(c.Forge); err != nil {
		errs = append(errs, fmt.Errorf("forge: %w", err))
	}
	errs = append(errs, c.Problems(c.Forge)...)
	if c.ConsoleURL != "" && !forgeconfig.IsHTTP(c.ConsoleURL) {
		errs = append(errs, fmt.Errorf("console_url: %q is not an http(s) URL", endpoint.Shown(c.ConsoleURL)))
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

var commit = regexp.MustCompile(`^([0-9a-f]{40}|[0-9a-f]{64})$`)

// repositoryOf is where a deployment's code is; "" when that is not known.
func (c *Config) repositoryOf(service, told string) string {
	if path := c.RepositoryPath(told); path != "" {
		return path
	}
	for _, r := range c.Repositories {
		if r.Service == service {
			return c.RepositoryPath(r.Repository)
		}
	}
	return ""
}
