package detect

import (
	"math"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/axiomhq/hyperloglog"
	"github.com/cespare/xxhash/v2"

	"github.com/deployloop/deployloop/internal/event"
)

const (
	// slots is the ring of seconds that may be open at once: lateness, the
	// clock's lead and one stalled tick (5 + 5 + 1, rounded up).
	slots    = 16
	slotMask = slots - 1

	maxExamples   = 3          // of a group, and of a group by one source
	maxKept       = 64         // examples waiting at a source for the next tick
	maxMessage    = 1 << 10    // bytes of an example's message
	maxStacktrace = 4 << 10    // bytes of an example's stack trace
	maxText       = 512        // bytes of a template, exception type or operation name
	maxFrames     = 8          // of a pattern
	second        = int64(1e9) // nanoseconds
	maxWeight     = 1000       // of an item: one span that claims to stand for more would decide alone
)

// cell holds what one source saw of one operation in one second.
type cell struct {
	n, failed, timed float32                // requests; failed ones; ones with a usable duration
	beyond           [latencyLevels]float32 // requests whose latency exceeds exactly the first i+1 bounds
	heaviest         float32                // largest weight of a request
	firstFailed      int64                  // event time of the first failed one, 0: none
}

// slot is one open second of a source. Of a second that closed it is zeroed, and
// keeps its room.
type slot struct {
	cells    []cell    // by operation
	patterns []float32 // by pattern
	ops      []int32   // indexes of non-zero cells
	seen     []int32   // indexes of non-zero patterns
	weight   float64   // Σ weight of the requests
	squares  float64   // Σ weight² of the requests
	heaviest float32   // largest weight of any item
	first    int64     // event time of its first item, which may be of before when it came late; 0: none
}

// Source takes the observations of one origin. Its methods are safe for
// concurrent use; each holds the source's own lock for some 20 ns.
type Source struct {
	engine  *Engine
	service *service
	origin  Origin
	live    atomic.Bool // false: evicted, or over the limit from the start

	mu        sync.Mutex
	slots     [slots]*slot // nil: nothing yet
	spare     []*slot      // of seconds that closed, for those that open: few are open at once
	lastName  string
	lastOp    int32
	opIndex   map[string]int32
	ops       []*operation
	met       []*Layout // by operation: the last one that it was narrowed to
	sketches  []*sketch // by operation; drained every ten seconds
	sketched  []int32   // indexes of sketches with content
	opKept    []uint8   // examples given, by operation
	lastKey   patternKey
	lastPat   int32
	patIndex  map[patternKey]int32
	patTrace  []uint64 // the trace that a pattern was last seen in
	patKept   []uint8
	kept      []keptExample
	losses    [lossCount]uint64 // since the last tick
	items     uint64            // all that came, since the last tick
	users     *hyperloglog.Sketch
	keepUsers bool  // it is in the new cohort of an open watch
	firstItem int64 // event time of its first item, 0: none yet
	callees   map[string]calleeSource
	owns      []ownItem // since the last tick
	interval  int64     // seconds between its metrics' points
	tallied   int64     // second of the last of them, 0: none

	spoke  [families][voices]atomic.Int64 // second in which a voice told of requests last
	others [families]Voice                // the best of those that may be this one
	asked  [families]int64                // when that is to be asked again

	// The rest belongs to Tick.
	lastActive int64             // last second with an item
	first      int64             // second of its first item, 0: none yet
	slowness   []window[float32] // settled requests by operation and latency, fading
	opTotal    []float64         // requests by operation, for the spread of work over instances
	patTotal   []float32         // occurrences by pattern, likewise
	youth      *youth            // while it is young
	grown      bool              // it is not, or its start was not seen
}

// sketch is the latency histogram of one source's operation in ten seconds.
type sketch struct {
	window[uint32]
	dirty bool
}

// addTo adds its counts to others.
func (k *sketch) addTo(w *window[float32]) {
	for i, n := range k.N {
		if n > 0 {
			*w.at(k.First + i) += float32(n)
		}
	}
}

type keptExample struct {
	pattern bool // else an operation
	index   int32
	example event.Example
}

// Origin is what the source was made for.
func (s *Source) Origin() Origin { return s.origin }

// place finds the slot of an event time, or counts why there is none.
func (s *Source) place(at int64) *slot {
	s.items++
	sec := at / second
	open := s.engine.open.Load()
	if sec < open {
		if at < s.engine.oldest.Load() {
			s.losses[lossLate]++
			return nil
		}
		// Exporters batch for seconds. The pair (events, exposure) stays valid
		// when both count in a later second, so nothing is lost but sharpness.
		s.losses[lossLateCounted]++
		sec = open
	} else if sec > s.engine.newest.Load() {
		s.losses[lossClockAhead]++
		return nil
	}
	if s.firstItem == 0 || at < s.firstItem {
		s.firstItem = at
	}
	slot := s.slot(sec)
	if slot.first == 0 || at < slot.first {
		slot.first = at
	}
	return slot
}

