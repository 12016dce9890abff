package detect

import (
	"math"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/deployloop/deployloop/internal/event"
)

// weeks plays a service's past: so much a second by the hour of the week.
func weeks(n int, begin int64, rate func(hour int64) float64) *profile {
	p := &profile{Hour: begin / 3600}
	for sec := begin; sec < begin+int64(n)*weekHours*3600+3600; sec += 60 {
		r := rate(sec / 3600)
		for k := range int64(60) {
			p.add(sec+k, r)
		}
	}
	return p
}

func TestProfileIsRobust(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	begin := simStart / 3600 * 3600
	evening := begin + 8*weekHours*3600 + 7200
	fall := func(hour int64) float64 { // to a fifth, each week in the same hour
		if hour%weekHours == evening/3600%weekHours {
			return .2
		}
		return 1
	}
	for name, rate := range map[string]func(hour int64) float64{
		"a week of an outage": func(hour int64) float64 {
			if hour/weekHours == begin/3600/weekHours+3 {
				return 0
			}
			return 100 * math.Exp(.05*rng.NormFloat64())
		},
		"a level of its own each week": func(hour int64) float64 { return []float64{60, 100, 140}[hour/weekHours%3] },
		"growth":                       func(hour int64) float64 { return math.Exp2(float64(hour-begin/3600) / weekHours) },
	} {
		p := weeks(8, begin, func(hour int64) float64 { return rate(hour) * fall(hour) })
		share, known := p.pace(evening-5400, evening-5400)
		require.True(t, known, name)
		require.EqualValues(t, 1, share, name)
		share, _ = p.pace(evening-2000, evening-1800)
		require.InDelta(t, 1, share, .1, name)
		share, _ = p.pace(evening-1800, evening)
		require.InDelta(t, .2, share, .04, name)
	}
	_, known := weeks(2, begin, func(int64) float64 { return 1 }).pace(begin+2*weekHours*3600, begin+2*weekHours*3600)
	require.False(t, known, "two weeks are none")
	short := &profile{Hour: begin / 3600}
	for range 20 {
		short.add(begin, 5)
		short.add(begin+3600, 5)
	}
	require.Zero(t, short.Hours[begin/3600%weekHours].Known, "an hour of which little was seen")
	one := &hourOfWeek{}
	for _, week := range []int64{100, 101, 103, 109} {
		one.add(week, float64(week))
	}
	p := &profile{}
	p.Hours[0] = *one
	for week, want := range map[int64]bool{100: false, 101: false, 102: false, 103: true, 108: false, 109: true, 110: false} {
		rate, known := p.rate(week * weekHours)
		require.Equal(t, want, known, week)
		if known {
			require.EqualValues(t, week, rate)
		}
	}
}

// Traffic that falls as it does every week is no harm of the deployment before
// it; what falls beyond that is.
func TestTrafficIsComparedWithTheWeek(t *testing.T) {
	for name, c := range map[string]struct {
		known bool
		now   float64 // of the traffic, after the hour's stroke
		state event.VerdictState
	}{
		"as every week":            {true, .05, event.Healthy},
		"nobody knows":             {false, .05, event.Regressed},
		"much less than each week": {true, .003, event.Regressed},
	} {
		for seed := range uint64(3) {
			stroke := (simStart/3600 + 1) * 3600
			s := &sim{rng: rand.New(rand.NewPCG(seed, 7)), sec: stroke - 900, last: map[string]event.Verdict{}}
			s.e = New(Config{Start: time.Unix(s.sec, 0), Watches: []time.Duration{time.Minute, 20 * time.Minute}})
			p := s.pod("1", 0, 1000, .01)
			pods := []*pod{p}
			if c.known {
				p.source.service.week = weeks(4, s.sec-4*weekHours*3600, func(hour int64) float64 {
					if hour%weekHours == stroke/3600%weekHours {
						return 50
					}
					return 1000
				})
			}
			s.run(800, pods, nil)
			s.deploy("d", "2", "1")
			p = s.pod("2", 0, 1000, .01)
			pods = []*pod{p}
			s.run(100, pods, nil)
			p.rate = 1000 * c.now
			s.run(450, pods, func() bool { return s.state("d") == event.Regressed })
			v := s.last["d"]
			require.Equal(t, c.state, v.State, "%s, seed %d: %s", name, seed, v.Detail)
			require.Equal(t, c.known, strings.Contains(v.ControlDetail, "hour of the week"), v.ControlDetail)
		}
	}
}

// What the week knows is kept over a restart.
func TestProfileInSnapshot(t *testing.T) {
	s := newSim(1, Config{})
	p := s.pod("1", 0, 1000, .01)
	p.source.service.week = weeks(4, s.sec-4*weekHours*3600, func(hour int64) float64 { return float64(hour % 24) })
	s.run(30, []*pod{p}, nil)
	data, err := s.e.Snapshot()
	require.NoError(t, err)
	again := New(Config{Start: time.Unix(s.sec, 0)})
	require.NoError(t, again.Restore(data))
	require.Equal(t, p.source.service.week, again.order[0].week)
	require.True(t, again.order[0].week.ready(s.sec))
}
