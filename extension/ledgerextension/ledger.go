package ledgerextension

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/extension"
	"go.opentelemetry.io/collector/extension/extensioncapabilities"
	"go.opentelemetry.io/collector/extension/xextension/storage"
	"go.uber.org/zap"

	"github.com/deployloop/deployloop/internal/event"
	"github.com/deployloop/deployloop/internal/ledger"
)

// expireEvery is how often the retention is applied.
const expireEvery = time.Minute

// Ledger is the extension; other components use it through ledger.Reader and
// ledger.Recorder.
type Ledger struct {
	*ledger.Ledger
	config *Config
	set    extension.Settings
	now    func() time.Time

	store     *store // nil in memory only
	telemetry *telemetry
	stop      chan struct{}
	urgent    chan struct{} // something is to be written now
	stopOnce  sync.Once
	loop      sync.WaitGroup
	failing   bool // the last write failed
	corrupt   atomic.Int64
	failures  atomic.Int64
}

var (
	_ extension.Extension             = (*Ledger)(nil)
	_ extensioncapabilities.Dependent = (*Ledger)(nil)
	_ ledger.Reader                   = (*Ledger)(nil)
	_ ledger.Recorder                 = (*Ledger)(nil)
)

func newLedger(config *Config, set extension.Settings) *Ledger {
	return &Ledger{
		Ledger: ledger.New(config.limits()), config: config, set: set,
		now: time.Now, stop: make(chan struct{}), urgent: make(chan struct{}, 1),
	}
}

// Dependencies makes the service start the storage first and stop it last.
func (l *Ledger) Dependencies() []component.ID {
	if l.config.Storage == nil {
		return nil
	}
	return []component.ID{*l.config.Storage}
}

// Start loads what was persisted. An object that cannot be read is skipped,
// counted and logged; a storage that cannot be opened is an error.
func (l *Ledger) Start(ctx context.Context, host component.Host) error {
	var err error
	if l.telemetry, err = newTelemetry(l); err != nil {
		return err
	}
	if l.config.Storage == nil {
		l.set.Logger.Warn("The ledger is held in memory only: deployments, anomalies and verdicts are forgotten at a restart. Set `storage: file_storage` to keep them.")
	} else if err := l.open(ctx, host); err != nil {
		return err
	}
	l.loop.Go(l.run)
	return nil
}

func (l *Ledger) open(ctx context.Context, host component.Host) error {
	ext, ok := host.GetExtensions()[*l.config.Storage]
	if !ok {
		return fmt.Errorf("the storage %q of the ledger is not there: add it to extensions and to service::extensions", l.config.Storage)
	}
	provider, ok := ext.(storage.Extension)
	if !ok {
		return fmt.Errorf("the extension %q is no storage: name a file_storage or another storage extension", l.config.Storage)
	}
	client, err := provider.GetClient(ctx, component.KindExtension, l.set.ID, "")
	if err != nil {
		return fmt.Errorf("open the storage of the ledger: %w", err)
	}
	l.store = newStore(client)
	loaded := 0
	err = l.store.load(ctx, func(key string, value []byte) {
		if err := l.Load(key, value); err != nil {
			l.skipped(key, err)
			return
		}
		loaded++
	}, l.skipped)
	if err != nil {
		return errors.Join(fmt.Errorf("read the ledger from its storage: %w", err), client.Close(ctx))
	}
	l.Loaded()
	l.set.Logger.Info("The ledger is loaded", zap.Int("objects", loaded), zap.Int64("skipped", l.corrupt.Load()))
	return nil
}

func (l *Ledger) skipped(key string, err error) {
	l.corrupt.Add(1)
	l.set.Logger.Error("An object of the ledger cannot be read and is skipped", zap.String("key", key), zap.Error(err))
}

// CloseAnomaly is written at once: what closes is told within the second, and a
// process that died before the next flush would open it again.
func (l *Ledger) CloseAnomaly(id string, c event.Closure) bool {
	closed := l.Ledger.CloseAnomaly(id, c)
	if closed {
		l.hurry()
	}
	return closed
}

// RecordAnomaly has a new one written at once: it is told within the second, and a
// process that died before the next flush would tell it anew under another identity.
func (l *Ledger) RecordAnomaly(a event.Anomaly) {
	_, known := l.Anomaly(a.ID)
	l.Ledger.RecordAnomaly(a)
	if !known {
		l.hurry()
	}
}

func (l *Ledger) hurry() {
	select {
	case l.urgent <- struct{}{}:
	default: // one is due already
	}
}

// run persists and expires until Shutdown.
func (l *Ledger) run() {
	flush := time.NewTicker(l.config.FlushInterval)
	defer flush.Stop()
	expire := time.NewTicker(expireEvery)
	defer expire.Stop()
	for {
		select {
		case <-l.stop:
			return
		case <-flush.C:
			l.flush(context.Background())
		case <-l.urgent:
			l.flush(context.Background())
		case <-expire.C:
			l.Expire(l.now())
		}
	}
}

// flush writes what changed. What could not be written is tried again at the
// next call; the log says when that begins and ends.
func (l *Ledger) flush(ctx context.Context) {
	items := l.Dirty()
	if l.store == nil || len(items) == 0 {
		return
	}
	left, err := l.store.write(ctx, items)
	if err != nil {
		l.MarkDirty(left)
		l.failures.Add(1)
		if !l.failing {
			l.set.Logger.Error("The ledger cannot be written and is kept in memory; this is tried again until it succeeds", zap.Error(err))
		}
	} else if l.failing {
		l.set.Logger.Info("The ledger is written again")
	}
	l.failing = err != nil
}

// Shutdown writes what is left. It may be called without Start, and twice.
func (l *Ledger) Shutdown(ctx context.Context) error {
	l.stopOnce.Do(func() { close(l.stop) })
	l.loop.Wait()
	var err error
	if l.store != nil {
		l.flush(ctx)
		if l.failing {
			err = errors.New("the last changes of the ledger could not be written")
		}
		err = errors.Join(err, l.store.client.Close(ctx))
		l.store = nil
	}
	if l.telemetry != nil {
		err = errors.Join(err, l.telemetry.registration.Unregister())
		l.telemetry = nil
	}
	return err
}
