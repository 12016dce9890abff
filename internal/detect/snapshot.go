package detect

import (
	"bytes"
	"encoding/gob"
	"fmt"
	"maps"
	"math"
	"time"

	"github.com/deployloop/deployloop/internal/event"
)

// snapshotVersion changes when an older snapshot could not be understood; such
// a one is refused, and the engine learns anew.
const snapshotVersion = 7

// A snapshot holds histories, the origins seen, and the watches with all their
// evidence. The open seconds, the examples waiting and the users' sketches are
// not in it: a restart loses at most what the last seconds brought.
type snapshot struct {
	Version  int
	Second   int64
	Skew     int64 // of the clock, ns
	Services []serviceState
	Watches  []watchState
	Pool     pool
	Placebos placeboLedger
}

type serviceState struct {
	Name, Environment string
	Operations        []string // without the one for others
	Asides            []Aside  // by operation, likewise
	Queued            []bool   // by operation, likewise
	Produces          bool
	Patterns          []patternState
	History           *history
	Origins           []Origin
	Firsts            []int64
	OpTotals          [][]float64
	Gap               float64
	Calibration       calibration
	Transient         transient
	Week              *profile
	Gauges            []gaugeState
}

// gaugeState is what is kept of a gauge that the always-on channel looks at:
// days of its past. Its latest samples are learnt anew.
type gaugeState struct {
	Name, Series, Client string
	Worse                Worse
	Excursions           excursions
}

type patternState struct {
	Kind                               event.Signal
	ID                                 uint64
	Type, Message, Template, Operation string
	Frames                             []event.Frame
	Severity                           int
	Harm                               bool
	FirstAt                            int64
	Examples                           []exampleState
}

type exampleState struct {
	Origin  int // index into Origins, -1: gone
	Example event.Example
}

type watchState struct {
	Deployment event.Deployment
	Mode       event.Mode
	State      event.VerdictState
	Reason     event.Reason
	Detail     string
	Checkpoint time.Duration
	Losses     map[string]uint64
	Base       *history
	Fresh      *history
	Proof      *proof
	Moves      []move
	Indicators []indicatorState
	Undoing    []int // indicators that showed harm
	Hits       []float64
	Numbers    []float64
	Record     savedRecord
	Threshold  float64
	Rests      event.Calibration
	Basis      Basis
	Stretches  []int64
	Heard      []int64 // stretches of Undoing
	Peers      []peerState
	Depend     map[string]float64
	Warmup     int64
}

type peerState struct {
	Name   string
	Before float64
}

type indicatorState struct {
	Signal      event.Signal
	Op, Pattern int32
	Class       int
	Levels      int
	Tested      bool
	Old         bool    // it follows the old cohort
	Parts       []uint8 // by level: which optional parts it has
	Early       bool
	Records     []savedLevel // by level, nil: none
	Numbers     []float64
}

// Snapshot encodes histories and watches.
func (e *Engine) Snapshot() ([]byte, error) {
	e.work.Lock()
	defer e.work.Unlock()
	out := snapshot{Version: snapshotVersion, Second: e.open.Load(), Skew: e.clock.skew.Load(), Pool: e.placebos.pool, Placebos: e.placebos.ledger}
	for _, s := range e.list() {
		if s.key.name != overflowService {
			out.Services = append(out.Services, s.save())
		}
	}
	for _, w := range e.queue {
		out.Watches = append(out.Watches, w.save())
	}
	var buf bytes.Buffer
	if err := gob.NewEncoder(&buf).Encode(out); err != nil {
		return nil, fmt.Errorf("encode the engine's state: %w", err)
	}
	return buf.Bytes(), nil
}

