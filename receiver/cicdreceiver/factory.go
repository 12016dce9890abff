// Package cicdreceiver takes what forges, CI and CD tools and scripts say about
// changes on their way to production, and gives event logs, run traces and run
// metrics.
package cicdreceiver

import (
	"context"
	"sync"

	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/consumer"
	"go.opentelemetry.io/collector/receiver"
)

// componentType is the name in a configuration.
var componentType = component.MustNewType("cicd")

// NewFactory makes cicd receivers. The receivers of one configuration share one
// listener across the three signals.
func NewFactory() receiver.Factory {
	return receiver.NewFactory(componentType, createDefaultConfig,
		receiver.WithLogs(createLogs, component.StabilityLevelAlpha),
		receiver.WithTraces(createTraces, component.StabilityLevelAlpha),
		receiver.WithMetrics(createMetrics, component.StabilityLevelAlpha),
	)
}

func createLogs(_ context.Context, set receiver.Settings, cfg component.Config, next consumer.Logs) (receiver.Logs, error) {
	return shared.get(set, cfg.(*Config), func(r *cicdReceiver) { r.out.logs = next })
}

func createTraces(_ context.Context, set receiver.Settings, cfg component.Config, next consumer.Traces) (receiver.Traces, error) {
	return shared.get(set, cfg.(*Config), func(r *cicdReceiver) { r.out.traces = next })
}

func createMetrics(_ context.Context, set receiver.Settings, cfg component.Config, next consumer.Metrics) (receiver.Metrics, error) {
	return shared.get(set, cfg.(*Config), func(r *cicdReceiver) { r.out.metrics = next })
}

// shared holds the receivers by their configuration: the Collector gives the
// same pointer for each signal of one receiver. A receiver leaves it when it
// shuts down.
var shared = sharedReceivers{byConfig: map[*Config]*cicdReceiver{}}

type sharedReceivers struct {
	mu       sync.Mutex
	byConfig map[*Config]*cicdReceiver
}

func (s *sharedReceivers) get(set receiver.Settings, cfg *Config, wire func(*cicdReceiver)) (*cicdReceiver, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	r, ok := s.byConfig[cfg]
	if !ok {
		var err error
		if r, err = newReceiver(set, cfg); err != nil {
			return nil, err
		}
		s.byConfig[cfg] = r
	}
	wire(r)
	return r, nil
}

func (s *sharedReceivers) remove(cfg *Config) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.byConfig, cfg)
}
