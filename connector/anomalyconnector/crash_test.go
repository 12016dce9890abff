package anomalyconnector

import (
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/component"

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

// dying is a ledger whose process dies after so many anomalies: what comes
// later is never written.
type dying struct {
	known
	left *int
}

func (d dying) RecordAnomaly(a event.Anomaly) {
	if *d.left--; *d.left >= 0 {
		d.known.RecordAnomaly(a)
	}
}

// An alert is made of a roll-up and its symptoms, one record each.
func TestAnAlertIsRaisedWholeByWhoDiedAmidIt(t *testing.T) {
	for written := range 3 {
		b := newBench(t, nil)
		id := component.MustNewID("ledger")
		b.stop()
		b.host[id] = dying{known{Ledger: b.ledger}, &written}
		b.start()
		b.sight("1.41.3")
		b.seconds(60, old(200))
		d := b.deploy("1.42.0", "1.41.3")
		bad := load{version: "1.42.0", instance: "new-1", rate: 100, errors: .3}
		for range 20 {
			b.second(old(100), bad)
			if t := b.m.tracked[d.ID]; t != nil && t.alerted {
				break
			}
		}
		require.True(t, b.m.tracked[d.ID].alerted)
		symptoms := len(b.m.tracked[d.ID].open) - 1
		require.Positive(t, symptoms)
		b.stop()
		b.host[id] = known{Ledger: b.ledger}
		b.start()
		b.seconds(10, old(100), bad)
		open := b.ledger.Anomalies(ledger.Query{OpenOnly: true})
		require.GreaterOrEqual(t, len(open), symptoms+1, "%d were written", written)
		rollup, ok := b.ledger.Anomaly(event.AnomalyID(d.ID, event.KindDeployment, "", ""))
		require.True(t, ok)
		for _, symptom := range rollup.Symptoms {
			a, ok := b.ledger.Anomaly(symptom)
			assert.True(t, ok && a.Open, "%d were written: %s is missing", written, symptom)
			assert.Contains(t, b.m.tracked[d.ID].open, symptom)
		}
		assert.Equal(t, rollup.ID, b.m.tracked[d.ID].open[0])
		assert.Len(t, b.m.tracked[d.ID].open, len(open), "each once")
	}
}

// An alert that must make room is ended: nobody would end it later.
func TestAnAlertThatMakesRoomEnds(t *testing.T) {
	b := newBench(t, func(c *Config) { c.Limits.Watches = 1 })
	b.sight("1.41.3")
	b.seconds(60, old(200))
	first := b.deploy("1.42.0", "1.41.3")
	b.seconds(20, old(100), load{version: "1.42.0", instance: "new-1", rate: 100, errors: .3})
	require.NotEmpty(t, b.ledger.Anomalies(ledger.Query{OpenOnly: true}))
	b.told()
	b.ledger.RecordDeployment(event.Deployment{
		Service: "elsewhere", Environment: "production", Version: "2", PreviousVersion: "1",
		StartedAt: b.now, Status: event.DeploymentSucceeded, Sources: []event.Source{{Name: "api", At: b.now}},
	})
	b.seconds(2)
	require.NotContains(t, b.m.tracked, first.ID)
	assert.Empty(t, b.ledger.Anomalies(ledger.Query{OpenOnly: true}))
	told, _ := b.told()
	require.NotEmpty(t, told)
	for _, a := range told {
		assert.False(t, a.Open)
		assert.Equal(t, event.ClosedSuperseded, a.Closure.Reason)
	}
}
