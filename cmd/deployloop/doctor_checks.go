package main

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/open-telemetry/opentelemetry-collector-contrib/exporter/prometheusexporter"
	"github.com/open-telemetry/opentelemetry-collector-contrib/exporter/prometheusremotewriteexporter"
	"github.com/open-telemetry/opentelemetry-collector-contrib/extension/storage/filestorage"
	"go.opentelemetry.io/collector/config/configgrpc"
	"go.opentelemetry.io/collector/config/confignet"
	"go.opentelemetry.io/collector/exporter/otlpexporter"
	"go.opentelemetry.io/collector/exporter/otlphttpexporter"
	"go.opentelemetry.io/collector/pipeline"
	"go.opentelemetry.io/collector/receiver/otlpreceiver"
	ratelimit "golang.org/x/time/rate"

	"github.com/deployloop/deployloop/connector/anomalyconnector"
	"github.com/deployloop/deployloop/exporter/alertmanagerexporter"
	"github.com/deployloop/deployloop/exporter/forgeexporter"
	"github.com/deployloop/deployloop/exporter/grafanaannotationexporter"
	"github.com/deployloop/deployloop/extension/consoleextension"
	"github.com/deployloop/deployloop/internal/cicdclient"
	"github.com/deployloop/deployloop/internal/doctor"
	"github.com/deployloop/deployloop/internal/doctor/otlpprobe"
	"github.com/deployloop/deployloop/internal/endpoint"
	"github.com/deployloop/deployloop/receiver/cicdreceiver"
)

// checks are those of everything that the configuration names.
func (s *doctorSetup) checks(ctx context.Context) []doctor.Check {
	var list []doctor.Check
	add := func(name string, checks ...doctor.Check) { list = append(list, s.wanted(name, checks...)...) }
	add("configuration", s.configuration())
	add("storage", s.storage()...)

	console, hasConsole := s.console()
	if addresses := s.listeners(); s.endpoint == "" && !anyListens(ctx, addresses) {
		shown := make([]string, len(addresses))
		for i, a := range addresses {
			shown[i] = reachable(a)
		}
		list = append(list, doctor.Said("deployloop", "", doctor.Fail(doctor.CauseNotRunning,
			"deployloop is not running: nothing listens at "+strings.Join(shown, ", "), s.start)))
	} else {
		add("otlp", s.otlp()...)
		for _, r := range used(s.wiring, partsOf[*cicdreceiver.Config](s.config.Receivers)) {
			server := s.own(r.key("receivers"), "the cicd receiver", r.config.ServerConfig)
			server.Token = os.Getenv(cicdclient.EnvToken)
			add("cicd", doctor.Receiver(server))
			add("webhook", doctor.Webhooks(server, r.config.Secrets())...)
		}
		if hasConsole {
			s.consoleShown = endpoint.Shown(console.URL)
			add("console", doctor.Console(console, s.expected()))
			add("services", doctor.Services(console, s.clones(), true))
		}
		add("prometheus", s.scrapes()...)
	}
	add("alertmanager", s.alertmanagers(ctx)...)
	add("grafana", s.grafanas(ctx)...)
	add("prometheus", s.remoteWrites(ctx)...)
	add("forge", s.forges(ctx)...)
	add("backend", s.backends(ctx)...)
	for _, c := range s.clones() {
		add("repository", doctor.Repository(c))
	}
	return list
}

// configuration is what can be told without asking anybody.
func (s *doctorSetup) configuration() doctor.Check {
	return doctor.Check{Name: "configuration", Run: func(context.Context) []doctor.Finding {
		if s.invalid != nil {
			return []doctor.Finding{doctor.Fail(doctor.CauseConfigInvalid, s.invalid.Error(), "do what it says; deployloop validate says the same")}
		}
		return s.findings()
	}}
}

func (s *doctorSetup) storage() (list []doctor.Check) {
	for _, e := range started(s.wiring, partsOf[*filestorage.Config](s.config.Extensions)) {
		list = append(list, doctor.Storage(e.key("extensions")+"::directory", e.config.Directory, e.config.CreateDirectory))
	}
	return list
}

