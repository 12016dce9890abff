package cicdreceiver

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/pcommon"

	"github.com/deployloop/deployloop/internal/event"
	"github.com/deployloop/deployloop/internal/event/eventotlp"
	"github.com/deployloop/deployloop/internal/ledger"
)

const fourRevision = "9f2c1abf852bd8fca8fcc58a9a2d6c842781e32a"

// Four sources tell of one deployment, each as far as it knows it: GitHub by the
// commit, Argo CD by the image's tag, CDEvents by whatever its artifact says, and
// the first telemetry. In whatever order they come, it is one deployment with the
// provenance of all four.
func TestFourSourcesOfOneDeployment(t *testing.T) {
	hooks := []struct{ path, event, body string }{
		{"/webhooks/github", "deployment_status", `{"deployment":{"id":7,"sha":"` + fourRevision + `","ref":"main","environment":"production","payload":{"service":"checkout"},"created_at":"2026-11-23T13:58:00Z"},"deployment_status":{"state":"success","updated_at":"2026-11-23T14:00:00Z"},"repository":{"name":"shop","full_name":"acme/shop"}}`},
		{"/webhooks/argocd", "", `{"metadata":{"name":"checkout","namespace":"argocd","uid":"4f1f"},"spec":{"destination":{"namespace":"production"}},"status":{"operationState":{"phase":"Succeeded","startedAt":"2026-11-23T13:58:30Z","finishedAt":"2026-11-23T13:59:40Z","syncResult":{"revision":"0d0d0d0"}},"summary":{"images":["registry.example:5000/shop/checkout:1.42.0"]}}}`},
		{"/cdevents", "by version", `{"context":{"type":"dev.cdevents.service.upgraded.0.2.0","timestamp":"2026-11-23T13:59:50Z"},"subject":{"id":"checkout","content":{"environment":{"id":"production"},"artifactId":"pkg:oci/checkout@sha256%3Aff?tag=1.42.0"}}}`},
		{"/cdevents", "by revision", `{"context":{"type":"dev.cdevents.service.upgraded.0.2.0","timestamp":"2026-11-23T13:59:50Z"},"subject":{"id":"checkout","content":{"environment":{"id":"production"},"artifactId":"pkg:golang/acme/checkout@` + fourRevision + `"}}}`},
		{"/cdevents", "by both", `{"context":{"type":"dev.cdevents.service.upgraded.0.2.0","timestamp":"2026-11-23T13:59:50Z"},"subject":{"id":"checkout","content":{"environment":{"id":"production"},"artifactId":"pkg:oci/checkout@sha256%3Aff?tag=1.42.0"}},"customData":{"revision":"` + fourRevision + `"}}`},
	}
	r := start(t, wiring{})
	var told []event.Deployment
	for _, hook := range hooks {
		status, text := 0, ""
		if hook.path == "/webhooks/github" {
			status, text = r.github(hook.event, "1", []byte(hook.body))
		} else {
			status, text, _ = r.post(hook.path, []byte(hook.body), nil)
		}
		require.Equal(t, 202, status, text)
	}
	for _, record := range r.records() {
		d, err := eventotlp.DecodeDeployment(pcommon.NewResource(), record)
		require.NoError(t, err)
		told = append(told, d)
	}
	require.Len(t, told, len(hooks))

	sightings := map[string]ledger.Sighting{
		"version and revision": {Version: "1.42.0", Revision: fourRevision},
		"version":              {Version: "v1.42.0"},
		"revision":             {Revision: fourRevision},
		"image and ReplicaSet": {Version: "1.42.0+rs.7d9f8b6c5d"},
		"ReplicaSet":           {Version: "rs.7d9f8b6c5d"},
	}
	seenAt := time.Date(2026, 11, 23, 13, 59, 0, 0, time.UTC)
	for what, sighting := range sightings {
		sighting.Service, sighting.Environment, sighting.At = "checkout", "production", seenAt
		for i, cdevent := range told[2:] {
			for _, order := range orders(4) {
				book := ledger.New(ledger.Limits{})
				for minute := range 10 { // the version of before
					book.RecordSighting(ledger.Sighting{Service: "checkout", Environment: "production", Version: "1.41.3", At: seenAt.Add(time.Duration(minute-20) * time.Minute)})
				}
				for _, source := range order {
					switch source {
					case 3:
						book.RecordSighting(sighting)
					case 2:
						book.RecordDeployment(cdevent)
					default:
						book.RecordDeployment(told[source])
					}
				}
				name := strings.Join([]string{what, "CDEvents " + hooks[2+i].event}, ", ")
				all := book.Deployments(ledger.Query{})
				require.Len(t, all, 1, "%s, order %v: %+v", name, order, all)
				d := all[0]
				var sources []string
				for _, s := range d.Sources {
					sources = append(sources, s.Name)
				}
				require.ElementsMatch(t, []string{"github", "argocd", "cdevents", "telemetry"}, sources, name)
				version, _ := event.SplitRollout(d.Version)
				require.True(t, event.SameVersion("1.42.0", version), "%s: %s", name, d.Version)
				require.Equal(t, fourRevision, d.Revision, name)
				require.Equal(t, event.DeploymentSucceeded, d.Status)
				require.Equal(t, "1.41.3", d.PreviousVersion)
				require.Equal(t, seenAt, d.FirstSeenAt)
				for _, id := range []string{"github:7", "argocd:4f1f@2026-11-23T13:58:30Z"} {
					found, ok := book.Deployment(id)
					require.True(t, ok, name)
					require.Equal(t, d.ID, found.ID)
				}
				id, _, ok := book.Current("checkout", "production", sighting.Version, sighting.Revision)
				require.True(t, ok, name)
				require.Equal(t, d.ID, id, "its telemetry is stamped with it")
			}
		}
	}
}

// orders are all orders of n things.
func orders(n int) [][]int {
	if n == 0 {
		return [][]int{nil}
	}
	var all [][]int
	for _, rest := range orders(n - 1) {
		for at := range n {
			all = append(all, append(append(append([]int{}, rest[:at]...), n-1), rest[at:]...))
		}
	}
	return all
}
