package detect

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/deployloop/deployloop/internal/event"
)

// A service that fails hard two minutes after it was first heard: so much was
// learnt of it by then.
func TestAHardFailureOfAYoungServiceIsTold(t *testing.T) {
	for name, c := range map[string]struct{ rate, errors float64 }{
		"clean": {10, 0}, "usual errors": {20, .01}, "little traffic": {2, 0}, "many errors": {50, .03},
	} {
		t.Run(name, func(t *testing.T) {
			s := newSim(31, Config{})
			pods := []*pod{s.pod("1", 0, c.rate/2, c.errors), s.pod("1", 1, c.rate/2, c.errors)}
			require.Empty(t, during(s, pods, 120, nil))
			require.Equal(t, event.SearchLearning, s.e.Searches()[0].State)
			for _, p := range pods {
				p.errors = .2
			}
			began := s.sec
			told := during(s, pods, 600, func(Unprompted) bool { return true })
			require.Len(t, told, 1, "nothing was told of 20 % errors")
			t.Logf("told after %d s: %s; %s", s.sec-began, told[0].Verdict.Detail, told[0].Verdict.ControlDetail)
		})
	}
}

// What minutes of history leave open is no evidence: noise, a rise that is no
// hard failure, slow requests and errors that were not seen before.
func TestWhatLittleHistoryLeavesOpenIsNotTold(t *testing.T) {
	for name, change := range map[string]func(s *sim, p *pod){
		"noise":        func(_ *sim, p *pod) { p.noise, p.faults = ar1{sigma: .3, tau: 60}, ar1{sigma: .3, tau: 60} },
		"a small rise": func(_ *sim, p *pod) { p.errors = .05 },
		"latency":      func(_ *sim, p *pod) { p.median *= 5 },
		"a new exception": func(s *sim, p *pod) {
			p.source.Exception(Exception{Fingerprint: 7, At: s.sec*second + second/2, Type: "Unseen"}, nil)
		},
	} {
		t.Run(name, func(t *testing.T) {
			for seed := range uint64(10) {
				s := newSim(seed, Config{})
				pods := []*pod{s.pod("1", 0, 20, .03), s.pod("1", 1, 20, .03)}
				require.Empty(t, during(s, pods, 100, nil))
				for range 190 {
					for _, p := range pods {
						change(s, p)
					}
					require.Empty(t, during(s, pods, 1, nil))
				}
			}
		})
	}
}

// Nobody is to take a service for well that is not looked at: how the search
// stands with each is told, and for how long.
func TestTheSearchTellsHowItStandsWithEachService(t *testing.T) {
	s := newSim(32, Config{})
	pods := []*pod{s.pod("1", 0, 10, .01)}
	stands := func() event.Search {
		t.Helper()
		all := s.e.Searches()
		require.Len(t, all, 1)
		require.Equal(t, "checkout", all[0].Service)
		require.Equal(t, "prod", all[0].Environment)
		return all[0]
	}
	for _, seconds := range []int{5, 60, 120} {
		s.run(seconds, pods, nil)
		require.Equal(t, event.SearchLearning, stands().State)
		require.InDelta(t, float64(300-(s.sec-simStart)), stands().Left.Seconds(), 2)
		require.Nil(t, s.e.order[0].ops[1].test.Load(), "bounds of latency are found in more")
	}
	s.run(150, pods, nil)
	require.Equal(t, event.SearchOn, stands().State)
	require.Zero(t, stands().Left)
	s.run(120, nil, nil)
	require.Equal(t, event.SearchOn, stands().State, "its watch goes on")
	s.run(700, nil, nil)
	require.Equal(t, event.SearchSilent, stands().State)
	s.run(10, pods, nil)
	s.deploy("d", "2", "1")
	s.run(10, pods, nil)
	require.Equal(t, event.SearchDeployment, stands().State)

	rare := newSim(33, Config{})
	rare.run(400, []*pod{rare.pod("1", 0, .02, 0)}, nil)
	x := rare.e.Searches()[0]
	require.Zero(t, x.Left)
	require.Less(t, x.Items, x.Needed)

	off := newSim(34, Config{AlwaysOn: AlwaysOnConfig{Indicators: -1}})
	off.run(400, []*pod{off.pod("1", 0, 10, .01)}, nil)
	require.Equal(t, event.SearchOff, off.e.Searches()[0].State)

	full := newSim(35, Config{AlwaysOn: AlwaysOnConfig{Indicators: 2}})
	var two []*pod
	for _, name := range []string{"a", "b"} {
		two = append(two, &pod{source: full.e.Source(Origin{Service: name, Version: "1", Instance: "a"}), rate: 20, errors: .01, median: 80, spread: .5, op: "POST /cart"})
	}
	full.run(400, two, nil)
	all := full.e.Searches()
	require.Len(t, all, 2)
	require.Equal(t, []event.SearchState{event.SearchOn, event.SearchLeftOut}, []event.SearchState{all[0].State, all[1].State})
}
