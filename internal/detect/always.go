package detect

import (
	"math"
	"slices"
	"time"

	"github.com/deployloop/deployloop/internal/event"
)

// The always-on channel looks for what gets worse while nothing is deployed.
// For each service without an open deployment it runs one watch in which all
// instances pass for new, against history as it stood when the watch began,
// with every start counted in full: R_t = (R_{t−1} + 1)·L_t. That is no
// e-process, E[R_t] = t, so it has a budget and a threshold of its own,
// ln(T/α), and is no part of any deployment's evidence.

// AlwaysOnConfig bounds the channel.
type AlwaysOnConfig struct {
	// FalseAlarms is α: how many are allowed for a service in a week of ideal
	// counts (default 0.1).
	FalseAlarms float64
	// Indicators is how many indicators all services together may hold (default
	// 10000). Negative: the channel is off.
	Indicators int
}

// threshold is ln(T/α).
func (c *AlwaysOnConfig) threshold() float64 { return math.Log(alwaysWeek / c.FalseAlarms) }

// Unprompted is an anomaly that no deployment is behind.
type Unprompted struct {
	// Verdict is what is known of it: its deployment has no identity, and its
	// state is "regressed".
	Verdict  event.Verdict
	Open     bool
	ClosedAt time.Time
	Renewed  bool   // it did not recover, but lasted so long that it is taken for normal
	Lost     bool   // it did not recover as far as is known: the service fell silent and was forgotten
	Detail   string // of the closure, in words
}

const (
	alwaysWeek      = 7 * 86400.
	alwaysEvery     = binSeconds
	alwaysAge       = 600       // seconds after which a quiet watch is begun anew, with newer history
	alwaysOldest    = 86400     // and one that is not quiet
	alwaysQuiet     = 1.        // nats of gain that keep a watch from being begun anew
	alwaysOps       = 5         // busiest operations that are looked at
	alwaysPatterns  = 50        // exceptions and log templates
	alwaysRecovered = 120       // seconds within tolerance that end an anomaly
	alwaysNearby    = 600       // seconds for which a deployment of another service may be the cause
	alwaysNormal    = 6 * 3600  // seconds after which it is taken for normal
	alwaysYoung     = 60.       // seconds of history from which a hard failure is told
	alwaysLearns    = 30        // seconds after which such a watch is begun anew
	alwaysRepeat    = int64(10) // seconds after which an open one is told again
)

// runAlways weighs the always-on watches, and begins and ends them.
func (e *Engine) runAlways(sec int64) {
	if e.cfg.AlwaysOn.Indicators < 0 {
		return
	}
	look := sec%alwaysEvery == 0
	held := 0
	for _, s := range e.list() {
		if w := s.always; w != nil {
			e.alwaysSecond(w, sec)
			if look && s.always != nil && w.state != event.Regressed && w.stale(sec) {
				s.always = nil
			}
		}
		if s.always != nil {
			held += len(s.always.indicators)
		}
	}
	if !look {
		return
	}
	services := e.list()
	slices.SortFunc(services, byKey)
	for _, s := range services {
		may := held < e.cfg.AlwaysOn.Indicators && !e.sheds(shedTail)
		if may && s.always == nil && s.unwatched() && s.listened(sec) {
			s.always = e.openAlways(s)
			held += len(s.always.indicators)
		}
		s.search = s.searchState(sec, may)
	}
}

// unwatched says whether no deployment of the service is open, nor a bad one
// whose last watch ended: what it does goes on, and was told with it.
func (s *service) unwatched() bool {
	return !slices.ContainsFunc(s.watches, func(w *watch) bool { return !w.ended || w.bad() })
}

// deployedNearby says whether a deployment of another service in the same
// environment is bad, or undecided and so young that it may be: what happens
// here may be its doing, and is told there.
func (e *Engine) deployedNearby(s *service, sec int64) bool {
	for _, w := range e.queue {
		if w.service == s || w.service.key.environment != s.key.environment || w.ended && sec-w.endedAt > undoFor {
			continue
		}
		if w.bad() || w.state == event.Regressed && sec-w.undo.since < alwaysRecovered ||
			!w.ended && w.state == event.Watching && sec-max(w.ready, w.opened) < alwaysNearby {
			return true
		}
	}
	return false
}

