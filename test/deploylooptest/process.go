// Package deploylooptest runs the real binary for a test: the built-in
// configuration on free ports, with its state in a temporary folder and a real
// Alertmanager to tell.
package deploylooptest

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.yaml.in/yaml/v3"

	"github.com/deployloop/deployloop/internal/event"
	"github.com/deployloop/deployloop/test/servertest"
)

// Loop is a deployloop process. Its addresses and state stay the same across
// Kill, Stop and Start.
type Loop struct {
	*servertest.Process
	OTLP, CICD, Console, Metrics string // base URLs
	State                        string // the folder of its state

	t       testing.TB
	program string
	configs []string // --config and its location, for each
	env     []string
}

// Options of a Loop.
type Options struct {
	Alertmanager string         // its URL; "": none is told
	Heartbeat    time.Duration  // of connector and exporter
	Anomaly      map[string]any // further keys of the anomaly connector
	Configs      [][]byte       // further configurations, laid over the built-in one
}

// githubSecret signs the webhooks of Webhook.
const githubSecret = "of this test alone"

// Program is the binary: the file that DEPLOYLOOP_BIN names, else built now.
func Program(t testing.TB) string {
	t.Helper()
	if path := os.Getenv("DEPLOYLOOP_BIN"); path != "" {
		absolute, err := filepath.Abs(path)
		require.NoError(t, err)
		require.FileExists(t, absolute, "DEPLOYLOOP_BIN")
		return absolute
	}
	path, err := build(t.TempDir())
	require.NoError(t, err)
	return path
}

// BuildOnce builds the binary for all tests of a package, unless there is one:
// for its TestMain, which removes the folder.
func BuildOnce() (dir string, err error) {
	if os.Getenv("DEPLOYLOOP_BIN") != "" {
		return "", nil
	}
	if dir, err = os.MkdirTemp("", "deployloop"); err != nil {
		return "", err
	}
	path, err := build(dir)
	if err != nil {
		return dir, err
	}
	return dir, os.Setenv("DEPLOYLOOP_BIN", path)
}

func build(dir string) (path string, err error) {
	path = filepath.Join(dir, "deployloop")
	c := exec.Command("go", "build", "-o", path, "github.com/deployloop/deployloop/cmd/deployloop")
	c.Env = append(os.Environ(), "CGO_ENABLED=0", "GOFLAGS=-trimpath -buildvcs=false")
	if out, err := c.CombinedOutput(); err != nil {
		return "", fmt.Errorf("%w: %s", err, out)
	}
	return path, nil
}

// Start runs the binary and waits until it listens. It ends with the test.
func Start(t testing.TB, options Options) *Loop {
	t.Helper()
	dir := t.TempDir()
	address := map[string]string{}
	for _, name := range []string{"grpc", "http", "cicd", "console", "metrics", "self"} {
		address[name] = servertest.FreeAddress(t)
	}
	type m = map[string]any
	anomaly := m{"heartbeat": options.Heartbeat.String()}
	for key, value := range options.Anomaly {
		anomaly[key] = value
	}
	exporters := m{"prometheus": m{"endpoint": address["metrics"]}}
	if options.Alertmanager != "" {
		exporters["alertmanager"] = m{"heartbeat": options.Heartbeat.String(), "console_url": "http://" + address["console"]}
	}
	overlay, err := yaml.Marshal(m{
		"receivers": m{
			"otlp": m{"protocols": m{"grpc": m{"endpoint": address["grpc"]}, "http": m{"endpoint": address["http"]}}},
			"cicd": m{"endpoint": address["cicd"], "github": m{"secret": githubSecret}, "metrics_interval": "1s"},
		},
		"connectors": m{"anomaly": anomaly},
		"exporters":  exporters,
		"extensions": m{"console": m{"endpoint": address["console"]}},
		"service":    m{"telemetry": m{"logs": m{"level": "info"}, "metrics": m{"level": "none"}}},
	})
	require.NoError(t, err)
	args := []string{"--config", "default:"}
	for i, config := range append(options.Configs, overlay) {
		path := filepath.Join(dir, fmt.Sprintf("%d.yaml", i))
		require.NoError(t, os.WriteFile(path, config, 0o600))
		args = append(args, "--config", path)
	}
	l := &Loop{
		OTLP: "http://" + address["http"], CICD: "http://" + address["cicd"],
		Console: "http://" + address["console"], Metrics: "http://" + address["metrics"],
		State: filepath.Join(dir, "state"), t: t,
		program: Program(t), configs: args,
		env: append(os.Environ(), "DEPLOYLOOP_STATE_DIR="+filepath.Join(dir, "state"), "DEPLOYLOOP_ALERTMANAGER_URL="+options.Alertmanager),
	}
	l.Process = servertest.Run(t, "deployloop", l.serve, func() bool {
		return listening(l.OTLP) && listening(l.CICD) && listening(l.Console)
	})
	return l
}

