package examples

import (
	"encoding/json"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/deployloop/deployloop/internal/event"
	"github.com/deployloop/deployloop/test/deploylooptest"
	"github.com/deployloop/deployloop/test/servertest"
)

const (
	gateUser = "gate"
	// gatePassword and its bcrypt, as `htpasswd -nB gate` makes it.
	gatePassword = "of-this-test-alone"
	gateHash     = "gate:$2y$05$abcdefghijklmnopqrstuut4HodFOfA0mXfFckO/FlKteTezRC4.S"
	hookToken    = "0123456789abcdef0123456789abcdef"
)

// cluster runs the code of Argo Rollouts and Flagger on a shipped manifest.
func cluster(t *testing.T, out any, args ...string) {
	t.Helper()
	c := exec.Command(servertest.Tool(t, "cluster"), args...)
	var problems strings.Builder
	c.Stderr = &problems
	answer, err := c.Output()
	require.NoError(t, err, "%v: %s", args, problems.String())
	if out != nil {
		require.NoError(t, json.Unmarshal(answer, out), "%s", answer)
	}
}

// asked is how a tool sees the gate.
type asked struct {
	Phase, Value, Message string
	Passed                bool
}

// behindAuth checks that nobody asks without a password.
func behindAuth(t *testing.T, loop *deploylooptest.Loop) {
	t.Helper()
	naked := "http://" + strings.SplitN(loop.Console, "@", 2)[1]
	for _, at := range []string{naked, strings.Replace(loop.Console, gatePassword, "guessed", 1)} {
		response, err := http.Get(at + "/gate/argo?service=checkout&version=1.1.0")
		require.NoError(t, err)
		require.NoError(t, response.Body.Close())
		assert.Equal(t, http.StatusUnauthorized, response.StatusCode, at)
	}
	out, code := command(t, "gate", "--endpoint", naked, "--service", "checkout", "--version", "1.1.0", "--environment", production)
	assert.Equal(t, 3, code, out)
	assert.Contains(t, out, "user and password")
}

// Argo Rollouts asks with its own web provider what the shipped template says:
// the gated service fails on proof, the one in shadow goes on.
func TestArgoRollouts(t *testing.T) {
	t.Parallel()
	cluster(t, nil, "check", "../../examples/argo-rollouts/analysis-template.yaml", "../../examples/argo-rollouts/notifications.yaml")
	places := deploylooptest.NewPlaces(t)
	loop := deploylooptest.StartExample(t, deploylooptest.Example{
		File: "examples/argo-rollouts/deployloop.yaml", Places: places, User: gateUser + ":" + gatePassword,
		Env: []string{"ROLLOUTS_TOKEN=" + hookToken, "GATE_HTPASSWD=" + gateHash},
	})
	behindAuth(t, loop)
	template := places.File("examples/argo-rollouts/analysis-template.yaml")
	argo := func(service, user string) asked {
		t.Helper()
		request, err := http.NewRequest(http.MethodGet, "/", nil)
		require.NoError(t, err)
		request.SetBasicAuth(user, gatePassword)
		token, _ := strings.CutPrefix(request.Header.Get("Authorization"), "Basic ")
		var a asked
		cluster(t, &a, "argo", template, "-arg", "service="+service, "-arg", "environment="+production, "-arg", "version=1.1.0", "-arg", "token="+token)
		return a
	}
	wrong := argo("checkout", "nobody")
	assert.Equal(t, "Error", wrong.Phase, "a wrong password is an error to it, never a success")

	checkout, catalogue := open(t, loop.OTLP, "checkout"), open(t, loop.OTLP, "catalogue")
	checkout.waitForHistory()
	unknown := argo("checkout", gateUser)
	assert.Equal(t, "Inconclusive", unknown.Phase, "what nobody knows: %s", unknown.Value)
	// The rollout begins: Argo Rollouts' notification, with the Rollout as it sends it.
	rollout := recorded(t, "argo_rollout_that_progresses", `"1.42.0"`, `"1.1.0"`, "checkout:1.42.0", "checkout:1.1.0")
	post(t, loop.CICD+"/webhooks/argocd", http.StatusAccepted, rollout, "Authorization", "Bearer "+hookToken)
	post(t, loop.CICD+"/webhooks/argocd", http.StatusUnauthorized, rollout, "Authorization", "Bearer guessed")
	checkout.canary(0.3)
	catalogue.canary(0.3)
	waitFor(t, loop, "checkout", event.Regressed)
	assert.Equal(t, event.Shadow, waitFor(t, loop, "catalogue", event.Regressed).Mode)

	bad := argo("checkout", gateUser)
	assert.Equal(t, "Failed", bad.Phase)
	var answer struct{ Verdict, Decision, Reason string }
	require.NoError(t, json.Unmarshal([]byte(bad.Value), &answer), "what the AnalysisRun shows: %s", bad.Value)
	assert.Equal(t, "regressed", answer.Verdict)
	assert.NotEmpty(t, answer.Reason)
	assert.Equal(t, "Successful", argo("catalogue", gateUser).Phase, "in shadow nothing is held up")

	// The same through CI's front end, behind the same authenticator.
	ask := func(more ...string) (string, int) {
		return command(t, append([]string{"gate", "--endpoint", loop.Console, "--environment", production, "--version", "1.1.0"}, more...)...)
	}
	out, code := ask("--service", "checkout")
	assert.Equal(t, 1, code, out)
	out, code = ask("--service", "catalogue", "--respect-mode")
	assert.Zero(t, code, out)
}

