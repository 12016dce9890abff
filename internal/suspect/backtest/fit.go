package backtest

import (
	"math"
	"slices"

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
	iterations   = 800
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

// Fit gives the weights that explain the cases best, under the prior, and the
// correction that makes them honest about repositories they have not seen.
func Fit(cases []Case) suspect.Weights { return fitAll(prepare(cases)) }

// fitAll fits the features on all cases, and the correction on what features
// fitted on the other repositories say of each.
func fitAll(cases []prepared) suspect.Weights {
	w := fit(cases, "")
	var seen []outcome
	for _, repository := range repositoriesOf(cases) {
		without := fit(cases, repository)
		for _, c := range cases {
			if c.repository != repository {
				continue
			}
			seen = append(seen, judge(c.with, without, 1-outsideShare), judge(c.without, without, outsideShare))
		}
	}
	w.Sure = logistic(seen)
	return w
}

func repositoriesOf(cases []prepared) []string {
	var names []string
	for _, c := range cases {
		if !slices.Contains(names, c.repository) {
			names = append(names, c.repository)
		}
	}
	return names
}

// outcome is whether a first candidate was right, and how sure it looked.
type outcome struct {
	x      [3]float64 // 1, logit, direct
	right  float64
	weight float64
}

func judge(s sample, w suspect.Weights, weight float64) outcome {
	p, _ := w.Probabilities(s.vectors)
	top, logit, direct := suspect.Sureness(p, func(i int) suspect.Vector { return s.vectors[i] })
	o := outcome{x: [3]float64{1, logit, direct}, weight: weight}
	if top == s.answer {
		o.right = 1
	}
	return o
}

// logistic regression by gradient ascent, with a Gaussian prior of deviation 1
// round "as it is".
func logistic(seen []outcome) [3]float64 {
	b := suspect.Prior.Sure
	for range 3000 {
		var g [3]float64
		for k := range b {
			g[k] = suspect.Prior.Sure[k] - b[k]
		}
		total := 1.0
		for _, o := range seen {
			p := 1 / (1 + math.Exp(-(b[0]*o.x[0] + b[1]*o.x[1] + b[2]*o.x[2])))
			for k := range g {
				g[k] += o.weight * (o.right - p) * o.x[k]
			}
			total += o.weight
		}
		for k := range b {
			b[k] += .5 * g[k] / total
		}
	}
	return b
}

// fit leaves one repository out. A repository counts with the square root of
// its cases, since they repeat each other.
func fit(cases []prepared, leftOut string) suspect.Weights {
	return ascend(learning(cases, leftOut))
}

// learning are the weighed choices that a fit learns from.
func learning(cases []prepared, leftOut string) []sample {
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
	return samples
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
