package e2e

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strconv"
	"sync"
	"testing"

	"github.com/deployloop/deployloop/test/contracttest"
)

// fakeGitHub is acme/shop on a GitHub of which no real one can be run, under
// GitHub's contract: commit statuses, and comments on the pull request 31, which is
// open and has proposed as its head.
type fakeGitHub struct {
	*httptest.Server

	mu       sync.Mutex
	statuses map[string][]object // by commit, newest first
	comments []object
}

type object = map[string]any

const proposed = "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb1"

func startFakeGitHub(t *testing.T) *fakeGitHub {
	f := &fakeGitHub{statuses: map[string][]object{}}
	mux := http.NewServeMux()
	answer := func(w http.ResponseWriter, code int, body any) {
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(code)
		_ = json.NewEncoder(w).Encode(body)
	}
	read := func(r *http.Request) object {
		body := object{}
		_ = json.NewDecoder(r.Body).Decode(&body) // the contract has read it
		return body
	}
	mux.HandleFunc("GET /user", func(w http.ResponseWriter, _ *http.Request) { answer(w, 200, object{"login": "deployloop-bot"}) })
	mux.HandleFunc("GET /repos/acme/shop/commits/{sha}/statuses", func(w http.ResponseWriter, r *http.Request) {
		answer(w, 200, append([]object{}, f.statuses[r.PathValue("sha")]...))
	})
	mux.HandleFunc("POST /repos/acme/shop/statuses/{sha}", func(w http.ResponseWriter, r *http.Request) {
		sha, s := r.PathValue("sha"), read(r)
		f.statuses[sha] = append([]object{s}, f.statuses[sha]...)
		answer(w, 201, s)
	})
	mux.HandleFunc("GET /repos/acme/shop/commits/{sha}/pulls", func(w http.ResponseWriter, r *http.Request) {
		pulls := []object{}
		if r.PathValue("sha") == proposed {
			pulls = append(pulls, object{"number": 31, "state": "open", "head": object{"sha": proposed}})
		}
		answer(w, 200, pulls)
	})
	mux.HandleFunc("GET /repos/acme/shop/issues/31/comments", func(w http.ResponseWriter, _ *http.Request) { answer(w, 200, append([]object{}, f.comments...)) })
	mux.HandleFunc("POST /repos/acme/shop/issues/31/comments", func(w http.ResponseWriter, r *http.Request) {
		c := object{"id": len(f.comments) + 1, "body": read(r)["body"], "user": object{"login": "deployloop-bot"}}
		f.comments = append(f.comments, c)
		answer(w, 201, c)
	})
	mux.HandleFunc("PATCH /repos/acme/shop/issues/comments/{id}", func(w http.ResponseWriter, r *http.Request) {
		id, _ := strconv.Atoi(r.PathValue("id"))
		f.comments[id-1]["body"] = read(r)["body"]
		answer(w, 200, f.comments[id-1])
	})
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		t.Errorf("not expected: %s %s", r.Method, r.URL)
		answer(w, 404, object{"message": "Not Found"})
	})
	f.Server = httptest.NewServer(contracttest.GitHub(t).Serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		f.mu.Lock()
		defer f.mu.Unlock()
		mux.ServeHTTP(w, r)
	})))
	t.Cleanup(f.Close)
	return f
}

// bodies are the comments on the pull request.
func (f *fakeGitHub) bodies() (list []string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, c := range f.comments {
		list = append(list, c["body"].(string))
	}
	return list
}

// states are those of the statuses of a commit, oldest first.
func (f *fakeGitHub) states(sha string) (list []string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, s := range f.statuses[sha] {
		list = append([]string{s["state"].(string)}, list...)
	}
	return list
}

// config lays the forge exporter over the built-in configuration.
func (f *fakeGitHub) config() []byte {
	return []byte(`exporters: {forge: {forge: github, endpoint: "` + f.URL + `", token: test-token, requests_per_second: 50}}
service: {pipelines: {logs/forge: {receivers: [anomaly], exporters: [forge]}}}
`)
}
