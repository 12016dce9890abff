package alertmanagerexporter

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/prometheus/alertmanager/api/v2/models"
	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/component/componentstatus"
	"go.opentelemetry.io/collector/consumer"
	"go.opentelemetry.io/collector/exporter"
	"go.opentelemetry.io/collector/pdata/plog"
	"go.uber.org/zap"

	"github.com/deployloop/deployloop/internal/event"
	"github.com/deployloop/deployloop/internal/event/eventotlp"
	"github.com/deployloop/deployloop/internal/ledger"
	"github.com/deployloop/deployloop/internal/ledger/ledgerhost"
)

// teller takes state records and gives the newest of each anomaly to every
// endpoint.
type teller struct {
	cfg       *Config
	settings  component.TelemetrySettings
	logger    *zap.Logger
	now       func() time.Time
	metrics   *metrics
	endpoints []*endpoint
	ledger    ledger.Recorder // nil: none runs here
	cancel    context.CancelFunc
	wg        sync.WaitGroup // the endpoints' workers
	polling   sync.WaitGroup

	mu     sync.Mutex
	latest map[string]known // by anomaly id; bounded by MaxAlerts
	failed map[string]bool  // endpoints whose last call failed
	host   component.Host
}

// known is what is remembered of an anomaly, so that a replay cannot take back
// what a newer record said.
type known struct {
	at     time.Time // of the newest record
	closed bool
	told   bool            // the latency from onset to alert was measured
	labels models.LabelSet // of its alert; kept only for the silences
}

var _ exporter.Logs = (*teller)(nil)

func newTeller(set exporter.Settings, cfg *Config) (*teller, error) {
	m, err := newMetrics(set.TelemetrySettings)
	if err != nil {
		return nil, err
	}
	return &teller{
		cfg: cfg, settings: set.TelemetrySettings, logger: set.Logger, now: time.Now, metrics: m,
		latest: map[string]known{}, failed: map[string]bool{},
	}, nil
}

// Capabilities of the exporter: it reads only.
func (t *teller) Capabilities() consumer.Capabilities { return consumer.Capabilities{} }

// Start opens the clients and one worker an endpoint.
func (t *teller) Start(ctx context.Context, host component.Host) error {
	t.host = host
	var err error
	if t.ledger, err = ledgerhost.Recorder(host, t.cfg.Ledger); err != nil {
		return err
	}
	workers, cancel := context.WithCancel(context.Background())
	t.cancel = cancel
	for i := range t.cfg.Endpoints {
		client, err := t.cfg.Endpoints[i].ToClient(ctx, host.GetExtensions(), t.settings)
		if err != nil {
			cancel()
			return fmt.Errorf("alertmanager %s: %w", t.cfg.Endpoints[i].Endpoint, err)
		}
		t.endpoints = append(t.endpoints, newEndpoint(t, t.cfg.Endpoints[i].Endpoint, client))
	}
	for _, e := range t.endpoints {
		t.wg.Go(func() { e.run(workers) })
	}
	if t.asksForSilences() {
		t.polling.Go(func() { t.watchSilences(workers) })
	}
	return nil
}

// Shutdown lets what is pending go out within ctx, then stops the workers.
// Open alerts stay open for what is left of their three heartbeats, so that a
// restart is no resolve.
func (t *teller) Shutdown(ctx context.Context) error {
	if t.cancel == nil {
		return nil
	}
	for _, e := range t.endpoints {
		e.finish()
	}
	finished := make(chan struct{})
	go func() { t.wg.Wait(); close(finished) }()
	select {
	case <-finished:
	case <-ctx.Done():
	case <-time.After(shutdownLimit):
	}
	t.cancel()
	<-finished
	t.polling.Wait()
	for _, e := range t.endpoints {
		e.client.CloseIdleConnections()
	}
	return nil
}

// shutdownLimit bounds the last calls; a Collector's shutdown context has no deadline.
const shutdownLimit = 5 * time.Second

