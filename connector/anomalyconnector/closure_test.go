package anomalyconnector

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/deployloop/deployloop/internal/event"
	"github.com/deployloop/deployloop/internal/ledger"
	"github.com/deployloop/deployloop/internal/wording"
)

// regress deploys 1.42.0, which fails, and waits for its alert.
func (b *bench) regress() event.Deployment {
	b.t.Helper()
	b.sight("1.41.3")
	b.seconds(60, old(200))
	d := b.deploy("1.42.0", "1.41.3")
	b.seconds(20, old(100), load{version: "1.42.0", instance: "new-1", rate: 100, errors: .3})
	require.NotEmpty(b.t, b.ledger.Anomalies(ledger.Query{OpenOnly: true}), "it regressed")
	return d
}

// ended is how the roll-up of a deployment ended, as it was told; every symptom
// must have ended alike.
func (b *bench) ended(d event.Deployment) event.Closure {
	b.t.Helper()
	anomalies, _ := b.told()
	var told *event.Closure
	for _, a := range anomalies {
		if a.Deployment == d.ID && a.Kind == event.KindDeployment && a.Closure != nil {
			told = a.Closure
		}
	}
	require.NotNil(b.t, told, "its end was told")
	for _, a := range b.ledger.Anomalies(ledger.Query{Deployment: d.ID}) {
		assert.False(b.t, a.Open, "%s %s", a.Kind, a.Signal)
		assert.Equal(b.t, told.Reason, a.Closure.Reason)
	}
	return *told
}

func TestWhatRecoversByItselfIsShownToHave(t *testing.T) {
	b := newBench(t, nil)
	d := b.regress()
	mended := load{version: "1.42.0", instance: "new-1", rate: 100, errors: .01} // a dependency is back
	b.seconds(60, old(100), mended)
	require.NotEmpty(t, b.ledger.Anomalies(ledger.Query{OpenOnly: true}), "a good minute is not yet a recovery")
	b.seconds(240, old(100), mended)
	c := b.ended(d)
	assert.Equal(t, event.ClosedRecovered, c.Reason)
	assert.Contains(t, c.Detail, "1.42.0 recovered by itself")
}

func TestSilenceIsNoRecovery(t *testing.T) {
	b := newBench(t, nil)
	b.regress()
	for range 600 { // nobody sends anything: a time-out would close it
		b.tick()
	}
	open := b.ledger.Anomalies(ledger.Query{OpenOnly: true})
	require.NotEmpty(t, open)
}

func TestABadSuccessorSupersedes(t *testing.T) {
	b := newBench(t, nil)
	d := b.regress()
	next := b.deploy("1.42.1", "1.42.0")
	b.seconds(120, old(100), load{version: "1.42.1", instance: "new-2", rate: 100, errors: .3})
	v, ok := b.ledger.Verdict(next.ID)
	require.True(t, ok)
	require.Equal(t, event.Regressed, v.State)
	c := b.ended(d)
	assert.Equal(t, event.ClosedSuperseded, c.Reason)
	assert.Contains(t, c.Detail, "1.42.0 was replaced by 1.42.1")
	open := b.ledger.Anomalies(ledger.Query{OpenOnly: true, Deployment: next.ID})
	require.NotEmpty(t, open, "the harm goes on under the successor's name")
	for _, a := range open {
		require.NotNil(t, a.Verdict.WayBack, "what it replaced is not the way back")
		assert.Equal(t, []string{"1.42.0"}, a.Verdict.WayBack.Regressed)
		assert.Equal(t, "1.41.3", a.Verdict.WayBack.Good.Version)
		assert.Equal(t, "Deploy 1.41.3 of checkout to production again, the way 1.42.1 was deployed.", wording.Fix(*a.Verdict))
	}
}

// The engine lost its memory in a crash, and finds now that it was not the
// deployment.
func TestAnExonerationEndsTheAlert(t *testing.T) {
	b := newBench(t, nil)
	d := b.regress()
	v, _ := b.ledger.Verdict(d.ID)
	v.State, v.Reason, v.Detail = event.Exonerated, event.ReasonBeganBefore, "errors rose 3m40s before it"
	v.At = b.now
	b.m.judged(v, b.now)
	b.m.closeDone(b.now)
	b.m.flush()
	c := b.ended(d)
	assert.Equal(t, event.ClosedExonerated, c.Reason)
	assert.Contains(t, c.Detail, "not because of 1.42.0: errors rose 3m40s before it")
}
