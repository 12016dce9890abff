package examples

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.yaml.in/yaml/v3"

	"github.com/deployloop/deployloop/internal/event"
	"github.com/deployloop/deployloop/test/deploylooptest"
)

// gitLab is the part of GitLab's API that the forge exporter needs, with its
// rules: a status moves only from one state to another, fields that the API
// does not document are refused.
type gitLab struct {
	*httptest.Server
	t *testing.T

	mu     sync.Mutex
	states []string
	status map[string]string
	note   string
	made   int
}

const (
	gitLabToken   = "glpat-of-this-test"
	gitLabProject = "/api/v4/projects/acme%2Fshop"
)

func newGitLab(t *testing.T) *gitLab {
	g := &gitLab{t: t}
	mux := http.NewServeMux()
	say := func(w http.ResponseWriter, code int, body any) {
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(code)
		_ = json.NewEncoder(w).Encode(body)
	}
	type m = map[string]any
	user := m{"id": 42, "username": "deployloop"}
	mux.HandleFunc("GET /api/v4/user", func(w http.ResponseWriter, _ *http.Request) { say(w, 200, user) })
	commit := gitLabProject + "/repository/commits/" + badRevision
	mux.HandleFunc("GET "+commit+"/statuses", func(w http.ResponseWriter, _ *http.Request) {
		list := []m{}
		if g.status != nil {
			list = append(list, m{"id": 1, "name": g.status["name"], "status": g.status["state"], "description": g.status["description"]})
		}
		say(w, 200, list)
	})
	mux.HandleFunc("POST "+gitLabProject+"/statuses/"+badRevision, func(w http.ResponseWriter, r *http.Request) {
		body := g.fields(r, "state", "ref", "name", "target_url", "description", "coverage", "pipeline_id")
		if g.status["state"] == body["state"] {
			g.status["description"] = body["description"]
			say(w, 400, m{"message": "Cannot transition status via :" + body["state"]})
			return
		}
		g.status, g.states = body, append(g.states, body["state"])
		say(w, 201, m{"id": 1, "status": body["state"]})
	})
	mux.HandleFunc("GET "+commit+"/merge_requests", func(w http.ResponseWriter, _ *http.Request) {
		say(w, 200, []m{{"iid": 17, "merged_at": time.Now().Add(-time.Hour).UTC()}})
	})
	notes := gitLabProject + "/merge_requests/17/notes"
	noted := func() m {
		return m{"id": 5, "body": g.note, "author": user, "created_at": time.Now().UTC()}
	}
	mux.HandleFunc("GET "+notes, func(w http.ResponseWriter, _ *http.Request) {
		list := []m{}
		if g.note != "" {
			list = append(list, noted())
		}
		say(w, 200, list)
	})
	mux.HandleFunc("POST "+notes, func(w http.ResponseWriter, r *http.Request) {
		g.note = g.fields(r, "body", "created_at", "internal")["body"]
		g.made++
		say(w, 201, noted())
	})
	mux.HandleFunc("PUT "+notes+"/5", func(w http.ResponseWriter, r *http.Request) {
		g.note = g.fields(r, "body")["body"]
		say(w, 200, noted())
	})
	mux.HandleFunc("GET "+gitLabProject+"/merge_requests", func(w http.ResponseWriter, _ *http.Request) { say(w, 200, []m{}) })
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		t.Errorf("not in the contract: %s %s", r.Method, r.URL)
		w.WriteHeader(http.StatusNotFound)
	})
	g.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Private-Token") != gitLabToken {
			t.Errorf("%s %s: wrong credentials", r.Method, r.URL)
		}
		g.mu.Lock()
		defer g.mu.Unlock()
		mux.ServeHTTP(w, r)
	}))
	t.Cleanup(g.Close)
	return g
}

func (g *gitLab) fields(r *http.Request, known ...string) map[string]string {
	body := map[string]string{}
	assert.NoError(g.t, json.NewDecoder(r.Body).Decode(&body))
	for name := range body {
		assert.True(g.t, slices.Contains(known, name), "%s %s: %q is not documented", r.Method, r.URL, name)
	}
	return body
}

// told is the commit's states so far, its description, the note and how often
// one was made.
func (g *gitLab) told() (states []string, description, note string, made int) {
	g.mu.Lock()
	defer g.mu.Unlock()
	return slices.Clone(g.states), g.status["description"], g.note, g.made
}

// GitLab's webhooks tell of the pipeline and the deployment; the bad one becomes
// a failed status and a note on its merge request, which say how it ended.
func TestGitLab(t *testing.T) {
	t.Parallel()
	var ci map[string]any
	text := deploylooptest.NewPlaces(t).File("examples/gitlab/gitlab-ci.yml")
	require.NoError(t, yaml.Unmarshal(readFile(t, text), &ci))
	for _, job := range []string{"test", "deploy", "verify"} {
		require.Contains(t, ci, job)
	}

	forge, places := newGitLab(t), deploylooptest.NewPlaces(t)
	loop := deploylooptest.StartExample(t, deploylooptest.Example{
		File: "examples/gitlab/deployloop.yaml", Places: places,
		Env: []string{"GITLAB_WEBHOOK_SECRET=" + hookToken, "GITLAB_TOKEN=" + gitLabToken, "GITLAB_URL=" + forge.URL},
	})
	hook := func(name string, replace ...string) {
		t.Helper()
		now := time.Now().UTC().Format("2006-01-02 15:04:05 UTC")
		body := recorded(t, name, append([]string{"9f2c1abf852bd8fca8fcc58a9a2d6c842781e32a", badRevision, "9f2c1abf", badRevision[:8], "v1.42.0", "v1.1.0",
			"2026-11-23 14:50:00 +0100", now, "2026-11-23 13:05:00 UTC", now}, replace...)...)
		post(t, loop.CICD+"/webhooks/gitlab", http.StatusUnauthorized, body, "X-Gitlab-Token", "guessed")
		post(t, loop.CICD+"/webhooks/gitlab", http.StatusAccepted, body, "X-Gitlab-Token", hookToken)
	}
	s := open(t, loop.OTLP, "shop")
	s.waitForHistory()
	hook("gitlab_pipeline_that_failed") // and deployed all the same
	hook("gitlab_deployment_that_succeeded", `"success"`, `"running"`)
	s.canary(0.3)
	v := waitFor(t, loop, "shop", event.Regressed)
	assert.Equal(t, "acme/shop", v.Deployment.Repository)
	eventually(t, 60*time.Second, func() bool { _, _, note, _ := forge.told(); return note != "" }, "a note on the merge request")
	states, description, note, _ := forge.told()
	assert.Equal(t, "failed", states[len(states)-1])
	assert.NotContains(t, states, "success", "never green early")
	assert.Contains(t, description, "since "+badRevision[:7]+" went out")
	assert.Contains(t, note, "shop got worse in production")
	assert.Contains(t, page(t, loop.Console+"/metrics"), `deployloop_pipeline_runs_total`)

	out, code := command(t, "mark", "--endpoint", loop.CICD, "--service", "shop", "--environment", production, "--revision", goodRevision, "--version", "1.0.0")
	require.Zero(t, code, out)
	s.rollBack()
	eventually(t, 90*time.Second, func() bool {
		_, description, note, _ := forge.told()
		return strings.Contains(note, "**Closed:** Rolled back") && strings.Contains(description, "olled back")
	}, "note and status say how it ended")
	_, _, _, made := forge.told()
	assert.Equal(t, 1, made, "one note, edited in place")
}
