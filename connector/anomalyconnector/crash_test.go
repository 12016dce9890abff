package anomalyconnector

import (
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/open-telemetry/opentelemetry-collector-contrib/extension/storage/storagetest"

	"github.com/deployloop/deployloop/internal/event"
	"github.com/deployloop/deployloop/internal/ledger"
)

// crash ends the process before anything but the ledger was saved.
func (b *bench) crash() {
	b.stop()
	b.host[*b.config.Storage] = storagetest.NewFileBackedStorageExtension("state", b.t.TempDir())
}

// An alert ends three heartbeats after the time of its last record, so after a
// minute away the first telling must be of now.
func TestAnAlertIsToldAsOfNowAfterARestart(t *testing.T) {
	b := newBench(t, nil)
	b.sight("1.41.3")
	b.seconds(60, old(200))
	bad := load{version: "1.42.0", instance: "new-1", rate: 100, errors: .3}
	b.deploy("1.42.0", "1.41.3")
	b.seconds(20, old(100), bad)
	b.crash()
	b.now = b.now.Add(50 * time.Second)
	restarted := b.now
	b.start()
	b.seconds(2, old(100), bad)
	told, _ := b.told()
	require.NotEmpty(t, told)
	for _, a := range told {
		assert.True(t, a.Open)
		assert.False(t, a.At.Before(restarted), "told as of %s, restarted at %s", a.At, restarted)
	}
}

// What was lost with the engine's memory cannot tell of a recovery; a verdict
// of healthy after the restart does.
func TestAnAlertEndsWhenItsVersionIsHealthyAfterACrash(t *testing.T) {
	b := newBench(t, nil)
	b.sight("1.41.3")
	b.seconds(60, old(200))
	d := b.deploy("1.42.0", "1.41.3")
	b.seconds(20, old(100), load{version: "1.42.0", instance: "new-1", rate: 100, errors: .3})
	require.NotEmpty(t, b.ledger.Anomalies(ledger.Query{OpenOnly: true}))
	b.crash()
	b.start()
	b.seconds(400, old(100), load{version: "1.42.0", instance: "new-1", rate: 100, errors: .01})
	v, _ := b.ledger.Verdict(d.ID)
	require.Equal(t, event.Healthy, v.State, v.Detail)
	a, _ := b.ledger.Anomaly(event.AnomalyID(d.ID, event.KindDeployment, "", ""))
	require.NotNil(t, a.Closure, "a healthy version has an open alert")
	assert.Equal(t, event.ClosedRecovered, a.Closure.Reason)
	assert.Empty(t, b.ledger.Anomalies(ledger.Query{OpenOnly: true}), "its symptoms end with it")
}

// More deployments than are followed: what is told stays within the limit too.
func TestVerdictsOfForgottenDeploymentsAreToldNoMore(t *testing.T) {
	const limit = 5
	b := newBench(t, func(c *Config) { c.Limits.Watches = limit })
	for i := range 20 {
		b.ledger.RecordDeployment(event.Deployment{
			Service: "service-" + strconv.Itoa(i), Environment: "production", Version: "2", PreviousVersion: "1",
			StartedAt: b.now, Status: event.DeploymentSucceeded, Sources: []event.Source{{Name: "api", At: b.now}},
		})
		b.seconds(2)
	}
	assert.LessOrEqual(t, len(b.m.tracked), limit)
	assert.LessOrEqual(t, len(b.m.records), limit)
}
