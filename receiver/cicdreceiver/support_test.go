package cicdreceiver

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"io"
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/component/componenttest"
	"go.opentelemetry.io/collector/consumer"
	"go.opentelemetry.io/collector/consumer/consumertest"
	"go.opentelemetry.io/collector/pdata/plog"
	"go.opentelemetry.io/collector/receiver"
	"go.opentelemetry.io/collector/receiver/receivertest"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var fixedNow = time.Date(2026, 11, 23, 14, 0, 0, 0, time.UTC)

const secret = "it is secret"

// running is a receiver in all three signals on a free port.
type running struct {
	t         *testing.T
	receiver  *cicdReceiver
	base      string
	logs      *consumertest.LogsSink
	traces    *consumertest.TracesSink
	metrics   *consumertest.MetricsSink
	telemetry *componenttest.Telemetry
}

type wiring struct {
	config func(*Config)
	logs   consumer.Logs // instead of the sink
	noLogs bool
	host   component.Host
}

func start(t *testing.T, w wiring) *running {
	t.Helper()
	r := &running{t: t, logs: new(consumertest.LogsSink), traces: new(consumertest.TracesSink), metrics: new(consumertest.MetricsSink), telemetry: componenttest.NewTelemetry()}
	factory := NewFactory()
	cfg := factory.CreateDefaultConfig().(*Config)
	cfg.NetAddr.Endpoint = "127.0.0.1:0"
	cfg.GitHub.Secret = secret
	if w.config != nil {
		w.config(cfg)
	}
	require.NoError(t, cfg.Validate())
	set := receivertest.NewNopSettings(factory.Type())
	set.TelemetrySettings = r.telemetry.NewTelemetrySettings()
	set.ID = component.NewID(factory.Type()) // not one of its own each time: it keeps things under it
	set.BuildInfo.Version = "test"

	var parts []component.Component
	add := func(c component.Component, err error) {
		require.NoError(t, err)
		parts = append(parts, c)
	}
	ctx := context.Background()
	if !w.noLogs {
		var next consumer.Logs = r.logs
		if w.logs != nil {
			next = w.logs
		}
		c, err := factory.CreateLogs(ctx, set, cfg, next)
		add(c, err)
		r.receiver = c.(*cicdReceiver)
	}
	c, err := factory.CreateTraces(ctx, set, cfg, r.traces)
	add(c, err)
	r.receiver = c.(*cicdReceiver)
	m, err := factory.CreateMetrics(ctx, set, cfg, r.metrics)
	add(m, err)
	r.receiver.now = func() time.Time { return fixedNow }
	host := w.host
	if host == nil {
		host = componenttest.NewNopHost()
	}
	for _, part := range parts {
		require.Same(t, r.receiver, part, "one receiver for all signals")
		require.NoError(t, part.Start(ctx, host))
	}
	t.Cleanup(func() {
		for _, part := range parts {
			require.NoError(t, part.Shutdown(ctx))
		}
		require.NoError(t, r.telemetry.Shutdown(ctx))
		http.DefaultClient.CloseIdleConnections()
	})
	r.base = "http://" + r.receiver.address
	return r
}

func (r *running) post(path string, body []byte, headers map[string]string) (int, string, http.Header) {
	r.t.Helper()
	return r.do(http.MethodPost, path, body, headers)
}

func (r *running) do(method, path string, body []byte, headers map[string]string) (int, string, http.Header) {
	r.t.Helper()
	request, err := http.NewRequest(method, r.base+path, bytes.NewReader(body))
	require.NoError(r.t, err)
	request.Header.Set("Content-Type", "application/json")
	for name, value := range headers {
		request.Header.Set(name, value)
	}
	response, err := http.DefaultClient.Do(request)
	require.NoError(r.t, err)
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	require.NoError(r.t, err)
	return response.StatusCode, string(text), response.Header
}

// github posts a signed delivery.
func (r *running) github(event, delivery string, body []byte) (int, string) {
	r.t.Helper()
	status, text, _ := r.post("/webhooks/github", body, map[string]string{
		"X-GitHub-Event": event, "X-GitHub-Delivery": delivery, "X-Hub-Signature-256": sign(secret, body),
	})
	return status, text
}

func sign(secret string, body []byte) string {
	mac := hmac.New(sha256.New, []byte(secret))
	mac.Write(body)
	return "sha256=" + hex.EncodeToString(mac.Sum(nil))
}

func (r *running) records() []plog.LogRecord {
	var records []plog.LogRecord
	for _, logs := range r.logs.AllLogs() {
		for _, rl := range logs.ResourceLogs().All() {
			for _, sl := range rl.ScopeLogs().All() {
				for _, record := range sl.LogRecords().All() {
					records = append(records, record)
				}
			}
		}
	}
	return records
}

// counted is the receiver's own count of requests of a source with an outcome.
func (r *running) counted(source string, o outcome) int64 {
	r.t.Helper()
	m, err := r.telemetry.GetMetric("otelcol_receiver_cicd_requests")
	require.NoError(r.t, err)
	want := attribute.NewSet(attribute.String("source", source), attribute.String("outcome", string(o)))
	for _, point := range m.Data.(metricdata.Sum[int64]).DataPoints {
		if point.Attributes.Equals(&want) {
			return point.Value
		}
	}
	return 0
}

var _ receiver.Logs = (*cicdReceiver)(nil)
