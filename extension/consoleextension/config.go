// Package consoleextension serves deployloop's page and JSON API over the
// ledger: server-rendered HTML, live by server-sent events, every asset
// embedded.
package consoleextension

import (
	"errors"
	"fmt"
	"net"
	"net/url"
	"slices"
	"strings"
	"time"

	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/config/confighttp"
	"go.opentelemetry.io/collector/config/confignet"
)

// tracePlaceholder is what Config.TraceURL holds in place of a trace id.
const tracePlaceholder = "{trace_id}"

// Config of the console.
type Config struct {
	confighttp.ServerConfig `mapstructure:",squash"`

	// Ledger is the id of the ledger extension that the console shows.
	Ledger component.ID `mapstructure:"ledger"`

	// MaxLiveClients bounds the open server-sent event streams; one more is
	// answered 503 and counted, and its page falls back to polling.
	MaxLiveClients int `mapstructure:"max_live_clients"`

	// Heartbeat is how often an idle stream carries a comment, so that proxies
	// keep it open and a dead client is noticed.
	Heartbeat time.Duration `mapstructure:"heartbeat"`

	// TraceURL links a trace id to the user's trace store,
	// e.g. "https://tempo.example/trace/{trace_id}"; "": ids are shown unlinked.
	TraceURL string `mapstructure:"trace_url"`

	// AllowedHosts are further Host header names to answer on a listener
	// without auth, next to the loopback names (see hostGuard).
	AllowedHosts []string `mapstructure:"allowed_hosts"`

	// PublicURL is where people open the console, for links in the gate's
	// answers; "": the address it listens on.
	PublicURL string `mapstructure:"public_url"`

	// Gate answers Argo Rollouts, Flagger and deployloop gate.
	Gate GateConfig `mapstructure:"gate"`
}

// Validate refuses a set-up that would expose the console or show nothing.
func (c *Config) Validate() error {
	if c.Ledger == (component.ID{}) {
		return errors.New("ledger is empty: set it to the id of the ledger extension, e.g. `ledger: ledger`")
	}
	if c.NetAddr.Endpoint == "" {
		return errors.New("endpoint is empty: set it, e.g. `endpoint: 127.0.0.1:8090`")
	}
	if !c.Auth.HasValue() && !c.loopback() {
		return fmt.Errorf("endpoint %s is reachable from other machines and has no auth: set `auth: {authenticator: basicauth}` (or another server authenticator), or listen on 127.0.0.1", c.NetAddr.Endpoint)
	}
	if c.MaxLiveClients < 1 {
		return fmt.Errorf("max_live_clients is %d: set it to 1 or more", c.MaxLiveClients)
	}
	if c.Heartbeat < time.Second {
		return fmt.Errorf("heartbeat is %s: set it to 1s or more", c.Heartbeat)
	}
	if c.TraceURL != "" {
		if u := safeURL(c.TraceURL); u == "" || !strings.Contains(c.TraceURL, tracePlaceholder) {
			return fmt.Errorf("trace_url %q is no http(s) URL with %s in it: set it like https://traces.example/trace/%s", c.TraceURL, tracePlaceholder, tracePlaceholder)
		}
	}
	if c.PublicURL != "" && safeURL(c.PublicURL) == "" {
		return fmt.Errorf("public_url %q is no http(s) URL: set it like https://deploys.example", c.PublicURL)
	}
	return c.Gate.validate(c.Auth.HasValue())
}

// loopback tells whether only this machine reaches the listener.
func (c *Config) loopback() bool {
	if c.NetAddr.Transport == confignet.TransportTypeUnix {
		return true
	}
	host, _, err := net.SplitHostPort(c.NetAddr.Endpoint)
	return err == nil && loopbackHost(host)
}

// loopbackHost tells whether host names this machine alone.
func loopbackHost(host string) bool {
	if strings.EqualFold(host, "localhost") {
		return true
	}
	ip := net.ParseIP(strings.Trim(host, "[]"))
	return ip != nil && ip.IsLoopback()
}

// hostAllowed tells whether a request for this Host header is answered. A page
// elsewhere can point its own DNS name at 127.0.0.1 and then read whatever an
// unauthenticated loopback listener serves ("DNS rebinding"); its requests
// carry its own name in Host, so that name is what gives it away.
func (c *Config) hostAllowed(hostHeader string) bool {
	if c.Auth.HasValue() || c.NetAddr.Transport == confignet.TransportTypeUnix {
		return true
	}
	host := hostHeader
	if h, _, err := net.SplitHostPort(hostHeader); err == nil {
		host = h
	}
	return loopbackHost(host) || slices.ContainsFunc(c.AllowedHosts, func(a string) bool { return strings.EqualFold(a, host) })
}

// traceLink is where this trace can be seen; "" without a trace_url.
func (c *Config) traceLink(traceID string) string {
	if c.TraceURL == "" || traceID == "" {
		return ""
	}
	return safeURL(strings.ReplaceAll(c.TraceURL, tracePlaceholder, url.PathEscape(traceID)))
}
