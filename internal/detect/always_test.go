package detect

import (
	"math"
	"math/rand/v2"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/deployloop/deployloop/internal/event"
)

// Without a change, the statistic passes T/α within T seconds in at most a
// share α of runs: E[R_t] = t.
func TestAlwaysOnStatisticKeepsItsBudget(t *testing.T) {
	const runs, seconds, alpha = 3000, 300, .1
	rng := rand.New(rand.NewPCG(8, 9))
	draw := (&sim{rng: rng}).poisson
	crossed := 0
	for range runs {
		p := process{always: true}
		var logs [cells]float64
		for sec := range seconds {
			w := 5 + 20*rng.Float64()
			c := counts{xc: draw(.05 * 1.1 * w), wc: w}
			rateLogs(c.xc, w, .05, 1.1, upper, &logs)
			p.step(&logs, int64(sec), c)
			if p.logE() >= math.Log(seconds/alpha) {
				crossed++
				break
			}
		}
	}
	share := float64(crossed) / runs
	t.Logf("%.4f of runs crossed, α = %v", share, alpha)
	require.LessOrEqual(t, share, alpha+2*math.Sqrt(alpha*(1-alpha)/runs))
}

// during plays the pods and gathers what the always-on channel tells.
func during(s *sim, pods []*pod, seconds int, stop func(Unprompted) bool) (out []Unprompted) {
	s.run(seconds, pods, func() bool {
		for _, u := range s.e.Unprompted() {
			out = append(out, u)
			if stop != nil && stop(u) {
				return true
			}
		}
		return false
	})
	return out
}

func TestHarmWithoutADeploymentIsToldAndEnds(t *testing.T) {
	for name, change := range map[string]func(p *pod, bad bool){
		"errors": func(p *pod, bad bool) {
			if p.errors = .01; bad {
				p.errors = .2
			}
		},
		"latency": func(p *pod, bad bool) {
			if p.median = 80; bad {
				p.median = 400
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			s, pods := calm(11, Config{}, 900)
			require.Empty(t, s.e.Unprompted())
			began := s.sec
			for _, p := range pods {
				change(p, true)
			}
			told := during(s, pods, 120, func(Unprompted) bool { return true })
			require.Len(t, told, 1, "%s rose everywhere, and nothing was told", name)
			u := told[0]
			t.Logf("told after %d s: %s", s.sec-began, u.Verdict.Detail)
			require.True(t, u.Open)
			require.Equal(t, event.Regressed, u.Verdict.State)
			require.Equal(t, name, string(u.Verdict.Evidence[0].Signal))
			require.True(t, u.Verdict.Evidence[0].Harm)
			require.Empty(t, u.Verdict.Deployment.ID)
			require.False(t, u.Verdict.Calibrating)
			require.InDelta(t, math.Log(alwaysWeek/.1), u.Verdict.Threshold, 1e-9)
			require.InDelta(t, float64(began), float64(u.Verdict.Onset.At.Unix()), 5)
			during(s, pods, 60, nil)
			for _, p := range pods {
				change(p, false)
			}
			told = during(s, pods, 600, func(u Unprompted) bool { return !u.Open })
			last := told[len(told)-1]
			require.False(t, last.Open, "it never ended")
			require.False(t, last.Renewed)
			require.NotEmpty(t, last.Detail)
			t.Logf("ended: %s", last.Detail)
			require.Nil(t, s.e.order[0].always)
		})
	}
}

// A deployment that is open has its own watch: what happens then is told once.
func TestOpenDeploymentsSpeakForThemselves(t *testing.T) {
	s, pods := calm(12, Config{}, 600)
	pods = next(s, pods)
	s.run(30, pods, nil)
	require.Nil(t, s.e.order[0].always)
	for _, p := range pods[:9] {
		p.errors = .2
	}
	require.Empty(t, during(s, pods, 120, nil))
}

// What lasts is normal at last.
func TestLastingHarmBecomesNormal(t *testing.T) {
	s, pods := calm(13, Config{}, 600)
	pods = pods[:3]
	for _, p := range pods {
		p.errors, p.noise, p.faults = .1, ar1{}, ar1{}
	}
	told := during(s, pods, alwaysNormal+600, func(u Unprompted) bool { return !u.Open })
	require.NotEmpty(t, told)
	require.True(t, told[len(told)-1].Renewed)
	require.Len(t, during(s, pods, 1200, nil), 0, "told twice")
}

