package github

import (
	"encoding/json"
	"io/fs"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/deployloop/deployloop/internal/cicd"
	"github.com/deployloop/deployloop/internal/cicd/cicdtest"
	"github.com/deployloop/deployloop/internal/event"
)

// Every payload that GitHub publishes as an example is taken without an error.
// The folder's name is the event's.
func TestGitHubTakesEveryPublishedPayload(t *testing.T) {
	told := map[string]int{}
	files := 0
	root := cicdtest.SharedData(t, "webhooks", "github", "payload-examples")
	require.NoError(t, filepath.WalkDir(root, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() || filepath.Ext(path) != ".json" {
			return err
		}
		name := filepath.Base(filepath.Dir(path))
		body, err := os.ReadFile(path)
		require.NoError(t, err)
		if !json.Valid(body) {
			t.Logf("%s is no payload", path)
			return nil
		}
		files++
		in, err := Parse(cicd.Delivery{Event: name, Body: body, ReceivedAt: cicdtest.ReceivedAt}, Options{ReleaseEnvironment: "production"})
		require.NoError(t, err, path)
		n := len(in.Changes) + len(in.Runs) + len(in.Deployments) + len(in.Findings)
		require.Equal(t, n == 0, in.Ignored != "", "%s: a delivery is used or ignored with a reason", path)
		told[name] += n
		return nil
	}))
	require.Greater(t, files, 300)
	for _, name := range []string{"push", "deployment", "deployment_status", "release", "workflow_run", "workflow_job", "check_run", "code_scanning_alert"} {
		require.Positive(t, told[name], "%s: at least one example says something", name)
	}
	require.Zero(t, told["star"])
}

func read(t *testing.T, path ...string) cicd.Delivery {
	t.Helper()
	body, err := os.ReadFile(cicdtest.SharedData(t, append([]string{"webhooks", "github", "payload-examples", "api.github.com"}, path...)...))
	require.NoError(t, err)
	return cicd.Delivery{Event: path[0], Body: body, ReceivedAt: cicdtest.ReceivedAt}
}

func TestGitHubDeploymentStatus(t *testing.T) {
	in, err := Parse(read(t, "deployment_status", "payload.json"), Options{})
	require.NoError(t, err)
	require.Equal(t, []event.Deployment{{
		Aliases:     []string{"github:145988746"},
		Service:     "Hello-World",
		Environment: "production",
		Revision:    "f95f852bd8fca8fcc58a9a2d6c842781e32a215e",
		Status:      event.DeploymentSucceeded,
		StartedAt:   cicdtest.At("2019-05-15T15:20:53Z"),
		FinishedAt:  cicdtest.At("2019-05-15T15:20:55Z"),
		Repository:  "Codertocat/Hello-World",
		Sources:     []event.Source{{Name: "github", ID: "github:145988746", At: cicdtest.At("2019-05-15T15:20:55Z"), Object: "Codertocat/Hello-World"}},
	}}, in.Deployments)
}

func TestGitHubWorkflowJob(t *testing.T) {
	in, err := Parse(read(t, "workflow_job", "completed.failure.with-organization.payload.json"), Options{})
	require.NoError(t, err)
	require.Len(t, in.Runs, 1)
	run := in.Runs[0]
	require.Equal(t, event.PipelineRun{
		ID: "2202229078", TaskID: "289782451", Task: "linters", Pipeline: run.Pipeline, Attempt: 1,
		Stage: event.StageTest, State: "finished", Result: "failure",
		Repository: "Codertocat/Hello-World", Ref: "main", RefAssumed: true, Revision: "3484a3fb816e0859fd6e1cea078d76385ff50625",
		URL: "https://github.com/octo-org/octo-repo/runs/1291536064", Worker: run.Worker, Source: "github",
		QueuedAt: cicdtest.At("2021-08-05T10:33:58Z"), StartedAt: cicdtest.At("2021-08-05T10:34:58Z"), FinishedAt: cicdtest.At("2021-08-05T10:38:16Z"),
	}, run.PipelineRun)
	require.Greater(t, len(run.Steps), 5)
	require.Equal(t, cicd.Step{Name: "Set up job", Result: "success", StartedAt: cicdtest.At("2021-08-05T10:26:08Z"), FinishedAt: cicdtest.At("2021-08-05T10:26:11Z")}, run.Steps[0])
}

