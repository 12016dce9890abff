package detect

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/deployloop/deployloop/internal/event"
)

// A service that is forgotten takes its anomaly and its windows with it.
func TestAForgottenServiceEndsItsAnomaly(t *testing.T) {
	s, pods := calm(11, Config{Limits: Limits{Services: 1}}, 900)
	for _, p := range pods {
		p.errors = .2
	}
	told := during(s, pods, 120, func(Unprompted) bool { return true })
	require.Len(t, told, 1)
	s.sec += 600 // it falls silent
	s.tick()
	s.e.Unprompted()
	gone := s.e.order[0]
	s.e.Source(Origin{Service: "another", Environment: "prod"})
	require.Equal(t, "another", s.e.order[0].key.name)
	s.tick()
	told = s.e.Unprompted()
	require.Len(t, told, 1)
	require.False(t, told[0].Open)
	require.True(t, told[0].Lost)
	require.Equal(t, "checkout", told[0].Verdict.Deployment.Service)
	require.Nil(t, gone.always)
	require.NotContains(t, s.e.placebos.running, gone)
	s.tick()
	require.Empty(t, s.e.Unprompted(), "it ends once")
}

// Who is forgotten is decided beside Tick; a service that is watched, or about
// to be, is not.
func TestAWatchedServiceIsNotForgotten(t *testing.T) {
	s := newSim(1, Config{Limits: Limits{Services: 1}, Watches: []time.Duration{time.Minute}})
	s.deploy("d", "2", "1")
	s.sec += 3600
	held := s.e.hold("checkout", "prod") // as Watch does before it opens
	s.tick()
	s.e.Source(Origin{Service: "another", Environment: "prod"})
	require.Same(t, held, s.e.services[serviceKey{"checkout", "prod"}])
	held.held.Add(-1)
	s.run(70, nil, nil) // its last watch ends
	require.True(t, s.e.watches["d"].ended)
	require.Equal(t, event.Inconclusive, s.state("d"))
	s.sec += 600
	s.tick()
	s.e.Source(Origin{Service: "a third", Environment: "prod"})
	require.Nil(t, s.e.services[serviceKey{"checkout", "prod"}])
	done := make(chan struct{})
	go func() { // both at once, for the race detector
		defer close(done)
		for range 100 {
			s.e.Source(Origin{Service: "b" + time.Now().String(), Environment: "prod"})
		}
	}()
	for range 100 {
		s.tick()
	}
	<-done
}
