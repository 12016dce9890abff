package alertmanagerexporter

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/component/componenttest"
	"go.opentelemetry.io/collector/exporter"
	"go.opentelemetry.io/collector/exporter/exportertest"
	"go.opentelemetry.io/collector/pdata/plog"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"
	"go.uber.org/goleak"
	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	"github.com/deployloop/deployloop/internal/event"
	"github.com/deployloop/deployloop/internal/event/eventotlp"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const badRevision = "9f2c1ab0c0ffee0c0ffee0c0ffee0c0ffee0c0ff"

// symptomAt is an open anomaly with all that an alert can show.
func symptomAt(now time.Time) event.Anomaly {
	started := now.Add(-25 * time.Second)
	evidence := event.Evidence{
		Signal: event.SignalErrors, Operation: "POST /cart/checkout", Unit: "1",
		Before: 0.0021, After: 0.048, Ratio: 22.9, Interval: [2]float64{0.041, 0.052},
		Nats: 12.1, Threshold: 6.91, Control: event.ControlConcurrent, Harm: true, Critical: true,
	}
	verdict := event.Verdict{
		Deployment: event.Deployment{
			ID: "0123456789ab", Service: "checkout", Environment: "production", Revision: badRevision,
			Version: "1.42.0", PreviousVersion: "1.41.3", StartedAt: started, RollbackCommand: "./rollback checkout 1.41.3",
		},
		State: event.Regressed, At: now, Evidence: []event.Evidence{evidence},
		Related: []event.RelatedError{{
			Signal: event.SignalException, Fingerprint: "f00d", Type: "TypeError", Message: "total is undefined", OnlyInNew: true,
			Frames: []event.Frame{{File: "cart/total.ts", Line: 88}},
			Examples: []event.Example{
				{TraceID: "aaaa", Message: "total is undefined", Stacktrace: "TypeError: total is undefined\n    at total (cart/total.ts:88:9)"},
				{TraceID: "bbbb"}, {TraceID: "aaaa"},
			},
		}, {
			Signal: event.SignalLog, Fingerprint: "beef", Template: "checkout failed: <*>", OnlyInNew: true,
			Examples: []event.Example{{TraceID: "bbbb", Message: "checkout failed: total is undefined"}},
		}},
		Impact: event.Impact{Users: 310},
		Suspicion: &event.Suspicion{Commits: 7, Range: "a1b2c3d..9f2c1ab", Suspects: []event.Suspect{{
			Probability: 0.83,
			Change: event.Change{
				Revision: badRevision, Message: "Round totals", Author: "Ada",
				URL: "https://git.example/acme/shop/commit/9f2c1ab", CompareURL: "https://git.example/acme/shop/compare/a1b2c3d...9f2c1ab",
			},
		}}},
	}
	return event.Anomaly{
		ID:   event.AnomalyID("0123456789ab", event.KindSymptom, event.SignalErrors, "POST /cart/checkout"),
		Kind: event.KindSymptom, Service: "checkout", Environment: "production", Deployment: "0123456789ab", Commit: badRevision,
		Signal: event.SignalErrors, Operation: "POST /cart/checkout", Stage: event.StagePostDeploy, Severity: event.SeverityCritical,
		Team: "shop", Mode: event.Advise, StartsAt: started.Add(15 * time.Second), DetectedAt: now, At: now, Open: true,
		Evidence: &evidence, Verdict: &verdict,
	}
}

func rollUpAt(now time.Time) event.Anomaly {
	a := symptomAt(now)
	a.Symptoms = []string{a.ID}
	a.Kind, a.Signal, a.Operation, a.Evidence = event.KindDeployment, "", "", nil
	a.ID = event.AnomalyID(a.Deployment, a.Kind, "", "")
	return a
}

func closedAtTime(a event.Anomaly, at time.Time) event.Anomaly {
	a.Open, a.At = false, at
	a.Closure = &event.Closure{Reason: event.ClosedRolledBack, Detail: "rolled back to 1.41.3 at 14:09Z", At: at}
	return a
}

func repeated(a event.Anomaly, at time.Time) event.Anomaly {
	a.At = at
	return a
}

// records encodes anomalies as the connector does, after a record of another kind.
func records(anomalies ...event.Anomaly) plog.Logs {
	logs := plog.NewLogs()
	list := logs.ResourceLogs().AppendEmpty().ScopeLogs().AppendEmpty().LogRecords()
	list.AppendEmpty().Body().SetStr("an ordinary line of log")
	for _, a := range anomalies {
		eventotlp.EncodeAnomaly(a, list.AppendEmpty())
	}
	return logs
}

// harness is an exporter under test with its own metrics and log.
type harness struct {
	*teller
	t         *testing.T
	telemetry *componenttest.Telemetry
	log       *observer.ObservedLogs
}

// host gives extensions to a component.
type host map[component.ID]component.Component

func (h host) GetExtensions() map[component.ID]component.Component { return h }

func start(t *testing.T, cfg *Config, h component.Host) *harness {
	t.Helper()
	require.NoError(t, cfg.Validate())
	telemetry := componenttest.NewTelemetry()
	t.Cleanup(func() { require.NoError(t, telemetry.Shutdown(context.Background())) })
	core, log := observer.New(zap.InfoLevel)
	set := exportertest.NewNopSettings(Type)
	set.TelemetrySettings = telemetry.NewTelemetrySettings()
	set.Logger = zap.New(core)
	logs, err := NewFactory().CreateLogs(t.Context(), exporter.Settings(set), cfg)
	require.NoError(t, err)
	if h == nil {
		h = host{}
	}
	require.NoError(t, logs.Start(t.Context(), h))
	t.Cleanup(func() { require.NoError(t, logs.Shutdown(context.Background())) })
	return &harness{teller: logs.(*teller), t: t, telemetry: telemetry, log: log}
}

func (h *harness) consume(anomalies ...event.Anomaly) {
	h.t.Helper()
	require.NoError(h.t, h.ConsumeLogs(h.t.Context(), records(anomalies...)))
}

// counted is the value of a counter over the points with this attribute value.
func (h *harness) counted(name, attributeValue string) int64 {
	h.t.Helper()
	m, err := h.telemetry.GetMetric(name)
	if err != nil {
		return 0
	}
	total := int64(0)
	for _, point := range m.Data.(metricdata.Sum[int64]).DataPoints {
		for _, attribute := range point.Attributes.ToSlice() {
			if attribute.Value.AsString() == attributeValue {
				total += point.Value
			}
		}
	}
	return total
}

func configFor(urls ...string) *Config {
	cfg := createDefaultConfig().(*Config)
	for _, url := range urls {
		e := defaultEndpoint()
		e.Endpoint = url
		cfg.Endpoints = append(cfg.Endpoints, e)
	}
	return cfg
}
