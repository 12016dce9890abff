package forgeapi

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/time/rate"

	"github.com/deployloop/deployloop/test/contracttest"
)

const (
	revision = "9f2c1ab0aa9f2c1ab0aa9f2c1ab0aa9f2c1ab0aa"
	project  = "/api/v4/projects/acme%2Fweb%2Fshop"
)

var at = time.Date(2026, 3, 4, 14, 3, 5, 0, time.UTC)

// server answers some operations, under the forge's contract. Whatever else is
// asked fails the test.
type server struct {
	*httptest.Server
	mux *http.ServeMux
}

func newServer(t *testing.T, kind string, authorized func(*http.Request) bool) *server {
	s := &server{mux: http.NewServeMux()}
	s.mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		t.Errorf("not expected: %s %s", r.Method, r.URL)
		w.WriteHeader(http.StatusNotFound)
	})
	s.Server = httptest.NewServer(contracttest.For(t, kind).Serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !authorized(r) {
			t.Errorf("%s %s: wrong credentials", r.Method, r.URL)
		}
		s.mux.ServeHTTP(w, r)
	})))
	t.Cleanup(s.Close)
	return s
}

// on serves one operation; answer gets the body's fields.
func (s *server) on(pattern string, answer func(w http.ResponseWriter, r *http.Request, body map[string]string)) {
	s.mux.HandleFunc(pattern, func(w http.ResponseWriter, r *http.Request) {
		body := map[string]string{}
		_ = json.NewDecoder(r.Body).Decode(&body) // there may be none
		w.Header().Set("Content-Type", "application/json")
		answer(w, r, body)
	})
}

func say(w http.ResponseWriter, code int, body any) {
	w.WriteHeader(code)
	_ = json.NewEncoder(w).Encode(body)
}

func options(endpoint string) Options {
	return Options{
		Endpoint: endpoint, HTTP: &http.Client{Transport: &http.Transport{DisableKeepAlives: true}},
		Limiter: rate.NewLimiter(rate.Inf, 0), Now: func() time.Time { return at },
	}
}

type m = map[string]any

