package forge

import (
	"strings"

	"github.com/deployloop/deployloop/internal/event"
)

// Spinnaker reads what Echo posts to a REST listener: the pipeline's run, and a
// deployment for each environment (account) that a deploy stage of a finished
// pipeline went to. The version comes from the trigger: a tag, a build's commit
// or a parameter.
// https://spinnaker.io/docs/setup/other_config/notifications/#add-a-generic-webhook-to-spinnaker
func Spinnaker(d Delivery) (Intake, error) {
	var hook struct {
		Details struct {
			Type, Application string
			Created           moment
		}
		Content struct{ Execution spinnakerExecution }
	}
	if err := unmarshal("spinnaker", d.Body, &hook); err != nil {
		return Intake{}, err
	}
	e := hook.Content.Execution
	phase, isPipeline := strings.CutPrefix(hook.Details.Type, "orca:pipeline:")
	if !isPipeline || e.ID == "" {
		return ignored("event %s is none of a pipeline's run", cut(hook.Details.Type, 64)), nil
	}
	e.Application = firstText(e.Application, hook.Details.Application)
	run := event.PipelineRun{
		ID:        cut(e.ID, maxText),
		Pipeline:  cut(firstText(e.Name, e.Application), maxText),
		Attempt:   1,
		Stage:     event.StageDeploy,
		Ref:       cut(e.Trigger.Branch, maxText),
		Revision:  cut(e.revision(), 64),
		QueuedAt:  e.BuildTime.Time,
		StartedAt: e.StartTime.Time,
		Source:    "spinnaker",
	}
	if phase == "starting" {
		run.State, run.StartedAt = "executing", firstTime(e.StartTime.Time, hook.Details.Created.Time, d.ReceivedAt)
		return Intake{Runs: []Run{{PipelineRun: run}}}, nil
	}
	run.State = "finished"
	run.FinishedAt = firstTime(e.EndTime.Time, hook.Details.Created.Time, d.ReceivedAt)
	switch e.Status {
	case "SUCCEEDED":
		run.Result = "success"
	case "CANCELED", "STOPPED":
		run.Result = "cancellation"
	case "SKIPPED":
		run.Result = "skip"
	default: // TERMINAL, FAILED_CONTINUE, …
		run.Result = "failure"
	}
	return Intake{Runs: []Run{{PipelineRun: run}}, Deployments: e.deployments()}, nil
}

type spinnakerExecution struct {
	ID, Name, Application, Status string
	BuildTime, StartTime, EndTime moment
	Trigger                       struct {
		Branch, Hash, Tag string
		Parameters        map[string]any
		BuildInfo         struct {
			SCM []struct{ SHA1 string }
		}
	}
	Stages []struct {
		Type, Status       string
		StartTime, EndTime moment
		Context            struct{ Account string }
	}
}

func (e *spinnakerExecution) revision() string {
	revision := e.Trigger.Hash
	if scm := e.Trigger.BuildInfo.SCM; revision == "" && len(scm) > 0 {
		revision = scm[0].SHA1
	}
	if revision == "" {
		revision, _ = e.Trigger.Parameters["revision"].(string)
	}
	return revision
}

// chosenBy is the parameter that chose what the pipeline deploys, by which a
// former choice can be made again; "" when the trigger itself did.
func (e *spinnakerExecution) chosenBy() string {
	for _, name := range []string{"version", "revision"} {
		if value, _ := e.Trigger.Parameters[name].(string); value != "" {
			return name + "=" + cut(value, 200)
		}
	}
	return ""
}

func (e *spinnakerExecution) deployments() []event.Deployment {
	version, _ := e.Trigger.Parameters["version"].(string)
	// A registry's trigger carries the tag of the image.
	version = firstText(version, e.Trigger.Tag)
	if e.Application == "" || version == "" && e.revision() == "" {
		return nil
	}
	var deployments []event.Deployment
	for _, stage := range e.Stages {
		if stage.Type != "deploy" && stage.Type != "deployManifest" || stage.Context.Account == "" || len(deployments) >= 100 {
			continue
		}
		d := event.Deployment{
			Aliases:     []string{"spinnaker:" + cut(e.ID, 128) + ":" + cut(stage.Context.Account, 128)},
			Service:     cut(e.Application, maxText),
			Environment: cut(stage.Context.Account, maxText),
			Version:     cut(version, maxText),
			Revision:    cut(e.revision(), 64),
			StartedAt:   stage.StartTime.Time,
			FinishedAt:  stage.EndTime.Time,
		}
		switch stage.Status {
		case "SUCCEEDED":
			d.Status = event.DeploymentSucceeded
		case "TERMINAL":
			d.Status = event.DeploymentFailed
		default: // NOT_STARTED, SKIPPED, CANCELED
			continue
		}
		d.Sources = []event.Source{{
			Name: event.SourceSpinnaker, ID: d.Aliases[0], At: firstTime(d.FinishedAt, d.StartedAt),
			Object: cut(e.Application+"/"+e.Name, maxText), Release: e.chosenBy(),
		}}
		deployments = append(deployments, d)
	}
	return deployments
}
