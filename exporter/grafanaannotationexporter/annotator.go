package grafanaannotationexporter

import (
	"context"
	"errors"
	"sync"
	"time"

	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/consumer"
	"go.opentelemetry.io/collector/exporter"
	"go.opentelemetry.io/collector/pdata/plog"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"
	"go.uber.org/zap"
	"golang.org/x/time/rate"

	"github.com/deployloop/deployloop/internal/event"
	"github.com/deployloop/deployloop/internal/event/eventotlp"
	"github.com/deployloop/deployloop/internal/ledger"
	"github.com/deployloop/deployloop/internal/ledger/ledgerhost"
)

// annotator keeps Grafana's annotations equal to the latest verdicts. Consume
// only notes what should be there; one goroutine writes it. What waits is the
// latest state of a deployment, never a queue of past ones, so nothing stale
// is ever written when Grafana comes back.
type annotator struct {
	cfg    *Config
	set    component.TelemetrySettings
	logger *zap.Logger
	writes metric.Int64Counter

	grafana *grafana
	ledger  ledger.Recorder // nil: none runs here
	wake    chan struct{}
	cancel  context.CancelFunc
	stopped sync.WaitGroup

	mu      sync.Mutex
	wanted  map[string]annotation // by deployment id: not yet written
	order   []string              // of wanted, oldest first
	written map[string]known      // by deployment id: what Grafana holds
	recent  []string              // of written, oldest first
}

// known is Grafana's id of an annotation and what was last written there; it
// spares the look-up, and is rebuilt by one after a restart.
type known struct {
	id      int64
	as      annotation
	refused time.Time // when Grafana refused it last; zero: it did not
}

const (
	// maxKnown bounds the cache of what Grafana holds.
	maxKnown = 10_000
	// refusedFor is how long a refusal stands: by then a token may have been
	// given its right.
	refusedFor = 10 * time.Minute
)

func newAnnotator(set exporter.Settings, cfg *Config) (*annotator, error) {
	writes, err := set.MeterProvider.Meter("github.com/deployloop/deployloop/exporter/grafanaannotationexporter").
		Int64Counter("deployloop.grafana_annotation.writes", metric.WithUnit("{annotation}"),
			metric.WithDescription("Annotations by outcome: created, updated, unchanged, duplicate_removed, retryable, permanent, overflow, undecodable"))
	if err != nil {
		return nil, err
	}
	return &annotator{
		cfg: cfg, set: set.TelemetrySettings, logger: set.Logger, writes: writes,
		wake: make(chan struct{}, 1), wanted: map[string]annotation{}, written: map[string]known{},
	}, nil
}

func (a *annotator) Capabilities() consumer.Capabilities { return consumer.Capabilities{} }

func (a *annotator) Start(ctx context.Context, host component.Host) error {
	var err error
	if a.ledger, err = ledgerhost.Recorder(host, a.cfg.Ledger); err != nil {
		return err
	}
	httpClient, err := a.cfg.ToClient(ctx, host.GetExtensions(), a.set)
	if err != nil {
		return err
	}
	a.grafana, err = newGrafana(a.cfg.Endpoint, string(a.cfg.Token), httpClient, rate.NewLimiter(rate.Limit(a.cfg.RequestsPerSecond), 1))
	if err != nil {
		return err
	}
	// The writer outlives Start's context by design; Shutdown ends it.
	run, cancel := context.WithCancel(context.WithoutCancel(ctx))
	a.cancel = cancel
	a.stopped.Go(func() { a.run(run); httpClient.CloseIdleConnections() })
	return nil
}

func (a *annotator) Shutdown(context.Context) error {
	if a.cancel != nil {
		a.cancel()
		a.stopped.Wait()
	}
	return nil
}

// ConsumeLogs notes the verdicts in ld; it never waits for Grafana.
func (a *annotator) ConsumeLogs(ctx context.Context, ld plog.Logs) error {
	for _, rl := range ld.ResourceLogs().All() {
		for _, sl := range rl.ScopeLogs().All() {
			for _, lr := range sl.LogRecords().All() {
				if eventotlp.Name(lr) != event.NameVerdict {
					continue
				}
				v, err := eventotlp.DecodeVerdict(rl.Resource(), lr)
				if err != nil || v.Deployment.ID == "" {
					a.count(ctx, "undecodable")
					continue
				}
				if v.Deployment.Baseline {
					continue
				}
				a.want(ctx, describe(v, a.cfg.ConsoleURL, a.cfg.Tags))
			}
		}
	}
	return nil
}

func (a *annotator) want(ctx context.Context, want annotation) {
	a.mu.Lock()
	defer a.mu.Unlock()
	have, ok := a.written[want.deployment]
	stands := have.refused.IsZero() || time.Since(have.refused) < refusedFor
	if ok && stands && have.as.same(want.tags, want.text, want.start, want.end) {
		if _, waits := a.wanted[want.deployment]; waits {
			a.wanted[want.deployment] = want
		}
		return
	}
	if _, waits := a.wanted[want.deployment]; !waits {
		if len(a.order) >= a.cfg.MaxPending {
			delete(a.wanted, a.order[0])
			a.order = a.order[1:]
			a.count(ctx, "overflow")
		}
		a.order = append(a.order, want.deployment)
	}
	a.wanted[want.deployment] = want
	select {
	case a.wake <- struct{}{}:
	default:
	}
}

