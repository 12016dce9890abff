package detect

import (
	"fmt"
	"maps"
	"math"
	"slices"
	"time"

	"github.com/deployloop/deployloop/internal/event"
)

// Own is one request whose span was joined with those of the calls below it: a
// failure without a failed call is the service's own, and so is the time that
// no call took.
type Own struct {
	Operation string
	Duration  int64   // nanoseconds
	Self      int64   // of it, those in which none of its calls ran
	Failed    bool    // the request
	Inherited bool    // and a call of it
	Weight    float64 // as in Request
}

// What is the service's own is no evidence of harm, for a version that is
// instrumented otherwise changes it without doing any: it says whose a harm is
// that was proved otherwise. It is learnt anew after a restart.
const (
	maxOwnOps     = 30  // operations of a service that are followed
	maxOwnPending = 512 // at one source, till the next tick
	ownBins       = 60  // ten seconds each, of a watch
	ownEnough     = 30  // requests on each side
	ownEnoughTime = 200 // requests before, for quantiles of their times
	ownQuantile   = .05 // share of the control beyond the bounds
	ownDeviations = 4.
	ownFailed     = 3
	ownRise       = .005
	lossOwn       = "exclusive_over_limit"
)

// ownItem is one of them till its second is closed.
type ownItem struct {
	op           int32
	self, calls  uint8 // latency bins
	failed, mine bool
	weight       float32
}

// ownSum counts requests: all, failed ones, those that failed of themselves,
// those slow of themselves and those whose calls were slow.
type ownSum struct{ n, squares, failed, own, slowSelf, slowCalls float64 }

func (s *ownSum) add(x *ownItem, t *ownTest) {
	w := float64(x.weight)
	s.n += w
	s.squares += w * w
	if x.failed {
		s.failed += w
		if x.mine {
			s.own += w
		}
	}
	if t == nil {
		return
	}
	if int16(x.self) > t.self {
		s.slowSelf += w
	}
	if int16(x.calls) > t.calls {
		s.slowCalls += w
	}
}

func (s *ownSum) sum(o *ownSum) {
	s.n += o.n
	s.squares += o.squares
	s.failed += o.failed
	s.own += o.own
	s.slowSelf += o.slowSelf
	s.slowCalls += o.slowCalls
}

// ownHistory is what is usual of one operation. It fades as history does.
type ownHistory struct {
	sum         ownSum
	self, calls [latencyBins]float32
}

// ownTest is where the times of an operation are counted: the latency bins
// beyond which a twentieth of the control's requests lay.
type ownTest struct{ self, calls int16 }

// ownWatch is one operation in a watch.
type ownWatch struct {
	test        *ownTest // nil: too little was known when it was first seen
	before, old ownSum   // history, and the old version beside the new one
	bin         [ownBins]int64
	fresh       [ownBins]ownSum
}

// Own counts one joined request. It comes seconds after the request itself and
// counts in the second that is open.
func (s *Source) Own(o Own) {
	s.mu.Lock()
	defer s.mu.Unlock()
	w, ok := s.weigh(o.Weight)
	if !ok || o.Duration < 0 {
		return
	}
	if len(s.owns) >= maxOwnPending {
		s.service.losses.add(lossOwn, 1)
		return
	}
	op := s.operation(o.Operation)
	if op == otherIndex {
		return
	}
	self := min(max(o.Self, 0), o.Duration)
	s.owns = append(s.owns, ownItem{op: op, self: uint8(latencyBin(self)), calls: uint8(latencyBin(o.Duration - self)),
		failed: o.Failed, mine: o.Failed && !o.Inherited, weight: float32(w)})
}

// closeOwn gives what was joined of a service to its watches and its history.
// Tick is the only caller.
func (s *service) closeOwn(sec int64, sources []*Source, frozen bool) {
	for _, source := range sources {
		source.mu.Lock()
		items := source.owns
		source.owns = nil
		source.mu.Unlock()
		for k := range items {
			x := &items[k]
			for _, w := range s.watches {
				w.observeOwn(sec, source, x)
			}
			if !frozen && source.origin.Caller == "" {
				s.learnOwn(x)
			}
		}
	}
	if sec%(ringBins*binSeconds) == 0 && !frozen {
		for _, h := range s.own {
			h.fade(forget)
		}
	}
}

