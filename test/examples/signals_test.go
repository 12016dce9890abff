package examples

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/plog"
	"go.opentelemetry.io/collector/pdata/plog/plogotlp"
	"go.opentelemetry.io/collector/pdata/pmetric"
	"go.opentelemetry.io/collector/pdata/pmetric/pmetricotlp"

	"github.com/deployloop/deployloop/internal/event"
	"github.com/deployloop/deployloop/test/deploylooptest"
)

// worker has no traces: a gauge that is named in the configuration, and logs.
type worker struct {
	t        *testing.T
	endpoint string
	canary   atomic.Bool // 1.1.0 runs beside 1.0.0, with a longer queue and a new error
	sent     atomic.Int64
}

func (w *worker) run(stop <-chan struct{}) {
	random := rand.New(rand.NewPCG(1, 2))
	ticker := time.NewTicker(250 * time.Millisecond)
	defer ticker.Stop()
	for {
		select {
		case <-stop:
			return
		case <-ticker.C:
		}
		metrics, logs := pmetric.NewMetrics(), plog.NewLogs()
		now := pcommon.NewTimestampFromTime(time.Now())
		one := func(version, revision string, i int, depth float64, line string, severity plog.SeverityNumber) {
			describe := func(a pcommon.Map) {
				a.PutStr("service.name", "worker")
				a.PutStr("deployment.environment.name", production)
				a.PutStr("service.version", version)
				a.PutStr("vcs.ref.head.revision", revision)
				a.PutStr("service.instance.id", fmt.Sprintf("worker-%s-%d", version, i))
			}
			rm := metrics.ResourceMetrics().AppendEmpty()
			describe(rm.Resource().Attributes())
			m := rm.ScopeMetrics().AppendEmpty().Metrics().AppendEmpty()
			m.SetName("queue.depth")
			p := m.SetEmptyGauge().DataPoints().AppendEmpty()
			p.SetTimestamp(now)
			p.SetDoubleValue(depth + random.NormFloat64())
			rl := logs.ResourceLogs().AppendEmpty()
			describe(rl.Resource().Attributes())
			r := rl.ScopeLogs().AppendEmpty().LogRecords().AppendEmpty()
			r.SetTimestamp(now)
			r.SetObservedTimestamp(now)
			r.SetSeverityNumber(severity)
			r.Body().SetStr(line)
		}
		for i := range 4 {
			one("1.0.0", goodRevision, i, 10, fmt.Sprintf("job %d done", random.IntN(1e6)), plog.SeverityNumberInfo)
		}
		if w.canary.Load() {
			for i := range 3 {
				one("1.1.0", badRevision, i, 80, fmt.Sprintf("job %d failed: no route to printer", random.IntN(1e6)), plog.SeverityNumberError)
			}
		}
		w.post("/v1/metrics", pmetricotlp.NewExportRequestFromMetrics(metrics))
		w.post("/v1/logs", plogotlp.NewExportRequestFromLogs(logs))
		w.sent.Add(1)
	}
}

func (w *worker) post(path string, request interface{ MarshalProto() ([]byte, error) }) {
	body, err := request.MarshalProto()
	assert.NoError(w.t, err)
	response, err := http.Post(w.endpoint+path, "application/x-protobuf", bytes.NewReader(body))
	if assert.NoError(w.t, err) {
		assert.Equal(w.t, http.StatusOK, response.StatusCode)
		_ = response.Body.Close()
	}
}

// Traces convict one service, a gauge and the logs another; what the pipeline
// says of its tests is there too, and who calls whom by version.
func TestAllSignals(t *testing.T) {
	t.Parallel()
	places := deploylooptest.NewPlaces(t)
	loop := deploylooptest.StartExample(t, deploylooptest.Example{
		File: "examples/all-signals.yaml", Places: places, Env: []string{"GITHUB_WEBHOOK_SECRET=it is not a secret"},
		Set: []string{"yaml:connectors::span_metrics::metrics_flush_interval: 1s"},
	})
	s, w := open(t, loop.OTLP, "checkout"), &worker{t: t, endpoint: loop.OTLP}
	stop, stopped := make(chan struct{}), make(chan struct{})
	go func() { defer close(stopped); w.run(stop) }()
	t.Cleanup(func() { close(stop); <-stopped; http.DefaultClient.CloseIdleConnections() })
	s.waitForHistory()
	eventually(t, 90*time.Second, func() bool { return w.sent.Load() > 60 }, "some history of the worker")

	report := `<testsuite name="cart" tests="2"><testcase classname="cart" name="total"><failure message="want 3, got 0"/></testcase><testcase classname="cart" name="empty"/></testsuite>`
	response, err := http.Post(loop.CICD+"/v1/reports?"+url.Values{"revision": {badRevision}, "repository": {"acme/shop"}, "ref": {"main"}}.Encode(),
		"application/octet-stream", strings.NewReader(report))
	require.NoError(t, err)
	require.NoError(t, response.Body.Close())
	require.Equal(t, http.StatusAccepted, response.StatusCode)

	s.canary(0.3)
	w.canary.Store(true)
	signals := func(v event.Verdict) (harm []event.Signal) {
		for _, e := range v.Evidence {
			if e.Harm {
				harm = append(harm, e.Signal)
			}
		}
		return harm
	}
	assert.Contains(t, signals(waitFor(t, loop, "checkout", event.Regressed)), event.SignalException)
	eventually(t, 90*time.Second, func() bool {
		v, err := loop.Verdict("worker", badRevision)
		have := signals(v)
		return err == nil && v.State == event.Regressed && slices.Contains(have, event.SignalGauge) && slices.Contains(have, event.SignalLog)
	}, "a gauge and a new line of log convict the worker")
	metrics := page(t, loop.Metrics+"/metrics")
	assert.Contains(t, metrics, `deployloop_anomalies_open`)
	assert.Contains(t, metrics, `service_version="1.1.0"`)
}
