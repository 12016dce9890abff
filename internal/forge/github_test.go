package forge

import (
	"encoding/json"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/deployloop/deployloop/internal/event"
)

var receivedAt = time.Date(2026, 11, 23, 14, 0, 0, 0, time.UTC)

// sharedData finds the published data beside the repository.
func sharedData(t testing.TB, parts ...string) string {
	t.Helper()
	dir, err := os.Getwd()
	require.NoError(t, err)
	for {
		path := filepath.Join(append([]string{dir, "..", "shared", "data"}, parts...)...)
		if _, err := os.Stat(path); err == nil {
			return path
		}
		parent := filepath.Dir(dir)
		if parent == dir {
			t.Skipf("the published payloads are not here: put them into ../shared/data/%s beside the repository", filepath.Join(parts...))
		}
		dir = parent
	}
}

// Every payload that GitHub publishes as an example is taken without an error.
// The folder's name is the event's.
func TestGitHubTakesEveryPublishedPayload(t *testing.T) {
	told := map[string]int{}
	files := 0
	root := sharedData(t, "webhooks", "github", "payload-examples")
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
		in, err := GitHub(Delivery{Event: name, Body: body, ReceivedAt: receivedAt}, GitHubOptions{ReleaseEnvironment: "production"})
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

func read(t *testing.T, path ...string) Delivery {
	t.Helper()
	body, err := os.ReadFile(sharedData(t, append([]string{"webhooks", "github", "payload-examples", "api.github.com"}, path...)...))
	require.NoError(t, err)
	return Delivery{Event: path[0], Body: body, ReceivedAt: receivedAt}
}

func at(text string) time.Time {
	t, err := time.Parse(time.RFC3339, text)
	if err != nil {
		panic(err)
	}
	return t
}

func TestGitHubDeploymentStatus(t *testing.T) {
	in, err := GitHub(read(t, "deployment_status", "payload.json"), GitHubOptions{})
	require.NoError(t, err)
	require.Equal(t, []event.Deployment{{
		Aliases:     []string{"github:145988746"},
		Service:     "Hello-World",
		Environment: "production",
		Revision:    "f95f852bd8fca8fcc58a9a2d6c842781e32a215e",
		Status:      event.DeploymentSucceeded,
		StartedAt:   at("2019-05-15T15:20:53Z"),
		FinishedAt:  at("2019-05-15T15:20:55Z"),
		Repository:  "Codertocat/Hello-World",
		Sources:     []event.Source{{Name: "github", ID: "github:145988746", At: at("2019-05-15T15:20:55Z"), Object: "Codertocat/Hello-World"}},
	}}, in.Deployments)
}

func TestGitHubWorkflowJob(t *testing.T) {
	in, err := GitHub(read(t, "workflow_job", "completed.failure.with-organization.payload.json"), GitHubOptions{})
	require.NoError(t, err)
	require.Len(t, in.Runs, 1)
	run := in.Runs[0]
	require.Equal(t, event.PipelineRun{
		ID: "2202229078", TaskID: "289782451", Task: "linters", Pipeline: run.Pipeline, Attempt: 1,
		Stage: event.StageTest, State: "finished", Result: "failure",
		Repository: "Codertocat/Hello-World", Ref: "main", Revision: "3484a3fb816e0859fd6e1cea078d76385ff50625",
		URL: "https://github.com/octo-org/octo-repo/runs/1291536064", Worker: run.Worker, Source: "github",
		QueuedAt: at("2021-08-05T10:33:58Z"), StartedAt: at("2021-08-05T10:34:58Z"), FinishedAt: at("2021-08-05T10:38:16Z"),
	}, run.PipelineRun)
	require.Greater(t, len(run.Steps), 5)
	require.Equal(t, Step{Name: "Set up job", Result: "success", StartedAt: at("2021-08-05T10:26:08Z"), FinishedAt: at("2021-08-05T10:26:11Z")}, run.Steps[0])
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
			in, err := GitHub(Delivery{Event: "push", Body: []byte(c.body)}, GitHubOptions{})
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
		in, err := GitHub(Delivery{Event: "deployment", Body: []byte(`{"action":"created","deployment":{"id":7,"sha":"abc","ref":"main","payload":` + payload + `},"repository":{"name":"shop","full_name":"acme/shop"}}`), ReceivedAt: receivedAt}, GitHubOptions{})
		require.NoError(t, err)
		d := in.Deployments[0]
		require.Equal(t, "checkout", d.Service)
		require.Equal(t, "1.42.0", d.Version)
		require.Equal(t, "kubectl rollout undo deploy/checkout", d.RollbackCommand)
		require.Equal(t, "default", d.Environment)
		require.Equal(t, event.DeploymentStarted, d.Status)
		require.Equal(t, receivedAt, d.StartedAt)
	}
}

