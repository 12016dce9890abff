package detect

import (
	"math"
	"slices"

	"github.com/deployloop/deployloop/internal/event"
)

// A calibration is what a service's placebo windows showed: how high the
// evidence rises when nothing was deployed. It is saved with the service.
type calibration struct {
	Version int
	Peaks   []float32 // M of the last windows and of healthy deployments, a ring
	At      int       // oldest, once the ring is full

	// The ledger: placebo windows that ended, those that would have been called
	// regressed, and both since Raise last changed.
	Windows, Alarms           uint64
	SinceWindows, SinceAlarms uint64
	Raise                     float64 // nats that the ledger adds
	Canary                    int     // instances of the last canary, 0: none was seen
	Tried, TriedAt            int64   // windows begun, and when the last ended: the round robin
}

const (
	// calibrationVersion changes with the evidence: peaks of another engine's
	// are not comparable, and are forgotten.
	calibrationVersion = 1
	ownPeaks           = 1024 // of a service: some days of windows
	pooledPeaks        = 4096 // of all services
	// fewPeaks is from how many own windows a service's usual peak and its
	// spread are known, so that others' windows speak for it.
	fewPeaks = 20
	// tailPeaks is from how many windows a tail can be fitted to the highest
	// twentieth.
	tailPeaks = 200
	tailShare = .05
	// peakScale is the least spread of a service's peaks, in nats: a quiet
	// service's peaks differ by next to nothing.
	peakScale = .1
)

// add takes the peak of one window in.
func (c *calibration) add(m float64) {
	if !finite(m) {
		return
	}
	if len(c.Peaks) < ownPeaks {
		c.Peaks = append(c.Peaks, float32(m))
		return
	}
	c.Peaks[c.At%ownPeaks] = float32(m)
	c.At = (c.At + 1) % ownPeaks
}

// book notes in the ledger how a placebo window ended.
func (c *calibration) book(alarmed bool, budget float64) {
	c.Windows++
	c.SinceWindows++
	if alarmed {
		c.Alarms++
		c.SinceAlarms++
	}
	low, _ := wilson(float64(c.SinceAlarms), float64(c.SinceWindows))
	switch {
	case low > budget && c.SinceAlarms >= 2: // one may be chance at any budget
		c.Raise += math.Ln2
	case c.Raise > 0 && c.SinceAlarms == 0 && c.SinceWindows >= ownPeaks:
		c.Raise = math.Max(c.Raise-math.Ln2, 0)
	default:
		return
	}
	c.SinceWindows, c.SinceAlarms = 0, 0
}

// usual is the median of the service's peaks and their spread.
func (c *calibration) usual() (location, scale float64) {
	x := sortedPeaks(c.Peaks)
	location = median(x)
	for i := range x {
		x[i] = math.Abs(x[i] - location)
	}
	slices.Sort(x)
	return location, math.Max(1.4826*median(x), peakScale)
}

// A pool holds the peaks of all services, each as multiples of its service's
// spread above what is usual there.
type pool struct {
	Peaks []float32
	At    int

	sorted []float64 // of Peaks, nil: to be made
}

// add takes the peak of a service's window in, once what is usual there is
// known. What went beyond the cap was an incident of that one service: it
// counts there and in the ledger, and says nothing of others.
func (p *pool) add(c *calibration, m, most float64) {
	if len(c.Peaks) < fewPeaks || m >= most {
		return
	}
	location, scale := c.usual()
	z := float32((m - location) / scale)
	if !finite(float64(z)) {
		return
	}
	p.sorted = nil
	if len(p.Peaks) < pooledPeaks {
		p.Peaks = append(p.Peaks, z)
		return
	}
	p.Peaks[p.At%pooledPeaks] = z
	p.At = (p.At + 1) % pooledPeaks
}

func (p *pool) ordered() []float64 {
	if p.sorted == nil {
		p.sorted = sortedPeaks(p.Peaks)
	}
	return p.sorted
}

// least is the threshold below which no calibration goes: Ville's.
func least(alpha float64) float64 { return math.Log(1 / alpha) }

// most is the threshold that no calibration exceeds: what lies beyond it is no
// noise but an incident, and a deployment as bad must be called within a
// minute all the same.
func most(alpha float64) float64 { return 2 * least(alpha) }

// threshold is how many nats the service's deployments need, and what that
// rests on.
func (c *calibration) threshold(p *pool, alpha float64) (float64, event.Calibration) {
	b, out := c.basis(p, alpha)
	return b.threshold(out, alpha), out
}

// basis is what the threshold is found from.
func (c *calibration) basis(p *pool, alpha float64) (b Basis, out event.Calibration) {
	out = event.Calibration{Source: event.CalibrationProvisional, Windows: len(c.Peaks), Raised: c.Raise}
	own, pooled := float64(len(c.Peaks)), float64(len(p.Peaks))
	switch need := math.Ceil(1/alpha-1e-9) - 1; {
	case own >= need && own >= fewPeaks:
		out.Source = event.CalibrationOwn
		b.take(sortedPeaks(c.Peaks), conformalTop(len(c.Peaks), alpha))
	case own < fewPeaks || pooled < tailPeaks:
	case pooled >= need:
		out.Source, out.Windows = event.CalibrationPooled, len(p.Peaks)
		b.Usual, b.Spread = c.usual()
		b.take(p.ordered(), conformalTop(len(p.Peaks), alpha))
	default:
		out.Source, out.Windows = event.CalibrationTail, len(p.Peaks)
		b.Usual, b.Spread = c.usual()
		b.take(p.ordered(), max(tailTop(len(p.Peaks)), conformalTop(len(p.Peaks), alpha)))
	}
	return b, out
}

