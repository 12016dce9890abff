package e2e

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/deployloop/deployloop/internal/event"
	"github.com/deployloop/deployloop/test/alertmanagertest"
	"github.com/deployloop/deployloop/test/deploylooptest"
)

// Jobs that hang, as GitHub's webhooks tell of them, are alerts in Alertmanager
// while they hang, through kill -9 too, and end with their reason when they do. A
// job that deploys keeps nobody waiting for its commit's builds.
func TestAJobThatHangsIsAnAlert(t *testing.T) {
	am := alertmanagertest.Start(t)
	loop := deploylooptest.Start(t, deploylooptest.Options{
		Alertmanager: am.URL, Heartbeat: heartbeat, Anomaly: map[string]any{"builds": map[string]any{"quiet": "1s"}},
	})
	began := time.Now().UTC().Add(-2 * time.Hour)
	stamp := func(t time.Time) string { return t.Format(time.RFC3339) }
	about := func(run int, kind string, more object) {
		status := more["status"].(string)
		said := object{"head_branch": "main", "head_sha": fmt.Sprintf("%040x", 0xa000+run), "run_attempt": 1}
		for key, value := range more {
			said[key] = value
		}
		loop.Webhook(kind, object{"action": status, kind: said, "repository": object{"name": "shop", "full_name": "acme/shop"}})
	}
	whole := func(run int, status, conclusion string, started, ended time.Time) {
		about(run, "workflow_run", object{
			"id": run, "name": "CI", "status": status, "conclusion": conclusion, "head_repository": object{"full_name": "acme/shop"},
			"created_at": stamp(started), "run_started_at": stamp(started), "updated_at": stamp(ended),
		})
	}
	job := func(run int, name, status, conclusion string, started, ended time.Time) {
		body := object{
			"id": 10*run + len(name), "run_id": run, "name": name, "workflow_name": "CI", "status": status, "conclusion": conclusion,
			"created_at": stamp(started), "started_at": stamp(started), "steps": []object{},
		}
		if status == "completed" {
			body["completed_at"] = stamp(ended)
		}
		about(run, "workflow_job", body)
	}
	over := func(run int) event.Feedback {
		var f event.Feedback
		eventually(t, 30*time.Second, func() bool {
			var answer struct{ Feedback []event.Feedback }
			if loop.Get(fmt.Sprintf("/api/v1/feedback?revision=%040x", 0xa000+run), &answer) != nil || len(answer.Feedback) == 0 {
				return false
			}
			f = answer.Feedback[0]
			return !f.Running
		}, fmt.Sprint("run ", run, " is over"))
		return f
	}
	for run := 1; run <= 14; run++ {
		started := began.Add(time.Duration(run) * 5 * time.Minute)
		ended := started.Add(time.Duration(118+run%5) * time.Second)
		whole(run, "in_progress", "", started, started)
		for _, name := range []string{"unit", "deploy"} {
			job(run, name, "in_progress", "", started, ended)
			job(run, name, "completed", "success", started, ended)
		}
		whole(run, "completed", "success", started, ended)
		require.Equal(t, event.Healthy, over(run).State)
	}
	require.Empty(t, am.Find(map[string]string{"alertname": "BuildRegressed"}))
	saved := time.Now().Add(6 * time.Second) // longer than what a crash may forget
	eventually(t, 30*time.Second, func() bool { return time.Now().After(saved) }, "saved")

	// Twenty minutes, where two are usual.
	started := time.Now().UTC().Add(-20 * time.Minute)
	whole(50, "in_progress", "", started, started)
	job(50, "unit", "in_progress", "", started, started)
	job(50, "deploy", "in_progress", "", started, started)
	hangs := map[string]map[string]string{}
	for _, stage := range []string{"build", "deploy"} {
		hangs[stage] = map[string]string{"alertname": "BuildRegressed", "stage": stage, "commit": fmt.Sprintf("%040x", 0xa000+50)}
		eventually(t, 30*time.Second, func() bool { return len(am.Find(hangs[stage])) == 1 }, "an alert of the "+stage)
	}
	alert, deploy := am.Find(hangs["build"])[0], am.Find(hangs["deploy"])[0]
	t.Logf("%s\n%s", alert.Annotations["summary"], deploy.Annotations["summary"])
	assert.Contains(t, alert.Annotations["summary"], "acme/shop main: CI [unit] hangs")
	assert.Contains(t, deploy.Annotations["summary"], "acme/shop main: CI [deploy] hangs")
	assert.Contains(t, alert.Annotations["why"], "it usually takes 2m")
	assert.Contains(t, alert.Annotations["why"], "in 14 runs")

	written := time.Now().Add(time.Second) // what an alert needs to be on disk, and more
	eventually(t, 30*time.Second, func() bool { return time.Now().After(written) }, "written")
	loop.Kill()
	loop.Start()
	hold := time.Now().Add(3*heartbeat + time.Second) // only a live process keeps them open
	eventually(t, 30*time.Second, func() bool { return time.Now().After(hold) }, "held")
	for stage, before := range map[string]string{"build": *alert.Fingerprint, "deploy": *deploy.Fingerprint} {
		found := am.Find(hangs[stage])
		require.Len(t, found, 1, stage)
		require.Equal(t, before, *found[0].Fingerprint)
	}

	// They end.
	job(50, "unit", "completed", "success", started, time.Now().UTC())
	eventually(t, 60*time.Second, func() bool { _, ok := am.Resolved(hangs["build"]); return ok }, "the build's resolves")
	require.Len(t, am.Find(hangs["deploy"]), 1, "the deploy goes on")
	job(50, "deploy", "completed", "cancelled", started, time.Now().UTC())
	eventually(t, 60*time.Second, func() bool { _, ok := am.Resolved(hangs["deploy"]); return ok }, "the deploy's resolves")
	ended, _ := am.Resolved(hangs["deploy"])
	assert.Contains(t, ended.Annotations["resolution"], "the job ended with cancellation after 20m")
	assert.Empty(t, am.Find(map[string]string{"alertname": "BuildRegressed"}), "nothing failed")
}
