package detect

import (
	"cmp"
	"encoding/binary"
	"math"
	"slices"
	"time"

	"github.com/cespare/xxhash/v2"

	"github.com/deployloop/deployloop/internal/event"
)

// A placebo is a watch of a deployment that never was. It runs through the same
// code as a real one, and its highest evidence, M, tells how high evidence rises
// by itself: in time, all instances pass for new and are compared with history;
// in space, as many stable instances as a canary has, drawn anew for each
// window, are compared with the others.
//
// A service plays one window at a time, of both kinds at once. Windows do not
// overlap: one that shared its seconds with another would say little new.
type placebo struct {
	canary  map[*Source]bool // nil: in time, all pass for new
	until   int64            // its last second
	top     float64          // M so far
	alarmed bool             // it would have been called regressed
}

const (
	placeboEvery  = binSeconds // seconds between looks for services that can play a window
	placeboBefore = 300.       // seconds of history before a first window
	placeboStable = 3          // instances of which some can pass for a canary
	placeboSilent = int64(60)  // seconds: an instance that said nothing for so long is none of them
	canaryShare   = .1         // of the instances, while no canary was seen
)

// PlaceboConfig bounds what placebo windows cost.
type PlaceboConfig struct {
	// Window is how long one lasts (default 10m, and no longer than the longest watch).
	Window time.Duration
	// Indicators is how many indicators all windows that run may hold (default
	// 2000; each costs what one of a real watch does). Negative: none run, and
	// every threshold stays provisional.
	Indicators int
}

// placebos are the windows that run, and what came of all that ended.
type placebos struct {
	window  int64
	budget  int
	paused  bool
	running []*service // with a window, oldest first
	pool    pool
	ledger  placeboLedger
}

// placeboLedger counts windows: those that ended, those that would have been
// called regressed, and those that did not end, since a deployment came, the
// service fell silent, or the budget was short.
type placeboLedger struct{ Windows, Alarms, Dropped uint64 }

// cohortOf tells on which side of a placebo a source stands.
func (p *placebo) cohortOf(s *Source) cohort {
	if p.canary == nil || p.canary[s] {
		return cohortNew
	}
	return cohortOld
}

// PausePlacebos ends all windows and begins no more, till it is called with
// false: they are the first to go when the processor is short.
func (e *Engine) PausePlacebos(paused bool) {
	e.work.Lock()
	defer e.work.Unlock()
	e.placebos.paused = paused
	if paused {
		for len(e.placebos.running) > 0 {
			e.dropPlacebos(e.placebos.running[0])
		}
	}
}

// eachWatch calls do for the service's watches and then for those of no deployment.
func (s *service) eachWatch(do func(*watch)) {
	for _, w := range s.watches {
		do(w)
	}
	for _, w := range s.placebos {
		do(w)
	}
	if s.always != nil {
		do(s.always)
	}
}

// runPlacebos ends the windows that are over, and begins others. It is called
// at the end of each second.
func (e *Engine) runPlacebos(sec int64) {
	var over []*service
	for _, s := range e.placebos.running {
		for _, w := range s.placebos {
			w.endPlaceboSecond(sec)
		}
		if sec >= s.placebos[0].placebo.until {
			over = append(over, s)
		}
	}
	slices.SortFunc(over, byKey) // what order services came in depends on chance
	for _, s := range over {
		e.endPlacebos(s, sec)
	}
	if sec%placeboEvery == 0 && !e.placebos.paused && e.placebos.budget > 0 && !e.sheds(shedTail) {
		e.openPlacebos(sec)
	}
}

// endPlaceboSecond weighs and decides as endSecond does for a real watch.
func (w *watch) endPlaceboSecond(sec int64) {
	w.weighAll(sec)
	w.decide(sec)
	w.placebo.top = math.Max(w.placebo.top, w.nats)
}

