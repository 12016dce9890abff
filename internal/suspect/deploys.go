package suspect

import (
	"math"
	"time"
)

// Deploy is a deployment that may be behind harm, its own service's or that of a
// service which calls it.
type Deploy struct {
	ID      string
	Service string
	Ready   time.Time // when its first instance served; when it began, where none did yet
	Nats    float64   // evidence that the harm in its own service follows its version
}

// Harm is what got worse in one service.
type Harm struct {
	Service          string
	From, Till, Best time.Time // of its onset
	// Explained is the share of it that failed calls to each other service
	// explain: what is left is its own, exclusive of what it calls.
	Explained map[string]float64
	// Own is the share of it that is the service's own, where joined spans tell:
	// failed without a failed call, slow by time of its own. Nil: what Explained
	// leaves.
	Own *float64
}

// own is how much of the harm the service's own version is asked for.
func (h *Harm) own() float64 {
	if h.Own != nil {
		return *h.Own
	}
	left := 1.0
	for _, share := range h.Explained {
		left -= share
	}
	return math.Max(left, 0)
}

// The terms of the posterior over deployments (docs/detection.md, "Attribution").
const (
	otherShare   = .15 // prior of "something else"
	perHop       = 1.  // nats that each call between harm and culprit costs
	outOfReach   = 6.  // nats, where no call leads from the harm to the deployment
	mostEvidence = 8.  // nats that the version counts for at most
	horizon      = 72 * time.Hour
)

// Attribute is the probability of each deployment, and of something else, that
// it is what did the harm: by the time of the onset, by how the effect follows
// the version, and by how far through calls it is, on what is exclusive.
func Attribute(h Harm, deploys []Deploy, reach func(from, to string) (hops int, ok bool)) (p []float64, other float64) {
	scores := make([]float64, len(deploys))
	for i, d := range deploys {
		if h.Till.Before(d.Ready) {
			scores[i] = math.Inf(-1) // the harm is older
			continue
		}
		score := math.Log((1-otherShare)/float64(len(deploys))) + onsetTerm(h.Best.Sub(d.Ready))
		version := mostEvidence * math.Tanh(d.Nats/mostEvidence)
		switch hops, ok := reach(h.Service, d.Service); {
		case d.Service == h.Service:
			score += version * h.own()
		case ok:
			explained := math.Min(h.Explained[d.Service], 1)
			if h.Own != nil {
				explained = math.Min(explained, 1-*h.Own)
			}
			score += version + mostEvidence*explained - perHop*float64(hops)
		default:
			score -= outOfReach
		}
		scores[i] = score
	}
	p = posterior(scores, math.Log(otherShare))
	other = 1
	for _, x := range p {
		other -= x
	}
	return p, math.Max(other, 0)
}

// onsetTerm weighs how long after the first instance the harm began, against an
// onset at any time of three days: .7·Exp(60 s) + .25·Exp(1 h) + .05·U(72 h).
func onsetTerm(after time.Duration) float64 {
	s := math.Max(after.Seconds(), 0)
	whole := horizon.Seconds()
	density := .7/60*math.Exp(-s/60) + .25/3600*math.Exp(-s/3600)
	if s <= whole {
		density += .05 / whole
	}
	return math.Log(math.Max(density*whole, 1e-9))
}
