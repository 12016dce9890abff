package cicdreceiver

import (
	"strings"
	"time"

	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/deployloop/deployloop/internal/cicd"
	"github.com/deployloop/deployloop/internal/event"
)

// runTraces is the span tree of the runs that finished: the run (its root), each
// task, within it its queue time and its steps. A run and its tasks come in
// different deliveries; deterministic ids join them.
//
// The ids are those of contrib's githubreceiver (v0.151 and later), so that spans
// which a job sends itself with a TRACEPARENT made by the same rule are part of
// the tree: trace = sha256("{run}{attempt}t")[:16], root = sha256("{run}{attempt}s")[8:16],
// job = sha256("{job}-j")[8:16], queue = sha256("{job}-q")[8:16], step = sha256("{job}-{step}-s")[8:16].
func runTraces(runs []cicd.Run, version string) ptrace.Traces {
	traces := ptrace.NewTraces()
	for _, run := range runs {
		traceID, ok := runTraceID(run.PipelineRun)
		if !ok || run.FinishedAt.IsZero() || run.State != "finished" {
			continue
		}
		resource := traces.ResourceSpans().AppendEmpty()
		describeResource(resource.Resource().Attributes(), run.PipelineRun)
		scope := resource.ScopeSpans().AppendEmpty()
		scope.Scope().SetName(scopeName)
		scope.Scope().SetVersion(version)
		next := func(name string, id, parent pcommon.SpanID, from, to time.Time, result string) ptrace.Span {
			span := scope.Spans().AppendEmpty()
			span.SetTraceID(traceID)
			span.SetSpanID(id)
			span.SetParentSpanID(parent)
			span.SetName(strings.ToValidUTF8(name, "\uFFFD"))
			span.SetKind(ptrace.SpanKindInternal)
			setTimes(span, from, to)
			setStatus(span, result)
			return span
		}
		if run.TaskID == "" {
			span := next(run.Pipeline, runSpanID(run.PipelineRun), pcommon.SpanID{}, run.StartedAt, run.FinishedAt, run.Result)
			span.SetKind(ptrace.SpanKindServer) // as semantic conventions say of a pipeline run
			describeSpan(span.Attributes(), run.PipelineRun)
			if previous := run.PipelineRun; previous.Attempt > 1 {
				previous.Attempt--
				link := span.Links().AppendEmpty()
				linked, _ := runTraceID(previous)
				link.SetTraceID(linked)
				link.SetSpanID(runSpanID(previous))
			}
			continue
		}
		root := run.PipelineRun
		root.TaskID, root.Task = "", ""
		task := runSpanID(run.PipelineRun)
		began := run.QueuedAt
		if began.IsZero() {
			began = run.StartedAt
		}
		span := next(run.Task, task, runSpanID(root), began, run.FinishedAt, run.Result)
		describeSpan(span.Attributes(), run.PipelineRun)
		if !run.QueuedAt.IsZero() && !run.StartedAt.IsZero() {
			next("queue-"+run.Task, spanID("%s-q", run.TaskID), task, run.QueuedAt, run.StartedAt, "")
		}
		for _, step := range run.Steps {
			if step.StartedAt.IsZero() {
				continue
			}
			span := next(step.Name, spanID("%s-%s-s", run.TaskID, step.Name), task, step.StartedAt, step.FinishedAt, step.Result)
			span.Attributes().PutStr(event.AttrTaskName, strings.ToValidUTF8(step.Name, "\uFFFD"))
			if step.Result != "" {
				span.Attributes().PutStr(event.AttrTaskRunResult, step.Result)
			}
		}
	}
	return traces
}

// describeResource says where the run belongs. The revision is on the spans, not
// here: a new revision on a resource is how a deployment looks.
func describeResource(attributes pcommon.Map, run event.PipelineRun) {
	put := putter(attributes)
	put(event.AttrServiceName, serviceName)
	put(event.AttrPipelineName, run.Pipeline)
	put(event.AttrProviderName, run.Source)
	put(event.AttrRepository, run.Repository)
	if slash := strings.LastIndexByte(run.Repository, '/'); slash >= 0 {
		put(event.AttrOwnerName, run.Repository[:slash])
		put(event.AttrRepositoryName, run.Repository[slash+1:])
	}
}

func describeSpan(attributes pcommon.Map, run event.PipelineRun) {
	put := putter(attributes)
	put(event.AttrPipelineName, run.Pipeline)
	put(event.AttrPipelineRunID, run.ID)
	put(event.AttrRefName, run.Ref)
	put(event.AttrRevision, run.Revision)
	if run.TaskID == "" {
		put(event.AttrPipelineAction, "RUN")
		put(event.AttrPipelineRunURL, run.URL)
		put(event.AttrPipelineResult, run.Result)
	} else {
		put(event.AttrTaskName, run.Task)
		put(event.AttrTaskRunID, run.TaskID)
		put(event.AttrTaskRunURL, run.URL)
		put(event.AttrTaskRunResult, run.Result)
		put(event.AttrWorkerName, run.Worker)
		if run.Stage != event.StagePostDeploy {
			put(event.AttrTaskType, string(run.Stage))
		}
	}
	if isFailure(run.Result) {
		put(event.AttrErrorType, run.Result)
	}
	attributes.PutInt(event.AttrRunAttempt, int64(run.Attempt))
}

func putter(attributes pcommon.Map) func(name, value string) {
	return func(name, value string) {
		if value != "" {
			attributes.PutStr(name, strings.ToValidUTF8(value, "\uFFFD"))
		}
	}
}

// setTimes keeps a span from ending before it began, which forges say of skipped
// steps: then it has no length, at the later time.
func setTimes(span ptrace.Span, from, to time.Time) {
	if from.IsZero() {
		from = to
	}
	if to.Before(from) {
		to = from
	}
	span.SetStartTimestamp(pcommon.NewTimestampFromTime(from))
	span.SetEndTimestamp(pcommon.NewTimestampFromTime(to))
}

func setStatus(span ptrace.Span, result string) {
	switch {
	case result == "success":
		span.Status().SetCode(ptrace.StatusCodeOk)
	case isFailure(result):
		span.Status().SetCode(ptrace.StatusCodeError)
		span.Status().SetMessage(result)
	}
}

func isFailure(result string) bool {
	return result == "failure" || result == "error" || result == "timeout"
}

// runTraceID is the trace of a run's attempt; false when the run has no id.
func runTraceID(run event.PipelineRun) (pcommon.TraceID, bool) {
	return pcommon.TraceID(run.TraceID()), run.ID != ""
}

// runSpanID is the root span of a run, or a task's.
func runSpanID(run event.PipelineRun) pcommon.SpanID { return pcommon.SpanID(run.SpanID()) }

func spanID(format string, args ...any) pcommon.SpanID {
	return pcommon.SpanID(event.SpanIDOf(format, args...))
}
