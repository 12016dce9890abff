// Package doctor runs deployloop doctor, as the real binary, against set-ups
// that are whole and set-ups that are broken, each in one way.
package doctor

import (
	"encoding/json"
	"encoding/pem"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/deployloop/deployloop/internal/doctor"
	"github.com/deployloop/deployloop/test/deploylooptest"
	"github.com/deployloop/deployloop/test/prometheustest"
	"github.com/deployloop/deployloop/test/servertest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// report is what deployloop doctor --output json prints.
type report struct {
	Healthy  bool             `json:"healthy"`
	Findings []doctor.Finding `json:"findings"`
}

// run asks doctor about the loop, with another configuration laid over its own.
func run(t *testing.T, loop *deploylooptest.Loop, overlay string, arguments ...string) (report, int) {
	t.Helper()
	stdout, stderr, code := loop.Command(overlay, append([]string{"doctor", "--output", "json"}, arguments...)...)
	return read(t, stdout, stderr), code
}

func read(t *testing.T, stdout, stderr string) report {
	t.Helper()
	var r report
	require.NoError(t, json.Unmarshal([]byte(stdout), &r), "%s\n%s", stdout, stderr)
	require.NotEmpty(t, r.Findings)
	for _, f := range r.Findings {
		broken := f.Status == doctor.Failure || f.Status == doctor.Warning
		assert.Equal(t, broken, f.Cause != "", "%+v", f)
		assert.True(t, !broken || f.Fix != "", "no fix: %+v", f)
		assert.NotContains(t, f.What+f.Fix, "\n")
	}
	return r
}

// wrong lists what is not well, as "status check cause".
func (r report) wrong() []string {
	list := []string{}
	for _, f := range r.Findings {
		if f.Cause != "" {
			list = append(list, fmt.Sprintf("%s %s %s", f.Status, f.Check, f.Cause))
		}
	}
	return list
}

func (r report) of(check string) []doctor.Finding {
	return slices.DeleteFunc(slices.Clone(r.Findings), func(f doctor.Finding) bool { return f.Check != check })
}

// Nothing is found wrong with what is whole, and nothing stays of the tests.
func TestWholeSetup(t *testing.T) {
	loop, am, _ := whole(t)
	prometheus := prometheustest.Start(t, prometheustest.Options{Targets: []string{loop.Metrics}, Every: time.Second, RemoteWrite: true})
	require.Eventually(t, func() bool { return len(prometheus.Query(`count({__name__=~"deployloop_.+"})`)) > 0 }, 60*time.Second, 100*time.Millisecond)
	before := deployments(t, loop)
	overlay := fmt.Sprintf(`
exporters: {prometheus_remote_write: {endpoint: %s/api/v1/write}}
service: {pipelines: {metrics/loop: {receivers: [anomaly], exporters: [prometheus, prometheus_remote_write]}}}
`, prometheus.URL)
	r, code := run(t, loop, overlay, "--strict", "--prometheus", prometheus.URL)
	assert.Equal(t, 0, code)
	assert.True(t, r.Healthy)
	assert.Empty(t, r.wrong(), "%+v", r.Findings)
	for _, check := range []string{"configuration", "storage", "otlp/grpc", "otlp/http", "cicd", "webhook github", "console", "services", "alertmanager", "prometheus_exporter", "prometheus_remote_write", "prometheus", "repository", "clocks"} {
		require.Len(t, r.of(check), 1, check)
		assert.Equal(t, doctor.OK, r.of(check)[0].Status, "%+v", r.of(check)[0])
	}

	assert.Equal(t, before, deployments(t, loop), "a test deployment was recorded")
	alerts, err := am.Alerts()
	require.NoError(t, err)
	assert.Empty(t, alerts, "a test alert is open")
	var coverage struct{ Services []struct{ Service string } }
	require.NoError(t, loop.Get("/api/v1/coverage", &coverage))
	assert.Len(t, coverage.Services, 1, "a test service was seen")

	// The same in words, with exit 0; and by the console alone.
	text, _, code := loop.Command("", "doctor")
	assert.Equal(t, 0, code)
	assert.Contains(t, text, "✓ alertmanager "+am.URL+": a test alert was accepted, seen and resolved")
	assert.Contains(t, text, loop.Console+"/coverage", "where the report of each service is")
	assert.NotContains(t, text, "\x1b[", "no colours in a pipe")
	stdout, stderr, code := loop.Bare("doctor", "--output", "json", "--endpoint", loop.Console)
	assert.Equal(t, 0, code)
	assert.Empty(t, read(t, stdout, stderr).wrong())
}

// Each set-up is broken in one way, and that is what is named: every finding
// that is not well is listed.
func TestBrokenSetups(t *testing.T) {
	loop, am, revision := whole(t)
	nobody := servertest.FreeAddress(t)
	state := filepath.Join(t.TempDir(), "file")
	require.NoError(t, os.WriteFile(state, nil, 0o600))
	empty := t.TempDir()

	refusing := answering(t, http.StatusBadRequest, `{"code":602,"message":"maximum number of alerts reached"}`)
	late := skewed(t, am.URL, 10*time.Minute)
	guarded, secure := passing(t, am.URL, "mei", "it is"), httptest.NewTLSServer(proxyTo(t, am.URL))
	t.Cleanup(secure.Close)
	authority := filepath.Join(t.TempDir(), "ca.pem")
	require.NoError(t, os.WriteFile(authority, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: secure.Certificate().Raw}), 0o600))
	grafana, keeping := newGrafana(t), newGrafana(t)
	github := newGitHub(t)
	prometheus := prometheustest.Start(t, prometheustest.Options{Every: time.Second})

	alertmanager := func(at string) string { return "exporters: {alertmanager: {endpoints: [" + at + "]}}" }
	annotationsAt := func(at, token string) string {
		return fmt.Sprintf(`
exporters: {grafana_annotation: {endpoint: %s, token: %s}}
service: {pipelines: {logs/verdicts: {receivers: [anomaly], exporters: [alertmanager, grafana_annotation]}}}`, at, token)
	}
	annotations := func(token string) string { return annotationsAt(grafana.URL, token) }
	elsewhere := func(pipelines string) string { // telemetry that goes to a back end alone
		return fmt.Sprintf(`
exporters: {otlp_http/backend: {endpoint: %s}}
service: {pipelines: {%s}}`, loop.OTLP, pipelines)
	}
	forge := func(token, repository string) string {
		return fmt.Sprintf(`
exporters: {forge: {forge: github, endpoint: %s, token: %s, repositories: [{service: checkout, repository: %s}]}}
service: {pipelines: {logs/verdicts: {receivers: [anomaly], exporters: [alertmanager, forge]}}}`, github.URL, token, repository)
	}
	remoteWrite := func(at string) string {
		return fmt.Sprintf(`
exporters: {prometheus_remote_write: {endpoint: %s}}
service: {pipelines: {metrics/loop: {receivers: [anomaly], exporters: [prometheus, prometheus_remote_write]}}}`, at)
	}
	for name, c := range map[string]struct {
		overlay   string
		arguments []string
		code      int
		wrong     []string
		says      string // in the first finding that is not well
	}{
		"wrong webhook secret": {overlay: "receivers: {cicd: {github: {secret: another}}}", code: 1,
			wrong: []string{"failure webhook github secret_differs"}, says: "receivers::cicd::github::secret"},
		"a secret that the running one lacks": {overlay: "receivers: {cicd: {gitlab: {secret: new}}}", code: 1,
			wrong: []string{"failure webhook gitlab unsigned_accepted"}, says: "start deployloop with this configuration"},
		"wrong port of the receiver": {overlay: "receivers: {cicd: {endpoint: " + nobody + "}}", code: 1,
			wrong: []string{"failure cicd nothing_listens", "failure webhook github nothing_listens"}, says: "receivers::cicd::endpoint"},
		"wrong port of OTLP": {overlay: "receivers: {otlp: {protocols: {grpc: {endpoint: " + nobody + "}}}}", code: 1,
			wrong: []string{"failure otlp/grpc nothing_listens"}, says: "receivers::otlp::protocols::grpc::endpoint"},
		"gRPC where HTTP is": {overlay: "receivers: {otlp: {protocols: {grpc: {endpoint: " + strings.TrimPrefix(loop.OTLP, "http://") + "}, http: {endpoint: " + strings.TrimPrefix(loop.Console, "http://") + "}}}}", code: 1,
			wrong: []string{"failure otlp/grpc wrong_server", "failure otlp/http wrong_server"}, says: "receivers::otlp::protocols::grpc::endpoint"},
		"dead Alertmanager": {overlay: alertmanager("http://" + nobody), code: 1,
			wrong: []string{"failure alertmanager nothing_listens"}, says: "exporters::alertmanager::endpoints"},
		"Alertmanager that refuses": {overlay: alertmanager(refusing), code: 1,
			wrong: []string{"failure alertmanager refused"}, says: "maximum number of alerts reached"},
		"something else where Alertmanager should be": {overlay: alertmanager(prometheus.URL), code: 1,
			wrong: []string{"failure alertmanager wrong_server"}, says: "is no Alertmanager"},
		"Alertmanager whose clock is ahead": {overlay: alertmanager(late), code: 1,
			wrong: []string{"failure clocks clock_skew"}, says: "10m0s ahead"},
		"Alertmanager behind authentication": {overlay: alertmanager(guarded), code: 1,
			wrong: []string{"failure alertmanager unauthenticated"}, says: "exporters::alertmanager::auth"},
		"Alertmanager behind authentication, authenticated": {overlay: fmt.Sprintf(`
exporters: {alertmanager: {endpoints: [{endpoint: %s, auth: {authenticator: basicauth/client}}]}}
extensions: {basicauth/client: {client_auth: {username: mei, password: "it is"}}}
service: {extensions: [file_storage, ledger, console, basicauth/client]}`, guarded), wrong: []string{}},
		"an authenticator that is not there": {overlay: "exporters: {alertmanager: {endpoints: [{endpoint: " + guarded + ", auth: {authenticator: basicauth}}]}}", code: 1,
			wrong: []string{"failure alertmanager config_invalid"}, says: "basicauth"},
		"Alertmanager by TLS whose authority is not known": {overlay: alertmanager(secure.URL), code: 1,
			wrong: []string{"failure alertmanager tls"}, says: "ca_file"},
		"Alertmanager by TLS": {overlay: fmt.Sprintf("exporters: {alertmanager: {endpoints: [{endpoint: %s, tls: {ca_file: %s}}]}}", secure.URL, authority), wrong: []string{}},
		"bad Grafana token": {overlay: annotations("nonsense"), code: 1,
			wrong: []string{"failure grafana unauthenticated"}, says: "exporters::grafana_annotation::token"},
		"Grafana without write permission": {overlay: annotations("viewer"), code: 1,
			wrong: []string{"failure grafana no_permission"}, says: "annotations:create"},
		"Grafana that may write and not remove": {overlay: annotations("writer"), code: 1,
			wrong: []string{"failure grafana no_permission"}, says: "annotations:delete"},
		"Grafana that does not list what it took": {overlay: annotations("blind"), code: 1,
			wrong: []string{"failure grafana annotation_not_seen"}, says: "annotations:read"},
		"Grafana that removes nothing": {overlay: annotationsAt(keeping.URL, "keeper"), code: 1,
			wrong: []string{"failure grafana annotation_left"}, says: "deployloop-doctor"},
		"forge token without scopes": {overlay: forge("unscoped", "acme/shop"), code: 1,
			wrong: []string{"failure forge github no_permission"}, says: "repo"},
		"forge token that is fine-grained and may only read": {overlay: forge("readonly", "acme/shop"), code: 1,
			wrong: []string{"failure forge github no_permission"}, says: "commit statuses"},
		"forge token that is over": {overlay: forge("expired", "acme/shop"), code: 1,
			wrong: []string{"failure forge github unauthenticated"}, says: "exporters::forge::token"},
		"forge repository that is not there": {overlay: forge("full", "acme/nothing"), code: 1,
			wrong: []string{"failure forge github repository_unknown"}, says: "acme/nothing"},
		"unwritable storage": {overlay: "extensions: {file_storage: {directory: " + filepath.Join(state, "state") + "}}", code: 1,
			wrong: []string{"failure storage storage_unwritable"}, says: "extensions::file_storage::directory"},
		"missing storage": {overlay: "extensions: {file_storage: {directory: " + filepath.Join(empty, "gone") + ", create_directory: false}}", code: 1,
			wrong: []string{"failure storage storage_missing"}, says: "mkdir -p"},
		"unreachable Prometheus": {overlay: remoteWrite("http://" + nobody + "/api/v1/write"), code: 1,
			wrong: []string{"failure prometheus_remote_write nothing_listens"}, says: "exporters::prometheus_remote_write::endpoint"},
		"remote write not enabled": {overlay: remoteWrite(prometheus.URL + "/api/v1/write"), code: 1,
			wrong: []string{"failure prometheus_remote_write remote_write_disabled"}, says: "--web.enable-remote-write-receiver"},
		"remote write to a wrong path": {overlay: remoteWrite(prometheus.URL + "/write"), code: 1,
			wrong: []string{"failure prometheus_remote_write wrong_server"}, says: "/api/v1/write"},
		"Prometheus that does not scrape": {arguments: []string{"--prometheus", prometheus.URL}, code: 1,
			wrong: []string{"failure prometheus not_scraped"}, says: "scrape_configs"},
		"mode shadow where alerts are expected": {overlay: "connectors: {anomaly: {mode: shadow}}", arguments: []string{"--strict"}, code: 2,
			wrong: []string{"warning configuration mode_shadow", "warning console config_differs"}, says: "mode: advise"},
		"another heartbeat": {overlay: "exporters: {alertmanager: {heartbeat: 5s}}", code: 1,
			wrong: []string{"failure configuration heartbeats_differ"}, says: "heartbeat: 30s"},
		"a repository that is not there": {overlay: "connectors: {anomaly: {repositories: [{service: checkout, path: " + filepath.Join(empty, "shop.git") + "}]}}", code: 1,
			wrong: []string{"failure repository path_missing"}, says: "git clone --bare"},
		"a repository that is none": {overlay: "connectors: {anomaly: {repositories: [{service: checkout, path: " + empty + "}]}}", code: 1,
			wrong: []string{"failure repository not_a_repository"}, says: "connectors::anomaly::repositories[0]::path"},
		"a clone without the deployed commit": {overlay: "connectors: {anomaly: {repositories: [{service: checkout, path: " + other(t) + "}]}}", code: 1,
			wrong: []string{"failure services commit_not_in_clone"}, says: revision[:7]},
		"a repository without a commit": {overlay: "connectors: {anomaly: {repositories: [{service: other, path: " + fresh(t) + "}]}}", arguments: []string{"--skip", "services"}, code: 1,
			wrong: []string{"failure repository empty_repository"}, says: "fetch"},
		"a shallow clone": {overlay: "connectors: {anomaly: {repositories: [{service: other, path: " + shallow(t) + "}]}}", arguments: []string{"--skip", "services"},
			wrong: []string{"warning repository shallow_clone"}, says: "fetch --unshallow"},
		"nothing that watches": {overlay: elsewhere(`
  traces: {exporters: [otlp_http/backend]}, metrics: {exporters: [otlp_http/backend]}, logs: {exporters: [otlp_http/backend]},
  logs/verdicts: {receivers: [otlp]}, metrics/loop: {receivers: [otlp]}`), arguments: []string{"--skip", "services"}, code: 1,
			wrong: []string{"failure configuration not_watched"}, says: "add anomaly to the exporters"},
		"a signal that is not watched": {overlay: elsewhere("metrics: {exporters: [otlp_http/backend]}"),
			wrong: []string{"warning configuration signal_not_watched"}, says: "no metrics reach the anomaly connector"},
		"metrics of the loop that go nowhere": {overlay: "service: {pipelines: {metrics/loop: {receivers: [otlp]}}}",
			wrong: []string{"warning configuration loop_metrics_unrouted"}, says: "metrics/loop"},
		"a ledger in memory": {overlay: "extensions: {ledger: {storage: null}}",
			wrong: []string{"warning configuration ledger_in_memory"}, says: "ledger is in memory only"},
		"no console": {overlay: "service: {extensions: [file_storage, ledger]}",
			wrong: []string{"warning configuration no_console"}, says: "service::extensions"},
		"a pipeline without deploy_marker": {overlay: "service: {pipelines: {traces: {processors: [memory_limiter]}}}", code: 1,
			wrong: []string{"failure configuration not_marked"}, says: "service::pipelines::traces::processors"},
		"deployments that go nowhere": {overlay: "service: {pipelines: {logs: {receivers: [otlp]}}}", code: 1,
			wrong: []string{"failure configuration deployments_unrouted"}, says: "receivers: [otlp, cicd]"},
		"an exporter without verdicts": {overlay: "exporters: {grafana_annotation: {endpoint: " + grafana.URL + ", token: editor}}", code: 1,
			wrong: []string{"failure configuration exporter_unused"}, says: "logs/verdicts"},
		"a back end that is away": {overlay: `
exporters: {otlp_grpc/backend: {endpoint: ` + nobody + `, tls: {insecure: true}}, otlp_http/backend: {endpoint: "http://` + nobody + `"}}
service: {pipelines: {traces: {exporters: [anomaly, otlp_grpc/backend, otlp_http/backend]}}}`, code: 1,
			wrong: []string{"failure backend otlp_grpc/backend nothing_listens", "failure backend otlp_http/backend nothing_listens"}, says: "exporters::otlp_grpc/backend::endpoint"},
		"a back end that is there": {overlay: `
exporters: {otlp_http/backend: {endpoint: "` + loop.OTLP + `"}}
service: {pipelines: {traces: {exporters: [anomaly, otlp_http/backend]}}}`, wrong: []string{}},
		"invalid configuration": {overlay: "connectors: {anomaly: {heartbeat: 1ms}}", code: 1,
			wrong: []string{"failure configuration config_invalid"}, says: "heartbeat"},
		"unreadable configuration": {overlay: "connectors: {anomaly: {hartbeat: 1s}}", code: 3,
			wrong: []string{"failure configuration config_invalid"}, says: "hartbeat"},
		"a Grafana that may be written": {overlay: annotations("editor"), wrong: []string{}},
		"a forge token that may write":  {overlay: forge("full", "acme/shop"), wrong: []string{}},
		"a fine-grained forge token":    {overlay: forge("fine", "acme/shop"), wrong: []string{}},
	} {
		t.Run(name, func(t *testing.T) {
			r, code := run(t, loop, c.overlay, c.arguments...)
			assert.Equal(t, c.wrong, r.wrong(), "%+v", r.Findings)
			assert.Equal(t, c.code, code)
			for _, f := range r.Findings {
				if f.Cause != "" {
					assert.Contains(t, f.What+" "+f.Fix, c.says)
					break
				}
			}
		})
	}
	assert.Empty(t, grafana.stored(), "an annotation was left")
	assert.Empty(t, github.written(), "something was written to the forge")
	alerts, err := am.Alerts()
	require.NoError(t, err)
	assert.Empty(t, alerts)
}

