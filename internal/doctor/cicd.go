package doctor

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/deployloop/deployloop/internal/cicd"
	"github.com/deployloop/deployloop/internal/endpoint"
)

// Receiver looks whether the cicd receiver is there and takes deployments. It
// sends one without a service, which is refused for that, so none is recorded.
func Receiver(s Server) Check {
	return Check{"cicd", endpoint.Shown(s.URL), func(ctx context.Context) []Finding {
		if f := s.isReceiver(ctx); f.Cause != "" {
			return []Finding{f}
		}
		got, err := s.call(ctx, http.MethodPost, "v1/deployments", nil, map[string]string{})
		switch {
		case err != nil:
			return []Finding{s.unreachable(err)}
		case got.status == http.StatusBadRequest && strings.Contains(string(got.body), "service is missing"):
			return []Finding{ok("takes deployments")}
		case got.status == http.StatusUnauthorized && s.Token == "":
			return []Finding{Skip("is there and wants credentials for deployments", "set DEPLOYLOOP_CICD_TOKEN to a token of its auth, here and for deployloop mark")}
		case got.status == http.StatusUnauthorized:
			return []Finding{Fail(CauseUnauthenticated, "does not take the token of DEPLOYLOOP_CICD_TOKEN", "set DEPLOYLOOP_CICD_TOKEN to a token of the authenticator that receivers::cicd::auth names")}
		case got.status == http.StatusForbidden:
			return []Finding{Warn(CauseNoPermission, "takes webhooks and no deployments of deployloop mark: its listener is not on loopback and has no auth",
				"set receivers::cicd::auth::authenticator to an extension such as bearertokenauth")}
		}
		return []Finding{s.refused(got, "a deployment without a service")}
	}}
}

// isReceiver reads the page on which the receiver lists its endpoints.
func (s Server) isReceiver(ctx context.Context) Finding {
	got, err := s.call(ctx, http.MethodGet, "/", nil, nil)
	if err != nil {
		return s.unreachable(err)
	}
	if got.status != http.StatusOK || !strings.HasPrefix(string(got.body), "deployloop cicd receiver") {
		return s.wrong(got)
	}
	return Finding{}
}

// hook is how a source of webhooks proves itself, and what it may say that
// says nothing about a change on its way.
type hook struct {
	path   string
	body   string
	header map[string]string
	prove  func(header http.Header, body []byte, secret string)
}

func signed(name, prefix string) func(http.Header, []byte, string) {
	return func(header http.Header, body []byte, secret string) {
		mac := hmac.New(sha256.New, []byte(secret))
		mac.Write(body)
		header.Set(name, prefix+hex.EncodeToString(mac.Sum(nil)))
	}
}

func bearer(header http.Header, _ []byte, secret string) {
	header.Set("Authorization", "Bearer "+secret)
}

var hooks = map[string]hook{
	"github": {path: "webhooks/github", body: `{"zen":"deployloop doctor"}`, header: map[string]string{"X-GitHub-Event": "ping"}, prove: signed("X-Hub-Signature-256", "sha256=")},
	"gitea":  {path: "webhooks/gitea", body: `{"zen":"deployloop doctor"}`, header: map[string]string{"X-Gitea-Event": "ping"}, prove: signed("X-Gitea-Signature", "")},
	"gitlab": {path: "webhooks/gitlab", body: `{"object_kind":"deployloop_doctor"}`, prove: func(header http.Header, _ []byte, secret string) {
		header.Set("X-Gitlab-Token", secret)
	}},
	"flux":      {path: "webhooks/flux", body: `{"involvedObject":{"kind":"DeployloopDoctor"}}`, prove: signed("X-Signature", "sha256=")},
	"jenkins":   {path: "webhooks/jenkins", body: `{}`, prove: bearer},
	"argocd":    {path: "webhooks/argocd", body: `{}`, prove: bearer},
	"flagger":   {path: "webhooks/flagger", body: `{}`, prove: bearer},
	"spinnaker": {path: "webhooks/spinnaker", body: `{"details":{"type":"deployloop:doctor"}}`, prove: bearer},
	"cdevents":  {path: "cdevents", body: `{"context":{"type":"dev.deployloop.doctor"}}`, prove: bearer},
}

