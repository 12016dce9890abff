package cicdreceiver

import (
	"context"
	"encoding/json"
	"errors"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/config/configauth"
	"go.opentelemetry.io/collector/config/confighttp"
	"go.opentelemetry.io/collector/config/configoptional"
	"go.opentelemetry.io/collector/consumer"
	"go.opentelemetry.io/collector/consumer/consumererror"
	"go.opentelemetry.io/collector/consumer/consumertest"
	"go.opentelemetry.io/collector/extension/extensionauth"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/plog"

	"github.com/deployloop/deployloop/internal/event"
	"github.com/deployloop/deployloop/internal/event/eventotlp"
)

const push = `{"ref":"refs/heads/main","before":"b0","after":"c1","commits":[{"id":"c1","message":"Fix it","timestamp":"2026-11-23T13:00:00Z","author":{"name":"Ada"}}],"repository":{"name":"shop","full_name":"acme/shop"}}`

func TestPostedDeployment(t *testing.T) {
	r := start(t, wiring{})
	status, text, header := r.post("/v1/deployments", []byte(`{"service":"checkout","environment":"production","revision":"9f2c1ab","version":"1.42.0"}`), nil)
	require.Equal(t, http.StatusAccepted, status, text)
	require.Equal(t, "application/json", header.Get("Content-Type"))
	var answer struct{ ID string }
	require.NoError(t, json.Unmarshal([]byte(text), &answer))
	require.Regexp(t, "^api-[0-9a-f]{16}$", answer.ID)

	records := r.records()
	require.Len(t, records, 1)
	d, err := eventotlp.DecodeDeployment(pcommon.NewResource(), records[0])
	require.NoError(t, err)
	require.Equal(t, event.Deployment{
		Aliases: []string{answer.ID}, Service: "checkout", Environment: "production", Revision: "9f2c1ab", Version: "1.42.0",
		Status: event.DeploymentStarted, StartedAt: fixedNow, Sources: []event.Source{{Name: "api", At: fixedNow}},
	}, d)
	require.EqualValues(t, 1, r.counted("api", outcomeAccepted))

	status, text, _ = r.post("/v1/deployments", []byte(`{"service":"checkout","version":"1","id":"build-77"}`), nil)
	require.Equal(t, http.StatusAccepted, status)
	require.JSONEq(t, `{"id":"build-77"}`, text)
}

// Every refusal is one line that names the fix, and none reaches a pipeline.
func TestRefusals(t *testing.T) {
	r := start(t, wiring{config: func(c *Config) { c.MaxRequestBodySize = 4096 }})
	deployment := []byte(`{"service":"checkout","version":"1"}`)
	signed := map[string]string{"X-GitHub-Event": "push", "X-Hub-Signature-256": sign(secret, []byte(push))}
	with := func(base map[string]string, name, value string) map[string]string {
		out := map[string]string{name: value}
		for k, v := range base {
			if k != name {
				out[k] = v
			}
		}
		return out
	}
	cases := []struct {
		name, method, path string
		body               []byte
		headers            map[string]string
		status             int
		reason             string
		source             string
		outcome            outcome
	}{
		{"unknown path", "POST", "/v1/deploy", deployment, nil, 404, "no such endpoint; GET / lists them", "none", outcomeUnknownRoute},
		{"wrong method", "GET", "/v1/deployments", nil, nil, 405, "use POST", "api", outcomeMethod},
		{"wrong content type", "POST", "/v1/deployments", deployment, map[string]string{"Content-Type": "text/plain"}, 415, "set Content-Type: application/json", "api", outcomeContentType},
		{"a form to the API", "POST", "/v1/deployments", deployment, map[string]string{"Content-Type": "application/x-www-form-urlencoded"}, 415, "set Content-Type: application/json", "api", outcomeContentType},
		{"bad JSON", "POST", "/v1/deployments", []byte(`{`), nil, 400, "bad JSON", "api", outcomeBadInput},
		{"unknown key", "POST", "/v1/deployments", []byte(`{"service":"a","version":"1","x":1}`), nil, 400, `unknown key "x"`, "api", outcomeBadInput},
		{"too large", "POST", "/v1/deployments", []byte(strings.Repeat(" ", 5000)), nil, 413, "larger than 4096 bytes", "api", outcomeTooLarge},
		{"far future", "POST", "/v1/deployments", []byte(`{"service":"a","version":"1","started_at":"2026-11-24T14:00:00Z"}`), nil, 400, "hour in the future", "api", outcomeBadInput},
		{"no signature", "POST", "/webhooks/github", []byte(push), map[string]string{"X-GitHub-Event": "push"}, 401, "X-Hub-Signature-256 is missing", "github", outcomeBadSignature},
		{"wrong signature", "POST", "/webhooks/github", []byte(push + " "), signed, 401, "set the same secret on both sides", "github", outcomeBadSignature},
		{"SHA-1 alone", "POST", "/webhooks/github", []byte(push), with(with(signed, "X-Hub-Signature-256", ""), "X-Hub-Signature", "sha1=00"), 401, "X-Hub-Signature-256 is missing", "github", outcomeBadSignature},
		{"signature without its prefix", "POST", "/webhooks/github", []byte(push), with(signed, "X-Hub-Signature-256", sign(secret, []byte(push))[7:]), 401, "same secret", "github", outcomeBadSignature},
		{"no event", "POST", "/webhooks/github", []byte(push), with(signed, "X-GitHub-Event", ""), 400, "X-GitHub-Event is missing", "github", outcomeBadInput},
		{"signed, but no push", "POST", "/webhooks/github", []byte(`[]`), with(signed, "X-Hub-Signature-256", sign(secret, []byte(`[]`))), 400, "not what its event says", "github", outcomeBadInput},
		{"broken compression", "POST", "/v1/deployments", deployment, map[string]string{"Content-Encoding": "gzip"}, 400, "", "", ""},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			before := int64(0)
			if c.source != "" {
				if _, err := r.telemetry.GetMetric("otelcol_receiver_cicd_requests"); err == nil {
					before = r.counted(c.source, c.outcome)
				}
			}
			status, text, _ := r.do(c.method, c.path, c.body, c.headers)
			require.Equal(t, c.status, status, text)
			require.Contains(t, text, c.reason)
			require.Equal(t, 1, strings.Count(text, "\n"), "one line: %q", text)
			if c.source != "" {
				require.Equal(t, before+1, r.counted(c.source, c.outcome))
			}
		})
	}
	require.Empty(t, r.records())
	require.Zero(t, r.traces.SpanCount())
}

