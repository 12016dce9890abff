// Package deploymarkerprocessor stamps telemetry with the deployment that it
// comes from, and teaches the ledger the deployments that it sees.
package deploymarkerprocessor

import (
	"context"

	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/consumer"
	"go.opentelemetry.io/collector/processor"
	"go.opentelemetry.io/collector/processor/processorhelper"
)

var componentType = component.MustNewType("deploy_marker")

// NewFactory returns the factory of the deploy_marker processor.
func NewFactory() processor.Factory {
	return processor.NewFactory(componentType, createDefaultConfig,
		processor.WithTraces(createTraces, component.StabilityLevelDevelopment),
		processor.WithMetrics(createMetrics, component.StabilityLevelDevelopment),
		processor.WithLogs(createLogs, component.StabilityLevelDevelopment))
}

// mutates is said since resources get attributes.
var mutates = processorhelper.WithCapabilities(consumer.Capabilities{MutatesData: true})

func createTraces(ctx context.Context, set processor.Settings, cfg component.Config, next consumer.Traces) (processor.Traces, error) {
	m := newMarker(cfg.(*Config), set, "traces")
	return processorhelper.NewTraces(ctx, set, cfg, next, m.traces, mutates,
		processorhelper.WithStart(m.start), processorhelper.WithShutdown(m.shutdown))
}

func createMetrics(ctx context.Context, set processor.Settings, cfg component.Config, next consumer.Metrics) (processor.Metrics, error) {
	m := newMarker(cfg.(*Config), set, "metrics")
	return processorhelper.NewMetrics(ctx, set, cfg, next, m.metrics, mutates,
		processorhelper.WithStart(m.start), processorhelper.WithShutdown(m.shutdown))
}

func createLogs(ctx context.Context, set processor.Settings, cfg component.Config, next consumer.Logs) (processor.Logs, error) {
	m := newMarker(cfg.(*Config), set, "logs")
	return processorhelper.NewLogs(ctx, set, cfg, next, m.logs, mutates,
		processorhelper.WithStart(m.start), processorhelper.WithShutdown(m.shutdown))
}
