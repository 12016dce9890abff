// Package fixcommand holds the alert's fix against what each deploy source really
// sends: payload → receiver → deploy_marker → ledger → Alertmanager exporter.
package fixcommand

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/component/componenttest"
	"go.opentelemetry.io/collector/confmap"
	"go.opentelemetry.io/collector/consumer/consumertest"
	"go.opentelemetry.io/collector/exporter/exportertest"
	"go.opentelemetry.io/collector/extension/extensiontest"
	"go.opentelemetry.io/collector/pdata/plog"
	"go.opentelemetry.io/collector/processor/processortest"
	"go.opentelemetry.io/collector/receiver/receivertest"

	"github.com/deployloop/deployloop/exporter/alertmanagerexporter"
	"github.com/deployloop/deployloop/extension/ledgerextension"
	"github.com/deployloop/deployloop/internal/event"
	"github.com/deployloop/deployloop/internal/event/eventotlp"
	"github.com/deployloop/deployloop/internal/ledger"
	"github.com/deployloop/deployloop/processor/deploymarkerprocessor"
	"github.com/deployloop/deployloop/receiver/cicdreceiver"
	"github.com/deployloop/deployloop/test/servertest"
)

const (
	secret = "the secret of the test"
	good   = "a1b2c3d0c0ffee0c0ffee0c0ffee0c0ffee0c0ff"
	bad    = "9f2c1abf852bd8fca8fcc58a9a2d6c842781e32a" // as in the golden requests
)

// TestTheFixIsThatOfTheDeploySource tells two deployments as the source tells
// them, the last good one an hour before, and reads the fix of the alert for the
// second.
func TestTheFixIsThatOfTheDeploySource(t *testing.T) {
	for name, c := range map[string]struct {
		golden  string // the second deployment's request; "": posted is sent
		path    string // that it is posted to; "": that of the API
		posted  string
		edit    []string // of the golden request, for both
		before  []string // what differs in the first deployment's
		ledger  map[string]any
		service string
		fix     string
	}{
		"Argo CD": {
			golden: "argocd_application_that_synced",
			before: []string{`"id":41`, `"id":40`, `"id":40`, `"id":39`},
			fix:    "argocd app set checkout-prod --sync-policy none && argocd app rollback checkout-prod 40   # back to 1.41.3, auto-sync is off then",
		},
		"Argo Rollouts": {
			golden: "argo_rollout_that_progresses",
			before: []string{`revision":"42"`, `revision":"41"`, "Progressing", "Healthy", "7d4b9c6f", "5f8c7d9b"},
			fix:    "kubectl argo rollouts undo checkout -n shop --to-revision=41   # back to 1.41.3",
		},
		"Flux, a HelmRelease": {
			golden: "flux_helm_release_that_was_upgraded",
			before: []string{".v3", ".v2", "0.9.1", "0.9.0"},
			fix:    "flux suspend helmrelease checkout -n shop && helm rollback checkout 2 -n shop   # back to 1.41.3, flux resume helmrelease undoes it",
		},
		"Flux, a Kustomization": {
			golden: "flux_kustomization_that_failed",
			edit:   []string{"HealthCheckFailed", "ReconciliationSucceeded", `"error"`, `"info"`},
			fix: `kubectl -n flux-system patch gitrepository "$(kubectl -n flux-system get kustomization checkout -o jsonpath='{.spec.sourceRef.name}')" --type merge -p '{"spec":{"ref":{"commit":"` + good +
				`"}}}' && flux reconcile kustomization checkout -n flux-system --with-source   # back to a1b2c3d`,
		},
		"Flagger": {
			golden: "flagger_canary_that_was_rolled_back",
			edit:   []string{`"Failed"`, `"Succeeded"`},
			before: []string{"1795442100000", "1795438500000"},
			fix:    "kubectl rollout undo deployment/checkout -n shop   # back to 1.41.3, Flagger analyses and promotes it",
		},
		"Spinnaker, a parameter": {
			golden: "spinnaker_pipeline_that_deployed",
			before: []string{"01HF", "01HE", "17954420", "17954380", "17954417", "17954377", "17954421", "17954381"},
			fix: `curl -fX POST "$SPINNAKER_GATE"/pipelines/checkout/Deploy%20to%20production -H 'Content-Type: application/json' -d '{"type":"manual","parameters":{"revision":"` + good +
				`"}}'   # back to 1.41.3, SPINNAKER_GATE is the URL of Gate`,
		},
		"GitLab": {
			golden:  "gitlab_deployment_that_succeeded",
			before:  []string{"796", "712", `"deployment_id":15`, `"deployment_id":14`, "14:50:00", "13:50:00", "9f2c1abf", "a1b2c3d0"},
			service: "shop",
			fix:     "glab ci retry 712 --repo https://gitlab.example/acme/shop   # back to v1.41.3",
		},
		"GitHub": {
			golden: "github_deployment_that_succeeded",
			before: []string{"runs/42", "runs/41", "145988746", "145988700", `"1.41.3"`, `"1.41.2"`},
			fix:    "gh run rerun 41 --repo acme/shop   # back to 1.41.3",
		},
		"GitHub, a workflow that deploys pages": {
			path:    "/webhooks/github",
			posted:  compact(t, []byte(pagesStatus)),
			before:  []string{"runs/43", "runs/42", `"id":43`, `"id":42`, "145988746", "145988700"},
			service: "site",
			fix:     "gh run rerun 42 --repo acme/site   # back to a1b2c3d",
		},
		"Helm, marked": {
			posted: `{"service":"checkout","environment":"production","version":"1.42.0","tool":"helm","object":"shop/checkout","release":"7","started_at":"2026-11-23T13:50:00Z"}`,
			before: []string{`"7"`, `"6"`},
			fix:    "helm rollback checkout 6 -n shop --wait   # back to 1.41.3",
		},
		"kubectl, marked": {
			posted: `{"service":"checkout","environment":"production","version":"1.42.0","tool":"kubectl","object":"shop/deployment/checkout","release":"42","previous_release":"40","started_at":"2026-11-23T13:50:00Z"}`,
			before: []string{`"42"`, `"41"`},
			fix:    "kubectl rollout undo deployment/checkout -n shop --to-revision=41   # back to 1.41.3",
		},
		"its own command": {
			posted: `{"service":"checkout","environment":"production","version":"1.42.0","rollback_command":"./roll back","started_at":"2026-11-23T13:50:00Z"}`,
			fix:    "./roll back",
		},
		"the user's own template": {
			golden: "cdevents_service_deployed",
			ledger: map[string]any{"rollback_commands": []any{
				map[string]any{"service": "payments", "command": "no"},
				map[string]any{"service": "check*", "environment": "prod*", "command": "make deploy SERVICE={service} VERSION={previous_version} IN={environment}"},
			}},
			fix: "make deploy SERVICE=checkout VERSION=1.41.3 IN=production",
		},
		"a hostile tag": {
			golden: "argo_rollout_that_progresses",
			before: []string{`revision":"42"`, `revision":"4;reboot"`, "Progressing", "Healthy", "1.42.0", "1.41.3$(reboot)"},
			fix:    "kubectl argo rollouts undo checkout -n shop --to-revision='4;reboot'   # back to '1.41.3$(reboot)'",
		},
	} {
		t.Run(name, func(t *testing.T) {
			path, headers, body := "/v1/deployments", map[string]string{}, c.posted
			if c.path != "" {
				path, headers = c.path, map[string]string{"X-GitHub-Event": "deployment_status"}
			}
			if c.golden != "" {
				path, headers, body = request(t, c.golden)
			}
			body = strings.NewReplacer(c.edit...).Replace(body)
			// In order: what differs by name, then the times and versions of all.
			earlier := strings.NewReplacer(append(c.before, bad, good, "1.42.0", "1.41.3", "T13:5", "T12:5")...).Replace(body)
			require.NotEqual(t, earlier, body)

			l := loop(t, c.ledger)
			l.post(path, headers, earlier)
			l.post(path, headers, body)
			if c.service == "" {
				c.service = "checkout"
			}
			require.Equal(t, c.fix, l.fixOf(c.service))
		})
	}
}

