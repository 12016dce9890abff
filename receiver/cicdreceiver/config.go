package cicdreceiver

import (
	"errors"
	"fmt"
	"maps"
	"net"
	"slices"
	"time"

	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/config/confighttp"
	"go.opentelemetry.io/collector/config/confignet"
	"go.opentelemetry.io/collector/config/configopaque"
	"go.opentelemetry.io/collector/confmap"
)

const (
	defaultEndpoint = "127.0.0.1:8088"
	// GitHub sends at most 25 MB and leaves a larger event out; no other source
	// of webhooks sends more.
	defaultMaxBody         = 25 << 20
	defaultMetricsInterval = 30 * time.Second
	// Reports are read as a stream, so size costs time and no memory.
	defaultMaxReport = 1 << 30
)

// Config of the cicd receiver. The embedded server settings are confighttp's;
// their auth guards what has no secret of its own.
type Config struct {
	confighttp.ServerConfig `mapstructure:",squash"`

	GitHub    ForgeConfig  `mapstructure:"github"`
	Gitea     ForgeConfig  `mapstructure:"gitea"`
	GitLab    ForgeConfig  `mapstructure:"gitlab"`
	Jenkins   SourceConfig `mapstructure:"jenkins"`
	ArgoCD    SourceConfig `mapstructure:"argocd"`
	Flux      SourceConfig `mapstructure:"flux"`
	Flagger   SourceConfig `mapstructure:"flagger"`
	Spinnaker SourceConfig `mapstructure:"spinnaker"`
	CDEvents  SourceConfig `mapstructure:"cdevents"`

	// Storage keeps over restarts what is usual in the logs of jobs; without it that
	// is learnt anew.
	Storage *component.ID `mapstructure:"storage"`

	// MaxReportSize is the most bytes of one request to /v1/reports, unpacked.
	MaxReportSize int64 `mapstructure:"max_report_size"`

	// MetricsInterval is how often run metrics are sent to a metrics pipeline.
	MetricsInterval time.Duration `mapstructure:"metrics_interval"`

	emptySecrets []string // sources whose secret is named and empty, not on purpose
}

// SourceConfig is for a source of webhooks.
type SourceConfig struct {
	// Secret proves a delivery, by the source's own means: a signature where it
	// has one, else a token that is sent along.
	Secret configopaque.String `mapstructure:"secret"`
	// AllowUnsigned says that an empty Secret is meant; it opens no listener
	// that is not on loopback.
	AllowUnsigned bool `mapstructure:"allow_unsigned"`
}

// ForgeConfig is for /webhooks/github, /webhooks/gitea and /webhooks/gitlab.
type ForgeConfig struct {
	// Secret is what the webhook's page calls secret, or secret token: deliveries
	// carry an HMAC-SHA256 of their body with it; GitLab's the token itself.
	Secret configopaque.String `mapstructure:"secret"`
	// ReleaseEnvironment makes a published release a deployment to this
	// environment. Empty: releases are accepted and left alone.
	ReleaseEnvironment string `mapstructure:"release_environment"`
	// AllowUnsigned says that an empty Secret is meant; it opens no listener
	// that is not on loopback.
	AllowUnsigned bool `mapstructure:"allow_unsigned"`
}

var (
	_ component.Config    = (*Config)(nil)
	_ confmap.Unmarshaler = (*Config)(nil)
)

func createDefaultConfig() component.Config {
	server := confighttp.NewDefaultServerConfig()
	server.NetAddr.Endpoint = defaultEndpoint
	server.MaxRequestBodySize = defaultMaxBody
	server.ReadTimeout = time.Minute
	// Not snappy's block format, which unpacks a whole body into memory.
	server.CompressionAlgorithms = []string{"", "gzip", "zstd", "zlib", "deflate", "lz4", "x-snappy-framed"}
	return &Config{ServerConfig: server, MaxReportSize: defaultMaxReport, MetricsInterval: defaultMetricsInterval}
}

// Unmarshal notes secrets that are named and empty: most often ${env:NAME} of a
// variable that is not set. Without a secret nothing proves a delivery, and a
// proxy may open a loopback listener to all.
func (c *Config) Unmarshal(conf *confmap.Conf) error {
	if err := conf.Unmarshal(c); err != nil {
		return err
	}
	c.emptySecrets = nil
	secrets := c.Secrets()
	for _, source := range slices.Sorted(maps.Keys(secrets)) {
		if secrets[source] == "" && conf.IsSet(source+"::secret") && conf.Get(source+"::allow_unsigned") != true {
			c.emptySecrets = append(c.emptySecrets, source)
		}
	}
	return nil
}

// Validate refuses a listener that anybody could post deployments to.
func (c *Config) Validate() error {
	var errs []error
	if c.NetAddr.Endpoint == "" {
		errs = append(errs, fmt.Errorf("endpoint is empty: set it to an address to listen on, such as %s", defaultEndpoint))
	} else if !c.isLocal() && !c.Auth.HasValue() && !c.hasSecret() {
		errs = append(errs, fmt.Errorf("endpoint %s is not on loopback, so anyone who reaches it could post deployments: set auth (an authenticator extension, for /v1/deployments) or the secret of a webhook (such as github.secret), or listen on %s", c.NetAddr.Endpoint, defaultEndpoint))
	}
	if c.MaxReportSize < 1 {
		errs = append(errs, fmt.Errorf("max_report_size is %d: set it to the bytes that one report may have, such as %d", c.MaxReportSize, defaultMaxReport))
	}
	for _, source := range c.emptySecrets {
		errs = append(errs, fmt.Errorf("%s.secret is empty: set the variable that it is read from before the start; to take what this machine posts without proof, leave secret out or set %s.allow_unsigned: true", source, source))
	}
	if c.MetricsInterval < time.Second {
		errs = append(errs, fmt.Errorf("metrics_interval is %s: set it to at least 1s", c.MetricsInterval))
	}
	return errors.Join(errs...)
}

// hasSecret tells whether any webhook source proves itself by a secret.
func (c *Config) hasSecret() bool {
	for _, secret := range c.Secrets() {
		if secret != "" {
			return true
		}
	}
	return false
}

// Secrets of the sources, by source; "" where none is set.
func (c *Config) Secrets() map[string]string {
	return map[string]string{
		"github":    string(c.GitHub.Secret),
		"gitea":     string(c.Gitea.Secret),
		"gitlab":    string(c.GitLab.Secret),
		"jenkins":   string(c.Jenkins.Secret),
		"argocd":    string(c.ArgoCD.Secret),
		"flux":      string(c.Flux.Secret),
		"flagger":   string(c.Flagger.Secret),
		"spinnaker": string(c.Spinnaker.Secret),
		"cdevents":  string(c.CDEvents.Secret),
	}
}

// isLocal tells whether only this machine can reach the listener.
func (c *Config) isLocal() bool {
	switch c.NetAddr.Transport {
	case confignet.TransportTypeUnix, confignet.TransportTypeUnixgram, confignet.TransportTypeUnixPacket:
		return true
	}
	host, _, err := net.SplitHostPort(c.NetAddr.Endpoint)
	if err != nil {
		return false
	}
	if host == "localhost" {
		return true
	}
	ip := net.ParseIP(host)
	return ip != nil && ip.IsLoopback()
}
