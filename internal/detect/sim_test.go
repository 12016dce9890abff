package detect

import (
	"math"
	"math/rand/v2"
	"sort"
	"strconv"
	"time"

	"github.com/deployloop/deployloop/internal/event"
)

// A sim plays a service second by second on a virtual clock. Counts are put
// into the sources' open seconds as Request would, so that millions of requests
// cost nothing; TestRequestAndInjectAgree holds the two together.
type sim struct {
	e    *Engine
	rng  *rand.Rand
	sec  int64
	last map[string]event.Verdict
}

const simStart = int64(1_790_000_000)

func newSim(seed uint64, cfg Config) *sim {
	cfg.Start = time.Unix(simStart, 0)
	return &sim{e: New(cfg), rng: rand.New(rand.NewPCG(seed, 7)), sec: simStart, last: map[string]event.Verdict{}}
}

// pod is one simulated instance.
type pod struct {
	source *Source
	rate   float64 // requests a second
	errors float64 // share
	median float64 // ms
	spread float64 // σ of ln latency
	noise  ar1     // of the rate of requests
	faults ar1     // of the error share and the latency
	op     string
}

// ar1 is multiplicative noise with a memory.
type ar1 struct{ sigma, tau, x float64 }

func (a *ar1) next(r *rand.Rand) float64 {
	if a.sigma == 0 {
		return 1
	}
	k := math.Exp(-1 / a.tau)
	a.x = k*a.x + a.sigma*math.Sqrt(1-k*k)*r.NormFloat64()
	return math.Exp(a.x)
}

func (s *sim) pod(version string, instance int, rate, errors float64) *pod {
	return &pod{source: s.e.Source(Origin{Service: "checkout", Environment: "prod", Version: version, Instance: version + "-" + strconv.Itoa(instance)}),
		rate: rate, errors: errors, median: 80, spread: .5, op: "POST /cart"}
}

// poisson draws a count (normal beyond 200).
func (s *sim) poisson(mean float64) float64 {
	if mean <= 0 {
		return 0
	}
	if mean > 200 {
		return math.Max(0, math.Round(mean+math.Sqrt(mean)*s.rng.NormFloat64()))
	}
	limit, p, k := math.Exp(-mean), 1., 0.
	for {
		p *= s.rng.Float64()
		if p <= limit {
			return k
		}
		k++
	}
}

// binomial draws a count of n (normal where both parts are large).
func (s *sim) binomial(n, p float64) float64 {
	switch {
	case n <= 0 || p <= 0:
		return 0
	case p >= 1:
		return n
	case n*p > 30 && n*(1-p) > 30:
		return math.Min(n, math.Max(0, math.Round(n*p+math.Sqrt(n*p*(1-p))*s.rng.NormFloat64())))
	case p > .5:
		return n - s.binomial(n, 1-p)
	}
	// Waiting times between successes.
	k, i, l := 0., 0., math.Log1p(-p)
	for {
		i += math.Floor(math.Log(1-s.rng.Float64())/l) + 1
		if i > n {
			return k
		}
		k++
	}
}

// play serves one second by a pod.
func (s *sim) play(p *pod) {
	wobble := p.faults.next(s.rng)
	n := s.poisson(p.rate * p.noise.next(s.rng))
	failed := s.binomial(n, math.Min(1, p.errors*wobble))
	s.inject(p, n, failed, p.median*math.Pow(wobble, .5))
}

func (s *sim) inject(p *pod, n, failed, median float64) {
	if n == 0 {
		return
	}
	src := p.source
	src.mu.Lock()
	defer src.mu.Unlock()
	src.weigh(1) // one that was evicted comes back
	op := src.operation(p.op)
	at := src.engine.clock.at(s.sec*second + second/2)
	src.items += uint64(n) - 1
	slot := src.place(at)
	if slot == nil {
		return
	}
	c := src.cell(slot, op)
	c.n += float32(n)
	c.timed += float32(n)
	c.failed += float32(failed)
	if failed > 0 && c.firstFailed == 0 {
		c.firstFailed = at
	}
	slot.weight += n
	slot.squares += n
	k := src.sketches[op]
	if k == nil {
		k = new(sketch)
		src.sketches[op] = k
	}
	if !k.dirty {
		k.dirty = true
		src.sketched = append(src.sketched, op)
	}
	// Counts of the latency classes: a multinomial, as binomials one after another.
	left, above := n, 1.
	test := src.ops[op].test.Load()
	for bin := range latencyBins {
		lo, hi := 0., 1.
		if bin > 0 {
			lo = normalCDF(math.Log(float64(latencyBounds[bin-1])/1e6/median) / p.spread)
		}
		if bin < len(latencyBounds) {
			hi = normalCDF(math.Log(float64(latencyBounds[bin])/1e6/median) / p.spread)
		}
		if hi-lo < 1e-9 {
			continue
		}
		x := s.binomial(left, math.Min(1, (hi-lo)/above))
		left, above = left-x, above-(hi-lo)
		*k.at(bin) += uint32(x)
		if test == nil {
			continue
		}
		level := 0
		for level < test.n && bin > int(test.bounds[level]) {
			level++
		}
		if level > 0 {
			c.beyond[level-1] += float32(x)
		}
	}
}

func normalCDF(z float64) float64 { return .5 * math.Erfc(-z/math.Sqrt2) }

// tick ends the second; what is told is kept by deployment.
func (s *sim) tick() []event.Verdict {
	s.sec++
	out := s.e.Tick(time.Unix(s.sec, 0))
	for _, v := range out {
		s.last[v.Deployment.ID] = v
	}
	return out
}

// run plays the pods for so many seconds, or until stop says so.
func (s *sim) run(seconds int, pods []*pod, stop func() bool) {
	for range seconds {
		for _, p := range pods {
			s.play(p)
		}
		s.tick()
		if stop != nil && stop() {
			return
		}
	}
}

func (s *sim) deploy(id, version, previous string) event.Deployment {
	d := event.Deployment{ID: id, Service: "checkout", Environment: "prod", Version: version, PreviousVersion: previous, StartedAt: time.Unix(s.sec, 0)}
	s.e.Watch(d, event.Advise)
	return d
}

func (s *sim) state(id string) event.VerdictState { return s.last[id].State }

func quantile(x []float64, q float64) float64 {
	sort.Float64s(x)
	return x[int(math.Min(float64(len(x)-1), math.Ceil(q*float64(len(x)))-1))]
}

// roll is a rolling update: a canary of one instance beside nine old ones.
func (s *sim) roll(newRate, newErrors float64, oldRate, oldErrors float64) (pods []*pod) {
	for i := range 9 {
		pods = append(pods, s.pod("1", i, oldRate/9, oldErrors))
	}
	return append(pods, s.pod("2", 0, newRate, newErrors))
}
