package alertmanagerexporter

import (
	"context"
	"errors"
	"time"

	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"
)

const scope = "github.com/deployloop/deployloop/exporter/alertmanagerexporter"

// metrics are the exporter's own.
type metrics struct {
	sent    metric.Int64Counter
	failed  metric.Int64Counter
	skipped metric.Int64Counter
	delay   metric.Float64Histogram
	polls   metric.Int64Counter
}

func newMetrics(set component.TelemetrySettings) (*metrics, error) {
	meter := set.MeterProvider.Meter(scope)
	var m metrics
	var errs [5]error
	m.sent, errs[0] = meter.Int64Counter("deployloop.alertmanager.alerts.sent",
		metric.WithUnit("{alert}"), metric.WithDescription("Alerts that an Alertmanager took, by state: open or closed."))
	m.failed, errs[1] = meter.Int64Counter("deployloop.alertmanager.alerts.failed",
		metric.WithUnit("{alert}"), metric.WithDescription("Alerts that an Alertmanager did not take, by reason: rejected, unavailable, overflow or stale."))
	m.skipped, errs[2] = meter.Int64Counter("deployloop.alertmanager.records.skipped",
		metric.WithUnit("{record}"), metric.WithDescription("Anomaly records that were not sent, by reason: shadow, stale, outdated, undecodable or incomplete."))
	m.delay, errs[3] = meter.Float64Histogram("deployloop.alertmanager.onset_to_alert",
		metric.WithUnit("s"), metric.WithDescription("Time from the estimated onset of an anomaly to the first Alertmanager that took its alert."),
		metric.WithExplicitBucketBoundaries(1, 2, 4, 8, 15, 30, 60, 120, 300, 600, 1800, 3600))
	m.polls, errs[4] = meter.Int64Counter("deployloop.alertmanager.silence_polls",
		metric.WithUnit("{poll}"), metric.WithDescription("Times that an Alertmanager was asked for its silences, by outcome: ok or failed."))
	return &m, errors.Join(errs[:]...)
}

func (m *metrics) sentOne(ctx context.Context, endpoint string, closed bool) {
	state := "open"
	if closed {
		state = "closed"
	}
	m.sent.Add(ctx, 1, metric.WithAttributes(attribute.String("endpoint", endpoint), attribute.String("state", state)))
}

func (m *metrics) fail(ctx context.Context, endpoint, reason string, n int) {
	m.failed.Add(ctx, int64(n), metric.WithAttributes(attribute.String("endpoint", endpoint), attribute.String("reason", reason)))
}

func (m *metrics) skip(ctx context.Context, reason string) {
	m.skipped.Add(ctx, 1, metric.WithAttributes(attribute.String("reason", reason)))
}

func (m *metrics) polledSilences(ctx context.Context, endpoint string, ok bool) {
	outcome := "ok"
	if !ok {
		outcome = "failed"
	}
	m.polls.Add(ctx, 1, metric.WithAttributes(attribute.String("endpoint", endpoint), attribute.String("outcome", outcome)))
}

func (m *metrics) observeTold(ctx context.Context, delay time.Duration) {
	m.delay.Record(ctx, delay.Seconds())
}
