package main

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/open-telemetry/opentelemetry-collector-contrib/extension/storage/filestorage"
	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/config/configgrpc"
	"go.opentelemetry.io/collector/config/confighttp"
	"go.opentelemetry.io/collector/config/confignet"
	"go.opentelemetry.io/collector/confmap"
	"go.opentelemetry.io/collector/extension"
	"go.opentelemetry.io/collector/otelcol"
	"go.opentelemetry.io/collector/pdata/pcommon"
	metricnoop "go.opentelemetry.io/otel/metric/noop"
	tracenoop "go.opentelemetry.io/otel/trace/noop"
	"go.uber.org/zap"
	"google.golang.org/grpc"

	"github.com/deployloop/deployloop/internal/doctor"
	"github.com/deployloop/deployloop/internal/endpoint"
)

// doctorSetup is a configuration, and the clients that its components use.
type doctorSetup struct {
	doctorRequest
	wiring
	factories    otelcol.Factories
	start        string // how a deployloop of this configuration is started
	clocks       *doctor.Clocks
	consoleShown string
	invalid      error

	mu             sync.Mutex
	authenticators map[component.ID]component.Component // started, of those that a client named
	idle           []func()                             // closes idle connections
}

func newDoctorSetup(ctx context.Context, r doctorRequest, locations []string, clocks *doctor.Clocks) (*doctorSetup, error) {
	all := slices.Clone(locations)
	for _, set := range r.sets {
		key, value, ok := strings.Cut(set, "=")
		if !ok {
			return nil, fmt.Errorf("--set %s: write key=value", set)
		}
		all = append(all, "yaml:"+strings.ReplaceAll(strings.TrimSpace(key), ".", "::")+": "+strings.TrimSpace(value))
	}
	config, factories, err := readConfig(ctx, all)
	if err != nil {
		said := err.Error()
		for _, location := range all {
			said = endpoint.Hide(said, location)
		}
		return nil, errors.New(said)
	}
	return &doctorSetup{
		doctorRequest: r, wiring: wiring{config}, factories: factories, clocks: clocks, start: "start it: deployloop" + configFlags(locations),
		authenticators: map[component.ID]component.Component{}, invalid: namesUnset(ctx, validated(config), all),
	}, nil
}

// validated is what is wrong in the configuration. Its folders are left to the
// check of the storage, which says more.
func validated(config *otelcol.Config) error {
	for _, s := range partsOf[*filestorage.Config](config.Extensions) {
		dir := s.config.Directory
		s.config.Directory = os.TempDir()
		defer func() { s.config.Directory = dir }()
	}
	return confmap.Validate(config)
}

func (s *doctorSetup) close() {
	for _, end := range s.idle {
		end()
	}
	for _, a := range s.authenticators {
		_ = a.Shutdown(context.Background()) // a token is read no more
	}
}

func (s *doctorSetup) closeLater(end func()) {
	s.mu.Lock()
	s.idle = append(s.idle, end)
	s.mu.Unlock()
}

// telemetryOff is that of components which doctor makes: none.
func telemetryOff() component.TelemetrySettings {
	return component.TelemetrySettings{
		Logger: zap.NewNop(), TracerProvider: tracenoop.NewTracerProvider(), MeterProvider: metricnoop.NewMeterProvider(), Resource: pcommon.NewResource(),
	}
}

// authenticator makes the extension that a client names, and no other: a
// storage would want its files for itself.
func (s *doctorSetup) authenticator(ctx context.Context, id component.ID) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.authenticators[id] != nil {
		return nil
	}
	factory, config := s.factories.Extensions[id.Type()], s.config.Extensions[id]
	if factory == nil || config == nil {
		return fmt.Errorf("the authenticator %s is not among the extensions", id)
	}
	made, err := factory.Create(ctx, extension.Settings{ID: id, TelemetrySettings: telemetryOff(), BuildInfo: collectorSettings().BuildInfo}, config)
	if err != nil {
		return err
	}
	if err := made.Start(ctx, noHost{}); err != nil {
		return fmt.Errorf("the authenticator %s cannot start: %w", id, err)
	}
	s.authenticators[id] = made
	return nil
}

type noHost struct{}

func (noHost) GetExtensions() map[component.ID]component.Component { return nil }

// client is the one that an exporter makes of its settings; the clock of its
// server is looked at by the way.
func (s *doctorSetup) client(ctx context.Context, config *confighttp.ClientConfig, server string) (*http.Client, error) {
	if auth := config.Auth.Get(); auth != nil {
		if err := s.authenticator(ctx, auth.AuthenticatorID); err != nil {
			return nil, err
		}
	}
	client, err := config.ToClient(ctx, s.authenticators, telemetryOff())
	if err != nil {
		return nil, err
	}
	s.closeLater(client.CloseIdleConnections)
	return s.clocks.Watch(server, client), nil
}

