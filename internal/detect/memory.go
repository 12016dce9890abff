package detect

import (
	"math/bits"
	"unsafe"

	"github.com/deployloop/deployloop/internal/event"
)

// pressure is how much of Limits.Memory is used, and with it what of the new is
// no longer taken in: the long tail first, golden signals last. What is shed is
// counted by name, in the verdicts it touched too. Each step holds those before
// it as well.
type pressure int32

const (
	atEase        pressure = iota
	shedTail               // of 70 %: placebos, always-on watches, new kinds of inner work, new log templates below WARN
	shedTemplates          // of 80 %: all new log templates
	shedNames              // of 90 %: new operations count with "other", new gauges not at all
	shedAll                // of 100 %: new services and instances; watches let go of what is watched for vanishing
)

// pressureFrom are the shares of the budget from which each step sheds.
var pressureFrom = [...]float64{shedTail: .7, shedTemplates: .8, shedNames: .9, shedAll: 1}

// The names under which it is counted, beside the fixed ones.
const (
	lossMemoryGauges    = "memory_new_gauges"
	lossMemorySources   = "memory_new_instances"
	lossMemoryVanishing = "memory_watched_for_vanishing"
	lossMemoryAlwaysOn  = "memory_search_without_deployment"
)

// What things take, in bytes; maps at about twice their entries. The fleet of
// cost_test.go holds the estimate to the heap.
const (
	mapEntry       = 40
	sourceSize     = int64(unsafe.Sizeof(Source{})) + int64(unsafe.Sizeof(youth{})) + 400
	serviceSize    = int64(unsafe.Sizeof(service{})) + int64(unsafe.Sizeof(profile{})) + int64(unsafe.Sizeof(history{})) + 400
	watchSize      = int64(unsafe.Sizeof(watch{})) + int64(unsafe.Sizeof(history{})) + 2000
	windowBins     = 36 // of a histogram that holds what was counted
	sourceOpSize   = 3*int64(unsafe.Sizeof(cell{})) + int64(unsafe.Sizeof(sketch{})+unsafe.Sizeof(window[float32]{})) + 2*4*windowBins + mapEntry + 32
	sourcePatSize  = 3*4 + 8 + 1 + 4 + mapEntry
	historyOpSize  = int64(unsafe.Sizeof(opHistory{})) + 2*int64(unsafe.Sizeof(ring{})) + int64(unsafe.Sizeof(slowCurves{})+unsafe.Sizeof(window[float32]{})) + 4*windowBins
	curveSize      = int64(unsafe.Sizeof(curve{})) // slowCurves holds its own
	dyadicSize     = int64(unsafe.Sizeof(dyadic{}))
	operationSize  = int64(unsafe.Sizeof(operation{})) + mapEntry + 100
	patternSize    = int64(unsafe.Sizeof(pattern{})) + int64(unsafe.Sizeof(patternHistory{})) + mapEntry + 200
	indicatorSize  = int64(unsafe.Sizeof(indicator{})) + 2*mapEntry
	levelSize      = int64(unsafe.Sizeof(level{}))
	toldSize       = int64(unsafe.Sizeof(told{}))
	asideSize      = int64(unsafe.Sizeof(aside{}))
	toleranceSize  = int64(unsafe.Sizeof(tolerance{}) + unsafe.Sizeof(product{}))
	watchPatSize   = int64(unsafe.Sizeof(patternPair{}) + unsafe.Sizeof(patternHistory{}))
	stepSize       = int64(unsafe.Sizeof(step{}))
	ownSize        = int64(unsafe.Sizeof(ownHistory{})) + mapEntry
	ownWatchSize   = int64(unsafe.Sizeof(ownWatch{})+unsafe.Sizeof(ownTest{})) + mapEntry
	gaugeSize      = int64(unsafe.Sizeof(gauge{})+unsafe.Sizeof(excursions{})) + mapEntry + 100
	assumedSteps   = 48 // of a recorded level
	memoryInterval = 10 // seconds between two estimates; one while the budget fills
)

