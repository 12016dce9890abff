package forgeexporter

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/deployloop/deployloop/test/contracttest"
)

// fakeForge is a repository on Gitea or GitLab, under the forge's contract. The
// suspect came by pull request 7, the deployed commit by 12; 31 is open and changes
// cart/total.ts. Ada may push, eve may not.
type fakeForge struct {
	*httptest.Server
	kind string

	mu       sync.Mutex
	statuses []fakeStatus
	comments map[int64][]*fakeComment
	made     int // ids given out
	posts    []string
	limited  http.Header // refuses the next request, once
}

type fakeStatus struct{ sha, name, state, description, url string }

type fakeComment struct {
	id           int64
	author, body string
	at           time.Time
}

// accounts by login.
var accounts = map[string]int64{"deployloop-bot": 42, "ada": 1, "eve": 2}

type object = map[string]any

func newFakeForge(t *testing.T, kind string) *fakeForge {
	f := &fakeForge{kind: kind, comments: map[int64][]*fakeComment{}}
	mux := http.NewServeMux()
	map[string]func(*http.ServeMux){"gitea": f.gitea, "gitlab": f.gitlab}[kind](mux)
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		t.Errorf("not expected: %s %s", r.Method, r.URL)
		answer(w, 404, object{"message": "not found"})
	})
	f.Server = httptest.NewServer(contracttest.For(t, kind).Serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		f.mu.Lock()
		defer f.mu.Unlock()
		if r.Header.Get("Authorization") != "token "+testToken && r.Header.Get("Private-Token") != testToken {
			t.Errorf("%s %s: wrong credentials", r.Method, r.URL)
		}
		if f.limited != nil {
			for name, values := range f.limited {
				w.Header()[name] = values
			}
			f.limited = nil
			answer(w, 429, object{"message": "slow down"})
			return
		}
		if r.Method == http.MethodPost {
			f.posts = append(f.posts, r.URL.Path)
		}
		mux.ServeHTTP(w, r)
	})))
	t.Cleanup(f.Close)
	return f
}

// startOn runs the exporter against the fake.
func (f *fakeForge) startOn(t *testing.T, change func(*teller)) *teller {
	return startTeller(t, &fakeGitHub{Server: f.Server}, func(e *teller) {
		e.cfg.Forge = f.kind
		if change != nil {
			change(e)
		}
	})
}

func fields(r *http.Request) map[string]string {
	body := map[string]string{}
	_ = json.NewDecoder(r.Body).Decode(&body) // the contract has read it
	return body
}

func number(r *http.Request, name string) int64 {
	n, _ := strconv.ParseInt(r.PathValue(name), 10, 64)
	return n
}

func (f *fakeForge) add(pull int64, author, body string, at time.Time) *fakeComment {
	f.made++
	c := &fakeComment{id: int64(f.made), author: author, body: body, at: at}
	f.comments[pull] = append(f.comments[pull], c)
	return c
}

func (f *fakeForge) edit(id int64, body string) *fakeComment {
	for _, list := range f.comments {
		for _, c := range list {
			if c.id == id {
				c.body = body
				return c
			}
		}
	}
	return nil
}

func (f *fakeForge) remove(id int64) {
	for pull := range f.comments {
		f.comments[pull] = slices.DeleteFunc(f.comments[pull], func(c *fakeComment) bool { return c.id == id })
	}
}

// bodies are what the bot said on a pull request.
func (f *fakeForge) bodies(pull int64) (list []string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, c := range f.comments[pull] {
		if c.author == "deployloop-bot" {
			list = append(list, c.body)
		}
	}
	return list
}

func (f *fakeForge) states() (list []string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, s := range f.statuses {
		list = append(list, s.state)
	}
	return list
}

func (f *fakeForge) postsTo(part string) (n int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, path := range f.posts {
		if strings.Contains(path, part) {
			n++
		}
	}
	return n
}

// pullOf is the merged pull request of a commit.
var pullOf = map[string]int64{culprit: 7, head: 12}