// Command runs a subcommand of the binary with the process's environment and
// configuration, over which another is laid where one is given ("" for none),
// and gives what it printed and its exit code.
func (l *Loop) Command(overlay string, arguments ...string) (stdout, stderr string, code int) {
	l.t.Helper()
	arguments = append(arguments, l.configs...)
	if overlay != "" {
		path := filepath.Join(l.t.TempDir(), "overlay.yaml")
		require.NoError(l.t, os.WriteFile(path, []byte(overlay), 0o600))
		arguments = append(arguments, "--config", path)
	}
	return Run(l.t, l.program, l.env, arguments...)
}

// Lay starts the stopped process again with one more configuration laid over its
// own, and waits until ready says so.
func (l *Loop) Lay(path string, ready func() bool) {
	l.t.Helper()
	l.configs = append(l.configs, "--config", path)
	l.Process = servertest.Run(l.t, "deployloop", l.serve, ready)
}

func (l *Loop) serve() *exec.Cmd {
	c := exec.Command(l.program, l.configs...)
	c.Env = l.env
	return c
}

// Env sets a variable for the commands that follow.
func (l *Loop) Env(pair string) { l.env = append(l.env, pair) }

// Bare is Command without a configuration.
func (l *Loop) Bare(arguments ...string) (stdout, stderr string, code int) {
	l.t.Helper()
	return Run(l.t, l.program, l.env, arguments...)
}

// Run runs a program to its end and gives what it printed and its exit code.
func Run(t testing.TB, program string, env []string, arguments ...string) (stdout, stderr string, code int) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	defer cancel()
	var out, problems bytes.Buffer
	c := exec.CommandContext(ctx, program, arguments...)
	c.Env, c.Stdout, c.Stderr = env, &out, &problems
	var ended *exec.ExitError
	if err := c.Run(); err != nil && !errors.As(err, &ended) {
		require.NoError(t, err)
	}
	return out.String(), problems.String(), c.ProcessState.ExitCode()
}

// listening tells whether a server answers there, whatever it says.
func listening(url string) bool {
	response, err := http.Get(url + "/")
	if err != nil {
		return false
	}
	_ = response.Body.Close()
	return true
}

// Mark posts a deployment, as CI would.
func (l *Loop) Mark(deployment map[string]any) {
	l.t.Helper()
	body, err := json.Marshal(deployment)
	require.NoError(l.t, err)
	response, err := http.Post(l.CICD+"/v1/deployments", "application/json", bytes.NewReader(body))
	require.NoError(l.t, err)
	defer response.Body.Close()
	answer, _ := io.ReadAll(io.LimitReader(response.Body, 4096))
	require.Equal(l.t, http.StatusAccepted, response.StatusCode, string(answer))
}

// Webhook posts an event as GitHub does: signed.
func (l *Loop) Webhook(event string, payload map[string]any) {
	l.t.Helper()
	body, err := json.Marshal(payload)
	require.NoError(l.t, err)
	request, err := http.NewRequest(http.MethodPost, l.CICD+"/webhooks/github", bytes.NewReader(body))
	require.NoError(l.t, err)
	mac := hmac.New(sha256.New, []byte(githubSecret))
	mac.Write(body)
	request.Header.Set("Content-Type", "application/json")
	request.Header.Set("X-GitHub-Event", event)
	request.Header.Set("X-GitHub-Delivery", rand.Text())
	request.Header.Set("X-Hub-Signature-256", "sha256="+hex.EncodeToString(mac.Sum(nil)))
	response, err := http.DefaultClient.Do(request)
	require.NoError(l.t, err)
	defer response.Body.Close()
	answer, _ := io.ReadAll(io.LimitReader(response.Body, 4096))
	require.Equal(l.t, http.StatusAccepted, response.StatusCode, string(answer))
}

// Get reads a JSON answer of the console's API into out.
func (l *Loop) Get(path string, out any) error {
	response, err := http.Get(l.Console + path)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	body, err := io.ReadAll(io.LimitReader(response.Body, 16<<20))
	if err != nil {
		return err
	}
	if response.StatusCode != http.StatusOK {
		return fmt.Errorf("GET %s: %d %.200s", path, response.StatusCode, body)
	}
	return json.Unmarshal(body, out)
}

// Verdict is the last verdict of the newest deployment of this revision.
func (l *Loop) Verdict(service, revision string) (event.Verdict, error) {
	d, err := l.Deployment(service, revision)
	if err != nil {
		return event.Verdict{}, err
	}
	var one struct {
		Verdict *event.Verdict `json:"verdict"`
	}
	if err := l.Get("/api/v1/deployments/"+d.ID, &one); err != nil {
		return event.Verdict{}, err
	}
	if one.Verdict == nil {
		return event.Verdict{}, fmt.Errorf("deployment %s has no verdict yet", d.ID)
	}
	return *one.Verdict, nil
}

// Deployment finds the newest deployment of a revision.
func (l *Loop) Deployment(service, revision string) (event.Deployment, error) {
	var list struct {
		Deployments []event.Deployment `json:"deployments"`
	}
	if err := l.Get("/api/v1/deployments?service="+service, &list); err != nil {
		return event.Deployment{}, err
	}
	for _, d := range list.Deployments {
		if d.Revision == revision && d.Service == service {
			return d, nil
		}
	}
	return event.Deployment{}, fmt.Errorf("no deployment of %s at %s", service, revision)
}
