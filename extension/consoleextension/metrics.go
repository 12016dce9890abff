package consoleextension

import (
	"bytes"
	"io"
	"net/http"
	"sync"
	"time"

	"github.com/VictoriaMetrics/metrics"

	"github.com/deployloop/deployloop/internal/loopmetrics"
	"github.com/deployloop/deployloop/internal/loopmetrics/loopprom"
)

// observeEvery is how often the ledger is looked at when nobody scrapes, so
// that a verdict that came and went between two scrapes is counted: as often
// as the anomaly connector does.
const observeEvery = 15 * time.Second

// selfMetrics is what /metrics shows: the loop's metrics under the names of
// the prometheus exporter, and the console's own. The set is private, so two
// collectors in one process do not mix.
type selfMetrics struct {
	set *metrics.Set
	now func() time.Time

	mu   sync.Mutex // the tracker is not safe for concurrent use
	loop *loopmetrics.Tracker
}

func newSelfMetrics(loop *loopmetrics.Tracker, h *hub, now func() time.Time) *selfMetrics {
	m := &selfMetrics{set: metrics.NewSet(), now: now, loop: loop}
	m.set.RegisterMetricsWriter(func(w io.Writer) {
		_ = loopprom.Write(w, m.collect()) // into a buffer: cannot fail
	})
	for name, read := range map[string]func(hubStats) float64{
		"otelcol_console_live_clients":               func(s hubStats) float64 { return float64(s.Open) },
		"otelcol_console_live_clients_refused_total": func(s hubStats) float64 { return float64(s.Refused) },
		"otelcol_console_updates_missed_total":       func(s hubStats) float64 { return float64(s.Missed) },
	} {
		m.set.NewGauge(name, func() float64 { return read(h.stats()) })
	}
	return m
}

func (m *selfMetrics) collect() []loopmetrics.Family {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.loop.Collect(m.now())
}

// run keeps the counters up to date until done closes.
func (m *selfMetrics) run(done <-chan struct{}) {
	tick := time.NewTicker(observeEvery)
	defer tick.Stop()
	for {
		select {
		case <-done:
			return
		case <-tick.C:
			m.collect()
		}
	}
}

// GET /metrics
func (s *site) metricsPage(w http.ResponseWriter, _ *http.Request) {
	var b bytes.Buffer
	s.metrics.set.WritePrometheus(&b)
	w.Header().Set("Content-Type", "text/plain; version=0.0.4; charset=utf-8")
	_, _ = w.Write(b.Bytes()) // a client that left is no error of ours
}
