// Package github reads the webhooks of GitHub and GitHub Enterprise Server.
package github

import (
	"encoding/json"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/deployloop/deployloop/internal/cicd"
	"github.com/deployloop/deployloop/internal/event"
)

// Options say what a GitHub payload cannot.
type Options struct {
	// ReleaseEnvironment makes a published release a deployment to this
	// environment; "" ignores releases, since a release need not run anywhere.
	ReleaseEnvironment string
}

// Parse reads a webhook of GitHub or GitHub Enterprise Server; Delivery.Event
// is X-GitHub-Event.
// https://docs.github.com/en/webhooks/webhook-events-and-payloads
func Parse(d cicd.Delivery, options Options) (cicd.Intake, error) {
	return Like("github", d, options)
}

// Like reads a webhook of a forge that speaks as GitHub does; source is its name.
func Like(source string, d cicd.Delivery, options Options) (cicd.Intake, error) {
	switch d.Event {
	case "push", "deployment", "deployment_status", "release", "workflow_run", "workflow_job",
		"pull_request", "check_run", "check_suite", "code_scanning_alert":
	default:
		if !json.Valid(d.Body) {
			return cicd.Intake{}, fmt.Errorf("the %s payload is not JSON", source)
		}
		return cicd.Ignored("event %s says nothing about a change on its way", cicd.Cut(d.Event, 64)), nil
	}
	hook := githubHook{source: source}
	if err := cicd.Unmarshal(source+" "+d.Event, d.Body, &hook); err != nil {
		return cicd.Intake{}, err
	}
	switch d.Event {
	case "push":
		return hook.push(), nil
	case "deployment", "deployment_status":
		return hook.deployment(d.ReceivedAt), nil
	case "release":
		return hook.release(d.ReceivedAt, options.ReleaseEnvironment), nil
	case "workflow_run":
		return hook.workflowRun(), nil
	case "workflow_job":
		return hook.workflowJob(), nil
	case "pull_request":
		return hook.pullRequest(), nil
	case "check_run":
		return hook.checkRun(), nil
	case "check_suite":
		return hook.checkSuite(), nil
	default:
		return hook.codeScanningAlert(d.ReceivedAt), nil
	}
}

type githubHook struct {
	source string // github or gitea

	Action     string
	Repository githubRepository

	// push
	Ref, Before, After       string
	Created, Deleted, Forced bool
	Compare                  string
	CompareURL               string `json:"compare_url"` // as Gitea says compare
	Commits                  []cicd.Commit
	HeadCommit               *cicd.Commit `json:"head_commit"`

	Deployment       githubDeployment
	DeploymentStatus *githubDeploymentStatus `json:"deployment_status"`
	Release          githubRelease
	Workflow         struct{ Name, Path string }
	WorkflowRun      githubRun   `json:"workflow_run"`
	WorkflowJob      githubJob   `json:"workflow_job"`
	PullRequest      githubPull  `json:"pull_request"`
	CheckRun         githubCheck `json:"check_run"`
	CheckSuite       githubSuite `json:"check_suite"`
	Alert            githubAlert `json:"alert"`
	CommitOID        string      `json:"commit_oid"`
}

type githubRepository struct {
	Name     string
	FullName string `json:"full_name"`
}

type githubDeployment struct {
	ID                    int64
	SHA, Ref, Environment string
	Payload               json.RawMessage
	CreatedAt             cicd.Moment `json:"created_at"`
}

type githubDeploymentStatus struct {
	State          string
	Environment    string
	EnvironmentURL string      `json:"environment_url"`
	TargetURL      string      `json:"target_url"`
	LogURL         string      `json:"log_url"`
	CreatedAt      cicd.Moment `json:"created_at"`
	UpdatedAt      cicd.Moment `json:"updated_at"`
}

type githubRelease struct {
	ID              int64
	TagName         string `json:"tag_name"`
	TargetCommitish string `json:"target_commitish"`
	HTMLURL         string `json:"html_url"`
	Draft           bool
	PublishedAt     cicd.Moment `json:"published_at"`
}

