package detect

import (
	"math"

	"github.com/deployloop/deployloop/internal/event"
)

// A record keeps what the e-processes of a watch consumed, so that the verdict
// can be recomputed from it (document.go, recompute.go). It is bounded:
// maxSteps tests a level, beyond which old neighbours are taken together, the
// more so the older they are; recordedLevels levels a watch; allRecorded in the
// engine. What is over a limit keeps its evidence and loses its record, and the
// document says so.
//
// The first earlyRecorded indicators, the golden signals of the busiest
// operations, are recorded from their begin; others once something speaks for
// harm: what came before is then one step.
type record struct {
	levels  int       // recorded
	refused int       // that were not, for want of room
	growth  []Point   // evidence of the deployment, second by second, thinned as steps are
	doc     *Document // of the last decision; nil after a restart
	made    string    // what the last decision was
}

const (
	maxSteps       = 96
	maxTolerance   = 24
	maxGrowth      = 64
	recordedLevels = 128
	allRecorded    = 8192
	earlyRecorded  = 16
	recordRatio    = 1.2840254166877414 // a quarter of a nat
)

// levelRecord is the record of one level.
type levelRecord struct {
	harm        series
	ratio, rise series // of the two tolerances
	late        bool   // its first step stands for all that was before
	settled     bool   // the tolerances decided: what comes later is no part of it
}

// series are the tests of one e-process, oldest first.
type series []step

// step is one test, or some that were taken together: paired counts, and
// counts against a bound of the control's rate.
type step struct {
	at             int32 // first second, since the watch was opened
	ticks          int32 // tests
	margin         float32
	xc, wc, xs, ws float32 // paired
	xh, wh, mean   float32 // events and exposure of the new cohort against a bound, and the events that bound allows
}

// silent says that a step without events leaves each cell as it was: only its
// tests count.
func (s *step) silent() bool { return s.xc+s.xs+s.wh == 0 }

func (s *step) take(t *step) {
	switch {
	case s.silent():
		s.margin = t.margin
	case !t.silent():
		s.margin = (s.margin*float32(s.ticks) + t.margin*float32(t.ticks)) / float32(s.ticks+t.ticks)
	}
	s.ticks += t.ticks
	s.xc, s.wc, s.xs, s.ws = s.xc+t.xc, s.wc+t.wc, s.xs+t.xs, s.ws+t.ws
	s.xh, s.wh, s.mean = s.xh+t.xh, s.wh+t.wh, s.mean+t.mean
}

// add takes one test in; limit is how many are kept.
func (s *series) add(t step, limit int) {
	if n := len(*s); n > 0 && (*s)[n-1].silent() && t.silent() {
		(*s)[n-1].take(&t) // loses nothing
		return
	}
	*s = append(*s, t)
	if len(*s) < limit {
		return
	}
	var at [maxSteps]int32
	for i := range *s {
		at[i] = (*s)[i].at
	}
	*s = taken(*s, thin(at[:len(*s)], limit*3/4), func(x *step) int32 { return x.at }, func(a *step, b *step) { a.take(b) })
}

// thin takes neighbours together until at most target are left: those whose
// span is least beside their age, so that what remains lies evenly on a
// logarithmic scale of age. It is given when each begins, and leaves those that
// stay in their place, first to last.
func thin(at []int32, target int) []int32 {
	now := at[len(at)-1] + 1
	share, least := 1./32, 0.
	for ; len(at) > target; share *= 1.5 {
		for share < least && !math.IsInf(least, 1) { // none would be taken
			share *= 1.5
		}
		kept := at[:0]
		least = math.Inf(1)
		for i := 0; i < len(at); i++ {
			begin, end := at[i], now
			if i+2 < len(at) {
				end = at[i+2]
			}
			kept = append(kept, begin)
			if i+1 == len(at) {
				break
			}
			if span := float64(end-begin) / float64(now-begin); span <= share {
				i++
			} else {
				least = min(least, span)
			}
		}
		at = kept
	}
	return at
}

