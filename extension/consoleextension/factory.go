package consoleextension

import (
	"context"
	"time"

	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/config/confighttp"
	"go.opentelemetry.io/collector/extension"
)

// Type of the extension, as it is written in a config.
var Type = component.MustNewType("console")

// NewFactory of the console extension.
func NewFactory() extension.Factory {
	return extension.NewFactory(Type, createDefaultConfig, create, component.StabilityLevelAlpha)
}

func createDefaultConfig() component.Config {
	server := confighttp.NewDefaultServerConfig()
	server.NetAddr.Endpoint = "127.0.0.1:8090"
	return &Config{
		ServerConfig:   server,
		Ledger:         component.MustNewID("ledger"),
		MaxLiveClients: 64,
		Heartbeat:      15 * time.Second,
		Gate:           GateConfig{OnInconclusive: decisionWait, OnUnavailable: decisionWait},
	}
}

func create(_ context.Context, set extension.Settings, cfg component.Config) (extension.Extension, error) {
	return newConsole(set, cfg.(*Config)), nil
}
