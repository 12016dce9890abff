// Package grafanaannotationexporter writes each deployment as one region
// annotation into Grafana and keeps it true as the verdict changes.
package grafanaannotationexporter

import (
	"context"

	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/exporter"
)

// Type of the component in a configuration.
var Type = component.MustNewType("grafana_annotation")

// NewFactory makes the grafana_annotation exporter.
func NewFactory() exporter.Factory {
	return exporter.NewFactory(Type, createDefaultConfig, exporter.WithLogs(createLogs, component.StabilityLevelAlpha))
}

func createLogs(_ context.Context, set exporter.Settings, cfg component.Config) (exporter.Logs, error) {
	return newAnnotator(set, cfg.(*Config))
}
