package detect

import (
	"math"
	"slices"
	"sort"
	"time"

	"github.com/deployloop/deployloop/internal/event"
)

// watch is one deployment under watch.
type watch struct {
	engine  *Engine
	service *service
	d       event.Deployment
	mode    event.Mode
	watches []time.Duration
	signals []event.Signal // nil: all

	minRatio, minError float64
	alpha              float64

	opened  int64 // second
	started int64 // second of the deployment's start
	warmup  int64 // of its instances, see warmup.go: what a deployment's own starts teach is for the next
	ready   int64 // first second of the new cohort, 0: none yet
	ended   bool
	endedAt int64

	base  *history // the control's past, as it stood when the watch opened
	fresh *history // what the new cohort does; nil once it was adopted or discarded
	olds  []*window[float32]

	members                map[*Source]cohort
	spoken                 map[*Source]bool
	gone                   map[sourceKey]bool // that had spoken, and were silent for long
	newSources, oldSources float64
	lastNew, lastOld       int64              // last second with a request
	lastApart              int64              // last second with an item of a version that is neither
	unheard                bool               // the deployment is done, and the new cohort never said a thing
	depend                 map[string]float64 // see silent.go
	gap                    int64              // the longest silence of the service in the last minutes before, seconds
	lastItem               int64              // last second of the new cohort with any item
	paceNew, paceOld       float64
	stretches              stretches // of the new cohort
	items, lost            uint64    // of the new cohort
	weights, squares       float64   // of the new cohort's requests
	heaviest               float64   // weight of an item in this second
	held                   counts    // of the service's traffic, not yet tested
	usual                  float64   // share of the traffic before that is usual by now; 0: not asked yet
	peers                  []peer
	beside                 lump // of traffic, with that of peers
	lossesBefore           map[string]uint64

	pairs     []pair // by operation, of the second that is observed: see scratch
	touched   []int32
	all       pair
	hits      []patternPair // by pattern
	hot       []int32       // patterns with hits in this second
	newTotal  float64       // requests
	oldTotal  float64
	lineTotal float64
	lines     [3]float64 // of this second: old, new, all but new

	indicators []*indicator
	errors     *indicator // of the whole service
	traffic    *indicator
	callers    bool // other services' calls of this one are counted
	followed   int  // operations whose latency in the old cohort is compared with the past
	byOp       map[int32]*opIndicators
	byPattern  []*indicator // nil: none
	counts     [classes]int
	forgone    float64 // shares of indicators that were let go of
	byGauge    map[*gauge]*indicator
	// gaugeSamples of the new cohort, and callers', that were tested.
	gaugeSamples float64

	state       event.VerdictState
	reason      event.Reason
	detail      string
	checkpoint  time.Duration
	regressedAt int64 // by the engine's clock when it was decided, ns; 0: it was not
	suspended   int64 // second in which a conviction first waited, or came; 0: none did
	healthyAt   int64 // likewise
	nats        float64
	peak        float64
	slope       float64
	threshold   float64
	calibration event.Calibration // what the threshold rests on
	basis       Basis             // and is found from
	placebo     *placebo          // nil: a real deployment's
	always      bool              // of no deployment: see always.go
	young       bool              // and with little history: of hard failures only
	excursion   *toldExcursion    // that it told
	anew        int64             // second since which examples are of what it may find; 0: of all time
	leader      *indicator
	undo        *undoing
	proof       *proof              // once regressed
	own         map[int32]*ownWatch // by operation
	excused     *indicator          // the last that was found inherited
	told        *event.Exclusive    // of it
	moves       []move              // work that goes on under another name
	changed     bool
	rec         record
	fellows     map[*indicator]*fellows // what the spread between instances was found from
	toldAt      int64
}

// pair is one second of one operation in both cohorts.
// rest is all but the new one, other deployments' included.
type pair struct{ new, old, rest seconds }

type seconds struct {
	n, failed, settled, timed float64
	heaviest                  float64 // weight of a request
	beyond                    [latencyLevels]float64
	firstFailed               int64
}

func (s *seconds) add(c *cell, settled bool) {
	s.n += float64(c.n)
	s.failed += float64(c.failed)
	s.heaviest = max(s.heaviest, float64(c.heaviest))
	if c.firstFailed != 0 && (s.firstFailed == 0 || c.firstFailed < s.firstFailed) {
		s.firstFailed = c.firstFailed
	}
	if !settled {
		return
	}
	s.settled += float64(c.n)
	s.timed += float64(c.timed)
	for i, n := range c.beyond {
		s.beyond[i] += float64(n)
	}
}

// over is how many exceeded the bound of a level.
func (s *seconds) over(level int) float64 {
	sum := 0.
	for i := level; i < latencyLevels; i++ {
		sum += s.beyond[i]
	}
	return sum
}