// pagesStatus is a status of a deployment that GitHub itself made for a workflow:
// no payload says what is deployed, its log is that of a check, and the run is
// beside the deployment.
const pagesStatus = `{"action":"created",
	"deployment_status":{"id":9,"state":"in_progress","environment":"github-pages","log_url":"https://github.com/acme/site/runs/468?check_suite_focus=true","created_at":"2026-11-23T13:55:00Z","updated_at":"2026-11-23T13:55:00Z"},
	"deployment":{"id":145988746,"task":"deploy","sha":"` + bad + `","ref":"main","environment":"github-pages","payload":{},"created_at":"2026-11-23T13:54:50Z","updated_at":"2026-11-23T13:55:00Z"},
	"check_run":{"id":468,"name":"deploy","status":"in_progress"},
	"workflow_run":{"id":43,"name":"pages build and deployment","event":"dynamic","status":"in_progress","html_url":"https://github.com/acme/site/actions/runs/43"},
	"repository":{"name":"site","full_name":"acme/site"}}`

// request reads a golden request of the receiver.
func request(t *testing.T, name string) (path string, headers map[string]string, body string) {
	t.Helper()
	folder := filepath.Join(servertest.Root(t), "receiver", "cicdreceiver", "testdata")
	text, err := os.ReadFile(filepath.Join(folder, name, "request.json"))
	require.NoError(t, err)
	var golden struct {
		Path    string
		Headers map[string]string
		Body    json.RawMessage
	}
	require.NoError(t, json.Unmarshal(text, &golden))
	if golden.Headers == nil {
		golden.Headers = map[string]string{}
	}
	delete(golden.Headers, "X-GitHub-Delivery") // the same for both would be taken once
	return golden.Path, golden.Headers, compact(t, golden.Body)
}

