package eventotlp

import (
	"errors"
	"fmt"

	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/plog"

	"github.com/deployloop/deployloop/internal/event"
)

// EncodePipelineRun writes r as one record; its timestamp is the latest of its times.
func EncodePipelineRun(r event.PipelineRun, record plog.LogRecord) {
	at := r.FinishedAt
	if at.IsZero() {
		at = r.StartedAt
	}
	if at.IsZero() {
		at = r.QueuedAt
	}
	begin(record, event.NamePipelineRun, at)
	bindPipelineRun(&attributes{record: record.Attributes()}, &r)
	if r.Task != "" && r.Stage != "" && r.Stage != event.StagePostDeploy {
		record.Attributes().PutStr(event.AttrTaskType, string(r.Stage)) // semconv knows build, test and deploy
	}
	what := r.Pipeline
	if r.Task != "" {
		what += " / " + r.Task
	}
	outcome := r.State
	if r.Result != "" {
		outcome = r.Result
	}
	if r.Repository != "" {
		what += " of " + r.Repository
	}
	say(record, fmt.Sprintf("pipeline %s: %s", what, outcome))
	switch r.Result {
	case "failure", "error", "timeout":
		severity(record, plog.SeverityNumberError)
	}
}

// DecodePipelineRun reads a run of a pipeline or of a task; one without a run id
// is an error.
func DecodePipelineRun(resource pcommon.Resource, record plog.LogRecord) (event.PipelineRun, error) {
	var r event.PipelineRun
	a := &attributes{record: record.Attributes(), decoding: true}
	bindPipelineRun(a, &r)
	text(a, &r.Stage, event.AttrStage, event.AttrTaskType)
	if err := a.err(); err != nil {
		return event.PipelineRun{}, err
	}
	if r.Repository == "" {
		r.Repository = repositoryOf(resource.Attributes())
	}
	if r.ID == "" {
		return event.PipelineRun{}, errors.New("a pipeline run needs the attribute " + event.AttrPipelineRunID)
	}
	return r, nil
}

func bindPipelineRun(a *attributes, r *event.PipelineRun) {
	text(a, &r.ID, event.AttrPipelineRunID)
	text(a, &r.Pipeline, event.AttrPipelineName)
	text(a, &r.Task, event.AttrTaskName)
	text(a, &r.TaskID, event.AttrTaskRunID)
	integer(a, &r.Attempt, event.AttrRunAttempt)
	text(a, &r.Stage, event.AttrStage)
	text(a, &r.State, event.AttrPipelineState)
	a.repository(&r.Repository)
	text(a, &r.Ref, event.AttrRefName)
	a.flag(&r.RefAssumed, event.AttrRunRefAssumed)
	text(a, &r.Revision, event.RevisionNames[0], event.RevisionNames[1:]...)
	text(a, &r.Worker, event.AttrWorkerName)
	a.instant(&r.QueuedAt, event.AttrRunQueuedAt)
	a.instant(&r.StartedAt, event.AttrRunStartedAt)
	a.instant(&r.FinishedAt, event.AttrRunFinishedAt)
	text(a, &r.Source, event.AttrSource)
	// Semantic conventions name the result and the page of a task's run
	// otherwise than those of the whole run.
	if r.Task != "" || r.TaskID != "" {
		text(a, &r.Result, event.AttrTaskRunResult)
		text(a, &r.URL, event.AttrTaskRunURL)
	} else {
		text(a, &r.Result, event.AttrPipelineResult)
		text(a, &r.URL, event.AttrPipelineRunURL)
	}
}