// memory estimates what the engine holds, in bytes. Tick is the only caller.
func (e *Engine) memory(services []*service) int64 {
	sum := int64(e.recorded) * assumedSteps * stepSize
	for _, s := range services {
		s.mu.Lock()
		ops, patterns, sources, kept := len(s.ops), len(s.patterns), s.sources, len(s.gauges.order)
		s.mu.Unlock()
		sum += serviceSize + int64(ops)*(operationSize+s.history.opSize()) + int64(patterns)*patternSize + int64(kept)*gaugeSize + int64(len(s.own))*ownSize
		for _, source := range sources { // its totals belong to Tick
			sum += sourceSize + int64(len(source.opTotal))*sourceOpSize + int64(len(source.patTotal))*sourcePatSize
		}
		for k, w := range s.placebos {
			if sum += w.memory(); k == 0 { // they share it
				sum += w.copied()
			}
		}
		if s.always != nil {
			sum += s.always.memory() + s.always.copied()
		}
	}
	for _, w := range e.queue {
		sum += w.memory()
	}
	return sum
}

func (w *watch) memory() int64 {
	sum := watchSize + int64(len(w.hits))*watchPatSize + int64(len(w.own))*ownWatchSize
	if w.fresh != nil {
		sum += int64(len(w.fresh.Ops)) * w.fresh.opSize()
	}
	for _, i := range w.indicators {
		sum += indicatorSize + int64(len(i.levels))*levelSize
		for k := range i.levels {
			sum += i.levels[k].harm.memory()
		}
		if i.signal() == event.SignalErrors || i.test != nil {
			sum += toleranceSize
		}
	}
	return sum
}

// copied is what the copy of history takes that a watch of no deployment has,
// since history goes on.
func (w *watch) copied() int64 {
	return int64(len(w.base.Ops))*w.base.opSize() + int64(len(w.base.Patterns))*int64(unsafe.Sizeof(patternHistory{}))
}

// opSize is what an operation's history takes, with its curves at their length.
func (h *history) opSize() int64 {
	lengths := func(steps float64) int64 { return int64(min(max(bits.Len(uint(steps)), 4), curveScales)) }
	return historyOpSize + curveSize + (lengths(h.Seconds)+slowTails*lengths(h.Seconds/slowSteps))*dyadicSize
}

func (p *process) memory() int64 {
	switch {
	case p.told == nil:
		return 0
	case p.told.asides == nil:
		return toldSize
	}
	return toldSize + trackers*asideSize
}

// filling says whether half of the budget is used: a flood of names can double
// what is held within seconds.
func (e *Engine) filling() bool {
	return e.cfg.Limits.Memory > 0 && 2*e.held.Load() >= e.cfg.Limits.Memory
}

// relieve measures, and sheds what the budget asks for.
func (e *Engine) relieve(services []*service) {
	e.held.Store(e.memory(services))
	budget := e.cfg.Limits.Memory
	if budget <= 0 {
		return
	}
	step := atEase
	for p := shedTail; p <= shedAll; p++ {
		if float64(e.held.Load()) >= pressureFrom[p]*float64(budget) {
			step = p
		}
	}
	e.pressure.Store(int32(step))
	for step >= shedTail && len(e.placebos.running) > 0 {
		e.dropPlacebos(e.placebos.running[0])
	}
	if step >= shedTail { // what nobody was told of
		for _, s := range services {
			if s.always != nil && s.always.state != event.Regressed {
				s.always = nil
				s.losses.add(lossMemoryAlwaysOn, 1)
			}
		}
	}
	if step < shedAll {
		return
	}
	for _, w := range e.queue {
		if n := w.dropVanishing(); n > 0 {
			w.service.losses.add(lossMemoryVanishing, uint64(n))
		}
	}
}

// sheds says whether what is shed from a step on is shed now.
func (e *Engine) sheds(p pressure) bool { return pressure(e.pressure.Load()) >= p }

// dropVanishing lets go of what a watch looks at for vanishing, unless it
// speaks for harm, and of its evidence.
func (w *watch) dropVanishing() (dropped int) {
	if w.ended || w.undo != nil {
		return 0
	}
	kept := w.indicators[:0]
	for _, i := range w.indicators {
		if i.class != classTail || i.signal() != event.SignalThroughput || i.nats > 0 {
			kept = append(kept, i)
			continue
		}
		dropped++
		w.forgone += float64(i.share)
		for k := range i.levels {
			if i.levels[k].opt().rec != nil {
				w.rec.levels--
				w.engine.recorded--
			}
		}
		if i.pattern >= 0 {
			w.byPattern[i.pattern] = nil
		} else if o := w.byOp[i.op]; o != nil {
			o.vanish = nil
		}
	}
	clear(w.indicators[len(kept):])
	w.indicators = kept
	return dropped
}
