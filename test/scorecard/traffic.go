package main

import (
	"fmt"
	"math"
	"math/rand/v2"
	"time"

	"github.com/deployloop/deployloop/internal/detect"
	"github.com/deployloop/deployloop/internal/event"
)

// shape is how much traffic goes to whom.
type shape struct {
	name             string
	newPods, oldPods int
	newRate, oldRate float64 // requests a second in all
	errors           float64 // share that fails anyway
	replaces         bool    // the new version takes the place of the old one at once
}

// noise is how telemetry differs from independent draws.
type noise struct {
	name    string
	sigma   float64 // of AR(1) noise with tau, on each pod's rate and on its error share and latency
	tau     float64 // seconds
	podBias float64 // σ of ln of each pod's own error share and median latency
	bursts  float64 // σ of the rate, anew each second
	season  float64 // amplitude of the rate over ten minutes

	// What only a long history shows, alike for all instances.
	history      int     // seconds of it, 0: historySeconds
	works, every int     // seconds of work in each period; 0: always
	hiccup       float64 // share that fails while a dependency has the hiccups
	gap, lasts   int     // mean seconds between hiccups, and how long each is
	surge, calms float64 // σ of AR(1) noise on the rate, and its memory in seconds
	day          int     // seconds of a day
	swing        float64 // amplitude of the rate over it; half as much of failures, a fifth of latency
}

// fault is what the new version does worse.
type fault struct {
	name      string
	errors    float64 // its share of failed requests, 0: as before
	latency   float64 // factor of its latency, 0: as before
	tail      float64 // share of requests that take a second more
	exception float64 // share of requests that throw a new exception and fail
	line      float64 // share of requests that log a new ERROR line
	vanish    bool    // one operation is served no more
	after     int     // seconds after the first new instance
	ramp      int     // seconds until it is there in full
}

const (
	historySeconds = 300
	baseMedian     = 80. // ms
	latencySpread  = .5  // σ of ln latency
	slowAt         = 200 // ms: what baselines count as slow
	start          = int64(1_790_000_000)
)

// latencies are quantiles of the lognormal factor, drawn by index.
var latencies = func() (out [4096]float64) {
	for i := range out {
		p := (float64(i) + .5) / float64(len(out))
		out[i] = math.Exp(latencySpread * math.Sqrt2 * math.Erfinv(2*p-1))
	}
	return out
}()

// tally is one second of one cohort, as a baseline sees it.
type tally struct{ n, failed, slow float64 }

func (t *tally) add(u tally) {
	t.n += u.n
	t.failed += u.failed
	t.slow += u.slow
}

type pod struct {
	source     *detect.Source
	fresh      bool
	rate       float64
	bias       float64
	load, sick float64 // states of AR(1)
}

// world plays one deployment on a virtual clock.
type world struct {
	shape  shape
	noise  noise
	fault  fault
	rng    *rand.Rand
	engine *detect.Engine
	pods   []*pod
	sec    int64
	serial uint64
	last   event.Verdict

	phase    int64   // of days and periods of work
	working  int64   // second until which it works
	trouble  int64   // second until which a hiccup lasts
	tide     float64 // state of surges
	harmedAt int64   // first second that served a harmed request; 0: none yet
}

func newWorld(seed uint64, s shape, n noise, f fault) *world {
	w := &world{shape: s, noise: n, fault: f, rng: rand.New(rand.NewPCG(seed, 0x5c0e)), sec: start}
	w.engine = detect.New(detect.Config{Start: time.Unix(start, 0)})
	if n.every > 0 || n.day > 0 {
		w.phase = w.rng.Int64N(int64(max(n.every, n.day)))
	}
	for i := range s.oldPods {
		w.pods = append(w.pods, w.pod("1", i, s.oldRate/float64(s.oldPods), false))
	}
	return w
}

func (w *world) pod(version string, i int, rate float64, fresh bool) *pod {
	p := &pod{rate: rate, fresh: fresh, bias: math.Exp(w.noise.podBias * w.rng.NormFloat64())}
	p.source = w.engine.Source(detect.Origin{Service: "checkout", Environment: "prod", Version: version, Instance: fmt.Sprintf("%s-%d", version, i)})
	return p
}

// deploy brings the new version.
func (w *world) deploy() {
	w.engine.Watch(event.Deployment{ID: "d", Service: "checkout", Environment: "prod", Version: "2", PreviousVersion: "1", StartedAt: time.Unix(w.sec, 0)}, event.Advise)
	if w.shape.replaces {
		w.pods = nil
	}
	for i := range w.shape.newPods {
		w.pods = append(w.pods, w.pod("2", i, w.shape.newRate/float64(w.shape.newPods), true))
	}
}

func poisson(rng *rand.Rand, mean float64) int {
	if mean > 50 {
		return max(0, int(math.Round(mean+math.Sqrt(mean)*rng.NormFloat64())))
	}
	limit, p, k := math.Exp(-mean), 1., 0
	for {
		if p *= rng.Float64(); p <= limit {
			return k
		}
		k++
	}
}

// climate is what a second is like for all instances: the factor of the rate, the
// share that fails besides, and the factors of failures and of latency.
type climate struct{ rate, failing, failures, latency float64 }

