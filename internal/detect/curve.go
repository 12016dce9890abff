package detect

import (
	"math"
	"math/bits"
	"slices"
)

// curveScales are the lengths of blocks at which a curve knows how noisy a rate
// is: 1, 2, 4 … 512 steps.
const (
	curveScales = 10
	curveBlocks = 3 // of a length, from which its variance says something
)

// curve is the variance–time curve of a rate: sums over dyadic blocks of time,
// from which comes how much more the counts of a block vary than Poisson's
// would (Fano's ratio over growing windows). Bursts of errors, traffic that
// comes and goes and levels that drift show at the lengths at which they last.
// A step is a second, or ten (latency). It costs two blocks a busy step.
type curve struct {
	At      int64    // step that is open
	X, N    float64  // of all closed steps
	Lengths []dyadic // of 1, 2, 4 … 512 steps; as many as there were blocks of yet
}

// dyadic are the blocks of one length.
type dyadic struct {
	Open block  // that is filling
	Sums blocks // that closed, fading with history
}

// Blocks and sums are kept in half the room: whole counts are exact up to
// sixteen million, and over the hour that history speaks of, rounding moves a
// relative variance by some millionths, far below Poisson's own error.
type block struct{ X, N float32 }

func (b *block) add(x, n float64) {
	b.X += float32(x)
	b.N += float32(n)
}

// blocks are sums over closed blocks: exposure n, its square, n·x and x².
type blocks struct{ N, NN, NX, XX float32 }

// add counts x events of n exposure in a step. Steps may not go backwards.
func (c *curve) add(step int64, x, n float64) {
	if step != c.At {
		c.turn(step)
	}
	c.hold(1)
	c.Lengths[0].Open.add(x, n)
}

// sum is a number where all that the curve holds are.
func (c *curve) sum() float64 {
	out := c.X + c.N
	for k := range c.Lengths {
		o, s := &c.Lengths[k].Open, &c.Lengths[k].Sums
		out += float64(o.X) + float64(o.N) + float64(s.N) + float64(s.NN) + float64(s.NX) + float64(s.XX)
	}
	return out
}

// turn closes the blocks that do not hold the step.
func (c *curve) turn(step int64) {
	if len(c.Lengths) > 0 {
		c.X += float64(c.Lengths[0].Open.X)
		c.N += float64(c.Lengths[0].Open.N)
	}
	for k := 0; k < len(c.Lengths) && c.At>>k != step>>k; k++ {
		b := c.Lengths[k].Open
		c.Lengths[k].Open = block{}
		if b.N <= 0 {
			continue
		}
		s := &c.Lengths[k].Sums
		s.N += b.N
		s.NN += b.N * b.N
		s.NX += b.N * b.X
		s.XX += b.X * b.X
		if k+1 < curveScales {
			c.hold(k + 2)
			c.Lengths[k+1].Open.X += b.X
			c.Lengths[k+1].Open.N += b.N
		}
	}
	c.At = step
}

// hold makes room for so many lengths.
func (c *curve) hold(lengths int) {
	if len(c.Lengths) < lengths {
		c.Lengths = growTo(c.Lengths, lengths)
	}
}

func (c curve) clone() curve {
	c.Lengths = slices.Clone(c.Lengths)
	return c
}

// fits says whether it has lengths that a curve may have: others were not
// written by this program.
func (c *curve) fits() bool { return len(c.Lengths) <= curveScales }

func (c *curve) scale(by float64) {
	c.X *= by
	c.N *= by
	for k := range c.Lengths {
		s, by := &c.Lengths[k].Sums, float32(by)
		s.N, s.NN, s.NX, s.XX = s.N*by, s.NN*by, s.NX*by, s.XX*by
	}
}

// merge adds what another curve knows, open blocks apart.
func (c *curve) merge(o *curve) {
	c.X += o.X
	c.N += o.N
	c.hold(len(o.Lengths))
	for k := range o.Lengths {
		s, t := &c.Lengths[k].Sums, &o.Lengths[k].Sums
		s.N, s.NN, s.NX, s.XX = s.N+t.N, s.NN+t.NN, s.NX+t.NX, s.XX+t.XX
	}
}

// spread is the relative variance of a rate over windows of 1, 2, 4 … 512
// seconds, beside what counting itself makes.
type spread [curveScales]float64

// spread estimates the curve by moments, from below by two standard errors of
// Poisson counts (quiet history must not seem noisy by chance). The relative
// variance of a mean cannot rise with the window, and falls no faster than for
// independent blocks: where a length has too few blocks, that is what is taken.
func (c *curve) spread() (out spread) {
	if c == nil || c.X <= 0 || c.N <= 0 {
		return out
	}
	p := c.X / c.N
	for k := range c.Lengths {
		s := &c.Lengths[k].Sums
		n, nn := float64(s.N), float64(s.NN)
		mean := p * n
		if nn <= 0 || mean <= 0 || n*n < curveBlocks*nn {
			continue
		}
		square := p * p * nn
		excess := float64(s.XX) - 2*p*float64(s.NX) + square - mean
		excess -= 2 * math.Sqrt(2*square+mean)
		free := 1 - nn/(n*n) // p is from the same counts
		out[k] = math.Max(excess/square/free, 0)
	}
	for k := curveScales - 2; k >= 0; k-- {
		out[k] = math.Max(out[k], out[k+1])
	}
	for k := 1; k < curveScales; k++ {
		out[k] = math.Max(out[k], out[k-1]/2)
	}
	return out
}

