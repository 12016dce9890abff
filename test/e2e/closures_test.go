package e2e

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/deployloop/deployloop/internal/event"
	"github.com/deployloop/deployloop/test/alertmanagertest"
	"github.com/deployloop/deployloop/test/deploylooptest"
	"github.com/deployloop/deployloop/test/load"
)

// Five services get a bad deploy at once. One is fixed by the next commit, one
// is replaced by another bad one, one recovers by itself, one is waived by a
// person, one stays as it is and a person silences it. The alerts that end do so in Alertmanager with their own
// reason, the silence is seen, and the console's metrics and digest tell it all.
func TestAlertsEndWithTheirReason(t *testing.T) {
	am := alertmanagertest.Start(t)
	loop := deploylooptest.Start(t, deploylooptest.Options{
		Alertmanager: am.URL, Heartbeat: heartbeat, Anomaly: map[string]any{"watch": []string{"30s", "10m"}},
		Configs: [][]byte{[]byte("exporters: {alertmanager: {silence_poll: 1s}}")},
	})
	ctx, stop := context.WithCancel(context.Background())
	generator := load.New(loop.OTLP, 2)
	var running sync.WaitGroup
	running.Go(func() { generator.Run(ctx) })
	t.Cleanup(func() { stop(); running.Wait() })

	const fine, bad = 0.01, 0.3
	serve := func(service, version, revision string, instances int, rate, errors float64) {
		generator.Set(service+version, load.Cohort{
			Service: service, Environment: "production", Version: version, Revision: revision,
			Instances: instances, Rate: rate, Operation: "POST /" + service, ErrorRatio: errors,
		})
	}
	deploy := func(service, version, previous, revision string, release, before int) {
		mark := map[string]any{"service": service, "environment": "production", "revision": revision, "version": version,
			"previous_version": previous, "status": "started", "tool": "kubectl", "object": "shop/deployment/" + service}
		mark["release"], mark["previous_release"] = strconv.Itoa(release), strconv.Itoa(before)
		loop.Mark(mark)
	}
	services := []string{"fixed", "replaced", "recovered", "waived", "silenced"}
	for _, service := range services {
		serve(service, "1.0.0", rev1, 3, 100, fine)
	}
	eventually(t, 2*time.Minute, func() bool { return generator.Sent("silenced1.0.0").Requests > 3000 }, "some history")
	for _, service := range services {
		deploy(service, "1.1.0", "1.0.0", rev2, 2, 1)
		serve(service, "1.0.0", rev1, 3, 75, fine)
		serve(service, "1.1.0", rev2, 1, 100, bad)
	}
	rollUp := func(service string) map[string]string {
		return map[string]string{"alertname": "DeployRegressed", "service": service}
	}
	open := func(service string) event.Anomaly {
		var list struct{ Anomalies []event.Anomaly }
		require.NoError(t, loop.Get("/api/v1/anomalies?open=true&service="+service, &list))
		for _, a := range list.Anomalies {
			if a.Kind == event.KindDeployment {
				return a
			}
		}
		return event.Anomaly{}
	}
	for _, service := range services {
		eventually(t, 60*time.Second, func() bool { return len(am.Find(rollUp(service))) == 1 }, "an alert of "+service)
	}
	const back = "kubectl rollout undo deployment/replaced -n shop --to-revision=1   # back to 1.0.0"
	assert.Equal(t, back, am.Find(rollUp("replaced"))[0].Annotations["fix"])

	deploy("fixed", "1.1.1", "1.1.0", rev3, 3, 2)
	generator.Stop("fixed1.1.0")
	serve("fixed", "1.1.1", rev3, 1, 40, fine)
	deploy("replaced", "1.1.1", "1.1.0", rev3, 3, 2)
	generator.Stop("replaced1.1.0")
	serve("replaced", "1.1.1", rev3, 1, 40, bad)

	serve("recovered", "1.1.0", rev2, 1, 400, fine)

	waive := exec.Command(deploylooptest.Program(t), "waive", open("waived").ID, "--endpoint", loop.Console, "--by", "ada",
		"--until", time.Now().AddDate(0, 0, 7).Format(time.DateOnly), "--reason", "half of it is bots")
	said, err := waive.CombinedOutput()
	require.NoError(t, err, "%s", said)
	assert.Contains(t, string(said), "half of it is bots")

	silence := fmt.Sprintf(`{"matchers":[{"name":"service","value":"silenced","isRegex":false}],"startsAt":%q,"endsAt":%q,"createdBy":"ada","comment":"seen"}`,
		time.Now().UTC().Format(time.RFC3339), time.Now().Add(time.Hour).UTC().Format(time.RFC3339))
	response, err := http.Post(am.URL+"/api/v2/silences", "application/json", strings.NewReader(silence))
	require.NoError(t, err)
	require.NoError(t, response.Body.Close())
	eventually(t, 30*time.Second, func() bool { return open("silenced").Silenced(time.Now()) != nil }, "the silence is seen")
	assert.Equal(t, "ada", open("silenced").Silence.By)
	assert.Contains(t, text(t, loop.Console+"/alerts"), "silenced until")
	assert.Contains(t, text(t, loop.Console+"/metrics"), `deployloop_anomalies_silenced{service="silenced",environment="production"}`)

	for service, want := range map[string]struct {
		reason event.ClosureReason
		words  string
	}{
		"fixed":     {event.ClosedFixedBy, "1.1.1"},
		"replaced":  {event.ClosedSuperseded, "was replaced by 1.1.1"},
		"recovered": {event.ClosedRecovered, "recovered by itself"},
		"waived":    {event.ClosedWaived, "half of it is bots"},
	} {
		first, err := loop.Deployment(service, rev2)
		require.NoError(t, err)
		var closure *event.Closure
		eventually(t, 5*time.Minute, func() bool {
			a, err := anomaly(loop, first.ID)
			closure = a.Closure
			return err == nil && closure != nil
		}, service+" ends")
		assert.Equal(t, want.reason, closure.Reason, service)
		assert.Contains(t, closure.Detail, want.words)
		t.Logf("%s: %s", service, closure.Detail)
		alert := map[string]string{"alertname": "DeployRegressed", "service": service, "deployment": first.ID}
		eventually(t, 60*time.Second, func() bool { _, ok := am.Resolved(alert); return ok }, service+" resolves")
		over, _ := am.Resolved(alert)
		assert.Contains(t, over.Annotations["resolution"], want.words)
		assert.Contains(t, text(t, loop.Console+"/metrics"),
			fmt.Sprintf(`deployloop_anomalies_closed_total{service=%q,environment="production",kind="deployment",reason=%q} 1`, service, want.reason))
	}
	second := open("replaced")
	require.NotEmpty(t, second.ID, "the harm goes on under the name of what replaced it")
	going := am.Find(map[string]string{"alertname": "DeployRegressed", "service": "replaced", "deployment": second.Deployment})
	require.Len(t, going, 1)
	assert.Equal(t, back, going[0].Annotations["fix"], "1.1.0 was bad too")
	assert.Contains(t, going[0].Annotations["what_changed"], "1.1.0 had regressed too, the last good version is 1.0.0")
	metrics := text(t, loop.Console+"/metrics")
	assert.Contains(t, metrics, `deployloop_loop_latency_seconds_count{service="fixed",environment="production",step="verdict_to_told",channel="alertmanager"} 1`)

	var answer struct{ Digest event.Digest }
	require.NoError(t, loop.Get("/api/v1/digest?since=1h", &answer))
	assert.Equal(t, 7, answer.Digest.Deployments)
	assert.Len(t, answer.Digest.Alerted, 6)
	var unclosed []string
	for _, a := range answer.Digest.Unclosed {
		unclosed = append(unclosed, a.Service)
		assert.Equal(t, a.Service == "silenced", a.Silence != nil)
	}
	assert.ElementsMatch(t, []string{"silenced", "replaced"}, unclosed)
}

