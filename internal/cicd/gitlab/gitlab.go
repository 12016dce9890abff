// Package gitlab reads the webhooks of GitLab.
package gitlab

import (
	"strconv"
	"strings"
	"time"

	"github.com/deployloop/deployloop/internal/cicd"
	"github.com/deployloop/deployloop/internal/event"
)

// Options say what a GitLab payload cannot.
type Options struct {
	// ReleaseEnvironment makes a release a deployment to this environment; ""
	// ignores releases, since a release need not run anywhere.
	ReleaseEnvironment string
}

// Parse reads a webhook of GitLab; the payload itself names its kind.
// https://docs.gitlab.com/user/project/integrations/webhook_events/
func Parse(d cicd.Delivery, options Options) (cicd.Intake, error) {
	var kind struct {
		ObjectKind string `json:"object_kind"`
		EventName  string `json:"event_name"` // of system hooks
	}
	if err := cicd.Unmarshal("gitlab", d.Body, &kind); err != nil {
		return cicd.Intake{}, err
	}
	name := cicd.FirstText(kind.ObjectKind, kind.EventName)
	switch name {
	case "push", "pipeline", "build", "deployment", "merge_request", "release":
	default:
		return cicd.Ignored("event %s says nothing about a change on its way", cicd.Cut(name, 64)), nil
	}
	var hook gitlabHook
	if err := cicd.Unmarshal("gitlab "+name, d.Body, &hook); err != nil {
		return cicd.Intake{}, err
	}
	switch name {
	case "push":
		return hook.push(), nil
	case "pipeline":
		return hook.pipeline(), nil
	case "build":
		return hook.job(), nil
	case "deployment":
		return hook.deployment(d.ReceivedAt), nil
	case "release":
		return hook.release(d.ReceivedAt, options.ReleaseEnvironment), nil
	default:
		return hook.mergeRequest(), nil
	}
}

type gitlabHook struct {
	Project struct {
		Name              string
		PathWithNamespace string `json:"path_with_namespace"`
		WebURL            string `json:"web_url"`
	}
	Ref string
	SHA string

	// push
	Before, After     string
	Commits           []cicd.Commit // the same fields
	TotalCommitsCount int           `json:"total_commits_count"`

	ObjectAttributes struct {
		ID             int64
		Name           string
		Ref, SHA       string
		Status         string
		URL            string
		CreatedAt      cicd.Moment `json:"created_at"`
		FinishedAt     cicd.Moment `json:"finished_at"`
		Duration       float64     // seconds of work
		QueuedDuration float64     `json:"queued_duration"`

		// merge_request
		Action         string
		Title          string
		TargetBranch   string              `json:"target_branch"`
		MergeCommitSHA string              `json:"merge_commit_sha"`
		LastCommit     struct{ ID string } `json:"last_commit"`
		UpdatedAt      cicd.Moment         `json:"updated_at"`
	} `json:"object_attributes"`
	User struct{ Name, Username string }

	// build
	BuildID         int64       `json:"build_id"`
	BuildName       string      `json:"build_name"`
	BuildStage      string      `json:"build_stage"`
	BuildStatus     string      `json:"build_status"`
	BuildCreatedAt  cicd.Moment `json:"build_created_at"`
	BuildStartedAt  cicd.Moment `json:"build_started_at"`
	BuildFinishedAt cicd.Moment `json:"build_finished_at"`
	PipelineID      int64       `json:"pipeline_id"`
	FailureReason   string      `json:"build_failure_reason"`
	Runner          *struct{ Description string }

	// release
	Action     string
	Tag        any // its name; a build says whether it is of one
	URL        string
	Commit     struct{ ID any } // text here, a number in a build
	ReleasedAt cicd.Moment      `json:"released_at"`

	// deployment
	Status          string
	StatusChangedAt cicd.Moment `json:"status_changed_at"`
	DeploymentID    int64       `json:"deployment_id"`
	DeployableURL   string      `json:"deployable_url"`
	DeployableID    int64       `json:"deployable_id"` // the job
	Environment     any         // a name here, an object in a build
	CommitURL       string      `json:"commit_url"`
	ShortSHA        string      `json:"short_sha"`
}

func (h *gitlabHook) push() cicd.Intake {
	branch, isBranch := strings.CutPrefix(h.Ref, "refs/heads/")
	switch {
	case !isBranch:
		return cicd.Ignored("%s is no branch", cicd.Cut(h.Ref, 128))
	case cicd.IsZeroRevision(h.After):
		return cicd.Ignored("branch %s was deleted", cicd.Cut(branch, 128))
	case len(h.Commits) == 0:
		return cicd.Ignored("branch %s moved to a commit that was known", cicd.Cut(branch, 128))
	}
	previous := h.Before
	// GitLab sends the last 20 commits of a push: what lies before them is not told.
	if cicd.IsZeroRevision(previous) || h.TotalCommitsCount > len(h.Commits) {
		previous = ""
	}
	commits := h.Commits[max(0, len(h.Commits)-cicd.MaxCommits):]
	in := cicd.Intake{Changes: make([]event.Change, 0, len(commits))}
	for _, c := range commits {
		in.Changes = append(in.Changes, c.Change(h.Project.PathWithNamespace, branch, previous))
		previous = c.ID
	}
	return in
}

