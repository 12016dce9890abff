package cicdreceiver

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"net/http"
	"net/url"
	"strings"

	"github.com/deployloop/deployloop/internal/forge"
)

// webhook makes the route of one source out of its parts: how a sender proves
// itself, how its headers name a delivery, and how its payload is read.
func (r *cicdReceiver) webhook(source string, authentic func(*http.Request, []byte) (bool, *answer), name func(*http.Request) (event, id string), parse func(forge.Delivery) (forge.Intake, error)) route {
	return route{
		source:    source,
		authentic: authentic,
		take: func(req *http.Request, body []byte) answer {
			event, id := name(req)
			if !r.seen.begin(source, id) {
				return answer{status: http.StatusOK, outcome: outcomeDuplicate, reason: "taken before"}
			}
			in, err := parse(forge.Delivery{Event: event, ID: id, Body: body, ReceivedAt: r.now().UTC()})
			if err != nil {
				r.seen.failed(source, id)
				return refuse(http.StatusBadRequest, outcomeBadInput, "%s", err)
			}
			if in.Ignored != "" {
				return answer{status: http.StatusOK, outcome: outcomeIgnored, reason: "ignored: " + in.Ignored}
			}
			if failure := r.send(req.Context(), source, in); failure != nil {
				r.seen.failed(source, id)
				return *failure
			}
			return answer{status: http.StatusAccepted, outcome: outcomeAccepted, reason: "accepted"}
		},
	}
}

func (r *cicdReceiver) githubRoute() route {
	options := forge.GitHubOptions{ReleaseEnvironment: r.cfg.GitHub.ReleaseEnvironment}
	endpoint := r.webhook("github",
		signature(string(r.cfg.GitHub.Secret), "X-Hub-Signature-256", "sha256="),
		func(req *http.Request) (string, string) {
			return req.Header.Get("X-GitHub-Event"), req.Header.Get("X-GitHub-Delivery")
		},
		func(d forge.Delivery) (forge.Intake, error) { return forge.GitHub(d, options) },
	)
	takeJSON := endpoint.take
	endpoint.forms = true // what GitHub's page offers first
	endpoint.take = func(req *http.Request, body []byte) answer {
		if req.Header.Get("X-GitHub-Event") == "" {
			return refuse(http.StatusBadRequest, outcomeBadInput, "the header X-GitHub-Event is missing: is this a GitHub webhook?")
		}
		if strings.HasPrefix(req.Header.Get("Content-Type"), "application/x-www-form-urlencoded") {
			form, err := url.ParseQuery(string(body))
			if err != nil || form.Get("payload") == "" {
				return refuse(http.StatusBadRequest, outcomeBadInput, "the form has no payload; set the webhook's content type to application/json")
			}
			body = []byte(form.Get("payload"))
		}
		return takeJSON(req, body)
	}
	return endpoint
}

// signature checks an HMAC-SHA256 over the body, in constant time. Without a
// secret nothing is proven and nothing refused here.
func signature(secret, header, prefix string) func(*http.Request, []byte) (bool, *answer) {
	return func(req *http.Request, body []byte) (bool, *answer) {
		if secret == "" {
			return false, nil
		}
		told, found := strings.CutPrefix(req.Header.Get(header), prefix)
		sum, err := hex.DecodeString(told)
		mac := hmac.New(sha256.New, []byte(secret))
		mac.Write(body)
		if !found || err != nil || !hmac.Equal(sum, mac.Sum(nil)) {
			reason := "the signature in " + header + " is not that of the body with the secret configured here: set the same secret on both sides"
			if req.Header.Get(header) == "" {
				reason = "the header " + header + " is missing: set the secret on the webhook's page"
			}
			refusal := refuse(http.StatusUnauthorized, outcomeBadSignature, "%s", reason)
			return false, &refusal
		}
		return true, nil
	}
}