// console is where the configuration, or --endpoint, has it.
func (s *doctorSetup) console() (doctor.Server, bool) {
	if s.endpoint != "" {
		server, err := consoleServer(s.endpoint, s.clocks)
		return server, err == nil
	}
	consoles := started(s.wiring, partsOf[*consoleextension.Config](s.config.Extensions))
	if len(consoles) == 0 {
		return doctor.Server{}, false
	}
	server := s.own(consoles[0].key("extensions"), "the console", consoles[0].config.ServerConfig)
	server.Client = s.clocks.Watch(consoleClock, server.Client)
	if server.Token = os.Getenv(envConsoleToken); server.Token == "" {
		server.Token = string(consoles[0].config.Gate.Token)
	}
	return server, true
}

func (s *doctorSetup) expected() doctor.Expected {
	want := doctor.Expected{Version: buildVersion()}
	if watchers := used(s.wiring, partsOf[*anomalyconnector.Config](s.config.Connectors)); len(watchers) == 1 {
		want.Mode = string(watchers[0].config.Mode)
	}
	return want
}

// listeners are deployloop's own addresses.
func (s *doctorSetup) listeners() (list []confignet.AddrConfig) {
	for _, r := range used(s.wiring, partsOf[*otlpreceiver.Config](s.config.Receivers)) {
		if g := r.config.Protocols.GRPC.Get(); g != nil {
			list = append(list, g.NetAddr)
		}
		if h := r.config.Protocols.HTTP.Get(); h != nil {
			list = append(list, h.ServerConfig.NetAddr)
		}
	}
	for _, r := range used(s.wiring, partsOf[*cicdreceiver.Config](s.config.Receivers)) {
		list = append(list, r.config.NetAddr)
	}
	for _, c := range started(s.wiring, partsOf[*consoleextension.Config](s.config.Extensions)) {
		list = append(list, c.config.NetAddr)
	}
	return list
}

func (s *doctorSetup) otlp() (list []doctor.Check) {
	for _, r := range used(s.wiring, partsOf[*otlpreceiver.Config](s.config.Receivers)) {
		var signals otlpprobe.Signals
		for _, id := range s.takes(r.id) {
			signals.Traces = signals.Traces || id.Signal() == pipeline.SignalTraces
			signals.Metrics = signals.Metrics || id.Signal() == pipeline.SignalMetrics
			signals.Logs = signals.Logs || id.Signal() == pipeline.SignalLogs
		}
		if g := r.config.Protocols.GRPC.Get(); g != nil {
			key := r.key("receivers") + "::protocols::grpc"
			client := configgrpc.NewDefaultClientConfig()
			client.Endpoint = reachable(g.NetAddr)
			client.TLS.Insecure = !g.TLS.HasValue()
			client.TLS.InsecureSkipVerify = g.TLS.HasValue() // our own listener, see own
			list = append(list, otlpprobe.GRPC(otlpprobe.Receiver{Check: "otlp/grpc", Key: key, Address: client.Endpoint, Signals: signals, Start: s.listens(key), Auth: g.Auth.HasValue()}, s.dial(client)))
		}
		if h := r.config.Protocols.HTTP.Get(); h != nil {
			key := r.key("receivers") + "::protocols::http"
			server := s.own(key, "the OTLP receiver", h.ServerConfig)
			list = append(list, otlpprobe.HTTP(otlpprobe.Receiver{Check: "otlp/http", Key: key, Address: server.URL, Signals: signals, Start: s.listens(key), Auth: h.ServerConfig.Auth.HasValue()}, server.Client,
				map[string]string{"traces": string(h.TracesURLPath), "metrics": string(h.MetricsURLPath), "logs": string(h.LogsURLPath)}))
		}
	}
	return list
}