// Hours of noise, and nothing to tell.
func TestQuietServicesTellNothing(t *testing.T) {
	for seed := range uint64(2) {
		s, pods := calm(20+seed, Config{}, 3600)
		for i := range 2 {
			p := s.pod("1", 20+i, 5, .05)
			p.noise, p.faults = ar1{sigma: .3, tau: 60}, ar1{sigma: .3, tau: 60}
			pods = append(pods, p)
		}
		told := during(s, pods, 3600, nil)
		told = append(told, s.e.Unprompted()...)
		for _, u := range told {
			t.Log(strconv.FormatUint(seed, 10), u.Verdict.Detail)
		}
		require.Empty(t, told)
	}
}

// The budget of indicators bounds how many services are looked at.
func TestAlwaysOnStaysWithinItsBudget(t *testing.T) {
	s := newSim(14, Config{AlwaysOn: AlwaysOnConfig{Indicators: 8}})
	var pods []*pod
	for i := range 6 {
		p := s.pod("1", 0, 20, .01)
		p.source = s.e.Source(Origin{Service: "service-" + strconv.Itoa(i), Version: "1", Instance: "a"})
		pods = append(pods, p)
	}
	s.run(400, pods, nil)
	held, services := 0, 0
	for _, x := range s.e.order {
		if x.always != nil {
			services++
			held += len(x.always.indicators)
		}
	}
	require.Positive(t, services)
	require.Less(t, services, 6)
	require.LessOrEqual(t, held, 8+3*alwaysOps)
	off := newSim(14, Config{AlwaysOn: AlwaysOnConfig{Indicators: -1}})
	off.run(400, []*pod{off.pod("1", 0, 20, .01)}, nil)
	require.Nil(t, off.e.order[0].always)
}

// What a deployment does to its neighbours is told with the deployment.
func TestNeighboursOfABadDeploymentTellNothing(t *testing.T) {
	s, pods := calm(15, Config{}, 400)
	caller := s.pod("1", 0, 50, .01)
	caller.source = s.e.Source(Origin{Service: "web", Environment: "prod", Version: "1", Instance: "a"})
	pods = append(pods, caller)
	s.run(400, pods, nil)
	require.NotNil(t, s.e.order[1].always)
	pods = next(s, pods)
	pods[len(pods)-1].errors = .3
	caller.errors = .1
	require.Empty(t, during(s, pods, 120, nil))
	require.Equal(t, event.Regressed, s.state("d"))
}

// A bad deployment that nobody undoes is what goes on after its last watch: not
// something that came without one, nor what evidence does by itself.
func TestBadDeploymentWhoseWatchEndedIsStillTheCause(t *testing.T) {
	s, pods := calm(16, Config{Watches: []time.Duration{time.Minute, 5 * time.Minute}}, 600)
	x := s.e.order[0]
	pods = next(s, pods)[9:]
	pods[0].rate, pods[0].errors = 180, .2
	s.run(330, pods, nil)
	w := s.e.watches["d"]
	require.Equal(t, event.Regressed, w.state)
	require.True(t, w.ended)
	windows := x.calibration.Tried
	require.Empty(t, during(s, pods, 900, func(Unprompted) bool { return true }), "told as if nothing had been deployed")
	require.Equal(t, windows, x.calibration.Tried, "windows ran beside it")
	require.Zero(t, x.calibration.Raise)
	pods[0].errors = .01 // by a flag: the version stays
	s.run(900, pods, nil)
	require.NotNil(t, x.always, "the search goes on once it is undone")
	require.Greater(t, x.calibration.Tried, windows)
}

// No watch holds on to instances that are gone.
func TestNoWatchHoldsEvictedInstances(t *testing.T) {
	s, pods := calm(17, Config{}, 600)
	x := s.e.order[0]
	require.NotNil(t, x.always)
	gone := pods[0].source
	for range 3 {
		s.run(1, pods, nil)
	}
	require.True(t, x.always.spoken[gone])
	x.evict(s.sec + 1)
	x.eachWatch(func(w *watch) {
		require.False(t, w.spoken[gone])
		require.Zero(t, w.members[gone])
	})
}