// next is the oldest wanted annotation, left where it is until it is written.
func (a *annotator) next() (annotation, known, bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if len(a.order) == 0 {
		return annotation{}, known{}, false
	}
	want := a.wanted[a.order[0]]
	return want, a.written[want.deployment], true
}

// settle takes a written annotation, or a refused one, off the list, unless a
// newer state of it has come meanwhile. What was refused is kept in mind too, so
// that the same is not tried at every heartbeat.
func (a *annotator) settle(want annotation, as known) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if _, ok := a.written[want.deployment]; !ok {
		a.recent = append(a.recent, want.deployment)
		if len(a.recent) > maxKnown {
			delete(a.written, a.recent[0])
			a.recent = a.recent[1:]
		}
	}
	a.written[want.deployment] = as
	if len(a.order) == 0 || a.order[0] != want.deployment {
		return // it overflowed meanwhile
	}
	now := a.wanted[want.deployment]
	a.order = a.order[1:]
	if now.same(want.tags, want.text, want.start, want.end) {
		delete(a.wanted, want.deployment)
	} else {
		a.order = append(a.order, want.deployment)
	}
}

// postpone moves an annotation that could not be written behind the others: it
// may be the only one that Grafana stumbles over.
func (a *annotator) postpone(want annotation) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if len(a.order) > 0 && a.order[0] == want.deployment {
		a.order = append(a.order[1:], want.deployment)
	}
}

func (a *annotator) forget(deployment string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if k, ok := a.written[deployment]; ok {
		k.id = 0
		a.written[deployment] = k
	}
}

// run writes what is wanted, and backs off as one while Grafana is away.
func (a *annotator) run(ctx context.Context) {
	pause := a.cfg.RetryInterval
	for {
		want, have, ok := a.next()
		if !ok {
			select {
			case <-ctx.Done():
				return
			case <-a.wake:
			}
			continue
		}
		id, err := a.write(ctx, want, have)
		if ctx.Err() != nil {
			return
		}
		switch classify(err) {
		case done:
			pause = a.cfg.RetryInterval
			a.settle(want, known{id: id, as: want})
			if a.ledger != nil {
				a.ledger.RecordTold(event.Telling{Deployment: want.deployment, Verdict: want.verdict, Channel: event.ChannelGrafana, At: time.Now()})
			}
			continue
		case permanent:
			a.count(ctx, string(permanent))
			a.logger.Error("grafana refused an annotation; it is tried anew when the verdict changes, or in ten minutes",
				zap.String("deployment", want.deployment), zap.String("fix", hint(err)), zap.Error(err))
			a.settle(want, known{id: have.id, as: want, refused: time.Now()})
			continue
		case vanished:
			a.forget(want.deployment)
		}
		a.count(ctx, string(retryable))
		a.postpone(want)
		wait := max(pause, retryAfter(err))
		a.logger.Warn("grafana could not be told; trying again", zap.Duration("in", wait), zap.String("fix", hint(err)), zap.Error(err))
		select {
		case <-ctx.Done():
			return
		case <-time.After(wait):
		}
		pause = min(2*pause, a.cfg.MaxRetryInterval)
	}
}

// write brings Grafana's copy to what is wanted and returns its id. A post
// whose answer was lost is found again by its tag; so is another replica's.
func (a *annotator) write(ctx context.Context, want annotation, have known) (int64, error) {
	if have.id != 0 {
		if err := a.grafana.update(ctx, have.id, want); err != nil {
			return 0, err
		}
		a.count(ctx, "updated")
		return have.id, nil
	}
	found, err := a.grafana.find(ctx, want)
	if err != nil {
		return 0, err
	}
	if len(found) == 0 {
		if _, err := a.grafana.create(ctx, want); err != nil {
			return 0, err
		}
		a.count(ctx, "created")
		if found, err = a.grafana.find(ctx, want); err != nil {
			return 0, err
		}
		if len(found) == 0 {
			return 0, errors.New("grafana does not list the annotation that it just accepted")
		}
	}
	for _, twin := range found[1:] {
		if err := a.grafana.remove(ctx, twin.ID); err != nil && classify(err) != vanished {
			return 0, err
		}
		a.count(ctx, "duplicate_removed")
	}
	first := found[0]
	if want.same(first.Tags, first.Text, first.Time, first.TimeEnd) {
		a.count(ctx, "unchanged")
		return first.ID, nil
	}
	if err := a.grafana.update(ctx, first.ID, want); err != nil {
		return 0, err
	}
	a.count(ctx, "updated")
	return first.ID, nil
}

func (a *annotator) count(ctx context.Context, outcome string) {
	a.writes.Add(ctx, 1, metric.WithAttributes(attribute.String("outcome", outcome)))
}
