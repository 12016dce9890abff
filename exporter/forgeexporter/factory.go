// Package forgeexporter tells verdicts where the code is reviewed: a commit
// status per environment and service, and one comment on the merged pull
// request that made production worse.
package forgeexporter

import (
	"context"

	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/exporter"
)

// Type of the component in a configuration.
var Type = component.MustNewType("forge")

// NewFactory makes the forge exporter.
func NewFactory() exporter.Factory {
	return exporter.NewFactory(Type, createDefaultConfig, exporter.WithLogs(createLogs, component.StabilityLevelAlpha))
}

func createLogs(_ context.Context, set exporter.Settings, cfg component.Config) (exporter.Logs, error) {
	return newTeller(set, cfg.(*Config))
}
