package forgeexporter

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"regexp"
	"slices"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/google/go-github/v89/github"

	"github.com/deployloop/deployloop/test/contracttest"
)

const (
	head      = "9f2c1ab0aa9f2c1ab0aa9f2c1ab0aa9f2c1ab0aa"
	culprit   = "a1b2c3d4e5a1b2c3d4e5a1b2c3d4e5a1b2c3d4e5"
	testToken = "test-token"
)

// fakeGitHub holds statuses, pull requests and comments as GitHub does. What it is
// asked and what it answers is held to GitHub's contract; authentication, the
// operations in use and the limits that GitHub documents in words are its own.
type fakeGitHub struct {
	*httptest.Server
	t *testing.T

	mu       sync.Mutex
	calls    []string
	statuses map[string][]github.RepoStatus // by commit, newest first
	pulls    map[string][]*github.PullRequest
	comments map[int][]*github.IssueComment
	nextID   int64
	at       time.Time // of the statuses that are made; zero: they tell none
	edits    int
	// refuse answers in place of the fake when it returns true.
	refuse func(w http.ResponseWriter, r *http.Request) bool
	// loseAnswers does what is asked the first time and answers 502; nil: never.
	loseAnswers map[string]bool
}

func newFakeGitHub(t *testing.T) *fakeGitHub {
	merged := &github.Timestamp{Time: start.Add(-time.Hour)}
	f := &fakeGitHub{
		t: t, statuses: map[string][]github.RepoStatus{}, comments: map[int][]*github.IssueComment{},
		pulls: map[string][]*github.PullRequest{
			head: {
				{Number: github.Ptr(99), State: github.Ptr("open")},
				{Number: github.Ptr(12), MergedAt: merged},
			},
			culprit: {
				{Number: github.Ptr(12), MergedAt: merged}, // a release branch that carried it later
				{Number: github.Ptr(7), MergedAt: &github.Timestamp{Time: start.Add(-2 * time.Hour)}, MergeCommitSHA: github.Ptr(culprit)},
			},
		},
	}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /user", f.getUser)
	mux.HandleFunc("GET /repos/acme/shop/commits/{sha}/statuses", f.listStatuses)
	mux.HandleFunc("POST /repos/acme/shop/statuses/{sha}", f.createStatus)
	mux.HandleFunc("GET /repos/acme/shop/commits/{sha}/pulls", f.listPulls)
	mux.HandleFunc("GET /repos/acme/shop/issues/{number}/comments", f.listComments)
	mux.HandleFunc("POST /repos/acme/shop/issues/{number}/comments", f.createComment)
	mux.HandleFunc("PATCH /repos/acme/shop/issues/comments/{id}", f.editComment)
	mux.HandleFunc("DELETE /repos/acme/shop/issues/comments/{id}", f.deleteComment)
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		t.Errorf("not in the contract: %s %s", r.Method, r.URL)
		http.Error(w, "{}", http.StatusNotFound)
	})
	f.Server = httptest.NewServer(contracttest.GitHub(t).Serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		f.mu.Lock()
		defer f.mu.Unlock()
		f.calls = append(f.calls, r.Method+" "+r.URL.Path)
		if f.refuse != nil && f.refuse(w, r) {
			return
		}
		if r.Header.Get("Authorization") != "Bearer "+testToken {
			http.Error(w, `{"message":"Bad credentials"}`, http.StatusUnauthorized)
			return
		}
		if call := r.Method + " " + r.URL.Path; f.loseAnswers != nil && r.Method != http.MethodGet && !f.loseAnswers[call] {
			f.loseAnswers[call] = true
			mux.ServeHTTP(httptest.NewRecorder(), r)
			answer(w, 502, map[string]string{"message": "bad gateway"})
			return
		}
		mux.ServeHTTP(w, r)
	})))
	t.Cleanup(f.Close)
	return f
}

func answer(w http.ResponseWriter, code int, body any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(code)
	_ = json.NewEncoder(w).Encode(body)
}

func (f *fakeGitHub) read(r *http.Request, into any) {
	if err := json.NewDecoder(r.Body).Decode(into); err != nil {
		f.t.Errorf("%s %s: %v", r.Method, r.URL, err)
	}
}

var fullSHA = regexp.MustCompile(`^[0-9a-f]{40}$`)

func (f *fakeGitHub) getUser(w http.ResponseWriter, _ *http.Request) {
	answer(w, 200, github.User{Login: github.Ptr("deployloop-bot")})
}

