// Package alertmanagerexporter tells Alertmanager what deployloop found.
//
// It is a function from a state record to an API call: the anomaly connector
// repeats the whole state of every anomaly at each heartbeat, and each record
// becomes one alert, whose labels and start never change and whose end lies
// three heartbeats ahead while the anomaly is open. So a lost call, a restart
// or an outage mends itself at the next heartbeat, and there is no sending
// queue: a retried "open" would revive a closed alert.
package alertmanagerexporter

import (
	"context"

	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/exporter"
)

// Type of the component in a configuration.
var Type = component.MustNewType("alertmanager")

// NewFactory makes the alertmanager exporter.
func NewFactory() exporter.Factory {
	return exporter.NewFactory(Type, createDefaultConfig, exporter.WithLogs(createLogs, component.StabilityLevelAlpha))
}

func createLogs(_ context.Context, set exporter.Settings, cfg component.Config) (exporter.Logs, error) {
	return newTeller(set, cfg.(*Config))
}