// taken takes into each that stays those behind it that do not.
func taken[T any](list []T, stay []int32, at func(*T) int32, take func(*T, *T)) []T {
	kept := list[:0]
	for i := range list {
		if n := len(kept); n == len(stay) || at(&list[i]) != stay[n] {
			take(&kept[n-1], &list[i])
			continue
		}
		kept = append(kept, list[i])
	}
	return kept
}

// recordOf is the record of a level; nil when it has none. odds are the most
// that a ratio gained in this test.
func (w *watch) recordOf(i *indicator, l *level, odds float64) *levelRecord {
	if l.opt().rec != nil || w.recordingDone() {
		return l.opt().rec
	}
	if !i.early && i.nats <= 0 && odds < recordRatio {
		return nil
	}
	if w.rec.levels >= recordedLevels || w.engine.recorded >= allRecorded {
		if !l.unrecorded {
			l.unrecorded = true
			w.rec.refused++
		}
		return nil
	}
	w.rec.levels++
	w.engine.recorded++
	l.with().rec = &levelRecord{late: l.harm.ticks > 0}
	if l.opt().rec.late {
		l.opt().rec.harm = series{w.lump(i, l)}
	}
	return l.opt().rec
}

// lump is all that a level tested, as one step.
func (w *watch) lump(i *indicator, l *level) step {
	s := step{ticks: l.harm.ticks, at: int32(int64(i.started) - w.opened)}
	s.fill(l.tested(), float64(l.margin), l.side)
	return s
}

// fill sets a step's counts.
func (s *step) fill(c counts, margin float64, down side) {
	s.margin = float32(margin)
	if c.wh <= c.wc/2 {
		s.xc, s.wc, s.xs, s.ws = float32(c.xc), float32(c.wc), float32(c.xs), float32(c.ws)
		return
	}
	mean := c.eh * margin
	if down == lower {
		mean = c.eh / margin
	}
	s.xh, s.wh, s.mean = float32(c.xc), float32(c.wc), float32(mean)
}

// recordingDone says whether the verdict stands: later counts are none of its inputs.
func (w *watch) recordingDone() bool { return w.ended || w.regressedAt != 0 || w.placebo != nil }

// note records one test of a level, before its process takes it.
func (w *watch) note(i *indicator, l *level, sec int64, c *counts, o *odds) {
	most := 1.
	if o.some {
		most = max(o.ratio[1], o.ratio[3], o.ratio[6])
	}
	r := w.recordOf(i, l, most)
	if r == nil {
		return
	}
	s := step{at: int32(sec - w.opened), ticks: 1}
	s.fill(*c, float64(l.margin), l.side)
	r.harm.add(s, maxSteps)
}

// ratioPaired records one test of "worse than tolerated" by ratio with a
// partner, ratioBound by ratio against a bound of the rate, and riseBound by
// rise against one. A level without a record, or with a verdict, notes nothing.
func (r *levelRecord) ratioPaired(c counts, margin float64) {
	if r == nil || r.settled {
		return
	}
	s := step{ticks: 1, at: r.ratio.tests()}
	s.margin, s.xc, s.wc, s.xs, s.ws = float32(margin), float32(c.xc), float32(c.wc), float32(c.xs), float32(c.ws)
	r.ratio.add(s, maxTolerance)
}

func (r *levelRecord) ratioBound(c counts, rate float64) {
	if r != nil && !r.settled {
		r.ratio.add(boundStep(&r.ratio, c, rate), maxTolerance)
	}
}

func (r *levelRecord) riseBound(c counts, rate float64) {
	if r != nil && !r.settled {
		r.rise.add(boundStep(&r.rise, c, rate), maxTolerance)
	}
}

func boundStep(s *series, c counts, rate float64) step {
	return step{ticks: 1, at: s.tests(), margin: 1, xh: float32(c.xc), wh: float32(c.wc), mean: float32(rate * c.wc)}
}

