package grafanaannotationexporter

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/go-openapi/runtime"
	"github.com/grafana/grafana-openapi-client-go/client/annotations"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/component/componenttest"
	"go.opentelemetry.io/collector/exporter"
	"go.opentelemetry.io/collector/exporter/exportertest"
	"go.opentelemetry.io/collector/pdata/plog"
	"go.uber.org/goleak"
	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	"github.com/deployloop/deployloop/internal/event"
	"github.com/deployloop/deployloop/internal/event/eventotlp"
	"github.com/deployloop/deployloop/internal/ledger/ledgerhost/ledgerhosttest"
	"github.com/deployloop/deployloop/test/grafanatest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var start = time.Date(2026, 3, 4, 14, 3, 5, 0, time.UTC)

func verdict(id string, state event.VerdictState) event.Verdict {
	return event.Verdict{
		Deployment: event.Deployment{
			ID: id, Service: "checkout", Environment: "production", Version: "1.42.0", PreviousVersion: "1.41.3",
			Revision: "9f2c1ab0aa9f2c1ab0aa9f2c1ab0aa9f2c1ab0aa", StartedAt: start, FinishedAt: start.Add(time.Minute),
		},
		State: state, At: start.Add(2 * time.Minute), Mode: event.Shadow, Detail: "errors 0.21% → 4.8%",
	}
}

func logsOf(t *testing.T, verdicts ...event.Verdict) plog.Logs {
	ld := plog.NewLogs()
	records := ld.ResourceLogs().AppendEmpty().ScopeLogs().AppendEmpty().LogRecords()
	records.AppendEmpty().Body().SetStr("an ordinary line")
	for _, v := range verdicts {
		eventotlp.EncodeVerdict(v, records.AppendEmpty())
	}
	return ld
}

func startExporter(t *testing.T, s *grafanatest.Server, change func(*Config, *exporter.Settings)) exporter.Logs {
	return startExporterIn(t, componenttest.NewNopHost(), s, change)
}

func startExporterIn(t *testing.T, host component.Host, s *grafanatest.Server, change func(*Config, *exporter.Settings)) exporter.Logs {
	cfg := createDefaultConfig().(*Config)
	cfg.Endpoint, cfg.Token, cfg.ConsoleURL = s.URL+"/grafana", grafanatest.Token, "http://127.0.0.1:8090"
	cfg.RequestsPerSecond, cfg.RetryInterval, cfg.MaxRetryInterval = 10_000, 5*time.Millisecond, 20*time.Millisecond
	set := exportertest.NewNopSettings(Type)
	if change != nil {
		change(cfg, &set)
	}
	require.NoError(t, cfg.Validate())
	e, err := NewFactory().CreateLogs(t.Context(), set, cfg)
	require.NoError(t, err)
	require.NoError(t, e.Start(t.Context(), host))
	t.Cleanup(func() { require.NoError(t, e.Shutdown(context.Background())) })
	return e
}

func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	require.Eventually(t, ok, 10*time.Second, 2*time.Millisecond, what)
}

func TestOneAnnotationFollowsTheVerdict(t *testing.T) {
	s := grafanatest.Start(t, "/grafana")
	e := startExporter(t, s, nil)
	for _, state := range []event.VerdictState{event.Watching, event.Regressed, event.Regressed, event.Healthy} {
		require.NoError(t, e.ConsumeLogs(t.Context(), logsOf(t, verdict("d1", state))))
		eventually(t, string(state), func() bool { return s.Verdict("d1") == string(state) })
	}
	list := s.Of("d1")
	require.Len(t, list, 1)
	assert.Equal(t, start.UnixMilli(), list[0].Time)
	assert.Equal(t, start.Add(time.Minute).UnixMilli(), list[0].TimeEnd)
	assert.ElementsMatch(t, []string{"deploy", "deployment:d1", "service:checkout", "env:production", "commit:9f2c1ab", "version:1.42.0", "verdict:healthy"}, list[0].Tags)
	assert.Contains(t, list[0].Text, `<a href="http://127.0.0.1:8090/deployments/d1">verdict</a>`)
}

