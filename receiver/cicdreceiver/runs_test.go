package cicdreceiver

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/pmetric"
	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/deployloop/deployloop/internal/cicd"
	"github.com/deployloop/deployloop/internal/event"
	"github.com/deployloop/deployloop/internal/event/eventotlp"
)

const (
	runDone = `{"action":"completed","workflow_run":{"id":42,"name":"CI","run_attempt":2,"head_branch":"main","head_sha":"9f2c1ab","status":"completed","conclusion":"failure","html_url":"https://g.example/42","created_at":"2026-11-23T12:00:00Z","run_started_at":"2026-11-23T13:00:00Z","updated_at":"2026-11-23T13:05:00Z"},"repository":{"name":"shop","full_name":"acme/shop"}}`
	jobDone = `{"action":"completed","workflow_job":{"id":7,"run_id":42,"run_attempt":2,"name":"test","workflow_name":"CI","head_sha":"9f2c1ab","status":"completed","conclusion":"failure","created_at":"2026-11-23T13:00:10Z","started_at":"2026-11-23T13:00:40Z","completed_at":"2026-11-23T13:04:00Z","runner_name":"r1","steps":[{"name":"go test","status":"completed","conclusion":"failure","number":1,"started_at":"2026-11-23T13:01:00Z","completed_at":"2026-11-23T13:03:00Z"},{"name":"upload","status":"completed","conclusion":"skipped","number":2,"started_at":"2026-11-23T13:03:00Z","completed_at":"2026-11-23T13:02:00Z"}]},"repository":{"name":"shop","full_name":"acme/shop"}}`
	jobRuns = `{"action":"in_progress","workflow_job":{"id":7,"run_id":42,"run_attempt":2,"name":"test","workflow_name":"CI","status":"in_progress","created_at":"2026-11-23T13:00:10Z","started_at":"2026-11-23T13:00:40Z","steps":[]},"repository":{"name":"shop","full_name":"acme/shop"}}`
)

func (r *running) spans() map[string]ptrace.Span {
	spans := map[string]ptrace.Span{}
	for _, traces := range r.traces.AllTraces() {
		for _, rs := range traces.ResourceSpans().All() {
			name, _ := rs.Resource().Attributes().Get("service.name")
			require.Equal(r.t, "cicd", name.Str())
			_, onResource := rs.Resource().Attributes().Get("vcs.ref.head.revision")
			require.False(r.t, onResource, "a revision on a resource would look like a deployment")
			for _, ss := range rs.ScopeSpans().All() {
				for _, span := range ss.Spans().All() {
					spans[span.Name()] = span
				}
			}
		}
	}
	return spans
}

// The expected ids were computed with the functions of contrib's githubreceiver
// v0.158.0 (newTraceID, newParentSpanID, newSpanIDFromCheckRun) for run 42,
// attempt 2, job 7 and step "go test".
func TestSpanTreeOfARun(t *testing.T) {
	r := start(t, wiring{})
	for i, delivery := range []struct{ event, body string }{{"workflow_job", jobRuns}, {"workflow_job", jobDone}, {"workflow_run", runDone}} {
		status, text := r.github(delivery.event, fmt.Sprint(i), []byte(delivery.body))
		require.Equal(t, http.StatusAccepted, status, text)
	}
	spans := r.spans()
	require.Len(t, spans, 5)
	root, job, queue, step, upload := spans["CI"], spans["test"], spans["queue-test"], spans["go test"], spans["upload"]
	for name, span := range spans {
		require.Equal(t, contribTraceID, span.TraceID().String(), name)
	}
	require.Equal(t, contribRootID, root.SpanID().String())
	require.Equal(t, contribJobID, job.SpanID().String())
	require.Equal(t, contribQueueID, queue.SpanID().String())
	require.Equal(t, contribStepID, step.SpanID().String())
	require.True(t, root.ParentSpanID().IsEmpty())
	require.Equal(t, root.SpanID(), job.ParentSpanID())
	require.Equal(t, job.SpanID(), queue.ParentSpanID())
	require.Equal(t, job.SpanID(), step.ParentSpanID())
	require.Equal(t, 30*time.Second, queue.EndTimestamp().AsTime().Sub(queue.StartTimestamp().AsTime()))
	require.Equal(t, ptrace.StatusCodeError, step.Status().Code())
	require.Equal(t, ptrace.StatusCodeUnset, upload.Status().Code(), "skipped is no failure")
	require.Equal(t, upload.StartTimestamp(), upload.EndTimestamp(), "no span ends before it begins")
	require.Equal(t, ptrace.SpanKindServer, root.Kind())
	require.Equal(t, 1, root.Links().Len(), "to the attempt before")
	revision, _ := root.Attributes().Get("vcs.ref.head.revision")
	require.Equal(t, "9f2c1ab", revision.Str())

	records := r.records()
	require.Len(t, records, 3)
	require.Equal(t, job.SpanID(), records[1].SpanID(), "an event leads to its span")
}

