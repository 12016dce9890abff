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

// instanceSpread is how far instances of one version differ in an operation's
// share beyond a bound (or, complement, within it), relative: what the old
// cohort's instances show beside the noise of their counts, shrunk towards a
// prior that was measured on real rollouts.
func (w *watch) instanceSpread(op int32, bound int16, tail float64, complement bool) float64 {
	prior := latencySpread(tail)
	if complement {
		prior *= math.Min(tail/(1-tail), 1)
	}
	w.service.mu.Lock()
	sources := append([]*Source(nil), w.service.sources...)
	w.service.mu.Unlock()
	var x, n []float64
	events, total := 0., 0.
	for _, s := range sources {
		if int(op) >= len(s.slowness) || !w.wasThere(s) {
			continue
		}
		beyond, all := 0., 0.
		slow := &s.slowness[op]
		for i, c := range slow.N {
			all += float64(c)
			if slow.First+i > int(bound) != complement {
				beyond += float64(c)
			}
		}
		if all < spreadEnough {
			continue
		}
		x, n = append(x, beyond), append(n, all)
		events, total = events+beyond, total+all
	}
	if len(x) < spreadLeast || events == 0 {
		return prior
	}
	p, squares := events/total, 0.
	for i := range x {
		d := x[i]/n[i]/p - 1
		squares += d*d - (1-p)/(p*n[i])
	}
	free := float64(len(x) - 1)
	return math.Sqrt((spreadPrior*prior*prior + math.Max(squares, 0)) / (spreadPrior + free))
}
