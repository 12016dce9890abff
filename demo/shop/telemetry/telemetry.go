// Package telemetry sets up OpenTelemetry for a service of the shop and wraps
// its HTTP handlers and clients.
package telemetry

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"time"

	"go.opentelemetry.io/contrib/bridges/otelslog"
	"go.opentelemetry.io/contrib/instrumentation/net/http/otelhttp"
	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/exporters/otlp/otlplog/otlploghttp"
	"go.opentelemetry.io/otel/exporters/otlp/otlpmetric/otlpmetrichttp"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracehttp"
	"go.opentelemetry.io/otel/propagation"
	sdklog "go.opentelemetry.io/otel/sdk/log"
	sdkmetric "go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/resource"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"
)

// Identity says which instance of which release is running.
type Identity struct {
	Service, Version, Revision, Instance, Environment string
}

// T is a service's telemetry.
type T struct {
	Tracer trace.Tracer
	Log    *slog.Logger
	stop   []func(context.Context) error
}

// flushEvery is short, so that the loop is as fast as the services allow.
const flushEvery = 200 * time.Millisecond

// Start exports spans, metrics and logs over OTLP/HTTP to endpoint, an address
// such as "127.0.0.1:4318".
func Start(ctx context.Context, endpoint string, who Identity) (*T, error) {
	res := resource.NewSchemaless(
		attribute.String("service.name", who.Service),
		attribute.String("service.version", who.Version),
		attribute.String("service.instance.id", who.Instance),
		attribute.String("vcs.ref.head.revision", who.Revision),
		attribute.String("deployment.environment.name", who.Environment),
	)
	spans, err := otlptracehttp.New(ctx, otlptracehttp.WithEndpoint(endpoint), otlptracehttp.WithInsecure())
	if err != nil {
		return nil, err
	}
	points, err := otlpmetrichttp.New(ctx, otlpmetrichttp.WithEndpoint(endpoint), otlpmetrichttp.WithInsecure())
	if err != nil {
		return nil, err
	}
	records, err := otlploghttp.New(ctx, otlploghttp.WithEndpoint(endpoint), otlploghttp.WithInsecure())
	if err != nil {
		return nil, err
	}
	tracers := sdktrace.NewTracerProvider(sdktrace.WithResource(res), sdktrace.WithBatcher(spans, sdktrace.WithBatchTimeout(flushEvery)))
	meters := sdkmetric.NewMeterProvider(sdkmetric.WithResource(res), sdkmetric.WithReader(sdkmetric.NewPeriodicReader(points, sdkmetric.WithInterval(5*time.Second))))
	loggers := sdklog.NewLoggerProvider(sdklog.WithResource(res), sdklog.WithProcessor(sdklog.NewBatchProcessor(records, sdklog.WithExportInterval(flushEvery))))
	otel.SetTracerProvider(tracers)
	otel.SetMeterProvider(meters)
	otel.SetTextMapPropagator(propagation.TraceContext{})
	return &T{
		Tracer: tracers.Tracer(who.Service),
		Log:    otelslog.NewLogger(who.Service, otelslog.WithLoggerProvider(loggers)),
		stop:   []func(context.Context) error{tracers.Shutdown, loggers.Shutdown, meters.Shutdown},
	}, nil
}

// Stop sends what is left.
func (t *T) Stop(ctx context.Context) error {
	var errs []error
	for _, stop := range t.stop {
		errs = append(errs, stop(ctx))
	}
	return errors.Join(errs...)
}

// Handler makes a span of every request, named by its route, and an error of
// every panic.
func (t *T) Handler(mux *http.ServeMux) http.Handler {
	name := func(_ string, r *http.Request) string {
		if r.Pattern != "" {
			return r.Pattern
		}
		return r.Method
	}
	return otelhttp.NewHandler(t.recovered(mux), "", otelhttp.WithSpanNameFormatter(name))
}

// Client carries the trace along to the next service.
func Client() *http.Client {
	return &http.Client{Timeout: 5 * time.Second, Transport: otelhttp.NewTransport(&http.Transport{MaxIdleConnsPerHost: 64})}
}

// User says on whose behalf a request is served.
func User(ctx context.Context, id string) {
	trace.SpanFromContext(ctx).SetAttributes(attribute.String("user.id", id))
}