// Deliveries overtake each other: what comes after the end does not begin the run
// again. One that is run again does.
func TestLateWordOfARunThatIsOver(t *testing.T) {
	const queued = `{"action":"queued","workflow_job":{"id":7,"run_id":42,"run_attempt":2,"name":"test","workflow_name":"CI","status":"queued","created_at":"2026-11-23T13:00:10Z","steps":[]},"repository":{"name":"shop","full_name":"acme/shop"}}`
	r := start(t, wiring{})
	for i, delivery := range []struct {
		body string
		want int
	}{
		{jobDone, http.StatusAccepted}, {jobRuns, http.StatusOK}, {queued, http.StatusOK}, {jobDone, http.StatusAccepted},
		{strings.ReplaceAll(jobRuns, "T13:", "T14:"), http.StatusAccepted},
	} {
		status, text := r.github("workflow_job", fmt.Sprint(i), []byte(delivery.body))
		require.Equal(t, delivery.want, status, text)
	}
	var states []string
	for _, record := range r.records() {
		state, _ := record.Attributes().Get(event.AttrPipelineState)
		states = append(states, state.Str())
	}
	require.Equal(t, []string{"finished", "finished", "executing"}, states)
}

// The ids are those that contrib's githubreceiver v0.158.0 expects of itself in
// testdata/workflow-job-expected.yaml and workflow-run-expected.yaml, for the run,
// the job and the steps of workflow-job-completed.json and workflow-run-completed.json.
func TestIDsAreThatContribsReceiverExpects(t *testing.T) {
	want := map[string]string{
		"build-and-test":             "aba151af7cfbcf0f",
		"test (1.23)":                "2b09b38c69b64a9c",
		"queue-test (1.23)":          "79ff76cc79430e14",
		"Set up job":                 "d592338e114eb265",
		"Run actions/checkout@v4":    "602aa68801658dfb",
		"Set up Go":                  "b4e2dc3f8b594ba4",
		"Make test-all":              "1d8f21b62c1aa854",
		"Upload coverage to Codecov": "64f5d6ae9b09754a",
	}
	steps := ""
	for _, name := range []string{"Set up job", "Run actions/checkout@v4", "Set up Go", "Make test-all", "Upload coverage to Codecov"} {
		steps += `,{"name":"` + name + `","conclusion":"success","started_at":"2026-11-23T13:01:00Z","completed_at":"2026-11-23T13:02:00Z"}`
	}
	r := start(t, wiring{})
	for i, delivery := range []struct{ event, body string }{
		{"workflow_job", `{"action":"completed","workflow_job":{"id":40685651258,"run_id":14460881260,"run_attempt":13,"name":"test (1.23)","status":"completed","conclusion":"success","created_at":"2026-11-23T13:00:10Z","started_at":"2026-11-23T13:00:40Z","completed_at":"2026-11-23T13:04:00Z","steps":[` + steps[1:] + `]}}`},
		{"workflow_run", `{"action":"completed","workflow_run":{"id":14460881260,"name":"build-and-test","run_attempt":13,"status":"completed","conclusion":"success","run_started_at":"2026-11-23T13:00:00Z","updated_at":"2026-11-23T13:05:00Z"}}`},
	} {
		status, text := r.github(delivery.event, fmt.Sprint(i), []byte(delivery.body))
		require.Equal(t, http.StatusAccepted, status, text)
	}
	got := map[string]string{}
	for name, span := range r.spans() {
		got[name] = span.SpanID().String()
		require.Equal(t, "731ec8a47fd7450f753a812a4a8aa5a0", span.TraceID().String(), name)
		parent := map[string]string{"build-and-test": "", "test (1.23)": want["build-and-test"]}
		if p, ok := parent[name]; ok {
			require.Equal(t, p, span.ParentSpanID().String(), name)
		} else {
			require.Equal(t, want["test (1.23)"], span.ParentSpanID().String(), name)
		}
	}
	require.Equal(t, want, got)
	require.Equal(t, "3ab150c94bf95169f4958bc860bddc3b", r.spans()["build-and-test"].Links().At(0).TraceID().String(), "the attempt before")
}

