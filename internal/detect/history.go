package detect

import (
	"slices"

	"github.com/deployloop/deployloop/internal/event"
)

// History is what a service did before a deployment: sums that forget a sixth
// every ten minutes (so they speak of about the last hour), and ten minutes of
// ten-second bins for what needs a course. It stands still while a deployment
// is watched and undecided; a healthy deployment becomes the new normal; what
// a regressed one did is never added.
type history struct {
	Seconds  float64 // watched
	Requests float64
	Lines    float64          // log lines and exceptions
	Aside    float64          // what metrics count aside
	Ops      []opHistory      // by operation
	Patterns []patternHistory // by pattern
	Recent   ring             // of the whole service
	Bins     float64          // ten-second bins, for Patterns[i].Bins
	Age      int              // bins since it last forgot
	Ticks    int              // seconds in the current bin
	Sources  int              // instances that served, at most
	Errors   curve            // of the whole service
	Traffic  curve            // successes a second, of the whole service
	served   float64          // successes in the current second
}

type opHistory struct {
	N, Failed, Timed float64
	Sketch           *window[float32] // nil: nothing timed yet
	Recent           *ring
	Errors           *curve      // nil: nothing yet
	Aside            bool        // it is no part of the service's requests
	Slow             *slowCurves // nil: too few requests yet
	Late             *ring       // of a callee: timed calls, and those beyond the q95 of a test; nil: none
}

type patternHistory struct {
	Count, Bins float64
	lastBin     int32
}

const (
	ringBins   = 60
	binSeconds = 10
	forget     = 5. / 6
)

// ring is the last ten minutes in ten-second bins; At is the current one.
type ring struct {
	N          [ringBins]float32
	Failed     *[ringBins]float32 // nil: none yet
	At, Filled uint8
}

func (r *ring) turn() {
	r.At = (r.At + 1) % ringBins
	r.Filled = min(r.Filled+1, ringBins-1)
	r.N[r.At] = 0
	if r.Failed != nil {
		r.Failed[r.At] = 0
	}
}

func (r *ring) add(n, failed float32) {
	r.N[r.At] += n
	if failed == 0 {
		return
	}
	if r.Failed == nil {
		r.Failed = new([ringBins]float32)
	}
	r.Failed[r.At] += failed
}

// bin is one of the ring's.
func (r *ring) bin(at uint8) (n, failed float64) {
	if r.Failed != nil {
		failed = float64(r.Failed[at])
	}
	return float64(r.N[at]), failed
}

// back is the place of the bin that was current so many bins ago.
func (r *ring) back(bins uint8) uint8 { return (r.At + ringBins - bins) % ringBins }

func (r *ring) clone() *ring {
	if r == nil {
		return nil
	}
	out := *r
	if r.Failed != nil {
		failed := *r.Failed
		out.Failed = &failed
	}
	return &out
}

// sum is a number where all that the ring holds are.
func (r *ring) sum() (out float64) {
	for k := range r.N {
		n, failed := r.bin(uint8(k))
		out += n + failed
	}
	return out
}

// course calls f for the full bins, oldest first.
func (r *ring) course(f func(n, failed float64)) {
	for i := r.Filled; i >= 1; i-- {
		f(r.bin(r.back(i)))
	}
}

// regular says whether an operation was busy in nearly every full bin of at
// least a minute; where metrics tell of it, within every two reports.
func (r *ring) regular(stride int64) bool {
	within := 1
	if stride > 1 {
		within = 1 + int(2*stride/binSeconds)
	}
	if r == nil || int(r.Filled) < max(6, 3*within) {
		return false
	}
	busy, since := 0, within
	r.course(func(n, _ float64) {
		if since++; n > 0 {
			since = 0
		}
		if since < within {
			busy++
		}
	})
	return float64(busy) >= .8*float64(r.Filled)
}

func (h *history) op(index int32) *opHistory {
	h.Ops = growTo(h.Ops, max(len(h.Ops), int(index)+1))
	return &h.Ops[index]
}

// course is an operation's last ten minutes, of failures or of slowness, and
// how noisy such a share is by itself.
func (o *opHistory) course(signal event.Signal) (*ring, float64) {
	if signal == event.SignalLatency {
		return o.Late, lateNoise
	}
	return o.Recent, priorNoise
}

