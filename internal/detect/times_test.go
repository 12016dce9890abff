package detect

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/deployloop/deployloop/internal/event"
)

// A player sends what each second brings at once, as a live service does: it is
// there long before that second closes. Ticks fall between seconds.
type player struct {
	*sim
	tickAt time.Duration // within a second
}

func (p *player) run(seconds int, x *Source, errors float64, stop func() bool) {
	for range seconds {
		for k := range int64(40) {
			x.Request(Request{Operation: "GET /", End: p.sec*second + k*second/40, Duration: 5e7, Failed: p.rng.Float64() < errors}, nil)
		}
		p.tick()
		if stop != nil && stop() {
			return
		}
	}
}

func (p *player) tick() {
	p.sec++
	for _, v := range p.e.Tick(time.Unix(p.sec, int64(p.tickAt))) {
		p.last[v.Deployment.ID] = v
	}
}

func TestAWatchBeginsWithTheFirstItemOfTheNewVersion(t *testing.T) {
	for name, play := range map[string]func(p *player, x *Source) (first int64){
		"requests": func(p *player, x *Source) int64 {
			first := p.sec
			p.run(20, x, 0, nil)
			return first
		},
		"samples of a gauge": func(p *player, x *Source) int64 {
			first := p.sec
			for k := range 20 {
				if k%10 == 0 {
					x.Gauge(Sample{Name: "heap", At: p.sec * second, Value: 1})
				}
				p.tick()
			}
			return first
		},
		"a batch that comes seconds later": func(p *player, x *Source) int64 {
			first := p.sec
			for range 6 {
				p.tick()
			}
			x.Request(Request{Operation: "GET /", End: first*second + second/2, Duration: 5e7}, nil)
			p.tick()
			p.tick()
			p.tick()
			return first
		},
	} {
		t.Run(name, func(t *testing.T) {
			for _, lateness := range []time.Duration{time.Second, 3 * time.Second} {
				p := &player{newSim(1, Config{AllowedLateness: lateness}), 750 * time.Millisecond}
				p.run(60, p.pod("1", 0, 0, 0).source, .01, nil)
				p.deploy("d", "2", "1")
				first := play(p, p.pod("2", 0, 0, 0).source)
				v, _ := p.e.Verdict("d")
				require.Equal(t, time.Unix(first, 0).UTC(), v.WatchedFrom, "lateness %s", lateness)
			}
		})
	}
}

// What a version that was there before says late is not of the deployment.
func TestAWatchBeginsNoSoonerThanItsDeployment(t *testing.T) {
	p := &player{newSim(1, Config{}), 0}
	x := p.pod("2", 0, 0, 0).source
	p.run(60, x, .01, nil)
	p.deploy("d", "2", "1")
	x.Request(Request{Operation: "GET /", End: (p.sec - 20) * second, Duration: 5e7}, nil)
	p.tick()
	p.tick()
	v, _ := p.e.Verdict("d")
	require.False(t, v.WatchedFrom.After(time.Unix(p.sec, 0)))
	require.GreaterOrEqual(t, v.WatchedFrom.Unix(), p.e.watches["d"].opened)
}

// A decision is made when the engine can make it: the tick that closes the
// second, and tells.
func TestADecisionIsDatedByTheTickThatMadeIt(t *testing.T) {
	for _, lateness := range []time.Duration{time.Second, 3 * time.Second} {
		p := &player{newSim(1, Config{AllowedLateness: lateness}), 250 * time.Millisecond}
		p.run(300, p.pod("1", 0, 0, 0).source, .05, nil)
		p.deploy("d", "2", "1")
		x := p.pod("2", 0, 0, 0).source
		p.run(600, x, .05, func() bool { return p.state("d") == event.Healthy })
		v := p.last["d"]
		require.Equal(t, event.Healthy, v.State, v.Detail)
		require.Equal(t, v.At, v.HealthyAt)
		require.Equal(t, time.Unix(p.sec, int64(p.tickAt)).UTC(), v.HealthyAt)

		p.run(5, x, .05, nil)
		bad := p.sec
		p.run(60, x, 1, func() bool { return p.state("d") == event.Regressed })
		v = p.last["d"]
		require.Equal(t, event.Regressed, v.State, v.Detail)
		require.Equal(t, time.Unix(p.sec, int64(p.tickAt)).UTC(), v.RegressedAt)
		// The onset is of the second in which it happened.
		require.InDelta(t, float64(bad), float64(v.Onset.At.Unix()), 1)
		require.GreaterOrEqual(t, v.RegressedAt.Sub(v.FirstBadAt), lateness)
		doc, ok := p.e.Document("d")
		require.True(t, ok)
		require.Equal(t, v.RegressedAt, doc.Verdict.RegressedAt)
		require.Equal(t, v.RegressedAt, doc.Window.DecidedAt)
		p.run(3, x, 1, nil)
		require.Equal(t, v.RegressedAt, func() time.Time { v, _ := p.e.Verdict("d"); return v.RegressedAt }(), "it stands")
	}
}
