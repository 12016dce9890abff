// Package streams turns cumulative points into what happened between them:
// counters and histograms whose values only grow until their process starts
// anew. It knows no pdata and keeps no clock.
//
// A stream is one metric's series of one sender. What a point adds is its
// difference to the stream's last one; after a reset all of it. A stream's very
// first point is only a reference, unless it is known that all of it is news:
// it began after whoever listens, and lately, or the same sender exported the
// metric before without this series. Each case has a name, for the caller to
// count.
package streams

import (
	"encoding/binary"
	"math"
	"slices"
	"time"

	"github.com/cespare/xxhash/v2"
)

// What becomes of a point.
type Kind uint8

const (
	// Delta: it adds its difference.
	Delta Kind = iota
	// Begin: the stream's first point, all of which is news.
	Begin
	// Reset: the stream started anew; all of the point is news.
	Reset
	// Reference: the stream's first point; how much of it is news is not known.
	Reference
	// Gap: so long after the last one that nobody can tell when it happened.
	Gap
	// Stale: not after the last one: late, or told twice.
	Stale
	// Rebucketed: it adds to the counts, but its buckets are others than before.
	Rebucketed
)

// Adds says whether a point of this kind adds counts.
func (k Kind) Adds() bool { return k == Delta || k == Begin || k == Reset || k == Rebucketed }

const (
	// MaxGap is the longest time between two points whose difference counts.
	MaxGap = 5 * time.Minute
	// sameExport is how far the times of one export's points may lie apart.
	sameExport = int64(time.Second)
)

// Point is a cumulative point. Times are Unix nanoseconds; a Start of 0 is unknown.
type Point struct {
	Start, Time int64
	Count       float64
	Buckets     []uint64 // nil: a counter
	Layout      any      // identity of the buckets' bounds
}

// Change is what a point adds: in (Start, Time].
type Change struct {
	Kind        Kind
	Start, Time int64
	Count       float64
	Buckets     []uint64 // valid until the next call; nil where they are not known
}

// Metric is what a sender exported of one metric: the times of its last two exports.
type Metric struct {
	last, before int64
	forgot       bool // a stream of it was forgotten: a new one may be old
}

// Forget notes that one of the metric's streams is followed no more.
func (m *Metric) Forget() { m.forgot = true }

// Exported notes the time of a point and gives that of the export before; 0: none.
func (m *Metric) Exported(at int64) int64 {
	if at > m.last+sameExport {
		m.before, m.last = m.last, at
	}
	if m.forgot || at < m.last-sameExport {
		return 0
	}
	return m.before
}

// Stream is the state of one series.
type Stream struct {
	start, time int64
	count       float64
	buckets     []uint64
	layout      any
	seen        bool
	told        [toldIntervals]uint64 // points of a stream of deltas, by their hash; the last one at next−1
	next        uint8
}

// toldIntervals is how many points of a stream of deltas are remembered: an
// exporter that tries again repeats its last batches, in any order.
const toldIntervals = 4

// Repeats says whether a delta's point was told before: two of one stream share
// no interval, so one that says the same of the same is the same point again.
// One that says something else is of another stream, whose own attributes were
// taken away on the way here: it counts.
func (s *Stream) Repeats(start, time int64, count float64) bool {
	var point [24]byte
	binary.LittleEndian.PutUint64(point[:], uint64(start))
	binary.LittleEndian.PutUint64(point[8:], uint64(time))
	binary.LittleEndian.PutUint64(point[16:], math.Float64bits(count))
	told := xxhash.Sum64(point[:])
	if slices.Contains(s.told[:], told) {
		return true
	}
	s.told[s.next%toldIntervals] = told
	s.next++
	return false
}

// Time is that of the last point.
func (s *Stream) Time() int64 { return s.time }

// Advance takes the next point. before is what Metric.Exported gave for it;
// begun is when whoever listens began to. Buckets of the change are in scratch,
// which is grown where it must be.
func (s *Stream) Advance(p Point, before, begun int64, scratch *[]uint64) Change {
	c := Change{Kind: Delta, Start: s.time, Time: p.Time}
	switch {
	case !s.seen:
		c.Kind, c.Start = Reference, 0
		if at := news(p, before, begun); at != 0 {
			c.Kind, c.Start = Begin, at
		}
	case p.Time <= s.time:
		return Change{Kind: Stale}
	case s.anew(p):
		c.Kind, c.Start = Reset, max(p.Start, s.time)
		if p.Start == 0 || p.Start >= p.Time {
			c.Start = s.time
		}
		if p.Time-c.Start > int64(MaxGap) {
			c.Kind = Gap
		}
	case p.Time-s.time > int64(MaxGap):
		c.Kind = Gap
	case s.layout != p.Layout || len(s.buckets) != len(p.Buckets):
		c.Kind = Rebucketed
	}
	switch c.Kind {
	case Delta:
		c.Count = p.Count - s.count
		if p.Buckets != nil {
			c.Buckets = less(p.Buckets, s.buckets, scratch)
		}
	case Rebucketed:
		c.Count = p.Count - s.count
	case Begin, Reset:
		c.Count, c.Buckets = p.Count, p.Buckets
	}
	s.seen, s.start, s.time, s.count, s.layout = true, p.Start, p.Time, p.Count, p.Layout
	s.buckets = append(s.buckets[:0], p.Buckets...)
	return c
}

// news is the time since which all of a first point happened; 0: not known. One
// that starts at its own time is the reference of a stream whose start is not
// known (OTLP's data model, "cumulative streams: handling unknown start time").
func news(p Point, before, begun int64) int64 {
	switch {
	case p.Start != 0 && p.Start >= p.Time:
		return 0
	case before != 0 && p.Time > before && p.Time-before <= int64(MaxGap):
		return max(before, p.Start)
	case p.Start != 0 && p.Start >= begun && p.Start < p.Time && p.Time-p.Start <= int64(MaxGap):
		return p.Start
	}
	return 0
}

// anew says whether a point is of a stream that started again: another start,
// after the last point, or a count that is lower than it was. (A start that
// moved within the stream's past is an exporter's estimate.) A bucket alone
// that fell says so only where the buckets are the same.
func (s *Stream) anew(p Point) bool {
	if p.Start >= s.time && p.Start != s.start || p.Count < s.count {
		return true
	}
	if s.layout != p.Layout || len(s.buckets) != len(p.Buckets) {
		return false
	}
	for i, n := range p.Buckets {
		if n < s.buckets[i] {
			return true
		}
	}
	return false
}

func less(a, b []uint64, scratch *[]uint64) []uint64 {
	*scratch = append((*scratch)[:0], a...)
	for i, n := range b {
		(*scratch)[i] -= n
	}
	return *scratch
}
