package main

import (
	"context"
	_ "embed"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"
	"go.opentelemetry.io/collector/confmap"
)

// scheme names the built-in configuration as a configuration location:
// `--config default:` can be given with further files that override it.
const scheme = "default"

const (
	envStateDir     = "DEPLOYLOOP_STATE_DIR"
	envAlertmanager = "DEPLOYLOOP_ALERTMANAGER_URL"
)

//go:embed default.yaml
var defaultConfig []byte

//go:embed default_alertmanager.yaml
var defaultAlertmanagerConfig []byte

// useDefaultConfig makes the Collector's commands fall back to the built-in
// configuration when no --config is given, keeping --set on top of it.
func useDefaultConfig(root *cobra.Command) {
	where := noteLocations(root)
	root.PreRunE = func(cmd *cobra.Command, _ []string) error {
		if err := addDefaultConfig(cmd, nil); err != nil {
			return err
		}
		announce(cmd.Context(), cmd.ErrOrStderr(), where)
		return nil
	}
	run := root.RunE
	root.RunE = func(cmd *cobra.Command, args []string) error {
		return startFailure(cmd.Context(), run(cmd, args), where)
	}
	for _, c := range root.Commands() {
		if c.Flags().Lookup("config") != nil {
			c.PreRunE = addDefaultConfig
		}
		if c.Name() == "validate" {
			where, run := noteLocations(c), c.RunE
			c.RunE = func(cmd *cobra.Command, args []string) error {
				return namesUnset(cmd.Context(), run(cmd, args), where.all())
			}
		}
	}
}

func addDefaultConfig(cmd *cobra.Command, _ []string) error {
	if cmd.Flags().Changed("config") {
		return nil
	}
	dir, err := stateDir()
	if err != nil {
		return err
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return fmt.Errorf("cannot create the state directory; set %s to a folder that can be written: %w", envStateDir, err)
	}
	return cmd.Flags().Set("config", scheme+":")
}

// stateDir is where the built-in configuration keeps what it learnt:
// $DEPLOYLOOP_STATE_DIR, else deployloop under $XDG_STATE_HOME or ~/.local/state.
func stateDir() (string, error) {
	if dir := os.Getenv(envStateDir); dir != "" {
		return filepath.Abs(dir)
	}
	if dir := os.Getenv("XDG_STATE_HOME"); dir != "" {
		return filepath.Join(dir, "deployloop"), nil
	}
	home, err := os.UserHomeDir()
	if err != nil {
		return "", fmt.Errorf("no home directory to keep state in; set %s: %w", envStateDir, err)
	}
	return filepath.Join(home, ".local", "state", "deployloop"), nil
}

// defaultProvider resolves `default:` to the built-in configuration.
type defaultProvider struct{}

func newDefaultProviderFactory() confmap.ProviderFactory {
	return confmap.NewProviderFactory(func(confmap.ProviderSettings) confmap.Provider { return defaultProvider{} })
}

func (defaultProvider) Retrieve(_ context.Context, uri string, _ confmap.WatcherFunc) (*confmap.Retrieved, error) {
	if uri != scheme+":" {
		return nil, fmt.Errorf("%q: the built-in configuration is %q, nothing follows the colon", uri, scheme+":")
	}
	// default.yaml names the directory as ${env:DEPLOYLOOP_STATE_DIR}, which is
	// expanded when all locations are read.
	dir, err := stateDir()
	if err != nil {
		return nil, err
	}
	if err := os.Setenv(envStateDir, dir); err != nil {
		return nil, err
	}
	base, err := parseYAML(defaultConfig)
	if err != nil {
		return nil, err
	}
	// Alertmanager is wired only when there is one: an exporter without an
	// endpoint would fail the start.
	if os.Getenv(envAlertmanager) != "" {
		overlay, err := parseYAML(defaultAlertmanagerConfig)
		if err != nil {
			return nil, err
		}
		if err := base.Merge(overlay); err != nil {
			return nil, err
		}
	}
	return confmap.NewRetrieved(base.ToStringMap())
}

func (defaultProvider) Scheme() string                 { return scheme }
func (defaultProvider) Shutdown(context.Context) error { return nil }

func parseYAML(text []byte) (*confmap.Conf, error) {
	retrieved, err := confmap.NewRetrievedFromYAML(text)
	if err != nil {
		return nil, err
	}
	return retrieved.AsConf()
}

// Addresses of default.yaml; default_config_test.go holds them in step.
const (
	defaultOTLPGRPC = "127.0.0.1:4317"
	defaultOTLPHTTP = "127.0.0.1:4318"
	defaultCICD     = "127.0.0.1:8088"
	defaultConsole  = "127.0.0.1:8090"
	defaultMetrics  = "127.0.0.1:8889"

	defaultSelfMetrics = "127.0.0.1:8887"
)

// waitForListener reports whether something listens on address before the
// timeout or the end of ctx.
func waitForListener(ctx context.Context, address string, timeout time.Duration) bool {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	var dialer net.Dialer
	for {
		conn, err := dialer.DialContext(ctx, "tcp", address)
		if err == nil {
			_ = conn.Close()
			return true
		}
		select {
		case <-ctx.Done():
			return false
		case <-time.After(50 * time.Millisecond):
		}
	}
}
