package detect

import "math"

// π_1 = .5, the rest ∝ 1/(t·ln²(t+1)); by table: the first ones each, and then
// 256 an octave, each stretch by its last, so that the sum stays below one. That
// is at most half a percent less.
var (
	onsetScale   float64
	onsetWeights [onsetFirst]onsetPrior
	onsetLate    [onsetOctaves << onsetBits]onsetPrior
)

type onsetPrior struct{ pi, log, sum float64 } // π, its logarithm, and Σπ to its end

const (
	onsetFirst   = 4096
	onsetBits    = 8
	onsetOctaves = 19 // to the end of int32
	onsetShift   = 52 - onsetBits
)

// onsetOf is π_t, t from 1.
func onsetOf(t int32) *onsetPrior {
	if uint32(t) < onsetFirst {
		return &onsetWeights[t]
	}
	at := (math.Float64bits(float64(t)) - math.Float64bits(onsetFirst)) >> onsetShift
	return &onsetLate[min(at, uint64(len(onsetLate)-1))]
}

func init() {
	sum := 0.
	const n = 200000
	for t := 2; t <= n; t++ {
		l := math.Log(float64(t) + 1)
		sum += 1 / (float64(t) * l * l)
	}
	sum += 1 / math.Log(n) // the integral of the tail, from above
	onsetScale = .5 / sum
	sum = 0
	for t := range onsetWeights {
		pi := weightOfOnset(float64(t))
		if t > 0 {
			sum += pi
		}
		onsetWeights[t] = onsetPrior{pi, math.Log(pi), sum}
	}
	for i := range onsetLate {
		from, to := onsetStart(i), onsetStart(i+1)
		pi := weightOfOnset(to)
		sum += pi * (to - from)
		onsetLate[i] = onsetPrior{pi, math.Log(pi), sum}
	}
}

// onsetStart is the first t of a stretch of onsetLate.
func onsetStart(i int) float64 {
	return math.Float64frombits(math.Float64bits(onsetFirst) + uint64(i)<<onsetShift)
}

// priorSum is Σπ of this process over its first so many tests.
func (p *process) priorSum(tests int32) float64 {
	if p.always {
		return float64(tests)
	}
	x := onsetOf(tests)
	if tests < onsetFirst {
		return x.sum
	}
	at := (math.Float64bits(float64(tests)) - math.Float64bits(onsetFirst)) >> onsetShift
	end := onsetStart(int(at) + 1)
	return x.sum - x.pi*(end-1-float64(tests))
}

// prior is π_t of this process.
func (p *process) prior(t int32) float64 {
	if p.always {
		return 1
	}
	return onsetOf(t).pi
}

// logPrior is ln π_t of this process.
func (p *process) logPrior(t int32) float64 {
	if p.always {
		return 0
	}
	return onsetOf(t).log
}

func weightOfOnset(t float64) float64 {
	if t <= 1 {
		return .5
	}
	l := math.Log(t + 1)
	return onsetScale / (t * l * l)
}