// endPlacebos takes in what a service's window showed. A window without data
// showed nothing.
func (e *Engine) endPlacebos(s *service, sec int64) {
	for _, w := range s.placebos {
		if w.newTotal < enoughControl && w.gaugeSamples < gaugeEnough {
			e.placebos.ledger.Dropped++
			continue
		}
		m := w.placebo.top
		e.placebos.pool.add(&s.calibration, m, most(w.alpha))
		s.calibration.add(m)
		s.calibration.book(w.placebo.alarmed, w.alpha)
		e.placebos.ledger.Windows++
		if w.placebo.alarmed {
			e.placebos.ledger.Alarms++
		}
	}
	e.forgetPlacebos(s)
	s.calibration.TriedAt = sec
	for _, w := range s.watches { // an open watch that has none yet
		w.calibrate()
	}
}

// dropPlacebos ends a service's windows before their time.
func (e *Engine) dropPlacebos(s *service) {
	e.placebos.ledger.Dropped += uint64(len(s.placebos))
	e.forgetPlacebos(s)
}

func (e *Engine) forgetPlacebos(s *service) {
	s.placebos = nil
	e.placebos.running = slices.DeleteFunc(e.placebos.running, func(o *service) bool { return o == s })
}

// openPlacebos begins windows within the budget, first at the services whose
// last one is longest ago. Over the budget, since what runs has grown, the
// window that began last goes: least is lost with it.
func (e *Engine) openPlacebos(sec int64) {
	held := 0
	for _, s := range e.placebos.running {
		held += s.placeboCost()
	}
	for held > 2*e.placebos.budget && len(e.placebos.running) > 1 {
		last := e.placebos.running[len(e.placebos.running)-1]
		held -= last.placeboCost()
		e.dropPlacebos(last)
	}
	var ready []*service
	for _, s := range e.list() {
		if len(s.placebos) == 0 && s.playable(sec) {
			ready = append(ready, s)
		}
	}
	slices.SortFunc(ready, func(a, b *service) int {
		return cmp.Or(cmp.Compare(a.calibration.TriedAt, b.calibration.TriedAt), byKey(a, b))
	})
	for _, s := range ready {
		cost := s.placeboCost()
		if held > 0 && held+cost > e.placebos.budget {
			break
		}
		held += cost
		e.openPlacebo(s, sec)
	}
}

func byKey(a, b *service) int {
	return cmp.Or(cmp.Compare(a.key.name, b.key.name), cmp.Compare(a.key.environment, b.key.environment))
}

// placeboCost is how many indicators the service's windows hold, or would.
func (s *service) placeboCost() int {
	n := 0
	for _, w := range s.placebos {
		n += len(w.indicators)
	}
	if n == 0 {
		for i := range s.history.Ops {
			if s.history.Ops[i].N > 0 {
				n += 6
			}
		}
		n += 4
	}
	return n
}

// playable says whether a window would tell anything: the service speaks, its
// history is known, and no deployment is undecided or bad, were it one whose
// last watch ended: the evidence would be of that one's harm.
func (s *service) playable(sec int64) bool {
	h := s.history
	return s.key.name != overflowService && h.Seconds >= placeboBefore && h.Requests+h.Lines >= enoughControl &&
		sec-s.lastActive.Load() < placeboSilent && !s.frozen() && !slices.ContainsFunc(s.watches, (*watch).bad)
}

// openPlacebo begins a window in time and, where there are instances enough,
// one in space.
func (e *Engine) openPlacebo(s *service, sec int64) {
	base := s.history.clone()
	s.resetTests()
	splits := []map[*Source]bool{nil}
	if canary := s.pseudoCanary(sec); canary != nil {
		splits = append(splits, canary)
	}
	s.calibration.Tried++
	e.placebos.running = append(e.placebos.running, s)
	for _, canary := range splits {
		w := e.newWatch(s, noDeployment(s), "")
		w.placebo = &placebo{canary: canary, until: sec + e.placebos.window}
		w.base, w.fresh = base, nil
		w.gap = int64(math.Ceil(s.gap - .01))
		s.placebos = append(s.placebos, w)
		w.prepare()
		w.setTests(w.opened)
	}
}