func series(t *testing.T, metrics pmetric.Metrics, name string) pmetric.Metric {
	for _, m := range metrics.ResourceMetrics().At(0).ScopeMetrics().At(0).Metrics().All() {
		if m.Name() == name {
			return m
		}
	}
	t.Fatalf("no metric %s", name)
	return pmetric.Metric{}
}

func TestRunMetrics(t *testing.T) {
	r := start(t, wiring{})
	queued := `{"action":"requested","workflow_run":{"id":43,"name":"CI","run_attempt":1,"status":"queued","created_at":"2026-11-23T13:00:00Z"},"repository":{"name":"shop","full_name":"acme/shop"}}`
	for i, delivery := range []struct{ event, body string }{
		{"workflow_run", queued}, {"workflow_job", jobDone}, {"workflow_run", runDone},
		{"workflow_run", runDone}, // told again under another delivery: counts once
	} {
		status, text := r.github(delivery.event, fmt.Sprint(i), []byte(delivery.body))
		require.Equal(t, http.StatusAccepted, status, text)
	}
	metrics, err := r.receiver.runs.collect(context.Background())
	require.NoError(t, err)

	active := series(t, metrics, "cicd.pipeline.run.active").Sum().DataPoints()
	require.Equal(t, 1, active.Len())
	require.EqualValues(t, 1, active.At(0).IntValue())
	require.Equal(t, map[string]any{"cicd.pipeline.name": "CI", "cicd.pipeline.run.state": "pending", "deployloop.repository": "acme/shop"}, active.At(0).Attributes().AsRaw())

	workers := series(t, metrics, "cicd.worker.count").Sum()
	require.False(t, workers.IsMonotonic())
	require.Equal(t, map[string]any{"cicd.worker.state": "busy"}, workers.DataPoints().At(0).Attributes().AsRaw())
	require.Zero(t, workers.DataPoints().At(0).IntValue(), "its job is done")

	errs := series(t, metrics, "cicd.pipeline.run.errors").Sum()
	require.True(t, errs.IsMonotonic())
	require.EqualValues(t, 1, errs.DataPoints().At(0).IntValue())

	tasks := series(t, metrics, "deployloop.pipeline.task.duration").Histogram().DataPoints()
	sums := map[string]float64{}
	for _, point := range tasks.All() {
		state, _ := point.Attributes().Get("cicd.pipeline.run.state")
		sums[state.Str()] = point.Sum()
	}
	require.Equal(t, map[string]float64{"pending": 30, "executing": 200}, sums, "waiting is apart from work")

	runs := series(t, metrics, "cicd.pipeline.run.duration").Histogram()
	require.Equal(t, pmetric.AggregationTemporalityCumulative, runs.AggregationTemporality())
	var executing pmetric.HistogramDataPoint
	for _, point := range runs.DataPoints().All() {
		if state, _ := point.Attributes().Get("cicd.pipeline.run.state"); state.Str() == "executing" {
			executing = point
		}
	}
	require.EqualValues(t, 1, executing.Count())
	require.InDelta(t, 300, executing.Sum(), 1e-9)
	require.Equal(t, executing.ExplicitBounds().Len()+1, executing.BucketCounts().Len())
}