// A webhook whose secret is wrong on the sender's side shows by its deliveries;
// doctor's own pings do not count.
func TestRefusedDeliveries(t *testing.T) {
	loop := deploylooptest.Start(t, deploylooptest.Options{Heartbeat: 30 * time.Second})
	webhook := func() doctor.Finding {
		r, _ := run(t, loop, "", "--skip", "configuration")
		require.Len(t, r.of("webhook github"), 1)
		return r.of("webhook github")[0]
	}
	assert.Contains(t, webhook().What, "no delivery since the start")
	wrong := func() {
		request, err := http.NewRequest(http.MethodPost, loop.CICD+"/webhooks/github", strings.NewReader(`{}`))
		require.NoError(t, err)
		request.Header.Set("Content-Type", "application/json")
		request.Header.Set("X-GitHub-Event", "push")
		request.Header.Set("X-Hub-Signature-256", "sha256="+strings.Repeat("00", 32))
		response, err := http.DefaultClient.Do(request)
		require.NoError(t, err)
		require.NoError(t, response.Body.Close())
		require.Equal(t, http.StatusUnauthorized, response.StatusCode)
	}
	wrong()
	f := webhook()
	assert.Equal(t, doctor.Failure, f.Status)
	assert.Equal(t, doctor.CauseDeliveriesRefused, f.Cause)
	assert.Contains(t, f.What, "none of the 1 deliveries of github")

	loop.Webhook("push", map[string]any{"ref": "refs/heads/main", "after": strings.Repeat("ab", 20), "repository": map[string]any{"full_name": "acme/shop"},
		"commits": []map[string]any{{"id": strings.Repeat("ab", 20), "message": "Add totals", "timestamp": time.Now().Format(time.RFC3339)}}})
	f = webhook()
	assert.Equal(t, doctor.OK, f.Status, "%+v", f)
	assert.Contains(t, f.What, "the last delivery came at")
	wrong()
	f = webhook()
	assert.Equal(t, doctor.Warning, f.Status, "%+v", f)
	assert.Equal(t, doctor.CauseDeliveriesRefused, f.Cause)
}