// The ledger learns when people could first see a verdict.
func TestTheLedgerHearsWhenItWasWritten(t *testing.T) {
	s, host := grafanatest.Start(t, "/grafana"), ledgerhosttest.New()
	v := verdict("d1", event.Regressed)
	v.Deployment, _ = host.RecordDeployment(v.Deployment)
	s.Away.Store(true)
	e := startExporterIn(t, host, s, nil)
	began := time.Now()
	require.NoError(t, e.ConsumeLogs(t.Context(), logsOf(t, v)))
	eventually(t, "it tried", func() bool { return s.Calls.Load() > 2 })
	require.Empty(t, host.Tellings(v.Deployment.ID), "not before it is there")
	s.Away.Store(false)
	eventually(t, "told", func() bool { return len(host.Tellings(v.Deployment.ID)) == 1 })
	told := host.Tellings(v.Deployment.ID)[0]
	assert.Equal(t, string(event.Regressed), s.Verdict(v.Deployment.ID))
	assert.Equal(t, event.ChannelGrafana, told.Channel)
	assert.Equal(t, event.Regressed, told.Verdict)
	assert.WithinRange(t, told.At, began, time.Now())
}

func TestUnchangedHeartbeatsCostNoCall(t *testing.T) {
	s := grafanatest.Start(t, "/grafana")
	e := startExporter(t, s, nil)
	require.NoError(t, e.ConsumeLogs(t.Context(), logsOf(t, verdict("d1", event.Regressed))))
	eventually(t, "written", func() bool { return s.Verdict("d1") == "regressed" })
	require.NoError(t, e.ConsumeLogs(t.Context(), logsOf(t, verdict("d2", event.Healthy))))
	eventually(t, "the writer is idle", func() bool { return s.Verdict("d2") == "healthy" && s.Calls.Load() == 6 })
	for range 100 {
		require.NoError(t, e.ConsumeLogs(t.Context(), logsOf(t, verdict("d1", event.Regressed), verdict("d2", event.Healthy))))
	}
	require.NoError(t, e.ConsumeLogs(t.Context(), logsOf(t, verdict("d3", event.Healthy))))
	eventually(t, "d3 is written after them", func() bool { return s.Verdict("d3") == "healthy" })
	assert.LessOrEqual(t, s.Calls.Load(), int64(9), "find, create and find for each of three, nothing for the heartbeats")
}

func TestRestartFindsItAgain(t *testing.T) {
	s := grafanatest.Start(t, "/grafana")
	first := startExporter(t, s, nil)
	require.NoError(t, first.ConsumeLogs(t.Context(), logsOf(t, verdict("d1", event.Watching))))
	eventually(t, "written", func() bool { return s.Verdict("d1") == "watching" })
	require.NoError(t, first.Shutdown(t.Context()))
	second := startExporter(t, s, nil)
	require.NoError(t, second.ConsumeLogs(t.Context(), logsOf(t, verdict("d1", event.Regressed))))
	eventually(t, "updated in place", func() bool { return s.Verdict("d1") == "regressed" })
	require.Len(t, s.All(), 1)
	assert.Equal(t, int64(1), s.All()[0].ID, "not twice for a moment")
}

func TestTwoReplicasWriteOnce(t *testing.T) {
	s := grafanatest.Start(t, "/grafana")
	replicas := []exporter.Logs{startExporter(t, s, nil), startExporter(t, s, nil)}
	for beat := range 3 {
		state := []event.VerdictState{event.Watching, event.Regressed, event.Healthy}[beat]
		for _, r := range replicas {
			var all []event.Verdict
			for i := range 40 {
				all = append(all, verdict(fmt.Sprintf("d%02d", i), state))
			}
			require.NoError(t, r.ConsumeLogs(t.Context(), logsOf(t, all...)))
		}
	}
	for i := range 40 {
		id := fmt.Sprintf("d%02d", i)
		eventually(t, id, func() bool { return s.Verdict(id) == "healthy" })
	}
}

func TestGrafanaAwayThenBack(t *testing.T) {
	s := grafanatest.Start(t, "/grafana")
	e := startExporter(t, s, nil)
	s.Away.Store(true)
	for i := range 20 {
		for _, state := range []event.VerdictState{event.Watching, event.Regressed} {
			require.NoError(t, e.ConsumeLogs(t.Context(), logsOf(t, verdict(fmt.Sprintf("d%02d", i), state))))
		}
	}
	eventually(t, "it keeps trying", func() bool { return s.Calls.Load() > 5 })
	s.Away.Store(false)
	for i := range 20 {
		id := fmt.Sprintf("d%02d", i)
		eventually(t, id+" is there once, with its latest verdict", func() bool { return s.Verdict(id) == "regressed" })
	}
}

