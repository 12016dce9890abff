package consoleextension

import (
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/deployloop/deployloop/internal/event"
	"github.com/deployloop/deployloop/internal/ledger"
)

func TestMetricsNeedNoExporter(t *testing.T) {
	l := ledger.New(ledger.Limits{})
	h := handler(t, l)
	l.RecordSighting(ledger.Sighting{Service: "cart", Environment: "production", Version: "1", At: noon.Add(-2 * time.Hour)})
	d, _ := l.RecordDeployment(event.Deployment{Service: "cart", Environment: "production", Version: "2", StartedAt: noon.Add(-time.Minute),
		FirstSeenAt: noon.Add(-50 * time.Second), Sources: []event.Source{{Name: "api", At: noon}}})
	l.RecordVerdict(event.Verdict{Deployment: d, State: event.Regressed, At: noon.Add(-20 * time.Second),
		FirstBadAt: noon.Add(-28 * time.Second), RegressedAt: noon.Add(-20 * time.Second)})

	for range 2 { // a second scrape counts nothing twice
		answer := get(t, h, "/metrics")
		require.Equal(t, http.StatusOK, answer.Code)
		require.Equal(t, "text/plain; version=0.0.4; charset=utf-8", answer.Header().Get("Content-Type"))
		text := answer.Body.String()
		assert.Contains(t, text, `deployloop_deployments_total{service="cart",environment="production"} 1`+"\n")
		assert.Contains(t, text, `deployloop_verdicts_total{service="cart",environment="production",verdict="regressed"} 1`+"\n")
		assert.Contains(t, text, `deployloop_loop_latency_seconds_bucket{service="cart",environment="production",step="first_bad_to_verdict",le="10"} 1`+"\n")
		assert.Contains(t, text, `deployloop_loop_latency_seconds_sum{service="cart",environment="production",step="first_bad_to_verdict"} 8`+"\n")
		assert.Contains(t, text, "otelcol_console_live_clients 0\n")
		parser := expfmt.NewTextParser(model.LegacyValidation)
		_, err := parser.TextToMetricFamilies(strings.NewReader(text))
		require.NoError(t, err)
	}
}

// A verdict that came and went between two scrapes is counted, since the
// console looks at the ledger on its own.
func TestMetricsSeeWhatHappensBetweenScrapes(t *testing.T) {
	l := ledger.New(ledger.Limits{})
	l.RecordSighting(ledger.Sighting{Service: "cart", Environment: "production", Version: "1", At: noon.Add(-2 * time.Hour)})
	d, _ := l.RecordDeployment(event.Deployment{Service: "cart", Environment: "production", Version: "2", StartedAt: noon.Add(-time.Minute)})
	l.RecordVerdict(event.Verdict{Deployment: d, State: event.Watching, At: noon.Add(-time.Minute)})
	_, url := start(t, l, func() time.Time { return noon }) // takes its first look
	l.RecordVerdict(event.Verdict{Deployment: d, State: event.Healthy, HealthyAt: noon, At: noon})
	text := body(t, url+"/metrics")
	assert.Contains(t, text, `verdict="watching"} 1`)
	assert.Contains(t, text, `verdict="healthy"} 1`)
}

func body(t *testing.T, url string) string {
	t.Helper()
	response, err := http.Get(url)
	if !assert.NoError(t, err) { // not require: it is called in goroutines
		return ""
	}
	defer response.Body.Close()
	assert.Equal(t, http.StatusOK, response.StatusCode)
	text, err := io.ReadAll(response.Body)
	assert.NoError(t, err)
	return string(text)
}

func TestMetricsForManyScrapersAtOnce(t *testing.T) {
	l := ledger.New(ledger.Limits{})
	_, url := start(t, l, time.Now)
	var wait sync.WaitGroup
	for range 8 {
		wait.Go(func() {
			for range 5 {
				l.RecordDeployment(event.Deployment{Service: "cart", Environment: "production", Version: "2", StartedAt: time.Now()})
				assert.Contains(t, body(t, url+"/metrics"), "otelcol_console_live_clients")
			}
		})
	}
	wait.Wait()
}
