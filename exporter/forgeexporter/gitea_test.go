package forgeexporter

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"time"

	"code.gitea.io/sdk/gitea"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/deployloop/deployloop/internal/event"
)

// TestGiteaHearsTheSame walks regressed and rolled back on a server that reads
// each request strictly into the client's own types.
func TestGiteaHearsTheSame(t *testing.T) {
	var mu sync.Mutex
	var statuses []*gitea.Status
	var comments []*gitea.Comment
	bot := &gitea.User{UserName: "deployloop-bot"}
	strict := func(r *http.Request, into any) {
		d := json.NewDecoder(r.Body)
		d.DisallowUnknownFields()
		if err := d.Decode(into); err != nil {
			t.Errorf("%s %s: %v", r.Method, r.URL, err)
		}
	}
	mux := http.NewServeMux()
	const repo = "/api/v1/repos/acme/shop"
	mux.HandleFunc("GET /api/v1/user", func(w http.ResponseWriter, _ *http.Request) { answer(w, 200, bot) })
	mux.HandleFunc("GET "+repo+"/commits/{sha}/statuses", func(w http.ResponseWriter, _ *http.Request) { answer(w, 200, statuses) })
	mux.HandleFunc("POST "+repo+"/statuses/{sha}", func(w http.ResponseWriter, r *http.Request) {
		var o gitea.CreateStatusOption
		strict(r, &o)
		assert.Equal(t, head, r.PathValue("sha"))
		assert.Contains(t, []gitea.StatusState{gitea.StatusPending, gitea.StatusSuccess, gitea.StatusError, gitea.StatusFailure}, o.State)
		s := &gitea.Status{ID: int64(len(statuses) + 1), State: o.State, TargetURL: o.TargetURL, Description: o.Description, Context: o.Context}
		statuses = append(statuses, s)
		answer(w, 201, s)
	})
	mux.HandleFunc("GET "+repo+"/commits/{sha}/pull", func(w http.ResponseWriter, r *http.Request) {
		if r.PathValue("sha") != head {
			answer(w, 404, map[string]string{"message": "not found"})
			return
		}
		merged := start.Add(-time.Hour)
		answer(w, 200, gitea.PullRequest{Index: 12, Merged: &merged})
	})
	// Of the suspect, which is no merge, Gitea keeps no pull request: the merged ones are looked through.
	mux.HandleFunc("GET "+repo+"/pulls", func(w http.ResponseWriter, r *http.Request) {
		assert.Equal(t, "closed", r.URL.Query().Get("state"))
		merged := start.Add(-time.Hour)
		answer(w, 200, []gitea.PullRequest{{Index: 9}, {Index: 12, Merged: &merged, Head: &gitea.PRBranchInfo{Sha: head}}})
	})
	mux.HandleFunc("GET "+repo+"/pulls/12/commits", func(w http.ResponseWriter, _ *http.Request) {
		answer(w, 200, []gitea.Commit{{CommitMeta: &gitea.CommitMeta{SHA: head}}})
	})
	mux.HandleFunc("GET "+repo+"/issues/12/comments", func(w http.ResponseWriter, _ *http.Request) { answer(w, 200, comments) })
	mux.HandleFunc("POST "+repo+"/issues/12/comments", func(w http.ResponseWriter, r *http.Request) {
		var o gitea.CreateIssueCommentOption
		strict(r, &o)
		c := &gitea.Comment{ID: 41, Body: o.Body, Poster: bot}
		comments = append(comments, c)
		answer(w, 201, c)
	})
	mux.HandleFunc("PATCH "+repo+"/issues/comments/41", func(w http.ResponseWriter, r *http.Request) {
		var o gitea.EditIssueCommentOption
		strict(r, &o)
		comments[0].Body = o.Body
		answer(w, 200, comments[0])
	})
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		t.Errorf("not in the contract: %s %s", r.Method, r.URL)
		answer(w, 404, struct{}{})
	})
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		defer mu.Unlock()
		assert.Equal(t, "token "+testToken, r.Header.Get("Authorization"))
		mux.ServeHTTP(w, r)
	}))
	t.Cleanup(server.Close)

	asGitea := func(e *teller) { e.cfg.Forge, e.cfg.Endpoint = "gitea", server.URL }
	e := startTeller(t, &fakeGitHub{Server: server}, asGitea)
	v := verdict(event.Regressed)
	tell(t, e, v)
	settled(t, e)
	require.Len(t, comments, 1, "the suspect came without a pull request, so the head's has it")
	assert.Contains(t, comments[0].Body, "after this was deployed")
	assert.Equal(t, gitea.StatusFailure, statuses[0].State)
	require.NoError(t, e.ConsumeLogs(t.Context(), logsOf(nil, closedBy(v, event.ClosedRolledBack, "rolled back to 1.41.3 at 14:09Z"))))
	settled(t, e)
	assert.Contains(t, comments[0].Body, "**Closed:** Rolled back")
	require.Len(t, statuses, 2)
	require.NoError(t, e.Shutdown(t.Context()))

	again := startTeller(t, &fakeGitHub{Server: server}, asGitea)
	require.NoError(t, again.ConsumeLogs(t.Context(), logsOf(nil, closedBy(v, event.ClosedRolledBack, "rolled back to 1.41.3 at 14:09Z"))))
	settled(t, again)
	assert.Len(t, statuses, 2, "nothing is told twice")
	assert.Len(t, comments, 1)
}
