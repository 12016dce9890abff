package rules

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/open-telemetry/opentelemetry-collector-contrib/connector/spanmetricsconnector"
	"github.com/prometheus/otlptranslator"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/component/componenttest"
	"go.opentelemetry.io/collector/connector/connectortest"
	"go.opentelemetry.io/collector/consumer/consumertest"
	"go.opentelemetry.io/collector/exporter"
	"go.opentelemetry.io/collector/exporter/exportertest"
	"go.opentelemetry.io/collector/exporter/otlphttpexporter"
	"go.opentelemetry.io/collector/pdata/pmetric"
	"go.opentelemetry.io/collector/pdata/ptrace"
	"go.opentelemetry.io/otel/metric"
	"go.opentelemetry.io/otel/metric/noop"

	"github.com/deployloop/deployloop/exporter/alertmanagerexporter"
	"github.com/deployloop/deployloop/exporter/forgeexporter"
	"github.com/deployloop/deployloop/exporter/grafanaannotationexporter"
	"github.com/deployloop/deployloop/internal/event"
	"github.com/deployloop/deployloop/internal/ledger"
	"github.com/deployloop/deployloop/internal/loopmetrics"
	"github.com/deployloop/deployloop/internal/loopmetrics/loopprom"
)

// made are the names of the series that a Prometheus can hold of deployloop and
// of the components it is shipped with: asked of the code that makes them.
func made(t *testing.T) map[string]bool {
	t.Helper()
	names := map[string]bool{}
	add := func(f loopmetrics.Family) {
		name := loopprom.Name(f)
		if f.Kind != loopmetrics.Histogram {
			names[name] = true
			return
		}
		for _, suffix := range []string{"_bucket", "_sum", "_count"} {
			names[name+suffix] = true
		}
	}
	for _, f := range loopmetrics.NewTracker(ledger.New(ledger.Limits{})).Collect(time.Now()) {
		add(f)
	}
	for _, f := range []loopmetrics.Family{
		{Name: event.MetricTelemetryLost, Unit: "{item}", Kind: loopmetrics.Counter}, // of the anomaly connector
		{Name: event.MetricDetectorSize, Unit: "{item}", Kind: loopmetrics.Gauge},
		{Name: event.MetricAlwaysOn, Unit: "{service}", Kind: loopmetrics.Gauge},
		{Name: event.MetricRunDuration, Unit: "s", Kind: loopmetrics.Histogram}, // of the cicd receiver
		{Name: event.MetricTaskDuration, Unit: "s", Kind: loopmetrics.Histogram},
		{Name: event.MetricRunActive, Unit: "{run}", Kind: loopmetrics.Gauge},
		{Name: event.MetricRunErrors, Unit: "{error}", Kind: loopmetrics.Counter},
	} {
		add(f)
	}
	for _, f := range spanMetrics(t) {
		add(f)
	}
	for name := range instruments(t) {
		names[name] = true
	}
	return names
}

// spanMetrics are what the span_metrics connector makes of one span.
func spanMetrics(t *testing.T) (out []loopmetrics.Family) {
	t.Helper()
	factory := spanmetricsconnector.NewFactory()
	cfg := factory.CreateDefaultConfig().(*spanmetricsconnector.Config)
	cfg.MetricsFlushInterval = 10 * time.Millisecond
	sink := new(consumertest.MetricsSink)
	c, err := factory.CreateTracesToMetrics(t.Context(), connectortest.NewNopSettings(factory.Type()), cfg, sink)
	require.NoError(t, err)
	require.NoError(t, c.Start(t.Context(), componenttest.NewNopHost()))
	td := ptrace.NewTraces()
	spans := td.ResourceSpans().AppendEmpty()
	spans.Resource().Attributes().PutStr(event.AttrServiceName, "cart")
	spans.ScopeSpans().AppendEmpty().Spans().AppendEmpty().SetName("GET /")
	require.NoError(t, c.ConsumeTraces(t.Context(), td))
	require.Eventually(t, func() bool { return sink.DataPointCount() > 0 }, 30*time.Second, 5*time.Millisecond)
	require.NoError(t, c.Shutdown(context.Background()))
	for _, m := range sink.AllMetrics()[0].ResourceMetrics().At(0).ScopeMetrics().At(0).Metrics().All() {
		f := loopmetrics.Family{Name: m.Name(), Unit: m.Unit()}
		switch m.Type() {
		case pmetric.MetricTypeHistogram:
			f.Kind = loopmetrics.Histogram
		case pmetric.MetricTypeSum:
			f.Kind = loopmetrics.Counter
		}
		out = append(out, f)
	}
	return out
}

// instruments are the names under which the exporters' own telemetry can reach
// Prometheus: by the Collector's reader, which adds no suffix, and by OTLP.
func instruments(t *testing.T) map[string]bool {
	t.Helper()
	meters := &recorder{names: map[string]bool{}}
	for _, factory := range []exporter.Factory{
		alertmanagerexporter.NewFactory(), grafanaannotationexporter.NewFactory(), forgeexporter.NewFactory(), otlphttpexporter.NewFactory(),
	} {
		set := exportertest.NewNopSettings(factory.Type())
		set.MeterProvider = meters
		cfg := factory.CreateDefaultConfig()
		if otlp, ok := cfg.(*otlphttpexporter.Config); ok {
			otlp.ClientConfig.Endpoint = "http://127.0.0.1:1" // never called
		}
		_, err := factory.CreateLogs(t.Context(), set, cfg)
		require.NoError(t, err)
		for _, create := range []func() (component.Component, error){
			func() (component.Component, error) { return factory.CreateTraces(t.Context(), set, cfg) },
			func() (component.Component, error) { return factory.CreateMetrics(t.Context(), set, cfg) },
		} {
			_, _ = create() // ours take logs alone
		}
	}
	return meters.names
}

// recorder is a MeterProvider that notes which instruments are made.
type recorder struct {
	noop.MeterProvider
	names map[string]bool
}

func (r *recorder) Meter(string, ...metric.MeterOption) metric.Meter { return meter{recorder: r} }

type meter struct {
	noop.Meter
	*recorder
}

func (r *recorder) add(name, unit string, kind otlptranslator.MetricType, suffixes ...string) {
	full, err := (&otlptranslator.MetricNamer{WithMetricSuffixes: true}).Build(otlptranslator.Metric{Name: name, Unit: unit, Type: kind})
	if err != nil {
		panic(err)
	}
	for _, base := range []string{strings.ReplaceAll(name, ".", "_"), full} {
		for _, suffix := range append(suffixes, "") {
			r.names[base+suffix] = true
		}
	}
}

func (m meter) Int64Counter(name string, o ...metric.Int64CounterOption) (metric.Int64Counter, error) {
	m.add(name, metric.NewInt64CounterConfig(o...).Unit(), otlptranslator.MetricTypeMonotonicCounter)
	return noop.Int64Counter{}, nil
}

func (m meter) Int64Gauge(name string, o ...metric.Int64GaugeOption) (metric.Int64Gauge, error) {
	m.add(name, metric.NewInt64GaugeConfig(o...).Unit(), otlptranslator.MetricTypeGauge)
	return noop.Int64Gauge{}, nil
}

func (m meter) Float64Histogram(name string, o ...metric.Float64HistogramOption) (metric.Float64Histogram, error) {
	m.add(name, metric.NewFloat64HistogramConfig(o...).Unit(), otlptranslator.MetricTypeHistogram, "_bucket", "_sum", "_count")
	return noop.Float64Histogram{}, nil
}
