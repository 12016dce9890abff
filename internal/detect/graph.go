package detect

import (
	"fmt"
	"maps"
	"math"
	"slices"
	"sort"
	"strings"

	"github.com/deployloop/deployloop/internal/event"
)

// Call is one call of a service to another, as the caller's client span tells.
type Call struct {
	Callee   string // a service's name, or the address of something that sends no telemetry
	End      int64  // event time, Unix nanoseconds
	Duration int64  // nanoseconds; negative: unknown
	Failed   bool
	Weight   float64
}

const (
	callsTo     = "calls to "
	seenBy      = "as seen by "
	maxCallees  = 64 // that a source remembers
	graphDepth  = 4  // services from the one that was deployed to the first to move
	inherits    = 1.25
	suspectNats = 1  // from which calls that fail are told of, and may show in a moment that the harm was inherited
	patience    = 10 // seconds that a conviction waits for those who could tell that it was inherited
	sameMove    = 1  // bins by which a callee's move may come after its caller's and be its cause
)

// calleeSource is where a caller's view of a service counts.
type calleeSource struct {
	source *Source // nil: no such service
	asked  int64
}

// Call counts a call in two places: aside, as what the caller's requests depend
// on, which is an edge of the dependency graph; and for the called service, as
// its callers' view.
func (s *Source) Call(c Call) {
	if c.Callee == "" || c.Callee == s.origin.Service {
		return
	}
	s.countCall(callsTo+c.Callee, AsideCallee, &c)
	if to := s.calleeOf(c.Callee); to != nil {
		to.countCall(seenBy+s.origin.Service, AsideCaller, &c)
	}
}

// Produces notes that the service sends messages: who gets its work from them is
// not told by any span.
func (s *Source) Produces() {
	if of := s.service; !of.produces.Load() {
		of.produces.Store(true)
	}
}

func (s *Source) countCall(name string, kind AsideKind, c *Call) {
	at := s.engine.clock.at(c.End)
	s.mu.Lock()
	defer s.mu.Unlock()
	w, ok := s.weigh(c.Weight)
	if !ok {
		s.items++
		return
	}
	slot := s.place(at)
	if slot == nil {
		return
	}
	op := s.register(name, Aside{Kind: kind})
	if s.ops[op].aside.Kind != kind {
		return
	}
	x := s.cell(slot, op)
	x.n += float32(w)
	x.heaviest = max(x.heaviest, float32(w))
	if c.Failed {
		x.failed += float32(w)
		if x.firstFailed == 0 || at < x.firstFailed {
			x.firstFailed = at
		}
	}
	if c.Duration >= 0 {
		bin := latencyBin(c.Duration)
		x.timed += float32(w)
		*s.sketch(op).at(bin)++
		x.classify(s.test(op, spanLayout), bin, w)
	}
}