// listened says whether the service speaks, and something of what is normal is
// known: at least what a hard failure is.
func (s *service) listened(sec int64) bool {
	if s.key.name == overflowService || s.frozen() {
		return false
	}
	h := s.history
	if !s.silent(sec) && h.Seconds >= alwaysYoung && h.Requests+h.Lines >= enoughControl {
		return true
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.ContainsFunc(s.gauges.order, func(g *gauge) bool { return g.searched() && g.n >= alwaysSamples })
}

// alwaysSamples of a gauge make its quantiles known.
const alwaysSamples = 100

func (e *Engine) openAlways(s *service) *watch {
	young := s.history.Seconds < placeboBefore
	if !young {
		s.resetTests()
	}
	w := e.newWatch(s, noDeployment(s), "")
	w.placebo, w.always = &placebo{}, true
	w.base, w.fresh = s.history.clone(), nil
	w.gap = int64(math.Ceil(s.gap - .01))
	w.threshold, w.calibration = e.cfg.AlwaysOn.threshold(), event.Calibration{}
	if w.young = young; young {
		w.onlyHardFailures()
	}
	w.prepare()
	w.setTests(w.opened)
	return w
}

// onlyHardFailures leaves to a watch what minutes of history can bear: a share
// of errors far beyond all that they leave open. How a service wavers, which
// errors it always had and how slow its start is, they do not tell.
func (w *watch) onlyHardFailures() {
	w.minError = math.Max(w.minError, event.HardFailure)
	own := w.signals
	w.signals = []event.Signal{}
	for _, signal := range []event.Signal{event.SignalErrors, event.SignalGauge} {
		if own == nil || slices.Contains(own, signal) {
			w.signals = append(w.signals, signal)
		}
	}
}

// alwaysSecond weighs one second, raises and ends.
func (e *Engine) alwaysSecond(w *watch, sec int64) {
	w.weighAll(sec)
	if w.anew == 0 && w.nats >= w.threshold/2 {
		w.anew = sec
		w.service.examplesAnew()
	}
	if w.state != event.Regressed {
		if w.nats < w.threshold || w.leader == nil || !w.service.unwatched() || e.deployedNearby(w.service, sec) {
			return
		}
		w.regressedAt = e.clock.now
		w.set(event.Regressed, event.ReasonEvidenceOfHarm, "")
		w.peak = w.nats
		w.tellExcursion(sec)
		w.undo = newUndoing(w)
		w.verdict(e.clock.wall(e.clock.now)) // its proof, before anything fades
		w.toldAt = sec
		e.unprompted = append(e.unprompted, w.unprompted())
		return
	}
	recovered := w.undo.since != 0 && sec-w.undo.since >= alwaysRecovered
	if w.excursion != nil {
		recovered = w.excursion.over() && (recovered || len(w.undo.parts) == 0)
	}
	if normal := sec-w.regressedAt/second >= alwaysNormal; recovered || normal {
		u := w.unprompted()
		u.Open, u.ClosedAt, u.Renewed, u.Detail = false, e.clock.timeOf(sec), !recovered, w.recovery().Detail
		if w.excursion != nil {
			u.Detail = w.excursion.ended(recovered)
		}
		e.unprompted = append(e.unprompted, u)
		w.service.always = nil
	} else if sec-w.toldAt >= alwaysRepeat {
		w.toldAt = sec
		e.unprompted = append(e.unprompted, w.unprompted())
	}
}

// unprompted is the anomaly as it is known now.
func (w *watch) unprompted() Unprompted {
	return Unprompted{Verdict: w.verdict(w.engine.clock.wall(w.engine.clock.now)), Open: true}
}

// examplesAnew lets all sources give examples again: those that were kept since
// the service was first seen show what is usual.
func (s *service) examplesAnew() {
	s.mu.Lock()
	sources := slices.Clone(s.sources) // s.mu is the leaf of the lock order
	s.mu.Unlock()
	for _, source := range sources {
		source.mu.Lock()
		clear(source.opKept)
		clear(source.patKept)
		source.mu.Unlock()
	}
}

// ofHarm takes from a group of errors what was there before a harm began, and
// says whether anything is left: without a deployment all instances are looked
// at, and what they showed first is of long ago.
func ofHarm(r *event.RelatedError, began time.Time, harms bool) bool {
	r.Examples = slices.DeleteFunc(r.Examples, func(x event.Example) bool { return x.At.Before(began) })
	old := r.FirstAt.Before(began)
	if len(r.Examples) > 0 {
		if r.Message = r.Examples[0].Message; old {
			r.FirstAt = r.Examples[0].At
		}
		return true
	}
	if old {
		r.FirstAt = time.Time{}
	}
	return !old || harms
}

// loseAlways ends the anomaly of a service that was forgotten, and its windows.
func (e *Engine) loseAlways() {
	e.mu.Lock()
	gone := e.evicted
	e.evicted = nil
	e.mu.Unlock()
	for _, s := range gone {
		if len(s.placebos) > 0 {
			e.dropPlacebos(s)
		}
		if w := s.always; w != nil && w.state == event.Regressed {
			u := w.unprompted()
			u.Open, u.Lost, u.ClosedAt = false, true, e.clock.timeOf(e.open.Load())
			u.Detail = "the service fell silent and was forgotten, to make room for others"
			e.unprompted = append(e.unprompted, u)
		}
		s.always = nil
	}
}

// stale says whether a watch should begin anew: what is normal was learnt long
// ago, and nothing is brewing that would be lost.
func (w *watch) stale(sec int64) bool {
	age := sec - w.opened
	if age >= alwaysOldest || !w.service.unwatched() {
		return true
	}
	if age < alwaysAge && !(w.young && age >= alwaysLearns) {
		return false
	}
	return !w.brewing(sec)
}

// brewing says whether something speaks for harm beyond what the noise of its
// counts explains: it may be its begin. A drift is to be learnt, not waited for.
func (w *watch) brewing(sec int64) bool {
	for _, i := range w.indicators {
		for k := range i.levels {
			l := &i.levels[k]
			if l.harm.ticks == 0 {
				continue
			}
			t := l.harm.leading()
			phi := i.inflation(w, l, l.harm.window(), i.since(w, &l.harm, t, sec), true)
			if float64(t.gain)/math.Max(phi, 1) > alwaysQuiet {
				return true
			}
		}
	}
	return false
}

// resetTests lets the bounds of latency be found anew, unless somebody counts
// by those there are.
func (s *service) resetTests() {
	if len(s.watches) > 0 || len(s.placebos) > 0 {
		return
	}
	if w := s.always; w != nil {
		if w.state == event.Regressed || w.brewing(s.engine.open.Load()) {
			return
		}
		s.always = nil // and begins anew with them
	}
	for _, o := range s.operations() {
		o.test.Store(nil)
	}
}

// looks is what evidence grows by without harm, since every start counts in
// full: ln T. It is part of the channel's threshold, and is taken off where
// indicators are told apart.
func (w *watch) looks() float64 {
	if w.always {
		return math.Log(alwaysWeek)
	}
	return 0
}

// mostPatterns is how many exceptions and log templates a watch looks at.
func (w *watch) mostPatterns() int {
	if w.always {
		return alwaysPatterns
	}
	return maxPatternIndicators
}

// Unprompted gives the anomalies without a deployment that began, ended or are
// due to be told again since it was last asked.
func (e *Engine) Unprompted() []Unprompted {
	e.work.Lock()
	defer e.work.Unlock()
	out := e.unprompted
	e.unprompted = nil
	return out
}
