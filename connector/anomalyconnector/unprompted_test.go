package anomalyconnector

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/deployloop/deployloop/internal/detect"
	"github.com/deployloop/deployloop/internal/event"
	"github.com/deployloop/deployloop/internal/ledger"
	"github.com/deployloop/deployloop/internal/wording"
)

// worse lets the service get worse with nothing deployed, and gives what is told.
func (b *bench) worse() event.Anomaly {
	b.sight("1.41.3")
	b.seconds(340, old(60))
	bad := old(60)
	bad.errors, bad.exception = .4, "TypeError"
	b.seconds(15, bad)
	anomalies, _ := b.told()
	require.NotEmpty(b.t, anomalies, "nothing was told")
	return anomalies[0]
}

func TestHarmWithoutADeploymentIsToldAndRecovers(t *testing.T) {
	b := newBench(t, nil)
	a := b.worse()
	assert.Equal(t, event.KindAlwaysOn, a.Kind)
	assert.Empty(t, a.Deployment)
	assert.Empty(t, a.Commit)
	assert.Equal(t, "checkout", a.Service)
	assert.Equal(t, event.Advise, a.Mode)
	assert.NotEmpty(t, a.Signal)
	assert.True(t, a.Open)
	require.NotNil(t, a.Verdict)
	assert.Empty(t, a.Verdict.Deployment.Service, "there is nothing to roll back")
	known, ok := b.ledger.Anomaly(a.ID)
	require.True(t, ok)
	assert.True(t, known.Open)
	summary := wording.Summary(a)
	assert.Contains(t, summary, "checkout")
	assert.Contains(t, summary, "since 14:0")
	for _, text := range []string{summary, wording.Why(a)} {
		assert.NotContains(t, text, "went out")
		assert.NotContains(t, text, "new version")
		assert.NotContains(t, text, "rollout")
	}

	b.seconds(400, old(60))
	anomalies, _ := b.told()
	last := anomalies[len(anomalies)-1]
	require.NotNil(t, last.Closure, "it never ended")
	assert.Equal(t, event.ClosedRecovered, last.Closure.Reason)
	assert.Contains(t, last.Closure.Detail, "recovered at 14:")
	known, _ = b.ledger.Anomaly(a.ID)
	assert.False(t, known.Open)
	assert.Empty(t, b.m.standing)
}

func TestAWaivedPatternStaysSilentWhileItLasts(t *testing.T) {
	b := newBench(t, nil)
	a := b.worse()
	b.ledger.CloseAnomaly(a.ID, event.Closure{Reason: event.ClosedWaived, By: "lin", At: b.now})
	bad := old(60)
	bad.errors, bad.exception = .4, "TypeError"
	b.seconds(40, bad)
	anomalies, _ := b.told()
	require.NotEmpty(t, anomalies)
	for _, x := range anomalies {
		assert.False(t, x.Open, "told as open after it was waived")
	}
	require.Len(t, b.ledger.Anomalies(ledger.Query{Limit: 10}), 1, "another was raised for the same")
}

func TestAForgottenPatternEndsAfterARestart(t *testing.T) {
	b := newBench(t, nil)
	a := b.worse()
	b.stop()
	b.start()
	b.now = b.now.Add(forgottenAfter - time.Second)
	b.tick()
	known, _ := b.ledger.Anomaly(a.ID)
	require.True(t, known.Open)
	b.tick()
	b.tick()
	known, _ = b.ledger.Anomaly(a.ID)
	require.False(t, known.Open)
	require.Equal(t, event.ClosedRecovered, known.Closure.Reason)
}

// A service that fell silent while it was bad makes room for another: its
// anomaly ends with it.
func TestAnAnomalyOfAForgottenServiceEnds(t *testing.T) {
	b := newBench(t, func(c *Config) { c.Limits.Services = 1 })
	a := b.worse()
	b.now = b.now.Add(20 * time.Minute)
	b.tick()
	known, _ := b.ledger.Anomaly(a.ID)
	require.True(t, known.Open)
	b.m.engine.Source(detect.Origin{Service: "another", Environment: "production"})
	status := b.m.engine.Status()
	require.Equal(t, 1, status.Services)
	b.tick()
	known, _ = b.ledger.Anomaly(a.ID)
	require.False(t, known.Open)
	require.Contains(t, known.Closure.Detail, "the service fell silent and was forgotten")
	require.Empty(t, b.m.standing)
	anomalies, _ := b.told()
	require.NotNil(t, anomalies[len(anomalies)-1].Closure)
}

// What is shown of an anomaly is of it: not what the service failed with when
// it was first seen.
func TestExamplesOfAPatternAreOfItsHarm(t *testing.T) {
	b := newBench(t, nil)
	b.sight("1.41.3")
	usual, bad := old(60), old(60)
	usual.errors, usual.exception = .03, "Timeout"
	bad.errors, bad.exception = .5, "TypeError"
	b.seconds(340, usual)
	b.seconds(40, bad)
	anomalies, _ := b.told()
	require.NotEmpty(t, anomalies)
	shown := 0
	for _, a := range anomalies {
		began := a.Verdict.Onset.Earliest
		shown = 0
		for _, r := range a.Verdict.Related {
			require.NotEqual(t, "Timeout", r.Type)
			require.False(t, !r.FirstAt.IsZero() && r.FirstAt.Before(began), "%s first at %s, before %s", r.Fingerprint, r.FirstAt, began)
			for _, x := range r.Examples {
				require.False(t, x.At.Before(began), "an example of %s, before %s", x.At, began)
				shown++
			}
		}
	}
	require.GreaterOrEqual(t, shown, 3, "nothing is shown of what goes on")
}

// A restart finds it in the ledger, and goes on with the same identity.
func TestAPatternKeepsItsIdentityOverARestart(t *testing.T) {
	b := newBench(t, nil)
	a := b.worse()
	b.stop()
	b.start()
	bad := old(60)
	bad.errors, bad.exception = .4, "TypeError"
	b.seconds(60, bad)
	anomalies, _ := b.told()
	require.NotEmpty(t, anomalies)
	for _, x := range anomalies {
		assert.Equal(t, a.ID, x.ID)
		assert.True(t, x.Open)
	}
}

// What the search for harm without a deployment leaves out is counted and told,
// for as long as it does.
func TestWhatIsNotLookedForIsTold(t *testing.T) {
	b := newBench(t, nil)
	b.sight("1.41.3")
	stands := func() (out event.Search) {
		t.Helper()
		list := b.ledger.Detections()
		require.Len(t, list, 1)
		require.Equal(t, "anomaly", list[0].By)
		require.Len(t, list[0].Searches, 1)
		out = list[0].Searches[0]
		counts := map[string]float64{}
		for _, md := range b.metrics.AllMetrics() {
			for _, metric := range md.ResourceMetrics().At(0).ScopeMetrics().At(0).Metrics().All() {
				if metric.Name() != event.MetricAlwaysOn {
					continue
				}
				for _, p := range metric.Gauge().DataPoints().All() {
					state, _ := p.Attributes().Get("state")
					counts[state.Str()] = p.DoubleValue()
				}
			}
		}
		require.Len(t, counts, len(event.SearchStates()))
		for state, n := range counts {
			require.Equal(t, state == string(out.State), n == 1, state)
		}
		return out
	}
	b.seconds(120, old(60))
	young := stands()
	require.Equal(t, "checkout", young.Service)
	require.Equal(t, event.SearchLearning, young.State)
	require.True(t, young.Hard)
	require.InDelta(t, 180, young.Left.Seconds(), 20)
	b.seconds(230, old(60))
	require.Equal(t, event.SearchOn, stands().State)
}