// scrapes are the pages of the prometheus exporters.
func (s *doctorSetup) scrapes() (list []doctor.Check) {
	for _, e := range used(s.wiring, partsOf[*prometheusexporter.Config](s.config.Exporters)) {
		list = append(list, doctor.Scrape(s.own(e.key("exporters"), "the prometheus exporter", e.config.ServerConfig)))
	}
	return list
}

// noClient is the finding of a client that cannot be made.
func noClient(name, address, key string, err error) doctor.Check {
	return doctor.Said(name, endpoint.Shown(address), doctor.Fail(doctor.CauseConfigInvalid, "its client cannot be made: "+endpoint.Hide(err.Error(), address), "correct "+key+" (auth, tls)"))
}

func (s *doctorSetup) alertmanagers(ctx context.Context) (list []doctor.Check) {
	for _, e := range partsOf[*alertmanagerexporter.Config](s.config.Exporters) {
		for i := range e.config.Endpoints {
			at, key := &e.config.Endpoints[i], e.key("exporters")+"::endpoints"
			client, err := s.client(ctx, &at.ClientConfig, "Alertmanager "+hostOf(at.Endpoint))
			if err != nil {
				list = append(list, noClient("alertmanager", at.Endpoint, key, err))
				continue
			}
			list = append(list, doctor.Alertmanager(doctor.Server{Key: key, Kind: "Alertmanager", URL: at.Endpoint, Client: client}, e.config.Labels))
		}
	}
	if len(list) == 0 {
		list = append(list, doctor.Said("alertmanager", "", doctor.Skip("none is configured", "export "+envAlertmanager+"=http://127.0.0.1:9093, or exporters: {alertmanager: {endpoints: [http://127.0.0.1:9093]}}")))
	}
	return list
}

func (s *doctorSetup) grafanas(ctx context.Context) (list []doctor.Check) {
	for _, e := range partsOf[*grafanaannotationexporter.Config](s.config.Exporters) {
		key := e.key("exporters")
		client, err := s.client(ctx, &e.config.ClientConfig, "Grafana "+hostOf(e.config.Endpoint))
		if err != nil {
			list = append(list, noClient("grafana", e.config.Endpoint, key, err))
			continue
		}
		list = append(list, doctor.Grafana(doctor.Server{Key: key + "::endpoint", Kind: "Grafana", URL: e.config.Endpoint, Token: string(e.config.Token), Client: client}))
	}
	if len(list) == 0 {
		list = append(list, doctor.Said("grafana", "", doctor.Skip("none is configured", `exporters: {grafana_annotation: {endpoint: http://127.0.0.1:3000, token: "${env:GRAFANA_TOKEN}"}}`)))
	}
	return list
}

func (s *doctorSetup) remoteWrites(ctx context.Context) (list []doctor.Check) {
	for _, e := range used(s.wiring, partsOf[*prometheusremotewriteexporter.Config](s.config.Exporters)) {
		config, key := e.config.ClientConfig, e.key("exporters")
		client, err := s.client(ctx, &config, "Prometheus "+hostOf(config.Endpoint))
		if err != nil {
			list = append(list, noClient("prometheus_remote_write", config.Endpoint, key, err))
			continue
		}
		list = append(list, doctor.RemoteWrite(doctor.Server{Key: key + "::endpoint", Kind: "Prometheus", URL: config.Endpoint, Client: client}))
	}
	return list
}

func (s *doctorSetup) forges(ctx context.Context) (list []doctor.Check) {
	for _, e := range partsOf[*forgeexporter.Config](s.config.Exporters) {
		key, shown := e.key("exporters"), e.config.Endpoint
		if shown == "" {
			shown = "https://" + e.config.Forge + ".com"
		}
		client, err := s.client(ctx, &e.config.ClientConfig, "forge "+hostOf(shown))
		if err != nil {
			list = append(list, noClient("forge "+e.config.Forge, shown, key, err))
			continue
		}
		api, err := e.config.Client(client, ratelimit.NewLimiter(ratelimit.Inf, 1), time.Now)
		if err != nil {
			list = append(list, noClient("forge "+e.config.Forge, shown, key, err))
			continue
		}
		list = append(list, doctor.ForgeAccess(doctor.Forge{Key: key, Kind: e.config.Forge, URL: endpoint.Shown(shown), API: api, Comments: e.config.Comments,
			Repositories: func(ctx context.Context) []string { return s.repositories(ctx, e.config) }}))
	}
	if len(list) == 0 {
		list = append(list, doctor.Said("forge", "", doctor.Skip("none is configured", `exporters: {forge: {forge: github, token: "${env:GITHUB_TOKEN}"}}`)))
	}
	return list
}