type patternPair struct {
	new, old   float64    // totals of the watch
	sec        [3]float64 // of this second: old, new, all but new
	firstNewAt int64      // ns, second precision
}

type opIndicators struct {
	errors, latency, vanish *indicator
}

// Watch opens the watch of a deployment, or tells an open one more about it
// (its status, its instances, its mode). A baseline (the first version ever
// seen) is not watched.
func (e *Engine) Watch(d event.Deployment, mode event.Mode) {
	if d.ID == "" || d.Baseline {
		return
	}
	e.work.Lock()
	defer e.work.Unlock()
	if w := e.watches[d.ID]; w != nil {
		w.d, w.mode, w.changed = d, mode, true
		clear(w.members)
		return
	}
	e.makeRoom()
	s := e.hold(d.Service, d.Environment)
	if len(s.placebos) > 0 {
		e.dropPlacebos(s) // this is no time without a deployment any more
	}
	if s.always != nil && s.always.state != event.Regressed {
		s.always = nil
	}
	w := e.newWatch(s, d, mode)
	s.resetTests()
	w.gap = int64(math.Ceil(s.gap - .01))
	w.prepare()
	w.depend = w.dependents()
	w.choosePeers()
	e.watches[d.ID] = w
	e.queue = append(e.queue, w)
	s.watches = append(s.watches, w)
	for _, other := range s.watches {
		clear(other.members)
	}
	w.setTests(w.opened)
}

// newWatch makes a watch with its settings.
func (e *Engine) newWatch(s *service, d event.Deployment, mode event.Mode) *watch {
	w := &watch{engine: e, service: s, d: d, mode: mode,
		members: map[*Source]cohort{}, spoken: map[*Source]bool{}, byOp: map[int32]*opIndicators{},
		opened: e.open.Load(), warmup: s.warmup, base: s.history, fresh: &history{}, alpha: e.cfg.FalseAlarms / 1000,
		minRatio: e.cfg.MinRateRatio, minError: e.cfg.MinErrorRatio, watches: e.cfg.Watches,
		state: event.Watching, reason: event.ReasonCollecting, lossesBefore: s.losses.snapshot(), changed: true}
	if c, ok := e.cfg.Services[d.Service]; ok {
		if own := sortedWatches(c.Watches); len(own) > 0 {
			w.watches = own
		}
		if c.MinErrorRatio > 0 {
			w.minError = c.MinErrorRatio
		}
		if c.MinRateRatio > 1 {
			w.minRatio = c.MinRateRatio
		}
		w.signals = c.Signals
	}
	w.started = w.opened
	if !d.StartedAt.IsZero() {
		w.started = e.clock.second(d.StartedAt)
	}
	w.calibrate()
	return w
}

// makeRoom lets the oldest ended watch go, else the oldest, when the cap is reached.
func (e *Engine) makeRoom() {
	if len(e.queue) < e.cfg.Limits.Watches {
		return
	}
	victim := 0
	for i, w := range e.queue {
		if w.ended {
			victim = i
			break
		}
	}
	w := e.queue[victim]
	if !w.ended {
		w.service.losses.add("watches_over_limit", 1)
	}
	w.leave()
	w.release()
	e.queue = append(e.queue[:victim], e.queue[victim+1:]...)
	delete(e.watches, w.d.ID)
}

// leave takes a watch out of its service's.
func (w *watch) leave() {
	before := len(w.service.watches)
	w.service.watches = slices.DeleteFunc(w.service.watches, func(o *watch) bool { return o == w })
	w.service.held.Add(int32(len(w.service.watches) - before))
}

func (s *service) operations() []*operation {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.ops)
}

// frozen says whether the history stands still: a deployment is undecided, or
// known to be bad and not undone.
func (s *service) frozen() bool {
	for _, w := range s.watches {
		if w.holds() {
			return true
		}
	}
	return false
}

func (w *watch) holds() bool {
	switch {
	case w.ended:
		return false
	case w.state == event.Healthy:
		return false
	case w.state == event.Regressed:
		return w.bad()
	default:
		return true
	}
}

// bad says whether the deployment is known to be bad and not undone, be its
// last watch over or not.
func (w *watch) bad() bool {
	return w.state == event.Regressed && (w.undo == nil || w.undo.since == 0)
}

// maxVanishing bounds the operations and the kinds of inner work that are
// watched for vanishing.
const maxVanishing = 50