func TestHelp(t *testing.T) {
	r := start(t, wiring{})
	status, text, _ := r.do(http.MethodGet, "/", nil, nil)
	require.Equal(t, http.StatusOK, status)
	for _, path := range append(slices.Collect(maps.Keys(r.receiver.webhooks())), "/v1/deployments") {
		require.Contains(t, text, path)
	}
}

func TestRedeliveryIsTakenOnce(t *testing.T) {
	r := start(t, wiring{})
	status, text := r.github("push", "d-1", []byte(push))
	require.Equal(t, http.StatusAccepted, status, text)
	status, text = r.github("push", "d-1", []byte(push))
	require.Equal(t, http.StatusOK, status)
	require.Equal(t, "taken before\n", text)
	require.Len(t, r.records(), 1)
	require.EqualValues(t, 1, r.counted("github", outcomeDuplicate))
}

func TestUninterestingEventsAreAccepted(t *testing.T) {
	r := start(t, wiring{})
	for _, name := range []string{"ping", "star", "issues"} {
		status, text := r.github(name, "u-"+name, []byte(`{"zen":"Keep it logically awesome."}`))
		require.Equal(t, http.StatusOK, status)
		require.Contains(t, text, "ignored: event "+name)
	}
	require.Empty(t, r.records())
}

func TestFormDelivery(t *testing.T) {
	form := []byte(url.Values{"payload": {push}}.Encode())
	headers := map[string]string{"Content-Type": "application/x-www-form-urlencoded", "X-GitHub-Event": "push", "X-Hub-Signature-256": sign(secret, form)}
	r := start(t, wiring{})
	status, text, _ := r.post("/webhooks/github", form, headers)
	require.Equal(t, http.StatusAccepted, status, text)
	require.Len(t, r.records(), 1)

	// Any page in a browser may send a form to loopback: without a secret it is refused.
	open := start(t, wiring{config: func(c *Config) { c.GitHub.Secret = "" }})
	status, text, _ = open.post("/webhooks/github", form, headers)
	require.Equal(t, http.StatusUnsupportedMediaType, status)
	require.Contains(t, text, "with a signature only")
	status, _, _ = open.post("/webhooks/github", []byte(push), map[string]string{"X-GitHub-Event": "push"})
	require.Equal(t, http.StatusAccepted, status, "JSON on loopback needs no secret")
}

