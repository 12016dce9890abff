package forge

import (
	"strconv"
	"strings"
	"time"

	"github.com/deployloop/deployloop/internal/event"
)

// Jenkins reads what the Notification plugin posts for a build, in JSON.
// https://plugins.jenkins.io/notification/
func Jenkins(d Delivery) (Intake, error) {
	var hook struct {
		Name        string
		DisplayName string `json:"display_name"`
		Build       struct {
			FullURL   string `json:"full_url"`
			Number    int64
			Phase     string
			Status    string
			Timestamp moment  // when this phase began, in ms
			Duration  float64 // ms, when it ended
			SCM       struct{ URL, Branch, Commit string }
		}
	}
	if err := unmarshal("jenkins", d.Body, &hook); err != nil {
		return Intake{}, err
	}
	b := hook.Build
	if b.Number == 0 || hook.Name == "" {
		return ignored("the notification names no build: set its format to JSON"), nil
	}
	run := event.PipelineRun{
		ID:         cut(hook.Name, maxText) + "#" + strconv.FormatInt(b.Number, 10),
		Pipeline:   cut(firstText(hook.DisplayName, hook.Name), maxText),
		Attempt:    1,
		Stage:      stageOf(hook.Name, hook.DisplayName),
		Repository: cut(b.SCM.URL, maxText),
		Ref:        cut(strings.TrimPrefix(b.SCM.Branch, "origin/"), maxText),
		Revision:   cut(b.SCM.Commit, 64),
		URL:        webURL(b.FullURL),
		Source:     "jenkins",
	}
	at := firstTime(b.Timestamp.Time, d.ReceivedAt)
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
		return ignored("phase %s changes nothing of a run", cut(b.Phase, 32)), nil
	}
	return Intake{Runs: []Run{{PipelineRun: run}}}, nil
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
