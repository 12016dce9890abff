package anomalyconnector

import (
	"cmp"
	"encoding/binary"
	"math"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/deployloop/deployloop/internal/detect"
)

// joins joins the spans of one instance's traces, over its batches, so that a
// request is known together with the calls below it: what failed without a
// failed call, and the time that no call took, is the service's own.
//
// Reading only copies a few words of a span; the joining is done by the loop,
// once a second. Where an instance sends more than is needed, whole traces are
// left out by their ids, so that what is joined is joined whole.
type joins struct {
	mu      sync.Mutex
	waiting []joined
	spare   []joined // belongs to the loop, as do the rest
	index   map[spanKey]int32
	calls   []interval
	refused *counters
	own     func(*source, detect.Own) // tests listen
}

const (
	maxJoined     = 1 << 15 // spans that wait, of all instances
	joinTarget    = 64      // spans of an instance a second that are enough
	joinMost      = 256     // and at most, whatever the seconds before were like
	joinWait      = 2       // seconds for which a request waits for calls that were sent later
	joinPatience  = 10      // seconds for which a call waits for its request
	joinDepth     = 16      // spans between a call and its request
	lossJoinFull  = "traces_not_joined"
	lossJoinAlone = "calls_without_their_request"
)

type spanKey struct{ trace, span uint64 }

// joined is what is kept of a span till it is joined.
type joined struct {
	source     *source
	operation  string // of a request
	key        spanKey
	parent     uint64
	start, end int64
	came       int64 // second
	weight     float64
	next       int32 // the next call of the same request
	first      int32 // of a request: its first call; of others: the request
	role       joinRole
	failed     bool
	done       bool // the request was told of
	call       bool // a request that is a call itself: nobody knows whose its failure is
}

type joinRole uint8

const (
	joinInner joinRole = iota
	joinCall
	joinRequest
)

type interval struct{ from, till int64 }

// thinning leaves out all but one in 2^shift of an instance's traces.
type thinning struct {
	shift  uint8
	second int64
	n      int
	// judged is the shift that a trace must pass to have been joined whole: the
	// largest of the last seconds.
	judged atomic.Uint32
	since  int64 // second in which shift was lowered last, or spans were left out
}

// unjoined: nothing that was seen of late was joined whole.
const unjoined = 64

// begin settles what is taken in a batch that comes at a second.
func (t *thinning) begin(second int64) {
	if second == t.second {
		return
	}
	rate := float64(t.n) / float64(max(second-t.second, 1))
	t.second, t.n = second, 0
	if second-t.since > joinPatience+joinWait {
		t.judged.Store(uint32(t.shift))
	}
	switch {
	case rate > 2*joinTarget:
		t.thin(uint8(math.Ceil(math.Log2(rate / joinTarget))))
	case rate < joinTarget/2 && t.shift > 0 && t.judged.Load() == uint32(t.shift):
		t.shift -= min(t.shift, uint8(math.Log2(joinTarget/max(rate, 1))))
		t.since = second
	}
}

// thin takes in fewer from now on.
func (t *thinning) thin(by uint8) {
	t.shift = min(t.shift+by, 32)
	t.judged.Store(max(t.judged.Load(), uint32(t.shift)))
}

// spoil says that spans are left out without regard to their traces.
func (t *thinning) spoil() {
	t.since = t.second
	t.judged.Store(unjoined)
}

// passes says whether a trace is one of those that are left by a shift.
func passes(trace uint64, shift uint32) bool { return trace*0x9e3779b97f4a7c15>>(64-shift) == 0 }

