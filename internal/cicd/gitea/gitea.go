// Package gitea reads the webhooks of Gitea and Forgejo.
package gitea

import (
	"strconv"
	"strings"

	"github.com/deployloop/deployloop/internal/cicd"
	"github.com/deployloop/deployloop/internal/cicd/github"
	"github.com/deployloop/deployloop/internal/event"
)

// Parse reads a webhook of Gitea or Forgejo, which speak as GitHub does;
// Delivery.Event is X-Gitea-Event or X-Forgejo-Event.
// https://docs.gitea.com/usage/webhooks
func Parse(d cicd.Delivery, options github.Options) (cicd.Intake, error) {
	if strings.HasPrefix(d.Event, "action_run_") {
		return actionRun(d)
	}
	return github.Like("gitea", d, options)
}

// actionRun reads how a workflow's run ended, which Forgejo tells as action_run_success,
// action_run_failure and action_run_recover.
// https://forgejo.org/docs/latest/user/webhooks/
func actionRun(d cicd.Delivery) (cicd.Intake, error) {
	var hook struct {
		Run struct {
			ID                        int64
			WorkflowID                string `json:"workflow_id"`
			PrettyRef                 string `json:"prettyref"`
			CommitSHA                 string `json:"commit_sha"`
			Status                    string
			Created, Started, Stopped cicd.Moment
			HTMLURL                   string `json:"html_url"`
			Repository                struct {
				FullName string `json:"full_name"`
			}
		}
	}
	if err := cicd.Unmarshal("gitea "+cicd.Cut(d.Event, 64), d.Body, &hook); err != nil {
		return cicd.Intake{}, err
	}
	r := hook.Run
	result, ended := map[string]string{"success": "success", "failure": "failure", "cancelled": "cancellation", "skipped": "skip"}[r.Status]
	if r.ID == 0 || !ended {
		return cicd.Ignored("action run %s did not end", cicd.Cut(r.Status, 32)), nil
	}
	return cicd.Intake{Runs: []cicd.Run{{PipelineRun: event.PipelineRun{
		ID:         strconv.FormatInt(r.ID, 10),
		Pipeline:   cicd.Cut(cicd.FirstText(r.WorkflowID, "actions"), cicd.MaxText),
		Attempt:    1,
		Stage:      cicd.StageOf(r.WorkflowID),
		State:      "finished",
		Result:     result,
		Repository: cicd.Cut(r.Repository.FullName, cicd.MaxText),
		Ref:        cicd.Cut(r.PrettyRef, cicd.MaxText),
		Revision:   cicd.Cut(r.CommitSHA, 64),
		URL:        cicd.WebURL(r.HTMLURL),
		QueuedAt:   r.Created.Time,
		StartedAt:  r.Started.Time,
		FinishedAt: cicd.FirstTime(r.Stopped.Time, d.ReceivedAt),
		Source:     "gitea",
	}}}}, nil
}