// dial connects as a gRPC exporter does.
func (s *doctorSetup) dial(config configgrpc.ClientConfig) func(context.Context) (*grpc.ClientConn, error) {
	return func(ctx context.Context) (*grpc.ClientConn, error) {
		if auth := config.Auth.Get(); auth != nil {
			if err := s.authenticator(ctx, auth.AuthenticatorID); err != nil {
				return nil, err
			}
		}
		s.mu.Lock()
		defer s.mu.Unlock()
		return config.ToClientConn(ctx, s.authenticators, telemetryOff())
	}
}

// consoleClock names the console among the clocks: it tells deployloop's own.
const consoleClock = "console"

// own is deployloop's own listener. Its certificate is not what is tested, and
// seldom names the address by which this machine reaches it.
func (s *doctorSetup) own(key, kind string, config confighttp.ServerConfig) doctor.Server {
	transport := &http.Transport{
		TLSClientConfig: &tls.Config{InsecureSkipVerify: true}, //nolint:gosec // our own listener, see above
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return dialOwn(ctx, config.NetAddr)
		},
	}
	s.closeLater(transport.CloseIdleConnections)
	base := "http://"
	if config.TLS.HasValue() {
		base = "https://"
	}
	return doctor.Server{Key: key + "::endpoint", Kind: kind, URL: base + reachable(config.NetAddr), Client: &http.Client{Transport: transport, Timeout: s.timeout}, Start: s.listens(key)}
}

// listens is how to have deployloop listen where the configuration says.
func (s *doctorSetup) listens(key string) string {
	return fmt.Sprintf("restart deployloop with this configuration, or correct %s::endpoint", key)
}

func dialOwn(ctx context.Context, address confignet.AddrConfig) (net.Conn, error) {
	network, at := string(address.Transport), reachable(address)
	if strings.HasPrefix(network, "unix") {
		at = address.Endpoint
	} else {
		network = "tcp"
	}
	var dialer net.Dialer
	return dialer.DialContext(ctx, network, at)
}

// reachable is the address by which this machine reaches a listener.
func reachable(address confignet.AddrConfig) string {
	if strings.HasPrefix(string(address.Transport), "unix") {
		return "localhost"
	}
	host, port, err := net.SplitHostPort(address.Endpoint)
	if err != nil {
		return address.Endpoint
	}
	if ip := net.ParseIP(host); host == "" || ip != nil && ip.IsUnspecified() {
		host = "127.0.0.1"
	}
	return net.JoinHostPort(host, port)
}

// anyListens says whether one of the addresses takes a connection.
func anyListens(ctx context.Context, addresses []confignet.AddrConfig) bool {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	took := make(chan bool, len(addresses))
	for _, a := range addresses {
		go func() {
			conn, err := dialOwn(ctx, a)
			if err == nil {
				_ = conn.Close()
			}
			took <- err == nil
		}()
	}
	for range addresses {
		if <-took {
			return true
		}
	}
	return len(addresses) == 0
}

// consoleServer is the console at a URL that was given.
func consoleServer(at string, clocks *doctor.Clocks) (doctor.Server, error) {
	base, err := endpoint.Find(at, envConsole, "http://"+defaultConsole)
	if err != nil {
		return doctor.Server{}, err
	}
	return doctor.Server{
		Key: "--endpoint", Kind: "the console", URL: base.String(), Token: os.Getenv(envConsoleToken),
		Client: clocks.Watch(consoleClock, &http.Client{Transport: &http.Transport{Proxy: http.ProxyFromEnvironment}}),
		Start:  "start deployloop there, or say where it is with --endpoint or " + envConsole,
	}, nil
}

// prometheusChecks ask the Prometheus that was named.
func (r doctorRequest) prometheusChecks(clocks *doctor.Clocks) []doctor.Check {
	if r.prometheus == "" {
		return nil
	}
	base, err := endpoint.Find(r.prometheus, envPrometheus, "http://127.0.0.1:9090")
	if err != nil {
		return []doctor.Check{doctor.Said("prometheus", "", doctor.Fail(doctor.CauseUnknownHost, err.Error(), "correct --prometheus"))}
	}
	client := clocks.Watch("Prometheus "+base.Host, &http.Client{Transport: &http.Transport{Proxy: http.ProxyFromEnvironment}})
	return r.wanted("prometheus", doctor.Scraped(doctor.Server{Key: "--prometheus", Kind: "Prometheus", URL: base.String(), Client: client}, nil))
}
