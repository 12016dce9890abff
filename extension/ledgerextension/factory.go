// Package ledgerextension keeps what deployloop knows (internal/ledger) for
// the other components, and persists it through a storage extension.
package ledgerextension

import (
	"context"

	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/extension"
)

var componentType = component.MustNewType("ledger")

// NewFactory returns the factory of the ledger extension.
func NewFactory() extension.Factory {
	return extension.NewFactory(componentType, createDefaultConfig, create, component.StabilityLevelDevelopment)
}

func create(_ context.Context, set extension.Settings, cfg component.Config) (extension.Extension, error) {
	return newLedger(cfg.(*Config), set), nil
}
