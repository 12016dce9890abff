package github

import (
	"strconv"
	"strings"
	"time"

	"github.com/deployloop/deployloop/internal/cicd"
	"github.com/deployloop/deployloop/internal/event"
)

type githubRun struct {
	ID         int64
	Name       string
	HeadBranch string `json:"head_branch"`
	HeadSHA    string `json:"head_sha"`
	HeadRepo   struct {
		FullName string `json:"full_name"`
		Owner    struct{ Login string }
	} `json:"head_repository"`
	Status       string
	Conclusion   string
	HTMLURL      string      `json:"html_url"`
	Attempt      int         `json:"run_attempt"`
	CreatedAt    cicd.Moment `json:"created_at"`
	RunStartedAt cicd.Moment `json:"run_started_at"`
	UpdatedAt    cicd.Moment `json:"updated_at"`
}

// branch is named as GitHub labels it: a fork's main is not the repository's.
func (r githubRun) branch(repository string) string {
	if fork := r.HeadRepo; fork.FullName != "" && !strings.EqualFold(fork.FullName, repository) {
		return fork.Owner.Login + ":" + r.HeadBranch
	}
	return r.HeadBranch
}

// assumed tells whether a branch may be a fork's. GitHub's runs, but those of a fork
// that is gone, say whose it is and its jobs do not; Gitea's name branches of the
// repository alone.
func (h *githubHook) assumed(whose string) bool {
	return h.source == event.SourceGitHub && whose == ""
}

type githubJob struct {
	ID           int64
	RunID        int64 `json:"run_id"`
	Attempt      int   `json:"run_attempt"`
	Name         string
	WorkflowName string `json:"workflow_name"`
	HeadBranch   string `json:"head_branch"`
	HeadSHA      string `json:"head_sha"`
	Status       string
	Conclusion   string
	HTMLURL      string      `json:"html_url"`
	RunnerName   string      `json:"runner_name"`
	CreatedAt    cicd.Moment `json:"created_at"`
	StartedAt    cicd.Moment `json:"started_at"`
	CompletedAt  cicd.Moment `json:"completed_at"`
	Steps        []struct {
		Name, Status, Conclusion string
		StartedAt                cicd.Moment `json:"started_at"`
		CompletedAt              cicd.Moment `json:"completed_at"`
	}
}

type githubCheck struct {
	ID          int64
	Name        string
	HeadSHA     string `json:"head_sha"`
	Status      string
	Conclusion  string
	HTMLURL     string      `json:"html_url"`
	DetailsURL  string      `json:"details_url"`
	StartedAt   cicd.Moment `json:"started_at"`
	CompletedAt cicd.Moment `json:"completed_at"`
	App         struct{ Slug, Name string }
	CheckSuite  struct {
		ID         int64
		HeadBranch string `json:"head_branch"`
	} `json:"check_suite"`
}

type githubSuite struct {
	ID         int64
	HeadBranch string `json:"head_branch"`
	HeadSHA    string `json:"head_sha"`
	Status     string
	Conclusion string
	CreatedAt  cicd.Moment `json:"created_at"`
	UpdatedAt  cicd.Moment `json:"updated_at"`
	App        struct{ Slug, Name string }
}

type githubAlert struct {
	Number    int64
	CreatedAt cicd.Moment `json:"created_at"`
	HTMLURL   string      `json:"html_url"`
	Rule      struct{ ID, Severity, Description string }
	Tool      struct{ Name string }
	Instance  struct {
		CommitSHA string `json:"commit_sha"`
		Message   struct{ Text string }
		Location  struct {
			Path      string
			StartLine int `json:"start_line"`
		}
	} `json:"most_recent_instance"`
}

