package detect

import (
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"strconv"
	"testing"
	"time"
	"unsafe"

	"github.com/stretchr/testify/require"

	"github.com/deployloop/deployloop/internal/event"
)

const excursionStep = 30 // seconds between samples

// unharmed are gauges that nothing befalls, by what a sample is worth.
type unharmed struct {
	name string
	of   func(r *rand.Rand) func(i int) float64
}

func remembers(r *rand.Rand, tau float64) func() float64 {
	keep := 0.
	if tau > 0 {
		keep = math.Exp(-1 / tau)
	}
	x := r.NormFloat64()
	q := math.Sqrt(1 - keep*keep)
	return func() float64 { x = keep*x + q*r.NormFloat64(); return x }
}

func poissonOf(r *rand.Rand, mean float64) float64 {
	k, p := 0, math.Exp(-mean)
	for u := r.Float64(); u > p; u *= r.Float64() {
		k++
	}
	return float64(k)
}

func unharmedGauges() (out []unharmed) {
	add := func(name string, of func(r *rand.Rand) func(int) float64) { out = append(out, unharmed{name, of}) }
	add("normal", func(r *rand.Rand) func(int) float64 { return func(int) float64 { return 10 + r.NormFloat64() } })
	add("lognormal", func(r *rand.Rand) func(int) float64 { return func(int) float64 { return math.Exp(r.NormFloat64()) } })
	add("t2", func(r *rand.Rand) func(int) float64 {
		return func(int) float64 { return r.NormFloat64() / math.Sqrt(r.ExpFloat64()) }
	})
	for _, tau := range []float64{1, 3, 10, 30, 50} {
		add(fmt.Sprintf("ar%v", tau), func(r *rand.Rand) func(int) float64 {
			a := remembers(r, tau)
			return func(int) float64 { return 10 + a() }
		})
		add(fmt.Sprintf("lnar%v", tau), func(r *rand.Rand) func(int) float64 {
			a := remembers(r, tau)
			return func(int) float64 { return math.Exp(a()) }
		})
	}
	add("ar10+noise", func(r *rand.Rand) func(int) float64 {
		a := remembers(r, 10)
		return func(int) float64 { return 10 + a() + r.NormFloat64() }
	})
	add("ar50+noise2", func(r *rand.Rand) func(int) float64 {
		a := remembers(r, 50)
		return func(int) float64 { return math.Exp(a() + 2*r.NormFloat64()) }
	})
	add("ar(2 scales)", func(r *rand.Rand) func(int) float64 {
		a, b := remembers(r, 2), remembers(r, 500)
		return func(int) float64 { return math.Exp(a() + .5*b()) }
	})
	add("ratio", func(r *rand.Rand) func(int) float64 {
		return func(int) float64 { return 1 - poissonOf(r, .5)/100 }
	})
	add("queue", func(r *rand.Rand) func(int) float64 { // M/M/1-like, rho .8
		q := 0.
		return func(int) float64 {
			for range 5 {
				q = math.Max(0, q+poissonOf(r, .8)-1)
			}
			return q
		}
	})
	for _, A := range []float64{.3, 1, 3} {
		add(fmt.Sprintf("daily%v", A), func(r *rand.Rand) func(int) float64 {
			ph := r.Float64() * 2 * math.Pi
			a := remembers(r, 5)
			amp, day := 1., -1
			return func(i int) float64 {
				if i/2880 != day {
					day = i / 2880
					amp = math.Exp(.1 * r.NormFloat64())
				}
				return math.Exp(A*amp*math.Sin(2*math.Pi*float64(i)/2880+ph) + .3*a())
			}
		})
	}
	add("walk", func(r *rand.Rand) func(int) float64 {
		x := 0.
		return func(int) float64 { x += r.NormFloat64(); return x }
	})
	add("walk+noise", func(r *rand.Rand) func(int) float64 {
		x := 0.
		return func(int) float64 { x += .03 * r.NormFloat64(); return x + r.NormFloat64() }
	})
	add("slow ou 2d + noise", func(r *rand.Rand) func(int) float64 {
		a := remembers(r, 5760)
		return func(int) float64 { return 2*a() + r.NormFloat64() }
	})
	add("trend+noise", func(r *rand.Rand) func(int) float64 { // 1 sigma a day
		return func(i int) float64 { return float64(i)/2880 + r.NormFloat64() }
	})
	for _, every := range []float64{100, 1000, 10000} {
		add(fmt.Sprintf("bursts/%v", every), func(r *rand.Rand) func(int) float64 {
			left, size := 0., 0.
			return func(int) float64 {
				if left > 0 {
					left--
				} else if r.Float64() < 1/every {
					left, size = 5+15*r.Float64(), 10*math.Exp(r.NormFloat64())
				}
				v := math.Exp(.3 * r.NormFloat64())
				if left > 0 {
					v *= size
				}
				return v
			}
		})
		add(fmt.Sprintf("expbursts/%v", every), func(r *rand.Rand) func(int) float64 {
			left, size := 0., 0.
			return func(int) float64 {
				if left > 0 {
					left--
				} else if r.Float64() < 1/every {
					left, size = 20*r.ExpFloat64(), 10*math.Exp(r.NormFloat64())
				}
				v := math.Exp(.3 * r.NormFloat64())
				if left > 0 {
					v *= size
				}
				return v
			}
		})
	}
	for _, every := range []float64{50, 500, 5000} {
		add(fmt.Sprintf("steps/%v", every), func(r *rand.Rand) func(int) float64 {
			l := r.NormFloat64()
			return func(int) float64 {
				if r.Float64() < 1/every {
					l = r.NormFloat64()
				}
				return l
			}
		})
		add(fmt.Sprintf("steps+noise/%v", every), func(r *rand.Rand) func(int) float64 {
			l := r.NormFloat64()
			return func(int) float64 {
				if r.Float64() < 1/every {
					l = r.NormFloat64()
				}
				return l + .3*r.NormFloat64()
			}
		})
	}
	add("sawtooth 400", func(r *rand.Rand) func(int) float64 { // heap between collections
		x, lim := 0., 400.
		return func(int) float64 {
			if x++; x > lim {
				x, lim = 0, 400*math.Exp(.1*r.NormFloat64())
			}
			return x + 10*r.NormFloat64()
		}
	})
	return out
}