// What the CI system itself failed is counted apart from what was built, and a
// worker counts once while it works.
func TestMetricsOfTheSystem(t *testing.T) {
	r := start(t, wiring{})
	failed := `{"action":"completed","workflow_run":{"id":44,"name":"CI","run_attempt":1,"status":"completed","conclusion":"startup_failure","created_at":"2026-11-23T13:00:00Z","run_started_at":"2026-11-23T13:00:00Z","updated_at":"2026-11-23T13:00:01Z"},"repository":{"name":"shop","full_name":"acme/shop"}}`
	busy := func(job int) string {
		return fmt.Sprintf(`{"action":"in_progress","workflow_job":{"id":%d,"run_id":42,"run_attempt":1,"name":"test","status":"in_progress","runner_name":"r%d","started_at":"2026-11-23T13:00:40Z"},"repository":{"name":"shop","full_name":"acme/shop"}}`, job, job/2)
	}
	for i, delivery := range []struct{ event, body string }{
		{"workflow_run", failed}, {"workflow_run", failed}, {"workflow_run", runDone},
		{"workflow_job", busy(2)}, {"workflow_job", busy(3)}, {"workflow_job", busy(4)},
	} {
		status, text := r.github(delivery.event, fmt.Sprint(i), []byte(delivery.body))
		require.Equal(t, http.StatusAccepted, status, text)
	}
	gitlab := `{"object_kind":"build","ref":"main","build_id":1977,"build_name":"unit","build_status":"failed","build_failure_reason":"runner_system_failure","pipeline_id":2366,"project":{"name":"shop","path_with_namespace":"acme/shop"}}`
	status, text, _ := r.post("/webhooks/gitlab", []byte(gitlab), nil)
	require.Equal(t, http.StatusAccepted, status, text)

	metrics, err := r.receiver.runs.collect(context.Background())
	require.NoError(t, err)
	system := series(t, metrics, "cicd.system.errors").Sum()
	require.True(t, system.IsMonotonic())
	got := map[string]int64{}
	for _, point := range system.DataPoints().All() {
		component, _ := point.Attributes().Get("cicd.system.component")
		kind, _ := point.Attributes().Get("error.type")
		got[component.Str()+" "+kind.Str()] = point.IntValue()
	}
	require.Equal(t, map[string]int64{"controller error": 1, "agent error": 1}, got, "told twice it counts once, and a test that fails is no fault of the system")
	workers := series(t, metrics, "cicd.worker.count").Sum().DataPoints()
	require.Equal(t, 1, workers.Len())
	require.EqualValues(t, 2, workers.At(0).IntValue(), "three jobs on two runners")
}

func TestRunMetricsAreSentAtTheEndToo(t *testing.T) {
	r := start(t, wiring{config: func(c *Config) { c.MetricsInterval = time.Hour }})
	status, _ := r.github("workflow_run", "1", []byte(runDone))
	require.Equal(t, http.StatusAccepted, status)
	require.NoError(t, r.receiver.Shutdown(context.Background()))
	require.NotEmpty(t, r.metrics.AllMetrics())
}

func TestForgottenRunsStopBeingActive(t *testing.T) {
	now := fixedNow
	m, err := newRunMetrics("test", func() time.Time { return now })
	require.NoError(t, err)
	defer m.shutdown(context.Background())
	m.record(context.Background(), cicd.Run{PipelineRun: event.PipelineRun{ID: "1", Pipeline: "CI", State: "executing"}})
	metrics, err := m.collect(context.Background())
	require.NoError(t, err)
	require.Equal(t, 1, metrics.DataPointCount())
	now = now.Add(activeFor + time.Second)
	metrics, err = m.collect(context.Background())
	require.NoError(t, err)
	require.Zero(t, metrics.DataPointCount())
	require.Zero(t, m.active.Len())
}

func TestRunSeriesAreBounded(t *testing.T) {
	m, err := newRunMetrics("test", time.Now)
	require.NoError(t, err)
	defer m.shutdown(context.Background())
	for i := range maxRunSeries + 500 {
		m.record(context.Background(), cicd.Run{PipelineRun: event.PipelineRun{ID: fmt.Sprint(i), Pipeline: fmt.Sprint("p", i), State: "finished", Result: "success", StartedAt: fixedNow, FinishedAt: fixedNow.Add(time.Second)}})
	}
	metrics, err := m.collect(context.Background())
	require.NoError(t, err)
	points := series(t, metrics, "cicd.pipeline.run.duration").Histogram().DataPoints()
	require.Equal(t, maxRunSeries, points.Len())
	overflow := 0
	for _, point := range points.All() {
		if v, ok := point.Attributes().Get("otel.metric.overflow"); ok && v.Bool() {
			overflow = int(point.Count())
		}
	}
	require.Equal(t, 501, overflow, "what is beyond the limit is counted, in one series")
}