func (h *gitlabHook) pipeline() cicd.Intake {
	p := h.ObjectAttributes
	if p.ID == 0 {
		return cicd.Ignored("the pipeline has no id")
	}
	state, result := gitlabStatus(p.Status)
	run := event.PipelineRun{
		ID:         strconv.FormatInt(p.ID, 10),
		Pipeline:   cicd.Cut(cicd.FirstText(p.Name, h.Project.Name), cicd.MaxText),
		Attempt:    1,
		Stage:      cicd.StageOf(p.Name),
		State:      state,
		Result:     result,
		Repository: cicd.Cut(h.Project.PathWithNamespace, cicd.MaxText),
		Ref:        cicd.Cut(p.Ref, cicd.MaxText),
		Revision:   cicd.Cut(p.SHA, 64),
		URL:        cicd.FirstText(cicd.WebURL(p.URL), h.pageOf("pipelines", p.ID)),
		QueuedAt:   p.CreatedAt.Time,
		Source:     "gitlab",
	}
	if state == "finished" {
		run.FinishedAt = p.FinishedAt.Time
		if p.Duration > 0 && p.Duration < 1e7 && !run.FinishedAt.IsZero() {
			run.StartedAt = run.FinishedAt.Add(-time.Duration(p.Duration * float64(time.Second)))
		}
	} else if state == "executing" && p.QueuedDuration >= 0 && p.QueuedDuration < 1e7 && !run.QueuedAt.IsZero() {
		run.StartedAt = run.QueuedAt.Add(time.Duration(p.QueuedDuration * float64(time.Second)))
	}
	return cicd.Intake{Runs: []cicd.Run{{PipelineRun: run}}}
}

func (h *gitlabHook) job() cicd.Intake {
	if h.BuildID == 0 || h.PipelineID == 0 {
		return cicd.Ignored("the job has no id")
	}
	state, result := gitlabStatus(h.BuildStatus)
	run := cicd.Run{PipelineRun: event.PipelineRun{
		ID:         strconv.FormatInt(h.PipelineID, 10),
		Pipeline:   cicd.Cut(h.Project.Name, cicd.MaxText),
		Task:       cicd.Cut(h.BuildName, cicd.MaxText),
		TaskID:     strconv.FormatInt(h.BuildID, 10),
		Attempt:    1,
		Stage:      cicd.StageOf(h.BuildName, h.BuildStage),
		State:      state,
		Result:     result,
		Repository: cicd.Cut(h.Project.PathWithNamespace, cicd.MaxText),
		Ref:        cicd.Cut(h.Ref, cicd.MaxText),
		Revision:   cicd.Cut(h.SHA, 64),
		URL:        h.pageOf("jobs", h.BuildID),
		QueuedAt:   h.BuildCreatedAt.Time,
		StartedAt:  h.BuildStartedAt.Time,
		Source:     "gitlab",
	}}
	if state == "finished" {
		run.FinishedAt = h.BuildFinishedAt.Time
		run.Result, run.Component = failureOf(run.Result, h.FailureReason)
	}
	if h.Runner != nil {
		run.Worker = cicd.Cut(h.Runner.Description, cicd.MaxText)
	}
	return cicd.Intake{Runs: []cicd.Run{run}}
}

func (h *gitlabHook) deployment(now time.Time) cicd.Intake {
	// The whole commit id is only in the commit's page.
	revision := h.CommitURL[strings.LastIndexByte(h.CommitURL, '/')+1:]
	if !cicd.IsRevision(revision) {
		revision = h.ShortSHA
	}
	environment, _ := h.Environment.(string)
	if revision == "" || h.Project.Name == "" {
		return cicd.Ignored("the deployment names no commit or no project")
	}
	at := cicd.FirstTime(h.StatusChangedAt.Time, now)
	d := event.Deployment{
		Aliases:     []string{"gitlab:" + h.Project.PathWithNamespace + ":" + strconv.FormatInt(h.DeploymentID, 10)},
		Service:     cicd.Cut(h.Project.Name, cicd.MaxText),
		Environment: cicd.Cut(cicd.FirstText(environment, event.DefaultEnvironment), cicd.MaxText),
		Revision:    cicd.Cut(revision, 64),
		Version:     cicd.VersionOf(h.Ref),
		URL:         cicd.WebURL(h.DeployableURL),
		Repository:  cicd.Cut(h.Project.PathWithNamespace, cicd.MaxText),
	}
	switch h.Status {
	case "running":
		d.Status, d.StartedAt = event.DeploymentStarted, at
	case "success":
		d.Status, d.FinishedAt = event.DeploymentSucceeded, at
	case "failed":
		d.Status, d.FinishedAt = event.DeploymentFailed, at
	default: // created, blocked, canceled, skipped
		return cicd.Ignored("deployment status %s changes nothing that is watched", cicd.Cut(h.Status, 32))
	}
	source := event.Source{Name: event.SourceGitLab, ID: d.Aliases[0], At: at, Object: cicd.WebURL(h.Project.WebURL)}
	if h.DeployableID > 0 {
		source.Release = strconv.FormatInt(h.DeployableID, 10)
	}
	d.Sources = []event.Source{source}
	return cicd.Intake{Deployments: []event.Deployment{d}}
}

