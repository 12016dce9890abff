package forge

import (
	"encoding/json"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/deployloop/deployloop/internal/event"
)

// GitHubOptions say what a GitHub payload cannot.
type GitHubOptions struct {
	// ReleaseEnvironment makes a published release a deployment to this
	// environment; "" ignores releases, since a release need not run anywhere.
	ReleaseEnvironment string
}

// GitHub reads a webhook of GitHub or GitHub Enterprise Server; Delivery.Event
// is X-GitHub-Event.
// https://docs.github.com/en/webhooks/webhook-events-and-payloads
func GitHub(d Delivery, options GitHubOptions) (Intake, error) {
	return githubLike("github", d, options)
}

// Gitea reads a webhook of Gitea or Forgejo, which speak as GitHub does;
// Delivery.Event is X-Gitea-Event or X-Forgejo-Event.
// https://docs.gitea.com/usage/webhooks
func Gitea(d Delivery, options GitHubOptions) (Intake, error) {
	return githubLike("gitea", d, options)
}

func githubLike(source string, d Delivery, options GitHubOptions) (Intake, error) {
	switch d.Event {
	case "push", "deployment", "deployment_status", "release", "workflow_run", "workflow_job",
		"pull_request", "check_run", "code_scanning_alert":
	default:
		if !json.Valid(d.Body) {
			return Intake{}, fmt.Errorf("the %s payload is not JSON", source)
		}
		return ignored("event %s says nothing about a change on its way", cut(d.Event, 64)), nil
	}
	hook := githubHook{source: source}
	if err := unmarshal(source+" "+d.Event, d.Body, &hook); err != nil {
		return Intake{}, err
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
	Commits                  []githubCommit
	HeadCommit               *githubCommit `json:"head_commit"`

	Deployment       githubDeployment
	DeploymentStatus *githubDeploymentStatus `json:"deployment_status"`
	Release          githubRelease
	Workflow         struct{ Name, Path string }
	WorkflowRun      githubRun   `json:"workflow_run"`
	WorkflowJob      githubJob   `json:"workflow_job"`
	PullRequest      githubPull  `json:"pull_request"`
	CheckRun         githubCheck `json:"check_run"`
	Alert            githubAlert `json:"alert"`
	CommitOID        string      `json:"commit_oid"`
}

type githubRepository struct {
	Name     string
	FullName string `json:"full_name"`
}

type githubPerson struct{ Name, Email, Login, Username string }

type githubCommit struct {
	ID, Message, URL         string
	Timestamp                moment
	Author                   githubPerson
	Added, Removed, Modified []string
}

type githubDeployment struct {
	ID                    int64
	SHA, Ref, Environment string
	Payload               json.RawMessage
	CreatedAt             moment `json:"created_at"`
}

type githubDeploymentStatus struct {
	State          string
	Environment    string
	EnvironmentURL string `json:"environment_url"`
	TargetURL      string `json:"target_url"`
	LogURL         string `json:"log_url"`
	CreatedAt      moment `json:"created_at"`
	UpdatedAt      moment `json:"updated_at"`
}

type githubRelease struct {
	ID              int64
	TagName         string `json:"tag_name"`
	TargetCommitish string `json:"target_commitish"`
	HTMLURL         string `json:"html_url"`
	Draft           bool
	PublishedAt     moment `json:"published_at"`
}

type githubPull struct {
	Title          string
	HTMLURL        string `json:"html_url"`
	Merged         bool
	MergeCommitSHA string `json:"merge_commit_sha"`
	MergedAt       moment `json:"merged_at"`
	User           githubPerson
	Base           struct{ Ref string }
}

// push gives the commits in push order, each pointing to the one before it, so
// that a range can be walked back without a clone.
func (h *githubHook) push() Intake {
	branch, isBranch := strings.CutPrefix(h.Ref, "refs/heads/")
	switch {
	case !isBranch:
		return ignored("%s is no branch", cut(h.Ref, 128))
	case h.Deleted || isZeroRevision(h.After):
		return ignored("branch %s was deleted", cut(branch, 128))
	}
	commits := h.Commits
	if len(commits) == 0 && h.HeadCommit != nil && !h.Forced {
		// A branch moved to commits that the forge knew already.
		commits = []githubCommit{*h.HeadCommit}
	}
	if len(commits) == 0 {
		return ignored("branch %s moved to a commit that was known", cut(branch, 128))
	}
	previous := h.Before
	if h.Created || isZeroRevision(previous) {
		previous = ""
	}
	if len(commits) > 1 && commits[0].ID == h.After {
		slices.Reverse(commits) // Gitea tells the newest first
	}
	commits = commits[max(0, len(commits)-maxCommits):]
	in := Intake{Changes: make([]event.Change, 0, len(commits))}
	for i, c := range commits {
		change := c.change(h.Repository.FullName, branch, previous)
		change.Forced = h.Forced && i == 0
		change.CompareURL = firstText(webURL(h.Compare), webURL(h.CompareURL))
		in.Changes = append(in.Changes, change)
		previous = c.ID
	}
	return in
}

func (c githubCommit) change(repository, branch, previous string) event.Change {
	return event.Change{
		Repository: cut(repository, maxText),
		Ref:        cut(branch, maxText),
		Revision:   cut(c.ID, 64),
		Previous:   cut(previous, 64),
		Message:    cut(c.Message, maxMessage),
		Author:     cut(firstText(c.Author.Name, c.Author.Login, c.Author.Username), maxText),
		Email:      cut(c.Author.Email, maxText),
		At:         c.Timestamp.Time,
		URL:        webURL(c.URL),
		Added:      cutList(c.Added, maxPaths),
		Modified:   cutList(c.Modified, maxPaths),
		Removed:    cutList(c.Removed, maxPaths),
	}
}

func (h *githubHook) deployment(now time.Time) Intake {
	gh := h.Deployment
	if gh.SHA == "" || h.Repository.Name == "" {
		return ignored("the deployment names no commit or no repository")
	}
	d := event.Deployment{
		Aliases:     []string{h.source + ":" + strconv.FormatInt(gh.ID, 10)},
		Service:     cut(h.Repository.Name, maxText),
		Environment: cut(firstText(gh.Environment, event.DefaultEnvironment), maxText),
		Revision:    cut(gh.SHA, 64),
		Version:     versionOf(gh.Ref),
		Status:      event.DeploymentStarted,
		StartedAt:   firstTime(gh.CreatedAt.Time, now),
		Repository:  cut(h.Repository.FullName, maxText),
	}
	applyDeploymentPayload(&d, gh.Payload)
	at := d.StartedAt
	if status := h.DeploymentStatus; status != nil {
		at = firstTime(status.UpdatedAt.Time, status.CreatedAt.Time, now)
		switch status.State {
		case "in_progress":
			// Between its creation and this a deployment waits for runners and approvals.
			d.StartedAt = at
		case "success":
			d.Status, d.FinishedAt = event.DeploymentSucceeded, at
		case "failure", "error":
			d.Status, d.FinishedAt = event.DeploymentFailed, at
		default: // pending, queued, waiting: announced already; inactive: a newer one took over
			return ignored("deployment status %s changes nothing that is watched", cut(status.State, 32))
		}
		d.Environment = cut(firstText(status.Environment, d.Environment), maxText)
		d.URL = firstText(webURL(status.LogURL), webURL(status.TargetURL), webURL(status.EnvironmentURL))
	}
	source := event.Source{Name: h.source, ID: d.Aliases[0], At: at, Object: d.Repository}
	if h.WorkflowRun.ID > 0 {
		source.Release = strconv.FormatInt(h.WorkflowRun.ID, 10)
	} else if m := actionsRun.FindStringSubmatch(d.URL); m != nil {
		source.Release = m[1]
	}
	d.Sources = []event.Source{source}
	return Intake{Deployments: []event.Deployment{d}}
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
	d.Service = cut(firstText(payload.Service, d.Service), maxText)
	d.Version = cut(firstText(payload.Version, d.Version), maxText)
	d.PreviousRevision = cut(payload.PreviousRevision, 64)
	d.PreviousVersion = cut(payload.PreviousVersion, maxText)
	d.RollbackCommand = cut(payload.RollbackCommand, maxText)
}

func (h *githubHook) release(now time.Time, environment string) Intake {
	r := h.Release
	switch {
	case environment == "":
		return ignored("a release is a deployment only where %s.release_environment names its environment", h.source)
	case h.Action != "published" || r.Draft || r.TagName == "" || h.Repository.Name == "":
		return ignored("release %s", cut(h.Action, 32))
	}
	at := firstTime(r.PublishedAt.Time, now)
	d := event.Deployment{
		Aliases:     []string{h.source + "-release:" + strconv.FormatInt(r.ID, 10)},
		Service:     cut(h.Repository.Name, maxText),
		Environment: environment,
		Version:     cut(r.TagName, maxText),
		Status:      event.DeploymentSucceeded,
		StartedAt:   at,
		FinishedAt:  at,
		URL:         webURL(r.HTMLURL),
		Repository:  cut(h.Repository.FullName, maxText),
	}
	if len(r.TargetCommitish) == 40 { // else it is the name of a branch
		d.Revision = r.TargetCommitish
	}
	d.Sources = []event.Source{{Name: h.source, ID: d.Aliases[0], At: at}}
	return Intake{Deployments: []event.Deployment{d}}
}

// pullRequest ties a merge commit to its pull request.
func (h *githubHook) pullRequest() Intake {
	p := h.PullRequest
	if h.Action != "closed" || !p.Merged || p.MergeCommitSHA == "" {
		return ignored("pull request %s: nothing was merged", cut(h.Action, 32))
	}
	return Intake{Changes: []event.Change{{
		Repository: cut(h.Repository.FullName, maxText),
		Ref:        cut(p.Base.Ref, maxText),
		Revision:   cut(p.MergeCommitSHA, 64),
		Message:    cut(p.Title, maxMessage),
		Author:     cut(p.User.Login, maxText),
		At:         p.MergedAt.Time,
		PullURL:    webURL(p.HTMLURL),
	}}}
}