// excursionAlarms are the samples at which something is told, in so many, as the
// channel tells it: what is told is open till it is over, or taken for normal.
func excursionAlarms(n int, threshold float64, f func(i int) float64) (alarms []int, judged int) {
	x, open := &excursions{}, -1
	for i := range n {
		x.add(int64(i)*excursionStep, f(i), WorseBoth, mostEvidence)
		s := &x.Sides[x.leading()]
		if !x.restless && max(x.Sides[0].Cycles, x.Sides[1].Cycles) >= excursionCycles {
			judged++
		}
		switch {
		case open >= 0 && x.Sides[0].G+x.Sides[1].G == 0:
			open = -1
		case open >= 0 && (i-open)*excursionStep > alwaysNormal:
			x, open = &excursions{}, -1
		case open < 0 && s.nats >= threshold:
			alarms, open = append(alarms, i), i
		}
	}
	return alarms, judged
}

// excursionThreshold is what the channel asks of the first gauge of a service.
func excursionThreshold() float64 {
	return math.Log(alwaysWeek/.1) - math.Log(classShare[classGolden]*arrivalShare(2)/2)
}

// mostEvidence is what the channel lets an excursion show by default.
var mostEvidence = (&AlwaysOnConfig{FalseAlarms: .1}).most()

// newsEveryFewDays are of gauges that do every few days what they had never done
// for so long: it is told more often than the budget allows while it is new.
var newsEveryFewDays = map[string]bool{"bursts/10000": true, "expbursts/10000": true, "steps+noise/5000": true}

