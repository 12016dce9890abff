package detect

import (
	"testing"

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