func TestGitHubDeploymentStates(t *testing.T) {
	want := map[string]event.DeploymentStatus{
		"in_progress": event.DeploymentStarted, "success": event.DeploymentSucceeded,
		"failure": event.DeploymentFailed, "error": event.DeploymentFailed,
		"pending": "", "queued": "", "waiting": "", "inactive": "", "unheard_of": "",
	}
	for state, status := range want {
		in, err := GitHub(Delivery{Event: "deployment_status", Body: []byte(`{"deployment":{"id":7,"sha":"abc","ref":"checkout/v1.2.3","created_at":"2026-11-23T10:00:00Z"},"deployment_status":{"state":"` + state + `","updated_at":"2026-11-23T12:00:00Z","log_url":"javascript:alert(1)","target_url":"https://ci.example/7"},"repository":{"name":"shop"}}`)}, GitHubOptions{})
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
			require.Equal(t, at("2026-11-23T12:00:00Z"), d.StartedAt, "a rollout starts when it leaves the queue")
		} else {
			require.Equal(t, at("2026-11-23T12:00:00Z"), d.FinishedAt)
		}
	}
}

func TestGitHubReleaseIsADeploymentOnlyWhereConfigured(t *testing.T) {
	body := []byte(`{"action":"published","release":{"id":9,"tag_name":"v1.2.3","target_commitish":"main","html_url":"https://g.example/r","published_at":"2026-11-23T12:00:00Z"},"repository":{"name":"shop","full_name":"acme/shop"}}`)
	in, err := GitHub(Delivery{Event: "release", Body: body}, GitHubOptions{})
	require.NoError(t, err)
	require.Contains(t, in.Ignored, "release_environment")
	in, err = GitHub(Delivery{Event: "release", Body: body}, GitHubOptions{ReleaseEnvironment: "production"})
	require.NoError(t, err)
	require.Equal(t, "v1.2.3", in.Deployments[0].Version)
	require.Equal(t, "production", in.Deployments[0].Environment)
	require.Empty(t, in.Deployments[0].Revision, "a branch is no revision")
}

func TestGitHubRefusesWhatIsNotItsEvent(t *testing.T) {
	for _, body := range []string{``, `{`, `[]`, `"x"`, `{"commits":7}`, `{"ref":{}}`} {
		_, err := GitHub(Delivery{Event: "push", Body: []byte(body)}, GitHubOptions{})
		require.ErrorContains(t, err, "the github push payload is not what its event says", body)
	}
	_, err := GitHub(Delivery{Event: "star", Body: []byte(`{`)}, GitHubOptions{})
	require.ErrorContains(t, err, "not JSON")
}

func FuzzGitHub(f *testing.F) {
	for _, name := range []string{"push", "deployment", "deployment_status", "release", "workflow_run", "workflow_job", "pull_request", "check_run", "code_scanning_alert"} {
		folder := sharedData(f, "webhooks", "github", "payload-examples", "api.github.com", name)
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
		in, err := GitHub(Delivery{Event: name, Body: body, ReceivedAt: receivedAt}, GitHubOptions{ReleaseEnvironment: "production"})
		checkIntake(t, in, err)
	})
}

// checkIntake is what holds of every source's result, whatever came in.
func checkIntake(t *testing.T, in Intake, err error) {
	n := len(in.Changes) + len(in.Runs) + len(in.Deployments) + len(in.Findings) + len(in.Tests)
	if err != nil {
		require.Zero(t, n)
		require.NotContains(t, err.Error(), "\n", "an error is one line")
		return
	}
	require.Equal(t, n == 0, in.Ignored != "")
	require.LessOrEqual(t, n, maxCommits+maxEntities)
	for _, c := range in.Changes {
		require.LessOrEqual(t, len(c.Message), maxMessage)
	}
	for _, d := range in.Deployments {
		require.NotEmpty(t, d.Environment)
		require.True(t, d.URL == "" || strings.HasPrefix(d.URL, "http"))
		require.NotEmpty(t, d.Service)
		require.NotEmpty(t, d.Revision+d.Version)
	}
	for _, r := range in.Runs {
		require.Contains(t, []string{"pending", "executing", "finalizing", "finished"}, r.State)
		require.Contains(t, []string{"", "success", "failure", "timeout", "skip", "cancellation", "error"}, r.Result)
		require.True(t, r.FinishedAt.IsZero() || r.State == "finished", "only a finished run has an end")
	}
}
