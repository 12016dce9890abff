package cicdreceiver

import (
	"context"
	"strconv"
	"strings"
	"sync"
	"time"

	lru "github.com/hashicorp/golang-lru/v2"
	"go.opentelemetry.io/collector/pdata/pmetric"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"
	sdkmetric "go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"

	"github.com/deployloop/deployloop/internal/cicd"
	"github.com/deployloop/deployloop/internal/event"
)

const (
	maxRunSeries  = 2000  // per metric; more go into one series with otel.metric.overflow
	maxActiveRuns = 10000 // the one that moved longest ago is forgotten first
	// activeFor is how long a run without news counts as active: GitHub ends a
	// workflow run after 35 days, a job after 5 (self-hosted) or 6 h; a day keeps
	// a lost webhook from counting for ever.
	activeFor = 24 * time.Hour
)

// runBuckets are in seconds: a run takes from seconds to hours.
var runBuckets = []float64{1, 5, 10, 30, 60, 120, 300, 600, 1200, 1800, 3600, 7200, 14400, 28800}

// runMetrics aggregates the metrics of semantic conventions for pipeline runs
// with OpenTelemetry's own SDK: cumulative, with bounded series.
type runMetrics struct {
	reader   *sdkmetric.ManualReader
	provider *sdkmetric.MeterProvider
	duration metric.Float64Histogram // of runs
	errors   metric.Int64Counter
	system   metric.Int64Counter     // errors of the CI system itself
	task     metric.Float64Histogram // of tasks
	now      func() time.Time
	version  string

	mu     sync.Mutex
	active *lru.Cache[string, activeRun]
	busy   *lru.Cache[string, busyWorker] // by the task that it runs
	done   *lru.Cache[string, struct{}]   // finished runs, so that one told twice counts once
}

type busyWorker struct {
	name string // with its source
	at   time.Time
}

type activeRun struct {
	pipeline, repository, state string
	at                          time.Time
}

func newRunMetrics(version string, now func() time.Time) (*runMetrics, error) {
	m := &runMetrics{reader: sdkmetric.NewManualReader(), now: now, version: version}
	m.provider = sdkmetric.NewMeterProvider(sdkmetric.WithReader(m.reader), sdkmetric.WithCardinalityLimit(maxRunSeries))
	var err error
	if m.active, err = lru.New[string, activeRun](maxActiveRuns); err != nil {
		return nil, err
	}
	if m.busy, err = lru.New[string, busyWorker](maxActiveRuns); err != nil {
		return nil, err
	}
	if m.done, err = lru.New[string, struct{}](maxActiveRuns); err != nil {
		return nil, err
	}
	meter := m.provider.Meter(scopeName)
	if m.duration, err = meter.Float64Histogram(event.MetricRunDuration, metric.WithUnit("s"),
		metric.WithDescription("Duration of a pipeline run, by state: pending is its time in the queue."),
		metric.WithExplicitBucketBoundaries(runBuckets...)); err != nil {
		return nil, err
	}
	if m.errors, err = meter.Int64Counter(event.MetricRunErrors, metric.WithUnit("{error}"),
		metric.WithDescription("Pipeline runs that failed.")); err != nil {
		return nil, err
	}
	if m.system, err = meter.Int64Counter(event.MetricSystemErrors, metric.WithUnit("{error}"),
		metric.WithDescription("Runs and tasks that a component of the CI system failed, by its own word.")); err != nil {
		return nil, err
	}
	if _, err = meter.Int64ObservableUpDownCounter(event.MetricWorkerCount, metric.WithUnit("{count}"),
		metric.WithDescription("Workers by state; those that run a task are busy, of others webhooks tell nothing."),
		metric.WithInt64Callback(m.observeWorkers)); err != nil {
		return nil, err
	}
	if m.task, err = meter.Float64Histogram(event.MetricTaskDuration, metric.WithUnit("s"),
		metric.WithDescription("Duration of a task of a pipeline run, by state: pending is its time in the queue."),
		metric.WithExplicitBucketBoundaries(runBuckets...)); err != nil {
		return nil, err
	}
	_, err = meter.Int64ObservableUpDownCounter(event.MetricRunActive, metric.WithUnit("{run}"),
		metric.WithDescription("Pipeline runs that are active, by state."),
		metric.WithInt64Callback(m.observeActive))
	return m, err
}