const zero = "0000000000000000000000000000000000000000"

func TestGitHubPush(t *testing.T) {
	commits := `[{"id":"c1","message":"one","timestamp":"2026-11-23T13:00:00+01:00","author":{"name":"Ada","email":"ada@example.com"},"added":["a.go"]},
	             {"id":"c2","message":"two","timestamp":"2026-11-23T13:05:00Z","author":{"username":"bob"},"modified":["a.go"],"removed":["b.go"]}]`
	cases := []struct {
		name, body string
		previous   []string
		forced     []bool
		ignored    string
	}{
		{"two commits", `{"ref":"refs/heads/main","before":"b0","after":"c2","commits":` + commits + `}`, []string{"b0", "c1"}, []bool{false, false}, ""},
		{"a force-push", `{"ref":"refs/heads/main","before":"b0","after":"c2","forced":true,"commits":` + commits + `}`, []string{"b0", "c1"}, []bool{true, false}, ""},
		{"a new branch", `{"ref":"refs/heads/x","before":"` + zero + `","after":"c2","created":true,"commits":` + commits + `}`, []string{"", "c1"}, []bool{false, false}, ""},
		{"a fast-forward to known commits", `{"ref":"refs/heads/main","before":"b0","after":"c9","commits":[],"head_commit":{"id":"c9"}}`, []string{"b0"}, []bool{false}, ""},
		{"a rewind", `{"ref":"refs/heads/main","before":"c2","after":"c1","forced":true,"commits":[],"head_commit":{"id":"c1"}}`, nil, nil, "known"},
		{"a deleted branch", `{"ref":"refs/heads/x","before":"c2","after":"` + zero + `","deleted":true,"commits":[]}`, nil, nil, "deleted"},
		{"a tag", `{"ref":"refs/tags/v1","before":"` + zero + `","after":"c2","commits":[]}`, nil, nil, "no branch"},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			in, err := Parse(cicd.Delivery{Event: "push", Body: []byte(c.body)}, Options{})
			require.NoError(t, err)
			if c.ignored != "" {
				require.Contains(t, in.Ignored, c.ignored)
			}
			var previous []string
			var forced []bool
			for _, change := range in.Changes {
				previous, forced = append(previous, change.Previous), append(forced, change.Forced)
			}
			require.Equal(t, c.previous, previous)
			require.Equal(t, c.forced, forced)
		})
	}
}

func TestGitHubDeploymentPayloadNamesTheService(t *testing.T) {
	for _, payload := range []string{
		`{"service":"checkout","version":"1.42.0","rollback_command":"kubectl rollout undo deploy/checkout"}`,
		`"{\"service\":\"checkout\",\"version\":\"1.42.0\",\"rollback_command\":\"kubectl rollout undo deploy/checkout\"}"`,
	} {
		in, err := Parse(cicd.Delivery{Event: "deployment", Body: []byte(`{"action":"created","deployment":{"id":7,"sha":"abc","ref":"main","payload":` + payload + `},"repository":{"name":"shop","full_name":"acme/shop"}}`), ReceivedAt: cicdtest.ReceivedAt}, Options{})
		require.NoError(t, err)
		d := in.Deployments[0]
		require.Equal(t, "checkout", d.Service)
		require.Equal(t, "1.42.0", d.Version)
		require.Equal(t, "kubectl rollout undo deploy/checkout", d.RollbackCommand)
		require.Equal(t, "default", d.Environment)
		require.Equal(t, event.DeploymentStarted, d.Status)
		require.Equal(t, cicdtest.ReceivedAt, d.StartedAt)
	}
}

