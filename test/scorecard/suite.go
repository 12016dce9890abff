package main

import (
	"math"
	"runtime"
	"sync"

	"github.com/deployloop/deployloop/internal/event"
)

var (
	iid    = noise{name: "iid"}
	ar1    = noise{name: "AR(1)", sigma: .1, tau: 20}
	bursts = noise{name: "bursts", bursts: .4, sigma: .05, tau: 5}
	biased = noise{name: "pod bias", podBias: .1}
	season = noise{name: "season", season: .4}
	real_  = noise{name: "AR(1) + pod bias", sigma: .1, tau: 20, podBias: .1}

	canary    = shape{name: "canary, 100 of 1000/s", newPods: 1, oldPods: 9, newRate: 100, oldRate: 900, errors: .01}
	rolling   = shape{name: "half and half, 300/s", newPods: 3, oldPods: 3, newRate: 150, oldRate: 150, errors: .01}
	atOnce    = shape{name: "all at once, 300/s", newPods: 3, oldPods: 3, newRate: 300, oldRate: 300, errors: .01, replaces: true}
	low       = shape{name: "low, 4 of 40/s", newPods: 1, oldPods: 9, newRate: 4, oldRate: 36, errors: .01}
	lowAtOnce = shape{name: "low at once, 20/s", newPods: 2, oldPods: 2, newRate: 20, oldRate: 20, errors: .002, replaces: true}

	tenNew = shape{name: "10 of 100/s", newPods: 1, oldPods: 9, newRate: 10, oldRate: 90, errors: .01}

	none   = fault{name: "none"}
	thrown = fault{name: "new exception in every second request", exception: .5}
	faults = []fault{
		{name: "errors 1 → 3 %", errors: .03},
		{name: "errors 1 → 20 %", errors: .2},
		{name: "new exception, 2 %", exception: .02},
		{name: "new ERROR line, 2 %", line: .02},
		{name: "latency × 1.5", latency: 1.5},
		{name: "latency × 2.5", latency: 2.5},
		{name: "5 % a second slower", tail: .05},
		{name: "operation vanished", vanish: true},
		{name: "errors 1 → 5 %, after 2 min", errors: .05, after: 120},
		{name: "errors to 10 % over 5 min", errors: .1, ramp: 300},
	}
)

// outcome is what became of one deployment.
type outcome struct {
	bad       bool
	verdict   event.Verdict
	regressed float64 // seconds from the onset to the verdict; NaN: never
	early     bool    // regressed before the onset
	healthy   float64 // seconds from the deployment; NaN: never
	onset     float64 // error of the estimated onset, seconds; NaN: none
	etas      []eta
	others    []float64 // of each baseline, as regressed; before the onset: negative
}

// play plays one deployment for so many seconds of watch. It stops when all
// have decided.
func play(seed uint64, s shape, n noise, f fault, watch int, withOthers bool) outcome {
	w := newWorld(seed, s, n, f)
	out := outcome{bad: f != none, regressed: math.NaN(), healthy: math.NaN(), onset: math.NaN()}
	var others []baseline
	if withOthers {
		others = newBaselines(seed)
		out.others = make([]float64, len(others))
		for i := range out.others {
			out.others[i] = math.NaN()
		}
	}
	history := historySeconds
	if n.history > 0 {
		history = n.history
	}
	for range history {
		_, old := w.second(-1)
		for _, b := range others {
			b.past(old)
		}
	}
	deployed := w.sec
	w.deploy()
	var told toldETAs
	for age := range watch {
		fresh, old := w.second(age)
		onset := w.onset(deployed)
		waiting := false
		for i, b := range others {
			if !math.IsNaN(out.others[i]) {
				continue
			}
			if b.step(fresh, old) {
				out.others[i] = float64(w.sec - onset)
			} else {
				waiting = true
			}
		}
		v := w.last
		told.follow(v, w.sec)
		if v.State == event.Healthy && math.IsNaN(out.healthy) {
			out.healthy = float64(w.sec - deployed)
		}
		if v.State == event.Regressed && math.IsNaN(out.regressed) {
			out.regressed = float64(w.sec - onset)
			out.early = out.bad && w.sec <= onset
			if v.Onset != nil && f.ramp == 0 {
				out.onset = math.Abs(float64(v.Onset.At.Unix() - onset))
			}
		}
		if !math.IsNaN(out.regressed) && !waiting {
			break
		}
	}
	out.verdict, out.etas = w.last, told.judged(w.sec)
	return out
}

// each runs jobs on all cores; the results keep their order.
func each[T any](n int, job func(i int) T) []T {
	out := make([]T, n)
	next := make(chan int)
	var work sync.WaitGroup
	for range runtime.GOMAXPROCS(0) {
		work.Go(func() {
			for i := range next {
				out[i] = job(i)
			}
		})
	}
	for i := range n {
		next <- i
	}
	close(next)
	work.Wait()
	return out
}

// size is how much is played.
type size struct {
	Placebos int // windows
	Repeats  int // of each scenario of the suite
	Targets  int // runs a target
	Restless int // placebos of each kind of restless traffic, and a fifth as many faults
}

var (
	full  = size{Placebos: 3000, Repeats: 2, Targets: 200, Restless: 200}
	small = size{Placebos: 80, Repeats: 0, Targets: 16, Restless: 6}
)

const watchSeconds = 600

type scenario struct {
	shape shape
	noise noise
	fault fault
}