// record takes what is now known of a run. A finished one counts once, however
// often it is told.
func (m *runMetrics) record(ctx context.Context, told cicd.Run) {
	run := told.PipelineRun
	key := runIdentity(run)
	pipeline := attribute.String(event.AttrPipelineName, run.Pipeline)
	repository := attribute.String(event.AttrRepository, run.Repository)

	m.mu.Lock()
	finished := m.done.Contains(key)
	if run.State == "finished" {
		m.done.Add(key, struct{}{})
		m.active.Remove(key)
		m.busy.Remove(key)
	} else if run.TaskID != "" && run.Worker != "" && !finished && run.State == "executing" {
		m.busy.Add(key, busyWorker{name: run.Source + "\x00" + run.Worker, at: m.now()})
	} else if run.TaskID == "" && !finished { // webhooks may arrive out of order
		m.active.Add(key, activeRun{pipeline: run.Pipeline, repository: run.Repository, state: run.State, at: m.now()})
	}
	m.mu.Unlock()
	if run.State != "finished" || finished {
		return
	}

	histogram, common := m.duration, []attribute.KeyValue{pipeline, repository}
	if run.TaskID != "" {
		histogram, common = m.task, append(common, attribute.String(event.AttrTaskName, run.Task))
	}
	seconds := func(from, to time.Time, attributes ...attribute.KeyValue) {
		if !from.IsZero() && !to.Before(from) {
			histogram.Record(ctx, to.Sub(from).Seconds(), metric.WithAttributes(append(common[:len(common):len(common)], attributes...)...))
		}
	}
	if !run.StartedAt.IsZero() {
		seconds(run.QueuedAt, run.StartedAt, attribute.String(event.AttrPipelineState, "pending"))
	}
	result := attribute.String(event.AttrPipelineResult, run.Result)
	if run.TaskID != "" {
		result = attribute.String(event.AttrTaskRunResult, run.Result)
	}
	if told.Component != "" {
		m.system.Add(ctx, 1, metric.WithAttributes(attribute.String(event.AttrSystemComponent, told.Component), attribute.String(event.AttrErrorType, run.Result)))
	}
	outcome := []attribute.KeyValue{attribute.String(event.AttrPipelineState, "executing"), result}
	if isFailure(run.Result) {
		outcome = append(outcome, attribute.String(event.AttrErrorType, run.Result))
		if run.TaskID == "" {
			m.errors.Add(ctx, 1, metric.WithAttributes(pipeline, repository, attribute.String(event.AttrErrorType, run.Result)))
		}
	}
	seconds(run.StartedAt, run.FinishedAt, outcome...)
}

// runIdentity tells one attempt of a run, or of a task, from all others.
func runIdentity(run event.PipelineRun) string {
	return strings.Join([]string{run.Source, run.ID, run.TaskID, strconv.Itoa(run.Attempt)}, "\x00")
}

func (m *runMetrics) observeActive(_ context.Context, observer metric.Int64Observer) error {
	type series struct{ pipeline, repository, state string }
	counts := map[series]int64{}
	oldest := m.now().Add(-activeFor)
	m.mu.Lock()
	for _, key := range m.active.Keys() {
		run, _ := m.active.Peek(key)
		if run.at.Before(oldest) {
			m.active.Remove(key)
			continue
		}
		counts[series{run.pipeline, run.repository, run.state}]++
	}
	m.mu.Unlock()
	for s, n := range counts {
		observer.Observe(n, metric.WithAttributes(
			attribute.String(event.AttrPipelineName, s.pipeline),
			attribute.String(event.AttrRepository, s.repository),
			attribute.String(event.AttrPipelineState, s.state)))
	}
	return nil
}

// observeWorkers counts a worker once, however many tasks it runs.
func (m *runMetrics) observeWorkers(_ context.Context, observer metric.Int64Observer) error {
	workers := map[string]bool{}
	oldest := m.now().Add(-activeFor)
	m.mu.Lock()
	for _, task := range m.busy.Keys() {
		worker, _ := m.busy.Peek(task)
		if worker.at.Before(oldest) {
			m.busy.Remove(task)
			continue
		}
		workers[worker.name] = true
	}
	known := m.busy.Len()+m.done.Len() > 0
	m.mu.Unlock()
	if known { // else no source tells of workers, which is not none
		observer.Observe(int64(len(workers)), metric.WithAttributes(attribute.String(event.AttrWorkerState, "busy")))
	}
	return nil
}

// collect gives all series as they stand.
func (m *runMetrics) collect(ctx context.Context) (pmetric.Metrics, error) {
	var data metricdata.ResourceMetrics
	if err := m.reader.Collect(ctx, &data); err != nil {
		return pmetric.Metrics{}, err
	}
	return toPdata(data, m.version), nil
}

func (m *runMetrics) shutdown(ctx context.Context) error { return m.provider.Shutdown(ctx) }
