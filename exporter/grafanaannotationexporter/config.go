package grafanaannotationexporter

import (
	"errors"
	"fmt"
	"net/url"
	"time"

	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/config/confighttp"
	"go.opentelemetry.io/collector/config/configopaque"

	"github.com/deployloop/deployloop/internal/endpoint"
)

// Config of the grafana_annotation exporter. ClientConfig.Endpoint is Grafana's
// base URL, with its sub-path if it has one.
type Config struct {
	confighttp.ClientConfig `mapstructure:",squash"`

	// Token of a service account with annotations:read, annotations:create,
	// annotations:write and annotations:delete. Empty: the client's own auth.
	Token configopaque.String `mapstructure:"token"`
	// ConsoleURL is where people reach the console; links are left out without it.
	ConsoleURL string `mapstructure:"console_url"`
	// Tags are added to every annotation.
	Tags []string `mapstructure:"tags"`
	// Ledger is the extension that is told when an annotation was written;
	// without one of that id it is not known elsewhere.
	Ledger component.ID `mapstructure:"ledger"`
	// RequestsPerSecond bounds the calls to Grafana.
	RequestsPerSecond float64 `mapstructure:"requests_per_second"`
	// MaxPending bounds the deployments that wait to be written; the oldest
	// leaves first, and is counted.
	MaxPending int `mapstructure:"max_pending"`
	// RetryInterval is the pause after Grafana could not be reached; it doubles
	// up to MaxRetryInterval.
	RetryInterval    time.Duration `mapstructure:"retry_interval"`
	MaxRetryInterval time.Duration `mapstructure:"max_retry_interval"`
}

var _ component.Config = (*Config)(nil)

func createDefaultConfig() component.Config {
	client := confighttp.NewDefaultClientConfig()
	client.Timeout = 10 * time.Second
	return &Config{
		ClientConfig:      client,
		Ledger:            component.MustNewID("ledger"),
		RequestsPerSecond: 5,
		MaxPending:        1000,
		RetryInterval:     time.Second,
		MaxRetryInterval:  30 * time.Second,
	}
}

// Validate names what is wrong and what to write instead.
func (c *Config) Validate() error {
	var errs []error
	if u, err := url.Parse(c.Endpoint); c.Endpoint == "" || err != nil || u.Host == "" || (u.Scheme != "http" && u.Scheme != "https") {
		errs = append(errs, fmt.Errorf("endpoint: %q is not Grafana's base URL; write for example http://127.0.0.1:3000", endpoint.Shown(c.Endpoint)))
	}
	if c.ConsoleURL != "" {
		if u, err := url.Parse(c.ConsoleURL); err != nil || u.Host == "" || (u.Scheme != "http" && u.Scheme != "https") {
			errs = append(errs, fmt.Errorf("console_url: %q is not an http(s) URL", endpoint.Shown(c.ConsoleURL)))
		}
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