// at is the relative variance of the rate over a window of so many seconds.
func (s *spread) at(seconds float64) float64 {
	if s == nil {
		return 0
	}
	if seconds <= 1 {
		return s[0]
	}
	x := math.Log2(seconds)
	k := int(x)
	if k >= curveScales-1 {
		return s[curveScales-1] * math.Exp2(float64(curveScales-1)-x)
	}
	if s[k] == 0 {
		return 0
	}
	return s[k] * math.Pow(s[k+1]/s[k], x-float64(k))
}

// stretched is the spread by seconds of a curve whose step is so many seconds.
func (s spread) stretched(step float64) (out spread) {
	for k := range out {
		out[k] = s.at(math.Exp2(float64(k)) / step)
	}
	return out
}

// complemented is the spread of the share of what is not counted, given the
// tail share of what is.
func (s spread) complemented(tail float64) spread {
	f := tail / (1 - tail)
	for k := range s {
		s[k] *= f * f
	}
	return s
}

// clumped is the spread of events of which only the count, the ten-second bins
// and the busy ones among these are known: as if they came in clumps of one
// size, at random. Clumps last as long as noise does.
func clumped(count, bins, busy float64) (out spread) {
	if busy <= 0 || busy >= bins {
		return out
	}
	mean := count / bins
	v := math.Max(-1/math.Log(1-busy/bins)-1/mean, 0)
	for k := range out {
		out[k] = v * fade(math.Exp2(float64(k)))
	}
	return out
}

// fade is how noise of noiseMemory averages out over a window of seconds.
func fade(seconds float64) float64 {
	return math.Min(1, 2*noiseMemory/math.Max(seconds, 1))
}

// slowSteps is the step of latency curves: sketches are drained so often.
const slowSteps = binSeconds

// slowCurves are the curves of an operation's latency at a few tail shares.
type slowCurves struct {
	Bounds [slowTails]int16
	Tails  [slowTails]float64
	Curves [slowTails]curve
}

const slowTails = 3

// slowEnough is the requests from which an operation's bounds are known.
const slowEnough = 200

// slowWanted are the tail shares whose course is followed.
var slowWanted = [slowTails]float64{.5, .1, .01}

// newSlowCurves takes the bounds nearest the wanted tail shares of a sketch;
// nil where it has none that serve.
func newSlowCurves(sketch [latencyBins]float32) *slowCurves {
	t, ok := newLatencyTest(sketch, nil)
	if !ok {
		return nil
	}
	out := &slowCurves{}
	for k, want := range slowWanted {
		best := 0
		for i := 1; i < t.n; i++ {
			if apart(t.tail[i], want) < apart(t.tail[best], want) {
				best = i
			}
		}
		out.Bounds[k], out.Tails[k] = t.bounds[best], t.tail[best]
	}
	return out
}

// apart is how far two shares differ, as a factor's logarithm.
func apart(a, b float64) float64 { return math.Abs(math.Log(math.Max(a, 1e-6) / math.Max(b, 1e-6))) }

func (s *slowCurves) clone() *slowCurves {
	out := *s
	for t := range out.Curves {
		out.Curves[t] = out.Curves[t].clone()
	}
	return &out
}

func (s *slowCurves) add(step int64, k *sketch) {
	n := 0.
	var x [slowTails]float64
	for i, c := range k.N {
		if c == 0 {
			continue
		}
		n += float64(c)
		for t, b := range s.Bounds {
			if k.First+i > int(b) {
				x[t] += float64(c)
			}
		}
	}
	for t := range s.Curves {
		s.Curves[t].add(step, x[t], n)
	}
}

// merge adds another's curves where it follows the same bound, else the better
// known one stays.
func (s *slowCurves) merge(o *slowCurves) {
	for t := range s.Curves {
		switch {
		case s.Bounds[t] == o.Bounds[t]:
			s.Curves[t].merge(&o.Curves[t])
		case o.Curves[t].N > s.Curves[t].N:
			s.Bounds[t], s.Tails[t], s.Curves[t] = o.Bounds[t], o.Tails[t], o.Curves[t].clone()
		}
	}
}

// near is the spread, by seconds, of the tail share nearest to one asked for.
func (s *slowCurves) near(tail float64) spread {
	return s.nearest(tail).spread().stretched(slowSteps)
}

func (s *slowCurves) nearest(tail float64) *curve {
	best := 0
	for t := range s.Tails {
		if apart(s.Tails[t], tail) < apart(s.Tails[best], tail) {
			best = t
		}
	}
	return &s.Curves[best]
}

// volumeSpread is the spread of an operation's share of all requests, from the
// course of both in ten-second bins.
func volumeSpread(op, all *ring) spread {
	return volumeCurve(op, all).spread().stretched(binSeconds)
}

func volumeCurve(op, all *ring) *curve {
	c := &curve{}
	for i := op.Filled; i >= 1; i-- {
		at := op.back(i)
		c.add(int64(ringBins-i), float64(op.N[at]), float64(all.N[at]))
	}
	c.turn(1 << bits.Len(ringBins))
	return c
}