// pseudoCanary draws instances that pass for new: as many as the last canary
// had, never more than half. The draw depends on the service, the number of the
// window and the instances, and on nothing else.
func (s *service) pseudoCanary(sec int64) map[*Source]bool {
	type drawn struct {
		source *Source
		lot    uint64
	}
	var lots []drawn
	seed := binary.LittleEndian.AppendUint64([]byte(s.key.name+"\x00"+s.key.environment+"\x00"), uint64(s.calibration.Tried))
	s.mu.Lock()
	for _, x := range s.sources {
		if x.origin.Caller != "" || sec-x.lastActive >= placeboSilent || !x.settled(sec, s.warmup) || len(x.opTotal) == 0 {
			continue
		}
		o := &x.origin
		lots = append(lots, drawn{x, xxhash.Sum64(append(seed[:len(seed):len(seed)], o.Version+"\x00"+o.Revision+"\x00"+o.Instance...))})
	}
	s.mu.Unlock()
	if len(lots) < placeboStable {
		return nil
	}
	slices.SortFunc(lots, func(a, b drawn) int { return cmp.Compare(a.lot, b.lot) })
	n := s.calibration.Canary
	if n == 0 {
		n = int(canaryShare*float64(len(lots)) + .5)
	}
	out := map[*Source]bool{}
	for _, x := range lots[:min(max(n, 1), len(lots)/2)] {
		out[x.source] = true
	}
	return out
}

// calibrate gives a watch its threshold: the one that its service has when it
// opens, and where that is provisional still, the first that is not.
func (w *watch) calibrate() {
	if w.threshold != 0 && w.calibration.Source != event.CalibrationProvisional || w.regressedAt != 0 || w.ended {
		return
	}
	was := w.calibration.Source
	w.basis, w.calibration = w.service.calibration.basis(&w.engine.placebos.pool, w.alpha)
	w.threshold = w.basis.threshold(w.calibration, w.alpha)
	w.changed = w.changed || was != w.calibration.Source
}

// learnFromWatch takes a deployment that was found healthy for a placebo: its
// window holds what a restart does to a service that is well. And it keeps how
// many instances a canary has.
func (w *watch) learnFromWatch(sec int64) {
	if w.ready == 0 || sec-w.ready != w.engine.placebos.window || w.state != event.Healthy {
		return
	}
	w.service.calibration.add(w.peak)
	if w.oldSources > 0 && w.paceOld > 0 {
		w.service.calibration.Canary = int(w.newSources)
	}
}

// wasThere says whether a source was there before the deployment; before one
// that never was, all were.
func (w *watch) wasThere(s *Source) bool {
	return w.cohortOf(s) == cohortOld || w.placebo != nil && w.placebo.canary == nil
}

// noDeployment is the subject of a placebo: it has no identity.
func noDeployment(s *service) event.Deployment {
	return event.Deployment{Service: s.key.name, Environment: s.key.environment}
}

// PlaceboStatus is the placebo ledger, and what runs.
type PlaceboStatus struct {
	event.PlaceboCount
	Dropped    uint64 // windows that did not end, or held no data
	Running    int    // windows now
	Indicators int    // that they hold
}

func (p *placebos) status() PlaceboStatus {
	out := PlaceboStatus{PlaceboCount: counted(p.ledger.Windows, p.ledger.Alarms), Dropped: p.ledger.Dropped}
	for _, s := range p.running {
		out.Running += len(s.placebos)
		out.Indicators += s.placeboCost()
	}
	return out
}

// rests is what the watch's threshold rests on, with the counts as they are now.
func (w *watch) rests() event.Calibration {
	c, all := &w.service.calibration, &w.engine.placebos.ledger
	out := w.calibration
	out.Service, out.All = counted(c.Windows, c.Alarms), counted(all.Windows, all.Alarms)
	return out
}

// restore takes what a snapshot holds. Windows that ran are not in it.
func (p *placebos) restore(saved pool, ledger placeboLedger) {
	if len(saved.Peaks) <= pooledPeaks && saved.At >= 0 && finitePeaks(saved.Peaks) {
		p.pool = pool{Peaks: saved.Peaks, At: saved.At}
	}
	p.ledger = ledger
}
