package detect

import "math"

// Logarithms, exponentials and powers of a whole grid at once. They are those of
// package math to the last bits (the same reductions and polynomials), without
// its special cases and its calls: eight chains that do not wait for each
// other. An update of an open indicator is little else.

const (
	ln2Hi = 6.93147180369123816490e-01
	ln2Lo = 1.90821492927058770002e-10
)

// ln replaces each by its logarithm. All must be positive and neither tiny nor
// infinite.
func ln(x []float64) {
	const half = 0x3fe6a09e667f3bcd // bits of √½
	for i, v := range x {
		up := int64(math.Float64bits(v)) - half
		k := float64(up >> 52)
		f := math.Float64frombits(uint64(up&(1<<52-1)+half)) - 1 // of v = 2^k·(1+f), √½ ≤ 1+f < √2
		s := f / (2 + f)
		s2 := s * s
		s4 := s2 * s2
		t1 := s2 * (6.666666666666735130e-01 + s4*(2.857142874366239149e-01+s4*(1.818357216161805012e-01+s4*1.479819860511658591e-01)))
		t2 := s4 * (3.999999999940941908e-01 + s4*(2.222219843214978396e-01+s4*1.531383769920937332e-01))
		square := .5 * f * f
		x[i] = k*ln2Hi - ((square - (s*(square+t1+t2) + k*ln2Lo)) - f)
	}
}

// exp replaces each by its exponential, as if it were within ±700.
func exp(x []float64) {
	const round = 3 << 51 // what is added to it has no fraction
	for i, v := range x {
		v = min(max(v, -700), 700)
		n := v*math.Log2E + round
		k := n - round
		hi, lo := v-k*ln2Hi, k*ln2Lo
		r := hi - lo
		t := r * r
		c := r - t*(1.66666666666666657415e-01+t*(-2.77777777770155933842e-03+t*(6.61375632143793436117e-05+t*(-1.65339022054652515390e-06+t*4.13813679705723846039e-08))))
		y := 1 - ((lo - (r*c)/(2-c)) - hi)
		x[i] = y * math.Float64frombits((math.Float64bits(n)+1023)<<52)
	}
}

// pow multiplies each by the n-th power of its base, n ≥ 0.
func pow(x, base *[cells]float64, n int) {
	for i, b := range base {
		y := x[i]
		for k := n; k > 0; k >>= 1 {
			if k&1 != 0 {
				y *= b
			}
			b *= b
		}
		x[i] = y
	}
}
