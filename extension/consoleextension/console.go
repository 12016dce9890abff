package consoleextension

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"sync"

	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/extension"
	"go.opentelemetry.io/collector/extension/extensioncapabilities"
	"go.opentelemetry.io/otel/metric"
	"go.uber.org/zap"

	"github.com/deployloop/deployloop/internal/ledger"
)

const scopeName = "github.com/deployloop/deployloop/extension/consoleextension"

// console is the extension: an HTTP server over the ledger.
type console struct {
	cfg *Config
	set extension.Settings

	site   *site
	hub    *hub
	server *http.Server
	wait   sync.WaitGroup
	gauge  metric.Registration
}

var (
	_ extensioncapabilities.Dependent             = (*console)(nil)
	_ extensioncapabilities.ConfigSnapshotWatcher = (*console)(nil)
)

func newConsole(set extension.Settings, cfg *Config) *console {
	c := &console{cfg: cfg, set: set, hub: newHub(cfg.MaxLiveClients)}
	c.site = newSite(cfg, c.hub, set.BuildInfo.Version)
	return c
}

// Dependencies has the ledger start before the console and stop after it.
func (c *console) Dependencies() []component.ID { return []component.ID{c.cfg.Ledger} }

// Start finds the ledger, subscribes to it and listens.
func (c *console) Start(ctx context.Context, host component.Host) error {
	ext, ok := host.GetExtensions()[c.cfg.Ledger]
	if !ok {
		return fmt.Errorf("ledger %q is not among the running extensions: add it to service::extensions", c.cfg.Ledger)
	}
	reader, ok := ext.(ledger.Reader)
	if !ok {
		return fmt.Errorf("extension %q is no ledger: point `ledger` at one of type ledger", c.cfg.Ledger)
	}
	c.site.show(reader)
	c.site.metrics.collect()
	if err := c.observe(); err != nil {
		return err
	}

	listener, err := c.cfg.ToListener(ctx)
	if err != nil {
		return fmt.Errorf("console cannot listen on %s (is the port in use? choose another `endpoint`): %w", c.cfg.NetAddr.Endpoint, err)
	}
	c.server, err = c.cfg.ToServer(ctx, host.GetExtensions(), c.set.TelemetrySettings, c.site.handler())
	if err != nil {
		return errors.Join(err, listener.Close())
	}
	c.site.address = listener.Addr().String()

	updates, cancel := reader.Subscribe(subscriptionBuffer)
	c.wait.Go(func() {
		defer cancel()
		c.hub.run(updates)
	})
	c.wait.Go(func() { c.site.metrics.run(c.hub.done) })
	c.wait.Go(func() {
		if err := c.server.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
			c.set.Logger.Error("Console stopped serving", zap.Error(err))
		}
	})
	c.set.Logger.Info("Console is up", zap.String("url", c.site.ownURL()))
	return nil
}

// observe reports the live streams as the component's own metrics.
func (c *console) observe() error {
	meter := c.set.MeterProvider.Meter(scopeName)
	open, err1 := meter.Int64ObservableGauge("otelcol_console_live_clients",
		metric.WithDescription("Server-sent event streams that are open."), metric.WithUnit("{client}"))
	refused, err2 := meter.Int64ObservableCounter("otelcol_console_live_clients_refused",
		metric.WithDescription("Streams refused because max_live_clients were open."), metric.WithUnit("{client}"))
	missed, err3 := meter.Int64ObservableCounter("otelcol_console_updates_missed",
		metric.WithDescription("Ledger updates the console was too slow to be told of; pages re-render whole, so none shows stale data."), metric.WithUnit("{update}"))
	if err := errors.Join(err1, err2, err3); err != nil {
		return err
	}
	var err error
	c.gauge, err = meter.RegisterCallback(func(_ context.Context, o metric.Observer) error {
		s := c.hub.stats()
		o.ObserveInt64(open, int64(s.Open))
		o.ObserveInt64(refused, s.Refused)
		o.ObserveInt64(missed, s.Missed)
		return nil
	}, open, refused, missed)
	return err
}

// Shutdown ends the live streams first: a graceful HTTP shutdown would wait for them.
func (c *console) Shutdown(ctx context.Context) error {
	c.hub.close()
	var err error
	if c.server != nil {
		if err = c.server.Shutdown(ctx); err != nil {
			err = errors.Join(err, c.server.Close())
		}
	}
	c.wait.Wait()
	if c.gauge != nil {
		err = errors.Join(err, c.gauge.Unregister())
	}
	return err
}

// NotifyConfigSnapshot tells the console what else is configured, for the
// first-run checklist and the addresses it shows.
func (c *console) NotifyConfigSnapshot(_ context.Context, snapshot extensioncapabilities.ConfigSnapshot) error {
	c.site.setSetup(readSetup(snapshot.Effective()))
	return nil
}
