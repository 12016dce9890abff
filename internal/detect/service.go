package detect

import (
	"sync"
	"sync/atomic"

	"github.com/deployloop/deployloop/internal/event"
)

// otherIndex is where operations and patterns over the cap are counted.
const otherIndex = 0

type serviceKey struct{ name, environment string }

// service is what is known of one service in one environment.
type service struct {
	key    serviceKey
	engine *Engine
	losses losses
	gauges gauges // registry and waiting samples guarded by mu

	mu        sync.Mutex // guards the registries below; leaf of the lock order
	ops       []*operation
	opIndex   map[string]int32
	asides    int // of ops
	patterns  []*pattern
	patIndex  map[patternKey]int32
	sources   []*Source // in order of first sight
	sourceMap map[sourceKey]*Source
	overflow  *Source // takes what sources over the cap say

	// The rest belongs to Tick.
	history   *history
	watches   []*watch              // open ones, oldest first
	own       map[int32]*ownHistory // by operation
	spells    [2]spell              // by even and odd second
	gap       float64               // longest silence between busy seconds, fading over minutes
	stride    int64                 // the longest reporting interval of sources that speak by metrics, seconds
	restored  bool                  // from a snapshot, and not heard since
	rejoining int64                 // last second till which senders may still be on their way back after a restart
	// What decides who is forgotten; read by whoever finds no room.
	lastActive atomic.Int64 // last second with an item
	held       atomic.Int32 // watches, and those that are being opened
	produces   atomic.Bool  // it sends messages, to nobody knows whom

	week      *profile  // nil: it never served anything
	transient transient // of instances that start
	warmup    int64     // seconds for which they are left to warm up; a watch keeps what it opened with
	grown     []grown   // by operation, while some are young

	always      *watch // looks for what gets worse without a deployment
	search      event.SearchState
	placebos    []*watch // of the window that runs
	calibration calibration
}

// operation is one span name or route of a service, or what a metric counts aside.
type operation struct {
	name   string
	index  int32
	aside  Aside
	test   atomic.Pointer[latencyTest] // nil: none yet
	layout atomic.Pointer[Layout]      // of the durations counted so far; nil: none
	queued atomic.Bool                 // it takes messages: some of its requests are FamilyConsumer's
	kept   []sourceExample             // of failed requests; belongs to Tick
}

// narrow makes the operation's layout that of all that was counted, and gives
// the test in use. One whose bounds went is given up; setTests finds another.
func (o *operation) narrow(l *Layout) *latencyTest {
	test := o.test.Load()
	for was := o.layout.Load(); was != l; was = o.layout.Load() {
		now := was.meet(l)
		if now != was && !o.layout.CompareAndSwap(was, now) {
			continue
		}
		if test != nil && !now.holds(test) {
			o.test.CompareAndSwap(test, nil)
			return nil
		}
		break
	}
	return test
}

// takes notes whose requests it is of.
func (o *operation) takes(f Family) {
	if f == FamilyConsumer && !o.queued.Load() {
		o.queued.Store(true)
	}
}

// boundText is how one of its bounds reads: "> 250ms", "> 4096By".
func (o *operation) boundText(bound int16) string {
	l := o.layout.Load()
	if o.aside.Per <= 0 {
		return l.text(bound)
	}
	return "> " + significant(float64(l.bound(bound))/o.aside.Per) + o.aside.Unit
}

// patternKey is a kind and all but two bits of an id: it is small because it is
// hashed for every log line, and every source has a map of them.
type patternKey uint64

func keyOf(kind patternKind, id uint64) patternKey { return patternKey(id<<2 | uint64(kind)) }

func (k patternKey) kind() patternKind { return patternKind(k & 3) }

type patternKind uint8

const (
	kindNone patternKind = iota
	kindException
	kindLog
	kindWork
)

func kindOf(s event.Signal) patternKind {
	switch s {
	case event.SignalException:
		return kindException
	case event.SignalLog:
		return kindLog
	default:
		return kindWork
	}
}

// pattern is an exception fingerprint, a log template or a kind of inner work.
// All but examples is fixed when it is first seen.
type pattern struct {
	kind                              event.Signal
	id                                uint64
	typ, message, template, operation string
	frames                            []event.Frame
	severity                          int
	harm                              bool // more of it is harm
	firstAt                           int64

	examples []sourceExample // belongs to Tick
}

type sourceExample struct {
	source  *Source
	example event.Example
}

type sourceKey struct {
	version, revision, instance string
	started                     int64
}