// lateNoise is how a share of slow requests wavers over time, relatively:
// half as much again as failures do.
const lateNoise = .15

// addLate counts calls of a second, and how many were slower than a test's q95.
func (o *opHistory) addLate(at uint8, c *cell, test *latencyTest) {
	if c.timed == 0 {
		return
	}
	if o.Late == nil {
		o.Late = &ring{At: at}
	}
	late := float32(0)
	for _, n := range c.beyond[test.q95:] {
		late += n
	}
	o.Late.add(c.timed, late)
}

// add counts one source's second of one operation; settled says that its
// latency may be counted.
func (h *history) add(sec int64, index int32, c *cell, settled, aside bool) {
	o := h.op(index)
	o.Aside = aside
	n, failed := float64(c.n), float64(c.failed)
	o.N += n
	o.Failed += failed
	if settled {
		o.Timed += float64(c.timed)
	}
	if o.Recent == nil {
		o.Recent = &ring{At: h.Recent.At, Filled: 0}
	}
	o.Recent.add(c.n, c.failed)
	if o.Errors == nil {
		o.Errors = new(curve)
	}
	o.Errors.add(sec, failed, n)
	if aside {
		h.Aside += n
		return
	}
	h.Recent.add(c.n, c.failed)
	h.Requests += n
	h.served += n - failed
	h.Errors.add(sec, failed, n)
}

func (h *history) addPattern(index int32, n float64, line bool) {
	h.Patterns = growTo(h.Patterns, max(len(h.Patterns), int(index)+1))
	p := &h.Patterns[index]
	p.Count += n
	if bin := int32(h.Recent.At) + 1; p.lastBin != bin {
		p.lastBin = bin
		p.Bins++
	}
	if line {
		h.Lines += n
	}
}

func (h *history) addSketch(sec int64, index int32, s *sketch) {
	o := h.op(index)
	if o.Sketch == nil {
		o.Sketch = new(window[float32])
	}
	s.addTo(o.Sketch)
	if o.Slow == nil && o.Timed >= slowEnough {
		o.Slow = newSlowCurves(o.Sketch.all())
	}
	if o.Slow != nil {
		o.Slow.add(sec/slowSteps, s)
	}
}

// tick ends a second.
func (h *history) tick(sec int64, sources int) {
	h.Traffic.add(sec, h.served, 1)
	h.served = 0
	h.Seconds++
	h.Sources = max(h.Sources, sources)
	if h.Ticks++; h.Ticks < binSeconds {
		return
	}
	h.Ticks = 0
	h.Bins++
	h.Recent.turn()
	for i := range h.Ops {
		for _, r := range []*ring{h.Ops[i].Recent, h.Ops[i].Late} {
			if r != nil {
				r.turn()
			}
		}
	}
	if h.Age++; h.Age >= ringBins {
		h.Age = 0
		h.scale(forget)
	}
}

func (h *history) scale(by float64) {
	h.Seconds *= by
	h.Requests *= by
	h.Lines *= by
	h.Aside *= by
	h.Bins *= by
	h.Errors.scale(by)
	h.Traffic.scale(by)
	for i := range h.Ops {
		o := &h.Ops[i]
		if o.Errors != nil {
			o.Errors.scale(by)
		}
		if o.Slow != nil {
			for t := range o.Slow.Curves {
				o.Slow.Curves[t].scale(by)
			}
		}
		o.N *= by
		o.Failed *= by
		o.Timed *= by
		if o.Sketch != nil {
			for j := range o.Sketch.N {
				o.Sketch.N[j] *= float32(by)
			}
		}
	}
	for i := range h.Patterns {
		h.Patterns[i].Count *= by
		h.Patterns[i].Bins *= by
	}
}