// Gauges that nothing befalls are told of once in ten weeks at most.
// DEPLOYLOOP_GAUGE_WEEKS=400 plays so many of each.
func TestUnharmedGaugesStayWithinTheBudget(t *testing.T) {
	const life = 4 // weeks
	lives, _ := strconv.Atoi(os.Getenv("DEPLOYLOOP_GAUGE_WEEKS"))
	lives = max(lives/life, 2)
	for _, u := range unharmedGauges() {
		t.Run(u.name, func(t *testing.T) {
			told, judged := 0, 0
			for k := range lives {
				a, j := excursionAlarms(life*alwaysWeek/excursionStep, excursionThreshold(), u.of(rand.New(rand.NewPCG(uint64(k), 7))))
				told, judged = told+len(a), judged+j
			}
			weeks := float64(lives * life)
			low, high := poissonInterval(told)
			t.Logf("%d in %.0f weeks, %.3f [%.3f, %.3f] a week; judged %.0f %% of the time", told, weeks, float64(told)/weeks, low/weeks, high/weeks,
				100*float64(judged)/weeks/alwaysWeek*excursionStep)
			budget := .1
			if newsEveryFewDays[u.name] {
				budget = .3
			}
			require.LessOrEqual(t, low/weeks, budget)
		})
	}
}

// poissonInterval is a 95 % interval of a mean of which so many were seen (Byar).
func poissonInterval(seen int) (low, high float64) {
	byar := func(x, z float64) float64 { return x * math.Pow(1-1/(9*x)+z/(3*math.Sqrt(x)), 3) }
	if seen > 0 {
		low = byar(float64(seen), -z95)
	}
	return low, byar(float64(seen)+1, z95)
}

// gaugePlay plays a gauge of one instance into an engine, a sample every 30 s.
type gaugePlay struct {
	t      *testing.T
	e      *Engine
	source *Source
	now    time.Time
	told   []Unprompted
}

var gaugeOrigin = Origin{Service: "checkout", Environment: "prod", Version: "1", Instance: "a"}

func newGaugePlay(t *testing.T) *gaugePlay {
	p := &gaugePlay{t: t, now: time.Unix(1_790_000_000, 0)}
	p.e = New(Config{Start: p.now})
	p.source = p.e.Source(gaugeOrigin)
	return p
}

func (p *gaugePlay) sample(value float64) {
	p.now = p.now.Add(excursionStep * time.Second)
	p.e.Tick(p.now)
	p.source.Gauge(Sample{Name: "latency", At: p.now.UnixNano(), Value: value, Worse: WorseHigher, Golden: true})
	p.told = append(p.told, p.e.Unprompted()...)
}

// days of what is usual: log-normal, with a memory.
func usualLatency() func() float64 {
	r := rand.New(rand.NewPCG(3, 4))
	a := remembers(r, 3)
	return func() float64 { return 100 * math.Exp(.3*a()) }
}

const samplesOfADay = 86400 / excursionStep

func TestExcursionOfAGaugeIsToldAndEnds(t *testing.T) {
	p, usual := newGaugePlay(t), usualLatency()
	most := 0.
	for range 5 * samplesOfADay {
		v := usual()
		most = max(most, v)
		p.sample(v)
	}
	require.Empty(t, p.told)
	began, n := p.now, 0
	for ; len(p.told) == 0 && n < 120; n++ {
		p.sample(5 * usual())
	}
	require.NotEmpty(t, p.told, "five times the latency, and nothing was told in an hour")
	u := p.told[0]
	t.Logf("told after %d samples: %s", n, u.Verdict.Detail)
	require.True(t, u.Open)
	require.Equal(t, event.Regressed, u.Verdict.State)
	require.Contains(t, u.Verdict.Detail, "latency")
	require.Contains(t, u.Verdict.Detail, "never above "+significant(float64(most))+" in 5 days")
	require.InDelta(t, float64(began.Unix()), float64(u.Verdict.Onset.At.Unix()), 120)
	require.Equal(t, event.SignalGauge, u.Verdict.Evidence[0].Signal)
	for k := 0; p.told[len(p.told)-1].Open && k < 4*n+20; k++ {
		p.sample(usual())
	}
	last := p.told[len(p.told)-1]
	require.False(t, last.Open, "it never ended")
	require.False(t, last.Renewed)
	require.Contains(t, last.Detail, "back")
	for range samplesOfADay / 4 {
		p.sample(usual())
	}
	require.False(t, p.told[len(p.told)-1].Open, "told again")
}

