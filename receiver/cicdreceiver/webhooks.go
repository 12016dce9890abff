package cicdreceiver

import (
	"crypto/sha256"
	"encoding/hex"
	"net/http"
	"net/url"
	"strings"

	"github.com/deployloop/deployloop/internal/cicd"
	"github.com/deployloop/deployloop/internal/cicd/argocd"
	"github.com/deployloop/deployloop/internal/cicd/cdevents"
	"github.com/deployloop/deployloop/internal/cicd/flagger"
	"github.com/deployloop/deployloop/internal/cicd/flux"
	"github.com/deployloop/deployloop/internal/cicd/gitea"
	"github.com/deployloop/deployloop/internal/cicd/github"
	"github.com/deployloop/deployloop/internal/cicd/gitlab"
	"github.com/deployloop/deployloop/internal/cicd/jenkins"
	"github.com/deployloop/deployloop/internal/cicd/spinnaker"
)

// webhooks are the routes of all sources.
func (r *cicdReceiver) webhooks() map[string]route {
	header := func(names ...string) func(*http.Request) string {
		return func(req *http.Request) string {
			for _, name := range names {
				if value := req.Header.Get(name); value != "" {
					return value
				}
			}
			return ""
		}
	}
	githubOptions := github.Options{ReleaseEnvironment: r.cfg.GitHub.ReleaseEnvironment}
	giteaOptions := github.Options{ReleaseEnvironment: r.cfg.Gitea.ReleaseEnvironment}
	gitlabOptions := gitlab.Options{ReleaseEnvironment: r.cfg.GitLab.ReleaseEnvironment}
	plain := func(parse func(cicd.Delivery) (cicd.Intake, error)) source {
		return source{proof: bearer(), parse: parse}
	}
	sources := map[string]source{
		"github": {
			proof: signature("X-Hub-Signature-256", "sha256="), forms: true,
			event: header("X-GitHub-Event"), needsEvent: "X-GitHub-Event", delivery: header("X-GitHub-Delivery"),
			parse: func(d cicd.Delivery) (cicd.Intake, error) { return github.Parse(d, githubOptions) },
		},
		"gitea": {
			proof: signature("X-Gitea-Signature", ""), forms: true,
			event: header("X-Gitea-Event", "X-Forgejo-Event"), needsEvent: "X-Gitea-Event", delivery: header("X-Gitea-Delivery", "X-Forgejo-Delivery"),
			parse: func(d cicd.Delivery) (cicd.Intake, error) { return gitea.Parse(d, giteaOptions) },
		},
		"gitlab": {
			proof: token("X-Gitlab-Token"), delivery: header("Idempotency-Key"),
			parse: func(d cicd.Delivery) (cicd.Intake, error) { return gitlab.Parse(d, gitlabOptions) },
		},
		"flux":      {proof: signature("X-Signature", "sha256="), parse: flux.Parse},
		"jenkins":   plain(jenkins.Parse),
		"argocd":    plain(argocd.Parse),
		"flagger":   plain(flagger.Parse),
		"spinnaker": plain(spinnaker.Parse),
		"cdevents":  plain(cdevents.Parse),
	}
	routes := make(map[string]route, len(sources)+1)
	secrets := r.cfg.Secrets()
	for name, s := range sources {
		path := "/webhooks/" + name
		if name == "cdevents" {
			path = "/cdevents"
		}
		routes[path] = r.webhook(name, secrets[name], s)
	}
	return routes
}

// source is how one source of webhooks differs from the others.
type source struct {
	proof      proof
	forms      bool                       // may send a form whose field payload is the JSON
	event      func(*http.Request) string // nil: the payload itself says
	needsEvent string                     // the header without which it is no webhook of this source
	delivery   func(*http.Request) string // nil or "": told by its body
	parse      func(cicd.Delivery) (cicd.Intake, error)
}

func (r *cicdReceiver) webhook(name, secret string, s source) route {
	return route{
		source: name,
		secret: secret,
		forms:  s.forms,
		authentic: func(req *http.Request, body []byte) (bool, *answer) {
			if secret == "" {
				return false, nil
			}
			if problem := s.proof(req, body, secret); problem != "" {
				refusal := refuse(http.StatusUnauthorized, outcomeBadSignature, "%s", problem)
				return false, &refusal
			}
			return true, nil
		},
		take: func(req *http.Request, body []byte) answer {
			delivery := cicd.Delivery{Body: body, ReceivedAt: r.now().UTC()}
			if s.event != nil {
				delivery.Event = s.event(req)
			}
			if s.needsEvent != "" && delivery.Event == "" {
				return refuse(http.StatusBadRequest, outcomeBadInput, "the header %s is missing: is this a webhook of %s?", s.needsEvent, name)
			}
			if strings.HasPrefix(req.Header.Get("Content-Type"), "application/x-www-form-urlencoded") {
				form, err := url.ParseQuery(string(body))
				if err != nil || form.Get("payload") == "" {
					return refuse(http.StatusBadRequest, outcomeBadInput, "the form has no payload; set the webhook's content type to application/json")
				}
				delivery.Body = []byte(form.Get("payload"))
			}
			if s.delivery != nil {
				delivery.ID = s.delivery(req)
			}
			if delivery.ID == "" { // the same words say the same thing
				sum := sha256.Sum256(body)
				delivery.ID = "body:" + hex.EncodeToString(sum[:])
			}
			return r.takeDelivery(req, name, delivery, s.parse)
		},
	}
}

func (r *cicdReceiver) takeDelivery(req *http.Request, name string, delivery cicd.Delivery, parse func(cicd.Delivery) (cicd.Intake, error)) answer {
	if !r.seen.begin(name, delivery.ID) {
		return answer{status: http.StatusOK, outcome: outcomeDuplicate, reason: "taken before"}
	}
	taken := false
	defer func() { // also when something below panics
		if !taken {
			r.seen.failed(name, delivery.ID)
		}
	}()
	in, err := parse(delivery)
	if err != nil {
		return refuse(http.StatusBadRequest, outcomeBadInput, "%s", err)
	}
	r.memory.follow(&in, r.now())
	if in.Ignored != "" {
		taken = true
		return answer{status: http.StatusOK, outcome: outcomeIgnored, reason: "ignored: " + in.Ignored}
	}
	if failure := r.send(req.Context(), name, in); failure != nil {
		return *failure
	}
	taken = true
	return answer{status: http.StatusAccepted, outcome: outcomeAccepted, reason: "accepted"}
}
