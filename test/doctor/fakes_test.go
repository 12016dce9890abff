package doctor

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/grafana/grafana-openapi-client-go/models"
)

// grafanaFake holds annotations as Grafana's API documents it, and knows these
// tokens: editor may do everything, writer not remove, viewer only read; to
// blind nothing is listed, and of keeper nothing is removed though it says so.
type grafanaFake struct {
	*httptest.Server
	mu   sync.Mutex
	next int64
	kept []models.Annotation
}

func newGrafana(t *testing.T) *grafanaFake {
	g := &grafanaFake{}
	may := map[string][]string{"editor": {"read", "create", "delete"}, "writer": {"read", "create"}, "viewer": {"read"},
		"blind": {"read", "create", "delete"}, "keeper": {"read", "create", "delete"}}
	by := func(r *http.Request, token string) bool { return r.Header.Get("Authorization") == "Bearer "+token }
	answer := func(w http.ResponseWriter, status int, body any) {
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(status)
		_ = json.NewEncoder(w).Encode(body)
	}
	guard := func(what string, do http.HandlerFunc) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) {
			permissions, known := may[strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer ")]
			switch {
			case !known:
				answer(w, http.StatusUnauthorized, map[string]string{"message": "Invalid API key"})
			case !slices.Contains(permissions, what):
				answer(w, http.StatusForbidden, map[string]string{"message": "You'll need additional permissions to perform this action. Permissions needed: annotations:" + what})
			default:
				g.mu.Lock()
				defer g.mu.Unlock()
				do(w, r)
			}
		}
	}
	mux := http.NewServeMux()
	mux.HandleFunc("POST /api/annotations", guard("create", func(w http.ResponseWriter, r *http.Request) {
		var cmd models.PostAnnotationsCmd
		decoder := json.NewDecoder(r.Body)
		decoder.DisallowUnknownFields()
		if err := decoder.Decode(&cmd); err != nil || cmd.Text == nil {
			answer(w, http.StatusBadRequest, map[string]string{"message": "bad request data"})
			return
		}
		g.next++
		g.kept = append(g.kept, models.Annotation{ID: g.next, Tags: cmd.Tags, Text: *cmd.Text, Time: cmd.Time})
		answer(w, http.StatusOK, map[string]any{"id": g.next, "message": "Annotation added"})
	}))
	mux.HandleFunc("GET /api/annotations", guard("read", func(w http.ResponseWriter, r *http.Request) {
		found := []models.Annotation{}
		for _, a := range g.kept {
			if slices.Contains(a.Tags, r.URL.Query().Get("tags")) && !by(r, "blind") {
				found = append(found, a)
			}
		}
		answer(w, http.StatusOK, found)
	}))
	mux.HandleFunc("DELETE /api/annotations/{id}", guard("delete", func(w http.ResponseWriter, r *http.Request) {
		id, _ := strconv.ParseInt(r.PathValue("id"), 10, 64)
		g.kept = slices.DeleteFunc(g.kept, func(a models.Annotation) bool { return a.ID == id && !by(r, "keeper") })
		answer(w, http.StatusOK, map[string]string{"message": "Annotation deleted"})
	}))
	g.Server = httptest.NewServer(mux)
	t.Cleanup(g.Close)
	return g
}

// stored are the annotations that stayed, but those of the token that may not
// remove them.
func (g *grafanaFake) stored() []models.Annotation {
	g.mu.Lock()
	defer g.mu.Unlock()
	if len(g.kept) == 0 {
		return nil
	}
	return g.kept[1:]
}

// gitHubFake answers as GitHub documents it, to classic tokens (unscoped, full)
// and fine-grained ones (fine, readonly).
type gitHubFake struct {
	*httptest.Server
	mu    sync.Mutex
	wrote []string
}

func newGitHub(t *testing.T) *gitHubFake {
	g := &gitHubFake{}
	scopes := map[string]string{"unscoped": "", "full": "repo, read:org"}
	refuse := func(w http.ResponseWriter, status int, message string) {
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(status)
		_ = json.NewEncoder(w).Encode(map[string]string{"message": message})
	}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /user", func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte(`{"login":"deployloop-bot"}`)) })
	mux.HandleFunc("GET /repos/acme/shop/pulls", func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte(`[]`)) })
	write := func(missing int, message string) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) {
			switch token := strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer "); {
			case token == "readonly":
				refuse(w, http.StatusForbidden, "Resource not accessible by personal access token")
			case strings.HasSuffix(r.URL.Path, "/0000000000000000000000000000000000000000") || strings.HasSuffix(r.URL.Path, "/2147483647"):
				refuse(w, missing, message)
			default:
				g.mu.Lock()
				g.wrote = append(g.wrote, r.Method+" "+r.URL.Path)
				g.mu.Unlock()
			}
		}
	}
	mux.HandleFunc("POST /repos/acme/shop/statuses/{sha}", write(http.StatusUnprocessableEntity, "No commit found for SHA: 0000000000000000000000000000000000000000"))
	mux.HandleFunc("PATCH /repos/acme/shop/issues/comments/{id}", write(http.StatusNotFound, "Not Found"))
	mux.HandleFunc("/", func(w http.ResponseWriter, _ *http.Request) { refuse(w, http.StatusNotFound, "Not Found") })
	g.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		token := strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer ")
		told, classic := scopes[token]
		if classic {
			w.Header().Set("X-OAuth-Scopes", told)
		} else if token != "fine" && token != "readonly" {
			refuse(w, http.StatusUnauthorized, "Bad credentials")
			return
		}
		mux.ServeHTTP(w, r)
	}))
	t.Cleanup(g.Close)
	return g
}

func (g *gitHubFake) written() []string {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.wrote
}