// The process dies right after its alert, and its engine remembers nothing of
// the deployment. In its next life the old version fails alike: it was not the
// deployment, and the alert ends with that.
func TestAnAlertEndsExonerated(t *testing.T) {
	am := alertmanagertest.Start(t)
	loop := deploylooptest.Start(t, deploylooptest.Options{
		Alertmanager: am.URL, Heartbeat: heartbeat, Anomaly: map[string]any{"watch": []string{"1m", "10m"}},
	})
	ctx, stop := context.WithCancel(context.Background())
	generator := load.New(loop.OTLP, 3)
	var running sync.WaitGroup
	running.Go(func() { generator.Run(ctx) })
	t.Cleanup(func() { stop(); running.Wait() })
	serve := func(version, revision string, instances int, rate, errors float64) {
		generator.Set(version, load.Cohort{
			Service: "checkout", Environment: "production", Version: version, Revision: revision,
			Instances: instances, Rate: rate, Operation: "POST /cart/checkout", ErrorRatio: errors,
		})
	}
	serve("1.0.0", rev1, 3, 200, 0.01)
	eventually(t, time.Minute, func() bool { return generator.Sent("1.0.0").Requests > 3000 }, "some history")
	saved(t, loop, "connector_anomaly_*", time.Minute)

	loop.Mark(map[string]any{"service": "checkout", "environment": "production", "revision": rev2, "version": "1.1.0", "previous_version": "1.0.0", "status": "started"})
	serve("1.0.0", rev1, 3, 150, 0.01)
	serve("1.1.0", rev2, 1, 50, 0.3)
	rollUp := map[string]string{"alertname": "DeployRegressed", "service": "checkout"}
	eventually(t, 20*time.Second, func() bool { return len(am.Find(rollUp)) == 1 }, "an alert, before the state is saved again")
	saved(t, loop, "extension_ledger_*", 10*time.Second) // within a second, as the ledger promises
	loop.Kill()
	serve("1.0.0", rev1, 3, 150, 0.3)
	loop.Start()

	eventually(t, 2*time.Minute, func() bool { _, ok := am.Resolved(rollUp); return ok }, "the alert resolves")
	over, _ := am.Resolved(rollUp)
	assert.Contains(t, over.Annotations["resolution"], "not because of 1.1.0: errors rose in the old version too")
	d, err := loop.Deployment("checkout", rev2)
	require.NoError(t, err)
	a, err := anomaly(loop, d.ID)
	require.NoError(t, err)
	assert.Equal(t, event.ClosedExonerated, a.Closure.Reason)
	assert.Contains(t, text(t, loop.Console+"/metrics"), `deployloop_anomalies_closed_total{service="checkout",environment="production",kind="deployment",reason="exonerated"} 1`)
}

