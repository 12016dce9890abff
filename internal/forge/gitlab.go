package forge

import (
	"strconv"
	"strings"
	"time"

	"github.com/deployloop/deployloop/internal/event"
)

// GitLab reads a webhook of GitLab; the payload itself names its kind.
// https://docs.gitlab.com/user/project/integrations/webhook_events/
func GitLab(d Delivery) (Intake, error) {
	var kind struct {
		ObjectKind string `json:"object_kind"`
		EventName  string `json:"event_name"` // of system hooks
	}
	if err := unmarshal("gitlab", d.Body, &kind); err != nil {
		return Intake{}, err
	}
	name := firstText(kind.ObjectKind, kind.EventName)
	switch name {
	case "push", "pipeline", "build", "deployment", "merge_request":
	default:
		return ignored("event %s says nothing about a change on its way", cut(name, 64)), nil
	}
	var hook gitlabHook
	if err := unmarshal("gitlab "+name, d.Body, &hook); err != nil {
		return Intake{}, err
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
	Commits           []githubCommit // the same fields
	TotalCommitsCount int            `json:"total_commits_count"`

	ObjectAttributes struct {
		ID             int64
		Name           string
		Ref, SHA       string
		Status         string
		URL            string
		CreatedAt      moment  `json:"created_at"`
		FinishedAt     moment  `json:"finished_at"`
		Duration       float64 // seconds of work
		QueuedDuration float64 `json:"queued_duration"`

		// merge_request
		Action         string
		Title          string
		TargetBranch   string `json:"target_branch"`
		MergeCommitSHA string `json:"merge_commit_sha"`
		UpdatedAt      moment `json:"updated_at"`
	} `json:"object_attributes"`
	User struct{ Name, Username string }

	// build
	BuildID         int64  `json:"build_id"`
	BuildName       string `json:"build_name"`
	BuildStage      string `json:"build_stage"`
	BuildStatus     string `json:"build_status"`
	BuildCreatedAt  moment `json:"build_created_at"`
	BuildStartedAt  moment `json:"build_started_at"`
	BuildFinishedAt moment `json:"build_finished_at"`
	PipelineID      int64  `json:"pipeline_id"`
	Runner          *struct{ Description string }

	// deployment
	Status          string
	StatusChangedAt moment `json:"status_changed_at"`
	DeploymentID    int64  `json:"deployment_id"`
	DeployableURL   string `json:"deployable_url"`
	DeployableID    int64  `json:"deployable_id"` // the job
	Environment     any    // a name here, an object in a build
	CommitURL       string `json:"commit_url"`
	ShortSHA        string `json:"short_sha"`
}

func (h *gitlabHook) push() Intake {
	branch, isBranch := strings.CutPrefix(h.Ref, "refs/heads/")
	switch {
	case !isBranch:
		return ignored("%s is no branch", cut(h.Ref, 128))
	case isZeroRevision(h.After):
		return ignored("branch %s was deleted", cut(branch, 128))
	case len(h.Commits) == 0:
		return ignored("branch %s moved to a commit that was known", cut(branch, 128))
	}
	previous := h.Before
	// GitLab sends the last 20 commits of a push: what lies before them is not told.
	if isZeroRevision(previous) || h.TotalCommitsCount > len(h.Commits) {
		previous = ""
	}
	commits := h.Commits[max(0, len(h.Commits)-maxCommits):]
	in := Intake{Changes: make([]event.Change, 0, len(commits))}
	for _, c := range commits {
		in.Changes = append(in.Changes, c.change(h.Project.PathWithNamespace, branch, previous))
		previous = c.ID
	}
	return in
}

func (h *gitlabHook) pipeline() Intake {
	p := h.ObjectAttributes
	if p.ID == 0 {
		return ignored("the pipeline has no id")
	}
	state, result := gitlabStatus(p.Status)
	run := event.PipelineRun{
		ID:         strconv.FormatInt(p.ID, 10),
		Pipeline:   cut(firstText(p.Name, h.Project.Name), maxText),
		Attempt:    1,
		Stage:      stageOf(p.Name),
		State:      state,
		Result:     result,
		Repository: cut(h.Project.PathWithNamespace, maxText),
		Ref:        cut(p.Ref, maxText),
		Revision:   cut(p.SHA, 64),
		URL:        firstText(webURL(p.URL), h.pageOf("pipelines", p.ID)),
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
	return Intake{Runs: []Run{{PipelineRun: run}}}
}

func (h *gitlabHook) job() Intake {
	if h.BuildID == 0 || h.PipelineID == 0 {
		return ignored("the job has no id")
	}
	state, result := gitlabStatus(h.BuildStatus)
	run := event.PipelineRun{
		ID:         strconv.FormatInt(h.PipelineID, 10),
		Pipeline:   cut(h.Project.Name, maxText),
		Task:       cut(h.BuildName, maxText),
		TaskID:     strconv.FormatInt(h.BuildID, 10),
		Attempt:    1,
		Stage:      stageOf(h.BuildName, h.BuildStage),
		State:      state,
		Result:     result,
		Repository: cut(h.Project.PathWithNamespace, maxText),
		Ref:        cut(h.Ref, maxText),
		Revision:   cut(h.SHA, 64),
		URL:        h.pageOf("jobs", h.BuildID),
		QueuedAt:   h.BuildCreatedAt.Time,
		StartedAt:  h.BuildStartedAt.Time,
		Source:     "gitlab",
	}
	if state == "finished" {
		run.FinishedAt = h.BuildFinishedAt.Time
	}
	if h.Runner != nil {
		run.Worker = cut(h.Runner.Description, maxText)
	}
	return Intake{Runs: []Run{{PipelineRun: run}}}
}

func (h *gitlabHook) deployment(now time.Time) Intake {
	// The whole commit id is only in the commit's page.
	revision := h.CommitURL[strings.LastIndexByte(h.CommitURL, '/')+1:]
	if !isRevision(revision) {
		revision = h.ShortSHA
	}
	environment, _ := h.Environment.(string)
	if revision == "" || h.Project.Name == "" {
		return ignored("the deployment names no commit or no project")
	}
	at := firstTime(h.StatusChangedAt.Time, now)
	d := event.Deployment{
		Aliases:     []string{"gitlab:" + h.Project.PathWithNamespace + ":" + strconv.FormatInt(h.DeploymentID, 10)},
		Service:     cut(h.Project.Name, maxText),
		Environment: cut(firstText(environment, event.DefaultEnvironment), maxText),
		Revision:    cut(revision, 64),
		Version:     versionOf(h.Ref),
		URL:         webURL(h.DeployableURL),
		Repository:  cut(h.Project.PathWithNamespace, maxText),
	}
	switch h.Status {
	case "running":
		d.Status, d.StartedAt = event.DeploymentStarted, at
	case "success":
		d.Status, d.FinishedAt = event.DeploymentSucceeded, at
	case "failed":
		d.Status, d.FinishedAt = event.DeploymentFailed, at
	default: // created, blocked, canceled, skipped
		return ignored("deployment status %s changes nothing that is watched", cut(h.Status, 32))
	}
	source := event.Source{Name: event.SourceGitLab, ID: d.Aliases[0], At: at, Object: webURL(h.Project.WebURL)}
	if h.DeployableID > 0 {
		source.Release = strconv.FormatInt(h.DeployableID, 10)
	}
	d.Sources = []event.Source{source}
	return Intake{Deployments: []event.Deployment{d}}
}

func (h *gitlabHook) mergeRequest() Intake {
	m := h.ObjectAttributes
	if m.Action != "merge" || m.MergeCommitSHA == "" {
		return ignored("merge request %s: nothing was merged", cut(m.Action, 32))
	}
	return Intake{Changes: []event.Change{{
		Repository: cut(h.Project.PathWithNamespace, maxText),
		Ref:        cut(m.TargetBranch, maxText),
		Revision:   cut(m.MergeCommitSHA, 64),
		Message:    cut(m.Title, maxMessage),
		Author:     cut(firstText(h.User.Name, h.User.Username), maxText),
		At:         m.UpdatedAt.Time,
		PullURL:    webURL(m.URL),
	}}}
}

func (h *gitlabHook) pageOf(what string, id int64) string {
	base := webURL(h.Project.WebURL)
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
