package deploymarkerprocessor

import (
	"context"
	"sync/atomic"

	"go.opentelemetry.io/collector/processor"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"
)

// What is counted, by its name in deployloop.deploy_marker.noted.
const (
	learnt         = iota // events that reached the ledger
	undecodable           // events that could not be read
	inferred              // deployments inferred from telemetry
	withoutService        // resources without a service, which are no deployment source
	wrongType             // attributes that hold no text
	tooLong               // attributes of which the end is ignored
	panicked              // batches that passed unmarked by a fault of the processor
	counts
)

var countNames = [counts]string{"learnt_events", "undecodable_events", "inferred_deployments", "without_service", "wrong_type", "too_long", "panics"}

// telemetry counts without a cost to the data path: it is read when scraped.
type telemetry struct {
	count        [counts]atomic.Int64
	registration metric.Registration
}

func (t *telemetry) register(set processor.Settings, signal string) error {
	meter := set.MeterProvider.Meter("github.com/deployloop/deployloop/processor/deploymarkerprocessor")
	noted, err := meter.Int64ObservableCounter("deployloop.deploy_marker.noted",
		metric.WithDescription("What the deploy_marker learnt, inferred or could not use, by its name."), metric.WithUnit("{item}"))
	if err != nil {
		return err
	}
	var of [counts]metric.MeasurementOption
	for i, name := range countNames {
		of[i] = metric.WithAttributeSet(attribute.NewSet(attribute.String("name", name),
			attribute.String("processor", set.ID.String()), attribute.String("signal", signal)))
	}
	t.registration, err = meter.RegisterCallback(func(_ context.Context, o metric.Observer) error {
		for i := range t.count {
			o.ObserveInt64(noted, t.count[i].Load(), of[i])
		}
		return nil
	}, noted)
	return err
}

func (t *telemetry) unregister() error {
	if t.registration == nil {
		return nil
	}
	err := t.registration.Unregister()
	t.registration = nil
	return err
}
