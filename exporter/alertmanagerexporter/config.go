package alertmanagerexporter

import (
	"errors"
	"fmt"
	"net/url"
	"regexp"
	"strings"
	"time"

	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/config/confighttp"
	"go.opentelemetry.io/collector/confmap"

	address "github.com/deployloop/deployloop/internal/endpoint"
)

// Config of the alertmanager exporter.
type Config struct {
	// Endpoints are the Alertmanagers; each is told independently. An entry is
	// a base URL, or a map with `endpoint` and any of confighttp's client
	// settings (tls, auth, headers, timeout, proxy_url, …).
	Endpoints []EndpointConfig `mapstructure:"endpoints"`
	// Heartbeat is how often the anomaly connector repeats an open anomaly; an
	// open alert ends three heartbeats after the record unless it is repeated.
	Heartbeat time.Duration `mapstructure:"heartbeat"`
	// ConsoleURL is where people reach the console (the annotation verdict_url
	// and the alert's generator URL).
	ConsoleURL string `mapstructure:"console_url"`
	// RunbookURL and DashboardURL become annotations. In them {alertname},
	// {service}, {environment}, {deployment}, {commit}, {signal}, {operation},
	// {from} and {to} (Unix milliseconds, around the onset) are replaced,
	// escaped for a URL.
	RunbookURL   string `mapstructure:"runbook_url"`
	DashboardURL string `mapstructure:"dashboard_url"`
	// Labels and Annotations are added to every alert; they never replace one
	// of deployloop's own.
	Labels      map[string]string `mapstructure:"labels"`
	Annotations map[string]string `mapstructure:"annotations"`
	// Ledger is the extension that is told what was told, and what is
	// silenced; without one of that id neither is known elsewhere.
	Ledger component.ID `mapstructure:"ledger"`
	// SilencePoll is how often the Alertmanagers are asked for silences of what
	// was told; 0: never.
	SilencePoll time.Duration `mapstructure:"silence_poll"`
	// MaxAlerts bounds the anomalies that are remembered; the one not heard of
	// for longest leaves first.
	MaxAlerts int `mapstructure:"max_alerts"`
}

// EndpointConfig is one Alertmanager.
type EndpointConfig struct {
	confighttp.ClientConfig `mapstructure:",squash"`
}

const (
	defaultHeartbeat = 30 * time.Second
	defaultTimeout   = 5 * time.Second
	alertsPath       = "api/v2/alerts"
)

var (
	_ component.Config    = (*Config)(nil)
	_ confmap.Unmarshaler = (*Config)(nil)
	_ confmap.Unmarshaler = (*EndpointConfig)(nil)
	_ confmap.Validator   = (*Config)(nil)
)

func createDefaultConfig() component.Config {
	return &Config{Heartbeat: defaultHeartbeat, Ledger: component.MustNewID("ledger"), SilencePoll: 30 * time.Second, MaxAlerts: 10000}
}

func defaultEndpoint() EndpointConfig {
	client := confighttp.NewDefaultClientConfig()
	client.Timeout = defaultTimeout
	return EndpointConfig{ClientConfig: client}
}

// Unmarshal reads the configuration; an endpoint may be written as its URL alone.
func (c *Config) Unmarshal(conf *confmap.Conf) error {
	if endpoints, ok := conf.Get("endpoints").([]any); ok {
		maps := make([]any, len(endpoints))
		for i, endpoint := range endpoints {
			maps[i] = endpoint
			if text, ok := endpoint.(string); ok {
				maps[i] = map[string]any{"endpoint": text}
			}
		}
		whole := conf.ToStringMap()
		whole["endpoints"] = maps
		conf = confmap.NewFromStringMap(whole)
	}
	type plain Config // without this method, which would call itself
	return conf.Unmarshal((*plain)(c))
}

// Unmarshal reads one endpoint over the defaults of an HTTP client.
func (e *EndpointConfig) Unmarshal(conf *confmap.Conf) error {
	*e = defaultEndpoint()
	return conf.Unmarshal(e)
}

var labelName = regexp.MustCompile(`^[a-zA-Z_][a-zA-Z0-9_]*$`)

// Validate names what is wrong and what to write instead.
func (c *Config) Validate() error {
	var errs []error
	if len(c.Endpoints) == 0 {
		errs = append(errs, errors.New("endpoints: name at least one Alertmanager, for example [http://127.0.0.1:9093]"))
	}
	seen := map[string]bool{}
	for i, e := range c.Endpoints {
		where := fmt.Sprintf("endpoints[%d]", i)
		u, err := url.Parse(e.Endpoint)
		switch {
		case err != nil || u.Host == "" || (u.Scheme != "http" && u.Scheme != "https"):
			errs = append(errs, fmt.Errorf("%s: %q is not an Alertmanager's base URL; write for example http://127.0.0.1:9093", where, address.Shown(e.Endpoint)))
			continue
		case strings.Contains(u.Path, "/api/"):
			errs = append(errs, fmt.Errorf("%s: give the base URL, without %s", where, u.Path))
		}
		if seen[e.Endpoint] {
			errs = append(errs, fmt.Errorf("%s: %s is there twice; remove one", where, address.Shown(e.Endpoint)))
		}
		seen[e.Endpoint] = true
		if e.Timeout <= 0 {
			errs = append(errs, fmt.Errorf("%s: timeout must be above 0, or a hanging Alertmanager is waited for without end", where))
		}
		if e.Compression.IsCompressed() {
			errs = append(errs, fmt.Errorf("%s: Alertmanager does not read compressed requests; remove compression", where))
		}
	}
	if c.Heartbeat < 100*time.Millisecond {
		errs = append(errs, errors.New("heartbeat: must be at least 100ms and equal to the anomaly connector's (default 30s)"))
	}
	if c.SilencePoll < 0 || c.SilencePoll > 0 && c.SilencePoll < time.Second {
		errs = append(errs, errors.New("silence_poll: must be 0 (never) or at least 1s"))
	}
	if c.MaxAlerts < 1 {
		errs = append(errs, errors.New("max_alerts: must be at least 1"))
	}
	for key, text := range map[string]string{"console_url": c.ConsoleURL, "runbook_url": c.RunbookURL, "dashboard_url": c.DashboardURL} {
		if text != "" && webURL(text) == "" {
			errs = append(errs, fmt.Errorf("%s: %q is not an http(s) URL", key, address.Shown(text)))
		}
	}
	for name := range c.Labels {
		if !labelName.MatchString(name) {
			errs = append(errs, fmt.Errorf("labels: %q is not a label name; use letters, digits and _", name))
		} else if ownLabels[name] {
			errs = append(errs, fmt.Errorf("labels: %s is deployloop's own; choose another name", name))
		}
	}
	for name := range c.Annotations {
		if !labelName.MatchString(name) {
			errs = append(errs, fmt.Errorf("annotations: %q is not an annotation name; use letters, digits and _", name))
		}
	}
	return errors.Join(errs...)
}

// webURL gives back an http or https URL and nothing else: an alert's link is
// clicked.
func webURL(text string) string {
	u, err := url.Parse(text)
	if err != nil || u.Host == "" || (u.Scheme != "http" && u.Scheme != "https") {
		return ""
	}
	return text
}
