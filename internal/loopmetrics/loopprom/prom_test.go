package loopprom

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/open-telemetry/opentelemetry-collector-contrib/exporter/prometheusexporter"
	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/component/componenttest"
	"go.opentelemetry.io/collector/exporter"
	"go.opentelemetry.io/collector/exporter/exportertest"
	"go.opentelemetry.io/collector/pdata/pmetric"

	"github.com/deployloop/deployloop/internal/event"
	"github.com/deployloop/deployloop/internal/ledger"
	"github.com/deployloop/deployloop/internal/loopmetrics"
	"github.com/deployloop/deployloop/internal/loopmetrics/loopotlp"
)

// full gives every family of the tracker a point, by labels that need escaping.
func full(now time.Time) []loopmetrics.Family {
	families := loopmetrics.NewTracker(ledger.New(ledger.Limits{})).Collect(now)
	for i := range families {
		f := &families[i]
		p := loopmetrics.Point{Labels: []event.KeyText{{Key: "service", Text: "a\"b\\c\nd"}, {Key: "environment", Text: "prod"}}, Value: float64(i) + 0.5}
		if f.Kind == loopmetrics.Histogram {
			p.Buckets = make([]uint64, len(loopmetrics.Bounds)+1)
			p.Buckets[3], p.Buckets[len(loopmetrics.Bounds)] = 2, 1
			p.Count, p.Sum = 3, 1e6
		}
		f.Points = []loopmetrics.Point{p}
	}
	return families
}

// samples flattens a scrape into lines of name, labels and value, without what
// the exporter adds of its own (the scope).
func samples(t *testing.T, text io.Reader) map[string]float64 {
	t.Helper()
	parser := expfmt.NewTextParser(model.LegacyValidation)
	families, err := parser.TextToMetricFamilies(text)
	require.NoError(t, err)
	out := map[string]float64{}
	for name, f := range families {
		for _, m := range f.Metric {
			var labels []string
			for _, l := range m.Label {
				if !strings.HasPrefix(l.GetName(), "otel_scope") {
					labels = append(labels, fmt.Sprintf("%s=%q", l.GetName(), l.GetValue()))
				}
			}
			slices.Sort(labels)
			key := fmt.Sprint(name, " ", f.GetType(), " ", f.GetHelp(), " ", labels)
			switch f.GetType() {
			case dto.MetricType_COUNTER:
				out[key] = m.Counter.GetValue()
			case dto.MetricType_GAUGE:
				out[key] = m.Gauge.GetValue()
			case dto.MetricType_HISTOGRAM:
				out[key+" count"], out[key+" sum"] = float64(m.Histogram.GetSampleCount()), m.Histogram.GetSampleSum()
				for _, b := range m.Histogram.Bucket {
					out[fmt.Sprint(key, " ", b.GetUpperBound())] = float64(b.GetCumulativeCount())
				}
			}
		}
	}
	return out
}

// prometheusExporter is the Collector's own, with its defaults.
func prometheusExporter(t *testing.T) (address string, e exporter.Metrics) {
	t.Helper()
	free, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	address = free.Addr().String()
	require.NoError(t, free.Close())
	factory := prometheusexporter.NewFactory()
	cfg := factory.CreateDefaultConfig().(*prometheusexporter.Config)
	cfg.ServerConfig.NetAddr.Endpoint = address
	e, err = factory.CreateMetrics(t.Context(), exportertest.NewNopSettings(factory.Type()), cfg)
	require.NoError(t, err)
	require.NoError(t, e.Start(t.Context(), componenttest.NewNopHost()))
	t.Cleanup(func() { require.NoError(t, e.Shutdown(context.Background())) })
	return address, e
}

func scrape(t *testing.T, address string) map[string]float64 {
	t.Helper()
	response, err := http.Get("http://" + address + "/metrics")
	require.NoError(t, err)
	defer response.Body.Close()
	return samples(t, response.Body)
}

// An alert on an open anomaly must end with the anomaly, not when the exporter
// forgets a value that it has not heard of for five minutes.
func TestThePrometheusExporterForgetsWhatIsNoMore(t *testing.T) {
	address, exporter := prometheusExporter(t)
	w := &loopotlp.Writer{Start: time.Now()}
	told := func(services ...string) map[string]float64 {
		open := loopmetrics.Family{Name: "deployloop.anomalies.open", Unit: "{anomaly}", Description: "Anomalies that are open"}
		for _, s := range services {
			open.Points = append(open.Points, loopmetrics.Point{Labels: []event.KeyText{{Key: "service", Text: s}}, Value: 1})
		}
		metrics := pmetric.NewMetrics()
		w.Append([]loopmetrics.Family{open}, time.Now(), metrics.ResourceMetrics().AppendEmpty().ScopeMetrics().AppendEmpty().Metrics())
		require.NoError(t, exporter.ConsumeMetrics(t.Context(), metrics))
		return scrape(t, address)
	}
	require.Len(t, told("cart", "mail", "search"), 3)
	require.Len(t, told("search"), 1)
	require.Empty(t, told())
	require.Len(t, told("cart"), 1)
}

// The embedded default and the prometheus exporter must be interchangeable:
// dashboards and rules are written for one set of names.
func TestTheConsoleAndThePrometheusExporterSayTheSame(t *testing.T) {
	now := time.Now()
	families := full(now)
	var own bytes.Buffer
	require.NoError(t, Write(&own, families))

	address, exporter := prometheusExporter(t)
	metrics := pmetric.NewMetrics()
	(&loopotlp.Writer{Start: now.Add(-time.Hour)}).Append(families, now, metrics.ResourceMetrics().AppendEmpty().ScopeMetrics().AppendEmpty().Metrics())
	require.NoError(t, exporter.ConsumeMetrics(t.Context(), metrics))
	theirs := scrape(t, address)
	require.Greater(t, len(theirs), len(families))
	assert.Equal(t, theirs, samples(t, &own))
}

func TestFamiliesWithoutAPointAreLeftOut(t *testing.T) {
	var b bytes.Buffer
	require.NoError(t, Write(&b, []loopmetrics.Family{{Name: "deployloop.verdicts", Kind: loopmetrics.Counter}}))
	assert.Empty(t, b.String())
}