// A deployment that mends what was told ends it, and what the gauge was before is forgotten.
func TestDeploymentThatMendsAnExcursionEndsIt(t *testing.T) {
	p, usual := newGaugePlay(t), usualLatency()
	for range 5 * samplesOfADay {
		p.sample(usual())
	}
	for range 30 {
		p.sample(5 * usual())
	}
	require.True(t, p.told[len(p.told)-1].Open)
	p.e.Watch(event.Deployment{ID: "d", Service: "checkout", Environment: "prod", Version: "2", StartedAt: p.now}, event.Advise)
	for range 100 {
		p.sample(usual())
	}
	last := p.told[len(p.told)-1]
	require.False(t, last.Open)
	require.False(t, last.Renewed)
	require.Nil(t, p.e.order[0].gauges.order[0].excursions)
}

// What stands on an excursion goes on while that does, though what else was seen is over.
func TestExcursionIsNotOverByWhatElseIs(t *testing.T) {
	p, usual := newGaugePlay(t), usualLatency()
	for range 5 * samplesOfADay {
		p.sample(usual())
	}
	for range 30 {
		p.sample(5 * usual())
	}
	w := p.e.order[0].always
	require.NotNil(t, w.excursion)
	w.undo.parts = append(w.undo.parts, undonePart{i: w.errors})
	w.undo.since = p.e.open.Load() - 2*alwaysRecovered
	for range 4 {
		p.sample(5 * usual())
	}
	require.True(t, p.told[len(p.told)-1].Open, "it is five times what is usual still")
	for k := 0; p.told[len(p.told)-1].Open && k < 200; k++ {
		p.sample(usual())
	}
	require.False(t, p.told[len(p.told)-1].Open)
}

// How long an excursion must last follows from the gauge's memory.
func TestExcursionsLastAsTheMemoryOfTheGauge(t *testing.T) {
	took := map[float64]int{}
	for _, tau := range []float64{0, 3, 10, 30} {
		r := rand.New(rand.NewPCG(5, 6))
		a, x := remembers(r, tau), &excursions{}
		n := 14 * samplesOfADay
		for i := range n {
			x.add(int64(i)*excursionStep, math.Exp(a()), WorseHigher, mostEvidence)
		}
		for ; x.Sides[0].nats < excursionThreshold(); took[tau]++ {
			require.Less(t, took[tau], 1000)
			x.add(int64(n+took[tau])*excursionStep, 1000, WorseHigher, mostEvidence)
		}
		t.Logf("memory of %g samples: told after %d", tau, took[tau])
	}
	require.LessOrEqual(t, took[0], 20)
	require.Greater(t, took[10], took[3])
	require.Greater(t, took[30], took[10])
}

// What a gauge has been for days outlives a restart, not a deployment.
func TestExcursionsSurviveARestartAndNoDeployment(t *testing.T) {
	for _, after := range []string{"restart", "deployment"} {
		t.Run(after, func(t *testing.T) {
			p, usual := newGaugePlay(t), usualLatency()
			for range 5 * samplesOfADay {
				p.sample(usual())
			}
			g := p.e.order[0].gauges.order[0]
			require.GreaterOrEqual(t, g.excursions.Sides[0].Cycles, excursionCycles)
			if after == "restart" {
				state, err := p.e.Snapshot()
				require.NoError(t, err)
				was := *g.excursions
				p.e = New(Config{Start: p.now})
				require.NoError(t, p.e.Restore(state))
				p.source = p.e.Source(gaugeOrigin)
				now := p.e.order[0].gauges.order[0]
				require.Equal(t, was.bounds, now.excursions.bounds)
				require.Equal(t, was.Past, now.excursions.Past)
				require.Equal(t, was.Sides[0].Top, now.excursions.Sides[0].Top)
				for range 120 { // its latest samples are learnt anew
					p.sample(usual())
				}
				for range 120 {
					p.sample(5 * usual())
				}
				require.NotEmpty(t, p.told)
				require.Contains(t, p.told[0].Verdict.Detail, "in 5 days")
				return
			}
			p.e.Watch(event.Deployment{ID: "d", Service: "checkout", Environment: "prod", Version: "2", StartedAt: p.now}, event.Advise)
			p.sample(usual())
			p.sample(usual())
			require.Nil(t, g.excursions)
		})
	}
}

