package forge

import (
	"encoding/json"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/deployloop/deployloop/internal/event"
)

// sources are all but GitHub, which has tests of its own.
var sources = map[string]func(Delivery) (Intake, error){
	"gitea push":         func(d Delivery) (Intake, error) { d.Event = "push"; return Gitea(d, GitHubOptions{}) },
	"gitea workflow_run": func(d Delivery) (Intake, error) { d.Event = "workflow_run"; return Gitea(d, GitHubOptions{}) },
	"gitlab":             GitLab,
	"jenkins":            Jenkins,
	"argocd":             ArgoCD,
	"flux":               Flux,
	"flagger":            Flagger,
	"spinnaker":          Spinnaker,
	"cdevents":           CDEvents,
}

// The receiver's golden cases are the seeds: testdata/<case>/request.json.
func goldenBodies(t testing.TB) [][]byte {
	files, err := filepath.Glob("../../receiver/cicdreceiver/testdata/*/request.json")
	require.NoError(t, err)
	require.NotEmpty(t, files)
	var bodies [][]byte
	for _, file := range files {
		text, err := os.ReadFile(file)
		require.NoError(t, err)
		var request struct{ Body json.RawMessage }
		require.NoError(t, json.Unmarshal(text, &request))
		bodies = append(bodies, request.Body)
	}
	return bodies
}

// A payload of another source, or of none, gives an error or nothing: never a
// panic, never half an event.
func TestSourcesTakeEachOthersPayloads(t *testing.T) {
	bodies := append(goldenBodies(t), []byte(`{}`), []byte(`[]`), []byte(`null`), []byte(`7`), []byte(``), []byte(`{`), []byte(`[null]`), []byte(`{"data":null}`))
	for name, source := range sources {
		t.Run(name, func(t *testing.T) {
			for _, body := range bodies {
				in, err := source(Delivery{Body: body, ReceivedAt: receivedAt})
				checkIntake(t, in, err)
			}
		})
	}
}

func FuzzSources(f *testing.F) {
	for _, body := range goldenBodies(f) {
		f.Add(body)
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		for _, source := range sources {
			in, err := source(Delivery{Body: body, ReceivedAt: receivedAt})
			checkIntake(t, in, err)
		}
	})
}

// Every conformance event of CDEvents is taken; those that say something about a
// change on its way become events, whatever their version.
func TestCDEventsConformance(t *testing.T) {
	want := map[string]string{
		"service_deployed": "deployment", "service_upgraded": "deployment", "service_rolledback": "deployment",
		"pipelinerun_queued": "run", "pipelinerun_started": "run", "pipelinerun_finished": "run",
		"taskrun_started": "run", "taskrun_finished": "run",
		"build_queued": "run", "build_started": "run", "build_finished": "run",
		"testsuiterun_queued": "run", "testsuiterun_started": "run", "testsuiterun_finished": "run",
		"testcaserun_finished": "test", "testcaserun_skipped": "test",
	}
	files, err := filepath.Glob(filepath.Join(sharedData(t, "cdevents", "conformance"), "*.json"))
	require.NoError(t, err)
	files = append(files, sharedData(t, "cdevents", "custom", "conformance.json"))
	require.Greater(t, len(files), 40)
	for _, file := range files {
		body, err := os.ReadFile(file)
		require.NoError(t, err)
		name := filepath.Base(file[:len(file)-len(".json")])
		if filepath.Base(filepath.Dir(file)) == "custom" {
			name = "custom"
		}
		in, err := CDEvents(Delivery{Body: body, ReceivedAt: receivedAt})
		require.NoError(t, err, name)
		checkIntake(t, in, err)
		got := map[bool]string{true: "deployment"}[len(in.Deployments) == 1] + map[bool]string{true: "run"}[len(in.Runs) == 1] + map[bool]string{true: "test"}[len(in.Tests) == 1]
		require.Equal(t, want[name], got, name)
	}
}

