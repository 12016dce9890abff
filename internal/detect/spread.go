package detect

import "math"

const (
	// complementFrom is the tail share from which what is counted is the
	// requests within a bound: a share that may double has no room to.
	complementFrom = .2
	spreadPrior    = 2.  // weight of the prior spread, in instances
	spreadEnough   = 200 // requests of an instance that make its share known
	spreadLeast    = 3   // instances that make a spread
	slownessLimit  = 1e6 // requests, at which the past is halved
)

// addSlowness keeps what one instance's latencies are like, to learn how far
// instances of one version differ.
func (s *Source) addSlowness(op int32, k *sketch) {
	s.slowness = growTo(s.slowness, max(len(s.slowness), int(op)+1))
	slow := &s.slowness[op]
	k.addTo(slow)
	total := float32(0)
	for _, n := range slow.N {
		total += n
	}
	if total > slownessLimit {
		for i := range slow.N {
			slow.N[i] /= 2
		}
	}
}

// Fellows are the old cohort's instances as far as their shares beyond a bound
// (or within it) tell how far instances of one version differ: sums over those
// with requests n enough, x of them counted.
type Fellows struct {
	Tail       float64 `json:"tail"`               // share of the past beyond the bound
	Complement bool    `json:"within,omitempty"`   // counted are those within it
	Instances  float64 `json:"instances"`          //
	Events     float64 `json:"events,omitempty"`   // Σx
	Requests   float64 `json:"requests,omitempty"` // Σn
	Shares     float64 `json:"shares,omitempty"`   // Σx/n
	Squares    float64 `json:"squares,omitempty"`  // Σ(x/n)²
	Inverse    float64 `json:"inverse,omitempty"`  // Σ1/n
}

// spread is what the instances show beside the noise of their counts, relative,
// shrunk towards a prior that was measured on real rollouts.
func (f *Fellows) spread() float64 {
	prior := latencySpread(f.Tail)
	if f.Complement {
		prior *= math.Min(f.Tail/(1-f.Tail), 1)
	}
	if f.Instances < spreadLeast || f.Events == 0 {
		return prior
	}
	p := f.Events / f.Requests
	squares := f.Squares/(p*p) - 2*f.Shares/p + f.Instances - (1-p)/p*f.Inverse
	return math.Sqrt((spreadPrior*prior*prior + math.Max(squares, 0)) / (spreadPrior + f.Instances - 1))
}

// fellows is what the spread of an indicator's levels was found from.
type fellows struct {
	test   *latencyTest
	levels [latencyLevels]Fellows
}

// maxFellows bounds the indicators of a watch for which it is kept: 32 took 56 B of
// each open indicator, a tenth.
const maxFellows = 8

// keepFellows keeps what a level's spread was found from, for the document.
func (w *watch) keepFellows(i *indicator, k int, f Fellows) {
	if w.placebo != nil || w.always {
		return
	}
	kept := w.fellows[i]
	if kept == nil {
		if len(w.fellows) >= maxFellows {
			return
		}
		if w.fellows == nil {
			w.fellows = map[*indicator]*fellows{}
		}
		kept = &fellows{}
		w.fellows[i] = kept
	}
	kept.test, kept.levels[k] = i.test, f
}

// instanceSpread is how far instances of one version differ in an operation's
// share beyond a bound (or, complement, within it): what the old cohort's show.
func (w *watch) instanceSpread(op int32, bound int16, tail float64, complement bool) Fellows {
	f := Fellows{Tail: tail, Complement: complement}
	w.service.mu.Lock()
	sources := append([]*Source(nil), w.service.sources...)
	w.service.mu.Unlock()
	for _, s := range sources {
		if int(op) >= len(s.slowness) || !w.wasThere(s) {
			continue
		}
		x, n := 0., 0.
		slow := &s.slowness[op]
		for i, c := range slow.N {
			n += float64(c)
			if slow.First+i > int(bound) != complement {
				x += float64(c)
			}
		}
		if n < spreadEnough {
			continue
		}
		f.Instances++
		f.Events += x
		f.Requests += n
		f.Shares += x / n
		f.Squares += x / n * x / n
		f.Inverse += 1 / n
	}
	return f
}
