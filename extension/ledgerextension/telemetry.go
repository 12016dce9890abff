package ledgerextension

import (
	"context"
	"errors"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"
)

// telemetry is what the extension tells of itself.
type telemetry struct{ registration metric.Registration }

func newTelemetry(l *Ledger) (*telemetry, error) {
	meter := l.set.MeterProvider.Meter("github.com/deployloop/deployloop/extension/ledgerextension")
	objects, err1 := meter.Int64ObservableGauge("deployloop.ledger.objects",
		metric.WithDescription("Objects that the ledger holds, by kind."), metric.WithUnit("{object}"))
	dropped, err2 := meter.Int64ObservableCounter("deployloop.ledger.dropped",
		metric.WithDescription("What was evicted, refused or cut to keep a limit, by its name."), metric.WithUnit("{object}"))
	corrupt, err3 := meter.Int64ObservableCounter("deployloop.ledger.corrupt",
		metric.WithDescription("Persisted objects that could not be read at start."), metric.WithUnit("{object}"))
	failures, err4 := meter.Int64ObservableCounter("deployloop.ledger.write_failures",
		metric.WithDescription("Writes to the storage that failed and are tried again."), metric.WithUnit("{write}"))
	if err := errors.Join(err1, err2, err3, err4); err != nil {
		return nil, err
	}
	registration, err := meter.RegisterCallback(func(_ context.Context, o metric.Observer) error {
		for kind, n := range l.Sizes() {
			o.ObserveInt64(objects, int64(n), metric.WithAttributes(attribute.String("kind", kind)))
		}
		for name, n := range l.Dropped() {
			o.ObserveInt64(dropped, int64(n), metric.WithAttributes(attribute.String("name", name)))
		}
		o.ObserveInt64(corrupt, l.corrupt.Load())
		o.ObserveInt64(failures, l.failures.Load())
		return nil
	}, objects, dropped, corrupt, failures)
	return &telemetry{registration}, err
}
