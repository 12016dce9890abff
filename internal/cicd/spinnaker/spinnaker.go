// Package spinnaker reads the webhooks of Echo, by which Spinnaker tells what it does.
package spinnaker

import (
	"slices"
	"strings"
	"time"

	"github.com/deployloop/deployloop/internal/cicd"
	"github.com/deployloop/deployloop/internal/event"
)

// Parse reads what Echo posts to a REST listener: the run of a pipeline
// (orca:pipeline:*), of each of its stages (orca:stage:*; its tasks are its steps,
// and orca:task:* says nothing more), and a deployment for each environment
// (account) that a deploy stage goes to, from its start on. The version comes from
// the trigger (a tag, an image, a build's commit or a parameter), else from the
// manifests that the stage deploys.
// https://spinnaker.io/docs/setup/other_config/notifications/#add-a-generic-webhook-to-spinnaker
func Parse(d cicd.Delivery) (cicd.Intake, error) {
	var hook hook
	if err := cicd.Unmarshal("spinnaker", d.Body, &hook); err != nil {
		return cicd.Intake{}, err
	}
	name, found := strings.CutPrefix(hook.Details.Type, "orca:")
	what, phase, _ := strings.Cut(name, ":")
	e := &hook.Content.Execution
	if !found || e.ID == "" {
		return cicd.Ignored("event %s is none of a pipeline's run", cicd.Cut(hook.Details.Type, 64)), nil
	}
	e.Application = cicd.FirstText(e.Application, hook.Details.Application)
	switch what {
	case "pipeline":
		return hook.pipeline(phase, d), nil
	case "stage":
		return hook.stage(phase, d), nil
	case "task":
		return cicd.Ignored("a task is told with its stage"), nil
	}
	return cicd.Ignored("event %s is none of a pipeline's run", cicd.Cut(hook.Details.Type, 64)), nil
}

type hook struct {
	Details struct {
		Type, Application string
		Created           cicd.Moment
	}
	Content struct {
		Execution          execution
		StageID, Name      string // of the stage, in newer versions
		IsSynthetic        bool
		StartTime, EndTime cicd.Moment
		Context            struct {
			StageDetails struct {
				Name, Type  string
				IsSynthetic bool
				StartTime   cicd.Moment
			}
		}
	}
}

type execution struct {
	ID, Name, Application, Status string
	BuildTime, StartTime, EndTime cicd.Moment
	Trigger                       struct {
		Branch, Hash, Tag string
		Parameters        map[string]any
		Artifacts         []struct{ Type, Version string }
		BuildInfo         struct {
			SCM []struct{ SHA1 string }
		}
	}
	Stages []stage
}

type stage struct {
	ID, Name, Type, Status string
	SyntheticStageOwner    string
	StartTime, EndTime     cicd.Moment
	Context                struct {
		Account   string
		Clusters  []struct{ Account string }
		Manifests []struct {
			Spec struct {
				Template struct {
					Spec struct{ Containers []struct{ Image string } }
				}
			}
		}
	}
	Tasks []struct {
		Name, Status       string
		StartTime, EndTime cicd.Moment
	}
}

func (h *hook) pipeline(phase string, d cicd.Delivery) cicd.Intake {
	e := &h.Content.Execution
	run := e.run()
	run.StartedAt = e.StartTime.Time
	if phase == "starting" {
		run.State, run.StartedAt = "executing", cicd.FirstTime(e.StartTime.Time, h.Details.Created.Time, d.ReceivedAt)
		return cicd.Intake{Runs: []cicd.Run{{PipelineRun: run}}}
	}
	run.State = "finished"
	run.FinishedAt = cicd.FirstTime(e.EndTime.Time, h.Details.Created.Time, d.ReceivedAt)
	run.Result = resultOf(e.Status)
	in := cicd.Intake{Runs: []cicd.Run{{PipelineRun: run}}}
	for i := range e.Stages {
		s := &e.Stages[i]
		if s.Status == "RUNNING" { // Orca cancels what goes on after it told the end
			s.Status = "CANCELED"
		}
		s.EndTime.Time = cicd.FirstTime(s.EndTime.Time, run.FinishedAt)
		in.Deployments = append(in.Deployments, e.deployments(s)...)
		if len(in.Deployments) >= maxDeployments {
			break
		}
	}
	return in
}

