package detect

import "github.com/deployloop/deployloop/internal/event"

// PastCourse is what the spread of a past rate follows from. Of a curve its
// sums over blocks of 1, 2, 4 … 512 steps: of exposure n, n², n·x and x², x the
// events. Of a pattern, where Bins is not zero, its occurrences, the ten-second
// bins of the past and those of them that it came in.
type PastCourse struct {
	Events   float64       `json:"events"`
	Exposure float64       `json:"exposure,omitempty"`
	Step     float64       `json:"step_seconds,omitempty"`       // of a curve; 0: 1 s
	Tail     float64       `json:"complement_of_tail,omitempty"` // share of what the curve counts, where the level counts the others
	Blocks   *courseBlocks `json:"blocks,omitempty"`
	Bins     float64       `json:"bins,omitempty"`
	Busy     float64       `json:"busy_bins,omitempty"`
}

type courseBlocks [curveScales][4]float64

func (c *curve) told() *PastCourse {
	out := &PastCourse{Events: c.X, Exposure: c.N, Blocks: &courseBlocks{}}
	for k, l := range c.Lengths {
		s := l.Sums
		out.Blocks[k] = [4]float64{float64(s.N), float64(s.NN), float64(s.NX), float64(s.XX)}
	}
	return out
}

func (p *PastCourse) spread() (out spread) {
	switch {
	case p.Bins > 0:
		return clumped(p.Events, p.Bins, p.Busy)
	case p.Blocks == nil:
		return out
	}
	c := curve{X: p.Events, N: p.Exposure, Lengths: make([]dyadic, curveScales)}
	for k, b := range p.Blocks {
		c.Lengths[k].Sums = blocks{float32(b[0]), float32(b[1]), float32(b[2]), float32(b[3])}
	}
	out = c.spread()
	if p.Step > 0 {
		out = out.stretched(p.Step)
	}
	if p.Tail > 0 {
		out = out.complemented(p.Tail)
	}
	return out
}

// pastCourse is the course that the noise of a level's past comes from; nil
// where history has moved on since.
func (w *watch) pastCourse(i *indicator, k int) *PastCourse {
	p := w.courseNow(i, k)
	if past := i.levels[k].opt().past; p == nil || past == nil && p.spread() != (spread{}) || past != nil && p.spread() != *past {
		return nil
	}
	return p
}

func (w *watch) courseNow(i *indicator, k int) *PastCourse {
	known := i.op >= 0 && int(i.op) < len(w.base.Ops)
	switch {
	case i.opt().gauge != nil:
	case i.pattern >= 0:
		var h patternHistory
		if int(i.pattern) < len(w.base.Patterns) {
			h = w.base.Patterns[i.pattern]
		}
		return &PastCourse{Events: h.Count, Bins: w.base.Bins, Busy: h.Bins}
	case i.signal() == event.SignalThroughput && i.op < 0:
		return w.base.Traffic.told()
	case i.signal() == event.SignalThroughput && known && w.base.Ops[i.op].Recent != nil:
		p := volumeCurve(w.base.Ops[i.op].Recent, &w.base.Recent).told()
		p.Step = binSeconds
		return p
	case i.signal() == event.SignalErrors && i.op < 0:
		return w.base.Errors.told()
	case i.signal() == event.SignalErrors && known && w.base.Ops[i.op].Errors != nil:
		return w.base.Ops[i.op].Errors.told()
	case i.signal() == event.SignalLatency && known && w.base.Ops[i.op].Slow != nil && i.test != nil:
		p := w.base.Ops[i.op].Slow.nearest(i.test.tail[k]).told()
		p.Step = slowSteps
		if i.levels[k].complement {
			p.Tail = i.test.tail[k]
		}
		return p
	}
	return &PastCourse{} // nothing is known: no spread
}
