package forge

import (
	"strconv"
	"strings"
	"time"

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
	HTMLURL      string `json:"html_url"`
	Attempt      int    `json:"run_attempt"`
	CreatedAt    moment `json:"created_at"`
	RunStartedAt moment `json:"run_started_at"`
	UpdatedAt    moment `json:"updated_at"`
}

// branch is named as GitHub labels it: a fork's main is not the repository's.
func (r githubRun) branch(repository string) string {
	if fork := r.HeadRepo; fork.FullName != "" && !strings.EqualFold(fork.FullName, repository) {
		return fork.Owner.Login + ":" + r.HeadBranch
	}
	return r.HeadBranch
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
	HTMLURL      string `json:"html_url"`
	RunnerName   string `json:"runner_name"`
	CreatedAt    moment `json:"created_at"`
	StartedAt    moment `json:"started_at"`
	CompletedAt  moment `json:"completed_at"`
	Steps        []struct {
		Name, Status, Conclusion string
		StartedAt                moment `json:"started_at"`
		CompletedAt              moment `json:"completed_at"`
	}
}

type githubCheck struct {
	ID          int64
	Name        string
	HeadSHA     string `json:"head_sha"`
	Status      string
	Conclusion  string
	HTMLURL     string `json:"html_url"`
	DetailsURL  string `json:"details_url"`
	StartedAt   moment `json:"started_at"`
	CompletedAt moment `json:"completed_at"`
	App         struct{ Slug, Name string }
	CheckSuite  struct {
		ID         int64
		HeadBranch string `json:"head_branch"`
	} `json:"check_suite"`
}

type githubAlert struct {
	Number    int64
	CreatedAt moment `json:"created_at"`
	HTMLURL   string `json:"html_url"`
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

func (h *githubHook) workflowRun() Intake {
	r := h.WorkflowRun
	if r.ID == 0 {
		return ignored("the workflow run has no id")
	}
	run := event.PipelineRun{
		ID:         strconv.FormatInt(r.ID, 10),
		Pipeline:   cut(firstText(r.Name, h.Workflow.Name), maxText),
		Attempt:    max(r.Attempt, 1),
		Stage:      stageOf(r.Name, h.Workflow.Name),
		State:      githubState(r.Status),
		Repository: cut(h.Repository.FullName, maxText),
		Ref:        cut(r.branch(h.Repository.FullName), maxText),
		Revision:   cut(r.HeadSHA, 64),
		URL:        webURL(r.HTMLURL),
		QueuedAt:   r.CreatedAt.Time,
		StartedAt:  firstTime(r.RunStartedAt.Time, r.CreatedAt.Time),
		Source:     h.source,
	}
	if run.Attempt > 1 {
		run.QueuedAt = run.StartedAt // created_at is the first attempt's
	}
	if run.State == "finished" {
		run.Result, run.FinishedAt = githubResult(r.Conclusion), r.UpdatedAt.Time
	}
	return Intake{Runs: []Run{{PipelineRun: run}}}
}

func (h *githubHook) workflowJob() Intake {
	j := h.WorkflowJob
	if j.ID == 0 {
		return ignored("the workflow job has no id")
	}
	run := Run{PipelineRun: event.PipelineRun{
		ID:         strconv.FormatInt(j.RunID, 10),
		Pipeline:   cut(j.WorkflowName, maxText),
		Task:       cut(j.Name, maxText),
		TaskID:     strconv.FormatInt(j.ID, 10),
		Attempt:    max(j.Attempt, 1),
		Stage:      stageOf(j.Name, j.WorkflowName),
		State:      githubState(j.Status),
		Repository: cut(h.Repository.FullName, maxText),
		Ref:        cut(j.HeadBranch, maxText),
		Revision:   cut(j.HeadSHA, 64),
		URL:        webURL(j.HTMLURL),
		Worker:     cut(j.RunnerName, maxText),
		QueuedAt:   firstTime(j.CreatedAt.Time, j.StartedAt.Time),
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
		for _, s := range j.Steps[:min(len(j.Steps), maxSteps)] {
			run.Steps = append(run.Steps, Step{
				Name:      cut(s.Name, maxText),
				Result:    githubResult(s.Conclusion),
				StartedAt: s.StartedAt.Time, FinishedAt: s.CompletedAt.Time,
			})
		}
	}
	return Intake{Runs: []Run{run}}
}

// checkRun takes the checks of other apps; those of Actions are told as jobs.
func (h *githubHook) checkRun() Intake {
	c := h.CheckRun
	switch {
	case c.App.Slug == "github-actions":
		return ignored("checks of GitHub Actions are told as workflow jobs")
	case c.ID == 0 || h.Action != "created" && h.Action != "completed":
		return ignored("check run %s", cut(h.Action, 32))
	}
	run := event.PipelineRun{
		ID:         strconv.FormatInt(firstID(c.CheckSuite.ID, c.ID), 10),
		Pipeline:   cut(firstText(c.App.Name, c.App.Slug, "checks"), maxText),
		Task:       cut(c.Name, maxText),
		TaskID:     strconv.FormatInt(c.ID, 10),
		Attempt:    1,
		Stage:      stageOf(c.Name),
		State:      githubState(c.Status),
		Repository: cut(h.Repository.FullName, maxText),
		Ref:        cut(c.CheckSuite.HeadBranch, maxText),
		Revision:   cut(c.HeadSHA, 64),
		URL:        firstText(webURL(c.DetailsURL), webURL(c.HTMLURL)),
		StartedAt:  c.StartedAt.Time,
		Source:     h.source,
	}
	if run.State == "finished" {
		run.Result, run.FinishedAt = githubResult(c.Conclusion), c.CompletedAt.Time
	}
	return Intake{Runs: []Run{{PipelineRun: run}}}
}

func (h *githubHook) codeScanningAlert(now time.Time) Intake {
	a := h.Alert
	switch h.Action {
	case "created", "reopened", "reopened_by_user", "appeared_in_branch":
	default:
		return ignored("code scanning alert %s", cut(h.Action, 32))
	}
	if a.Rule.ID == "" {
		return ignored("the code scanning alert names no rule")
	}
	level := a.Rule.Severity
	if level != "none" && level != "note" && level != "warning" && level != "error" {
		level = "warning"
	}
	return Intake{Findings: []event.Finding{{
		Tool:        cut(a.Tool.Name, maxText),
		Rule:        cut(a.Rule.ID, maxText),
		Level:       level,
		Message:     cut(firstText(a.Instance.Message.Text, a.Rule.Description), maxMessage),
		File:        cut(a.Instance.Location.Path, maxText),
		Line:        a.Instance.Location.StartLine,
		Fingerprint: h.source + "-alert:" + strconv.FormatInt(a.Number, 10),
		Repository:  cut(h.Repository.FullName, maxText),
		Revision:    cut(firstText(a.Instance.CommitSHA, h.CommitOID), 64),
		At:          firstTime(a.CreatedAt.Time, now),
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