func TestCDEventsOfAnyVersionAndEnvelope(t *testing.T) {
	content := `"subject":{"id":"checkout","content":{"environment":{"id":"production"},"artifactId":"pkg:golang/acme/checkout@9f2c1abf852bd8fc"}}`
	for _, version := range []string{"dev.cdevents.service.deployed.0.1.0", "dev.cdevents.service.deployed.0.3.0", "dev.cdevents.service.deployed.v1", "dev.cdevents.service.deployed", "dev.cdevents.Service.Deployed.9.9.9"} {
		plain := `{"context":{"type":"` + version + `","timestamp":"2026-11-23T13:55:00Z"},` + content + `}`
		for _, body := range []string{plain, `{"specversion":"1.0","type":"x","data":` + plain + `}`, `[` + plain + `]`} {
			in, err := CDEvents(Delivery{Body: []byte(body), ReceivedAt: receivedAt})
			require.NoError(t, err)
			require.Len(t, in.Deployments, 1, body)
			require.Equal(t, event.Deployment{
				Service: "checkout", Environment: "production", Revision: "9f2c1abf852bd8fc", Status: event.DeploymentSucceeded,
				FinishedAt: at("2026-11-23T13:55:00Z"), Sources: []event.Source{{Name: "cdevents", At: at("2026-11-23T13:55:00Z")}},
			}, in.Deployments[0])
		}
	}
	_, err := CDEvents(Delivery{Body: []byte(`{"subject":{}}`)})
	require.ErrorContains(t, err, "is it a CDEvent?")
}

// Flux tells of each reconciliation: the id stays the same until something else
// is deployed, and a Helm rollback to an older chart is something else.
func TestFluxIDs(t *testing.T) {
	id := func(message, revision string) string {
		body, err := json.Marshal(map[string]any{
			"involvedObject": map[string]string{"kind": "HelmRelease", "namespace": "shop", "name": "checkout"},
			"severity":       "info", "reason": "UpgradeSucceeded", "message": message, "metadata": map[string]string{"revision": revision},
		})
		require.NoError(t, err)
		in, err := Flux(Delivery{Body: body, ReceivedAt: receivedAt})
		require.NoError(t, err)
		return in.Deployments[0].Aliases[0]
	}
	first := id("Helm upgrade succeeded for release shop/checkout.v3 with chart checkout@1.2.3", "1.2.3")
	require.Equal(t, first, id("Helm upgrade succeeded for release shop/checkout.v3 with chart checkout@1.2.3", "1.2.3"))
	require.NotEqual(t, first, id("Helm upgrade succeeded for release shop/checkout.v5 with chart checkout@1.2.3", "1.2.3"))
}

func TestGitLabDeploymentStates(t *testing.T) {
	for status, want := range map[string]event.DeploymentStatus{
		"running": event.DeploymentStarted, "success": event.DeploymentSucceeded, "failed": event.DeploymentFailed,
		"created": "", "canceled": "", "blocked": "",
	} {
		in, err := GitLab(Delivery{Body: []byte(`{"object_kind":"deployment","status":"` + status + `","deployment_id":1,"environment":"production","short_sha":"9f2c1abf","project":{"name":"shop","path_with_namespace":"acme/shop"}}`), ReceivedAt: receivedAt})
		require.NoError(t, err)
		if want == "" {
			require.Contains(t, in.Ignored, status)
		} else {
			require.Equal(t, want, in.Deployments[0].Status)
			require.Equal(t, "9f2c1abf", in.Deployments[0].Revision)
		}
	}
}

func TestArgoCDWithoutAnImageTagIsNamedByItsRevision(t *testing.T) {
	for images, want := range map[string][2]string{
		`[]`:                              {"", "abc1234"},
		`["r.example:5000/a@sha256:00"]`:  {"", "abc1234"},
		`["a:1.0","sidecar:2.0"]`:         {"", "abc1234"},
		`["a:1.0","b:1.0","c@sha256:00"]`: {"1.0", ""},
		`["r.example:5000/a:latest"]`:     {"", "abc1234"},
	} {
		in, err := ArgoCD(Delivery{Body: []byte(`{"metadata":{"name":"a"},"status":{"operationState":{"phase":"Succeeded","syncResult":{"revision":"abc1234"}},"summary":{"images":` + images + `}}}`), ReceivedAt: receivedAt})
		require.NoError(t, err)
		require.Equal(t, want, [2]string{in.Deployments[0].Version, in.Deployments[0].Revision}, images)
	}
}
