package detect

import (
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/deployloop/deployloop/internal/event"
)

// starter plays a service whose instances are slow for so many seconds after
// their start: three times the latency, in the end as fast as ever.
type starter struct {
	*sim
	cold  int64
	pods  []*pod
	born  map[*pod]int64
	serve int
}

func (x *starter) start(version string, rate float64) *pod {
	x.serve++
	p := x.pod(version, x.serve, rate, .01)
	p.noise, p.faults = ar1{sigma: .1, tau: 20}, ar1{sigma: .1, tau: 20}
	x.born[p], x.pods = x.sec, append(x.pods, p)
	return p
}

func (x *starter) play(seconds int, stop func() bool) {
	for range seconds {
		for _, p := range x.pods {
			if p.median = 80; x.sec-x.born[p] < x.cold {
				p.median = 240
			}
		}
		x.run(1, x.pods, nil)
		if stop != nil && stop() {
			return
		}
	}
}

func newStarter(seed uint64, cold int64) *starter {
	x := &starter{sim: newSim(seed, Config{Watches: []time.Duration{time.Minute, 10 * time.Minute}, Placebos: PlaceboConfig{Indicators: -1}}), born: map[*pod]int64{}}
	for range 9 {
		x.start("1", 60)
	}
	x.cold = 0 // they were there before
	x.play(400, nil)
	x.cold = cold
	return x
}

// Instances that come without a deployment teach how long a start takes, and a
// deployment's do not count for twice as long; their failures do.
func TestWarmUpIsLearnt(t *testing.T) {
	for seed := range uint64(3) {
		x := newStarter(seed, 60)
		require.EqualValues(t, 30, x.e.order[0].warmup)
		for range 4 {
			x.start("1", 60)
			x.play(330, nil)
		}
		s := x.e.order[0]
		require.InDelta(t, 60, float64(s.transient.length()), 10, "seed %d", seed)
		require.InDelta(t, 120, float64(s.warmup), 20)
		data, err := x.e.Snapshot()
		require.NoError(t, err)
		again := New(Config{Start: time.Unix(x.sec, 0)})
		require.NoError(t, again.Restore(data))
		require.Equal(t, s.warmup, again.order[0].warmup)

		x.deploy("d", "2", "1")
		x.start("2", 60)
		x.play(400, func() bool { return x.state("d") != event.Watching && x.state("d") != "" })
		require.Equal(t, event.Healthy, x.state("d"), "seed %d: %s", seed, x.last["d"].Detail)

		x.deploy("e", "3", "2")
		canary := x.start("3", 60)
		canary.errors = .3
		x.play(20, nil)
		require.Equal(t, event.Regressed, x.state("e"), "seed %d: failures wait for no warm-up", seed)
	}
}

// What is not known is not assumed: the same start is a regression.
func TestAStartThatIsNotKnownCounts(t *testing.T) {
	x := newStarter(1, 120)
	x.deploy("d", "2", "1")
	x.start("2", 60)
	x.play(100, nil)
	require.Equal(t, event.Regressed, x.state("d"))
	x.play(300, nil)
	require.Zero(t, x.e.order[0].transient.Starts, "a bad deployment teaches nothing")
}

// Noise is no transient, however many starts are seen.
func TestNoTransientInNoise(t *testing.T) {
	for seed := range uint64(10) {
		x := newStarter(seed, 0)
		for k := range 5 {
			p := x.start("1", []float64{2, 20}[seed%2])
			p.faults = ar1{sigma: .3, tau: 60}
			p.source.origin.Instance += strconv.Itoa(k)
			x.play(40, nil)
		}
		x.play(310, nil)
		require.GreaterOrEqual(t, x.e.order[0].transient.Starts, 2.)
		require.EqualValues(t, 30, x.e.order[0].warmup, "seed %d", seed)
	}
}

// A service whose instances stay slow has no start to wait for: the longest
// warm-up is bounded.
func TestWarmUpIsBounded(t *testing.T) {
	var x transient
	for range 5 {
		y := &youth{}
		for k := range y.Slow {
			y.Expected[k], y.Slow[k] = 10, 10
			if k < youthLate {
				y.Slow[k] = 90
			}
		}
		x.add(y)
	}
	require.EqualValues(t, youthLate*binSeconds, x.length())
	s := newSim(1, Config{}).e.serviceOf("a", "prod")
	s.transient = x
	s.warm()
	require.EqualValues(t, youthFor, s.warmup)
	for k := range x.Slow {
		x.Slow[k] = x.Expected[k] * 9
	}
	require.Zero(t, x.length(), "all ages alike")
}

// Instances start when there is too much to do, and are then as slow as all
// others: that is no transient. One that is slower than they are, is.
func TestOverloadIsNoTransient(t *testing.T) {
	for name, c := range map[string]struct {
		cold  int64 // seconds for which an instance is slower than grown ones
		rate  float64
		least int64
		most  int64
	}{
		"as slow as the others":               {0, 60, 30, 30},
		"as slow as the others, seldom asked": {0, 4, 30, 30},
		"slower than they are":                {60, 60, 100, 140},
	} {
		for seed := range uint64(3) {
			x := newStarter(seed, 0)
			for range 4 {
				p, began := x.start("1", c.rate), x.sec
				for range 330 {
					for _, q := range x.pods {
						if q.median = 80; x.sec-began < 150 {
							q.median = 200
						}
						if q == p && x.sec-began < c.cold {
							q.median *= 3
						}
					}
					x.run(1, x.pods, nil)
				}
			}
			s := x.e.order[0]
			require.GreaterOrEqual(t, s.transient.Starts, 3.)
			require.GreaterOrEqual(t, s.warmup, c.least, "%s, seed %d", name, seed)
			require.LessOrEqual(t, s.warmup, c.most, "%s, seed %d", name, seed)
		}
	}
}

// All instances are replaced at once, and there is nobody to compare them with:
// what a healthy deployment's took to start is learnt beside the past.
func TestWarmUpOfAllAtOnce(t *testing.T) {
	x := newStarter(2, 0)
	for k := range 4 {
		version := strconv.Itoa(k + 2)
		x.deploy("d"+version, version, strconv.Itoa(k+1))
		x.pods, x.cold = nil, 20
		for range 9 {
			x.start(version, 60)
		}
		x.play(400, nil)
		require.Equal(t, event.Healthy, x.state("d"+version), x.last["d"+version].Detail)
	}
	require.InDelta(t, 40, float64(x.e.order[0].warmup), 10)
}

// What starts teach while a deployment is watched is for the next one.
func TestWarmUpStaysWithinAWatch(t *testing.T) {
	x := newStarter(1, 120)
	x.deploy("d", "2", "1")
	x.start("2", 60)
	x.play(10, nil)
	s := x.e.order[0]
	for range 5 {
		y := &youth{}
		for k := range y.Slow {
			y.Expected[k], y.Slow[k] = 10, 10
			if k < 12 {
				y.Slow[k] = 90
			}
		}
		s.transient.add(y)
	}
	s.warm()
	require.EqualValues(t, 240, s.warmup)
	data, err := x.e.Snapshot()
	require.NoError(t, err)
	again := New(Config{Start: time.Unix(x.sec, 0)})
	require.NoError(t, again.Restore(data))
	require.EqualValues(t, 30, again.watches["d"].warmup)
	x.play(90, nil)
	require.Equal(t, event.Regressed, x.state("d"))
}