// A pipeline that cannot take it now makes the forge send it again; then it is
// taken, though the delivery is known.
func TestPipelineFailures(t *testing.T) {
	var failure error
	sink := new(consumertest.LogsSink)
	next := logsFunc(func(ctx context.Context, logs plog.Logs) error {
		if failure != nil {
			return failure
		}
		return sink.ConsumeLogs(ctx, logs)
	})
	r := start(t, wiring{logs: next})
	headers := map[string]string{"X-GitHub-Event": "push", "X-GitHub-Delivery": "d-1", "X-Hub-Signature-256": sign(secret, []byte(push))}

	failure = errors.New("memory limit")
	status, text, header := r.post("/webhooks/github", []byte(push), headers)
	require.Equal(t, http.StatusServiceUnavailable, status)
	require.NotEmpty(t, header.Get("Retry-After"))
	require.NotContains(t, text, "memory limit", "what is inside stays inside")

	failure = consumererror.NewPermanent(errors.New("broken"))
	status, _, header = r.post("/webhooks/github", []byte(push), headers)
	require.Equal(t, http.StatusInternalServerError, status)
	require.Empty(t, header.Get("Retry-After"))

	failure = nil
	status, _, _ = r.post("/webhooks/github", []byte(push), headers)
	require.Equal(t, http.StatusAccepted, status)
	require.Equal(t, 1, sink.LogRecordCount())
}

func TestPanicOfThePipelineIsAnswered(t *testing.T) {
	r := start(t, wiring{logs: logsFunc(func(context.Context, plog.Logs) error { panic("a bug elsewhere") })})
	status, text, _ := r.post("/v1/deployments", []byte(`{"service":"a","version":"1"}`), nil)
	require.Equal(t, http.StatusInternalServerError, status)
	require.Equal(t, "internal error; it was logged\n", text)
	status, _, _ = r.do(http.MethodGet, "/", nil, nil)
	require.Equal(t, http.StatusOK, status)
}

func TestWithoutALogsPipelineADeploymentIsNotSwallowed(t *testing.T) {
	r := start(t, wiring{noLogs: true})
	status, text, _ := r.post("/v1/deployments", []byte(`{"service":"a","version":"1"}`), nil)
	require.Equal(t, http.StatusNotImplemented, status)
	require.Contains(t, text, "add it to the receivers of one")
}

func TestAuthGuardsWhatHasNoSecret(t *testing.T) {
	id := component.MustNewID("bearertokenauth")
	host := extensions{id: tokenAuth{}}
	r := start(t, wiring{host: host, config: func(c *Config) {
		auth := confighttp.AuthConfig{}
		auth.Config = configauth.Config{AuthenticatorID: id}
		c.Auth = configoptional.Some(auth)
	}})
	body := []byte(`{"service":"a","version":"1"}`)
	status, text, _ := r.post("/v1/deployments", body, nil)
	require.Equal(t, http.StatusUnauthorized, status)
	require.Contains(t, text, "not authenticated")
	status, _, _ = r.post("/v1/deployments", body, map[string]string{"Authorization": "Bearer good"})
	require.Equal(t, http.StatusAccepted, status)
	status, text = r.github("push", "d-1", []byte(push))
	require.Equal(t, http.StatusAccepted, status, "a signature is enough: %s", text)
}

func TestAnOpenListenerServesOnlyWhatIsGuarded(t *testing.T) {
	r := start(t, wiring{config: func(c *Config) { c.NetAddr.Endpoint = "0.0.0.0:0" }})
	r.base = strings.Replace(r.base, "[::]", "127.0.0.1", 1)
	status, text, _ := r.post("/v1/deployments", []byte(`{"service":"a","version":"1"}`), nil)
	require.Equal(t, http.StatusForbidden, status)
	require.Contains(t, text, "neither auth nor a secret")
	status, _ = r.github("push", "d-1", []byte(push))
	require.Equal(t, http.StatusAccepted, status)
}

type logsFunc func(context.Context, plog.Logs) error

func (f logsFunc) ConsumeLogs(ctx context.Context, logs plog.Logs) error { return f(ctx, logs) }
func (f logsFunc) Capabilities() (c consumer.Capabilities)               { return c }

type extensions map[component.ID]component.Component

func (e extensions) GetExtensions() map[component.ID]component.Component { return e }

type tokenAuth struct {
	component.StartFunc
	component.ShutdownFunc
}

var _ extensionauth.Server = tokenAuth{}

func (tokenAuth) Authenticate(ctx context.Context, headers map[string][]string) (context.Context, error) {
	if http.Header(headers).Get("Authorization") != "Bearer good" {
		return ctx, errors.New("no")
	}
	return ctx, nil
}