func (f *fakeForge) gitea(mux *http.ServeMux) {
	const repo = "/api/v1/repos/acme/shop"
	comment := func(c *fakeComment) object {
		return object{"id": c.id, "body": c.body, "user": object{"id": accounts[c.author], "login": c.author}, "created_at": c.at, "updated_at": c.at}
	}
	list := func(comments []*fakeComment) []object {
		all := []object{}
		for _, c := range comments {
			all = append(all, comment(c))
		}
		return all
	}
	mux.HandleFunc("GET /api/v1/user", func(w http.ResponseWriter, _ *http.Request) {
		answer(w, 200, object{"id": 42, "login": "deployloop-bot"})
	})
	mux.HandleFunc("GET "+repo+"/commits/{sha}/statuses", func(w http.ResponseWriter, r *http.Request) {
		all := []object{}
		for i, s := range f.statuses {
			if s.sha == r.PathValue("sha") {
				all = append(all, object{"id": i + 1, "context": s.name, "status": s.state, "description": s.description, "target_url": s.url})
			}
		}
		answer(w, 200, all)
	})
	mux.HandleFunc("POST "+repo+"/statuses/{sha}", func(w http.ResponseWriter, r *http.Request) {
		b := fields(r)
		f.statuses = append(f.statuses, fakeStatus{r.PathValue("sha"), b["context"], b["state"], b["description"], b["target_url"]})
		answer(w, 201, object{"id": len(f.statuses), "status": b["state"], "context": b["context"]})
	})
	mux.HandleFunc("GET "+repo+"/commits/{sha}/pull", func(w http.ResponseWriter, r *http.Request) {
		pull, ok := pullOf[r.PathValue("sha")]
		if !ok {
			answer(w, 404, object{"message": "not found"})
			return
		}
		answer(w, 200, object{"number": pull, "merged_at": start.Add(-time.Hour)})
	})
	mux.HandleFunc("GET "+repo+"/pulls", func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Query().Get("state") != "open" {
			answer(w, 200, []object{})
			return
		}
		answer(w, 200, []object{{"number": 31, "state": "open", "head": object{"sha": pushed}}})
	})
	mux.HandleFunc("GET "+repo+"/pulls/31/files", func(w http.ResponseWriter, _ *http.Request) {
		answer(w, 200, []object{{"filename": "cart/total.ts"}})
	})
	mux.HandleFunc("GET "+repo+"/issues/{number}/comments", func(w http.ResponseWriter, r *http.Request) {
		answer(w, 200, list(f.comments[number(r, "number")]))
	})
	mux.HandleFunc("POST "+repo+"/issues/{number}/comments", func(w http.ResponseWriter, r *http.Request) {
		answer(w, 201, comment(f.add(number(r, "number"), "deployloop-bot", fields(r)["body"], start)))
	})
	mux.HandleFunc("PATCH "+repo+"/issues/comments/{id}", func(w http.ResponseWriter, r *http.Request) {
		answer(w, 200, comment(f.edit(number(r, "id"), fields(r)["body"])))
	})
	mux.HandleFunc("DELETE "+repo+"/issues/comments/{id}", func(w http.ResponseWriter, r *http.Request) {
		f.remove(number(r, "id"))
		w.WriteHeader(http.StatusNoContent)
	})
	mux.HandleFunc("GET "+repo+"/collaborators/{name}/permission", func(w http.ResponseWriter, r *http.Request) {
		answer(w, 200, object{"permission": map[string]string{"ada": "write", "eve": "read"}[r.PathValue("name")]})
	})
}

func (f *fakeForge) gitlab(mux *http.ServeMux) {
	const project = "/api/v4/projects/acme%2Fshop"
	note := func(c *fakeComment) object {
		return object{"id": c.id, "body": c.body, "author": object{"id": accounts[c.author], "username": c.author}, "created_at": c.at}
	}
	mux.HandleFunc("GET /api/v4/user", func(w http.ResponseWriter, _ *http.Request) {
		answer(w, 200, object{"id": 42, "username": "deployloop-bot"})
	})
	mux.HandleFunc("GET "+project+"/repository/commits/{sha}/statuses", func(w http.ResponseWriter, r *http.Request) {
		all := []object{}
		for i, s := range f.statuses {
			if s.sha == r.PathValue("sha") {
				all = append(all, object{"id": i + 1, "name": s.name, "status": s.state, "description": s.description, "target_url": s.url})
			}
		}
		answer(w, 200, all)
	})
	mux.HandleFunc("POST "+project+"/statuses/{sha}", func(w http.ResponseWriter, r *http.Request) {
		b := fields(r)
		f.statuses = append(f.statuses, fakeStatus{r.PathValue("sha"), b["name"], b["state"], b["description"], b["target_url"]})
		answer(w, 201, object{"id": len(f.statuses), "status": b["state"], "name": b["name"]})
	})
	mux.HandleFunc("GET "+project+"/repository/commits/{sha}/merge_requests", func(w http.ResponseWriter, r *http.Request) {
		all := []object{}
		if iid, ok := pullOf[r.PathValue("sha")]; ok {
			all = append(all, object{"iid": iid, "state": "merged", "merged_at": start.Add(-time.Hour)})
		}
		if r.PathValue("sha") == pushed {
			all = append(all, object{"iid": 31, "state": "opened", "sha": pushed})
		}
		answer(w, 200, all)
	})
	mux.HandleFunc("GET "+project+"/merge_requests", func(w http.ResponseWriter, _ *http.Request) {
		answer(w, 200, []object{{"iid": 31, "state": "opened", "sha": pushed}})
	})
	mux.HandleFunc("GET "+project+"/merge_requests/31/diffs", func(w http.ResponseWriter, _ *http.Request) {
		answer(w, 200, []object{{"old_path": "cart/total.ts", "new_path": "cart/total.ts"}})
	})
	mux.HandleFunc("GET "+project+"/merge_requests/{iid}/notes", func(w http.ResponseWriter, r *http.Request) {
		all := []object{}
		for _, c := range slices.Backward(f.comments[number(r, "iid")]) {
			all = append(all, note(c))
		}
		answer(w, 200, all)
	})
	mux.HandleFunc("POST "+project+"/merge_requests/{iid}/notes", func(w http.ResponseWriter, r *http.Request) {
		answer(w, 201, note(f.add(number(r, "iid"), "deployloop-bot", fields(r)["body"], start)))
	})
	mux.HandleFunc("PUT "+project+"/merge_requests/{iid}/notes/{id}", func(w http.ResponseWriter, r *http.Request) {
		answer(w, 200, note(f.edit(number(r, "id"), fields(r)["body"])))
	})
	mux.HandleFunc("DELETE "+project+"/merge_requests/{iid}/notes/{id}", func(w http.ResponseWriter, r *http.Request) {
		f.remove(number(r, "id"))
		w.WriteHeader(http.StatusNoContent)
	})
	mux.HandleFunc("GET "+project+"/members/all/{id}", func(w http.ResponseWriter, r *http.Request) {
		answer(w, 200, object{"id": number(r, "id"), "access_level": map[string]int{fmt.Sprint(accounts["ada"]): 30, fmt.Sprint(accounts["eve"]): 20}[r.PathValue("id")]})
	})
}
