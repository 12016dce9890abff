package main

import (
	"os"
	"path/filepath"
	"regexp"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/otelcol"
)

var listener = regexp.MustCompile(`(endpoint: )127\.0\.0\.1:\d+`)

// Every example starts, on ports of its own, and stops.
func TestExamplesStart(t *testing.T) {
	paths, err := filepath.Glob(filepath.Join("..", "..", "examples", "*.yaml"))
	require.NoError(t, err)
	require.NotEmpty(t, paths)
	for _, path := range paths {
		t.Run(filepath.Base(path), func(t *testing.T) {
			t.Setenv(envStateDir, t.TempDir())
			t.Setenv("GITHUB_WEBHOOK_SECRET", "it is not a secret")
			text, err := os.ReadFile(path)
			require.NoError(t, err)
			own := filepath.Join(t.TempDir(), "own.yaml")
			require.NoError(t, os.WriteFile(own, listener.ReplaceAll(text, []byte("${1}127.0.0.1:0")), 0o600))

			settings := collectorSettings()
			settings.DisableGracefulShutdown = true
			settings.ConfigProviderSettings.ResolverSettings.DefaultScheme = "env"
			settings.ConfigProviderSettings.ResolverSettings.URIs = []string{own, "yaml:service::telemetry::metrics::level: none"}
			collector, err := otelcol.NewCollector(settings)
			require.NoError(t, err)
			ended := make(chan error, 1)
			go func() { ended <- collector.Run(t.Context()) }()
			require.Eventually(t, func() bool {
				return collector.GetState() == otelcol.StateRunning || len(ended) > 0
			}, 20*time.Second, 10*time.Millisecond)
			collector.Shutdown()
			require.NoError(t, <-ended)
		})
	}
}