func newService(e *Engine, key serviceKey) *service {
	s := &service{key: key, engine: e, opIndex: map[string]int32{}, patIndex: map[patternKey]int32{}, sourceMap: map[sourceKey]*Source{}, history: &history{},
		calibration: calibration{Version: calibrationVersion}}
	s.warm()
	s.ops = []*operation{{name: "other"}}
	s.patterns = []*pattern{{kind: signalWork, operation: "other"}}
	return s
}

// operation registers a name, within the cap; else it says why not. What is
// counted aside takes at most half of it, and is of the long tail.
func (s *service) operation(name string, aside Aside) (index int32, o *operation, loss int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if index, ok := s.opIndex[name]; ok {
		return index, s.ops[index], 0
	}
	limit, tail := s.engine.cfg.Limits.Operations, aside.Kind != NotAside
	switch {
	case len(s.ops) > limit || tail && s.asides >= limit/2:
		return otherIndex, s.ops[otherIndex], lossOperations
	case tail && s.engine.sheds(shedTail):
		return otherIndex, s.ops[otherIndex], lossMemoryTail
	case s.engine.sheds(shedNames):
		return otherIndex, s.ops[otherIndex], lossMemoryNames
	}
	o = &operation{name: clip(name, maxText), index: int32(len(s.ops)), aside: aside}
	if tail {
		s.asides++
	}
	s.ops = append(s.ops, o)
	s.opIndex[o.name] = o.index
	return o.index, o, 0
}

// pattern registers a pattern, within the cap; else it says why not. tail says
// that it is of the long tail, which is shed first.
func (s *service) pattern(key patternKey, tail bool, make func() *pattern) (index int32, loss int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if index, ok := s.patIndex[key]; ok {
		return index, 0
	}
	switch {
	case len(s.patterns) > s.engine.cfg.Limits.Patterns:
		return otherIndex, lossPatterns
	case tail && s.engine.sheds(shedTail):
		return otherIndex, lossMemoryTail
	case key.kind() == kindLog && s.engine.sheds(shedTemplates):
		return otherIndex, lossMemoryTemplates
	}
	index = int32(len(s.patterns))
	s.patterns = append(s.patterns, make())
	s.patIndex[key] = index
	return index, 0
}

// source finds or makes the source of an origin, within the cap.
func (s *service) source(o Origin) *Source {
	key := o.sourceKey()
	s.mu.Lock()
	defer s.mu.Unlock()
	if found := s.sourceMap[key]; found != nil {
		return found
	}
	if full := s.engine.sheds(shedAll); full || len(s.sources) >= s.engine.cfg.Limits.Sources || s.key.name == overflowService {
		if full {
			s.losses.add(lossMemorySources, 1)
		}
		if s.overflow == nil {
			s.overflow = newSource(s, Origin{Service: o.Service, Environment: o.Environment, Instance: "over the limit"})
		}
		return s.overflow
	}
	made := newSource(s, o)
	made.live.Store(true)
	s.sourceMap[key] = made
	s.sources = append(s.sources, made)
	return made
}

func (o Origin) sourceKey() sourceKey {
	key := sourceKey{version: o.Version, revision: o.Revision, instance: o.Instance}
	if !o.StartedAt.IsZero() {
		key.started = o.StartedAt.UnixNano()
	}
	return key
}

func newSource(s *service, o Origin) *Source {
	return &Source{engine: s.engine, service: s, origin: o, lastOp: -1, lastPat: otherIndex,
		opIndex: map[string]int32{}, patIndex: map[patternKey]int32{}, patTrace: make([]uint64, 1), patKept: make([]uint8, 1), lastActive: s.engine.open.Load()}
}

// revive takes an evicted source back when it speaks again and there is room.
func (s *service) revive(source *Source) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if source == s.overflow || len(s.sources) >= s.engine.cfg.Limits.Sources {
		return false
	}
	key := source.origin.sourceKey()
	if s.sourceMap[key] != nil {
		return false // its successor counts
	}
	s.sourceMap[key] = source
	s.sources = append(s.sources, source)
	source.lastActive = s.engine.open.Load()
	source.live.Store(true)
	return true
}

// evict forgets sources that were silent since before the given second; a
// holder of one may go on using it, see revive.
func (s *service) evict(before int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	kept := s.sources[:0]
	for _, source := range s.sources {
		if source.lastActive >= before {
			kept = append(kept, source)
			continue
		}
		source.live.Store(false)
		delete(s.sourceMap, source.origin.sourceKey())
		s.eachWatch(func(w *watch) { w.letGo(source) }) // one of a day would hold all that ever were
	}
	clear(s.sources[len(kept):])
	s.sources = kept
}