// adopt is a history in which what a healthy deployment did counts in full and
// what was before by a fifth. Neither argument is changed.
func (h *history) adopt(fresh *history) *history {
	out := h.clone()
	out.scale(.2)
	out.Seconds += fresh.Seconds
	out.Requests += fresh.Requests
	out.Lines += fresh.Lines
	out.Aside += fresh.Aside
	out.Bins += fresh.Bins
	out.Sources = max(fresh.Sources, 1)
	out.Recent, out.Ticks = *fresh.Recent.clone(), fresh.Ticks
	out.Errors.merge(&fresh.Errors)
	out.Traffic.merge(&fresh.Traffic)
	for i := range out.Ops {
		out.Ops[i].Recent, out.Ops[i].Late = nil, nil
	}
	for i := range fresh.Ops {
		from, o := &fresh.Ops[i], out.op(int32(i))
		o.Aside = o.Aside || from.Aside
		o.N += from.N
		o.Failed += from.Failed
		o.Timed += from.Timed
		switch {
		case from.Errors == nil:
		case o.Errors == nil:
			c := from.Errors.clone()
			o.Errors = &c
		default:
			o.Errors.merge(from.Errors)
		}
		switch {
		case from.Slow == nil:
		case o.Slow == nil:
			o.Slow = from.Slow.clone()
		default:
			o.Slow.merge(from.Slow)
		}
		o.Recent, o.Late = from.Recent.clone(), from.Late.clone()
		if from.Sketch != nil {
			if o.Sketch == nil {
				o.Sketch = new(window[float32])
			}
			o.Sketch.add(from.Sketch)
		}
	}
	out.Patterns = growTo(out.Patterns, max(len(out.Patterns), len(fresh.Patterns)))
	for i, p := range fresh.Patterns {
		out.Patterns[i].Count += p.Count
		out.Patterns[i].Bins += p.Bins
	}
	return out
}

func (h *history) clone() *history {
	out := *h
	out.Recent = *h.Recent.clone()
	out.Errors, out.Traffic = h.Errors.clone(), h.Traffic.clone()
	out.Ops = append([]opHistory(nil), h.Ops...)
	for i := range out.Ops {
		if s := out.Ops[i].Sketch; s != nil {
			out.Ops[i].Sketch = &window[float32]{slices.Clone(s.N), s.First}
		}
		out.Ops[i].Recent, out.Ops[i].Late = out.Ops[i].Recent.clone(), out.Ops[i].Late.clone()
		if e := out.Ops[i].Errors; e != nil {
			c := e.clone()
			out.Ops[i].Errors = &c
		}
		if s := out.Ops[i].Slow; s != nil {
			out.Ops[i].Slow = s.clone()
		}
	}
	out.Patterns = append([]patternHistory(nil), h.Patterns...)
	return &out
}

// finite says whether all its sums are numbers: one that is not stays so for
// good, and nothing can be compared with it.
func (h *history) finite() bool {
	if !h.Errors.fits() || !h.Traffic.fits() {
		return false
	}
	sum := h.Seconds + h.Requests + h.Lines + h.Aside + h.Bins + h.Recent.sum() + h.Errors.sum() + h.Traffic.sum()
	for i := range h.Ops {
		o := &h.Ops[i]
		sum += o.N + o.Failed + o.Timed
		if o.Errors != nil {
			if !o.Errors.fits() {
				return false
			}
			sum += o.Errors.sum()
		}
		for _, r := range []*ring{o.Recent, o.Late} {
			if r != nil {
				sum += r.sum()
			}
		}
		if o.Sketch != nil {
			if !o.Sketch.fits() {
				return false
			}
			for _, n := range o.Sketch.N {
				sum += float64(n)
			}
		}
		if o.Slow != nil {
			for k := range o.Slow.Curves {
				if !o.Slow.Curves[k].fits() {
					return false
				}
				sum += o.Slow.Curves[k].sum()
			}
		}
	}
	for i := range h.Patterns {
		sum += h.Patterns[i].Count + h.Patterns[i].Bins
	}
	return finite(sum)
}

// total is what the whole service did.
func (h *history) total() (n, failed float64) {
	for i := range h.Ops {
		if h.Ops[i].Aside {
			continue
		}
		n += h.Ops[i].N
		failed += h.Ops[i].Failed
	}
	return n, failed
}

// beyond is how many of an operation's timed requests exceeded a bound.
func (o *opHistory) beyond(bound int16) (x, w float64) {
	if o.Sketch == nil {
		return 0, 0
	}
	for i, n := range o.Sketch.N {
		w += float64(n)
		if o.Sketch.First+i > int(bound) {
			x += float64(n)
		}
	}
	return x, w
}
