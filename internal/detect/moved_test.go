package detect

import (
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/deployloop/deployloop/internal/event"
)

// podOf is an instance that serves one operation.
func (s *sim) podOf(version string, instance int, op string, rate, errors float64) *pod {
	p := s.pod(version, instance, rate, errors)
	p.op = op
	return p
}

// A new name for an operation is no harm, and no reason to call nothing healthy.
func TestARenamedOperationIsNoHarm(t *testing.T) {
	s := newSim(1, Config{})
	s.run(900, []*pod{s.podOf("1", 0, "POST /cart", 50, .01), s.podOf("1", 0, "GET /x", 50, .01)}, nil)
	s.deploy("d", "2", "1")
	next := []*pod{s.podOf("2", 0, "POST /cart/{id}", 50, .01), s.podOf("2", 0, "GET /x", 50, .01)}
	s.run(900, next, func() bool { return s.state("d") == event.Regressed || s.state("d") == event.Healthy })
	v := s.last["d"]
	require.Equal(t, event.Healthy, v.State, v.Detail)
	assert.Contains(t, v.Detail, "POST /cart moved to POST /cart/{id}")

	// It is compared with what it was under its old name.
	next[0].errors = .1
	s.run(120, next, func() bool { return s.state("d") == event.Regressed })
	v = s.last["d"]
	require.Equal(t, event.Regressed, v.State, v.Detail)
	shown := false
	for _, e := range v.Evidence {
		if e.Signal == event.SignalErrors && e.Operation == "POST /cart/{id}" {
			shown = true
			assert.True(t, e.Harm)
			assert.InDelta(t, .01, e.Before, .005)
		}
		assert.False(t, e.Harm && e.Operation == "POST /cart")
	}
	assert.True(t, shown, "%+v", v.Evidence)
}

func TestARenameBesideTheOldVersion(t *testing.T) {
	for _, rate := range []float64{5, 50} {
		for _, restart := range []bool{false, true} {
			s := newSim(1, Config{})
			var old []*pod
			for i := range 5 {
				old = append(old, s.podOf("1", i, "POST /cart", 50, .01), s.podOf("1", i, "GET /x", 50, .01))
			}
			s.run(600, old, nil)
			s.deploy("d", "2", "1")
			all := append([]*pod{s.podOf("2", 0, "POST /cart/{id}", rate, .01), s.podOf("2", 0, "GET /x", rate, .01)}, old...)
			s.run(300, all, func() bool { return s.state("d") == event.Regressed })
			v := s.last["d"]
			require.NotEqual(t, event.Regressed, v.State, v.Detail)
			require.Contains(t, v.Detail, "POST /cart moved to POST /cart/{id}")
			if restart {
				state, err := s.e.Snapshot()
				require.NoError(t, err)
				s.e = New(Config{Start: time.Unix(s.sec, 0)})
				require.NoError(t, s.e.Restore(state))
				for _, p := range all {
					p.source = s.e.Source(p.source.Origin())
				}
			}
			all[0].errors = .2
			s.run(240, all, func() bool { return s.state("d") == event.Regressed })
			require.Equal(t, event.Regressed, s.state("d"), "rate %v: %s", rate, s.last["d"].Detail)
			assert.Equal(t, event.ControlConcurrent, s.last["d"].Control)
			s.run(30, all, nil)
			at := slices.IndexFunc(s.last["d"].Evidence, func(e event.Evidence) bool {
				return e.Signal == event.SignalErrors && e.Operation == "POST /cart/{id}"
			})
			require.GreaterOrEqual(t, at, 0, "%+v", s.last["d"].Evidence)
			e := s.last["d"].Evidence[at]
			assert.Equal(t, event.ControlConcurrent, e.Control, "what the old pods do under the old name")
			assert.InDelta(t, .01, e.Before, .005)
			assert.Greater(t, e.Nats, 1.)
		}
	}
}

func TestOneOperationThatBecameTwo(t *testing.T) {
	s := newSim(1, Config{})
	s.run(900, []*pod{s.podOf("1", 0, "/graphql", 60, .01), s.podOf("1", 0, "GET /x", 60, .01)}, nil)
	s.deploy("d", "2", "1")
	s.run(600, []*pod{s.podOf("2", 0, "query Cart", 30, .01), s.podOf("2", 0, "query Item", 30, .01), s.podOf("2", 0, "GET /x", 60, .01)}, nil)
	v := s.last["d"]
	require.NotEqual(t, event.Regressed, v.State, v.Detail)
	assert.Contains(t, v.Detail, "/graphql moved to ")
	assert.Contains(t, v.Detail, "query Cart")
	assert.Contains(t, v.Detail, "query Item")
}

// Each old name goes to the new one that is most like it.
func TestTwoRenames(t *testing.T) {
	s := newSim(1, Config{})
	s.run(900, []*pod{s.podOf("1", 0, "POST /cart", 50, .01), s.podOf("1", 0, "GET /items", 50, .01)}, nil)
	s.deploy("d", "2", "1")
	s.run(300, []*pod{s.podOf("2", 0, "GET /v2/items", 50, .01), s.podOf("2", 0, "POST /v2/cart", 50, .01)}, nil)
	v := s.last["d"]
	require.NotEqual(t, event.Regressed, v.State, v.Detail)
	assert.Contains(t, v.Detail, "POST /cart moved to POST /v2/cart")
	assert.Contains(t, v.Detail, "GET /items moved to GET /v2/items")
}

// What vanished is harm all the same when what is new carries less, or fails.
func TestWhatOnlySeemsToHaveMovedIsHarm(t *testing.T) {
	for _, c := range []struct {
		name   string
		rate   float64
		errors float64
	}{{"a new operation of a tenth", 5, .01}, {"it fails", 50, .4}, {"nothing new", 0, 0}} {
		s := newSim(1, Config{})
		s.run(900, []*pod{s.podOf("1", 0, "POST /cart", 50, .01), s.podOf("1", 0, "GET /x", 50, .01)}, nil)
		s.deploy("d", "2", "1")
		s.run(600, []*pod{s.podOf("2", 0, "POST /other", c.rate, c.errors), s.podOf("2", 0, "GET /x", 50, .01)}, func() bool { return s.state("d") == event.Regressed })
		require.Equal(t, event.Regressed, s.state("d"), "%s: %s", c.name, s.last["d"].Detail)
		assert.NotContains(t, s.last["d"].Detail, "moved to", c.name)
	}
}

// Kinds of inner work are renamed too.
func TestRenamedInnerWork(t *testing.T) {
	s := newSim(1, Config{})
	old, next := s.pod("1", 0, 20, .01), s.pod("2", 0, 20, .01)
	play := func(p *pod, name string, seconds int) {
		for range seconds {
			s.play(p)
			for range 20 {
				p.source.Work(Work{Name: name, End: s.sec*second + second/2})
			}
			s.tick()
		}
	}
	play(old, "SELECT cart", 900)
	s.deploy("d", "2", "1")
	play(next, "SELECT carts", 300)
	v := s.last["d"]
	require.NotEqual(t, event.Regressed, v.State, v.Detail)
	assert.Contains(t, v.Detail, "SELECT cart moved to SELECT carts")
}