func (h *githubHook) workflowRun() cicd.Intake {
	r := h.WorkflowRun
	if r.ID == 0 {
		return cicd.Ignored("the workflow run has no id")
	}
	run := event.PipelineRun{
		ID:         strconv.FormatInt(r.ID, 10),
		Pipeline:   cicd.Cut(cicd.FirstText(r.Name, h.Workflow.Name), cicd.MaxText),
		Attempt:    max(r.Attempt, 1),
		Stage:      cicd.StageOf(r.Name, h.Workflow.Name),
		State:      githubState(r.Status),
		Repository: cicd.Cut(h.Repository.FullName, cicd.MaxText),
		Ref:        cicd.Cut(r.branch(h.Repository.FullName), cicd.MaxText),
		RefAssumed: h.assumed(r.HeadRepo.FullName),
		Revision:   cicd.Cut(r.HeadSHA, 64),
		URL:        cicd.WebURL(r.HTMLURL),
		QueuedAt:   r.CreatedAt.Time,
		StartedAt:  cicd.FirstTime(r.RunStartedAt.Time, r.CreatedAt.Time),
		Source:     h.source,
	}
	if run.Attempt > 1 {
		run.QueuedAt = run.StartedAt // created_at is the first attempt's
	}
	component := ""
	if run.State == "finished" {
		run.Result, run.FinishedAt = githubResult(r.Conclusion), r.UpdatedAt.Time
		if r.Conclusion == "startup_failure" {
			component = "controller"
		}
	}
	return cicd.Intake{Runs: []cicd.Run{{PipelineRun: run, Component: component}}}
}

func (h *githubHook) workflowJob() cicd.Intake {
	j := h.WorkflowJob
	if j.ID == 0 {
		return cicd.Ignored("the workflow job has no id")
	}
	run := cicd.Run{PipelineRun: event.PipelineRun{
		ID:         strconv.FormatInt(j.RunID, 10),
		Pipeline:   cicd.Cut(j.WorkflowName, cicd.MaxText),
		Task:       cicd.Cut(j.Name, cicd.MaxText),
		TaskID:     strconv.FormatInt(j.ID, 10),
		Attempt:    max(j.Attempt, 1),
		Stage:      cicd.StageOf(j.Name, j.WorkflowName),
		State:      githubState(j.Status),
		Repository: cicd.Cut(h.Repository.FullName, cicd.MaxText),
		Ref:        cicd.Cut(j.HeadBranch, cicd.MaxText),
		RefAssumed: h.assumed(""),
		Revision:   cicd.Cut(j.HeadSHA, 64),
		URL:        cicd.WebURL(j.HTMLURL),
		Worker:     cicd.Cut(j.RunnerName, cicd.MaxText),
		QueuedAt:   cicd.FirstTime(j.CreatedAt.Time, j.StartedAt.Time),
		Source:     h.source,
	}}
	if h.Deployment.ID != 0 {
		run.Stage = event.StageDeploy
	}
	if run.State != "pending" { // of a queued job started_at is when it was queued
		run.StartedAt = j.StartedAt.Time
	}
	if run.State == "finished" {
		run.Result, run.FinishedAt = githubResult(j.Conclusion), j.CompletedAt.Time
		for _, s := range j.Steps[:min(len(j.Steps), cicd.MaxSteps)] {
			run.Steps = append(run.Steps, cicd.Step{
				Name:      cicd.Cut(s.Name, cicd.MaxText),
				Result:    githubResult(s.Conclusion),
				StartedAt: s.StartedAt.Time, FinishedAt: s.CompletedAt.Time,
			})
		}
	}
	return cicd.Intake{Runs: []cicd.Run{run}}
}

// checkRun takes the checks of other apps; those of Actions are told as jobs.
func (h *githubHook) checkRun() cicd.Intake {
	c := h.CheckRun
	switch {
	case c.App.Slug == "github-actions":
		return cicd.Ignored("checks of GitHub Actions are told as workflow jobs")
	case c.ID == 0 || h.Action != "created" && h.Action != "completed":
		return cicd.Ignored("check run %s", cicd.Cut(h.Action, 32))
	}
	run := event.PipelineRun{
		ID:         strconv.FormatInt(firstID(c.CheckSuite.ID, c.ID), 10),
		Pipeline:   cicd.Cut(cicd.FirstText(c.App.Name, c.App.Slug, "checks"), cicd.MaxText),
		Task:       cicd.Cut(c.Name, cicd.MaxText),
		TaskID:     strconv.FormatInt(c.ID, 10),
		Attempt:    1,
		Stage:      cicd.StageOf(c.Name),
		State:      githubState(c.Status),
		Repository: cicd.Cut(h.Repository.FullName, cicd.MaxText),
		Ref:        cicd.Cut(c.CheckSuite.HeadBranch, cicd.MaxText),
		RefAssumed: h.assumed(c.CheckSuite.HeadBranch), // null of what was pushed to a fork
		Revision:   cicd.Cut(c.HeadSHA, 64),
		URL:        cicd.FirstText(cicd.WebURL(c.DetailsURL), cicd.WebURL(c.HTMLURL)),
		StartedAt:  c.StartedAt.Time,
		Source:     h.source,
	}
	if run.State == "finished" {
		run.Result, run.FinishedAt = githubResult(c.Conclusion), c.CompletedAt.Time
	}
	return cicd.Intake{Runs: []cicd.Run{{PipelineRun: run}}}
}