// tests is how many are recorded: the time of a series whose order does not matter.
func (s series) tests() int32 {
	if len(s) == 0 {
		return 0
	}
	last := &s[len(s)-1]
	return last.at + last.ticks
}

// grow notes the deployment's evidence of a second.
func (r *record) grow(at int32, nats float64) {
	r.growth = append(r.growth, Point{At: at, Nats: nats})
	if len(r.growth) >= maxGrowth {
		var at [maxGrowth]int32
		for i := range r.growth {
			at[i] = r.growth[i].At
		}
		r.growth = taken(r.growth, thin(at[:len(r.growth)], maxGrowth*3/4), func(p *Point) int32 { return p.At }, func(a *Point, b *Point) { *a = *b })
	}
}

// decided says whether a verdict stands by what was counted up to now.
func (w *watch) decided() bool {
	return w.state == event.Regressed || w.state == event.Healthy || w.state == event.Exonerated
}

// keepDocument keeps the document of a decision as it was made, since the
// evidence goes on, and frees the record when nothing more can be decided.
func (w *watch) keepDocument(sec int64) {
	if !w.decided() && !w.ended {
		return
	}
	if made := string(w.state) + " " + string(w.reason); made != w.rec.made {
		w.rec.made, w.rec.doc = made, w.document(sec)
		if w.state == event.Healthy {
			w.settle()
		}
	}
	if w.recordingDone() {
		w.release()
	}
}

// settle ends the record of the tolerances: they decided.
func (w *watch) settle() {
	for _, i := range w.indicators {
		for k := range i.levels {
			if r := i.levels[k].opt().rec; r != nil {
				r.settled = true
			}
		}
	}
}

// release frees the records of the levels.
func (w *watch) release() {
	w.engine.recorded -= w.rec.levels
	w.rec.levels, w.rec.growth, w.fellows = 0, nil, nil
	for _, i := range w.indicators {
		for k := range i.levels {
			if more := i.levels[k].more; more != nil {
				more.rec = nil
			}
		}
	}
}

// savedRecord is a record over a restart. The document of a decision is not in
// it: whoever was told of the decision keeps it.
type savedRecord struct {
	Refused int
	Growth  []Point
	Made    string
}

type savedLevel struct {
	Recorded, Late, Settled bool
	Harm, Ratio, Rise       []Step
}

func (r *record) save() savedRecord { return savedRecord{r.refused, r.growth, r.made} }

func (r *record) load(s savedRecord) {
	r.refused, r.growth, r.made = s.Refused, s.Growth[:min(len(s.Growth), maxGrowth-1)], s.Made
}

func (i *indicator) saveRecords() []savedLevel {
	var out []savedLevel
	for k := range i.levels {
		if r := i.levels[k].opt().rec; r != nil {
			if out == nil {
				out = make([]savedLevel, len(i.levels))
			}
			out[k] = savedLevel{true, r.late, r.settled, r.harm.told(), r.ratio.told(), r.rise.told()}
		}
	}
	return out
}

func (w *watch) loadRecords(i *indicator, saved []savedLevel) {
	for k, s := range saved {
		if !s.Recorded || k >= len(i.levels) || w.rec.levels >= recordedLevels || w.engine.recorded >= allRecorded {
			continue
		}
		w.rec.levels++
		w.engine.recorded++
		i.levels[k].with().rec = &levelRecord{late: s.Late, settled: s.Settled, harm: seriesOf(s.Harm, maxSteps),
			ratio: seriesOf(s.Ratio, maxTolerance), rise: seriesOf(s.Rise, maxTolerance)}
	}
}

// seriesOf is a series as it was told.
func seriesOf(list []Step, limit int) series {
	var out series
	for _, x := range list[:min(len(list), limit-1)] {
		out = append(out, step{at: x.At, ticks: x.Ticks, margin: float32(x.Margin), xc: float32(x.NewEvents), wc: float32(x.NewExposure),
			xs: float32(x.OldEvents), ws: float32(x.OldExposure), xh: float32(x.Events), wh: float32(x.Exposure), mean: float32(x.Mean)})
	}
	return out
}