func (s *service) learnOwn(x *ownItem) {
	h := s.own[x.op]
	if h == nil {
		if len(s.own) >= maxOwnOps {
			s.losses.add(lossOwn, 1)
			return
		}
		if s.own == nil {
			s.own = map[int32]*ownHistory{}
		}
		h = &ownHistory{}
		s.own[x.op] = h
	}
	h.sum.add(x, nil)
	h.self[x.self] += x.weight
	h.calls[x.calls] += x.weight
}

func (h *ownHistory) fade(by float64) {
	s := &h.sum
	s.n, s.squares, s.failed, s.own = s.n*by, s.squares*by, s.failed*by, s.own*by
	for k := range h.self {
		h.self[k] *= float32(by)
		h.calls[k] *= float32(by)
	}
}

// test finds the bounds, where enough is known.
func (h *ownHistory) test() *ownTest {
	if h.sum.n*h.sum.n < ownEnoughTime*h.sum.squares {
		return nil
	}
	return &ownTest{self: tailBin(&h.self), calls: tailBin(&h.calls)}
}

// tailBin is the first bin beyond which no more than the quantile's share lies.
func tailBin(bins *[latencyBins]float32) int16 {
	total, beyond := 0., 0.
	for _, n := range bins {
		total += float64(n)
	}
	for k := latencyBins - 1; k > 0; k-- {
		if beyond += float64(bins[k]); beyond > ownQuantile*total {
			return int16(k)
		}
	}
	return 0
}

// beyond is how many lay beyond a bin.
func beyond(bins *[latencyBins]float32, bin int16) (n float64) {
	for _, x := range bins[bin+1:] {
		n += float64(x)
	}
	return n
}

func (w *watch) observeOwn(sec int64, source *Source, x *ownItem) {
	c := w.cohortOf(source)
	if w.ended || c != cohortNew && c != cohortOld || source.origin.Caller != "" {
		return
	}
	o := w.own[x.op]
	if o == nil {
		if len(w.own) >= maxOwnOps {
			return
		}
		o = &ownWatch{}
		if h := w.service.own[x.op]; h != nil {
			o.before, o.test = h.sum, h.test()
			if o.test != nil {
				o.before.slowSelf, o.before.slowCalls = beyond(&h.self, o.test.self), beyond(&h.calls, o.test.calls)
			}
		}
		if w.own == nil {
			w.own = map[int32]*ownWatch{}
		}
		w.own[x.op] = o
	}
	if c == cohortOld {
		o.old.add(x, o.test)
		return
	}
	bin := sec / binSeconds
	k := bin % ownBins
	if o.bin[k] != bin {
		o.bin[k], o.fresh[k] = bin, ownSum{}
	}
	o.fresh[k].add(x, o.test)
}

// whose is how much of a harm is the service's own.
type whose struct {
	signal          event.Signal
	now, before     ownSum // of the new version since the onset, and of the control
	own, inherited  bool   // that part rose, by what chance does not explain
	share           float64
	selfAt, callsAt int64 // bounds in nanoseconds, where one operation's were used
}

// whose tells apart what an indicator's harm is made of. Not known: too few
// requests were joined, or neither part rose.
func (w *watch) whose(i *indicator) (x whose, ok bool) {
	if i == nil || len(i.levels) == 0 || i.levels[i.best].harm.ticks == 0 || i.signal() != event.SignalErrors && i.signal() != event.SignalLatency {
		return x, false
	}
	l := &i.levels[i.best]
	onset, _, _ := l.harm.onset(l.harm.leading())
	var beside ownSum
	for _, op := range slices.Sorted(maps.Keys(w.own)) { // sums must not depend on the order
		o := w.own[op]
		if i.op >= 0 && i.aside == NotAside && op != i.op || i.signal() == event.SignalLatency && o.test == nil {
			continue
		}
		for k, bin := range o.bin {
			if bin >= onset/binSeconds {
				x.now.sum(&o.fresh[k])
			}
		}
		x.before.sum(&o.before)
		beside.sum(&o.old)
		if i.op == op && o.test != nil {
			x.selfAt, x.callsAt = latencyBounds[min(int(o.test.self), len(latencyBounds)-1)], latencyBounds[min(int(o.test.calls), len(latencyBounds)-1)]
		}
	}
	if beside.n*beside.n >= ownEnough*beside.squares && beside.n > 0 {
		x.before = beside
	}
	if x.now.n == 0 || x.before.n == 0 || x.now.n*x.now.n < ownEnough*x.now.squares || x.before.n*x.before.n < ownEnough*x.before.squares {
		return x, false
	}
	x.signal = i.signal()
	mine, theirs := x.parts(&x.now)
	mineBefore, theirsBefore := x.parts(&x.before)
	var rise, other float64
	rise, x.own = rose(mine, &x.now, mineBefore, &x.before)
	other, x.inherited = rose(theirs, &x.now, theirsBefore, &x.before)
	if rise+other > 0 {
		x.share = rise / (rise + other)
	}
	return x, x.own || x.inherited
}