// Webhooks sends a ping of each source, proven by its secret and then without
// proof: the first must be taken (and left alone), the second refused.
func Webhooks(s Server, secrets map[string]string) []Check {
	var checks []Check
	for _, source := range slices.Sorted(maps.Keys(secrets)) {
		if secrets[source] == "" {
			continue
		}
		h := hooks[source]
		checks = append(checks, Check{"webhook " + source, endpoint.Shown(s.URL) + "/" + h.path, func(ctx context.Context) []Finding {
			return []Finding{s.testWebhook(ctx, source, secrets[source])}
		}})
	}
	if len(checks) == 0 {
		checks = append(checks, Said("webhooks", "", Skip("no source has a secret: what this machine posts is taken without proof",
			`for webhooks from elsewhere set e.g. receivers: {cicd: {github: {secret: "${env:GITHUB_WEBHOOK_SECRET}"}}}, or run deployloop init`)))
	}
	return checks
}

func (s Server) testWebhook(ctx context.Context, source, secret string) Finding {
	if f := s.isReceiver(ctx); f.Cause != "" {
		return f
	}
	got, err := s.ping(ctx, hooks[source], secret)
	if err != nil {
		return s.unreachable(err)
	}
	key := "receivers::cicd::" + source + "::secret"
	switch {
	case got.status == http.StatusUnauthorized:
		return Fail(CauseSecretDiffers, fmt.Sprintf("the running deployloop has another secret for %s than this configuration", source),
			fmt.Sprintf("start deployloop with the environment that %s is read from, and set the same secret in the webhook of %s", key, source))
	case got.status/100 != 2:
		return s.refused(got, "a signed ping of "+source)
	}
	if got, err = s.ping(ctx, hooks[source], ""); err != nil {
		return s.unreachable(err)
	}
	if got.status != http.StatusUnauthorized {
		return Fail(CauseUnsignedAccepted, fmt.Sprintf("a ping of %s without its secret was not refused (%d): anybody who reaches it can post", source, got.status),
			fmt.Sprintf("start deployloop with this configuration, in which %s is set", key))
	}
	return s.heard(ctx, source, key)
}

// heard looks what became of the source's own deliveries: a wrong secret on its
// side shows there, and only there.
func (s Server) heard(ctx context.Context, source, key string) Finding {
	const holds = "takes a ping with the secret, and none without"
	got, err := s.call(ctx, http.MethodGet, "v1/deliveries", nil, nil)
	if err != nil {
		return s.unreachable(err)
	}
	var by map[string]cicd.Heard
	if got.status != http.StatusOK || json.Unmarshal(got.body, &by) != nil {
		return ok(holds) // it wants credentials for that
	}
	is := by[source]
	fix := fmt.Sprintf("enter the secret that %s is read from in the webhook of %s, and redeliver", key, source)
	switch {
	case is.Refused > 0 && is.Taken == 0:
		return Fail(CauseDeliveriesRefused, fmt.Sprintf("none of the %d deliveries of %s had this secret: it has another", is.Refused, source), fix)
	case is.LastRefused.After(is.LastTaken):
		return Warn(CauseDeliveriesRefused, fmt.Sprintf("the last delivery of %s, at %s, had not this secret (%d refused, %d taken)", source, is.LastRefused.Format(time.RFC3339), is.Refused, is.Taken), fix)
	case is.Taken == 0:
		return ok("%s; no delivery since the start", holds)
	}
	return ok("%s; the last delivery came at %s", holds, is.LastTaken.Format(time.RFC3339))
}

// ping sends what says nothing about a change; secret "" sends it unproven.
func (s Server) ping(ctx context.Context, h hook, secret string) (answer, error) {
	header := http.Header{"Content-Type": {"application/json"}, cicd.HeaderProbe: {"doctor"}}
	for name, value := range h.header {
		header.Set(name, value)
	}
	s.Token = ""
	if secret != "" {
		h.prove(header, []byte(h.body), secret)
	}
	return s.send(ctx, http.MethodPost, h.path, nil, []byte(h.body), header)
}
