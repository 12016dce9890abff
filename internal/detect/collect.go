package detect

import (
	"slices"
	"time"

	"github.com/deployloop/deployloop/internal/event"
)

// sample is one source's second of one operation; hit of one pattern.
type sample struct {
	source *Source
	op     int32
	aside  bool
	callee bool         // calls to another service
	test   *latencyTest // nil: none yet
	cell   cell
}

type hit struct {
	source  *Source
	pattern int32
	n       float64
}

// speaker is what one source did in one second, beside samples and hits.
type speaker struct {
	source          *Source
	items, lost     uint64
	weight, squares float64
	heaviest        float32
	first           int64 // event time of the first item that counts in this second, 0: none does
}

// scratch is reused from second to second.
type scratch struct {
	sources  []*Source
	samples  []sample
	hits     []hit
	speakers []speaker
	pairs    []pair // all zero, but for the watch that observes
	stride   int64  // the longest interval of a source that speaks by metrics
}

// Tick closes the seconds up to now − AllowedLateness, and returns the verdicts
// that changed materially or are due, in order of their watches' opening. One
// call a second; when the clock jumps by more than an hour, the seconds between
// are not gone through one by one.
func (e *Engine) Tick(now time.Time) []event.Verdict {
	e.work.Lock()
	defer e.work.Unlock()
	services := e.list()
	e.loseAlways()
	if e.clock.advance(now, e.cfg.MaxDelay) {
		for _, s := range services {
			s.losses.add(lossClockBack, 1)
		}
	}
	target := floorSecond(e.clock.now - int64(e.cfg.AllowedLateness))
	first := e.open.Load()
	for sec := first; sec < target; sec++ {
		if target-sec > 3600 && sec-first > slots {
			sec = target - 1
		}
		e.advance(sec + 1)
		for _, s := range services {
			e.close(s, sec)
		}
		for _, w := range e.queue {
			w.endSecond(sec)
		}
		e.runPlacebos(sec)
		e.runAlways(sec)
		if sec%memoryInterval == 0 || e.filling() {
			e.relieve(services)
		}
	}
	at := e.clock.wall(e.clock.now)
	var out []event.Verdict
	for _, w := range e.queue {
		if w.due(e.clock.now) {
			out = append(out, w.verdict(at))
		}
	}
	return out
}

// close takes one second of a service from its sources, and counts it.
func (e *Engine) close(s *service, sec int64) {
	k := &e.scratch
	s.mu.Lock()
	k.sources = append(k.sources[:0], s.sources...)
	overflow := s.overflow
	s.mu.Unlock()
	k.samples, k.hits, k.speakers, k.stride = k.samples[:0], k.hits[:0], k.speakers[:0], 0
	drain := sec%binSeconds == binSeconds-1
	frozen := s.frozen()
	for _, source := range k.sources {
		k.take(s, source, sec)
	}
	if overflow != nil {
		overflow.mu.Lock()
		s.losses.addFixed(&overflow.losses)
		overflow.losses, overflow.items = [lossCount]uint64{}, 0
		overflow.mu.Unlock()
	}
	if len(k.samples)+len(k.hits) > 0 {
		s.gap = max(.99*s.gap, min(float64(sec-1-s.lastActive.Load()), 10))
		if s.restored {
			s.restored, s.rejoining = false, sec+rejoinFor
		}
		s.lastActive.Store(sec)
	}
	s.stride = k.stride
	s.dwell(sec, k)
	s.follow(sec, k.samples)
	served := 0.
	for i := range k.samples {
		x := &k.samples[i]
		if !x.aside {
			served += float64(x.cell.n - x.cell.failed)
		}
	}
	s.learnWeek(sec, served)
	s.eachWatch(func(w *watch) { w.observe(sec, k) })
	s.closeOwn(sec, k.sources, frozen)
	s.closeGauges(sec, frozen)
	if !frozen {
		for i := range k.samples {
			x := &k.samples[i]
			settled := x.source.settled(sec, s.warmup)
			s.history.add(sec, x.op, &x.cell, settled, x.aside)
			if settled && x.callee && x.test != nil {
				s.history.Ops[x.op].addLate(s.history.Recent.At, &x.cell, x.test)
			}
		}
		for i := range k.hits {
			h := &k.hits[i]
			s.history.addPattern(h.pattern, h.n, s.isLine(h.pattern))
		}
		s.history.tick(sec, len(k.speakers))
	}
	if drain {
		for _, source := range k.sources {
			e.drainSketches(s, source, sec, frozen)
		}
		s.eachWatch(func(w *watch) { w.setTests(sec) })
	}
	if sec%60 == 59 {
		s.evict(sec - int64(e.cfg.Limits.SourceIdle/time.Second))
	}
}