func (s *service) save() serviceState {
	s.mu.Lock()
	defer s.mu.Unlock()
	st := serviceState{Name: s.key.name, Environment: s.key.environment, History: s.history, Gap: s.gap, Calibration: s.calibration, Transient: s.transient, Week: s.week, Produces: s.produces.Load()}
	index := map[*Source]int{}
	for i, source := range s.sources {
		index[source] = i
		st.Origins = append(st.Origins, source.origin)
		st.Firsts = append(st.Firsts, source.first)
		st.OpTotals = append(st.OpTotals, source.opTotal)
	}
	for _, o := range s.ops[1:] {
		st.Operations = append(st.Operations, o.name)
		st.Asides = append(st.Asides, o.aside)
		st.Queued = append(st.Queued, o.queued.Load())
	}
	for _, p := range s.patterns[1:] {
		state := patternState{Kind: p.kind, ID: p.id, Type: p.typ, Message: p.message, Template: p.template, Operation: p.operation,
			Frames: p.frames, Severity: p.severity, Harm: p.harm, FirstAt: p.firstAt}
		for _, x := range p.examples {
			if i, ok := index[x.source]; ok {
				state.Examples = append(state.Examples, exampleState{i, x.example})
			}
		}
		st.Patterns = append(st.Patterns, state)
	}
	for _, g := range s.gauges.order {
		if g.excursions != nil {
			st.Gauges = append(st.Gauges, gaugeState{g.key.name, g.key.series, g.key.client, g.worse, *g.excursions})
		}
	}
	return st
}

func (w *watch) save() watchState {
	st := watchState{Deployment: w.d, Mode: w.mode, State: w.state, Reason: w.reason, Detail: w.detail, Checkpoint: w.checkpoint,
		Losses: map[string]uint64{}, Base: w.base, Fresh: w.fresh, Proof: w.proof, Moves: w.moves}
	// Losses count from zero after a restart, so what is owed is kept negative:
	// the difference so far.
	now := w.service.losses.snapshot()
	for name, n := range now {
		st.Losses[name] = n - min(n, w.lossesBefore[name])
	}
	position := map[*indicator]int{}
	for _, i := range w.indicators {
		if i.opt().gauge != nil {
			continue // gauges are learnt anew
		}
		position[i] = len(st.Indicators)
		is := indicatorState{Signal: i.signal(), Op: i.op, Pattern: i.pattern, Class: int(i.class), Levels: len(i.levels), Tested: i.test != nil, Old: i.opt().old != nil}
		for l := range i.levels {
			is.Parts = append(is.Parts, i.levels[l].has())
		}
		n := &numbers{}
		i.walk(n)
		is.Numbers = n.list
		is.Early, is.Records = i.early, i.saveRecords()
		st.Indicators = append(st.Indicators, is)
	}
	if w.undo != nil {
		st.Undoing = []int{}
		for _, p := range w.undo.parts {
			if p.i.opt().gauge == nil {
				st.Undoing = append(st.Undoing, position[p.i])
			}
		}
		st.Heard = w.undo.heard
	}
	for _, h := range w.hits {
		st.Hits = append(st.Hits, h.new, h.old, math.Float64frombits(uint64(h.firstNewAt)))
	}
	n := &numbers{}
	w.walk(n)
	st.Numbers, st.Record, st.Threshold, st.Rests = n.list, w.rec.save(), w.threshold, w.calibration
	st.Basis = w.basis
	st.Stretches = w.stretches
	for _, p := range w.peers {
		st.Peers = append(st.Peers, peerState{p.service.key.name, p.before})
	}
	st.Depend, st.Warmup = w.depend, w.warmup
	return st
}

