package alertmanagerexporter

import (
	"context"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/deployloop/deployloop/internal/doctor"
	"github.com/deployloop/deployloop/test/alertmanagertest"
	"github.com/deployloop/deployloop/test/servertest"
)

func TestShippedConfigurationIsValid(t *testing.T) {
	path := filepath.Join(servertest.Root(t), "examples", "alertmanager.yml")
	out, err := exec.Command(servertest.Tool(t, "amtool"), "check-config", path).CombinedOutput()
	require.NoError(t, err, string(out))

	routed := func(labels ...string) string {
		out, err := exec.Command(servertest.Tool(t, "amtool"),
			append([]string{"config", "routes", "test", "--config.file=" + path}, labels...)...).CombinedOutput()
		require.NoError(t, err, string(out))
		return string(out)
	}
	// A critical roll-up goes to the on-call receiver and the team; the doctor's
	// own alert to nobody, whatever labels the exporter adds.
	assert.Equal(t, "on-call\n", routed("alertname=DeployRegressed", "severity=critical", "service=checkout"))
	assert.Equal(t, "nobody\n", routed("alertname="+doctor.TestAlert, "severity=none", "cluster=a"))
}

// The whole life of an alert in a real Alertmanager: posted, its symptom
// inhibited by the roll-up, kept by heartbeats across restarts of either side
// under the same fingerprint, resolved with the reason.
func TestLifeOfAnAlert(t *testing.T) {
	am := alertmanagertest.Start(t)
	cfg := configFor(am.URL)
	cfg.Heartbeat = time.Second
	h := start(t, cfg, nil)

	began := time.Now()
	rollUp, symptom := rollUpAt(began), symptomAt(began)
	heartbeat := func(h *harness) {
		now := time.Now()
		h.consume(repeated(rollUp, now), repeated(symptom, now))
	}
	heartbeat(h)
	rollUpLabels := map[string]string{"alertname": "DeployRegressed"}
	symptomLabels := map[string]string{"alertname": "DeployRegression"}
	eventually(t, func() bool { return len(am.Find(rollUpLabels)) == 1 && len(am.Find(symptomLabels)) == 1 }, "both alerts")
	first, inhibited := am.Find(rollUpLabels)[0], am.Find(symptomLabels)[0]
	assert.Equal(t, "POST /cart/checkout", inhibited.Labels["operation"])
	assert.WithinDuration(t, rollUp.StartsAt, time.Time(*first.StartsAt), time.Millisecond)
	eventually(t, func() bool {
		found := am.Find(symptomLabels)
		heartbeat(h)
		return len(found) == 1 && len(found[0].Status.InhibitedBy) == 1 && found[0].Status.InhibitedBy[0] == *first.Fingerprint
	}, "the roll-up inhibits its symptom")

	// A new process of ours says the same.
	require.NoError(t, h.Shutdown(context.Background()))
	again := start(t, cfg, nil)
	heartbeat(again)
	eventually(t, func() bool { return again.counted("deployloop.alertmanager.alerts.sent", "open") == 2 }, "told again")
	require.Len(t, am.Find(rollUpLabels), 1)
	assert.Equal(t, *first.Fingerprint, *am.Find(rollUpLabels)[0].Fingerprint)
	assert.Empty(t, resolved(am), "no resolve in between")

	// A new process of Alertmanager hears it with the next heartbeat.
	am.Stop()
	heartbeat(again)
	am.Start()
	eventually(t, func() bool { heartbeat(again); return len(am.Find(rollUpLabels)) == 1 }, "back after its restart")
	assert.Equal(t, *first.Fingerprint, *am.Find(rollUpLabels)[0].Fingerprint)
	assert.WithinDuration(t, rollUp.StartsAt, time.Time(*am.Find(rollUpLabels)[0].StartsAt), time.Millisecond)
	eventually(t, func() bool {
		heartbeat(again)
		for _, n := range am.Notifications() {
			if n.Status == "firing" && n.Receiver == "team" || n.Receiver == "on-call" {
				return true
			}
		}
		return false
	}, "a person was told")

	// The end.
	end := time.Now()
	again.consume(closedAtTime(rollUp, end), closedAtTime(symptom, end))
	eventually(t, func() bool { _, ok := am.Resolved(rollUpLabels); return ok }, "resolved")
	over, _ := am.Resolved(rollUpLabels)
	assert.Contains(t, over.Annotations["resolution"], "Rolled back to 1.41.3 at 14:09Z")
	assert.Equal(t, *first.Fingerprint, over.Fingerprint)
	assert.WithinDuration(t, end, over.EndsAt, time.Millisecond)
	assert.Empty(t, am.Find(rollUpLabels))

	// Repeating the closure raises nothing, and nobody is told twice.
	told := len(am.Notifications())
	again.consume(repeated(closedAtTime(rollUp, end), time.Now()))
	eventually(t, func() bool { return again.counted("deployloop.alertmanager.alerts.sent", "closed") >= 3 }, "the closure was repeated")
	assert.Empty(t, am.Find(rollUpLabels))
	assert.Never(t, func() bool { return len(am.Notifications()) > told+1 }, 2*time.Second, 100*time.Millisecond)
}

// While nothing repeats an open alert, it ends by itself after three heartbeats:
// a deployloop that is gone for good leaves no alert behind.
func TestAnAlertWithoutHeartbeatsEnds(t *testing.T) {
	am := alertmanagertest.Start(t)
	cfg := configFor(am.URL)
	cfg.Heartbeat = 300 * time.Millisecond
	h := start(t, cfg, nil)
	h.consume(symptomAt(time.Now()))
	labels := map[string]string{"alertname": "DeployRegression"}
	eventually(t, func() bool { return h.counted("deployloop.alertmanager.alerts.sent", "open") == 1 }, "told")
	eventually(t, func() bool { return len(am.Find(labels)) == 0 }, "ended")
}

func resolved(am *alertmanagertest.Server) []alertmanagertest.NotedAlert {
	var found []alertmanagertest.NotedAlert
	for _, n := range am.Notifications() {
		for _, alert := range n.Alerts {
			if alert.Status == "resolved" {
				found = append(found, alert)
			}
		}
	}
	return found
}