type githubPull struct {
	Title          string
	HTMLURL        string `json:"html_url"`
	Merged         bool
	MergeCommitSHA string      `json:"merge_commit_sha"`
	MergedAt       cicd.Moment `json:"merged_at"`
	User           cicd.Person
	Base           struct{ Ref string }
	Head           struct{ SHA string }
}

// push gives the commits in push order, each pointing to the one before it, so
// that a range can be walked back without a clone.
func (h *githubHook) push() cicd.Intake {
	branch, isBranch := strings.CutPrefix(h.Ref, "refs/heads/")
	switch {
	case !isBranch:
		return cicd.Ignored("%s is no branch", cicd.Cut(h.Ref, 128))
	case h.Deleted || cicd.IsZeroRevision(h.After):
		return cicd.Ignored("branch %s was deleted", cicd.Cut(branch, 128))
	}
	commits := h.Commits
	if len(commits) == 0 && h.HeadCommit != nil && !h.Forced {
		// A branch moved to commits that the forge knew already.
		commits = []cicd.Commit{*h.HeadCommit}
	}
	if len(commits) == 0 {
		return cicd.Ignored("branch %s moved to a commit that was known", cicd.Cut(branch, 128))
	}
	previous := h.Before
	if h.Created || cicd.IsZeroRevision(previous) {
		previous = ""
	}
	if len(commits) > 1 && commits[0].ID == h.After {
		slices.Reverse(commits) // Gitea tells the newest first
	}
	commits = commits[max(0, len(commits)-cicd.MaxCommits):]
	in := cicd.Intake{Changes: make([]event.Change, 0, len(commits))}
	for i, c := range commits {
		change := c.Change(h.Repository.FullName, branch, previous)
		change.Forced = h.Forced && i == 0
		change.CompareURL = cicd.FirstText(cicd.WebURL(h.Compare), cicd.WebURL(h.CompareURL))
		in.Changes = append(in.Changes, change)
		previous = c.ID
	}
	return in
}

func (h *githubHook) deployment(now time.Time) cicd.Intake {
	gh := h.Deployment
	if gh.SHA == "" || h.Repository.Name == "" {
		return cicd.Ignored("the deployment names no commit or no repository")
	}
	d := event.Deployment{
		Aliases:     []string{h.source + ":" + strconv.FormatInt(gh.ID, 10)},
		Service:     cicd.Cut(h.Repository.Name, cicd.MaxText),
		Environment: cicd.Cut(cicd.FirstText(gh.Environment, event.DefaultEnvironment), cicd.MaxText),
		Revision:    cicd.Cut(gh.SHA, 64),
		Version:     cicd.VersionOf(gh.Ref),
		Status:      event.DeploymentStarted,
		StartedAt:   cicd.FirstTime(gh.CreatedAt.Time, now),
		Repository:  cicd.Cut(h.Repository.FullName, cicd.MaxText),
	}
	applyDeploymentPayload(&d, gh.Payload)
	at := d.StartedAt
	if status := h.DeploymentStatus; status != nil {
		at = cicd.FirstTime(status.UpdatedAt.Time, status.CreatedAt.Time, now)
		switch status.State {
		case "in_progress":
			// Between its creation and this a deployment waits for runners and approvals.
			d.StartedAt = at
		case "success":
			d.Status, d.FinishedAt = event.DeploymentSucceeded, at
		case "failure", "error":
			d.Status, d.FinishedAt = event.DeploymentFailed, at
		default: // pending, queued, waiting: announced already; inactive: a newer one took over
			return cicd.Ignored("deployment status %s changes nothing that is watched", cicd.Cut(status.State, 32))
		}
		d.Environment = cicd.Cut(cicd.FirstText(status.Environment, d.Environment), cicd.MaxText)
		d.URL = cicd.FirstText(cicd.WebURL(status.LogURL), cicd.WebURL(status.TargetURL), cicd.WebURL(status.EnvironmentURL))
	}
	source := event.Source{Name: h.source, ID: d.Aliases[0], At: at, Object: d.Repository}
	if h.WorkflowRun.ID > 0 {
		source.Release = strconv.FormatInt(h.WorkflowRun.ID, 10)
	} else if m := actionsRun.FindStringSubmatch(d.URL); m != nil {
		source.Release = m[1]
	}
	d.Sources = []event.Source{source}
	return cicd.Intake{Deployments: []event.Deployment{d}}
}