// Restore takes a snapshot into an engine that has seen nothing yet. A damaged
// or unknown snapshot is refused and leaves the engine as it was.
func (e *Engine) Restore(data []byte) error {
	var in snapshot
	if err := gob.NewDecoder(bytes.NewReader(data)).Decode(&in); err != nil {
		return fmt.Errorf("decode the engine's state: %w", err)
	}
	if in.Version != snapshotVersion {
		return fmt.Errorf("the engine's state has version %d, this build reads %d", in.Version, snapshotVersion)
	}
	e.work.Lock()
	defer e.work.Unlock()
	if len(e.list()) > 0 || len(e.queue) > 0 {
		return fmt.Errorf("the engine has begun already: restore before the first observation")
	}
	staged := New(e.cfg)
	staged.placebos.restore(in.Pool, in.Placebos)
	for _, st := range in.Services {
		if len(staged.order) < e.cfg.Limits.Services {
			staged.serviceOf(st.Name, st.Environment).load(st)
		}
	}
	for _, st := range in.Watches {
		if len(staged.queue) >= e.cfg.Limits.Watches {
			break
		}
		if err := staged.loadWatch(st); err != nil {
			return err
		}
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	e.services, e.order, e.watches, e.queue = staged.services, staged.order, staged.watches, staged.queue
	e.recorded, e.placebos = staged.recorded, staged.placebos
	for _, s := range e.order {
		s.engine = e
		for _, source := range s.sources {
			source.engine = e
		}
	}
	for _, w := range e.queue {
		w.engine = e
	}
	e.resumeClock(in)
	return nil
}

// resumeClock goes on from the snapshot's time; the machine's clock may have
// been set back since.
func (e *Engine) resumeClock(in snapshot) {
	start := time.Unix(0, e.clock.now)
	e.clock.skew.Store(in.Skew)
	e.clock.now = in.Second * second
	if e.clock.advance(start, e.cfg.MaxDelay) {
		for _, s := range e.order {
			s.losses.add(lossClockBack, 1)
		}
	}
	e.advance(floorSecond(e.clock.now - int64(e.cfg.AllowedLateness)))
}

func (s *service) load(st serviceState) {
	s.restored = true
	for i, o := range st.Origins {
		source := s.source(o)
		if i < len(st.Firsts) && i < len(st.OpTotals) {
			source.first, source.opTotal = st.Firsts[i], st.OpTotals[i]
			source.firstItem = source.first * second
		}
	}
	for i, name := range st.Operations {
		aside := Aside{}
		if i < len(st.Asides) {
			aside = st.Asides[i]
		}
		if _, o, _ := s.operation(name, aside); i < len(st.Queued) && st.Queued[i] {
			o.queued.Store(true)
		}
	}
	s.produces.Store(st.Produces)
	for _, p := range st.Patterns {
		index, _ := s.pattern(keyOf(kindOf(p.Kind), p.ID), false, func() *pattern {
			return &pattern{kind: p.Kind, id: p.ID, typ: p.Type, message: p.Message, template: p.Template, operation: p.Operation,
				frames: p.Frames, severity: p.Severity, harm: p.Harm, firstAt: p.FirstAt}
		})
		for _, x := range p.Examples {
			if index != otherIndex && x.Origin >= 0 && x.Origin < len(s.sources) {
				s.patterns[index].examples = append(s.patterns[index].examples, sourceExample{s.sources[x.Origin], x.Example})
			}
		}
	}
	for _, x := range st.Gauges {
		s.loadGauge(x)
	}
	if st.History != nil && st.History.finite() {
		s.history = st.History
	}
	s.gap = st.Gap
	s.calibration.restore(st.Calibration)
	if st.Week != nil && st.Week.finite() {
		s.week = st.Week
	}
	if st.Transient.finite() {
		s.transient = st.Transient
		s.warm()
	}
}

func (e *Engine) loadWatch(st watchState) error {
	s := e.serviceOf(st.Deployment.Service, st.Deployment.Environment)
	if st.Base == nil || !st.Base.finite() {
		st.Base = &history{}
	}
	if st.Fresh != nil && !st.Fresh.finite() {
		st.Fresh = &history{}
	}
	w := e.newWatch(s, st.Deployment, st.Mode)
	if st.Threshold > 0 {
		w.threshold, w.calibration, w.basis = st.Threshold, st.Rests, st.Basis
	}
	w.base, w.fresh, w.proof, w.moves = st.Base, st.Fresh, st.Proof, st.Moves
	w.state, w.reason, w.detail, w.checkpoint = st.State, st.Reason, st.Detail, st.Checkpoint
	for name, n := range st.Losses {
		s.losses.add(name, n)
	}
	damaged := fmt.Errorf("the engine's state is damaged: the watch of %s", st.Deployment.ID)
	for _, is := range st.Indicators {
		i := &indicator{kind: kindOfSignal(is.Signal), op: is.Op, pattern: is.Pattern, class: class(is.Class)}
		if int(is.Op) >= len(s.ops) || int(is.Pattern) >= len(s.patterns) || !i.kind.known() || is.Class < 0 || is.Class >= int(classes) ||
			len(is.Parts) != is.Levels || is.Levels > latencyLevels || is.Levels == 0 && is.Signal != event.SignalLatency || is.Tested && is.Op < 0 {
			return damaged
		}
		i.levels = make([]level, is.Levels)
		for l := range i.levels {
			i.levels[l].have(is.Parts[l])
		}
		if is.Tested {
			i.test = &latencyTest{}
		}
		if is.Old {
			i.with().old, i.with().now = &process{}, &process{}
		}
		n := &numbers{list: is.Numbers, reading: true}
		i.walk(n)
		if n.short || i.test != nil && (i.test.n != is.Levels || min(i.test.q95, i.test.limit) < 0 || max(i.test.q95, i.test.limit) >= i.test.n) {
			return damaged
		}
		if i.test != nil {
			if t := s.ops[i.op].test.Load(); t != nil {
				i.test = t
			} else {
				s.ops[i.op].test.Store(i.test)
			}
		}
		if i.op >= 0 {
			i.aside = s.ops[i.op].aside.Kind
		}
		i.early = is.Early
		w.loadRecords(i, is.Records)
		w.adopt(i)
	}
	w.rec.load(st.Record)
	if w.errors == nil {
		return damaged
	}
	for k := 0; k+2 < len(st.Hits); k += 3 {
		w.hits = append(w.hits, patternPair{new: st.Hits[k], old: st.Hits[k+1], firstNewAt: int64(math.Float64bits(st.Hits[k+2]))})
	}
	if st.Undoing != nil {
		w.undo = &undoing{heard: st.Heard[max(len(st.Heard)-maxStretches, 0):]}
		for _, k := range st.Undoing {
			if k < 0 || k >= len(w.indicators) || len(w.indicators[k].levels) == 0 {
				return damaged
			}
			w.undo.parts = append(w.undo.parts, undonePart{i: w.indicators[k]})
		}
	}
	n := &numbers{list: st.Numbers, reading: true}
	w.walk(n)
	if n.short || len(w.hits) > len(s.patterns) {
		return damaged
	}
	w.stretches = st.Stretches[max(len(st.Stretches)-maxStretches, 0):]
	for _, p := range st.Peers { // all services are loaded
		if of := e.services[serviceKey{p.Name, s.key.environment}]; of != nil && p.Before > 0 && finite(p.Before) {
			w.peers = append(w.peers, peer{service: of, before: p.Before})
		}
	}
	w.depend = st.Depend
	if st.Warmup > 0 {
		w.warmup = min(st.Warmup, int64(time.Hour/time.Second))
	}
	maps.DeleteFunc(w.depend, func(_ string, each float64) bool { return !(each > 0) || !finite(each) })
	w.newSources, w.oldSources = 0, 0 // counted again as they speak
	for _, i := range w.indicators {
		if i.pattern >= 0 && int(i.pattern) >= len(w.hits) {
			w.hits = growTo(w.hits, max(len(w.hits), int(i.pattern)+1))
		}
	}
	e.watches[w.d.ID] = w
	e.queue = append(e.queue, w)
	if !w.ended || w.state == event.Regressed && w.undo != nil && w.undo.since == 0 {
		s.watches = append(s.watches, w)
		s.held.Add(1)
	}
	w.weighAll(w.opened)
	w.changed = true
	return nil
}

// adopt files a restored indicator where the watch looks for it.
func (w *watch) adopt(i *indicator) {
	w.indicators = append(w.indicators, i)
	if i.pattern >= 0 {
		w.filePattern(i)
		return
	}
	if i.op < 0 {
		if i.signal() == event.SignalErrors {
			w.errors = i
		} else {
			w.traffic = i
		}
		return
	}
	o := w.byOp[i.op]
	if o == nil {
		o = &opIndicators{}
		w.byOp[i.op] = o
	}
	switch i.signal() {
	case event.SignalErrors:
		o.errors = i
	case event.SignalLatency:
		o.latency = i
	default:
		o.vanish = i
	}
}