func TestLostAnswerIsFoundByItsTag(t *testing.T) {
	s := grafanatest.Start(t, "/grafana")
	s.LoseAnswer.Store(true)
	e := startExporter(t, s, nil)
	require.NoError(t, e.ConsumeLogs(t.Context(), logsOf(t, verdict("d1", event.Regressed), verdict("d2", event.Healthy))))
	eventually(t, "both", func() bool { return s.Verdict("d1") == "regressed" && s.Verdict("d2") == "healthy" })
}

func TestRefusalIsPermanentAndNamesTheFix(t *testing.T) {
	s := grafanatest.Start(t, "/grafana")
	core, logs := observer.New(zap.ErrorLevel)
	e := startExporter(t, s, func(cfg *Config, set *exporter.Settings) {
		cfg.Token = "wrong"
		set.Logger = zap.New(core)
	})
	require.NoError(t, e.ConsumeLogs(t.Context(), logsOf(t, verdict("d1", event.Regressed))))
	eventually(t, "logged", func() bool { return logs.Len() == 1 })
	assert.Contains(t, fmt.Sprint(logs.All()[0].ContextMap()["fix"]), "service account token")
	for range 50 {
		require.NoError(t, e.ConsumeLogs(t.Context(), logsOf(t, verdict("d1", event.Regressed))))
	}
	assert.Equal(t, int64(1), s.Calls.Load(), "the same refused annotation is not tried at every heartbeat")
}

func TestPendingIsBounded(t *testing.T) {
	s := grafanatest.Start(t, "/grafana")
	s.Away.Store(true)
	e := startExporter(t, s, func(cfg *Config, _ *exporter.Settings) { cfg.MaxPending = 10 })
	for i := range 100 {
		require.NoError(t, e.ConsumeLogs(t.Context(), logsOf(t, verdict(fmt.Sprintf("d%02d", i), event.Healthy))))
	}
	s.Away.Store(false)
	eventually(t, "the newest are written", func() bool { return s.Verdict("d99") == "healthy" && s.Verdict("d90") == "healthy" })
	assert.Empty(t, s.Of("d50"))
}

func TestOutsideTextIsEscaped(t *testing.T) {
	v := verdict("d1", event.Regressed)
	v.Deployment.Service = `<img src=x onerror=alert(1)>`
	v.Deployment.URL = "javascript:alert(1)"
	v.Detail = "<script>"
	v.Suspicion = &event.Suspicion{Suspects: []event.Suspect{{Change: event.Change{Revision: "abc", Message: "<b>x\nbody", URL: `https://x/"onload="`}}}}
	a := describe(v, "", nil)
	for _, bad := range []string{"<img", "<script", "javascript:", `"onload`, "<b>x"} {
		assert.NotContains(t, a.text, bad)
	}
	v.Detail = strings.Repeat("é", maxText)
	assert.Less(t, len(describe(v, "", nil).text), maxText+8)
}

func TestClassify(t *testing.T) {
	assert.Equal(t, done, classify(nil))
	assert.Equal(t, retryable, classify(errors.New("connection refused")))
	for want, codes := range map[outcome][]int{
		retryable: {http.StatusTooManyRequests, http.StatusRequestTimeout, http.StatusInternalServerError, http.StatusBadGateway, http.StatusServiceUnavailable},
		permanent: {http.StatusBadRequest, http.StatusUnauthorized, http.StatusForbidden, http.StatusUnprocessableEntity, http.StatusRequestEntityTooLarge},
		vanished:  {http.StatusNotFound},
	} {
		for _, code := range codes {
			assert.Equal(t, want, classify(fmt.Errorf("told: %w", runtime.NewAPIError("unknown", nil, code))), code)
		}
	}
	assert.Equal(t, permanent, classify(annotations.NewPostAnnotationForbidden()))
	assert.Equal(t, retryable, classify(annotations.NewPostAnnotationInternalServerError()))
}

func TestConfigNamesTheFix(t *testing.T) {
	cfg := createDefaultConfig().(*Config)
	cfg.Endpoint = "127.0.0.1:3000"
	assert.ErrorContains(t, cfg.Validate(), "http://127.0.0.1:3000")
	cfg.Endpoint = "http://127.0.0.1:3000"
	assert.NoError(t, cfg.Validate())
	cfg.MaxPending, cfg.RequestsPerSecond, cfg.ConsoleURL = 0, 0, "javascript:x"
	assert.ErrorContains(t, cfg.Validate(), "max_pending")
	assert.ErrorContains(t, cfg.Validate(), "requests_per_second")
	assert.ErrorContains(t, cfg.Validate(), "console_url")
}
