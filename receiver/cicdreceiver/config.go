package cicdreceiver

import (
	"errors"
	"fmt"
	"net"
	"time"

	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/config/confighttp"
	"go.opentelemetry.io/collector/config/confignet"
	"go.opentelemetry.io/collector/config/configopaque"
)

const (
	defaultEndpoint = "127.0.0.1:8088"
	// GitHub sends at most 25 MB and leaves a larger event out; no other source
	// of webhooks sends more.
	defaultMaxBody         = 25 << 20
	defaultMetricsInterval = 30 * time.Second
)

// Config of the cicd receiver. The embedded server settings are confighttp's;
// their auth guards what has no secret of its own.
type Config struct {
	confighttp.ServerConfig `mapstructure:",squash"`

	GitHub    GitHubConfig `mapstructure:"github"`
	Gitea     GitHubConfig `mapstructure:"gitea"`
	GitLab    SourceConfig `mapstructure:"gitlab"`
	Jenkins   SourceConfig `mapstructure:"jenkins"`
	ArgoCD    SourceConfig `mapstructure:"argocd"`
	Flux      SourceConfig `mapstructure:"flux"`
	Flagger   SourceConfig `mapstructure:"flagger"`
	Spinnaker SourceConfig `mapstructure:"spinnaker"`
	CDEvents  SourceConfig `mapstructure:"cdevents"`

	// MetricsInterval is how often run metrics are sent to a metrics pipeline.
	MetricsInterval time.Duration `mapstructure:"metrics_interval"`

	_ struct{}
}

// SourceConfig is for a source of webhooks.
type SourceConfig struct {
	// Secret proves a delivery, by the source's own means: a signature where it
	// has one, else a token that is sent along.
	Secret configopaque.String `mapstructure:"secret"`
}

// GitHubConfig is for /webhooks/github and /webhooks/gitea.
type GitHubConfig struct {
	// Secret is what the webhook's page calls secret; deliveries carry an
	// HMAC-SHA256 of their body with it.
	Secret configopaque.String `mapstructure:"secret"`
	// ReleaseEnvironment makes a published release a deployment to this
	// environment. Empty: releases are accepted and left alone.
	ReleaseEnvironment string `mapstructure:"release_environment"`
}

var _ component.Config = (*Config)(nil)

func createDefaultConfig() component.Config {
	server := confighttp.NewDefaultServerConfig()
	server.NetAddr.Endpoint = defaultEndpoint
	server.MaxRequestBodySize = defaultMaxBody
	server.ReadTimeout = time.Minute
	return &Config{ServerConfig: server, MetricsInterval: defaultMetricsInterval}
}

// Validate refuses a listener that anybody could post deployments to.
func (c *Config) Validate() error {
	var errs []error
	if c.NetAddr.Endpoint == "" {
		errs = append(errs, fmt.Errorf("endpoint is empty: set it to an address to listen on, such as %s", defaultEndpoint))
	} else if !c.isLocal() && !c.Auth.HasValue() && !c.hasSecret() {
		errs = append(errs, fmt.Errorf("endpoint %s is not on loopback, so anyone who reaches it could post deployments: set auth (an authenticator extension, for /v1/deployments) or the secret of a webhook (such as github.secret), or listen on %s", c.NetAddr.Endpoint, defaultEndpoint))
	}
	if c.MetricsInterval < time.Second {
		errs = append(errs, fmt.Errorf("metrics_interval is %s: set it to at least 1s", c.MetricsInterval))
	}
	return errors.Join(errs...)
}

// hasSecret tells whether any webhook source proves itself by a secret.
func (c *Config) hasSecret() bool {
	for _, secret := range c.secrets() {
		if secret != "" {
			return true
		}
	}
	return false
}

// secrets of the sources, by source; "" where none is set.
func (c *Config) secrets() map[string]string {
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