// slot is that of a second.
func (s *Source) slot(sec int64) *slot {
	at := &s.slots[sec&slotMask]
	if *at == nil {
		if n := len(s.spare); n > 0 {
			*at, s.spare = s.spare[n-1], s.spare[:n-1]
		} else {
			*at = new(slot)
		}
	}
	return *at
}

// weigh gives the weight of an item, or false when it has none.
func (s *Source) weigh(w float64) (float64, bool) {
	if !s.live.Load() && !s.service.revive(s) {
		s.losses[lossSources]++
		return 0, false
	}
	if w == 0 {
		return 1, true
	}
	if !(w > 0) || w > 1e6 { // NaN, Inf, negative, absurd
		s.losses[lossWeight]++
		return 0, false
	}
	if w > maxWeight {
		s.losses[lossWeightCapped]++
		w = maxWeight
	}
	return w, true
}

// Request counts one entry span.
func (s *Source) Request(r Request, ex Exampler) {
	r.End = s.engine.clock.at(r.End)
	s.mu.Lock()
	defer s.mu.Unlock()
	w, ok := s.weigh(r.Weight)
	if !ok {
		s.items++
		return
	}
	slot := s.place(r.End)
	if slot == nil {
		return
	}
	op := s.lastOp
	if r.Operation != s.lastName || op < 0 {
		op = s.operation(r.Operation)
	}
	s.speak(r.Family, VoiceSpans, r.End/second)
	s.ops[op].takes(r.Family)
	c := s.cell(slot, op)
	c.n += float32(w)
	c.heaviest = max(c.heaviest, float32(w))
	slot.weight += w
	slot.squares += w * w
	slot.heaviest = max(slot.heaviest, float32(w))
	if r.Duration >= 0 {
		c.timed += float32(w)
		bin := latencyBin(r.Duration)
		*s.sketch(op).at(bin)++
		c.classify(s.test(op, spanLayout), bin, w)
	} else {
		s.losses[lossDuration]++
	}
	if !r.Failed {
		return
	}
	c.failed += float32(w)
	if c.firstFailed == 0 || r.End < c.firstFailed {
		c.firstFailed = r.End
	}
	if s.keepUsers && r.User != "" {
		s.users.InsertHash(xxhash.Sum64String(r.User))
	}
	if s.opKept[op] < maxExamples && ex != nil && len(s.kept) < maxKept {
		s.opKept[op]++
		s.keep(keptExample{index: op}, ex)
	}
}

// cell is a slot's cell of an operation. The caller adds to it, or it is listed
// twice; the lock is held.
func (s *Source) cell(slot *slot, op int32) *cell {
	if int(op) >= len(slot.cells) {
		slot.cells = growTo(slot.cells, int(op)+1)
	}
	c := &slot.cells[op]
	if c.n == 0 && c.failed == 0 {
		slot.ops = append(slot.ops, op)
	}
	return c
}

// classify counts w requests whose duration is in a bin at the test's bounds.
func (c *cell) classify(t *latencyTest, bin int, w float64) {
	if t == nil || bin <= int(t.bounds[0]) {
		return
	}
	level := 1
	for level < t.n && bin > int(t.bounds[level]) {
		level++
	}
	c.beyond[level-1] += float32(w)
}

// test is where an operation's latency is tested, given that durations are
// counted by a layout; the lock is held.
func (s *Source) test(op int32, l *Layout) *latencyTest {
	if s.met[op] == l {
		return s.ops[op].test.Load()
	}
	s.met[op] = l
	return s.ops[op].narrow(l)
}

// sketch is an operation's, for adding to; the lock is held.
func (s *Source) sketch(op int32) *sketch {
	k := s.sketches[op]
	if k == nil {
		k = new(sketch)
		s.sketches[op] = k
	}
	if !k.dirty {
		k.dirty = true
		s.sketched = append(s.sketched, op)
	}
	return k
}

// Exception counts one exception event.
func (s *Source) Exception(x Exception, ex Exampler) {
	x.At = s.engine.clock.at(x.At)
	s.mu.Lock()
	defer s.mu.Unlock()
	w, ok := s.weigh(x.Weight)
	if !ok {
		s.items++
		return
	}
	key := keyOf(kindException, x.Fingerprint)
	index := s.lastPat
	if key != s.lastKey {
		index = s.pattern(key, false, func() *pattern {
			return &pattern{kind: event.SignalException, id: x.Fingerprint, typ: clip(x.Type, maxText), message: clip(x.Message, maxMessage),
				operation: clip(x.Operation, maxText), frames: append([]event.Frame(nil), x.Frames[:min(len(x.Frames), maxFrames)]...),
				harm: true, firstAt: x.At}
		})
	}
	s.count(index, x.At, x.Trace, w, true, ex)
}

// Log counts one log line.
func (s *Source) Log(l LogLine, ex Exampler) {
	l.At = s.engine.clock.at(l.At)
	s.mu.Lock()
	defer s.mu.Unlock()
	w, ok := s.weigh(l.Weight)
	if !ok {
		s.items++
		return
	}
	key := keyOf(kindLog, l.Template)
	index := s.lastPat
	if key != s.lastKey {
		index = s.pattern(key, l.Severity < shownSeverity, func() *pattern {
			return &pattern{kind: event.SignalLog, id: l.Template, template: clip(l.Text, maxText), severity: l.Severity,
				harm: l.Severity >= harmfulSeverity, firstAt: l.At}
		})
	}
	s.count(index, l.At, l.Trace, w, l.Severity >= shownSeverity, ex)
}

