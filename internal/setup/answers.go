// Package setup writes a configuration for what somebody says of their set-up,
// with the secrets it needs and the settings of the webhooks that lead to it. It
// is what deployloop init is made of, without files and questions.
package setup

import (
	"errors"
	"fmt"
	"net"
	"net/url"
	"slices"
	"strings"

	"github.com/deployloop/deployloop/internal/endpoint"
)

// Answers are what a configuration is made of.
type Answers struct {
	Mode          string // shadow, advise or gate
	Alertmanagers []string
	Grafana       string
	RemoteWrite   string // of a Prometheus; "": it scrapes Metrics
	Backend       string // where telemetry passes on by OTLP: host:port, or a URL; "": nowhere
	Forge         string // that verdicts are told to; "": none
	ForgeEndpoint string
	Webhooks      []string // sources, see Sources
	PublicURL     string   // by which webhooks reach the cicd receiver
	ConsoleURL    string   // by which people open the console; "": its address
	Repositories  []Repository
	StateDir      string

	// Addresses to listen on.
	OTLPGRPC, OTLPHTTP, CICD, Console, Metrics, SelfMetrics string
}

// Repository is a local clone of a service.
type Repository struct{ Service, Path string }

// Modes and Forges that may be answered.
var (
	Modes  = []string{"shadow", "advise", "gate"}
	Forges = []string{"github", "gitlab", "gitea"}
)

// Validate says what cannot be, by the name of its flag.
func (a Answers) Validate() error {
	var errs []error
	bad := func(format string, args ...any) { errs = append(errs, fmt.Errorf(format, args...)) }
	if !slices.Contains(Modes, a.Mode) {
		bad("--mode %q: use %s", a.Mode, strings.Join(Modes, ", "))
	}
	web := func(flag, text, example string) {
		if text != "" && !IsURL(text) {
			bad("%s %q: write a URL such as %s", flag, endpoint.Shown(text), example)
		}
	}
	for _, u := range a.Alertmanagers {
		web("--alertmanager", u, "http://127.0.0.1:9093")
	}
	web("--grafana", a.Grafana, "http://127.0.0.1:3000")
	web("--prometheus-remote-write", a.RemoteWrite, "http://127.0.0.1:9090/api/v1/write")
	web("--forge-endpoint", a.ForgeEndpoint, "https://git.example.com")
	web("--public-url", a.PublicURL, "https://deploys.example")
	web("--console-url", a.ConsoleURL, "http://127.0.0.1:8090")
	if a.Backend != "" && !IsURL(a.Backend) && !isAddress(a.Backend) {
		bad("--backend %q: write host:port for OTLP over gRPC, or http(s)://host:port for OTLP over HTTP", endpoint.Shown(a.Backend))
	}
	if a.Forge != "" && !slices.Contains(Forges, a.Forge) {
		bad("--forge %q: use %s (gitea is Forgejo's too)", a.Forge, strings.Join(Forges, ", "))
	}
	if a.Forge == "gitea" && a.ForgeEndpoint == "" {
		bad("--forge gitea needs --forge-endpoint, for example https://git.example.com")
	}
	for _, s := range a.Webhooks {
		if !slices.Contains(Sources, s) {
			bad("--webhook %q: use %s", s, strings.Join(Sources, ", "))
		}
	}
	for flag, address := range map[string]string{"--otlp-grpc": a.OTLPGRPC, "--otlp-http": a.OTLPHTTP, "--cicd": a.CICD, "--console": a.Console, "--metrics": a.Metrics, "--self-metrics": a.SelfMetrics} {
		if !isAddress(address) {
			bad("%s %q: write host:port", flag, address)
		}
	}
	if isAddress(a.Console) && !loopback(a.Console) {
		bad("--console %q is open to other machines: keep it on 127.0.0.1 and put a proxy with authentication before it, or add auth to the written configuration", a.Console)
	}
	for _, r := range a.Repositories {
		if r.Service == "" || r.Path == "" {
			bad("--repository: write SERVICE=PATH, for example checkout=/srv/git/shop.git")
		}
	}
	if a.StateDir == "" {
		bad("--state-dir is empty: name a folder")
	}
	return errors.Join(errs...)
}

// IsURL tells an http(s) URL.
func IsURL(text string) bool {
	u, err := url.Parse(text)
	return err == nil && u.Host != "" && (u.Scheme == "http" || u.Scheme == "https")
}

func isAddress(text string) bool {
	_, port, err := net.SplitHostPort(text)
	return err == nil && port != ""
}

func loopback(address string) bool {
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		return false
	}
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}

// Guarded: others can reach the receiver, so that deployments and reports that are
// posted need a token. A receiver on loopback cannot tell what a proxy or tunnel
// passes on from what this machine posts, and webhooks from elsewhere come by one.
func (a Answers) Guarded() bool {
	return a.PublicURL != "" || len(a.Webhooks) > 0 || !loopback(a.CICD)
}

// base is the URL by which webhooks reach the receiver.
func (a Answers) base() string {
	if a.PublicURL != "" {
		return strings.TrimRight(a.PublicURL, "/")
	}
	host, port, _ := net.SplitHostPort(a.CICD)
	if ip := net.ParseIP(host); host == "" || ip != nil && ip.IsUnspecified() {
		host = "YOUR-HOST"
	}
	return "http://" + net.JoinHostPort(host, port)
}