func TestGitLab(t *testing.T) {
	c := newServer(t, "gitlab", func(r *http.Request) bool { return r.Header.Get("Private-Token") == "secret" })
	state := "pending"
	c.on("POST "+project+"/statuses/"+revision,
		func(w http.ResponseWriter, _ *http.Request, body map[string]string) {
			assert.Equal(t, "deployloop/production/checkout", body["name"])
			if body["state"] == state {
				say(w, 400, m{"message": `Cannot transition status via :enqueue from :pending (Reason(s): Status cannot transition via "enqueue")`})
				return
			}
			state = body["state"]
			say(w, 201, m{"id": 9, "status": state})
		})
	c.on("GET "+project+"/repository/commits/"+revision+"/statuses",
		func(w http.ResponseWriter, r *http.Request, _ map[string]string) {
			name := r.URL.Query().Get("name")
			assert.Equal(t, "true", r.URL.Query().Get("all"), "those that were replaced, too")
			say(w, 200, []m{{"id": 7, "name": name, "status": "success", "created_at": at}, {"id": 9, "name": name, "status": state, "description": "why"}})
		})
	c.on("GET "+project+"/repository/commits/"+revision+"/merge_requests", func(w http.ResponseWriter, _ *http.Request, _ map[string]string) {
		say(w, 200, []m{{"iid": 3}, {"iid": 9, "merged_at": at.Add(time.Hour)}, {"iid": 7, "merged_at": at}})
	})
	c.on("GET /api/v4/user", func(w http.ResponseWriter, _ *http.Request, _ map[string]string) {
		say(w, 200, m{"id": 42, "username": "bot"})
	})
	note := func(id int, author int, body string, ago time.Duration) m {
		return m{"id": id, "body": body, "author": m{"id": author, "username": map[int]string{42: "bot", 1: "ada"}[author]}, "created_at": at.Add(-ago)}
	}
	c.on("GET "+project+"/merge_requests/7/notes", func(w http.ResponseWriter, r *http.Request, _ map[string]string) {
		assert.Equal(t, "desc", r.URL.Query().Get("sort"))
		if r.URL.Query().Get("page") != "2" {
			w.Header().Set("X-Next-Page", "2")
			system := note(15, 1, "marker, but of the system", 0)
			system["system"] = true
			say(w, 200, []m{system, note(14, 1, "/deployloop waive", time.Minute), note(13, 42, "marker twice", 2*time.Minute)})
			return
		}
		say(w, 200, []m{note(12, 1, "old", time.Hour), note(11, 42, "marker", time.Hour), note(10, 1, "marker of ada", time.Hour)})
	})
	c.on("POST "+project+"/merge_requests/7/notes", func(w http.ResponseWriter, _ *http.Request, body map[string]string) {
		say(w, 201, note(16, 42, body["body"], 0))
	})
	edited := ""
	c.on("PUT "+project+"/merge_requests/7/notes/16", func(w http.ResponseWriter, _ *http.Request, body map[string]string) {
		edited = body["body"]
		say(w, 200, note(16, 42, edited, 0))
	})
	c.on("DELETE "+project+"/merge_requests/7/notes/16", func(w http.ResponseWriter, _ *http.Request, _ map[string]string) { w.WriteHeader(http.StatusNoContent) })
	c.on("GET "+project+"/members/all/1", func(w http.ResponseWriter, _ *http.Request, _ map[string]string) {
		say(w, 200, m{"id": 1, "access_level": 30})
	})
	c.on("GET "+project+"/members/all/2", func(w http.ResponseWriter, _ *http.Request, _ map[string]string) {
		say(w, 200, m{"id": 2, "access_level": 20})
	})
	c.on("GET "+project+"/members/all/3", func(w http.ResponseWriter, _ *http.Request, _ map[string]string) {
		say(w, 404, m{"message": "404 Not found"})
	})
	c.on("GET "+project+"/merge_requests", func(w http.ResponseWriter, r *http.Request, _ map[string]string) {
		assert.Equal(t, "opened", r.URL.Query().Get("state"))
		say(w, 200, []m{{"iid": 31}, {"iid": 32}})
	})
	c.on("GET "+project+"/merge_requests/31/diffs", func(w http.ResponseWriter, _ *http.Request, _ map[string]string) {
		say(w, 200, []m{{"old_path": "a.go", "new_path": "b.go"}})
	})

	o := options(c.URL)
	o.Token = "secret"
	forge, err := NewGitLab(o)
	require.NoError(t, err)
	const repository = "acme/web/shop"
	ctx := t.Context()
	status := Status{Context: "deployloop/production/checkout", State: Pending, Description: "watching 1.42.0, 4m left"}
	require.NoError(t, forge.SetStatus(ctx, repository, revision, status), "a step from a state to itself is no failure")
	status.State = Failure
	require.NoError(t, forge.SetStatus(ctx, repository, revision, status))
	assert.Equal(t, "failed", state)
	there, err := forge.Statuses(ctx, repository, revision, status.Context)
	require.NoError(t, err)
	require.Len(t, there, 2)
	assert.Equal(t, Status{Context: status.Context, State: Failure, Description: "why", ID: 9}, there[0], "the newest")
	assert.True(t, there[1].At.Equal(at))
	pull, err := forge.MergedPull(ctx, repository, revision)
	require.NoError(t, err)
	assert.EqualValues(t, 7, pull, "merged first")

	own, err := forge.OwnComments(ctx, repository, 7, "marker")
	require.NoError(t, err)
	require.Len(t, own, 2)
	assert.EqualValues(t, []int64{11, 13}, []int64{own[0].ID, own[1].ID}, "oldest first")
	replies, err := forge.Replies(ctx, repository, 7, at.Add(-5*time.Minute))
	require.NoError(t, err)
	assert.Equal(t, []Comment{{ID: 14, Body: "/deployloop waive", Author: Author{Login: "ada", ID: 1}, At: at.Add(-time.Minute)}}, replies)
	made, err := forge.CreateComment(ctx, repository, 7, "hear")
	require.NoError(t, err)
	require.NoError(t, forge.EditComment(ctx, repository, 7, made.ID, "heard"))
	assert.Equal(t, "heard", edited)
	require.NoError(t, forge.DeleteComment(ctx, repository, 7, made.ID))

	for id, want := range map[int64]bool{1: true, 2: false, 3: false} {
		may, err := forge.MayWrite(ctx, repository, Author{ID: id})
		require.NoError(t, err)
		assert.Equal(t, want, may, "member %d", id)
	}
	open, err := forge.OpenPulls(ctx, repository)
	require.NoError(t, err)
	assert.Equal(t, []int64{31, 32}, open)
	paths, err := forge.PullFiles(ctx, repository, 31)
	require.NoError(t, err)
	assert.Equal(t, []string{"a.go", "b.go"}, paths)
}

// A limit is the writer's to wait for, not the client's to try again.
func TestGitLabTellsItsLimit(t *testing.T) {
	asked := 0
	server := httptest.NewServer(contracttest.GitLab(t).Serve(t, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		asked++
		w.Header().Set("Retry-After", "40")
		w.WriteHeader(http.StatusTooManyRequests)
	})))
	t.Cleanup(server.Close)
	forge, err := NewGitLab(options(server.URL))
	require.NoError(t, err)
	_, err = forge.OpenPulls(t.Context(), "acme/shop")
	var f *Failed
	require.ErrorAs(t, err, &f)
	assert.True(t, f.Limited && f.Temporary())
	assert.Equal(t, 40*time.Second, f.RetryAfter)
	assert.Equal(t, 1, asked)
}
