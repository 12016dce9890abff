package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// The addresses that are announced are those that are listened on.
func TestAnnouncedAddressesAreThoseOfTheDefaultConfig(t *testing.T) {
	conf, err := parseYAML(defaultConfig)
	require.NoError(t, err)
	for key, want := range map[string]string{
		"receivers::otlp::protocols::grpc::endpoint": defaultOTLPGRPC,
		"receivers::otlp::protocols::http::endpoint": defaultOTLPHTTP,
		"receivers::cicd::endpoint":                  defaultCICD,
		"extensions::console::endpoint":              defaultConsole,
		"exporters::prometheus::endpoint":            defaultMetrics,
	} {
		require.Equal(t, want, conf.Get(key), key)
	}
	require.Contains(t, string(defaultConfig), "prometheus: {host: 127.0.0.1, port: "+strings.TrimPrefix(defaultSelfMetrics, "127.0.0.1:")+",")
	require.Equal(t, "advise", conf.Get("connectors::anomaly::mode"))
}

// execute runs the root command as the shell would and returns what it printed.
func execute(t *testing.T, args ...string) (string, error) {
	t.Helper()
	root := newRootCommand()
	var out bytes.Buffer
	root.SetOut(&out)
	root.SetErr(&out)
	root.SetArgs(args)
	err := root.ExecuteContext(t.Context())
	return out.String(), err
}

// The built-in configuration starts as far as building every component, with
// and without an Alertmanager, and with --set on top.
func TestDefaultConfigIsValid(t *testing.T) {
	for name, setup := range map[string]func(){
		"plain":        func() {},
		"alertmanager": func() { t.Setenv(envAlertmanager, "http://127.0.0.1:9093") },
	} {
		t.Run(name, func(t *testing.T) {
			dir := filepath.Join(t.TempDir(), "state")
			t.Setenv(envStateDir, dir)
			setup()
			_, err := execute(t, "validate")
			require.NoError(t, err)
			require.DirExists(t, dir)
			_, err = execute(t, "validate", "--set", "exporters.prometheus.endpoint=127.0.0.1:0")
			require.NoError(t, err)
			_, err = execute(t, "validate", "--set", "connectors.anomaly.mode=loud")
			require.ErrorContains(t, err, "mode")
		})
	}
}

// A file laid over the built-in configuration keeps its state where that one does.
func TestOwnConfigOnTopOfTheDefaultKeepsItsState(t *testing.T) {
	dir := t.TempDir()
	t.Setenv(envStateDir, "")
	t.Setenv("XDG_STATE_HOME", dir)
	path := filepath.Join(dir, "own.yaml")
	require.NoError(t, os.WriteFile(path, []byte("connectors: {anomaly: {mode: shadow}}"), 0o600))
	config, _, err := readConfig(t.Context(), []string{scheme + ":", path})
	require.NoError(t, err)
	found := addressesOf(wiring{config})
	require.Equal(t, filepath.Join(dir, "deployloop"), found.state)
	require.Equal(t, "shadow", found.mode)
}

func TestOwnConfigReplacesTheDefault(t *testing.T) {
	path := filepath.Join(t.TempDir(), "own.yaml")
	require.NoError(t, os.WriteFile(path, []byte(`
receivers: {otlp: {protocols: {http: {endpoint: 127.0.0.1:0}}}}
exporters: {debug: {}}
service: {pipelines: {traces: {receivers: [otlp], exporters: [debug]}}}
`), 0o600))
	_, err := execute(t, "validate", "--config", path)
	require.NoError(t, err)
}

func TestHelpListsTheCommandsAndStaysReadable(t *testing.T) {
	out, err := execute(t, "--help")
	require.NoError(t, err)
	for _, want := range []string{"demo", "validate", "--config", "--set"} {
		require.Contains(t, out, want)
	}
	for _, line := range strings.Split(out, "\n") {
		require.LessOrEqual(t, len(line), 160, line)
	}
}