// ConsumeLogs takes the anomalies among the records. It never waits for an
// Alertmanager and never fails: what an Alertmanager missed comes again with
// the next heartbeat.
func (t *teller) ConsumeLogs(ctx context.Context, logs plog.Logs) error {
	for _, rl := range logs.ResourceLogs().All() {
		for _, sl := range rl.ScopeLogs().All() {
			for _, record := range sl.LogRecords().All() {
				if eventotlp.Name(record) != event.NameAnomaly {
					continue
				}
				anomaly, err := eventotlp.DecodeAnomaly(rl.Resource(), record)
				if err != nil {
					t.metrics.skip(ctx, skipUndecodable)
					t.logger.Warn("an anomaly record could not be read", zap.Error(err))
					continue
				}
				if reason := t.accept(anomaly); reason != "" {
					t.metrics.skip(ctx, reason)
					continue
				}
				for _, e := range t.endpoints {
					e.give(anomaly)
				}
			}
		}
	}
	return nil
}

// Why a record is not sent.
const (
	skipShadow      = "shadow"      // mode shadow reports to the page only
	skipStale       = "stale"       // older than three heartbeats: its alert would have ended by now
	skipOutdated    = "outdated"    // a newer record of the same anomaly was seen
	skipUndecodable = "undecodable" // not an anomaly as deployloop writes it
	skipIncomplete  = "incomplete"  // without an id or a service no alert can be told apart
)

// accept decides whether a record may be told; the empty reason is yes.
func (t *teller) accept(a event.Anomaly) (reason string) {
	if a.Mode != event.Advise && a.Mode != event.Gate {
		return skipShadow
	}
	if a.ID == "" || a.Service == "" {
		return skipIncomplete
	}
	now := t.now()
	if now.Sub(a.At) > heartbeatsOpen*t.cfg.Heartbeat {
		return skipStale
	}
	at := a.At
	if at.After(now) {
		at = now // a clock ahead must not outrank all that follows
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	before, seen := t.latest[a.ID]
	if seen && (at.Before(before.at) || at.Equal(before.at) && before.closed && !closed(a)) {
		return skipOutdated
	}
	if !seen && len(t.latest) >= t.cfg.MaxAlerts {
		t.forgetOldest()
	}
	next := known{at: at, closed: closed(a), told: before.told, labels: before.labels}
	if next.closed || !t.asksForSilences() {
		next.labels = nil
	} else if next.labels == nil {
		next.labels = labelsOf(a, t.cfg)
	}
	t.latest[a.ID] = next
	return ""
}

func (t *teller) asksForSilences() bool { return t.ledger != nil && t.cfg.SilencePoll > 0 }

// forgetOldest drops the anomaly not heard of for longest: at worst a replay of
// it within three heartbeats is sent once more.
func (t *teller) forgetOldest() {
	oldest, at := "", time.Time{}
	for id, k := range t.latest {
		if oldest == "" || k.at.Before(at) {
			oldest, at = id, k.at
		}
	}
	delete(t.latest, oldest)
}

// told notes in the ledger that a regressed verdict reached an Alertmanager, and
// measures onset to alert, once an anomaly, at the first Alertmanager that took
// it; not again for an anomaly found before this process started.
func (t *teller) told(ctx context.Context, a event.Anomaly) {
	if closed(a) {
		return
	}
	now := t.now()
	if t.ledger != nil && a.Kind == event.KindDeployment {
		t.ledger.RecordTold(event.Telling{Deployment: a.Deployment, Verdict: event.Regressed, Channel: event.ChannelAlertmanager, At: now})
	}
	t.mu.Lock()
	k, ok := t.latest[a.ID]
	first := ok && !k.told
	if first {
		k.told = true
		t.latest[a.ID] = k
	}
	t.mu.Unlock()
	if first && now.Sub(a.DetectedAt) <= heartbeatsOpen*t.cfg.Heartbeat && !a.StartsAt.IsZero() {
		t.metrics.observeTold(ctx, now.Sub(a.StartsAt))
	}
}

// health reports to the Collector when an Alertmanager stops or starts to take
// alerts.
func (t *teller) health(name string, err error) {
	t.mu.Lock()
	was := t.failed[name]
	if err != nil {
		t.failed[name] = true
	} else {
		delete(t.failed, name)
	}
	failing := len(t.failed)
	t.mu.Unlock()
	switch {
	case err != nil && !was:
		t.logger.Warn("Alertmanager does not take alerts; they are repeated at every heartbeat", zap.String("endpoint", name), zap.Error(err))
		componentstatus.ReportStatus(t.host, componentstatus.NewRecoverableErrorEvent(err))
	case err == nil && was:
		t.logger.Info("Alertmanager takes alerts again", zap.String("endpoint", name))
		if failing == 0 {
			componentstatus.ReportStatus(t.host, componentstatus.NewEvent(componentstatus.StatusOK))
		}
	}
}
