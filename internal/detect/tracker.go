package detect

import "math"

const trackers = cells / 2

// trackedCells are the cells whose onset is followed, the lower of each pair:
// r = 1.1, 1.5, 3, 10. Fewer were tried: a heavy item, or a small ratio over
// hours, is then not got over, or its onset not found.
var trackedCells = [trackers]int{0, 2, 4, 6}

// trackerOf is the tracker at or just below a cell: where that one's likelihood
// grew, a lower cell's did too, for ℓ is concave in ln r and 0 at r = 1.
func trackerOf(cell int) int { return cell / 2 }

// tracker follows G_t = max(0, G_{t−1}+ℓ_t) of one cell: the onset is the
// second after its last zero, and its confidence set holds the seconds at which
// the sum S of all ℓ was within two nats of its minimum there. Seconds count
// from the process's begin.
type tracker struct {
	gain  float32 // G
	at    int32   // second of the minimum (the last before the change)
	tick  int32   // of the process, first after the minimum
	since sums    // counts since the minimum
	ladder
}

// ladder holds seconds at which S was at its lowest yet, ladderGap or more
// apart: the last of these rungs, and the way to those before it.
type ladder struct {
	last int32   // second
	fell float32 // from there to the minimum
	// From one rung to the next, newest first; of no seconds: none. Eighteen
	// hours, and eight nats in parts of ladderPart, at most.
	seconds [ladderSteps - 1]uint16
	falls   [ladderSteps - 1]uint8
	// latest is how many seconds after the minimum S was last within two nats of
	// it, eighteen hours at most.
	latest uint16
}

// sums are counts in half the room: exact up to sixteen million.
type sums struct{ xc, wc, xs, ws float32 }

// aside is the rest of a tracker's sums, which a process has room for once there
// is any: what was counted against a bound from history, and a weight above one.
type aside struct{ wh, eh, heavy float32 }

const (
	ladderSteps = 3
	ladderGap   = .7 // nats between rungs: three cover two nats and more
	ladderPart  = 1. / 31
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
		t.gain, t.at, t.latest, t.tick, t.since = 0, at, 0, tick+1, sums{}
		return false
	}
	t.since.xc += float32(c.xc)
	t.since.wc += float32(c.wc)
	t.since.xs += float32(c.xs)
	t.since.ws += float32(c.ws)
	if t.gain <= onsetNats {
		t.latest = uint16(min(at-t.at, math.MaxUint16))
	}
	return true
}

// lower notes that the minimum fell, with a rung when it fell by a gap.
func (l *ladder) lower(by float32, at int32) {
	if l.fell += by; l.fell < ladderGap {
		return
	}
	copy(l.seconds[1:], l.seconds[:])
	copy(l.falls[1:], l.falls[:])
	l.seconds[0] = uint16(min(max(at-l.last, 1), math.MaxUint16))
	l.falls[0] = uint8(min(l.fell/ladderPart+.5, math.MaxUint8))
	l.last, l.fell = at, 0
}

// first is the first rung within onsetNats of the minimum; none where no rung is.
func (l *ladder) first(none int32) int32 {
	if l.fell > onsetNats {
		return none
	}
	first, fell := l.last, l.fell
	for k, seconds := range l.seconds {
		if fell += float32(l.falls[k]) * ladderPart; seconds == 0 || fell > onsetNats {
			break
		}
		first -= int32(seconds)
	}
	return first
}

// onset gives the best second and the confidence set's first and last.
func (p *process) onset(t *tracker) (at, earliest, latest int64) {
	first := min(t.at, t.first(t.at))
	from := int64(p.first)
	return from + int64(t.at), from + int64(first), from + int64(t.at) + int64(t.latest)
}

// last is the last second before the change.
func (p *process) last(t *tracker) int64 { return p.began() + int64(t.at) }

// window is what was counted since the leading onset; nothing before an event.
func (p *process) window() (c counts) {
	if p.told == nil {
		return c
	}
	return p.windowOf(trackerOf(p.lead()))
}

// windowOf is what was counted since a tracker's onset.
func (p *process) windowOf(k int) (c counts) {
	s := &p.told.trackers[k].since
	c = counts{xc: float64(s.xc), wc: float64(s.wc), xs: float64(s.xs), ws: float64(s.ws)}
	if *s != (sums{}) {
		c.heavy = 1
	}
	if a := p.told.asides; a != nil {
		c.wh, c.eh, c.heavy = float64(a[k].wh), float64(a[k].eh), max(c.heavy, float64(a[k].heavy))
	}
	return c
}