// stage is the run of one stage, and what it deploys.
func (h *hook) stage(phase string, d cicd.Delivery) cicd.Intake {
	e, details := &h.Content.Execution, h.Content.Context.StageDetails
	s := e.stage(h.Content.StageID, cicd.FirstText(details.Name, h.Content.Name), cicd.FirstTime(h.Content.StartTime.Time, details.StartTime.Time))
	switch {
	case h.Content.IsSynthetic || details.IsSynthetic || s != nil && s.SyntheticStageOwner != "":
		return cicd.Ignored("a synthetic stage is part of the one that made it")
	case s == nil:
		return cicd.Ignored("the execution does not hold the stage that the event is of")
	}
	began := cicd.FirstTime(h.Content.StartTime.Time, s.StartTime.Time)
	run := cicd.Run{PipelineRun: e.run()}
	run.TaskID, run.Task = cicd.Cut(s.ID, cicd.MaxText), cicd.Cut(cicd.FirstText(s.Name, s.Type), cicd.MaxText)
	if run.TaskID == "" {
		run.TaskID = run.ID + "/" + run.Task
	}
	run.QueuedAt = time.Time{} // a stage waits for others, not for a worker
	if phase == "starting" {
		run.State, run.StartedAt = "executing", cicd.FirstTime(began, h.Details.Created.Time, d.ReceivedAt)
		s.Status, s.StartTime.Time, s.EndTime.Time = "RUNNING", run.StartedAt, time.Time{}
	} else {
		run.State, run.StartedAt, s.StartTime.Time = "finished", began, began
		run.FinishedAt = cicd.FirstTime(h.Content.EndTime.Time, s.EndTime.Time, h.Details.Created.Time, d.ReceivedAt)
		if s.Status == "RUNNING" || s.Status == "" { // the execution is as it was just before
			s.Status = map[string]string{"complete": "SUCCEEDED", "failed": "TERMINAL", "canceled": "CANCELED"}[phase]
		}
		run.Result = resultOf(s.Status)
		s.EndTime.Time = run.FinishedAt
		for _, t := range s.Tasks[:min(len(s.Tasks), cicd.MaxSteps)] {
			step := cicd.Step{Name: cicd.Cut(t.Name, cicd.MaxText), StartedAt: t.StartTime.Time, FinishedAt: cicd.FirstTime(t.EndTime.Time, run.FinishedAt)}
			if t.Status != "NOT_STARTED" {
				step.Result = resultOf(t.Status)
			}
			run.Steps = append(run.Steps, step)
		}
	}
	return cicd.Intake{Runs: []cicd.Run{run}, Deployments: e.deployments(s)}
}

// run is what every run of the execution has.
func (e *execution) run() event.PipelineRun {
	return event.PipelineRun{
		ID:       cicd.Cut(e.ID, cicd.MaxText),
		Pipeline: cicd.Cut(cicd.FirstText(e.Name, e.Application), cicd.MaxText),
		Attempt:  1,
		Stage:    event.StageDeploy,
		Ref:      cicd.Cut(e.Trigger.Branch, cicd.MaxText),
		Revision: cicd.Cut(e.revision(), 64),
		QueuedAt: e.BuildTime.Time,
		Source:   event.SourceSpinnaker,
	}
}

// stage finds a stage by its id, else by its name, of several of one name the one
// that began then.
func (e *execution) stage(id, name string, began time.Time) *stage {
	var found *stage
	for i := range e.Stages {
		s := &e.Stages[i]
		if id != "" && s.ID == id {
			return s
		}
		if name != "" && s.Name == name && (found == nil || !began.IsZero() && s.StartTime.Equal(began)) {
			found = s
		}
	}
	return found
}

func (e *execution) revision() string {
	revision := e.Trigger.Hash
	if scm := e.Trigger.BuildInfo.SCM; revision == "" && len(scm) > 0 {
		revision = scm[0].SHA1
	}
	if revision == "" {
		revision, _ = e.Trigger.Parameters["revision"].(string)
	}
	return revision
}

// version is what the trigger calls the version, "" when it calls it nothing.
func (e *execution) version() string {
	version, _ := e.Trigger.Parameters["version"].(string)
	version = cicd.FirstText(version, e.Trigger.Tag) // a registry's trigger carries the tag of the image
	for _, a := range e.Trigger.Artifacts {
		if version == "" && a.Type == "docker/image" && !strings.HasPrefix(a.Version, "sha256:") {
			version = cicd.ImageTag("image:" + a.Version)
		}
	}
	return version
}

// chosenBy is the parameter that chose what the pipeline deploys, by which a
// former choice can be made again; "" when the trigger itself did.
func (e *execution) chosenBy() string {
	for _, name := range []string{"version", "revision"} {
		if value, _ := e.Trigger.Parameters[name].(string); value != "" {
			return name + "=" + cicd.Cut(value, 200)
		}
	}
	return ""
}