// What follows the load has a course as traffic has: no harm without a
// deployment. A ratio of successes that falls is.
func TestTheSearchLeavesOutWhatFollowsTheLoad(t *testing.T) {
	for name, golden := range map[string]bool{"cpu": false, "success": true} {
		t.Run(name, func(t *testing.T) {
			s := newSim(18, Config{})
			var pods []*Source
			for i := range 12 {
				pods = append(pods, s.e.Source(Origin{Service: "checkout", Environment: "prod", Version: "1", Instance: strconv.Itoa(i)}))
			}
			told := 0
			for sec := range 3600 {
				level := .5
				if sec >= 1800 { // the morning
					level = .8
				}
				for _, p := range pods {
					p.Request(Request{Operation: "POST /cart", End: s.sec*second + second/2, Duration: 1e7}, nil)
					x := Sample{Name: name, At: s.sec*second + second/2, Value: level + .05*s.rng.NormFloat64(), Worse: WorseHigher, Golden: golden}
					if golden {
						x.Value, x.Worse = 1-x.Value, WorseLower
					}
					if sec%10 == 0 {
						p.Gauge(x)
					}
				}
				s.tick()
				told += len(s.e.Unprompted())
			}
			require.Equal(t, golden, told > 0, "told %d times", told)
		})
	}
}

// Evidence that its noise explains does not keep a watch from newer history.
func TestNoiseDoesNotKeepAWatchOld(t *testing.T) {
	s, _ := calm(19, Config{}, 600)
	w := s.e.order[0].always
	require.NotNil(t, w)
	i := w.errors
	l := &i.levels[0]
	x := math.Round(3 * float64(l.upper) * 1e6)
	for k := range w.indicators {
		for j := range w.indicators[k].levels {
			w.indicators[k].levels[j].harm = process{}
		}
	}
	var logs [cells]float64
	logs[0] = 2
	l.harm.step(&logs, s.sec, counts{xc: x, wc: 1e6, wh: 1e6, eh: float64(l.upper) * 1e6})
	lead := l.harm.leading()
	require.Greater(t, float64(lead.gain), alwaysQuiet)
	require.Greater(t, i.inflation(w, l, l.harm.window(), extent{1, 1}, true), 10.)
	require.False(t, w.brewing(s.sec))
}

// A deployment that is bad after its last watch still does to its neighbours
// what it does.
func TestNeighboursOfABadDeploymentWhoseWatchEnded(t *testing.T) {
	s, pods := calm(15, Config{Watches: []time.Duration{time.Minute, 2 * time.Minute}}, 400)
	caller := s.pod("1", 0, 50, .01)
	caller.source = s.e.Source(Origin{Service: "web", Environment: "prod", Version: "1", Instance: "a"})
	pods = append(pods, caller)
	s.run(400, pods, nil)
	pods = next(s, pods)
	pods[len(pods)-1].errors = .3
	s.run(150, pods, nil)
	require.Equal(t, event.Regressed, s.state("d"))
	require.True(t, s.e.watches["d"].ended)
	require.NotNil(t, s.e.order[1].always)
	caller.errors = .2
	require.Empty(t, during(s, pods, 120, nil))
}

// Requests of new operations take a source's lock and then the service's; an
// anomaly that is brewing must not take them the other way round.
func TestExamplesAnewBesideNewOperations(t *testing.T) {
	s := newSim(1, Config{Limits: Limits{Operations: 20}})
	var pods []*pod
	for i := range 8 {
		pods = append(pods, s.pod("1", i, 0, 0))
	}
	var all sync.WaitGroup
	for _, p := range pods {
		all.Go(func() {
			for i := range 20_000 {
				p.source.Request(Request{Operation: strconv.Itoa(i), End: s.sec * second}, nil)
			}
		})
	}
	for range 20_000 {
		pods[0].source.service.examplesAnew()
	}
	all.Wait()
}