// calleeOf finds the source of this service's view of another, if that one is known.
func (s *Source) calleeOf(name string) *Source {
	open := s.engine.open.Load()
	s.mu.Lock()
	known, ok := s.callees[name]
	s.mu.Unlock()
	if ok && (known.source != nil || open < known.asked) {
		return known.source
	}
	known.asked = open + binSeconds
	s.engine.mu.RLock()
	to := s.engine.services[serviceKey{name, s.origin.Environment}]
	s.engine.mu.RUnlock()
	if to != nil {
		known.source = to.source(Origin{Service: name, Environment: s.origin.Environment, Instance: "caller " + s.origin.Service, Caller: s.origin.Service})
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.callees == nil || len(s.callees) >= maxCallees {
		s.callees = map[string]calleeSource{}
	}
	s.callees[name] = known
	return known.source
}

// upstream looks for proof that a harm was inherited: calls to something else
// went bad no later and account for it, and that something moved without this
// deployment: before its first instance was there, for other callers too, or by
// a deployment of its own. What callers see is asked like what the service does
// itself. Against history only, as all exoneration. wait says
// that somebody else calls it or was deployed there, and may tell in a moment.
func (w *watch) upstream(i *indicator) (reason event.Reason, detail string, wait bool) {
	if w.ready == 0 || len(i.levels) == 0 || i.opt().gauge != nil || i.signal() == event.SignalThroughput {
		return "", "", false
	}
	l := &i.levels[i.best]
	if l.opt().wh <= l.total.wc/2 && !i.firstEver || l.harm.ticks == 0 {
		return "", "", false
	}
	split, known := w.whose(i)
	if known && split.mine() {
		return "", "", false // it fails, or takes its time, without its calls doing so
	}
	for _, x := range w.wentBad(i) {
		theirs := &x.calls.levels[x.calls.best]
		if theirs.opt().wh <= theirs.total.wc/2 {
			continue // beside an old version that fares better with the same callee
		}
		if accounted, known := w.accounted(i, x.calls); !accounted {
			wait = wait || !known
			continue
		}
		callee, began := x.callee, x.began
		how, could := w.moved(callee, x.calls, began)
		if x.calls.nats < affectedNats {
			// What was never seen before convicts sooner than the calls behind
			// it, which failed at times before, can prove that they went bad.
			wait = wait || i.firstEver && could
			continue
		}
		if how == "" {
			wait = wait || could
			continue
		}
		first := w.engine.firstToMove(w.service, callee, i.signal())
		detail = fmt.Sprintf("First to move: %s. Calls to %s went bad by %s and account for the harm here; %s",
			first, callee, w.engine.clock.timeOf(began).Format("15:04:05Z"), how)
		if w.excused = i; known {
			detail += "; " + split.text()
		}
		return event.ReasonUpstreamFirst, detail, false
	}
	return "", "", wait
}

// badCalls are calls to a callee that went bad, and since when.
type badCalls struct {
	callee string
	calls  *indicator
	began  int64
}

// wentBad lists the calls that went bad no later than a harm that shows.
func (w *watch) wentBad(i *indicator) (out []badCalls) {
	harm := &i.levels[i.best].harm
	onset, _, till := harm.onset(harm.leading())
	for _, op := range slices.Sorted(maps.Keys(w.byOp)) {
		o := w.operationAt(op)
		if o.aside.Kind != AsideCallee {
			continue
		}
		both := []*indicator{w.byOp[op].errors}
		if i.signal() == event.SignalLatency {
			both[0] = w.byOp[op].latency
			if i.op == op { // calls that take long till nobody waits any more fail
				both = append(both, w.byOp[op].errors)
			}
		}
		for _, calls := range both {
			if calls == nil || len(calls.levels) == 0 || calls.nats < suspectNats {
				continue
			}
			theirs := &calls.levels[calls.best].harm
			if began, _, _ := theirs.onset(theirs.leading()); began <= max(till, onset+w.service.stride) {
				out = append(out, badCalls{strings.TrimPrefix(o.name, callsTo), calls, began})
			}
		}
	}
	return out
}

// through is the callee to which the calls went bad that account for the leading
// harm; "" where there is none. Whose fault that is it does not say: a version
// that waits too short a time shows the same as a callee that does not answer.
func (w *watch) through() string {
	i := w.leader
	if i == nil || len(i.levels) == 0 || i.opt().gauge != nil || i.signal() == event.SignalThroughput || i.aside != NotAside || i.levels[i.best].harm.ticks == 0 {
		return ""
	}
	if split, known := w.whose(i); known && split.mine() {
		return ""
	}
	for _, x := range w.wentBad(i) {
		if accounted, _ := w.accounted(i, x.calls); accounted {
			return x.callee
		}
	}
	return ""
}

// excess is how many more events there were since the onset than the control's
// rate would make.
func excess(l *level) float64 {
	c := l.harm.window()
	return math.Max(c.xc-l.controlRate()*c.wc, 0)
}

// moved says how a callee is known to have gone bad without this deployment;
// "" when it is not, and then whether somebody could tell.
func (w *watch) moved(callee string, calls *indicator, began int64) (how string, could bool) {
	if reason, _ := w.exoneration(calls); reason == event.ReasonBeganBefore {
		return "they did so before the first instance of the new version was seen", true
	}
	if w.overloads(calls.op, began) {
		return "", false // whoever else suffers does so by its doing
	}
	var others []string
	for _, s := range w.engine.list() {
		if s.key.environment != w.service.key.environment || s == w.service {
			continue
		}
		if s.key.name == callee {
			for _, d := range s.watches {
				if d == w || d.ready == 0 || d.ready > began {
					continue
				}
				if could = true; d.state == event.Regressed {
					return "its own deployment " + d.d.Label() + " made it worse", true
				}
			}
		}
		_, known, moved := s.lately(callsTo+callee, calls.signal())
		could = could || known
		if moved {
			others = append(others, s.key.name)
		}
	}
	if len(others) == 0 {
		return "", could
	}
	sort.Strings(others)
	return "it went bad for " + strings.Join(others[:min(len(others), 3)], ", ") + " too", true
}

// firstToMove follows the dependencies of a service that went bad to the last
// one that did so no later.
func (e *Engine) firstToMove(from *service, callee string, signal event.Signal) string {
	seen := map[string]bool{from.key.name: true}
	for range graphDepth {
		seen[callee] = true
		e.mu.RLock()
		s := e.services[serviceKey{callee, from.key.environment}]
		e.mu.RUnlock()
		if s == nil {
			break
		}
		own, failing := 0, false
		if signal != event.SignalLatency {
			own, failing = s.movedAt(&s.history.Recent, priorNoise)
		}
		next, best := "", math.MaxInt
		for _, o := range s.operations() {
			name, ok := strings.CutPrefix(o.name, callsTo)
			if !ok || o.aside.Kind != AsideCallee || seen[name] {
				continue
			}
			at, _, ok := s.lately(o.name, signal)
			if ok && (!failing || at <= own+sameMove) && at < best {
				next, best = name, at
			}
		}
		if next == "" {
			break
		}
		callee = next
	}
	return callee
}

// lately says whether calls of the service to another are known to be made of
// late, whether they went bad in the last ten minutes, and in which bin.
func (s *service) lately(name string, signal event.Signal) (bin int, known, moved bool) {
	s.mu.Lock()
	index, ok := s.opIndex[name]
	s.mu.Unlock()
	if !ok || int(index) >= len(s.history.Ops) {
		return 0, false, false
	}
	r, noise := s.history.Ops[index].course(signal)
	if r == nil {
		return 0, false, false
	}
	bin, moved = s.movedAt(r, noise)
	return bin, r.N[r.At]+r.N[r.back(1)] > 0, moved
}

// movedAt finds the begin of a rise in the last ten minutes that lasts: the bin,
// counted from the oldest, by the same rule as exoneration.
func (s *service) movedAt(r *ring, noise float64) (bin int, ok bool) {
	m, ok := riseOf(r, s.engine.cfg.MinRateRatio, s.engine.cfg.FalseAlarms/1000, noise, true)
	return m.last, ok && m.lasts >= 1
}

// rise is an increase of a share of bad requests in a ring's course.
type rise struct {
	bound float64 // of the rate before
	last  int     // the latest bin, counted from the oldest, after which it may have begun
	lasts int     // bins in a row with it up to the last one
}

// riseOf looks for a rise in the last ten minutes: what the older half shows was
// normal, then G_t over the bins. current takes the bin in that fills as well.
func riseOf(r *ring, margin, alpha, noise float64, current bool) (m rise, ok bool) {
	const pastBins = 15
	if r.Filled < pastBins {
		return m, false
	}
	type bin struct{ n, x float64 }
	var bins []bin
	r.course(func(n, x float64) { bins = append(bins, bin{n, x}) })
	past := len(bins) / 2
	if current {
		n, x := r.bin(r.At)
		bins = append(bins, bin{n, x})
	}
	var n, x float64
	for _, b := range bins[:past] {
		n, x = n+b.n, x+b.x
	}
	if n == 0 {
		return m, false
	}
	m.bound = upperRate(x, n, 1+x*noise*noise, alpha/2)
	s, low := 0., 0.
	course := make([]float64, len(bins))
	for k, b := range bins {
		d := b.x*math.Ln2 - margin*m.bound*b.n
		if s += d; d > 0 {
			m.lasts++
		} else if b.n > 0 { // where metrics tell, most bins are empty
			m.lasts = 0 // a burst that was over is none of this one
		}
		course[k] = s
		if s <= low {
			low, m.last = s, k
		}
	}
	for k, v := range course {
		if v <= low+onsetNats {
			m.last = max(m.last, k)
		}
	}
	phi := 1 + m.bound*n/float64(past)*float64(len(bins)-m.last)*2*noise*noise
	return m, (s-low)/phi >= affectedNats
}