func compact(t *testing.T, text []byte) string {
	var b bytes.Buffer
	require.NoError(t, json.Compact(&b, text))
	return b.String()
}

// running is the part of a collector between a webhook and an alert.
type running struct {
	t       *testing.T
	cicd    string
	ledger  ledger.Reader
	alerts  chan []byte
	exports interface {
		ConsumeLogs(context.Context, plog.Logs) error
	}
}

type host map[component.ID]component.Component

func (h host) GetExtensions() map[component.ID]component.Component { return h }

func loop(t *testing.T, ledgerConfig map[string]any) *running {
	t.Helper()
	ctx := context.Background()
	begin := func(c component.Component, h component.Host) {
		require.NoError(t, c.Start(ctx, h))
		t.Cleanup(func() { require.NoError(t, c.Shutdown(ctx)) })
	}
	configure := func(cfg component.Config, values map[string]any) component.Config {
		require.NoError(t, confmap.NewFromStringMap(values).Unmarshal(cfg))
		return cfg
	}
	l := &running{t: t, alerts: make(chan []byte, 1)}

	f := ledgerextension.NewFactory()
	ext, err := f.Create(ctx, extensiontest.NewNopSettings(f.Type()), configure(f.CreateDefaultConfig(), ledgerConfig))
	require.NoError(t, err)
	begin(ext, componenttest.NewNopHost())
	l.ledger = ext.(ledger.Reader)
	h := host{component.MustNewID("ledger"): ext}

	alertmanager := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		l.alerts <- body
	}))
	t.Cleanup(alertmanager.Close)
	af := alertmanagerexporter.NewFactory()
	exports, err := af.CreateLogs(ctx, exportertest.NewNopSettings(af.Type()), configure(af.CreateDefaultConfig(), map[string]any{"endpoints": []any{alertmanager.URL}}))
	require.NoError(t, err)
	begin(exports, h)
	l.exports = exports

	pf := deploymarkerprocessor.NewFactory()
	marker, err := pf.CreateLogs(ctx, processortest.NewNopSettings(pf.Type()), pf.CreateDefaultConfig(), new(consumertest.LogsSink))
	require.NoError(t, err)
	begin(marker, h)

	address := servertest.FreeAddress(t)
	l.cicd = "http://" + address
	rf := cicdreceiver.NewFactory()
	receiver, err := rf.CreateLogs(ctx, receivertest.NewNopSettings(rf.Type()), configure(rf.CreateDefaultConfig(), map[string]any{
		"endpoint": address, "github": map[string]any{"secret": secret},
	}), marker)
	require.NoError(t, err)
	begin(receiver, h)
	return l
}

func (l *running) post(path string, headers map[string]string, body string) {
	l.t.Helper()
	mac := hmac.New(sha256.New, []byte(secret))
	mac.Write([]byte(body))
	r, err := http.NewRequest(http.MethodPost, l.cicd+path, strings.NewReader(body))
	require.NoError(l.t, err)
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("X-Hub-Signature-256", "sha256="+hex.EncodeToString(mac.Sum(nil)))
	for name, value := range headers {
		r.Header.Set(name, value)
	}
	answer, err := http.DefaultClient.Do(r)
	require.NoError(l.t, err)
	defer answer.Body.Close()
	text, _ := io.ReadAll(answer.Body)
	require.Equal(l.t, http.StatusAccepted, answer.StatusCode, string(text))
}

// fixOf has the newest deployment of a service regress, and reads the alert.
func (l *running) fixOf(service string) string {
	l.t.Helper()
	list := l.ledger.Deployments(ledger.Query{Service: service})
	require.NotEmpty(l.t, list)
	d, now := list[0], time.Now()
	logs := plog.NewLogs()
	record := logs.ResourceLogs().AppendEmpty().ScopeLogs().AppendEmpty().LogRecords().AppendEmpty()
	eventotlp.EncodeAnomaly(event.Anomaly{
		ID: event.AnomalyID(d.ID, event.KindDeployment, "", ""), Kind: event.KindDeployment, Service: d.Service, Environment: d.Environment,
		Deployment: d.ID, Commit: d.Revision, Stage: event.StagePostDeploy, Severity: event.SeverityCritical, Mode: event.Advise,
		StartsAt: now, DetectedAt: now, At: now, Open: true,
		Verdict: &event.Verdict{Deployment: d, State: event.Regressed, Reason: event.ReasonEvidenceOfHarm, Mode: event.Advise, At: now},
	}, record)
	require.NoError(l.t, l.exports.ConsumeLogs(context.Background(), logs))
	select {
	case body := <-l.alerts:
		var alerts []struct{ Annotations map[string]string }
		require.NoError(l.t, json.Unmarshal(body, &alerts))
		require.Len(l.t, alerts, 1)
		return alerts[0].Annotations["fix"]
	case <-time.After(30 * time.Second):
		l.t.Fatal("no alert was sent")
		return ""
	}
}