func (w *world) climate() climate {
	n := &w.noise
	c := climate{1 + n.season*math.Sin(2*math.Pi*float64(w.sec%600)/600), 0, 1, 1}
	if n.day > 0 {
		tide := math.Sin(2 * math.Pi * float64((w.sec+w.phase)%int64(n.day)) / float64(n.day))
		c.rate *= 1 + n.swing*tide
		c.failures, c.latency = 1+n.swing/2*tide, 1+n.swing/5*tide
	}
	if n.every > 0 {
		if (w.sec+w.phase)%int64(n.every) == 0 { // seldom on the second
			w.working = w.sec + int64(n.works) + w.rng.Int64N(int64(n.works)/3) - int64(n.works)/6
		}
		if w.sec >= w.working {
			c.rate = 0
		}
	}
	if n.surge > 0 {
		k := math.Exp(-1 / n.calms)
		w.tide = k*w.tide + n.surge*math.Sqrt(1-k*k)*w.rng.NormFloat64()
		c.rate *= math.Exp(w.tide - n.surge*n.surge/2)
	}
	if n.hiccup > 0 {
		if w.sec >= w.trouble && w.rng.Float64() < 1/float64(n.gap) {
			w.trouble = w.sec + int64(n.lasts)
		}
		if w.sec < w.trouble {
			c.failing = n.hiccup
		}
	}
	return c
}

// strength is how much of the fault is there at an age of the new version.
func (f *fault) strength(age int) float64 {
	switch {
	case age < f.after:
		return 0
	case f.ramp > 0:
		return math.Min(1, float64(age-f.after)/float64(f.ramp))
	}
	return 1
}

// second plays one second; age is the new version's, negative before it.
func (w *world) second(age int) (fresh, old tally) {
	c := w.climate()
	k := 0.
	if w.noise.sigma > 0 {
		k = math.Exp(-1 / w.noise.tau)
	}
	for _, p := range w.pods {
		load, sick := 1., 1.
		if w.noise.sigma > 0 {
			s := w.noise.sigma * math.Sqrt(1-k*k)
			p.load = k*p.load + s*w.rng.NormFloat64()
			p.sick = k*p.sick + s*w.rng.NormFloat64()
			load, sick = math.Exp(p.load), math.Exp(p.sick)
		}
		if w.noise.bursts > 0 {
			load *= math.Exp(w.noise.bursts*w.rng.NormFloat64() - w.noise.bursts*w.noise.bursts/2)
		}
		strength := 0.
		if p.fresh {
			strength = w.fault.strength(age)
		}
		t := w.serve(p, poisson(w.rng, p.rate*c.rate*load), sick*p.bias, strength, c)
		if strength > 0 && t.n > 0 && w.harmedAt == 0 {
			w.harmedAt = w.sec
		}
		if p.fresh {
			fresh.add(t)
		} else {
			old.add(t)
		}
	}
	w.sec++
	for _, v := range w.engine.Tick(time.Unix(w.sec, 0)) {
		w.last = v
	}
	return fresh, old
}

// serve sends one pod's requests of one second to the engine.
func (w *world) serve(p *pod, n int, wobble, strength float64, c climate) (t tally) {
	f := &w.fault
	share := w.shape.errors*wobble*c.failures + c.failing
	median := baseMedian * math.Sqrt(wobble) * c.latency
	if strength > 0 && f.errors > 0 {
		share += strength * (f.errors - w.shape.errors)
	}
	if strength > 0 && f.latency > 0 {
		median *= 1 + strength*(f.latency-1)
	}
	for i := range n {
		draw := w.rng.Uint64()
		operation := "POST /cart"
		if draw&7 == 0 {
			operation = "POST /orders"
			if strength > 0 && f.vanish {
				continue
			}
		}
		ms := median * latencies[draw>>3&4095]
		failed := float64(draw>>24)/(1<<40) < share
		at := w.sec*1e9 + int64(i)*1e9/int64(n)
		if strength > 0 {
			if f.tail > 0 && w.rng.Float64() < strength*f.tail {
				ms += 1000
			}
			if f.exception > 0 && w.rng.Float64() < strength*f.exception {
				failed = true
				w.serial++
				p.source.Exception(detect.Exception{Fingerprint: 42, At: at, Trace: w.serial, Type: "KeyError", Message: "'sku'", Operation: operation}, nil)
			}
			if f.line > 0 && w.rng.Float64() < strength*f.line {
				p.source.Log(detect.LogLine{Template: 77, At: at, Text: "cannot reserve stock for <*>", Severity: 17}, nil)
			}
		}
		p.source.Request(detect.Request{Operation: operation, End: at, Duration: int64(ms * 1e6), Failed: failed}, nil)
		t.n++
		if failed {
			t.failed++
		}
		if ms > slowAt {
			t.slow++
		}
	}
	return t
}

// onset is the first second that served a harmed request; before that it is to
// come. Of a deployment without a fault it is its begin.
func (w *world) onset(deployed int64) int64 {
	switch {
	case w.fault == none:
		return deployed
	case w.harmedAt == 0:
		return w.sec + 1
	}
	return w.harmedAt
}
