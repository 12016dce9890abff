//go:build linux

package main

import (
	"context"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/deployloop/deployloop/test/servertest"
)

// A start that fails says what to do, and does not first say where everything is.
func TestAStartThatFailsNamesTheFix(t *testing.T) {
	state := t.TempDir()
	configuration := func(page, storage string) string {
		path := filepath.Join(t.TempDir(), "own.yaml")
		require.NoError(t, os.WriteFile(path, []byte(`
receivers: {cicd: {endpoint: "`+servertest.FreeAddress(t)+`"}}
connectors: {anomaly: {ledger: ledger}}
exporters: {debug: {}}
extensions:
  file_storage: {directory: "`+storage+`", timeout: 200ms}
  ledger: {storage: file_storage}
  console: {endpoint: "`+page+`", ledger: ledger}
service:
  extensions: [file_storage, ledger, console]
  telemetry: {metrics: {level: none}}
  pipelines:
    logs: {receivers: [cicd], exporters: [anomaly]}
    logs/verdicts: {receivers: [anomaly], exporters: [debug]}
`), 0o600))
		return path
	}
	fails := func(path string) string {
		out, err := binary(t, "--config", path).CombinedOutput()
		require.Error(t, err)
		require.NotContains(t, string(out), "to close the loop")
		last := strings.Split(strings.TrimSpace(string(out)), "\n")
		return last[len(last)-1]
	}

	taken, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer taken.Close()
	require.Contains(t, fails(configuration(taken.Addr().String(), t.TempDir())), "end what listens there")

	first := binary(t, "--config", configuration(servertest.FreeAddress(t), state))
	var out locked
	first.Stdout, first.Stderr = &out, &out
	require.NoError(t, first.Start())
	defer func() {
		require.NoError(t, first.Process.Signal(os.Interrupt))
		require.Zero(t, exited(t, first), out.text())
	}()
	require.Eventually(t, func() bool { return strings.Contains(out.text(), "to close the loop") }, time.Minute, 10*time.Millisecond, out.text)
	require.Contains(t, fails(configuration(servertest.FreeAddress(t), state)), "another deployloop has its state there; end it, or set DEPLOYLOOP_STATE_DIR")

	require.Contains(t, fails(filepath.Join(t.TempDir(), "none.yaml")), "deployloop init writes a configuration")

	text, err := os.ReadFile(configuration(servertest.FreeAddress(t), t.TempDir()))
	require.NoError(t, err)
	open := strings.ReplaceAll(string(text), "extensions:\n", "extensions:\n  basicauth: {htpasswd: {inline: \"${env:DEPLOYLOOP_TEST_NOT_SET}\"}}\n")
	path := filepath.Join(t.TempDir(), "open.yaml")
	require.NoError(t, os.WriteFile(path, []byte(strings.Replace(open, "extensions: [", "extensions: [basicauth, ", 1)), 0o600))
	require.Contains(t, fails(path), "not set, of the variables that the configuration reads: DEPLOYLOOP_TEST_NOT_SET (")

	// A secret that is empty, and the variable that it was read from: whichever
	// command reads the configuration.
	unsigned := strings.Replace(string(text), "receivers: {cicd: {", `receivers: {cicd: {argocd: {secret: "${env:DEPLOYLOOP_TEST_NO_SECRET}"}, github: {secret: "${env:DEPLOYLOOP_TEST_OTHER:-given}"}, `, 1)
	path = filepath.Join(t.TempDir(), "unsigned.yaml")
	require.NoError(t, os.WriteFile(path, []byte(unsigned), 0o600))
	for _, command := range [][]string{{}, {"validate"}, {"doctor"}} {
		out, err := binary(t, append(command, "--config", path)...).CombinedOutput()
		require.Error(t, err)
		require.Contains(t, string(out), "argocd.secret is empty")
		require.Contains(t, string(out), "not set, of the variables that the configuration reads: DEPLOYLOOP_TEST_NO_SECRET (", command)
	}

	// As a plain user meets it; these tests may run as root.
	denied := fmt.Errorf("failed to create extension: %w", &fs.PathError{Op: "mkdir", Path: "/var/lib/deployloop", Err: syscall.EACCES})
	where := &locations{files: []string{configuration(servertest.FreeAddress(t), state)}}
	require.ErrorContains(t, startFailure(context.Background(), denied, where),
		"set DEPLOYLOOP_STATE_DIR to a folder that this user may write, or extensions::file_storage::directory (now "+state+")")
}
