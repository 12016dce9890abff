package consoleextension

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/deployloop/deployloop/internal/event"
	"github.com/deployloop/deployloop/internal/ledger"
)

// apiMaxLimit bounds one answer of the API.
const apiMaxLimit = 1000

// apiDefaultLimit is what a listing gives without limit.
const apiDefaultLimit = 100

// writeJSON answers with v, indented: people read it with curl.
func (s *site) writeJSON(w http.ResponseWriter, r *http.Request, status int, v any) {
	body, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		// An infinite or NaN figure in an object; say so instead of a torn answer.
		status = http.StatusInternalServerError
		body, _ = json.Marshal(apiProblem{"the answer cannot be written as JSON: " + err.Error(), "report this with the id that was asked for"})
	}
	s.write(w, r, status, "application/json; charset=utf-8", append(body, '\n'))
}

// apiProblem is every error of the API.
type apiProblem struct {
	Error string `json:"error"`
	Fix   string `json:"fix"`
}

func (s *site) apiError(w http.ResponseWriter, r *http.Request, status int, problem, fix string) {
	w.Header().Set("Cache-Control", "no-store")
	s.writeJSON(w, r, status, apiProblem{problem, fix})
}

// parameters reads a query string, refusing what it does not know: a filter
// that is silently ignored looks like an answer.
func (s *site) parameters(w http.ResponseWriter, r *http.Request, known ...string) (url.Values, int, bool) {
	values, err := url.ParseQuery(r.URL.RawQuery)
	if err != nil {
		s.apiError(w, r, http.StatusBadRequest, "the query string cannot be read: "+err.Error(), "percent-encode its values")
		return nil, 0, false
	}
	known = append(known, "limit")
	for k, v := range values {
		if !slices.Contains(known, k) {
			s.apiError(w, r, http.StatusBadRequest, fmt.Sprintf("unknown parameter %q", k), "use "+strings.Join(known, ", "))
			return nil, 0, false
		}
		if len(v) > 1 {
			s.apiError(w, r, http.StatusBadRequest, fmt.Sprintf("parameter %q is given %d times", k, len(v)), "give it once")
			return nil, 0, false
		}
	}
	limit := apiDefaultLimit
	if text := values.Get("limit"); text != "" {
		if limit, err = strconv.Atoi(text); err != nil || limit < 1 || limit > apiMaxLimit {
			s.apiError(w, r, http.StatusBadRequest, fmt.Sprintf("limit %q is no number from 1 to %d", text, apiMaxLimit), "use e.g. limit=100")
			return nil, 0, false
		}
	}
	return values, limit, true
}

// GET /api/v1/deployments?service=&environment=&limit=: newest first.
func (s *site) apiDeployments(w http.ResponseWriter, r *http.Request) {
	v, limit, ok := s.parameters(w, r, "service", "environment")
	if !ok {
		return
	}
	list := s.reader.Deployments(ledger.Query{Service: v.Get("service"), Environment: v.Get("environment"), Limit: limit})
	s.writeJSON(w, r, http.StatusOK, struct {
		Deployments []event.Deployment `json:"deployments"`
	}{orEmpty(list)})
}

// apiDeploymentAnswer is one deployment with all that is known of it.
type apiDeploymentAnswer struct {
	Deployment event.Deployment `json:"deployment"`
	Verdict    *event.Verdict   `json:"verdict"` // null: not judged yet
	Anomalies  []event.Anomaly  `json:"anomalies"`
}

// GET /api/v1/deployments/{id}: by id or alias.
func (s *site) apiDeployment(w http.ResponseWriter, r *http.Request) {
	d, ok := s.reader.Deployment(r.PathValue("id"))
	if !ok {
		s.unknownDeployment(w, r, r.PathValue("id"))
		return
	}
	answer := apiDeploymentAnswer{Deployment: d}
	if v, ok := s.reader.Verdict(d.ID); ok {
		answer.Verdict = &v
	}
	answer.Anomalies = orEmpty(s.reader.Anomalies(ledger.Query{Deployment: d.ID, Limit: apiMaxLimit}))
	s.writeJSON(w, r, http.StatusOK, answer)
}

func (s *site) unknownDeployment(w http.ResponseWriter, r *http.Request, id string) {
	s.apiError(w, r, http.StatusNotFound, fmt.Sprintf("deployment %q is not known", id),
		"list the known ones at /api/v1/deployments; old ones are forgotten after the ledger's retention")
}

// GET /api/v1/anomalies?open=&service=&environment=&deployment=&limit=: newest first.
func (s *site) apiAnomalies(w http.ResponseWriter, r *http.Request) {
	v, limit, ok := s.parameters(w, r, "open", "service", "environment", "deployment")
	if !ok {
		return
	}
	query := ledger.Query{Service: v.Get("service"), Environment: v.Get("environment"), Deployment: v.Get("deployment"), Limit: limit}
	var list []event.Anomaly
	switch text := v.Get("open"); text {
	case "":
		list = s.reader.Anomalies(query)
	case "true":
		query.OpenOnly = true
		list = s.reader.Anomalies(query)
	case "false":
		// The ledger filters open ones only; take enough to fill the limit with closed ones.
		query.Limit = closedScanLimit
		list = slices.DeleteFunc(s.reader.Anomalies(query), func(a event.Anomaly) bool { return a.Open })
		list = list[:min(limit, len(list))]
	default:
		s.apiError(w, r, http.StatusBadRequest, fmt.Sprintf("open is %q", text), "use open=true or open=false")
		return
	}
	s.writeJSON(w, r, http.StatusOK, struct {
		Anomalies []event.Anomaly `json:"anomalies"`
	}{orEmpty(list)})
}

// GET /api/v1/changes?repository=&limit=: newest first.
func (s *site) apiChanges(w http.ResponseWriter, r *http.Request) {
	v, limit, ok := s.parameters(w, r, "repository")
	if !ok {
		return
	}
	s.writeJSON(w, r, http.StatusOK, struct {
		Changes []event.Change `json:"changes"`
	}{orEmpty(s.reader.Changes(ledger.ChangeQuery{Repository: v.Get("repository"), Limit: limit}))})
}

// apiStatusAnswer is how the loop is doing and how it is set up.
type apiStatusAnswer struct {
	Version   string    `json:"version"`
	StartedAt time.Time `json:"started_at"`
	Mode      string    `json:"mode"`
	URL       string    `json:"url"`
	Summary   summary   `json:"summary"`
	Setup     []check   `json:"setup"`
	Live      hubStats  `json:"live"`
}

// GET /api/v1/status
func (s *site) apiStatus(w http.ResponseWriter, r *http.Request) {
	if _, _, ok := s.parameters(w, r); !ok {
		return
	}
	sum := s.summarize()
	s.writeJSON(w, r, http.StatusOK, apiStatusAnswer{
		Version: s.version, StartedAt: s.started.UTC(), Mode: s.mode(), URL: s.ownURL(),
		Summary: sum, Setup: s.checklist(sum), Live: s.hub.stats(),
	})
}

// orEmpty makes a JSON list of nothing [] instead of null.
func orEmpty[T any](list []T) []T {
	if list == nil {
		return []T{}
	}
	return list
}
