// Package grafanatest holds annotations as Grafana's HTTP API does, for tests: no
// Grafana server can be run in them.
package grafanatest

import (
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/go-openapi/strfmt"
	"github.com/grafana/grafana-openapi-client-go/models"
)

// Server holds annotations as Grafana's HTTP API documents it: requests
// are read into the types that Grafana's own OpenAPI contract generates,
// unknown fields and parameters are refused, answers are those types.
type Server struct {
	*httptest.Server
	Handler http.Handler
	t       testing.TB

	Away       atomic.Bool // 503 to everything
	Busy       atomic.Bool // 429 to everything, for half a minute
	LoseAnswer atomic.Bool // the next create is stored, its answer is lost
	Calls      atomic.Int64

	StumbleOver string // the deployment at which each create fails
	Good        string // the token that is taken

	mu     sync.Mutex
	lastID int64
	stored []*models.Annotation
}

// Token is the one that is taken at first.
const Token = "glsa_test"

// Start serves the API under a path ("" for none) until the test ends.
func Start(t testing.TB, path string) *Server {
	t.Helper()
	s := New(t, path)
	s.Server = httptest.NewServer(s.Handler)
	t.Cleanup(s.Close)
	return s
}

// New has no listener, only a Handler.
func New(t testing.TB, path string) *Server {
	s := &Server{t: t, Good: Token}
	mux := http.NewServeMux()
	mux.HandleFunc("GET "+path+"/api/annotations", s.list)
	mux.HandleFunc("POST "+path+"/api/annotations", s.create)
	mux.HandleFunc("PATCH "+path+"/api/annotations/{id}", s.patch)
	mux.HandleFunc("DELETE "+path+"/api/annotations/{id}", s.remove)
	s.Handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.Calls.Add(1)
		switch {
		case s.Away.Load():
			s.answer(w, http.StatusServiceUnavailable, map[string]string{"message": "away"})
		case s.Busy.Load():
			w.Header().Set("Retry-After", "30")
			s.answer(w, http.StatusTooManyRequests, map[string]string{"message": "too many requests"})
		case r.Header.Get("Authorization") != "Bearer "+s.Good:
			s.answer(w, http.StatusUnauthorized, map[string]string{"message": "Invalid API key"})
		default:
			mux.ServeHTTP(w, r)
		}
	})
	return s
}

func (s *Server) answer(w http.ResponseWriter, status int, body any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(body)
}

// strict reads a body as the contract has it.
func (s *Server) strict(w http.ResponseWriter, r *http.Request, into any) bool {
	decoder := json.NewDecoder(io.LimitReader(r.Body, 1<<20))
	decoder.DisallowUnknownFields()
	err := decoder.Decode(into)
	if v, ok := into.(interface{ Validate(strfmt.Registry) error }); ok && err == nil {
		err = v.Validate(strfmt.Default)
	}
	if err != nil {
		s.t.Errorf("%s %s breaks the contract: %v", r.Method, r.URL, err)
		s.answer(w, http.StatusBadRequest, map[string]string{"message": "bad request data"})
		return false
	}
	return true
}

func (s *Server) list(w http.ResponseWriter, r *http.Request) {
	query := r.URL.Query()
	for name := range query {
		if !slices.Contains([]string{"from", "to", "limit", "alertId", "dashboardUID", "panelId", "userId", "type", "tags", "matchAny"}, name) {
			s.t.Errorf("unknown query parameter %q", name)
		}
	}
	number := func(name string) int64 { n, _ := strconv.ParseInt(query.Get(name), 10, 64); return n }
	s.mu.Lock()
	defer s.mu.Unlock()
	found := []*models.Annotation{}
	for _, a := range s.stored {
		all := true
		for _, tag := range query["tags"] {
			all = all && slices.Contains(a.Tags, tag)
		}
		if all && a.TimeEnd >= number("from") && a.Time <= number("to") && int64(len(found)) < number("limit") {
			found = append(found, a)
		}
	}
	s.answer(w, http.StatusOK, found)
}

func (s *Server) create(w http.ResponseWriter, r *http.Request) {
	var cmd models.PostAnnotationsCmd
	if !s.strict(w, r, &cmd) {
		return
	}
	if s.StumbleOver != "" && slices.Contains(cmd.Tags, "deployment:"+s.StumbleOver) {
		s.answer(w, http.StatusInternalServerError, map[string]string{"message": "database is locked"})
		return
	}
	s.mu.Lock()
	s.lastID++
	id := s.lastID
	s.stored = append(s.stored, &models.Annotation{ID: id, Tags: cmd.Tags, Text: *cmd.Text, Time: cmd.Time, TimeEnd: cmd.TimeEnd})
	s.mu.Unlock()
	if s.LoseAnswer.CompareAndSwap(true, false) {
		s.answer(w, http.StatusBadGateway, map[string]string{"message": "the proxy lost the answer"})
		return
	}
	message := "Annotation added"
	s.answer(w, http.StatusOK, models.PostAnnotationOKBody{ID: &id, Message: &message})
}

func (s *Server) at(r *http.Request) int {
	id, _ := strconv.ParseInt(r.PathValue("id"), 10, 64)
	return slices.IndexFunc(s.stored, func(a *models.Annotation) bool { return a.ID == id })
}

func (s *Server) patch(w http.ResponseWriter, r *http.Request) {
	var cmd models.PatchAnnotationsCmd
	if !s.strict(w, r, &cmd) {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	i := s.at(r)
	if i < 0 {
		s.answer(w, http.StatusNotFound, map[string]string{"message": "Annotation not found"})
		return
	}
	a := s.stored[i]
	a.Tags, a.Text, a.Time, a.TimeEnd = cmd.Tags, cmd.Text, cmd.Time, cmd.TimeEnd
	s.answer(w, http.StatusOK, models.SuccessResponseBody{Message: "Annotation patched"})
}

func (s *Server) remove(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	i := s.at(r)
	if i < 0 {
		s.answer(w, http.StatusNotFound, map[string]string{"message": "Annotation not found"})
		return
	}
	s.stored = slices.Delete(s.stored, i, i+1)
	s.answer(w, http.StatusOK, models.SuccessResponseBody{Message: "Annotation deleted"})
}

// Of lists what is stored for a deployment.
func (s *Server) Of(deployment string) []models.Annotation {
	s.mu.Lock()
	defer s.mu.Unlock()
	var out []models.Annotation
	for _, a := range s.stored {
		if slices.Contains(a.Tags, "deployment:"+deployment) {
			out = append(out, *a)
		}
	}
	return out
}

// Verdict is what the one annotation of a deployment says; "" without one.
func (s *Server) Verdict(deployment string) string {
	list := s.Of(deployment)
	if len(list) != 1 {
		return ""
	}
	for _, tag := range list[0].Tags {
		if v, ok := strings.CutPrefix(tag, "verdict:"); ok {
			return v
		}
	}
	return ""
}

// All lists what is stored, the oldest first.
func (s *Server) All() []models.Annotation {
	s.mu.Lock()
	defer s.mu.Unlock()
	out := make([]models.Annotation, 0, len(s.stored))
	for _, a := range s.stored {
		out = append(out, *a)
	}
	return out
}
