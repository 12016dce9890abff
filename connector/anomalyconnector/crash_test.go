package anomalyconnector

import (
	"context"
	"math"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/extension/xextension/storage"
	"go.opentelemetry.io/collector/pdata/pmetric"

	"github.com/open-telemetry/opentelemetry-collector-contrib/extension/storage/storagetest"

	"github.com/deployloop/deployloop/internal/event"
	"github.com/deployloop/deployloop/internal/ledger"
)

// crash ends the process before anything but the ledger was saved.
func (b *bench) crash() {
	b.stop()
	b.host[*b.config.Storage] = storagetest.NewFileBackedStorageExtension("state", b.t.TempDir())
}

// killed is a store to which a process that was killed writes no more.
type killed struct{ storage.Client }

func (killed) Set(context.Context, string, []byte) error          { return nil }
func (killed) Batch(context.Context, ...*storage.Operation) error { return nil }

// kill ends the process as kill -9 does: what was saved is what there is.
func (b *bench) kill() {
	b.m.store = killed{b.m.store}
	b.stop()
}

// placebos are the metrics of the placebo ledger, as they were told last.
func (b *bench) placebos() map[string]float64 {
	out := map[string]float64{}
	for _, md := range b.metrics.AllMetrics() {
		for _, metric := range md.ResourceMetrics().At(0).ScopeMetrics().At(0).Metrics().All() {
			switch name := metric.Name(); {
			case !strings.HasPrefix(name, "deployloop.placebo."):
			case metric.Type() == pmetric.MetricTypeSum:
				out[name] = metric.Sum().DataPoints().At(0).DoubleValue()
			default:
				out[name] = metric.Gauge().DataPoints().At(0).DoubleValue()
			}
		}
	}
	return out
}

// What the placebo ledger counted is told as metrics, with Wilson's interval:
// the shares p that are z standard errors of theirs from the one that was seen.
// A kill costs what came since the last save, and nothing else.
func TestThePlaceboLedgerOutlivesAKill(t *testing.T) {
	b := newBench(t, func(c *Config) { c.Placebos.Window = 30 * time.Second })
	b.sight("1.41.3")
	var pods []load
	for i := range 3 {
		pods = append(pods, load{version: "1.41.3", instance: "old-" + strconv.Itoa(i), rate: 20, errors: .01})
	}
	b.seconds(500, pods...)
	check := func() (windows float64) {
		got := b.placebos()
		n, alarms := got[event.MetricPlaceboWindows], got[event.MetricPlaceboFalseAlarms]
		require.Greater(t, n, 5.)
		seen := alarms / n
		require.InDelta(t, seen, got[event.MetricPlaceboRate], 1e-12)
		require.LessOrEqual(t, got[event.MetricPlaceboRateLower], seen)
		require.Greater(t, got[event.MetricPlaceboRateUpper], seen)
		for _, name := range []string{event.MetricPlaceboRateLower, event.MetricPlaceboRateUpper} {
			p := got[name]
			if p != seen { // at none or all the interval ends there
				require.InDelta(t, 1.959964*math.Sqrt(p*(1-p)/n), math.Abs(p-seen), 1e-6, name)
			}
		}
		return n
	}
	n := check()
	saved := n
	for b.m.saved != b.now { // what is saved is what was counted by then
		b.second(pods...)
		saved = float64(b.m.engine.Status().Placebos.Windows)
	}
	b.seconds(int(saveEvery/time.Second)-1, pods...)
	b.kill()
	b.start()
	require.EqualValues(t, saved, b.m.engine.Status().Placebos.Windows)
	b.seconds(100, pods...)
	require.Greater(t, check(), saved, "it goes on from there")
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