// checkSuite is the run that the checks of another app are tasks of.
func (h *githubHook) checkSuite() cicd.Intake {
	c := h.CheckSuite
	switch {
	case c.App.Slug == "github-actions":
		return cicd.Ignored("checks of GitHub Actions are told as workflow runs")
	case c.ID == 0 || h.Action != "completed": // else it is asked for, and may never begin
		return cicd.Ignored("check suite %s", cicd.Cut(h.Action, 32))
	}
	return cicd.Intake{Runs: []cicd.Run{{PipelineRun: event.PipelineRun{
		ID:         strconv.FormatInt(c.ID, 10),
		Pipeline:   cicd.Cut(cicd.FirstText(c.App.Name, c.App.Slug, "checks"), cicd.MaxText),
		Attempt:    1,
		State:      "finished",
		Result:     githubResult(c.Conclusion),
		Repository: cicd.Cut(h.Repository.FullName, cicd.MaxText),
		Ref:        cicd.Cut(c.HeadBranch, cicd.MaxText),
		RefAssumed: h.assumed(c.HeadBranch),
		Revision:   cicd.Cut(c.HeadSHA, 64),
		StartedAt:  c.CreatedAt.Time,
		FinishedAt: c.UpdatedAt.Time,
		Source:     h.source,
	}}}}
}

func (h *githubHook) codeScanningAlert(now time.Time) cicd.Intake {
	a := h.Alert
	switch h.Action {
	case "created", "reopened", "reopened_by_user", "appeared_in_branch":
	default:
		return cicd.Ignored("code scanning alert %s", cicd.Cut(h.Action, 32))
	}
	if a.Rule.ID == "" {
		return cicd.Ignored("the code scanning alert names no rule")
	}
	level := a.Rule.Severity
	if level != "none" && level != "note" && level != "warning" && level != "error" {
		level = "warning"
	}
	return cicd.Intake{Findings: []event.Finding{{
		Tool:        cicd.Cut(a.Tool.Name, cicd.MaxText),
		Rule:        cicd.Cut(a.Rule.ID, cicd.MaxText),
		Level:       level,
		Message:     cicd.Cut(cicd.FirstText(a.Instance.Message.Text, a.Rule.Description), cicd.MaxMessage),
		File:        cicd.Cut(a.Instance.Location.Path, cicd.MaxText),
		Line:        a.Instance.Location.StartLine,
		Fingerprint: h.source + "-alert:" + strconv.FormatInt(a.Number, 10),
		Repository:  cicd.Cut(h.Repository.FullName, cicd.MaxText),
		Revision:    cicd.Cut(cicd.FirstText(a.Instance.CommitSHA, h.CommitOID), 64),
		At:          cicd.FirstTime(a.CreatedAt.Time, now),
	}}}
}

func githubState(status string) string {
	switch status {
	case "completed":
		return "finished"
	case "in_progress":
		return "executing"
	default: // queued, requested, waiting, pending
		return "pending"
	}
}

// githubResult is GitHub's conclusion in the words of semantic conventions.
func githubResult(conclusion string) string {
	switch conclusion {
	case "success", "failure":
		return conclusion
	case "timed_out":
		return "timeout"
	case "cancelled", "stale":
		return "cancellation"
	case "skipped", "neutral":
		return "skip"
	case "":
		return ""
	default: // startup_failure, action_required
		return "error"
	}
}

func firstID(ids ...int64) int64 {
	for _, id := range ids {
		if id != 0 {
			return id
		}
	}
	return 0
}