// note keeps what joining needs of a span of a trace that passed. The source's
// lock is held.
func (j *joins) note(s *source, span ptrace.Span, trace uint64, operation string, weight float64) {
	role := joinInner
	switch kind := span.Kind(); {
	case entry(span, kind):
		role = joinRequest
	case kind == ptrace.SpanKindClient || kind == ptrace.SpanKindProducer:
		role = joinCall
	}
	t := &s.thinning
	if t.n++; t.n > joinMost {
		t.n /= 2
		t.thin(1)
	}
	x := joined{source: s, key: spanKey{trace, spanID(span.SpanID())}, parent: spanID(span.ParentSpanID()),
		start: int64(span.StartTimestamp()), end: int64(span.EndTimestamp()), came: t.second, weight: weight, first: -1, next: -1, role: role}
	switch role {
	case joinRequest:
		x.operation, x.failed = operation, failed(span)
		x.call = span.Kind() == ptrace.SpanKindClient || span.Kind() == ptrace.SpanKindProducer
	case joinCall:
		x.failed = failed(span)
	}
	j.mu.Lock()
	full := len(j.waiting) >= maxJoined
	if !full {
		j.waiting = append(j.waiting, x)
	}
	j.mu.Unlock()
	if full {
		t.spoil()
		t.thin(1)
		j.refused.add(lossJoinFull, 1)
	}
}

func spanID(id pcommon.SpanID) uint64 { return binary.BigEndian.Uint64(id[:]) }

// resolve joins what waits, and gives the engine the requests that waited long
// enough. Only the loop calls it.
func (j *joins) resolve(now time.Time) {
	j.mu.Lock()
	all := j.waiting
	j.waiting = j.spare[:0]
	j.mu.Unlock()
	second := now.Unix()
	if j.index == nil {
		j.index = map[spanKey]int32{}
	}
	clear(j.index)
	for i := range all {
		all[i].first, all[i].next = -1, -1
		j.index[all[i].key] = int32(i)
	}
	for i := range all {
		if x := &all[i]; x.role != joinRequest {
			request, below := j.request(all, x)
			if x.first = request; request >= 0 && x.role == joinCall && !below {
				x.next, all[request].first = all[request].first, int32(i)
			}
		}
	}
	for i := range all {
		if x := &all[i]; x.role == joinRequest && second-x.came >= joinWait {
			x.done = true
			j.judge(all, x)
		}
	}
	for i := range all {
		if x := &all[i]; x.role != joinRequest && x.first >= 0 {
			x.done = all[x.first].done
		}
	}
	kept, alone := all[:0], uint64(0)
	for _, x := range all {
		switch {
		case x.done:
		case second-x.came < joinPatience:
			kept = append(kept, x)
		case x.role == joinCall:
			alone++
		}
	}
	if alone > 0 {
		j.refused.add(lossJoinAlone, alone)
	}
	j.mu.Lock()
	came := j.waiting
	kept = append(kept, came...)
	j.waiting = kept
	j.mu.Unlock()
	clear(came)
	j.spare = came[:0]
}

// request finds the request that a span is below, and whether another call lies
// between.
func (j *joins) request(all []joined, x *joined) (request int32, below bool) {
	parent := x.parent
	for range joinDepth {
		at, ok := j.index[spanKey{x.key.trace, parent}]
		if !ok || all[at].source != x.source {
			return -1, below
		}
		switch all[at].role {
		case joinRequest:
			return at, below
		case joinCall:
			below = true
		}
		parent = all[at].parent
	}
	return -1, below
}

// judge tells the engine of one request.
func (j *joins) judge(all []joined, x *joined) {
	if x.call {
		return
	}
	if !passes(x.key.trace, x.source.thinning.judged.Load()) || x.end < x.start || x.end-x.start >= joinPatience*int64(time.Second) {
		return // some of its calls may have been left out, or are forgotten
	}
	own := detect.Own{Operation: x.operation, Duration: x.end - x.start, Failed: x.failed, Weight: x.weight}
	j.calls = j.calls[:0]
	for at := x.first; at >= 0; at = all[at].next {
		c := &all[at]
		own.Inherited = own.Inherited || c.failed
		if from, till := max(c.start, x.start), min(c.end, x.end); till > from {
			j.calls = append(j.calls, interval{from, till})
		}
	}
	own.Inherited = own.Inherited && own.Failed
	own.Self = own.Duration - union(j.calls)
	j.own(x.source, own)
}

// union is how long intervals last together.
func union(list []interval) (sum int64) {
	slices.SortFunc(list, func(a, b interval) int { return cmp.Compare(a.from, b.from) })
	end := int64(math.MinInt64)
	for _, x := range list {
		sum += max(x.till-max(x.from, end), 0)
		end = max(end, x.till)
	}
	return sum
}
