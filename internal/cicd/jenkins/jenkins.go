// Package jenkins reads the webhooks of the Notification plugin of Jenkins.
package jenkins

import (
	"strconv"
	"strings"
	"time"

	"github.com/deployloop/deployloop/internal/cicd"
	"github.com/deployloop/deployloop/internal/event"
)

// Parse reads what the Notification plugin posts for a build, in JSON.
// https://plugins.jenkins.io/notification/
func Parse(d cicd.Delivery) (cicd.Intake, error) {
	var hook struct {
		Name        string
		DisplayName string `json:"display_name"`
		Build       struct {
			FullURL   string `json:"full_url"`
			Number    int64
			Phase     string
			Status    string
			Timestamp cicd.Moment // when this phase began, in ms
			Duration  float64     // ms, when it ended
			SCM       struct{ URL, Branch, Commit string }
		}
	}
	if err := cicd.Unmarshal("jenkins", d.Body, &hook); err != nil {
		return cicd.Intake{}, err
	}
	b := hook.Build
	if b.Number == 0 || hook.Name == "" {
		return cicd.Ignored("the notification names no build: set its format to JSON"), nil
	}
	run := event.PipelineRun{
		ID:         cicd.Cut(hook.Name, cicd.MaxText) + "#" + strconv.FormatInt(b.Number, 10),
		Pipeline:   cicd.Cut(cicd.FirstText(hook.DisplayName, hook.Name), cicd.MaxText),
		Attempt:    1,
		Stage:      cicd.StageOf(hook.Name, hook.DisplayName),
		Repository: cicd.Cut(b.SCM.URL, cicd.MaxText),
		Ref:        cicd.Cut(strings.TrimPrefix(b.SCM.Branch, "origin/"), cicd.MaxText),
		Revision:   cicd.Cut(b.SCM.Commit, 64),
		URL:        cicd.WebURL(b.FullURL),
		Source:     "jenkins",
	}
	at := cicd.FirstTime(b.Timestamp.Time, d.ReceivedAt)
	switch strings.ToUpper(b.Phase) {
	case "QUEUED":
		run.State, run.QueuedAt = "pending", at
	case "STARTED":
		run.State, run.StartedAt = "executing", at
	case "COMPLETED", "FINALIZED":
		run.State, run.FinishedAt = "finished", at
		if b.Duration > 0 && b.Duration < 1e10 {
			run.StartedAt = at.Add(-time.Duration(b.Duration) * time.Millisecond)
		}
		run.Result = jenkinsResult(b.Status)
	default:
		return cicd.Ignored("phase %s changes nothing of a run", cicd.Cut(b.Phase, 32)), nil
	}
	return cicd.Intake{Runs: []cicd.Run{{PipelineRun: run}}}, nil
}

func jenkinsResult(status string) string {
	switch strings.ToUpper(status) {
	case "SUCCESS":
		return "success"
	case "FAILURE", "UNSTABLE": // unstable: tests failed
		return "failure"
	case "ABORTED":
		return "cancellation"
	case "NOT_BUILT":
		return "skip"
	default:
		return "error"
	}
}
