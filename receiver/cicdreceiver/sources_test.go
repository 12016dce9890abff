package cicdreceiver

import (
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// Each source proves itself by its own means once it has a secret, and by
// nothing else.
func TestProofs(t *testing.T) {
	r := start(t, wiring{config: func(c *Config) {
		for _, s := range []*SourceConfig{&c.Jenkins, &c.ArgoCD, &c.Flux, &c.Flagger, &c.Spinnaker, &c.CDEvents} {
			s.Secret = secret
		}
		c.Gitea.Secret, c.GitLab.Secret = secret, secret
	}})
	body := []byte(`{"context":{"type":"dev.cdevents.ticket.created.0.2.0"},"subject":{"id":"x"}}`)
	hexOnly := strings.TrimPrefix(sign(secret, body), "sha256=")
	cases := []struct {
		path    string
		headers map[string]string // the right ones
		header  string            // the one that proves
	}{
		{"/webhooks/gitea", map[string]string{"X-Gitea-Event": "star", "X-Gitea-Signature": hexOnly}, "X-Gitea-Signature"},
		{"/webhooks/gitlab", map[string]string{"X-Gitlab-Token": secret}, "X-Gitlab-Token"},
		{"/webhooks/flux", map[string]string{"X-Signature": sign(secret, body)}, "X-Signature"},
		{"/webhooks/jenkins", map[string]string{"Authorization": "Bearer " + secret}, "Authorization"},
		{"/webhooks/argocd", map[string]string{"Authorization": "Bearer " + secret}, "Authorization"},
		{"/webhooks/flagger", map[string]string{"Authorization": "Bearer " + secret}, "Authorization"},
		{"/webhooks/spinnaker", map[string]string{"Authorization": "Bearer " + secret}, "Authorization"},
		{"/cdevents", map[string]string{"Authorization": "Bearer " + secret}, "Authorization"},
	}
	for _, c := range cases {
		t.Run(c.path, func(t *testing.T) {
			status, text, _ := r.post(c.path, body, c.headers)
			require.Equal(t, http.StatusOK, status, text)
			require.Contains(t, text, "ignored: ")
			right := c.headers[c.header]
			for _, wrong := range []string{"", right[:len(right)-1], right + "0", "Bearer ", "sha256="} {
				headers := map[string]string{"X-Gitea-Event": "star", c.header: wrong}
				status, text, _ := r.post(c.path, body, headers)
				require.Equal(t, http.StatusUnauthorized, status, "%q: %s", wrong, text)
				require.NotContains(t, text, secret)
			}
		})
	}
	status, _, _ := r.post("/webhooks/flagger?token=it+is+secret", []byte(`{"name":"another"}`), nil)
	require.Equal(t, http.StatusOK, status, "for senders that can set no header")
	status, _, _ = r.post("/webhooks/flagger?token=wrong", body, nil)
	require.Equal(t, http.StatusUnauthorized, status)
}

// A source that tells of begin and end in two events still gives one whole span.
func TestRunToldInTwoEvents(t *testing.T) {
	r := start(t, wiring{})
	for _, phase := range []struct{ predicate, at string }{{"queued", "13:00:00"}, {"started", "13:00:30"}, {"finished", "13:05:00"}} {
		body := `{"context":{"type":"dev.cdevents.pipelinerun.` + phase.predicate + `.0.2.0","timestamp":"2026-11-23T` + phase.at + `Z"},"subject":{"id":"p-42","content":{"pipelineName":"build","outcome":"success"}}}`
		status, text, _ := r.post("/cdevents", []byte(body), nil)
		require.Equal(t, http.StatusAccepted, status, text)
	}
	spans := r.spans()
	require.Len(t, spans, 1)
	span := spans["build"]
	require.Equal(t, 4*time.Minute+30*time.Second, span.EndTimestamp().AsTime().Sub(span.StartTimestamp().AsTime()))
	last := r.records()[2].Attributes().AsRaw()
	require.Equal(t, "2026-11-23T13:00:00Z", last["deployloop.pipeline.run.queued_at"])
}

// CloudEvents come in the binary mode of HTTP, structured, and in batches.
func TestModesOfCloudEvents(t *testing.T) {
	event := `{"context":{"type":"dev.cdevents.service.deployed.0.2.0","timestamp":"2026-11-23T13:55:00Z"},"subject":{"id":"checkout","content":{"environment":{"id":"production"},"artifactId":"pkg:oci/checkout@sha256%3Aff?tag=1.42.%d"}}}`
	for i, mode := range []struct {
		headers map[string]string
		body    string
	}{
		{map[string]string{"Ce-Specversion": "1.0", "Ce-Id": "1", "Ce-Source": "/cd", "Ce-Type": "dev.cdevents.service.deployed.0.2.0"}, "%s"},
		{map[string]string{"Content-Type": "application/cloudevents+json; charset=utf-8"}, `{"specversion":"1.0","id":"1","source":"/cd","type":"dev.cdevents.service.deployed.0.2.0","datacontenttype":"application/json","data":%s}`},
		{map[string]string{"Content-Type": "application/cloudevents-batch+json"}, `[{"specversion":"1.0","id":"1","source":"/cd","type":"dev.cdevents.service.deployed.0.2.0","data":%s}]`},
	} {
		r := start(t, wiring{})
		body := strings.Replace(mode.body, "%s", strings.Replace(event, "%d", string(rune('0'+i)), 1), 1)
		status, text, _ := r.post("/cdevents", []byte(body), mode.headers)
		require.Equal(t, http.StatusAccepted, status, text)
		require.Len(t, r.records(), 1)
		require.Equal(t, "1.42."+string(rune('0'+i)), r.records()[0].Attributes().AsRaw()["service.version"])
	}
}

// Each published payload of GitHub passes through the whole receiver.
func TestPublishedPayloadsThroughTheReceiver(t *testing.T) {
	root := "../../../shared/data/webhooks/github/payload-examples/api.github.com"
	folders, err := os.ReadDir(root)
	if err != nil {
		t.Skipf("the published payloads are not here: put them into ../shared/data/webhooks/github beside the repository")
	}
	r := start(t, wiring{})
	taken := 0
	for _, folder := range folders {
		files, err := filepath.Glob(filepath.Join(root, folder.Name(), "*.json"))
		require.NoError(t, err)
		for _, file := range files {
			body, err := os.ReadFile(file)
			require.NoError(t, err)
			status, text := r.github(folder.Name(), file, body)
			require.Contains(t, []int{http.StatusOK, http.StatusAccepted}, status, "%s: %s", file, text)
			if status == http.StatusAccepted {
				taken++
			}
		}
	}
	require.Greater(t, taken, 20)
	require.GreaterOrEqual(t, len(r.records()), taken)
	require.Positive(t, r.traces.SpanCount())
}