// scenarios are all faults in all shapes in all noises; the small form takes a
// spread of them.
func scenarios(z size) (out []scenario) {
	k := 0
	for _, s := range []shape{canary, rolling, atOnce, low} {
		for _, n := range []noise{iid, ar1, bursts, biased, season} {
			for _, f := range faults {
				if f.vanish && s.replaces && n.name == season.name {
					continue // the whole service's traffic swings as far as what vanished
				}
				if k++; z.Repeats > 0 || k%8 == 0 {
					out = append(out, scenario{s, n, f})
				}
			}
		}
	}
	return out
}

// judged is one judge's record over a suite.
type judged struct {
	name                                string
	truePositive, falsePositive, missed int
	delays                              []float64
	bad, good                           int
}

func (j *judged) add(bad bool, delay float64) {
	if bad {
		j.bad++
	} else {
		j.good++
	}
	switch hit := !math.IsNaN(delay); {
	case bad && hit && delay > 0:
		j.truePositive++
		j.delays = append(j.delays, delay)
	case hit:
		j.falsePositive++ // of a good deployment, or before there was harm
	case bad:
		j.missed++
	}
}

func (j *judged) precision() float64 {
	return float64(j.truePositive) / math.Max(float64(j.truePositive+j.falsePositive), 1)
}
func (j *judged) recall() float64 { return float64(j.truePositive) / math.Max(float64(j.bad), 1) }

// results are all that was measured on seeded traffic.
type results struct {
	Size     size
	Seed     uint64
	Suite    []judged          // ours first
	Misses   map[string][2]int // by fault: missed, of
	ByShape  map[string][2]int
	Placebo  []judged     // on noisy traffic without a fault, ours first
	PlaceboN []string     // by shape: false of windows
	Errors   [2][]float64 // 1 → 3 %: delays under iid and under real noise
	Hard     []float64
	Thrown   []float64
	Healthy  []float64
	HealthyN int
	Onsets   []float64
	ETAs     []eta
	Restless []unrest
	Limits   limits
}

func suite(z size, seed uint64) results {
	r := results{Size: z, Seed: seed, Misses: map[string][2]int{}, ByShape: map[string][2]int{}}
	names := append([]string{"deployloop"}, baselineNames...)
	fresh := func() []judged {
		out := make([]judged, len(names))
		for i := range out {
			out[i].name = names[i]
		}
		return out
	}

	r.Suite = fresh()
	list := scenarios(z)
	repeats := max(z.Repeats, 1)
	type pairOf struct{ bad, good outcome }
	for i, p := range each(len(list)*repeats, func(i int) pairOf {
		c := list[i/repeats]
		at := seed*1_000_003 + uint64(i)
		return pairOf{play(at, c.shape, c.noise, c.fault, watchSeconds, true), play(at+500_000, c.shape, c.noise, none, watchSeconds, true)}
	}) {
		c := list[i/repeats]
		for _, o := range []outcome{p.bad, p.good} {
			r.Suite[0].add(o.bad, o.regressed)
			for k := range o.others {
				r.Suite[k+1].add(o.bad, o.others[k])
			}
		}
		for key, into := range map[string]map[string][2]int{c.fault.name: r.Misses, c.shape.name: r.ByShape} {
			m := into[key]
			m[1]++
			if math.IsNaN(p.bad.regressed) || p.bad.regressed <= 0 {
				m[0]++
			}
			into[key] = m
		}
		if !math.IsNaN(p.bad.onset) {
			r.Onsets = append(r.Onsets, p.bad.onset)
		}
		r.ETAs = append(append(r.ETAs, p.bad.etas...), p.good.etas...)
	}

	r.Placebo = fresh()
	shapes := []shape{canary, rolling, atOnce, low, lowAtOnce}
	bad := map[string][2]int{}
	for i, o := range each(z.Placebos, func(i int) outcome {
		return play(seed*7_000_003+uint64(i), shapes[i%len(shapes)], real_, none, watchSeconds, i/len(shapes)%10 == 0)
	}) {
		r.Placebo[0].add(false, o.regressed)
		for k := range o.others {
			r.Placebo[k+1].add(false, o.others[k])
		}
		b := bad[shapes[i%len(shapes)].name]
		b[1]++
		if !math.IsNaN(o.regressed) {
			b[0]++
		}
		bad[shapes[i%len(shapes)].name] = b
	}
	for _, s := range shapes {
		r.PlaceboN = append(r.PlaceboN, count(s.name, bad[s.name]))
	}

	delays := func(s shape, n noise, f fault) []float64 {
		var out []float64
		for _, o := range each(z.Targets, func(i int) outcome { return play(seed*11_000_003+uint64(i), s, n, f, watchSeconds, false) }) {
			if math.IsNaN(o.regressed) {
				o.regressed = math.Inf(1)
			}
			out = append(out, o.regressed)
		}
		return out
	}
	r.Errors[0] = delays(canary, iid, faults[0])
	r.Errors[1] = delays(canary, real_, faults[0])
	r.Hard = delays(tenNew, iid, faults[1])
	r.Thrown = delays(tenNew, iid, thrown)
	for _, o := range each(max(z.Targets/4, 4), func(i int) outcome { return play(seed*13_000_003+uint64(i), canary, iid, none, 1200, false) }) {
		r.HealthyN++
		if !math.IsNaN(o.healthy) {
			r.Healthy = append(r.Healthy, o.healthy)
		}
	}
	r.Restless = playRestless(z, seed)
	r.Limits = limitsOf(z, seed)
	return r
}
