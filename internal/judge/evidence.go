package judge

import "math"

// normal describes the values of a series while it is stable, as draws of Student's
// t: heavy tails keep a busy machine from deciding anything.
type normal struct {
	middle, spread float64
	inflation      float64 // how much more sums vary than those of independent values
	n              float64 // values
}

// normalOf gives the level of largest likelihood for a spread by the median
// deviation, which a second kind of machine moves little as long as fewer than half
// of the values are its. 1.4826 makes it that of a normal distribution. 1.35, which makes
// it that of the t, found 116 of 120 slow-downs in place of 114 and cost 13 false alarms
// in place of 6 (40 synthetic histories from seed 5000 on).
func normalOf(values []float64) normal {
	u := normal{middle: median(values), n: float64(len(values))}
	deviations := make([]float64, len(values))
	for i, v := range values {
		deviations[i] = math.Abs(v - u.middle)
	}
	u.spread = max(1.4826*median(deviations), minSpread)
	for range fitSteps {
		var weights, sum float64
		for _, v := range values {
			z := (v - u.middle) / u.spread
			weight := 1 / (tails + z*z)
			weights, sum = weights+weight, sum+weight*v
		}
		u.middle = sum / weights
	}
	u.inflation = inflationOf(values, u)
	return u
}

// fitSteps bring the level to within a hundredth of a spread of where more of them
// would: in 20,000 draws each of 12, 20 and 60 normal or t-distributed values within
// .0015, and with two in five of the values six spreads higher within .0122.
const fitSteps = 8

// inflationOf values by how alike neighbours are: runs share machines and caches,
// and evidence from them counts for less, as by the φ of package detect.
func inflationOf(values []float64, u normal) float64 {
	var own, next float64
	clipped := func(i int) float64 { return max(-3*u.spread, min(3*u.spread, values[i]-u.middle)) }
	for i := range values {
		own += clipped(i) * clipped(i)
		if i > 0 {
			next += clipped(i) * clipped(i-1)
		}
	}
	correlation := 0.0
	if own > u.n*1e-12 { // else they are all the same, but for rounding
		// What chance alone gives to one series in twenty is taken off.
		correlation = max(0, min(.5, next/own-1.65/math.Sqrt(u.n)))
	}
	return (1 + correlation) / (1 - correlation)
}

// errors are the standard errors of the middle, in spreads, and of the log spread.
func (u normal) errors() (middle, spread float64) {
	return math.Sqrt((tails + 3) / (tails + 1) / u.n), 1.17 / math.Sqrt(u.n)
}

// logT is the log density of Student's t, but for its constant.
func logT(z float64) float64 { return -(tails + 1) / 2 * math.Log1p(z*z/tails) }

// nodes and weights of Gauss and Hermite, for a normal distribution.
var nodes = [...][2]float64{
	{-3.324257, .0025558}, {-1.889176, .0886157}, {-.616707, .4088285}, {.616707, .4088285}, {1.889176, .0886157}, {3.324257, .0025558},
}

// evidence that the level lies higher since some value of since on, in nats: the
// sum over each begin, and the mean over the sizes of a shift, of what the values are
// likelier by. What the reference leaves open of level and spread is averaged over
// on both sides, as a Bayes factor does: that costs only what is not known.
func (u normal) evidence(since []float64) float64 {
	ofMiddle, ofSpread := u.errors()
	shifted, same := math.Inf(-1), math.Inf(-1)
	for _, a := range nodes {
		spread := math.Exp(ofSpread * a[0]) // in spreads of the fit
		for _, b := range nodes {
			weight := math.Log(a[1] * b[1])
			before := 0.0 // log likelihood without a shift of the values so far
			var after [len(shifts)]float64
			for i, x := range since {
				z := (x-u.middle)/u.spread - ofMiddle*b[0]
				at := logT(z/spread) - math.Log(spread)
				for k, size := range shifts {
					begun := before
					if i > 0 {
						begun = logAddExp(before, after[k])
					}
					// Cut, it is still valid evidence, and no one run decides.
					ratio := min(logT((z-size)/spread)-math.Log(spread)-at, threshold/minAfter)
					after[k] = begun + (at+ratio)/u.inflation
				}
				before += at / u.inflation
			}
			same = logAddExp(same, weight+before)
			for _, l := range after {
				shifted = logAddExp(shifted, weight+l-math.Log(float64(len(shifts))))
			}
		}
	}
	return shifted - same
}
