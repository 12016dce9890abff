package streams

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"pgregory.net/rapid"
)

const sec = int64(time.Second)

// However a sender's points are put into batches, and however many of them are
// lost on the way, what is counted between the first and the last one is what
// happened there.
func TestBatchesDoNotMatter(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		const buckets = 3
		layout := new(int)
		var p Point
		p.Start, p.Buckets, p.Layout = 1000*sec, make([]uint64, buckets), layout
		now, begun := p.Start, p.Start-sec
		var points []Point
		happened, lives := 0., 1
		for range rapid.IntRange(1, 40).Draw(t, "exports") {
			now += sec * rapid.Int64Range(2, 60).Draw(t, "interval")
			if rapid.IntRange(0, 9).Draw(t, "restart") == 0 && len(points) > 0 {
				lives++
				p.Start, p.Count, p.Buckets = now-sec, 0, make([]uint64, buckets)
			}
			p.Buckets = append([]uint64(nil), p.Buckets...)
			for i := range p.Buckets {
				n := rapid.Uint64Range(0, 5).Draw(t, "n")
				p.Buckets[i] += n
				p.Count += float64(n)
				happened += float64(n)
			}
			p.Time = now
			points = append(points, p)
		}
		count := func(points []Point) (total float64, inBuckets uint64, last int64) {
			var s Stream
			var m Metric
			var scratch []uint64
			for _, x := range points {
				c := s.Advance(x, m.Exported(x.Time), begun, &scratch)
				if !c.Kind.Adds() {
					continue
				}
				if c.Start < last {
					t.Fatalf("%v counts what was counted: from %d, after %d", c.Kind, c.Start, last)
				}
				last = c.Time
				total += c.Count
				for _, n := range c.Buckets {
					inBuckets += n
				}
			}
			return total, inBuckets, last
		}
		total, inBuckets, _ := count(points)
		if total != happened || float64(inBuckets) != happened {
			t.Fatalf("%v counted, %d in buckets, %v happened in %d lives", total, inBuckets, happened, lives)
		}
		// Told twice, or out of order by one: nothing is counted twice.
		var again []Point
		for i, x := range points {
			again = append(again, x)
			if i > 0 && rapid.Bool().Draw(t, "repeat") {
				again = append(again, points[i-1], x)
			}
		}
		if twice, _, _ := count(again); twice != total {
			t.Fatalf("%v counted with repeats, %v without", twice, total)
		}
		// Lost on the way, within one life: the next point makes up for it.
		if lives == 1 && len(points) > 1 {
			kept := points[:1:1]
			for _, x := range points[1 : len(points)-1] {
				if x.Time-kept[len(kept)-1].Time > int64(MaxGap)/2 || rapid.Bool().Draw(t, "keep") {
					kept = append(kept, x)
				}
			}
			last := points[len(points)-1]
			kept = append(kept, last)
			if last.Time-kept[len(kept)-2].Time <= int64(MaxGap) {
				if less, _, _ := count(kept); less != happened {
					t.Fatalf("%v counted of fewer points, %v happened", less, happened)
				}
			}
		}
	})
}

