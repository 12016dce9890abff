package cicdreceiver

import (
	"maps"
	"net/http"
	"sync"
	"time"

	"github.com/deployloop/deployloop/internal/cicd"
)

const heardPath = "/v1/deliveries"

// heard keeps what became of each source's deliveries: a webhook with a wrong
// secret fails on the sender's side, where nobody looks, and deployloop doctor
// asks here. Only as many sources as there are routes.
type heard struct {
	mu sync.Mutex
	by map[string]cicd.Heard
}

func (h *heard) note(req *http.Request, source string, o outcome, now time.Time) {
	if req.Header.Get(cicd.HeaderProbe) != "" {
		return
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	was := h.by[source]
	switch o {
	case outcomeAccepted, outcomeIgnored, outcomeDuplicate:
		was.Taken, was.LastTaken = was.Taken+1, now
	case outcomeBadSignature:
		was.Refused, was.LastRefused = was.Refused+1, now
	default:
		return
	}
	if h.by == nil {
		h.by = map[string]cicd.Heard{}
	}
	h.by[source] = was
}

// tellHeard answers GET /v1/deliveries to whom may post deployments.
func (r *cicdReceiver) tellHeard(req *http.Request) answer {
	if refusal := r.admitBeforeBody(req, route{}); refusal != nil {
		return *refusal
	}
	r.heard.mu.Lock()
	defer r.heard.mu.Unlock()
	told := maps.Clone(r.heard.by)
	if told == nil {
		told = map[string]cicd.Heard{}
	}
	return answer{status: http.StatusOK, outcome: outcomeIgnored, body: told}
}