func TestIDsOfOtherSystemsDoNotMeetGitHubs(t *testing.T) {
	a := cicd.Run{PipelineRun: event.PipelineRun{ID: "42", Attempt: 1, Source: "github"}}
	b := cicd.Run{PipelineRun: event.PipelineRun{ID: "42", Attempt: 1, Source: "gitlab", Repository: "acme/shop"}}
	idA, _ := runTraceID(a.PipelineRun)
	idB, _ := runTraceID(b.PipelineRun)
	require.NotEqual(t, idA, idB)
	require.NotEqual(t, runSpanID(a.PipelineRun), runSpanID(b.PipelineRun))
}

const (
	contribTraceID = "40e47d023fdf039f55e8a65d241f6133"
	contribRootID  = "84888e4926237125"
	contribJobID   = "8058af5cfddd59f0"
	contribQueueID = "938283d81fda4df0"
	contribStepID  = "d1e0fc43e69e29ff"
)

// A fork's main is not the repository's, and its job does not say so.
func TestAJobIsOfItsRunsBranch(t *testing.T) {
	r := start(t, wiring{})
	for i, delivery := range []struct{ event, body string }{
		{"workflow_run", `{"action":"requested","workflow_run":{"id":42,"name":"CI","run_attempt":1,"head_branch":"main","head_sha":"9f2c1ab","head_repository":{"full_name":"eve/shop","owner":{"login":"eve"}},"status":"queued","created_at":"2026-11-23T12:00:00Z"},"repository":{"name":"shop","full_name":"acme/shop"}}`},
		{"workflow_job", `{"action":"completed","workflow_job":{"id":7,"run_id":42,"run_attempt":1,"name":"test","head_branch":"main","head_sha":"9f2c1ab","status":"completed","conclusion":"failure"},"repository":{"name":"shop","full_name":"acme/shop"}}`},
		{"workflow_job", `{"action":"completed","workflow_job":{"id":8,"run_id":42,"run_attempt":2,"name":"test","head_branch":"main","head_sha":"9f2c1ab","status":"completed","conclusion":"failure"},"repository":{"name":"shop","full_name":"acme/shop"}}`},
		{"workflow_job", `{"action":"completed","workflow_job":{"id":9,"run_id":43,"run_attempt":1,"name":"test","head_branch":"main","head_sha":"9f2c1ac","status":"completed","conclusion":"failure"},"repository":{"name":"shop","full_name":"acme/shop"}}`},
		{"push", `{"ref":"refs/heads/main","before":"9f2c1ab","after":"9f2c1ad","commits":[{"id":"9f2c1ad"}],"repository":{"name":"shop","full_name":"acme/shop"}}`},
		{"workflow_job", `{"action":"completed","workflow_job":{"id":10,"run_id":44,"run_attempt":1,"name":"test","head_branch":"main","head_sha":"9f2c1ad","status":"completed","conclusion":"failure"},"repository":{"name":"shop","full_name":"acme/shop"}}`},
		{"check_suite", `{"action":"completed","check_suite":{"id":5,"head_branch":null,"head_sha":"9f2c1ae","status":"completed","conclusion":"failure","app":{"slug":"lint"}},"repository":{"name":"shop","full_name":"acme/shop"}}`},
	} {
		status, text := r.github(delivery.event, fmt.Sprint(i), []byte(delivery.body))
		require.Equal(t, http.StatusAccepted, status, text)
	}
	var refs []string
	for _, record := range r.named(event.NamePipelineRun) {
		run, err := eventotlp.DecodePipelineRun(pcommon.NewResource(), record)
		require.NoError(t, err)
		refs = append(refs, fmt.Sprint(run.Ref, " ", run.RefAssumed))
	}
	require.Equal(t, []string{"eve:main false", "eve:main false", "eve:main false", "main true", "main false", " true"}, refs)
}
