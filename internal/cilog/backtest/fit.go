package backtest

import (
	"io"
	"math"
	"os"
	"slices"

	"github.com/deployloop/deployloop/internal/cilog"
)

// Fitting is a logistic regression with a Gaussian prior round zero. It learns
// what both people marked: what only one did is no sure cause, and the first one
// marks what says only again that the build failed, which no reader needs.
const (
	priorDeviation = 2.0 // of a feature's weight, in nats
	// minMarked keeps a log in which one line is marked from weighing as much a
	// line as hundreds of others.
	minMarked = 5
	perCase   = 5.0 // lines that a log counts for
)

// The truths that choices are judged by.
const (
	first  = iota // what the first person marked
	second        // what the second person marked
	both          // what both marked
	truths
)

// prepared is a case in numbers.
type prepared struct {
	Case
	patterns []pattern
	at       []int // the pattern of each line
	marked   [truths][]bool
	count    [truths]float64
}

// pattern is how many lines of a log share their features, and how many of
// those both people marked.
type pattern struct {
	vector        cilog.Vector
	lines, marked float64
}

// prepare reads the cases, with the logs that passed or without.
func prepare(cases []Case, compared bool) ([]prepared, error) {
	out := make([]prepared, len(cases))
	for i, c := range cases {
		var b *cilog.Baseline
		if compared {
			b = new(cilog.Baseline)
			if err := reading(c.Passed, b.Learn); err != nil {
				return nil, err
			}
		}
		err := reading(c.Failed, func(r io.Reader) error {
			vectors, err := cilog.Vectors(r, b)
			out[i] = newPrepared(c, vectors)
			return err
		})
		if err != nil {
			return nil, err
		}
	}
	return out, nil
}

func reading(file string, use func(io.Reader) error) error {
	f, err := os.Open(file)
	if err != nil {
		return err
	}
	defer f.Close()
	return use(f)
}

func newPrepared(c Case, vectors []cilog.Vector) prepared {
	p := prepared{Case: c}
	for t := range truths {
		p.marked[t] = make([]bool, len(vectors))
	}
	index := map[cilog.Vector]int{}
	for i, v := range vectors {
		k, known := index[v]
		if !known {
			k = len(p.patterns)
			index[v] = k
			p.patterns = append(p.patterns, pattern{vector: v})
		}
		p.at = append(p.at, k)
		p.patterns[k].lines++
		for t, is := range [truths]bool{c.Marked[0][i+1], c.Marked[1][i+1], c.Marked[0][i+1] && c.Marked[1][i+1]} {
			if is {
				p.marked[t][i] = true
				p.count[t]++
			}
		}
		if p.marked[both][i] {
			p.patterns[k].marked++
		}
	}
	return p
}

// scores are those of the lines; NaN of blank ones.
func (p prepared) scores(w cilog.Weights) []float64 {
	of := make([]float64, len(p.patterns))
	for k, x := range p.patterns {
		if of[k] = w.Score(x.vector); x.vector == cilog.Blank {
			of[k] = math.NaN()
		}
	}
	scores := make([]float64, len(p.at))
	for i, k := range p.at {
		scores[i] = of[k]
	}
	return scores
}

// sample is how often, by weight, lines with these features were marked and not.
type sample struct {
	vector      cilog.Vector
	marked, not float64
}

// learning are the samples of the cases. A line weighs one over the marked lines
// of its log, whether it is marked or not: then logs count alike, as they do in
// the measure. A repository counts with the square root of its logs, since they
// repeat each other.
func learning(cases []prepared) []sample {
	perRepository := map[string]float64{}
	for _, c := range cases {
		perRepository[c.Repository]++
	}
	index := map[cilog.Vector]int{}
	var samples []sample
	for _, c := range cases {
		weight := perCase / math.Sqrt(perRepository[c.Repository]) / math.Max(c.count[both], minMarked)
		for _, x := range c.patterns {
			if x.vector == cilog.Blank {
				continue
			}
			k, known := index[x.vector]
			if !known {
				k = len(samples)
				index[x.vector] = k
				samples = append(samples, sample{vector: x.vector})
			}
			samples[k].marked += weight * x.marked
			samples[k].not += weight * (x.lines - x.marked)
		}
	}
	return samples
}

