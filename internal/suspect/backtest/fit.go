package backtest

import (
	"math"

	"github.com/deployloop/deployloop/internal/suspect"
)

// Fitting is a maximum a posteriori conditional logit: each case is a choice
// among its candidates and "something else". The prior is a Gaussian round
// suspect.Prior, so that a feature the cases never show (the text of changed
// lines, which they do not hold) keeps its weight.
const (
	// outsideShare is how much of the weight of each case goes to its twin
	// without the culprit, in which "something else" is the answer: the assumed
	// share of regressions that no commit of the range caused.
	outsideShare = .15
	iterations   = 2000
	step         = .05
	// priorDeviation is how far from its prior a weight is held to be, in nats.
	priorDeviation = 1.5
)

type sample struct {
	vectors []suspect.Vector
	answer  int // -1: something else
	weight  float64
}

// prepared is a case in numbers: with its culprit, and without.
type prepared struct {
	repository    string
	with, without sample
}

func prepare(cases []Case) []prepared {
	out := make([]prepared, len(cases))
	for i, c := range cases {
		without := make([]suspect.Commit, 0, len(c.Commits)-1)
		without = append(append(without, c.Commits[:c.Answer]...), c.Commits[c.Answer+1:]...)
		out[i] = prepared{
			repository: c.Repository,
			with:       sample{vectors: suspect.Vectors(c.Symptom, c.Commits, suspect.Options{}), answer: c.Answer},
			without:    sample{vectors: suspect.Vectors(c.Symptom, without, suspect.Options{}), answer: -1},
		}
	}
	return out
}

// Fit gives the weights that explain the cases best, under the prior.
func Fit(cases []Case) suspect.Weights { return fit(prepare(cases), "") }

// fit leaves one repository out. A repository counts with the square root of
// its cases, since they repeat each other.
func fit(cases []prepared, leftOut string) suspect.Weights {
	perRepository := map[string]float64{}
	for _, c := range cases {
		perRepository[c.repository]++
	}
	var samples []sample
	for _, c := range cases {
		if c.repository == leftOut {
			continue
		}
		weight := 3 / math.Sqrt(perRepository[c.repository])
		c.with.weight, c.without.weight = weight*(1-outsideShare), weight*outsideShare
		samples = append(samples, c.with, c.without)
	}
	return ascend(samples)
}

// ascend maximises the log posterior by Adam with the exact gradient. The
// objective is concave, so the start does not matter.
func ascend(samples []sample) suspect.Weights {
	const beta1, beta2, epsilon = .9, .999, 1e-8
	n := len(suspect.FeatureNames)
	w := suspect.Prior
	m, v := make([]float64, n+1), make([]float64, n+1)
	for it := 1; it <= iterations; it++ {
		g := gradient(samples, w)
		rate := step / math.Sqrt(1+float64(it)/200)
		for k := range g {
			m[k] = beta1*m[k] + (1-beta1)*g[k]
			v[k] = beta2*v[k] + (1-beta2)*g[k]*g[k]
			move := rate * (m[k] / (1 - math.Pow(beta1, float64(it)))) / (math.Sqrt(v[k]/(1-math.Pow(beta2, float64(it)))) + epsilon)
			if k == n {
				w.Other += move
			} else {
				w.Feature[k] += move
			}
		}
	}
	return w
}

func gradient(samples []sample, w suspect.Weights) []float64 {
	n := len(suspect.FeatureNames)
	g := make([]float64, n+1)
	variance := priorDeviation * priorDeviation
	for k := range n {
		g[k] = (suspect.Prior.Feature[k] - w.Feature[k]) / variance
	}
	g[n] = (suspect.Prior.Other - w.Other) / variance
	for _, s := range samples {
		p, other := w.Probabilities(s.vectors)
		for i, x := range s.vectors {
			residual := -p[i]
			if i == s.answer {
				residual++
			}
			for k := range n {
				g[k] += s.weight * residual * x[k]
			}
		}
		if s.answer < 0 {
			g[n] += s.weight * (1 - other)
		} else {
			g[n] -= s.weight * other
		}
	}
	return g
}
