package cicdreceiver

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"sync"
	"time"

	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/component/componentstatus"
	"go.opentelemetry.io/collector/config/confighttp"
	"go.opentelemetry.io/collector/config/configoptional"
	"go.opentelemetry.io/collector/consumer"
	"go.opentelemetry.io/collector/extension/extensionauth"
	"go.opentelemetry.io/collector/receiver"
	"go.uber.org/zap"
)

// outlets are the pipelines the receiver is part of; nil where it is not.
type outlets struct {
	logs    consumer.Logs
	traces  consumer.Traces
	metrics consumer.Metrics
}

// cicdReceiver is one listener for all signals.
type cicdReceiver struct {
	cfg    *Config
	set    receiver.Settings
	logger *zap.Logger
	now    func() time.Time
	out    outlets

	authenticator extensionauth.Server // nil without auth
	seen          *deliveries
	memory        *runMemory
	logs          *logMemory
	heard         heard
	counts        *selfMetrics
	runs          *runMetrics

	start, stop sync.Once
	startErr    error
	server      *http.Server
	address     string // that it listens on
	cancel      context.CancelFunc
	background  sync.WaitGroup
}

func newReceiver(set receiver.Settings, cfg *Config) (*cicdReceiver, error) {
	counts, err := newSelfMetrics(set.MeterProvider)
	if err != nil {
		return nil, err
	}
	runs, err := newRunMetrics(set.BuildInfo.Version, time.Now)
	if err != nil {
		return nil, err
	}
	return &cicdReceiver{
		cfg: cfg, set: set, logger: set.Logger, now: time.Now,
		seen: newDeliveries(), memory: newRunMemory(), logs: newLogMemory(set.Logger, counts.forgot), counts: counts, runs: runs,
	}, nil
}

// Start opens the listener, once for all signals.
func (r *cicdReceiver) Start(ctx context.Context, host component.Host) error {
	r.start.Do(func() { r.startErr = r.listen(ctx, host) })
	return r.startErr
}

func (r *cicdReceiver) listen(ctx context.Context, host component.Host) error {
	if r.out.logs == nil {
		r.logger.Warn("cicd is in no logs pipeline: deployments and changes go nowhere; add it to the receivers of a logs pipeline")
	}
	if err := r.logs.open(ctx, host, r.set.ID, r.cfg.Storage); err != nil {
		return err
	}
	// auth is applied per route, since a forge proves itself by its secret and
	// cannot send a token; the server itself must not demand one.
	serverConfig := r.cfg.ServerConfig
	serverConfig.MaxRequestBodySize = max(r.cfg.MaxRequestBodySize, r.cfg.MaxReportSize) // each route has its own
	if auth := serverConfig.Auth.Get(); auth != nil {
		authenticator, err := auth.GetServerAuthenticator(ctx, host.GetExtensions())
		if err != nil {
			return fmt.Errorf("auth: %w", err)
		}
		r.authenticator = authenticator
		serverConfig.Auth = configoptional.None[confighttp.AuthConfig]()
	}
	listener, err := serverConfig.ToListener(ctx)
	if err != nil {
		return fmt.Errorf("cannot listen on %s: %w", serverConfig.NetAddr.Endpoint, err)
	}
	server, err := serverConfig.ToServer(ctx, host.GetExtensions(), r.set.TelemetrySettings, r.handler(),
		confighttp.WithErrorHandler(func(w http.ResponseWriter, _ *http.Request, reason string, status int) {
			respond(w, status, reason)
		}))
	if err != nil {
		return errors.Join(err, listener.Close())
	}
	r.server, r.address = server, listener.Addr().String()

	running, cancel := context.WithCancel(context.Background())
	r.cancel = cancel
	r.background.Go(func() {
		if err := server.Serve(listener); err != nil && !errors.Is(err, http.ErrServerClosed) {
			componentstatus.ReportStatus(host, componentstatus.NewFatalErrorEvent(err))
		}
	})
	if r.out.metrics != nil {
		r.background.Go(func() { r.sendMetricsEvery(running, r.cfg.MetricsInterval) })
	}
	r.logger.Info("listening for deployments and webhooks", zap.String("endpoint", r.address))
	return nil
}

// Shutdown lets the requests under way finish, then sends the last run metrics.
func (r *cicdReceiver) Shutdown(ctx context.Context) error {
	var err error
	r.stop.Do(func() {
		shared.remove(r.cfg)
		if r.server != nil {
			if err = r.server.Shutdown(ctx); err != nil {
				err = errors.Join(err, r.server.Close())
			}
		}
		if r.cancel != nil {
			r.cancel()
		}
		r.background.Wait()
		err = errors.Join(err, r.logs.close(ctx))
		err = errors.Join(err, r.runs.shutdown(ctx))
	})
	return err
}

// sendMetricsEvery sends the run metrics on a tick, and once more at the end. They
// are cumulative: what a failing pipeline refuses is in the next one.
func (r *cicdReceiver) sendMetricsEvery(ctx context.Context, interval time.Duration) {
	ticker := time.NewTicker(interval)
	defer ticker.Stop()
	for {
		select {
		case <-ticker.C:
			r.sendMetrics(ctx)
		case <-ctx.Done():
			last, cancel := context.WithTimeout(context.Background(), 5*time.Second)
			r.sendMetrics(last)
			cancel()
			return
		}
	}
}

func (r *cicdReceiver) sendMetrics(ctx context.Context) {
	metrics, err := r.runs.collect(ctx)
	if err == nil && metrics.DataPointCount() > 0 {
		err = r.out.metrics.ConsumeMetrics(ctx, metrics)
	}
	if err != nil {
		r.logger.Warn("run metrics were not taken; the next ones contain them", zap.Error(err))
	}
}