// saved waits until the file of a component's state is written anew.
func saved(t *testing.T, loop *deploylooptest.Loop, file string, limit time.Duration) {
	t.Helper()
	since := time.Now()
	eventually(t, limit, func() bool {
		files, err := filepath.Glob(filepath.Join(loop.State, file))
		require.NoError(t, err)
		return slices.ContainsFunc(files, func(file string) bool {
			info, err := os.Stat(file)
			return err == nil && info.ModTime().After(since)
		})
	}, file+" is written")
}

// anomaly is the roll-up of a deployment.
func anomaly(loop *deploylooptest.Loop, deployment string) (event.Anomaly, error) {
	var one struct{ Anomalies []event.Anomaly }
	if err := loop.Get("/api/v1/deployments/"+deployment, &one); err != nil {
		return event.Anomaly{}, err
	}
	for _, a := range one.Anomalies {
		if a.Kind == event.KindDeployment {
			return a, nil
		}
	}
	return event.Anomaly{}, fmt.Errorf("deployment %s has no anomaly", deployment)
}

func text(t *testing.T, url string) string {
	t.Helper()
	response, err := http.Get(url)
	require.NoError(t, err)
	defer response.Body.Close()
	require.Equal(t, http.StatusOK, response.StatusCode)
	body, err := io.ReadAll(response.Body)
	require.NoError(t, err)
	return string(body)
}