// Basis is what a threshold was found from, so that it can be found again: of
// the evidence of placebo windows, the highest that matter.
type Basis struct {
	Windows int       `json:"windows"`
	Highest []float64 `json:"highest"`          // ascending; of all services, in spreads beyond what is usual
	Usual   float64   `json:"usual,omitempty"`  // of this service, nats
	Spread  float64   `json:"spread,omitempty"` // likewise
}

func (b *Basis) take(sorted []float64, top int) {
	b.Windows, b.Highest = len(sorted), slices.Clone(sorted[len(sorted)-min(top, len(sorted)):])
}

// threshold is what follows from it.
func (b *Basis) threshold(c event.Calibration, alpha float64) float64 {
	sorted := make([]float64, b.Windows) // those that do not matter are as low as can be
	for k := range sorted {
		sorted[k] = math.Inf(-1)
	}
	copy(sorted[b.Windows-len(b.Highest):], b.Highest)
	t := least(alpha) + math.Ln2
	switch c.Source {
	case event.CalibrationOwn:
		t = conformal(sorted, alpha)
	case event.CalibrationPooled:
		t = b.Usual + b.Spread*conformal(sorted, alpha)
	case event.CalibrationTail:
		t = b.Usual + b.Spread*tailQuantile(sorted, alpha)
	}
	return math.Min(math.Max(t, least(alpha))+c.Raised, most(alpha))
}

// usable says whether it is whole.
func (b *Basis) usable(alpha float64, source event.CalibrationSource) bool {
	need := conformalTop(b.Windows, alpha)
	if source == event.CalibrationTail {
		need = max(need, tailTop(b.Windows))
	}
	return b.Windows > 0 && b.Windows <= pooledPeaks && len(b.Highest) == min(need, b.Windows) && slices.IsSorted(b.Highest) &&
		finite(b.Usual+b.Spread) && b.Spread >= 0
}

// conformalTop and tailTop are how many of n sorted values their quantiles look at.
func conformalTop(n int, alpha float64) int {
	return max(n-int(math.Ceil((1-alpha)*float64(n+1)-1e-9))+1, 1)
}

func tailTop(n int) int { return int(math.Ceil(tailShare*float64(n))) + 1 }

// conformal is the ⌈(1−α)(n+1)⌉-th smallest of n sorted values: a further one
// from the same source exceeds it with a probability of at most α. +Inf where
// n is too small for that.
func conformal(sorted []float64, alpha float64) float64 {
	k := int(math.Ceil((1-alpha)*float64(len(sorted)+1) - 1e-9))
	if k > len(sorted) {
		return math.Inf(1)
	}
	return sorted[max(k, 1)-1]
}

// tailQuantile is the 1−α quantile by a generalised-Pareto tail beyond the
// highest twentieth, fitted by probability-weighted moments. The shape is kept
// within [0, ½]: evidence has an exponential tail by theory, and a shorter one
// that few windows suggest is not believed. The scale is raised by one standard
// error.
func tailQuantile(sorted []float64, alpha float64) float64 {
	n := len(sorted)
	k := int(math.Ceil(tailShare * float64(n)))
	if alpha >= tailShare || k < 2 || k >= n {
		return conformal(sorted, alpha)
	}
	u := sorted[n-k-1]
	mean, weighted := 0., 0.
	for i, x := range sorted[n-k:] {
		y := x - u
		mean += y
		weighted += y * (1 - (float64(i)+.65)/float64(k))
	}
	mean /= float64(k)
	weighted /= float64(k)
	shape := 0.
	if d := mean - 2*weighted; d > 0 {
		shape = math.Min(math.Max(2-mean/d, 0), .5)
	}
	scale := mean * (1 - shape) * (1 + 1/math.Sqrt(float64(k)))
	beyond := float64(k) / float64(n) / alpha
	if shape < 1e-6 {
		return u + scale*math.Log(beyond)
	}
	return u + scale/shape*(math.Pow(beyond, shape)-1)
}

// counted is a placebo count with its rate.
func counted(windows, alarms uint64) event.PlaceboCount {
	out := event.PlaceboCount{Windows: windows, FalseAlarms: alarms}
	if windows > 0 {
		out.Rate = float64(alarms) / float64(windows)
	}
	out.Interval[0], out.Interval[1] = wilson(float64(alarms), float64(windows))
	return out
}

// wilson is the 95 % interval of a share, x of n.
func wilson(x, n float64) (low, high float64) {
	if n <= 0 {
		return 0, 1
	}
	p, z2 := x/n, z95*z95
	mid := (p + z2/(2*n)) / (1 + z2/n)
	h := z95 / (1 + z2/n) * math.Sqrt(p*(1-p)/n+z2/(4*n*n))
	return math.Max(mid-h, 0), math.Min(mid+h, 1)
}

func sortedPeaks(in []float32) []float64 {
	out := make([]float64, len(in))
	for i, x := range in {
		out[i] = float64(x)
	}
	slices.Sort(out)
	return out
}

func finitePeaks(in []float32) bool {
	return !slices.ContainsFunc(in, func(x float32) bool { return !finite(float64(x)) })
}

// median of sorted values; 0 of none.
func median(sorted []float64) float64 {
	n := len(sorted)
	if n == 0 {
		return 0
	}
	return (sorted[(n-1)/2] + sorted[n/2]) / 2
}

// restore takes what a snapshot holds, if its peaks are of this engine's kind.
func (c *calibration) restore(saved calibration) {
	if saved.Version == calibrationVersion && len(saved.Peaks) <= ownPeaks && saved.At >= 0 && finitePeaks(saved.Peaks) {
		*c = saved
	}
}
