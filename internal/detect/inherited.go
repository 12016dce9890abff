package detect

import (
	"math"

	"github.com/deployloop/deployloop/internal/event"
)

// What a harm and a callee's have to do with each other, for upstream: whether
// the callee's accounts for it, and whether it is of the new version's making.

// now is what the new cohort did lately: apart while its deployment is
// undecided, else what the service does.
func (w *watch) now() *history {
	if w.fresh != nil {
		return w.fresh
	}
	return w.service.history
}

// accounted says whether the harm of calls to something accounts for an
// indicator's: failures by their number, latency by the time that calls take
// longer. known says that there was enough to tell.
func (w *watch) accounted(i, calls *indicator) (accounted, known bool) {
	if calls.signal() != event.SignalLatency {
		return excess(&i.levels[i.best]) <= inherits*excess(&calls.levels[calls.best]), true
	}
	now := w.now()
	l := &i.levels[i.best]
	began, _, _ := l.harm.onset(l.harm.leading())
	if now == w.base || max(int(i.op), int(calls.op)) >= min(len(now.Ops), len(w.base.Ops)) || w.engine.drained() <= began {
		return false, false
	}
	own, request := slower(&w.base.Ops[i.op], &now.Ops[i.op])
	theirs, call := slower(&w.base.Ops[calls.op], &now.Ops[calls.op])
	if math.Min(own.n, theirs.n) < enoughControl {
		return false, false
	}
	// How many calls, one after another, a request of this operation makes is
	// not counted: all that there are but those that made other operations slow,
	// at most, and no more than took the time it had.
	left := now.Ops[calls.op].N
	if i.aside == NotAside {
		left -= w.waitedFor(i.op, theirs.by)
	}
	many := math.Min(left/math.Max(now.Ops[i.op].N, 1), request/math.Max(call, 1))
	return own.by-2*own.sigma <= inherits*theirs.by*math.Max(many, 1), true
}

// waitedFor is how many calls that take so much longer the operations but one
// must have waited for, to be as much slower as they are.
func (w *watch) waitedFor(but int32, longer float64) (calls float64) {
	now := w.now()
	for op := range min(len(now.Ops), len(w.base.Ops)) {
		if int32(op) == but || now.Ops[op].Aside || longer <= 0 {
			continue
		}
		if s, _ := slower(&w.base.Ops[op], &now.Ops[op]); s.n >= enoughControl {
			calls += now.Ops[op].N * math.Max(s.by-2*s.sigma, 0) / longer
		}
	}
	return calls
}

// drained is the last second whose latencies are in the sketches.
func (e *Engine) drained() int64 { return e.open.Load()/binSeconds*binSeconds - 1 }

// slowdown is by how much a mean latency rose, in nanoseconds, give or take.
type slowdown struct{ by, sigma, n float64 }

// slower compares an operation's mean latency with what it was.
func slower(before, now *opHistory) (s slowdown, was float64) {
	was, v, a := before.latency()
	is, u, b := now.latency()
	return slowdown{is - was, math.Sqrt(v/math.Max(a, 1) + u/math.Max(b, 1)), math.Min(a, b)}, was
}

// latency is an operation's mean latency in nanoseconds, to the middle of its
// bins, its variance, and of how many requests.
func (o *opHistory) latency() (mean, variance, n float64) {
	if o.Sketch == nil {
		return 0, 0, 0
	}
	low, squares := 0., 0.
	for bin, x := range o.Sketch.all() {
		high := float64(latencyBounds[min(bin, len(latencyBounds)-1)])
		t := (low + high) / 2
		mean += float64(x) * t
		squares += float64(x) * t * t
		n += float64(x)
		low = high
	}
	mean /= math.Max(n, 1)
	return mean, math.Max(squares/math.Max(n, 1)-mean*mean, 0), n
}

// overloads says whether the new version calls something more often than the
// old one did: what becomes of the callee may then be its doing. Calls of before
// the callee went bad tell; where there were none, all do. A callee that fails is
// tried again, so of the calls since then only those that did not fail are sure
// to be no second attempts.
func (w *watch) overloads(op int32, began int64) bool {
	before := w.base.Requests
	if int(op) >= len(w.base.Ops) || before == 0 || w.base.Ops[op].N == 0 {
		return true // never called before
	}
	rate := w.base.Ops[op].N / before
	more := func(calls, requests float64) bool {
		return lowerRate(calls, requests, math.Max(rate, 1), healthyAlpha) > inherits*rate
	}
	h := w.now()
	if h == w.base || int(op) >= len(h.Ops) || h.Ops[op].Recent == nil {
		return false
	}
	calls, all := h.Ops[op].Recent, &h.Recent
	var early, late struct{ requests, calls, failed float64 }
	for back := 0; back <= int(all.Filled); back++ {
		at := all.back(uint8(back))
		part := &late
		if ends := w.engine.open.Load() - int64(h.Ticks) - int64(back-1)*binSeconds; back > 0 && ends <= began {
			part = &early
		}
		part.requests += float64(all.N[at])
		n, failed := calls.bin(at)
		part.calls += n
		part.failed += failed
	}
	if early.requests >= enoughControl {
		return more(early.calls, early.requests) || more(late.calls-late.failed, late.requests)
	}
	return more(early.calls+late.calls, early.requests+late.requests)
}