// Nothing of a snapshot that is damaged is believed.
func TestDamagedExcursionsAreLearntAnew(t *testing.T) {
	for name, damage := range map[string]func(x *gaugeState){
		"too many":  func(x *gaugeState) { x.Excursions.N = excursionPast + 1 },
		"no stride": func(x *gaugeState) { x.Excursions.Stride = 0 },
		"NaN":       func(x *gaugeState) { x.Excursions.Sides[1].G = math.NaN() },
		"no peak":   func(x *gaugeState) { x.Excursions.Sides[0].Top[3] = float32(math.NaN()) },
	} {
		t.Run(name, func(t *testing.T) {
			st := gaugeState{Name: "latency", Excursions: excursions{Stride: 1}}
			s := newService(New(Config{}), serviceKey{"a", "b"})
			s.loadGauge(st)
			require.Len(t, s.gauges.order, 1)
			s = newService(New(Config{}), serviceKey{"a", "b"})
			damage(&st)
			s.loadGauge(st)
			require.Empty(t, s.gauges.order)
		})
	}
}

func TestExcursionsAreSmall(t *testing.T) {
	require.LessOrEqual(t, unsafe.Sizeof(excursions{}), uintptr(1024))
}

// A sample is what it was before though the past is kept in half the room: of
// a share that is .6 nearly always, .6 is no news.
func TestEqualSamplesOfAGaugeAreEqual(t *testing.T) {
	for _, usual := range []float64{.6, .625} { // .6 is no float32
		r := rand.New(rand.NewPCG(1, 7))
		x, n := &excursions{}, 5*samplesOfADay
		for i := range n {
			v := usual
			if r.Float64() < .05 {
				v = usual + .01*float64(r.IntN(9)) - .04
			}
			x.add(int64(i)*excursionStep, v, WorseLower, mostEvidence)
		}
		side := &x.Sides[1]
		require.GreaterOrEqual(t, side.Cycles, excursionCycles, "%v", usual)
		require.LessOrEqual(t, side.Samples, 10, "%v is an excursion of days", usual)
		for k := 0; side.nats < excursionThreshold(); k++ {
			require.Less(t, k, 30, "%v", usual)
			x.add(int64(n+k)*excursionStep, .3, WorseLower, mostEvidence)
		}
	}
}

// A small budget, or many gauges before it, ask for more evidence: an excursion
// that goes on gives it.
func TestExcursionsReachWhatASmallBudgetAsksFor(t *testing.T) {
	for _, budget := range []float64{.1, .001} {
		r, x, n := rand.New(rand.NewPCG(5, 6)), &excursions{}, 14*samplesOfADay
		c := AlwaysOnConfig{FalseAlarms: budget}
		for i := range n {
			x.add(int64(i)*excursionStep, math.Exp(r.NormFloat64()), WorseHigher, c.most())
		}
		need := c.threshold() - math.Log(classShare[classGolden]*arrivalShare(100)/2)
		for k := 0; x.Sides[0].nats < need; k++ {
			require.Less(t, k, 100, "a budget of %v", budget)
			x.add(int64(n+k)*excursionStep, 1000, WorseHigher, c.most())
		}
	}
}

// What a snapshot kept of a gauge goes when the settings say since that another way is worse.
func TestExcursionsTurnWithTheSettings(t *testing.T) {
	s := newService(New(Config{}), serviceKey{"a", "b"})
	s.loadGauge(gaugeState{Name: "latency", Worse: WorseHigher, Excursions: excursions{Stride: 4, N: 9}})
	g := s.gauges.order[0]
	sample := func(worse Worse) {
		s.gauge(nil, g.key, Sample{Name: "latency", Value: 1, Worse: worse, Golden: true})
		s.closeGauges(s.engine.open.Load(), false)
	}
	sample(WorseHigher)
	require.Equal(t, 1, g.excursions.Skip, "it was not taken")
	require.Equal(t, 4, g.excursions.Stride)
	sample(WorseLower)
	require.Equal(t, WorseLower, g.worse)
	require.Equal(t, 1, g.excursions.Stride, "learnt under the old settings")
}