func TestGitHubDeploymentStates(t *testing.T) {
	want := map[string]event.DeploymentStatus{
		"in_progress": event.DeploymentStarted, "success": event.DeploymentSucceeded,
		"failure": event.DeploymentFailed, "error": event.DeploymentFailed,
		"pending": "", "queued": "", "waiting": "", "inactive": "", "unheard_of": "",
	}
	for state, status := range want {
		in, err := Parse(cicd.Delivery{Event: "deployment_status", Body: []byte(`{"deployment":{"id":7,"sha":"abc","ref":"checkout/v1.2.3","created_at":"2026-11-23T10:00:00Z"},"deployment_status":{"state":"` + state + `","updated_at":"2026-11-23T12:00:00Z","log_url":"javascript:alert(1)","target_url":"https://ci.example/7"},"repository":{"name":"shop"}}`)}, Options{})
		require.NoError(t, err)
		if status == "" {
			require.Contains(t, in.Ignored, state)
			continue
		}
		d := in.Deployments[0]
		require.Equal(t, status, d.Status)
		require.Equal(t, "v1.2.3", d.Version)
		require.Equal(t, "https://ci.example/7", d.URL, "a link that a browser would run is left out")
		if state == "in_progress" {
			require.Equal(t, cicdtest.At("2026-11-23T12:00:00Z"), d.StartedAt, "a rollout starts when it leaves the queue")
		} else {
			require.Equal(t, cicdtest.At("2026-11-23T12:00:00Z"), d.FinishedAt)
		}
	}
}

func TestGitHubReleaseIsADeploymentOnlyWhereConfigured(t *testing.T) {
	body := []byte(`{"action":"published","release":{"id":9,"tag_name":"v1.2.3","target_commitish":"main","html_url":"https://g.example/r","published_at":"2026-11-23T12:00:00Z"},"repository":{"name":"shop","full_name":"acme/shop"}}`)
	in, err := Parse(cicd.Delivery{Event: "release", Body: body}, Options{})
	require.NoError(t, err)
	require.Contains(t, in.Ignored, "release_environment")
	in, err = Parse(cicd.Delivery{Event: "release", Body: body}, Options{ReleaseEnvironment: "production"})
	require.NoError(t, err)
	require.Equal(t, "v1.2.3", in.Deployments[0].Version)
	require.Equal(t, "production", in.Deployments[0].Environment)
	require.Empty(t, in.Deployments[0].Revision, "a branch is no revision")
}

func TestGitHubRefusesWhatIsNotItsEvent(t *testing.T) {
	for _, body := range []string{``, `{`, `[]`, `"x"`, `{"commits":7}`, `{"ref":{}}`} {
		_, err := Parse(cicd.Delivery{Event: "push", Body: []byte(body)}, Options{})
		require.ErrorContains(t, err, "the github push payload is not what its event says", body)
	}
	_, err := Parse(cicd.Delivery{Event: "star", Body: []byte(`{`)}, Options{})
	require.ErrorContains(t, err, "not JSON")
}

func FuzzPublished(f *testing.F) {
	for _, name := range []string{"push", "deployment", "deployment_status", "release", "workflow_run", "workflow_job", "pull_request", "check_run", "code_scanning_alert"} {
		folder := cicdtest.SharedData(f, "webhooks", "github", "payload-examples", "api.github.com", name)
		files, err := filepath.Glob(filepath.Join(folder, "*.json"))
		require.NoError(f, err)
		require.NotEmpty(f, files)
		for _, file := range files[:min(len(files), 2)] {
			body, err := os.ReadFile(file)
			require.NoError(f, err)
			f.Add(name, body)
		}
	}
	f.Fuzz(func(t *testing.T, name string, body []byte) {
		in, err := Parse(cicd.Delivery{Event: name, Body: body, ReceivedAt: cicdtest.ReceivedAt}, Options{ReleaseEnvironment: "production"})
		cicdtest.Check(t, in, err)
	})
}

func parse(d cicd.Delivery) (cicd.Intake, error) {
	return Parse(d, Options{ReleaseEnvironment: "production"})
}

func TestGolden(t *testing.T) { cicdtest.Golden(t, parse) }

func FuzzParse(f *testing.F) { cicdtest.Fuzz(f, parse) }
