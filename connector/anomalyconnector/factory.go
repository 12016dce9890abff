// Package anomalyconnector is the connector "anomaly": it watches traces and
// logs beside the data path, compares each deployment with what served before,
// and emits verdicts and anomalies as event logs and a few metrics. The
// statistics are internal/detect's; this package only turns pdata into counts
// and verdicts into records.
package anomalyconnector

import (
	"context"

	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/connector"
	"go.opentelemetry.io/collector/consumer"
	"go.opentelemetry.io/collector/pipeline"
)

// Type is the component's type.
var Type = component.MustNewType("anomaly")

// NewFactory makes the connector's factory: all pairs of {traces, metrics,
// logs} to {logs, metrics}.
func NewFactory() connector.Factory {
	const level = component.StabilityLevelAlpha
	return connector.NewFactory(Type, createDefaultConfig,
		connector.WithTracesToLogs(func(_ context.Context, set connector.Settings, cfg component.Config, next consumer.Logs) (connector.Traces, error) {
			return newNode(set, cfg, pipeline.SignalTraces, next, nil), nil
		}, level),
		connector.WithTracesToMetrics(func(_ context.Context, set connector.Settings, cfg component.Config, next consumer.Metrics) (connector.Traces, error) {
			return newNode(set, cfg, pipeline.SignalTraces, nil, next), nil
		}, level),
		connector.WithMetricsToLogs(func(_ context.Context, set connector.Settings, cfg component.Config, next consumer.Logs) (connector.Metrics, error) {
			return newNode(set, cfg, pipeline.SignalMetrics, next, nil), nil
		}, level),
		connector.WithMetricsToMetrics(func(_ context.Context, set connector.Settings, cfg component.Config, next consumer.Metrics) (connector.Metrics, error) {
			return newNode(set, cfg, pipeline.SignalMetrics, nil, next), nil
		}, level),
		connector.WithLogsToLogs(func(_ context.Context, set connector.Settings, cfg component.Config, next consumer.Logs) (connector.Logs, error) {
			return newNode(set, cfg, pipeline.SignalLogs, next, nil), nil
		}, level),
		connector.WithLogsToMetrics(func(_ context.Context, set connector.Settings, cfg component.Config, next consumer.Metrics) (connector.Logs, error) {
			return newNode(set, cfg, pipeline.SignalLogs, nil, next), nil
		}, level),
	)
}