// actionsRun finds the id of the workflow's run in the page of its log.
var actionsRun = regexp.MustCompile(`/actions/runs/([0-9]{1,19})(?:/|$)`)

// applyDeploymentPayload takes what the creator of a deployment put into its free
// payload, an object or the same as text. This is how a repository with several
// services says which one it deploys.
func applyDeploymentPayload(d *event.Deployment, raw json.RawMessage) {
	var text string
	if json.Unmarshal(raw, &text) == nil {
		raw = json.RawMessage(text)
	}
	var payload struct {
		Service          string
		Version          string
		PreviousRevision string `json:"previous_revision"`
		PreviousVersion  string `json:"previous_version"`
		RollbackCommand  string `json:"rollback_command"`
	}
	if json.Unmarshal(raw, &payload) != nil {
		return // it is theirs: any shape is right
	}
	d.Service = cicd.Cut(cicd.FirstText(payload.Service, d.Service), cicd.MaxText)
	d.Version = cicd.Cut(cicd.FirstText(payload.Version, d.Version), cicd.MaxText)
	d.PreviousRevision = cicd.Cut(payload.PreviousRevision, 64)
	d.PreviousVersion = cicd.Cut(payload.PreviousVersion, cicd.MaxText)
	d.RollbackCommand = cicd.Cut(payload.RollbackCommand, cicd.MaxText)
}

func (h *githubHook) release(now time.Time, environment string) cicd.Intake {
	r := h.Release
	switch {
	case environment == "":
		return cicd.Ignored("a release is a deployment only where %s.release_environment names its environment", h.source)
	case h.Action != "published" || r.Draft || r.TagName == "" || h.Repository.Name == "":
		return cicd.Ignored("release %s", cicd.Cut(h.Action, 32))
	}
	at := cicd.FirstTime(r.PublishedAt.Time, now)
	d := event.Deployment{
		Aliases:     []string{h.source + "-release:" + strconv.FormatInt(r.ID, 10)},
		Service:     cicd.Cut(h.Repository.Name, cicd.MaxText),
		Environment: environment,
		Version:     cicd.Cut(r.TagName, cicd.MaxText),
		Status:      event.DeploymentSucceeded,
		StartedAt:   at,
		FinishedAt:  at,
		URL:         cicd.WebURL(r.HTMLURL),
		Repository:  cicd.Cut(h.Repository.FullName, cicd.MaxText),
	}
	if len(r.TargetCommitish) == 40 { // else it is the name of a branch
		d.Revision = r.TargetCommitish
	}
	d.Sources = []event.Source{{Name: h.source, ID: d.Aliases[0], At: at}}
	return cicd.Intake{Deployments: []event.Deployment{d}}
}

// pullRequest ties a merge commit to its pull request.
func (h *githubHook) pullRequest() cicd.Intake {
	p := h.PullRequest
	if h.Action != "closed" || !p.Merged || p.MergeCommitSHA == "" {
		return cicd.Ignored("pull request %s: nothing was merged", cicd.Cut(h.Action, 32))
	}
	return cicd.Intake{Changes: []event.Change{{
		Repository: cicd.Cut(h.Repository.FullName, cicd.MaxText),
		Ref:        cicd.Cut(p.Base.Ref, cicd.MaxText),
		Revision:   cicd.Cut(p.MergeCommitSHA, 64),
		Message:    cicd.Cut(p.Title, cicd.MaxMessage),
		Author:     cicd.Cut(p.User.Login, cicd.MaxText),
		At:         p.MergedAt.Time,
		PullURL:    cicd.WebURL(p.HTMLURL),
		PullHead:   cicd.Cut(p.Head.SHA, 64),
	}}}
}
