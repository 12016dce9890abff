package cdevents

import (
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/deployloop/deployloop/internal/cicd"
	"github.com/deployloop/deployloop/internal/cicd/cicdtest"
	"github.com/deployloop/deployloop/internal/event"
)

func TestGolden(t *testing.T) { cicdtest.Golden(t, Parse) }

func FuzzParse(f *testing.F) { cicdtest.Fuzz(f, Parse) }

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
	files, err := filepath.Glob(filepath.Join(cicdtest.SharedData(t, "cdevents", "conformance"), "*.json"))
	require.NoError(t, err)
	files = append(files, cicdtest.SharedData(t, "cdevents", "custom", "conformance.json"))
	require.Greater(t, len(files), 40)
	for _, file := range files {
		body, err := os.ReadFile(file)
		require.NoError(t, err)
		name := filepath.Base(file[:len(file)-len(".json")])
		if filepath.Base(filepath.Dir(file)) == "custom" {
			name = "custom"
		}
		in, err := Parse(cicd.Delivery{Body: body, ReceivedAt: cicdtest.ReceivedAt})
		require.NoError(t, err, name)
		cicdtest.Check(t, in, err)
		got := map[bool]string{true: "deployment"}[len(in.Deployments) == 1] + map[bool]string{true: "run"}[len(in.Runs) == 1] + map[bool]string{true: "test"}[len(in.Tests) == 1]
		require.Equal(t, want[name], got, name)
	}
}

func TestCDEventsOfAnyVersionAndEnvelope(t *testing.T) {
	content := `"subject":{"id":"checkout","content":{"environment":{"id":"production"},"artifactId":"pkg:golang/acme/checkout@9f2c1abf852bd8fc"}}`
	for _, version := range []string{"dev.cdevents.service.deployed.0.1.0", "dev.cdevents.service.deployed.0.3.0", "dev.cdevents.service.deployed.v1", "dev.cdevents.service.deployed", "dev.cdevents.Service.Deployed.9.9.9"} {
		plain := `{"context":{"type":"` + version + `","timestamp":"2026-11-23T13:55:00Z"},` + content + `}`
		for _, body := range []string{plain, `{"specversion":"1.0","type":"x","data":` + plain + `}`, `[` + plain + `]`} {
			in, err := Parse(cicd.Delivery{Body: []byte(body), ReceivedAt: cicdtest.ReceivedAt})
			require.NoError(t, err)
			require.Len(t, in.Deployments, 1, body)
			require.Equal(t, event.Deployment{
				Service: "checkout", Environment: "production", Revision: "9f2c1abf852bd8fc", Status: event.DeploymentSucceeded,
				FinishedAt: cicdtest.At("2026-11-23T13:55:00Z"), Sources: []event.Source{{Name: "cdevents", At: cicdtest.At("2026-11-23T13:55:00Z")}},
			}, in.Deployments[0])
		}
	}
	_, err := Parse(cicd.Delivery{Body: []byte(`{"subject":{}}`)})
	require.ErrorContains(t, err, "is it a CDEvent?")
}

// Every published file beside the conformance events is told apart: the custom
// event is one, whatever its tool; schemas and formats are none.
func TestPublishedFilesThatAreNoEvents(t *testing.T) {
	root := cicdtest.SharedData(t, "cdevents")
	events, others := 0, 0
	require.NoError(t, filepath.WalkDir(root, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || filepath.Ext(path) != ".json" {
			return err
		}
		body, err := os.ReadFile(path)
		require.NoError(t, err)
		in, err := Parse(cicd.Delivery{Body: body, ReceivedAt: cicdtest.ReceivedAt})
		cicdtest.Check(t, in, err)
		name, _ := filepath.Rel(root, path)
		folder, file, _ := strings.Cut(name, string(filepath.Separator))
		if folder == "schemas" || file == "schema.json" || strings.HasPrefix(file, "formats") {
			require.ErrorContains(t, err, "is it a CDEvent?", name)
			others++
		} else {
			require.NoError(t, err, name)
			events++
		}
		return nil
	}))
	t.Logf("%d events, %d other files", events, others)
	require.Equal(t, 49, events)
	require.Equal(t, 64, others)
}
