package detect

import (
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/deployloop/deployloop/internal/event"
)

// What proved the harm leads for good: once the harm is over, another indicator
// may have the largest share of what little evidence is left.
func TestAVerdictKeepsWhatItStandsOn(t *testing.T) {
	s := newSim(3, Config{})
	beside := func(version string, errors float64) []*pod {
		few := s.pod(version, 0, 10, errors)
		few.op = "POST /pay"
		return []*pod{s.pod(version, 0, 500, .01), few}
	}
	s.run(600, beside("1", .01), nil)
	s.deploy("d", "2", "1")
	pods := beside("2", .6)
	s.run(120, pods, func() bool { return s.state("d") == event.Regressed })
	require.Equal(t, event.Regressed, s.state("d"))
	w := s.e.watches["d"]
	leader := w.leader
	pods[1].errors = .01
	s.run(1800, pods, nil)
	assert.Less(t, w.nats, 1., "the evidence has faded")
	assert.Same(t, leader, w.leader)
}

// A watch of a day sees many instances come and go.
func TestAWatchLetsGoOfInstancesThatLeft(t *testing.T) {
	s := newSim(1, Config{Limits: Limits{SourceIdle: 60e9}})
	old := s.pod("1", 0, 50, .01)
	s.run(120, []*pod{old}, nil)
	s.deploy("d", "2", "1")
	for i := range 500 {
		s.run(2, []*pod{s.pod("2", i, 5, .01), old}, nil)
	}
	w := s.e.watches["d"]
	held := s.e.Status().Sources
	assert.Less(t, held, 120)
	assert.LessOrEqual(t, len(w.members), held)
	assert.LessOrEqual(t, len(w.spoken), held)
}

// Whoever reads the alert later, after a restart too, sees at least what it
// was called for.
func TestARegressedVerdictStaysProved(t *testing.T) {
	s := newSim(1, Config{})
	s.run(1200, []*pod{s.pod("1", 0, 5, .001)}, nil)
	s.deploy("d", "2", "1")
	p := s.pod("2", 0, 5, .5)
	s.run(60, []*pod{p}, func() bool { return s.state("d") == event.Regressed })
	called := s.last["d"]
	require.Equal(t, event.Regressed, called.State)
	require.True(t, called.Evidence[0].Harm)
	check := func(v event.Verdict) {
		t.Helper()
		assert.Equal(t, event.Regressed, v.State)
		assert.GreaterOrEqual(t, v.Nats, called.Nats)
		assert.GreaterOrEqual(t, v.Nats, v.Threshold)
		assert.GreaterOrEqual(t, v.Impact.Requests, called.Impact.Requests)
		assert.GreaterOrEqual(t, v.Impact.Share, called.Impact.Share)
		require.NotEmpty(t, v.Evidence)
		for _, was := range called.Evidence {
			if was.Harm {
				at := slices.IndexFunc(v.Evidence, func(e event.Evidence) bool { return sameIndicator(&e, &was) })
				require.GreaterOrEqual(t, at, 0, "%v", was)
				assert.True(t, v.Evidence[at].Harm)
				assert.GreaterOrEqual(t, v.Evidence[at].Nats, was.Nats)
				assert.Greater(t, v.Evidence[at].Ratio, 10.)
			}
		}
		assert.Regexp(t, `^errors .*→ [4-6]\d`, v.Detail)
		assert.InDelta(t, called.Onset.At.Unix(), v.Onset.At.Unix(), 5)
	}
	s.run(20, []*pod{p}, nil)
	p.errors = .001
	for range 10 {
		s.run(180, []*pod{p}, nil)
		v, _ := s.e.Verdict("d")
		check(v)
	}
	require.Less(t, s.e.watches["d"].nats, called.Threshold, "the evidence has faded")
	state, err := s.e.Snapshot()
	require.NoError(t, err)
	again := New(Config{Start: time.Unix(s.sec, 0)})
	require.NoError(t, again.Restore(state))
	v, ok := again.Verdict("d")
	require.True(t, ok)
	check(v)
}