// What services lack, and a deployloop that does not run.
func TestBrokenServices(t *testing.T) {
	loop := deploylooptest.Start(t, deploylooptest.Options{Heartbeat: 30 * time.Second})
	services := func() []string {
		r, _ := run(t, loop, "")
		var list []string
		for _, f := range r.of("services") {
			list = append(list, fmt.Sprintf("%s %s %s", f.Status, f.Target, f.Cause))
		}
		return list
	}
	require.Equal(t, []string{"skipped  "}, services(), "no service yet")

	revision := strings.Repeat("ab12", 10)
	service(t, loop, time.Now(), map[string]string{"service.name": "no-version", "deployment.environment.name": "prod"})
	service(t, loop, time.Now(), map[string]string{"service.name": "no-tag", "vcs.ref.head.revision": revision, "deployment.environment.name": "prod"})
	service(t, loop, time.Now(), map[string]string{"service.name": "no-commit", "service.version": "1", "deployment.environment.name": "prod"})
	service(t, loop, time.Now(), map[string]string{"service.name": "no-environment", "service.version": "1", "vcs.ref.head.revision": revision})
	service(t, loop, time.Now().Add(time.Hour), map[string]string{"service.name": "tomorrow", "service.version": "1", "vcs.ref.head.revision": revision, "deployment.environment.name": "prod"})
	service(t, loop, time.Now().Add(-time.Hour), map[string]string{"service.name": "yesterday", "service.version": "1", "vcs.ref.head.revision": revision, "deployment.environment.name": "prod"})
	loop.Mark(map[string]any{"service": "silent", "environment": "prod", "revision": revision})
	var found []string
	require.Eventually(t, func() bool {
		found = services()
		return slices.Contains(found, "warning silent in prod no_telemetry")
	}, 20*time.Second, 100*time.Millisecond)
	for _, want := range []string{
		"failure no-version in prod no_version",
		"warning no-commit in prod no_commit",
		"warning no-environment no_environment",
		"failure tomorrow in prod service_clock",
		"failure yesterday in prod service_clock",
		"warning silent in prod no_telemetry",
		"warning silent in prod commit_unknown",
	} {
		assert.Contains(t, found, want)
	}
	for _, not := range []string{"no-tag in prod no_commit", "no-tag in prod no_version", "no-commit in prod no_version", "silent in prod no_deploy_source", "silent in prod no_version"} {
		assert.NotContains(t, strings.Join(found, "\n"), not)
	}

	// Without an Alertmanager the built-in set-up works, and says that nobody is told.
	r, code := run(t, loop, "", "--skip", "services")
	assert.Equal(t, []string{"warning configuration nobody_told"}, r.wrong())
	assert.Equal(t, 0, code)

	loop.Stop()
	r, code = run(t, loop, "")
	assert.Equal(t, []string{"warning configuration nobody_told", "failure deployloop not_running"}, r.wrong())
	assert.Equal(t, 1, code)
	stdout, stderr, code := loop.Bare("doctor", "--output", "json", "--endpoint", loop.Console)
	assert.Equal(t, 1, code)
	assert.Equal(t, []string{"failure console nothing_listens", "failure services nothing_listens"}, read(t, stdout, stderr).wrong())
	loop.Start()
}