// prepare makes the indicators that history already knows of, so that their
// shares do not depend on what the new version does.
func (w *watch) prepare() {
	if w.base.Requests == 0 {
		w.prepareGauges() // what speaks comes before what never did
	}
	w.errors = w.newIndicator(event.SignalErrors, -1, -1, classGolden)
	w.errors.with().old, w.errors.with().now = &process{}, &process{}
	w.callers = slices.ContainsFunc(w.service.operations(), func(o *operation) bool { return o.aside.Kind == AsideCaller })
	type volume struct {
		op int32
		n  float64
	}
	var ops []volume
	for i := range w.base.Ops {
		if n := w.base.Ops[i].N; n > 0 {
			ops = append(ops, volume{int32(i), n})
		}
	}
	sort.SliceStable(ops, func(i, j int) bool { return ops[i].n > ops[j].n })
	sort.SliceStable(ops, func(i, j int) bool { return !w.base.Ops[ops[i].op].Aside && w.base.Ops[ops[j].op].Aside })
	if w.always {
		ops = ops[:min(len(ops), alwaysOps)]
	}
	for k, o := range ops {
		if w.base.Ops[o.op].Aside {
			break // below: the tail's shares are taken in order, and these are many
		}
		w.opIndicators(o.op)
		if k == 0 && !w.always {
			w.traffic = w.newIndicator(event.SignalThroughput, -1, -1, classGolden)
		}
	}
	left, work := maxVanishing, w.service.spreading()
	if w.always { // work that comes and goes by the hour is no harm
		left = 0
	}
	for _, o := range ops {
		if left > 0 && !w.base.Ops[o.op].Aside && w.base.Ops[o.op].Recent.regular(w.service.stride) && work.shared(o.op, false) {
			w.opIndicators(o.op).vanish = w.newIndicator(event.SignalThroughput, o.op, -1, classTail)
			left--
		}
	}
	for i := range w.base.Patterns {
		p := &w.base.Patterns[i]
		if i != otherIndex && left > 0 && w.base.Bins >= 6 && p.Bins >= .8*w.base.Bins && w.patternAt(int32(i)).kind == signalWork && work.shared(int32(i), true) {
			w.filePattern(w.newIndicator(event.SignalThroughput, -1, int32(i), classTail))
			left--
		}
	}
	for _, o := range ops {
		w.opIndicators(o.op)
	}
	w.prepareGauges()
	w.prepareTemplates(&work)
}

// spreading is who may do the service's work.
type spreading struct {
	sources []*Source
	busy    int // that had requests
}

func (s *service) spreading() (out spreading) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, x := range s.sources {
		if x.origin.Caller != "" {
			continue
		}
		out.sources = append(out.sources, x)
		if slices.ContainsFunc(x.opTotal, func(n float64) bool { return n > 0 }) {
			out.busy++
		}
	}
	return out
}

// shared says whether work is spread over the instances: what one of many does
// (a leader, a cron job) would seem to vanish in every new one.
func (x *spreading) shared(index int32, isPattern bool) bool {
	total, top := 0., 0.
	for _, s := range x.sources {
		n := 0.
		if isPattern {
			if int(index) < len(s.patTotal) {
				n = float64(s.patTotal[index])
			}
		} else if int(index) < len(s.opTotal) {
			n = s.opTotal[index]
		}
		total += n
		top = math.Max(top, n)
	}
	return x.busy < 2 || top <= .8*total
}

func (w *watch) patternAt(index int32) *pattern {
	w.service.mu.Lock()
	defer w.service.mu.Unlock()
	return w.service.patterns[index]
}

func (w *watch) operationAt(index int32) *operation {
	w.service.mu.Lock()
	defer w.service.mu.Unlock()
	return w.service.ops[index]
}

// ofPattern is the indicator of a pattern; nil: none.
func (w *watch) ofPattern(index int32) *indicator {
	if int(index) >= len(w.byPattern) {
		return nil
	}
	return w.byPattern[index]
}

func (w *watch) filePattern(i *indicator) {
	w.byPattern = growTo(w.byPattern, max(len(w.byPattern), int(i.pattern)+1))
	w.byPattern[i.pattern] = i
}

// opIndicators are the indicators of an operation, made when it is first seen.
func (w *watch) opIndicators(op int32) *opIndicators {
	found := w.byOp[op]
	if found == nil || found.errors == nil {
		found = &opIndicators{}
		c := classGolden
		switch w.operationAt(op).aside.Kind {
		case NotAside:
		case AsideCaller:
			c = classCallers
		default:
			c = classTail
		}
		found.latency = w.newIndicator(event.SignalLatency, op, -1, c)
		found.errors = w.newIndicator(event.SignalErrors, op, -1, c)
		w.byOp[op] = found
	}
	return found
}

// design is the design effect of sampling weights: 1 without.
func (w *watch) design() float64 {
	if w.weights <= 0 {
		return 1
	}
	return math.Max(1, w.squares/w.weights)
}

// seconds is how long so many tests of a level took: one a second, or where
// metrics tell, one a report.
func (w *watch) seconds(ticks int32) float64 {
	if w.service.stride <= 1 {
		return float64(ticks)
	}
	watched := float64(w.engine.open.Load() - w.ready)
	return math.Max(math.Min(float64(ticks)*float64(w.service.stride), watched), float64(ticks))
}
