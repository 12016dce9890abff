package detect

import "github.com/deployloop/deployloop/internal/event"

// onset is when an indicator's change began.
func (w *watch) onset(i *indicator) *event.Onset {
	if w.excursion != nil && i == w.leader {
		return &w.excursion.onset
	}
	if len(i.levels) == 0 || i.levels[i.best].harm.ticks == 0 {
		return nil
	}
	stride := w.service.stride
	if i.opt().gauge != nil || i.pattern >= 0 {
		stride = 0
	}
	warm := int64(-1)
	if w.ready != 0 && (i.signal() == event.SignalLatency || i.signal() == event.SignalThroughput) {
		warm = w.warmup
	}
	at, earliest, latest := i.levels[i.best].harm.onsetOf(stride, w.ready, warm)
	timeOf := w.engine.clock.timeOf
	return &event.Onset{At: timeOf(at), Earliest: timeOf(earliest), Latest: timeOf(latest)}
}

// onsetOf is the onset as it is told: of counts that come every stride seconds
// it lies somewhere within the interval; what was there when counting began,
// after a warm-up of so many seconds (-1: none), came with the version.
func (p *process) onsetOf(stride, ready, warm int64) (at, earliest, latest int64) {
	t := p.leading()
	at, earliest, latest = p.onset(t)
	if stride > 1 {
		at, earliest = at-stride/2, earliest-stride
	}
	if t.tick == 1 && warm >= 0 && at-ready <= warm+slots {
		at, earliest = min(at, ready), min(earliest, ready)
	}
	return at, earliest, latest
}