// Work counts one inner span.
func (s *Source) Work(x Work) {
	x.End = s.engine.clock.at(x.End)
	s.mu.Lock()
	defer s.mu.Unlock()
	w, ok := s.weigh(x.Weight)
	if !ok {
		s.items++
		return
	}
	id := xxhash.Sum64String(x.Name)
	key := keyOf(kindWork, id)
	index := s.lastPat
	if key != s.lastKey {
		index = s.pattern(key, true, func() *pattern {
			return &pattern{kind: signalWork, id: id, operation: clip(x.Name, maxText), firstAt: x.End}
		})
	}
	s.count(index, x.End, 0, w, false, nil)
}

const (
	harmfulSeverity = 17 // ERROR: a new or more frequent line of it is harm
	shownSeverity   = 13 // WARN: three examples are kept
	// signalWork marks inner spans; in evidence they are event.SignalThroughput
	// of that operation.
	signalWork event.Signal = "work"
)

// count adds w occurrences of a pattern; the lock is held.
func (s *Source) count(index int32, at int64, trace uint64, w float64, show bool, ex Exampler) {
	slot := s.place(at)
	if slot == nil {
		return
	}
	if trace != 0 {
		if s.patTrace[index] == trace {
			return
		}
		s.patTrace[index] = trace
	}
	if int(index) >= len(slot.patterns) {
		slot.patterns = growTo(slot.patterns, int(index)+1)
	}
	if slot.patterns[index] == 0 {
		slot.seen = append(slot.seen, index)
	}
	slot.patterns[index] += float32(w)
	slot.heaviest = max(slot.heaviest, float32(w))
	if show && ex != nil && s.patKept[index] < maxExamples && len(s.kept) < maxKept {
		s.patKept[index]++
		s.keep(keptExample{pattern: true, index: index}, ex)
	}
}

func (s *Source) keep(k keptExample, ex Exampler) {
	k.example = ex.Example()
	k.example.Message = clip(k.example.Message, maxMessage)
	k.example.Stacktrace = clip(k.example.Stacktrace, maxStacktrace)
	if k.example.Instance == "" {
		k.example.Instance = s.origin.Instance
	}
	s.kept = append(s.kept, k)
}

// operation finds the index of an operation by name; the lock is held.
func (s *Source) operation(name string) int32 { return s.register(name, Aside{}) }

func (s *Source) register(name string, aside Aside) int32 {
	name = cut(name, maxText)
	index, ok := s.opIndex[name]
	if !ok {
		var o *operation
		var loss int
		index, o, loss = s.service.operation(name, aside)
		if index == otherIndex {
			// Not cached, so that a flood of names costs no memory here.
			s.losses[loss]++
			s.lastName, s.lastOp = "", -1
			s.grow(index, o)
			return index
		}
		name = o.name
		s.opIndex[name] = index
		s.grow(index, o)
	}
	s.lastName, s.lastOp = s.ops[index].name, index
	return index
}

func (s *Source) grow(index int32, o *operation) {
	if need := int(index) + 1; len(s.ops) < need {
		s.ops = growTo(s.ops, need)
		s.met = growTo(s.met, need)
		s.sketches = growTo(s.sketches, need)
		s.opKept = growTo(s.opKept, need)
	}
	s.ops[index] = o
}

// pattern finds the index of a pattern by key; the lock is held.
func (s *Source) pattern(key patternKey, tail bool, make func() *pattern) int32 {
	index, ok := s.patIndex[key]
	if !ok {
		var loss int
		index, loss = s.service.pattern(key, tail, make)
		if index == otherIndex {
			s.losses[loss]++
		} else {
			s.patIndex[key] = index
		}
		if need := int(index) + 1; len(s.patTrace) < need {
			s.patTrace = growTo(s.patTrace, need)
			s.patKept = growTo(s.patKept, need)
		}
	}
	if index != otherIndex {
		s.lastKey, s.lastPat = key, index
	}
	return index
}

// growTo lengthens a slice with zero values, amortised. Names come one by one and
// stay: room for a quarter more than there are is enough.
func growTo[T any](in []T, n int) []T {
	if cap(in) >= n {
		return in[:n]
	}
	out := make([]T, n, max(n, cap(in)+cap(in)/4, 4))
	copy(out, in)
	return out
}

// clip copies at most limit bytes of a text, without cutting a rune.
func clip(text string, limit int) string { return strings.Clone(cut(text, limit)) }

// cut is the part of a text that is within a limit, without a copy.
func cut(text string, limit int) string {
	if len(text) <= limit {
		return text
	}
	for limit > 0 && text[limit]&0xC0 == 0x80 {
		limit--
	}
	return text[:limit]
}

// finite says whether a number can be reckoned with.
func finite(x float64) bool { return !math.IsNaN(x) && !math.IsInf(x, 0) }