func (f *fakeGitHub) listStatuses(w http.ResponseWriter, r *http.Request) {
	list := f.statuses[r.PathValue("sha")]
	if list == nil {
		list = []github.RepoStatus{}
	}
	answer(w, 200, list)
}

func (f *fakeGitHub) createStatus(w http.ResponseWriter, r *http.Request) {
	var s github.RepoStatus
	f.read(r, &s)
	sha := r.PathValue("sha")
	if !fullSHA.MatchString(sha) || s.GetContext() == "" || len([]rune(s.GetDescription())) > 140 {
		f.t.Errorf("status refused: %s %+v", sha, s)
		answer(w, 422, map[string]string{"message": "Validation Failed"})
		return
	}
	answer(w, 201, f.say(sha, s))
}

// say puts a status on top; f.mu is held.
func (f *fakeGitHub) say(sha string, s github.RepoStatus) github.RepoStatus {
	f.nextID++
	s.ID = github.Ptr(f.nextID)
	if !f.at.IsZero() {
		s.CreatedAt = &github.Timestamp{Time: f.at}
	}
	f.statuses[sha] = slices.Insert(f.statuses[sha], 0, s)
	return s
}

func (f *fakeGitHub) listPulls(w http.ResponseWriter, r *http.Request) {
	list, ok := f.pulls[r.PathValue("sha")]
	if !ok {
		answer(w, 422, map[string]string{"message": "No commit found for SHA: " + r.PathValue("sha")})
		return
	}
	answer(w, 200, list)
}

// listComments gives pages of two, so that paging is walked.
func (f *fakeGitHub) listComments(w http.ResponseWriter, r *http.Request) {
	number, _ := strconv.Atoi(r.PathValue("number"))
	page, _ := strconv.Atoi(r.URL.Query().Get("page"))
	page = max(page, 1)
	list := f.comments[number]
	from, to := min(2*(page-1), len(list)), min(2*page, len(list))
	if to < len(list) {
		w.Header().Set("Link", fmt.Sprintf(`<%s%s?page=%d>; rel="next"`, f.URL, r.URL.Path, page+1))
	}
	answer(w, 200, append([]*github.IssueComment{}, list[from:to]...))
}

func (f *fakeGitHub) createComment(w http.ResponseWriter, r *http.Request) {
	var c github.IssueComment
	f.read(r, &c)
	number, _ := strconv.Atoi(r.PathValue("number"))
	if c.GetBody() == "" || len(c.GetBody()) > 65536 {
		f.t.Errorf("comment refused: %d bytes", len(c.GetBody()))
	}
	answer(w, 201, f.add(number, "deployloop-bot", c.GetBody()))
}

func (f *fakeGitHub) add(number int, login, body string) *github.IssueComment {
	f.nextID++
	c := &github.IssueComment{ID: github.Ptr(f.nextID), Body: &body, User: &github.User{Login: &login, Type: github.Ptr("User")}}
	f.comments[number] = append(f.comments[number], c)
	return c
}

func (f *fakeGitHub) editComment(w http.ResponseWriter, r *http.Request) {
	var c github.IssueComment
	f.read(r, &c)
	for _, list := range f.comments {
		for _, have := range list {
			if fmt.Sprint(have.GetID()) == r.PathValue("id") {
				have.Body = c.Body
				f.edits++
				answer(w, 200, have)
				return
			}
		}
	}
	answer(w, 404, map[string]string{"message": "Not Found"})
}

func (f *fakeGitHub) deleteComment(w http.ResponseWriter, r *http.Request) {
	for number, list := range f.comments {
		f.comments[number] = slices.DeleteFunc(list, func(c *github.IssueComment) bool { return fmt.Sprint(c.GetID()) == r.PathValue("id") })
	}
	w.WriteHeader(http.StatusNoContent)
}

func (f *fakeGitHub) status(sha string) github.RepoStatus {
	f.mu.Lock()
	defer f.mu.Unlock()
	if len(f.statuses[sha]) == 0 {
		return github.RepoStatus{}
	}
	return f.statuses[sha][0]
}

// bodies are the comments on a pull request.
func (f *fakeGitHub) bodies(number int) []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	var list []string
	for _, c := range f.comments[number] {
		list = append(list, c.GetBody())
	}
	return list
}

func (f *fakeGitHub) callCount() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return len(f.calls)
}

func (f *fakeGitHub) set(refuse func(http.ResponseWriter, *http.Request) bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.refuse = refuse
}
