//go:build linux

package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/deployloop/deployloop/test/servertest"
)

// Whatever the configuration, the start says where its page is and what it listens on.
func TestTheStartSaysWhereEverythingIs(t *testing.T) {
	page, otlp, cicd := servertest.FreeAddress(t), servertest.FreeAddress(t), servertest.FreeAddress(t)
	path := filepath.Join(t.TempDir(), "own.yaml")
	require.NoError(t, os.WriteFile(path, []byte(`
receivers:
  otlp: {protocols: {http: {endpoint: "`+otlp+`"}}}
  cicd: {endpoint: 127.0.0.1:8088}
connectors: {anomaly: {ledger: ledger, mode: shadow}}
exporters: {debug: {}}
extensions: {ledger: {}, console: {endpoint: "`+page+`", ledger: ledger}}
service:
  extensions: [ledger, console]
  telemetry: {metrics: {level: none}}
  pipelines:
    logs: {receivers: [otlp, cicd], exporters: [anomaly]}
    logs/verdicts: {receivers: [anomaly], exporters: [debug]}
`), 0o600))
	c := binary(t, "--config", path, "--set", "receivers.cicd.endpoint="+cicd)
	var out locked
	c.Stdout, c.Stderr = &out, &out
	require.NoError(t, c.Start())
	defer func() {
		require.NoError(t, c.Process.Signal(os.Interrupt))
		require.Zero(t, exited(t, c), out.text())
	}()
	require.Eventually(t, func() bool { return strings.Contains(out.text(), "deployloop doctor tests every link") }, time.Minute, 10*time.Millisecond, out.text)
	for _, want := range []string{
		"  page          http://" + page + "\n", "  OTLP          http http://" + otlp + "\n", "  deployments   http://" + cicd + "/v1/deployments",
		"OTEL_EXPORTER_OTLP_ENDPOINT=http://" + otlp, "[ ] Alertmanager  not set", "[x] mode          shadow\n",
	} {
		require.Contains(t, out.text(), want)
	}
	require.NotContains(t, out.text(), "8887", "that is the built-in configuration's")
}
