package deploymarkerprocessor

import (
	"context"
	"flag"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/open-telemetry/opentelemetry-collector-contrib/pkg/golden"
	"github.com/open-telemetry/opentelemetry-collector-contrib/pkg/pdatatest/plogtest"
	"github.com/open-telemetry/opentelemetry-collector-contrib/pkg/pdatatest/pmetrictest"
	"github.com/open-telemetry/opentelemetry-collector-contrib/pkg/pdatatest/ptracetest"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/confmap/confmaptest"
	"go.opentelemetry.io/collector/processor/processortest"

	"github.com/deployloop/deployloop/internal/ledger"
)

var update = flag.Bool("update", false, "write the golden files anew; the writer fails the test on purpose")

// Each folder of testdata is a case: its input passes a marker over an empty
// ledger at 2026-03-02 09:00 UTC and must come out as its output says. A
// config.yaml beside them alters the default configuration.
func TestGolden(t *testing.T) {
	cases, err := os.ReadDir("testdata")
	require.NoError(t, err)
	require.NotEmpty(t, cases)
	for _, c := range cases {
		t.Run(c.Name(), func(t *testing.T) {
			dir := filepath.Join("testdata", c.Name())
			m := goldenMarker(t, dir)
			in, out := filepath.Join(dir, "input.yaml"), filepath.Join(dir, "output.yaml")
			ctx := context.Background()
			text, err := os.ReadFile(in)
			require.NoError(t, err)
			switch signal := string(text[:len("resourceSpans")]); signal {
			case "resourceSpans":
				got, err := golden.ReadTraces(in)
				require.NoError(t, err)
				got, err = m.traces(ctx, got)
				require.NoError(t, err)
				if *update {
					require.NoError(t, golden.WriteTraces(t, out, got))
				}
				want, err := golden.ReadTraces(out)
				require.NoError(t, err)
				assert.NoError(t, ptracetest.CompareTraces(want, got))
			case "resourceMetri":
				got, err := golden.ReadMetrics(in)
				require.NoError(t, err)
				got, err = m.metrics(ctx, got)
				require.NoError(t, err)
				if *update {
					require.NoError(t, golden.WriteMetrics(t, out, got))
				}
				want, err := golden.ReadMetrics(out)
				require.NoError(t, err)
				assert.NoError(t, pmetrictest.CompareMetrics(want, got, pmetrictest.IgnoreResourceMetricsOrder()))
			case "resourceLogs:":
				got, err := golden.ReadLogs(in)
				require.NoError(t, err)
				got, err = m.logs(ctx, got)
				require.NoError(t, err)
				if *update {
					require.NoError(t, golden.WriteLogs(t, out, got))
				}
				want, err := golden.ReadLogs(out)
				require.NoError(t, err)
				assert.NoError(t, plogtest.CompareLogs(want, got))
			default:
				t.Fatalf("input.yaml begins with %q", signal)
			}
		})
	}
}

func goldenMarker(t *testing.T, dir string) *marker {
	t.Helper()
	config := createDefaultConfig().(*Config)
	if path := filepath.Join(dir, "config.yaml"); fileExists(path) {
		conf, err := confmaptest.LoadConf(path)
		require.NoError(t, err)
		require.NoError(t, conf.Unmarshal(config))
	}
	require.NoError(t, config.Validate())
	m := newMarker(config, processortest.NewNopSettings(componentType), "traces")
	m.now = func() time.Time { return time.Date(2026, 3, 2, 9, 0, 0, 0, time.UTC) }
	m.ledger = ledger.New(ledger.Limits{Settle: -1}) // the second version is already news
	return m
}

func fileExists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}
