package cicdreceiver

import (
	"context"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"
)

// selfMetrics count requests by source and what became of them. Both attributes
// are from fixed sets: what outsiders send never makes a new series.
type selfMetrics struct {
	requests  metric.Int64Counter
	events    metric.Int64Counter
	forgotten metric.Int64Counter
}

// outcome is what became of a request.
type outcome string

const (
	outcomeAccepted         outcome = "accepted"
	outcomeIgnored          outcome = "ignored"   // authentic, says nothing about a change
	outcomeDuplicate        outcome = "duplicate" // delivered before
	outcomeBadSignature     outcome = "bad_signature"
	outcomeUnauthenticated  outcome = "unauthenticated"
	outcomeBadInput         outcome = "bad_input"
	outcomeTooLarge         outcome = "too_large"
	outcomeMethod           outcome = "method_not_allowed"
	outcomeContentType      outcome = "unsupported_content_type"
	outcomeNoPipeline       outcome = "no_logs_pipeline"
	outcomePipelineBusy     outcome = "pipeline_error"
	outcomePipelineRefused  outcome = "pipeline_refused"
	outcomeInternal         outcome = "internal_error"
	outcomeUnknownRoute     outcome = "unknown_route"
	outcomeConnectionBroken outcome = "connection_broken"
)

func newSelfMetrics(provider metric.MeterProvider) (*selfMetrics, error) {
	meter := provider.Meter("github.com/deployloop/deployloop/receiver/cicdreceiver")
	requests, err := meter.Int64Counter("otelcol_receiver_cicd_requests",
		metric.WithUnit("{request}"), metric.WithDescription("Requests by source and what became of them."))
	if err != nil {
		return nil, err
	}
	events, err := meter.Int64Counter("otelcol_receiver_cicd_events",
		metric.WithUnit("{event}"), metric.WithDescription("Events sent on, by source."))
	if err != nil {
		return nil, err
	}
	forgotten, err := meter.Int64Counter("otelcol_receiver_cicd_forgotten",
		metric.WithUnit("{entry}"), metric.WithDescription("What was remembered and had to go, by name: logs_of_jobs (of a job that passed), lines_of_logs (of one log)."))
	if err != nil {
		return nil, err
	}
	return &selfMetrics{requests: requests, events: events, forgotten: forgotten}, nil
}

func (m *selfMetrics) forgot(name string, n int) {
	m.forgotten.Add(context.Background(), int64(n), metric.WithAttributes(attribute.String("name", name)))
}

func (m *selfMetrics) request(ctx context.Context, source string, o outcome) {
	m.requests.Add(ctx, 1, metric.WithAttributes(attribute.String("source", source), attribute.String("outcome", string(o))))
}

func (m *selfMetrics) sent(ctx context.Context, source string, events int) {
	m.events.Add(ctx, int64(events), metric.WithAttributes(attribute.String("source", source)))
}
