package main

import (
	"math"
	"math/rand/v2"
)

// The information limit of a line is what the best sequential test would need
// that knows what no detector does: the traffic, both rates, the kind of harm
// and the second in which it would begin. By Wald and Wolfowitz none is faster
// on average at the same rate of false alarms. Its counts are independent
// draws; noise of instances comes on top for everybody.

const (
	limitAlpha   = .001 // of a deployment, as ours
	healthyLimit = .05
	lateness     = 1 // second that a virtual clock waits for late items
	// slowBefore is the share of requests that take more than a second anyway:
	// the lognormal's tail.
	rarelySlow = 2.2e-7
)

// callNats is the evidence that a new deployment's first indicator needs to be
// called: the engine's provisional threshold, its grid of ratios, its weight of
// the first begin, and its share (docs/detection.md).
var callNats = math.Log(1000) + math.Log(2) + math.Log(8) + math.Log(2) - math.Log(firstShare)

// firstShare is the first golden indicator's share of a deployment's evidence.
var firstShare = .5 / (math.Ln2 * math.Ln2) / 3.39

// llr is the log likelihood ratio of harm in one second of the new version, the
// traffic being harmed to so much strength.
func llr(rng *rand.Rand, s shape, f fault, strength float64) float64 {
	harmed := math.Round(strength*1e6) / 1e6
	switch {
	case harmed <= 0:
		return 0
	case f.errors > 0:
		p := s.errors + harmed*(f.errors-s.errors)
		return shareLLR(rng, s.newRate, p, s.errors, p)
	case f.exception > 0:
		return shareLLR(rng, s.newRate, f.exception*harmed, 0, f.exception*harmed)
	case f.line > 0:
		return shareLLR(rng, s.newRate, f.line*harmed, 0, f.line*harmed)
	case f.tail > 0:
		return shareLLR(rng, s.newRate, f.tail*harmed, rarelySlow, f.tail*harmed)
	case f.vanish: // an eighth of the requests
		return float64(poisson(rng, s.newRate*7/8)) * math.Log(8./7)
	case f.latency > 0: // of a lognormal whose median moves
		d := math.Log(1+harmed*(f.latency-1)) / latencySpread
		n := float64(poisson(rng, s.newRate))
		return n*d*d/2 + math.Sqrt(n)*d*rng.NormFloat64()
	}
	return 0
}

// shareLLR draws a second of requests of which a share of truth are events, and
// weighs p1 against p0.
func shareLLR(rng *rand.Rand, rate, truth, p0, p1 float64) float64 {
	x := float64(poisson(rng, rate*truth))
	n := float64(poisson(rng, rate*(1-truth)))
	out := n * math.Log((1-p1)/(1-p0))
	if x > 0 {
		out += x * math.Log(p1/p0) // +Inf of what never was before
	}
	return out
}

// limitOf is the delay and the error of the onset of one deployment, of
// independent draws, for whoever knows all but whether and when: the delay of
// the likelihood ratio test, and of the most likely second of onset, known
// rates given, a minute later. NaN where the watch ended first.
func limitOf(seed uint64, s shape, f fault) (delay, onset float64) {
	rng := rand.New(rand.NewPCG(seed, 0x11a17))
	delay, onset = math.NaN(), math.NaN()
	best, sum, at := 0., 0., 0
	evidence := 0.
	for age := range watchSeconds {
		strength := f.strength(age)
		l := 0.
		if age >= f.after {
			l = llr(rng, s, f, strength)
		} else if f.errors > 0 { // for the onset: what comes before counts against it
			l = shareLLR(rng, s.newRate, s.errors, s.errors, f.errors)
		}
		// The onset is where the sum of what follows is largest.
		if sum += l; sum < best {
			best, at = sum, age+1
		}
		if age >= f.after && math.IsNaN(delay) {
			if evidence += l; evidence >= -math.Log(limitAlpha) {
				delay = float64(age-f.after+1) + lateness
			}
		}
		if age >= f.after+60 && !math.IsNaN(delay) {
			break
		}
	}
	if f.ramp == 0 && !math.IsNaN(delay) {
		onset = math.Abs(float64(at - f.after))
	}
	return delay, onset
}

// pairedLimit is the same for the test that the design reckons its bounds with:
// the old version's rate is not known but counted beside, a margin of a tenth is
// allowed, and only the ratio of the rates is known; nats is what it asks for.
func pairedLimit(seed uint64, s shape, f fault, watch int, nats float64) float64 {
	rng := rand.New(rand.NewPCG(seed, 0x9a17ed))
	const margin = 1.1
	ratio := f.errors / s.errors
	base := margin * s.newRate / (margin*s.newRate + s.oldRate)
	harm := ratio * s.newRate / (ratio*s.newRate + s.oldRate)
	evidence := 0.
	for age := range watch {
		x, y := float64(poisson(rng, s.newRate*f.errors)), float64(poisson(rng, s.oldRate*s.errors))
		evidence += x*math.Log(harm/base) + y*math.Log((1-harm)/(1-base))
		if evidence >= nats {
			return float64(age+1) + lateness
		}
	}
	return math.NaN()
}

// healthyLimitOf is the time to show that errors are below 1.5 times the rate of
// before, that rate being known, at the error that healthy may have.
func healthyLimitOf(seed uint64, s shape, watch int) float64 {
	rng := rand.New(rand.NewPCG(seed, 0x4ea174))
	evidence := 0.
	for age := range watch {
		if evidence += shareLLR(rng, s.newRate, s.errors, 1.5*s.errors, s.errors); evidence >= -math.Log(healthyLimit) {
			return float64(age+1) + lateness
		}
	}
	return math.NaN()
}

// limits are the information limits of what is measured.
type limits struct {
	Errors, Paired, Priced, Hard, Thrown, Healthy []float64
	Suite                                         judged
	Onsets                                        []float64
}

func limitsOf(z size, seed uint64) limits {
	var out limits
	n := max(z.Targets, 100) * 5 // they cost nothing
	draw := func(f func(seed uint64) float64) []float64 {
		d := make([]float64, n)
		for i := range d {
			if d[i] = f(seed*17_000_003 + uint64(i)); math.IsNaN(d[i]) {
				d[i] = math.Inf(1)
			}
		}
		return d
	}
	delay := func(s shape, f fault) []float64 {
		return draw(func(seed uint64) float64 { d, _ := limitOf(seed, s, f); return d })
	}
	out.Errors = delay(canary, faults[0])
	paired := func(nats float64) []float64 {
		return draw(func(seed uint64) float64 { return pairedLimit(seed, canary, faults[0], watchSeconds, nats) })
	}
	out.Paired, out.Priced = paired(-math.Log(limitAlpha)), paired(callNats)
	out.Hard = delay(tenNew, faults[1])
	out.Thrown = delay(tenNew, thrown)
	out.Healthy = draw(func(seed uint64) float64 { return healthyLimitOf(seed, canary, 1200) })
	out.Suite.name = "limit"
	repeats := max(z.Repeats, 1) * 5
	for i, c := range scenarios(z) {
		for k := range repeats {
			d, o := limitOf(seed*19_000_003+uint64(i*repeats+k), c.shape, c.fault)
			out.Suite.add(true, d)
			if !math.IsNaN(o) {
				out.Onsets = append(out.Onsets, o)
			}
		}
	}
	return out
}