func TestKinds(t *testing.T) {
	begun := 1000 * sec
	type step struct {
		p      Point
		before int64
		kind   Kind
		start  int64
		count  float64
	}
	at := func(second int64, start int64, count float64) Point {
		return Point{Start: start * sec, Time: second * sec, Count: count}
	}
	for name, steps := range map[string][]step{
		"a process older than we are is only a reference": {
			{p: at(1010, 10, 5000), kind: Reference},
			{p: at(1020, 10, 5007), kind: Delta, start: 1010, count: 7},
		},
		"a new process is all news": {{p: at(1010, 1003, 4), kind: Begin, start: 1003, count: 4}},
		"a series that joins a known metric is all news": {
			{p: at(1010, 10, 3), before: 1000 * sec, kind: Begin, start: 1000, count: 3},
		},
		"a restart": {
			{p: at(1010, 1003, 4), kind: Begin, start: 1003, count: 4},
			{p: at(1030, 1025, 9), kind: Reset, start: 1025, count: 9},
		},
		"a restart without a start": {
			{p: at(1010, 0, 4), kind: Reference},
			{p: at(1030, 0, 3), kind: Reset, start: 1010, count: 3},
		},
		"a start that is an estimate": {
			{p: at(1010, 1003, 4), kind: Begin, start: 1003, count: 4},
			{p: at(1020, 1004, 6), kind: Delta, start: 1010, count: 2},
		},
		"a gap": {
			{p: at(1010, 1003, 4), kind: Begin, start: 1003, count: 4},
			{p: at(1411, 1003, 400), kind: Gap, start: 1010},
			{p: at(1421, 1003, 401), kind: Delta, start: 1411, count: 1},
		},
		"late and twice": {
			{p: at(1010, 1003, 4), kind: Begin, start: 1003, count: 4},
			{p: at(1010, 1003, 4), kind: Stale},
			{p: at(1005, 1003, 2), kind: Stale},
			{p: at(1020, 1003, 5), kind: Delta, start: 1010, count: 1},
		},
		"other buckets": {
			{p: Point{Start: 1003 * sec, Time: 1010 * sec, Count: 4, Buckets: []uint64{4, 0}, Layout: "a"}, kind: Begin, start: 1003, count: 4},
			{p: Point{Start: 1003 * sec, Time: 1020 * sec, Count: 6, Buckets: []uint64{6}, Layout: "b"}, kind: Rebucketed, start: 1010, count: 2},
		},
	} {
		t.Run(name, func(t *testing.T) {
			var s Stream
			var scratch []uint64
			for _, x := range steps {
				c := s.Advance(x.p, x.before, begun, &scratch)
				assert.Equal(t, x.kind, c.Kind)
				assert.Equal(t, x.start*sec, c.Start)
				assert.Equal(t, x.count, c.Count)
			}
		})
	}
}

func TestExported(t *testing.T) {
	var m Metric
	assert.Zero(t, m.Exported(100*sec))
	assert.Zero(t, m.Exported(100*sec+1), "the same export")
	assert.Equal(t, 100*sec, m.Exported(160*sec))
	assert.Equal(t, 100*sec, m.Exported(160*sec), "the second batch of it")
	assert.Zero(t, m.Exported(90*sec), "late: who knows")
	m.Forget()
	assert.Zero(t, m.Exported(220*sec), "a series may have been forgotten")
}

// A first point that starts at its own time is a reference, though its sender
// exported the metric before, and what follows is no reset.
func TestAStreamWhoseStartIsNotKnown(t *testing.T) {
	var s Stream
	var m Metric
	var scratch []uint64
	m.Exported(100 * sec)
	first := s.Advance(Point{Start: 110 * sec, Time: 110 * sec, Count: 1000}, m.Exported(110*sec), 0, &scratch)
	assert.Equal(t, Reference, first.Kind)
	assert.Zero(t, first.Count)
	second := s.Advance(Point{Start: 110 * sec, Time: 120 * sec, Count: 1010}, m.Exported(120*sec), 0, &scratch)
	assert.Equal(t, Change{Kind: Delta, Start: 110 * sec, Time: 120 * sec, Count: 10}, second)
	third := s.Advance(Point{Start: 110 * sec, Time: 130 * sec, Count: 4}, m.Exported(130*sec), 0, &scratch)
	assert.Equal(t, Reset, third.Kind)
	assert.Equal(t, 4., third.Count)
	fourth := s.Advance(Point{Start: 130 * sec, Time: 140 * sec, Count: 9}, m.Exported(140*sec), 0, &scratch)
	assert.Equal(t, Reset, fourth.Kind, "another start, where the last point ended")
}

// A delta that is told again says the same of the same interval, be it of one
// before the last; one that says something else of it is another stream's, and
// counts.
func TestRepeatedDeltas(t *testing.T) {
	var s Stream
	for k := range int64(4) {
		assert.False(t, s.Repeats(k*sec, (k+1)*sec, 5))
	}
	for k := range int64(4) {
		assert.True(t, s.Repeats(k*sec, (k+1)*sec, 5), "again, whatever was between")
	}
	assert.False(t, s.Repeats(3*sec, 4*sec, 2), "another pod's, whose name was taken away")
	assert.True(t, s.Repeats(3*sec, 4*sec, 2))
	assert.False(t, s.Repeats(0, sec, 5), "longer ago than is remembered")
	var fresh Stream
	assert.False(t, fresh.Repeats(0, 0, 0), "nothing was told yet")
}