// Listeners with TLS and authentication of their own are reached, and what
// cannot be looked at without credentials is said.
func TestGuardedSetup(t *testing.T) {
	dir := t.TempDir()
	certificate, key := selfSigned(t, dir)
	tls := fmt.Sprintf("tls: {cert_file: %s, key_file: %s}", certificate, key)
	loop := deploylooptest.Start(t, deploylooptest.Options{Heartbeat: 30 * time.Second})
	loop.Stop()
	overlay := fmt.Sprintf(`
receivers:
  otlp: {protocols: {grpc: {%[1]s, auth: {authenticator: bearertokenauth}}, http: {%[1]s}}}
  cicd: {%[1]s, auth: {authenticator: bearertokenauth}}
extensions:
  console: {%[1]s, auth: {authenticator: basicauth/server}}
  basicauth/server: {htpasswd: {inline: "mei:secret"}}
  bearertokenauth: {token: a-token-of-this-test}
service: {extensions: [file_storage, ledger, console, basicauth/server, bearertokenauth]}
`, tls)
	path := filepath.Join(dir, "guarded.yaml")
	require.NoError(t, os.WriteFile(path, []byte(overlay), 0o600))
	loop.Lay(path, func() bool {
		conn, err := net.Dial("tcp", strings.TrimPrefix(loop.Console, "http://"))
		if err != nil {
			return false
		}
		return conn.Close() == nil
	})
	r, code := run(t, loop, "")
	assert.Equal(t, 0, code)
	assert.Equal(t, []string{"warning configuration nobody_told", "warning console unauthenticated", "warning services unauthenticated"}, r.wrong(), "%+v", r.Findings)
	require.Len(t, r.of("cicd"), 1)
	assert.Equal(t, doctor.Skipped, r.of("cicd")[0].Status)
	assert.Equal(t, "is there, and refuses who has no credentials (doctor has none)", r.of("otlp/grpc")[0].What)
	assert.Equal(t, doctor.OK, r.of("otlp/http")[0].Status)

	loop.Env("DEPLOYLOOP_CICD_TOKEN=a-token-of-this-test")
	r, _ = run(t, loop, "")
	assert.Equal(t, "takes deployments", r.of("cicd")[0].What)
}
