package doctor

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/deployloop/deployloop/internal/setup"
	"github.com/deployloop/deployloop/test/alertmanagertest"
	"github.com/deployloop/deployloop/test/deploylooptest"
	"github.com/deployloop/deployloop/test/servertest"
)

// What init writes starts, and doctor finds nothing broken in it; started
// without its secrets, it does not start.
func TestInitStartDoctor(t *testing.T) {
	am := alertmanagertest.Start(t)
	program, dir := deploylooptest.Program(t), t.TempDir()
	file := filepath.Join(dir, "deployloop.yaml")
	console := servertest.FreeAddress(t)
	stdout, stderr, code := deploylooptest.Run(t, program, os.Environ(), "init", "--yes", "--file", file, "--mode", "advise",
		"--alertmanager", am.URL, "--webhook", "github,gitlab,gitea,jenkins,argocd,flux,flagger,spinnaker,cdevents", "--state-dir", filepath.Join(dir, "state"),
		"--otlp-grpc", servertest.FreeAddress(t), "--otlp-http", servertest.FreeAddress(t), "--cicd", servertest.FreeAddress(t),
		"--console", console, "--metrics", servertest.FreeAddress(t), "--self-metrics", servertest.FreeAddress(t))
	require.Equal(t, 0, code, stdout+stderr)

	_, stderr, code = deploylooptest.Run(t, program, os.Environ(), "validate", "--config", file)
	require.Equal(t, 1, code)
	require.Contains(t, stderr, "github.secret is empty")

	text, err := os.ReadFile(filepath.Join(dir, "deployloop.env"))
	require.NoError(t, err)
	env := os.Environ()
	_, values := setup.EnvironmentFile(nil, string(text))
	for name, value := range values {
		env = append(env, name+"="+value)
	}
	servertest.Run(t, "deployloop", func() *exec.Cmd {
		c := exec.Command(program, "--config", file, "--set", "service.telemetry.metrics.level=none")
		c.Env = env
		return c
	}, func() bool { return servertest.Answers("http://" + console + "/healthz") })

	stdout, stderr, code = deploylooptest.Run(t, program, env, "doctor", "--config", file, "--output", "json")
	r := read(t, stdout, stderr)
	assert.Equal(t, 0, code)
	assert.Empty(t, r.wrong(), "%+v", r.Findings)
	for _, source := range setup.Sources {
		require.Len(t, r.of("webhook "+source), 1)
		assert.Equal(t, "takes a ping with the secret, and none without; no delivery since the start", r.of("webhook " + source)[0].What, source)
	}
}