// repositories of a forge: those that its exporter names, and those that
// deployments named.
func (s *doctorSetup) repositories(ctx context.Context, config *forgeexporter.Config) (list []string) {
	var named []string
	for _, r := range config.Repositories {
		named = append(named, r.Repository)
	}
	if console, ok := s.console(); ok {
		named = append(named, doctor.DeployedRepositories(ctx, console)...)
	}
	for _, name := range named {
		if path := config.RepositoryPath(name); path != "" && !slices.Contains(list, path) {
			list = append(list, path)
		}
	}
	return list
}

// backends are where telemetry passes on to over OTLP.
func (s *doctorSetup) backends(ctx context.Context) (list []doctor.Check) {
	signals := func(id fmt.Stringer) (is otlpprobe.Signals) {
		for p, config := range s.config.Service.Pipelines {
			for _, e := range config.Exporters {
				if e.String() == id.String() {
					is.Traces = is.Traces || p.Signal() == pipeline.SignalTraces
					is.Metrics = is.Metrics || p.Signal() == pipeline.SignalMetrics
					is.Logs = is.Logs || p.Signal() == pipeline.SignalLogs
				}
			}
		}
		return is
	}
	receiver := func(id fmt.Stringer, key, address string) otlpprobe.Receiver {
		return otlpprobe.Receiver{Check: "backend " + id.String(), Key: key, Address: address, Signals: signals(id), Empty: true,
			Start: "see that the back end runs there, or correct " + key + "::endpoint"}
	}
	for _, e := range used(s.wiring, partsOf[*otlpexporter.Config](s.config.Exporters)) {
		list = append(list, otlpprobe.GRPC(receiver(e.id, e.key("exporters"), e.config.ClientConfig.Endpoint), s.dial(e.config.ClientConfig)))
	}
	for _, e := range used(s.wiring, partsOf[*otlphttpexporter.Config](s.config.Exporters)) {
		config := e.config.ClientConfig
		client, err := s.client(ctx, &config, "backend "+hostOf(config.Endpoint))
		if err != nil {
			list = append(list, noClient("backend "+e.id.String(), config.Endpoint, e.key("exporters"), err))
			continue
		}
		if config.Endpoint == "" {
			list = append(list, doctor.Said("backend "+e.id.String(), "", doctor.Skip("has an endpoint for each signal", "")))
			continue
		}
		list = append(list, otlpprobe.HTTP(receiver(e.id, e.key("exporters"), strings.TrimRight(config.Endpoint, "/")), client,
			map[string]string{"traces": "/v1/traces", "metrics": "/v1/metrics", "logs": "/v1/logs"}))
	}
	return list
}

// clones are the repositories of the anomaly connectors.
func (s *doctorSetup) clones() (list []doctor.Clone) {
	for _, w := range used(s.wiring, partsOf[*anomalyconnector.Config](s.config.Connectors)) {
		for i, r := range w.config.Repositories {
			list = append(list, doctor.Clone{Key: fmt.Sprintf("%s::repositories[%d]::path", w.key("connectors"), i), Service: r.Service, Path: r.Path})
		}
	}
	return list
}

// hostOf an address, as a clock is named by.
func hostOf(address string) string {
	if r, err := http.NewRequest(http.MethodGet, address, nil); err == nil && r.URL.Host != "" {
		return r.URL.Host
	}
	return "unknown"
}