// take moves one second of one source out, under the source's lock.
func (k *scratch) take(s *service, source *Source, sec int64) {
	source.mu.Lock()
	defer source.mu.Unlock()
	if source.tallied != 0 && sec-source.tallied <= 2*maxInterval {
		k.stride = max(k.stride, source.interval)
	}
	if source.items == 0 && source.slots[sec&slotMask] == nil {
		return
	}
	slot := source.slot(sec)
	if source.items == 0 && slot.first == 0 {
		return
	}
	if source.first == 0 && source.firstItem != 0 {
		source.first = floorSecond(source.firstItem)
	}
	for _, op := range slot.ops {
		c := &slot.cells[op]
		o := source.ops[op]
		k.samples = append(k.samples, sample{source, op, o.aside.Kind != NotAside, o.aside.Kind == AsideCallee, o.test.Load(), *c})
		source.opTotal = growTo(source.opTotal, max(len(source.opTotal), int(op)+1))
		source.opTotal[op] += float64(c.n)
		*c = cell{}
	}
	for _, p := range slot.seen {
		k.hits = append(k.hits, hit{source, p, float64(slot.patterns[p])})
		source.patTotal = growTo(source.patTotal, max(len(source.patTotal), int(p)+1))
		source.patTotal[p] += slot.patterns[p]
		slot.patterns[p] = 0
	}
	talk := speaker{source: source, items: source.items, weight: slot.weight, squares: slot.squares, heaviest: slot.heaviest, first: slot.first}
	for i, n := range source.losses {
		if i < lostItems {
			talk.lost += n
		}
	}
	if source.items > 0 {
		source.lastActive = sec
	}
	slot.ops, slot.seen, slot.weight, slot.squares, slot.heaviest, slot.first = slot.ops[:0], slot.seen[:0], 0, 0, 0, 0
	source.slots[sec&slotMask], source.spare = nil, append(source.spare, slot)
	s.losses.addFixed(&source.losses)
	source.losses, source.items = [lossCount]uint64{}, 0
	if source.origin.Caller == "" {
		k.speakers = append(k.speakers, talk)
	}
	for i := range source.kept {
		s.keep(source, &source.kept[i])
	}
	clear(source.kept)
	source.kept = source.kept[:0]
}

// keep gives an example to its group: three a group, where one of a watched
// new cohort takes the place of one that is not. Tick is the only caller, but
// the group's own list may grow meanwhile.
func (s *service) keep(source *Source, k *keptExample) {
	s.mu.Lock()
	var list *[]sourceExample
	if k.pattern {
		list = &s.patterns[k.index].examples
	} else {
		list = &s.ops[k.index].kept
	}
	s.mu.Unlock()
	if len(*list) < maxExamples {
		*list = append(*list, sourceExample{source, k.example})
		return
	}
	if w := s.always; w != nil && w.anew != 0 {
		from := s.engine.clock.timeOf(w.anew)
		if i := slices.IndexFunc(*list, func(x sourceExample) bool { return x.example.At.Before(from) }); i >= 0 && !k.example.At.Before(from) {
			(*list)[i] = sourceExample{source, k.example}
			return
		}
	}
	if !s.isFresh(source) {
		return
	}
	for i := range *list {
		if !s.isFresh((*list)[i].source) {
			(*list)[i] = sourceExample{source, k.example}
			return
		}
	}
}

// isFresh says whether a source is in the new cohort of the latest watch.
func (s *service) isFresh(source *Source) bool {
	return len(s.watches) > 0 && s.watches[len(s.watches)-1].cohortOf(source) == cohortNew
}

func (s *service) isLine(pattern int32) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.patterns[pattern].kind != signalWork
}

// settled says whether a source's latency and throughput may be counted, after
// so long a warm-up.
func (s *Source) settled(sec, warmup int64) bool {
	return sec-s.since() >= warmup
}

func (e *Engine) drainSketches(s *service, source *Source, sec int64, frozen bool) {
	source.mu.Lock()
	defer source.mu.Unlock()
	settled := source.settled(sec, s.warmup)
	for _, op := range source.sketched {
		k := source.sketches[op]
		if settled {
			source.addSlowness(op, k)
			if !frozen {
				s.history.addSketch(sec, op, k)
			}
		}
		s.eachWatch(func(w *watch) {
			if source.settled(sec, w.warmup) {
				w.addSketch(sec, source, op, k)
			}
		})
		clear(k.N)
		k.dirty = false
	}
	source.sketched = source.sketched[:0]
}
