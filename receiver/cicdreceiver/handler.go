package cicdreceiver

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"runtime/debug"
	"strings"

	"go.uber.org/zap"
)

const helpText = `deployloop cicd receiver
  POST /v1/deployments      JSON: service, and revision or version; see deployloop mark --help
  POST /v1/reports          ?revision=COMMIT: JUnit, go test, SARIF, coverage, benchmarks, logs of builds; see deployloop report --help
  POST /webhooks/github     X-Hub-Signature-256 with github.secret
  POST /webhooks/gitea      X-Gitea-Signature with gitea.secret; Forgejo too
  POST /webhooks/gitlab     X-Gitlab-Token: gitlab.secret
  POST /webhooks/flux       X-Signature with flux.secret (provider generic-hmac)
  POST /webhooks/jenkins    these and /cdevents: Authorization: Bearer and the source's secret, or ?token=
  POST /webhooks/argocd
  POST /webhooks/flagger
  POST /webhooks/spinnaker
  POST /cdevents            CDEvents over CloudEvents
  GET  /v1/deliveries       how many of each source were taken and refused; what deployloop doctor asks
`

// answer is what a request gets: a status, one line, and how it is counted.
type answer struct {
	status  int
	outcome outcome
	reason  string
	body    any // JSON instead of the reason
}

func refuse(status int, o outcome, format string, args ...any) answer {
	return answer{status: status, outcome: o, reason: fmt.Sprintf(format, args...)}
}

// route is one endpoint.
type route struct {
	source string // for counting
	secret string // "" when none is set
	// authentic proves the sender by the source's own means (a signature); nil
	// or a source without a secret falls back to auth, or to loopback.
	authentic func(*http.Request, []byte) (proven bool, refusal *answer)
	take      func(*http.Request, []byte) answer
	forms     bool // takes application/x-www-form-urlencoded too
	// stream takes the body as it comes, instead of authentic and take.
	stream func(http.ResponseWriter, *http.Request) answer
}

// handler routes by hand rather than by ServeMux patterns, so that a wrong
// method or path is answered in one line and counted like everything else.
func (r *cicdReceiver) handler() http.Handler {
	routes := r.webhooks()
	routes["/v1/deployments"] = route{source: "api", take: r.takeDeployment}
	routes["/v1/reports"] = route{source: "reports", stream: r.takeReports}
	return http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		path := strings.TrimSuffix(req.URL.Path, "/")
		endpoint, known := routes[path]
		switch {
		case path == "" && (req.Method == http.MethodGet || req.Method == http.MethodHead):
			respond(w, http.StatusOK, helpText)
			return
		case path == heardPath && req.Method == http.MethodGet:
			endpoint.source = "deliveries"
			r.finish(w, req, endpoint, r.tellHeard(req))
			return
		case !known:
			endpoint.source = "none"
			r.finish(w, req, endpoint, refuse(http.StatusNotFound, outcomeUnknownRoute, "no such endpoint; GET / lists them"))
			return
		}
		defer func() {
			if failure := recover(); failure != nil {
				r.logger.Error("a request panicked; please report it", zap.String("path", path), zap.Any("panic", failure), zap.ByteString("stack", debug.Stack()))
				r.finish(w, req, endpoint, refuse(http.StatusInternalServerError, outcomeInternal, "internal error; it was logged"))
			}
		}()
		r.finish(w, req, endpoint, r.serve(w, req, endpoint))
	})
}

func (r *cicdReceiver) serve(w http.ResponseWriter, req *http.Request, endpoint route) answer {
	if req.Method != http.MethodPost {
		w.Header().Set("Allow", http.MethodPost)
		return refuse(http.StatusMethodNotAllowed, outcomeMethod, "use POST")
	}
	// A page in a browser on this machine may send a form or text to loopback
	// without asking; JSON it may not. So the content type is part of the guard.
	contentType, _, _ := mime.ParseMediaType(req.Header.Get("Content-Type"))
	isForm := contentType == "application/x-www-form-urlencoded"
	isJSON := contentType == "application/json" || strings.HasPrefix(contentType, "application/") && strings.HasSuffix(contentType, "+json")
	if endpoint.stream != nil {
		if isForm || contentType == "" || contentType == "text/plain" || contentType == "multipart/form-data" {
			return refuse(http.StatusUnsupportedMediaType, outcomeContentType, "set Content-Type: application/octet-stream, or the report's own such as application/xml")
		}
		if refusal := r.admitBeforeBody(req, endpoint); refusal != nil {
			return *refusal
		}
		return endpoint.stream(w, req)
	}
	if !isJSON && !(isForm && endpoint.forms) {
		return refuse(http.StatusUnsupportedMediaType, outcomeContentType, "set Content-Type: application/json")
	}
	if refusal := r.admitBeforeBody(req, endpoint); refusal != nil {
		return *refusal
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, req.Body, r.cfg.MaxRequestBodySize))
	if tooLarge := new(http.MaxBytesError); errors.As(err, &tooLarge) {
		return refuse(http.StatusRequestEntityTooLarge, outcomeTooLarge, "the body is larger than %d bytes; raise max_request_body_size if it should be taken", tooLarge.Limit)
	} else if err != nil {
		return refuse(http.StatusBadRequest, outcomeConnectionBroken, "the body could not be read: send it whole, with the Content-Encoding it has")
	}
	if endpoint.authentic != nil {
		proven, refusal := endpoint.authentic(req, body)
		if refusal != nil {
			return *refusal
		}
		if isForm && !proven {
			return refuse(http.StatusUnsupportedMediaType, outcomeContentType, "a form is taken with a signature only: set the webhook's content type to application/json, or a secret on both sides")
		}
	}
	return endpoint.take(req, body)
}

// admitBeforeBody lets a request in whose sender need not, or cannot yet, be
// proven by its body.
func (r *cicdReceiver) admitBeforeBody(req *http.Request, endpoint route) *answer {
	if endpoint.authentic != nil && endpoint.secret != "" {
		return nil // by its signature, once the body is here
	}
	if r.authenticator != nil {
		if _, err := r.authenticator.Authenticate(req.Context(), req.Header); err != nil {
			refusal := refuse(http.StatusUnauthorized, outcomeUnauthenticated, "not authenticated: send the credentials that this listener's auth asks for")
			return &refusal
		}
		return nil
	}
	if !r.cfg.isLocal() {
		refusal := refuse(http.StatusForbidden, outcomeUnauthenticated, "this endpoint has neither auth nor a secret and is open on loopback only; configure one of them")
		return &refusal
	}
	return nil
}

func (r *cicdReceiver) finish(w http.ResponseWriter, req *http.Request, endpoint route, a answer) {
	r.counts.request(req.Context(), endpoint.source, a.outcome)
	if _, isWebhook := r.cfg.Secrets()[endpoint.source]; isWebhook {
		r.heard.note(req, endpoint.source, a.outcome, r.now().UTC())
	}
	if a.status >= 400 {
		r.logger.Debug("request refused", zap.String("source", endpoint.source), zap.Int("status", a.status), zap.String("reason", a.reason))
	}
	if a.status == http.StatusServiceUnavailable {
		w.Header().Set("Retry-After", "5")
	}
	if a.body != nil {
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(a.status)
		_ = json.NewEncoder(w).Encode(a.body) // the sender is gone: nobody to tell
		return
	}
	respond(w, a.status, a.reason)
}

func respond(w http.ResponseWriter, status int, line string) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.Header().Set("X-Content-Type-Options", "nosniff")
	w.WriteHeader(status)
	_, _ = io.WriteString(w, strings.TrimSuffix(line, "\n")+"\n")
}
