package detect

import "math"

const trackers = cells / 2

// trackedCells are the cells whose onset is followed, the lower of each pair:
// r = 1.1, 1.5, 3, 10.
var trackedCells = [trackers]int{0, 2, 4, 6}

// tracker follows G_t = max(0, G_{t−1}+ℓ_t) of one cell: the onset is the
// second after its last zero, and its confidence set holds the seconds at which
// the sum S of all ℓ was within two nats of its minimum there. Seconds count
// from the process's begin.
type tracker struct {
	gain   float32 // G
	at     int32   // second of the minimum (the last before the change)
	latest int32   // last second with S within two nats of the minimum
	tick   int32   // of the process, first after the minimum
	since  sums    // counts since the minimum
	ladder
}

// ladder holds seconds at which S was at its lowest yet, half a nat or more
// apart: the last of these rungs, and the way to those before it.
type ladder struct {
	last int32   // second
	fell float32 // from there to the minimum
	back [ladderSteps - 1]struct {
		seconds uint16 // from one rung to the next one, eighteen hours at most
		fell    uint16 // likewise, in parts of ladderPart; eight nats at most
	} // newest first; of no seconds: none
}

// sums are counts in half the room: exact up to sixteen million.
type sums struct{ xc, wc, xs, ws float32 }

// aside is the rest of a tracker's sums, which a process has room for once there
// is any: what was counted against a bound from history, and a weight above one.
type aside struct{ wh, eh, heavy float32 }

const (
	ladderSteps = 5
	ladderGap   = .5 // nats between rungs: five cover two nats and more
	ladderPart  = 1. / 8192
	onsetNats   = 2
)

// step adds one second. False: it is the lowest yet, and what was counted before
// does not matter any more.
func (t *tracker) step(l float32, at, tick int32, c *counts) bool {
	if tick == 1 { // the process may have begun in the middle of the change
		t.tick = 1
	}
	t.gain += l
	if t.gain < 0 {
		t.lower(-t.gain, at)
		t.gain, t.at, t.latest, t.tick, t.since = 0, at, at, tick+1, sums{}
		return false
	}
	t.since.xc += float32(c.xc)
	t.since.wc += float32(c.wc)
	t.since.xs += float32(c.xs)
	t.since.ws += float32(c.ws)
	if t.gain <= onsetNats {
		t.latest = at
	}
	return true
}

// lower notes that the minimum fell, with a rung when it fell by a gap.
func (l *ladder) lower(by float32, at int32) {
	if l.fell += by; l.fell < ladderGap {
		return
	}
	copy(l.back[1:], l.back[:])
	l.back[0].seconds = uint16(min(max(at-l.last, 1), math.MaxUint16))
	l.back[0].fell = uint16(min(l.fell/ladderPart+.5, math.MaxUint16))
	l.last, l.fell = at, 0
}

// first is the first rung within onsetNats of the minimum; none where no rung is.
func (l *ladder) first(none int32) int32 {
	if l.fell > onsetNats {
		return none
	}
	first, fell := l.last, l.fell
	for _, b := range l.back {
		if fell += float32(b.fell) * ladderPart; b.seconds == 0 || fell > onsetNats {
			break
		}
		first -= int32(b.seconds)
	}
	return first
}

// onset gives the best second and the confidence set's first and last.
func (p *process) onset(t *tracker) (at, earliest, latest int64) {
	first := min(t.at, t.first(t.at))
	from := p.began + 1
	return from + int64(t.at), from + int64(first), from + int64(max(t.latest, t.at))
}

// last is the last second before the change.
func (p *process) last(t *tracker) int64 { return p.began + int64(t.at) }

// window is what was counted since the leading onset.
func (p *process) window() (c counts) {
	list := p.pairs()
	if len(list) == 0 {
		return c
	}
	k := p.lead()
	s := &list[k].since
	c = counts{xc: float64(s.xc), wc: float64(s.wc), xs: float64(s.xs), ws: float64(s.ws)}
	if *s != (sums{}) {
		c.heavy = 1
	}
	if p.asides != nil {
		a := &p.asides[k]
		c.wh, c.eh, c.heavy = float64(a.wh), float64(a.eh), max(c.heavy, float64(a.heavy))
	}
	return c
}