// Fit gives the weights that explain the marks of the cases best, and the
// threshold that chooses best among them.
func Fit(cases []Case, compared bool) (cilog.Weights, error) {
	p, err := prepare(cases, compared)
	if err != nil {
		return cilog.Weights{}, err
	}
	return fit(p), nil
}

func fit(cases []prepared) cilog.Weights {
	w := ascend(learning(cases))
	w.Threshold = threshold(cases, w)
	return w
}

// ascend maximises the log posterior by Newton's method. The objective is
// strictly concave, so the start does not matter.
func ascend(samples []sample) cilog.Weights {
	const n = cilog.FeatureCount + 1 // the last is the bias, whose prior is wide
	b := make([]float64, n)
	on := make([]int, 0, n)
	for range 50 {
		gradient, curvature := make([]float64, n), make([][]float64, n)
		for k := range n {
			curvature[k] = make([]float64, n)
			precision := 1 / (priorDeviation * priorDeviation)
			if k == n-1 {
				precision = .01
			}
			gradient[k], curvature[k][k] = -b[k]*precision, precision
		}
		for _, s := range samples {
			on = on[:0]
			for f := range cilog.FeatureCount {
				if s.vector>>f&1 == 1 {
					on = append(on, f)
				}
			}
			on = append(on, n-1)
			z := 0.0
			for _, i := range on {
				z += b[i]
			}
			p := 1 / (1 + math.Exp(-z))
			residual, curve := s.marked*(1-p)-s.not*p, (s.marked+s.not)*p*(1-p)
			for _, i := range on {
				gradient[i] += residual
				for _, j := range on {
					curvature[i][j] += curve
				}
			}
		}
		move := solve(curvature, gradient)
		size := 0.0
		for _, m := range move {
			size = max(size, math.Abs(m))
		}
		for k := range b { // a step of more than two nats may overshoot
			b[k] += move[k] * min(1, 2/size)
		}
		if size < 1e-6 {
			break
		}
	}
	var w cilog.Weights
	copy(w.Feature[:], b)
	w.Bias = b[n-1]
	return w
}

// solve solves a·x = y for a positive definite a, which it uses up, by
// Cholesky's decomposition.
func solve(a [][]float64, y []float64) []float64 {
	n := len(y)
	x := slices.Clone(y)
	for i := range n {
		for j := range i + 1 {
			sum := a[i][j]
			for k := range j {
				sum -= a[i][k] * a[j][k]
			}
			if i == j {
				a[i][i] = math.Sqrt(sum)
			} else {
				a[i][j] = sum / a[j][j]
			}
		}
	}
	for i := range n {
		for k := range i {
			x[i] -= a[i][k] * x[k]
		}
		x[i] /= a[i][i]
	}
	for i := n - 1; i >= 0; i-- {
		for k := i + 1; k < n; k++ {
			x[i] -= a[k][i] * x[k]
		}
		x[i] /= a[i][i]
	}
	return x
}

// threshold finds the middle of the nats in which the mean F1 on the cases is
// best: its single best value is one of chance, since a few lines make it.
func threshold(cases []prepared, w cilog.Weights) float64 {
	const lowest, steps, perNat = -4.0, 33, 4
	f1 := make([]float64, steps)
	for _, c := range cases {
		scores := c.scores(w)
		for i := range f1 {
			f1[i] += c.judge(cilog.Choose(scores, lowest+float64(i)/perNat), both).F1
		}
	}
	best, at := -1.0, 0
	for i := perNat; i < steps-perNat; i++ {
		sum := 0.0
		for _, x := range f1[i-perNat : i+perNat+1] {
			sum += x
		}
		if sum > best {
			best, at = sum, i
		}
	}
	return lowest + float64(at)/perNat
}