// parts are the requests that got worse of themselves, and those by their calls.
func (x *whose) parts(s *ownSum) (own, inherited float64) {
	if x.signal == event.SignalLatency {
		return s.slowSelf, s.slowCalls
	}
	return s.own, s.failed - s.own
}

// rose compares two shares: by four standard deviations and half a point. Chance
// is that of the requests that were seen, however many each speaks for.
func rose(events float64, in *ownSum, eventsBefore float64, before *ownSum) (rise float64, ok bool) {
	n, each := in.n*in.n/in.squares, in.squares/in.n
	m, eachBefore := before.n*before.n/before.squares, before.squares/before.n
	p, q := events/in.n, eventsBefore/before.n
	pooled := (events/each + eventsBefore/eachBefore + 1) / (n + m + 2)
	deviation := math.Sqrt(pooled * (1 - pooled) * (1/n + 1/m))
	rise = math.Max(p-q, 0)
	return rise, events/each >= ownFailed && rise >= ownRise && rise >= ownDeviations*deviation
}

// mine says that the harm, or more of it than the calls may leave unexplained,
// is the service's own.
func (x *whose) mine() bool { return x.own && x.share > 1-1/inherits }

// text says it with numbers: "errors without a failed call: none; 61 of 214
// requests failed with one".
func (x *whose) text() string {
	own, inherited := x.parts(&x.now)
	ownBefore, inheritedBefore := x.parts(&x.before)
	if x.signal == event.SignalLatency {
		over := func(at int64) string {
			if at == 0 {
				return "its usual bound"
			}
			return time.Duration(at).String()
		}
		return fmt.Sprintf("time of its own beyond %s: %s of the requests, %s before; time in calls beyond %s: %s, %s before",
			over(x.selfAt), percent(own/x.now.n), percent(ownBefore/x.before.n), over(x.callsAt), percent(inherited/x.now.n), percent(inheritedBefore/x.before.n))
	}
	share := "none"
	if own > 0 {
		share = percent(own / x.now.n)
	}
	return fmt.Sprintf("errors without a failed call: %s of %s requests, %s before; with one: %s, %s before",
		share, quantity(x.now.n), percent(ownBefore/x.before.n), percent(inherited/x.now.n), percent(inheritedBefore/x.before.n))
}

// exclusive is what is told of the leading harm, or of the one that was found
// to be inherited; nil: not known.
func (w *watch) exclusive() *event.Exclusive {
	i := w.leader
	if w.state == event.Exonerated {
		i = w.excused
	} else if w.state != event.Regressed && w.nats < 1 {
		return nil
	}
	if x, ok := w.whose(i); ok {
		w.told = x.told()
	}
	return w.told // once the harm's begin is out of sight, what was found last
}

func (x *whose) told() *event.Exclusive {
	own, inherited := x.parts(&x.now)
	ownBefore, inheritedBefore := x.parts(&x.before)
	return &event.Exclusive{Signal: x.signal, Requests: math.Round(x.now.n), Own: own / x.now.n, OwnBefore: ownBefore / x.before.n,
		Inherited: inherited / x.now.n, InheritedBefore: inheritedBefore / x.before.n, Share: x.share, Detail: x.text()}
}