func (h *gitlabHook) release(now time.Time, environment string) cicd.Intake {
	tag, _ := h.Tag.(string)
	switch {
	case environment == "":
		return cicd.Ignored("a release is a deployment only where gitlab.release_environment names its environment")
	case h.Action != "create" || tag == "" || h.Project.Name == "":
		return cicd.Ignored("release %s", cicd.Cut(h.Action, 32))
	}
	at := cicd.FirstTime(h.ReleasedAt.Time, now)
	if at.After(now) {
		return cicd.Ignored("release %s is of a day to come", cicd.Cut(tag, 128))
	}
	revision, _ := h.Commit.ID.(string)
	d := event.Deployment{
		Aliases:     []string{"gitlab-release:" + cicd.Cut(h.Project.PathWithNamespace, 256) + ":" + cicd.Cut(tag, 256)},
		Service:     cicd.Cut(h.Project.Name, cicd.MaxText),
		Environment: environment,
		Version:     cicd.Cut(tag, cicd.MaxText),
		Revision:    cicd.Cut(revision, 64),
		Status:      event.DeploymentSucceeded,
		StartedAt:   at,
		FinishedAt:  at,
		URL:         cicd.WebURL(h.URL),
		Repository:  cicd.Cut(h.Project.PathWithNamespace, cicd.MaxText),
	}
	d.Sources = []event.Source{{Name: event.SourceGitLab, ID: d.Aliases[0], At: at}}
	return cicd.Intake{Deployments: []event.Deployment{d}}
}

func (h *gitlabHook) mergeRequest() cicd.Intake {
	m := h.ObjectAttributes
	if m.Action != "merge" || m.MergeCommitSHA == "" {
		return cicd.Ignored("merge request %s: nothing was merged", cicd.Cut(m.Action, 32))
	}
	return cicd.Intake{Changes: []event.Change{{
		Repository: cicd.Cut(h.Project.PathWithNamespace, cicd.MaxText),
		Ref:        cicd.Cut(m.TargetBranch, cicd.MaxText),
		Revision:   cicd.Cut(m.MergeCommitSHA, 64),
		Message:    cicd.Cut(m.Title, cicd.MaxMessage),
		Author:     cicd.Cut(cicd.FirstText(h.User.Name, h.User.Username), cicd.MaxText),
		At:         m.UpdatedAt.Time,
		PullURL:    cicd.WebURL(m.URL),
		PullHead:   cicd.Cut(m.LastCommit.ID, 64),
	}}}
}

func (h *gitlabHook) pageOf(what string, id int64) string {
	base := cicd.WebURL(h.Project.WebURL)
	if base == "" {
		return ""
	}
	return base + "/-/" + what + "/" + strconv.FormatInt(id, 10)
}

func gitlabStatus(status string) (state, result string) {
	switch status {
	case "success":
		return "finished", "success"
	case "failed":
		return "finished", "failure"
	case "canceled":
		return "finished", "cancellation"
	case "skipped":
		return "finished", "skip"
	case "running", "canceling":
		return "executing", ""
	default: // created, waiting_for_resource, preparing, pending, manual, scheduled
		return "pending", ""
	}
}

// failureOf tells a job that failed by itself from one that GitLab failed.
func failureOf(result, reason string) (string, string) {
	if result != "failure" {
		return result, ""
	}
	switch reason {
	case "job_execution_timeout":
		return "timeout", ""
	case "runner_system_failure", "runner_unsupported", "runner_provisioning_timeout":
		return "error", "agent"
	case "stuck_or_timeout_failure", "scheduler_failure", "no_matching_runner":
		return "error", "scheduler"
	case "api_failure", "data_integrity_failure", "archived_failure", "unmet_prerequisites", "ci_quota_exceeded":
		return "error", "controller"
	}
	return result, ""
}