// maxDeployments is the most that one execution can bring.
const maxDeployments = 100

// status is what a stage's status says of a deployment; "" where it never began.
func (s *stage) status() event.DeploymentStatus {
	switch s.Status {
	case "RUNNING":
		return event.DeploymentStarted
	case "SUCCEEDED":
		return event.DeploymentSucceeded
	case "TERMINAL":
		return event.DeploymentFailed
	case "CANCELED", "STOPPED", "FAILED_CONTINUE":
		if !s.StartTime.IsZero() { // it may have rolled out some of it
			return event.DeploymentFailed
		}
	}
	return ""
}

// over holds for statuses that are final.
func over(status string) bool {
	switch status {
	case "SUCCEEDED", "TERMINAL", "CANCELED", "STOPPED", "FAILED_CONTINUE", "SKIPPED":
		return true
	}
	return false
}

// goal is a deployment of an execution to one account.
type goal struct{ id, account string }

// goals are what a deploy stage deploys, and whereto. An execution deploys one thing
// to an account, in one stage or in several (a canary, then all), unless only the
// manifests tell what it is, and differ.
func (e *execution) goals(s *stage) (version string, goals []goal) {
	if s.Type != "deploy" && s.Type != "deployManifest" || e.Application == "" {
		return "", nil
	}
	var images []string
	for _, m := range s.Context.Manifests {
		for _, c := range m.Spec.Template.Spec.Containers {
			images = append(images, c.Image)
		}
	}
	tag := cicd.CommonTag(images)
	if version = cicd.FirstText(e.version(), tag); version == "" && e.revision() == "" {
		return "", nil
	}
	var accounts []string
	if s.Context.Account != "" {
		accounts = []string{s.Context.Account}
	}
	for _, c := range s.Context.Clusters { // of a deploy stage to server groups
		accounts = append(accounts, c.Account)
	}
	seen := map[string]bool{"": true}
	for _, account := range accounts {
		if seen[account] || len(goals) >= maxDeployments {
			continue
		}
		seen[account] = true
		id := "spinnaker:" + cicd.Cut(e.ID, 128) + ":" + cicd.Cut(account, 128)
		if e.version() == "" && e.revision() == "" {
			id += ":" + cicd.Cut(tag, 128)
		}
		goals = append(goals, goal{id, account})
	}
	return version, goals
}

// remaining holds where another stage is yet to do its part.
func (e *execution) remaining(s *stage, g goal) bool {
	for i := range e.Stages {
		other := &e.Stages[i]
		if other == s || over(other.Status) {
			continue
		}
		if _, goals := e.goals(other); slices.Contains(goals, g) {
			return true
		}
	}
	return false
}

// deployments are what a deploy stage deploys, one an account. It succeeded when the
// last of its stages did.
func (e *execution) deployments(s *stage) []event.Deployment {
	version, goals := e.goals(s)
	status := s.status()
	if status == "" {
		return nil
	}
	var deployments []event.Deployment
	for _, g := range goals {
		d := event.Deployment{
			Aliases:     []string{g.id},
			Service:     cicd.Cut(e.Application, cicd.MaxText),
			Environment: cicd.Cut(g.account, cicd.MaxText),
			Version:     cicd.Cut(version, cicd.MaxText),
			Revision:    cicd.Cut(e.revision(), 64),
			StartedAt:   s.StartTime.Time,
			FinishedAt:  s.EndTime.Time,
			Status:      status,
		}
		if status == event.DeploymentSucceeded && e.Status != "SUCCEEDED" && e.remaining(s, g) {
			if over(e.Status) {
				d.Status = event.DeploymentFailed
			} else {
				d.Status, d.FinishedAt = event.DeploymentStarted, time.Time{}
			}
		}
		d.Sources = []event.Source{{
			Name: event.SourceSpinnaker, ID: d.Aliases[0], At: cicd.FirstTime(d.FinishedAt, d.StartedAt),
			Object: cicd.Cut(e.Application+"/"+e.Name, cicd.MaxText), Release: e.chosenBy(),
		}}
		deployments = append(deployments, d)
	}
	return deployments
}

// resultOf is a status of Orca in the words of semantic conventions.
func resultOf(status string) string {
	switch status {
	case "SUCCEEDED":
		return "success"
	case "CANCELED", "STOPPED":
		return "cancellation"
	case "SKIPPED":
		return "skip"
	default: // TERMINAL, FAILED_CONTINUE, …
		return "failure"
	}
}