// Flagger's own code calls the webhooks of the shipped Canary.
func TestFlagger(t *testing.T) {
	t.Parallel()
	cluster(t, nil, "check", "../../examples/flagger/canary.yaml")
	places := deploylooptest.NewPlaces(t)
	loop := deploylooptest.StartExample(t, deploylooptest.Example{
		File: "examples/flagger/deployloop.yaml", Places: places, User: gateUser + ":" + gatePassword,
		Env: []string{"FLAGGER_TOKEN=" + hookToken, "GATE_HTPASSWD=" + gateHash},
	})
	behindAuth(t, loop)
	canary := places.File("examples/flagger/canary.yaml")
	text, err := os.ReadFile(canary)
	require.NoError(t, err)
	filled := strings.NewReplacer("PASSWORD", gatePassword, "WEBHOOK_SECRET", hookToken,
		"1.42.0", "1.1.0", "9f2c1ab4e1d0c3b2a19f8e7d6c5b4a3928171605", badRevision).Replace(string(text))
	require.NoError(t, os.WriteFile(canary, []byte(filled), 0o600))
	call := func(hook, phase string) asked {
		t.Helper()
		var a asked
		cluster(t, &a, "flagger", canary, "-hook", hook, "-phase", phase)
		return a
	}
	s := open(t, loop.OTLP, "checkout")
	s.waitForHistory()
	require.True(t, call("deployloop-marker", "Progressing").Passed)
	eventually(t, 10*time.Second, func() bool { _, err := loop.Deployment("checkout", badRevision); return err == nil }, "the event webhook is a deployment")
	// Nothing observed yet: the rollout goes on, promotion waits.
	assert.True(t, call("deployloop-rollout", "Progressing").Passed)
	waiting := call("deployloop-promotion", "WaitingPromotion")
	assert.False(t, waiting.Passed)
	assert.Contains(t, waiting.Message, "watching: ", "the reason becomes the Canary's event")
	assert.False(t, call("deployloop-rollback", "Progressing").Passed, "no rollback without proof")

	s.canary(0.3)
	waitFor(t, loop, "checkout", event.Regressed)
	failed := call("deployloop-rollout", "Progressing")
	assert.False(t, failed.Passed)
	assert.Contains(t, failed.Message, "regressed: ")
	assert.False(t, call("deployloop-promotion", "WaitingPromotion").Passed)
	assert.True(t, call("deployloop-rollback", "Progressing").Passed, "it rolls back")

	require.True(t, call("deployloop-marker", "Failed").Passed)
	eventually(t, 10*time.Second, func() bool {
		d, err := loop.Deployment("checkout", badRevision)
		return err == nil && d.Status == event.DeploymentRolledBack
	}, "and says so")
}

// The gate, the waiver and the CLI behind bearertokenauth, as behind basicauth.
func TestGateBehindABearerToken(t *testing.T) {
	t.Parallel()
	loop := deploylooptest.Start(t, deploylooptest.Options{Heartbeat: time.Second, Configs: [][]byte{[]byte(`
extensions:
  bearertokenauth: {token: ` + hookToken + `}
  console: {auth: {authenticator: bearertokenauth}}
service: {extensions: [file_storage, ledger, bearertokenauth, console]}
`)}})
	for header, status := range map[string]int{"": http.StatusUnauthorized, "Bearer guessed": http.StatusUnauthorized, "Bearer " + hookToken: http.StatusOK} {
		request, err := http.NewRequest(http.MethodGet, loop.Console+"/gate/argo?service=checkout&version=1.1.0", nil)
		require.NoError(t, err)
		request.Header.Set("Authorization", header)
		response, err := http.DefaultClient.Do(request)
		require.NoError(t, err)
		require.NoError(t, response.Body.Close())
		assert.Equal(t, status, response.StatusCode, header)
	}
	run := func(token string, args ...string) (string, int) {
		stdout, stderr, code := deploylooptest.Run(t, deploylooptest.Program(t), append(os.Environ(), "DEPLOYLOOP_CONSOLE_TOKEN="+token), append(args, "--endpoint", loop.Console)...)
		return stdout + stderr, code
	}
	ask := []string{"gate", "--service", "checkout", "--version", "1.1.0"}
	out, code := run(hookToken, ask...)
	assert.Equal(t, 2, code, out)
	assert.Contains(t, out, "checkout 1.1.0 is not known")
	_, code = run("guessed", ask...)
	assert.Equal(t, 3, code)
	waive := []string{"waive", "3f9c0a1b2d4e", "--reason", "known", "--until", time.Now().AddDate(0, 0, 2).Format(time.DateOnly)}
	out, code = run(hookToken, waive...)
	assert.Equal(t, 1, code)
	assert.Contains(t, out, "is not known", "it was asked, and knows no such alert")
	out, code = run("guessed", waive...)
	assert.Equal(t, 1, code)
	assert.Contains(t, out, "401")
}

// recorded is the body of a webhook that the receiver's own tests read, with
// texts replaced.
func recorded(t *testing.T, name string, replace ...string) []byte {
	t.Helper()
	text, err := os.ReadFile("../../receiver/cicdreceiver/testdata/" + name + "/request.json")
	require.NoError(t, err)
	var request struct{ Body json.RawMessage }
	require.NoError(t, json.Unmarshal(text, &request))
	return []byte(strings.NewReplacer(replace...).Replace(string(request.Body)))
}

func post(t *testing.T, url string, status int, body []byte, headers ...string) {
	t.Helper()
	request, err := http.NewRequest(http.MethodPost, url, strings.NewReader(string(body)))
	require.NoError(t, err)
	request.Header.Set("Content-Type", "application/json")
	for i := 0; i+1 < len(headers); i += 2 {
		request.Header.Set(headers[i], headers[i+1])
	}
	response, err := http.DefaultClient.Do(request)
	require.NoError(t, err)
	require.NoError(t, response.Body.Close())
	require.Equal(t, status, response.StatusCode)
}
