package anomalyconnector

import (
	"encoding/binary"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/connector/connectortest"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/deployloop/deployloop/internal/detect"
	"github.com/deployloop/deployloop/internal/event"
)

// joinBench reads spans of one instance as batches do, and keeps what was joined.
type joinBench struct {
	m    *monitor
	now  time.Time
	told []detect.Own
}

func newJoinBench(t *testing.T) *joinBench {
	b := &joinBench{now: joinStart}
	b.m = newMonitor(connectortest.NewNopSettings(Type), createDefaultConfig().(*Config))
	t.Cleanup(b.m.cancel)
	b.m.now = func() time.Time { return b.now }
	b.m.joins.own = func(_ *source, o detect.Own) { b.told = append(b.told, o) }
	return b
}

var joinStart = time.Unix(1_800_000_000, 0)

// joinSpan is a span of a trace, its times in milliseconds since the start.
type joinSpan struct {
	trace, id, parent uint64
	kind              ptrace.SpanKind
	from, till        int
	failed            bool
	state, peer       string
}

func (b *joinBench) batch(spans ...joinSpan) {
	td := ptrace.NewTraces()
	r := td.ResourceSpans().AppendEmpty()
	r.Resource().Attributes().PutStr("service.name", "web")
	r.Resource().Attributes().PutStr("service.instance.id", "web-1")
	list := r.ScopeSpans().AppendEmpty().Spans()
	for _, x := range spans {
		s := list.AppendEmpty()
		var trace pcommon.TraceID
		var id, parent pcommon.SpanID
		trace[0] = 1
		binary.BigEndian.PutUint64(trace[8:], x.trace)
		binary.BigEndian.PutUint64(id[:], x.id)
		binary.BigEndian.PutUint64(parent[:], x.parent)
		s.SetTraceID(trace)
		s.SetSpanID(id)
		s.SetParentSpanID(parent)
		s.SetKind(x.kind)
		s.SetName("POST /order")
		s.SetStartTimestamp(pcommon.NewTimestampFromTime(joinStart.Add(time.Duration(x.from) * time.Millisecond)))
		s.SetEndTimestamp(pcommon.NewTimestampFromTime(joinStart.Add(time.Duration(x.till) * time.Millisecond)))
		if x.failed {
			s.Status().SetCode(ptrace.StatusCodeError)
		}
		s.TraceState().FromRaw(x.state)
		if x.peer != "" {
			s.Attributes().PutStr("peer.service", x.peer)
		}
	}
	b.m.readTraces(td)
}

func (b *joinBench) seconds(n int) {
	for range n {
		b.now = b.now.Add(time.Second)
		b.m.joins.resolve(b.now)
	}
}

const (
	server   = ptrace.SpanKindServer
	client   = ptrace.SpanKindClient
	internal = ptrace.SpanKindInternal
)

// Spans of one trace come over batches, before and after their request, and
// calls overlap, lie in each other and outlive it.
func TestJoinOverBatches(t *testing.T) {
	b := newJoinBench(t)
	b.batch(
		joinSpan{trace: 1, id: 12, parent: 19, kind: client, from: 10, till: 40, failed: true},
		joinSpan{trace: 1, id: 13, parent: 12, kind: client, from: 15, till: 35}, // inside the call
		joinSpan{trace: 2, id: 22, parent: 21, kind: client, from: 10, till: 40},
	)
	b.seconds(1)
	require.Empty(t, b.told)
	b.batch(joinSpan{trace: 1, id: 11, kind: server, parent: 7, from: 0, till: 100, failed: true})
	b.batch(joinSpan{trace: 2, id: 21, kind: server, parent: 8, from: 0, till: 100, failed: true, state: "ot=th:c"})
	b.seconds(1)
	b.batch(
		joinSpan{trace: 1, id: 19, parent: 11, kind: internal, from: 5, till: 60},
		joinSpan{trace: 1, id: 14, parent: 11, kind: client, from: 30, till: 50},
		joinSpan{trace: 1, id: 15, parent: 11, kind: ptrace.SpanKindProducer, from: 90, till: 130},
		joinSpan{trace: 2, id: 23, parent: 21, kind: client, from: 20, till: 30},
	)
	b.seconds(2)
	ms := int64(time.Millisecond)
	require.Equal(t, []detect.Own{
		{Operation: "POST /order", Duration: 100 * ms, Self: 50 * ms, Failed: true, Inherited: true},
		{Operation: "POST /order", Duration: 100 * ms, Self: 70 * ms, Failed: true, Weight: 4},
	}, b.told)
	b.seconds(joinPatience)
	assert.Empty(t, b.m.joins.waiting)
	assert.Empty(t, b.m.refused.list())
}

// A call that is the root of its trace is a request, and no failure of its own
// making is told of it: its callee may have failed. A client's is an edge, too.
func TestARootThatIsACall(t *testing.T) {
	for _, kind := range []ptrace.SpanKind{client, ptrace.SpanKindProducer} {
		b := newJoinBench(t)
		b.m.engine = detect.New(detect.Config{Start: joinStart})
		b.batch(
			joinSpan{trace: 1, id: 11, kind: kind, till: 40, failed: true, peer: "payments"},
			joinSpan{trace: 1, id: 12, parent: 11, kind: client, from: 10, till: 30, failed: true},
			joinSpan{trace: 2, id: 21, kind: server, till: 40},
		)
		b.seconds(joinPatience + 1)
		require.Len(t, b.told, 1)
		require.False(t, b.told[0].Failed)
		operations := map[ptrace.SpanKind]int{client: 2, ptrace.SpanKindProducer: 1} // the request's, and the call's
		require.Equal(t, operations[kind], b.m.engine.Status().Operations)
		assert.Empty(t, b.m.refused.list())
		assert.Empty(t, b.m.joins.waiting)
	}
}

// A call whose request never comes, and one that comes when its request was
// told of, are counted.
func TestCallsWithoutTheirRequest(t *testing.T) {
	b := newJoinBench(t)
	b.batch(joinSpan{trace: 1, id: 12, parent: 11, kind: client, till: 10}, joinSpan{trace: 2, id: 21, parent: 3, kind: server, till: 10})
	b.seconds(joinWait + 1)
	require.Len(t, b.told, 1)
	b.batch(joinSpan{trace: 2, id: 22, parent: 21, kind: client, till: 10, failed: true}, joinSpan{trace: 2, id: 23, parent: 21, kind: internal, till: 10})
	b.seconds(joinPatience + 1)
	require.Len(t, b.told, 1)
	assert.Equal(t, []event.Loss{{Name: lossJoinAlone, Count: 2}}, b.m.refused.list())
	assert.Empty(t, b.m.joins.waiting)
}

// A busy instance is thinned by whole traces: no failed call is missed of a
// request that is told of, however many spans come.
func TestThinnedByWholeTraces(t *testing.T) {
	b, rng := newJoinBench(t), rand.New(rand.NewPCG(1, 2))
	var pending []joinSpan
	for second := range 100 {
		rate := 3000
		if second > 30 {
			rate = 20
		}
		for range rate {
			trace, id := rng.Uint64(), rng.Uint64()
			pending = append(pending, joinSpan{trace: trace, id: id, parent: 5, kind: server, till: 100, failed: true})
			b.batch(append(pending[:0:0], joinSpan{trace: trace, id: id + 1, parent: id, kind: client, till: 50, failed: true})...)
		}
		b.seconds(1)
		b.batch(pending...) // the request, a second later than its call
		pending = pending[:0]
		assert.LessOrEqual(t, len(b.m.joins.waiting), 20*joinMost)
	}
	b.seconds(5)
	require.Greater(t, len(b.told), 500)
	for _, o := range b.told {
		require.True(t, o.Inherited, "its call was left out")
		require.Equal(t, int64(50*time.Millisecond), o.Self)
	}
	before := len(b.told)
	b.batch(joinSpan{trace: 99, id: 1, kind: server, till: 10})
	b.seconds(3)
	require.Len(t, b.told, before+1, "a quiet instance is joined whole again")
}

// What does not fit is counted, and what it may have been part of is not told of.
func TestJoinsAreBounded(t *testing.T) {
	b := newJoinBench(t)
	b.m.joins.waiting = make([]joined, maxJoined)
	for i := range b.m.joins.waiting {
		b.m.joins.waiting[i] = joined{came: b.now.Unix(), role: joinInner, key: spanKey{9, uint64(i)}, first: -1, next: -1}
	}
	b.batch(joinSpan{trace: 1, id: 12, parent: 11, kind: client, till: 10, failed: true})
	b.seconds(joinPatience + 1)
	b.batch(joinSpan{trace: 1, id: 11, parent: 4, kind: server, till: 10, failed: true})
	b.seconds(joinWait + 1)
	require.Empty(t, b.told)
	assert.Equal(t, []event.Loss{{Name: lossJoinFull, Count: 1}}, b.m.refused.list())
}

// From spans to the verdict: a new version throws although its calls succeed, or
// passes on what its callee fails.
func TestVerdictTellsWhoseItIs(t *testing.T) {
	for name, own := range map[string]bool{"its own": true, "inherited": false} {
		b := newBench(t, nil)
		b.sight("1.41.3")
		second := func(versions ...string) {
			td := ptrace.NewTraces()
			for _, version := range versions {
				r := td.ResourceSpans().AppendEmpty()
				for key, value := range map[string]string{"service.name": "checkout", "service.version": version, "service.instance.id": version, "deployment.environment.name": "production"} {
					r.Resource().Attributes().PutStr(key, value)
				}
				spans := r.ScopeSpans().AppendEmpty().Spans()
				for i := range 50 {
					b.serial++
					bad := version == "1.42.0" && i%3 == 0
					for k, kind := range []ptrace.SpanKind{client, server} {
						span := spans.AppendEmpty()
						span.SetTraceID(pcommon.TraceID{15: byte(b.serial), 14: byte(b.serial >> 8), 13: byte(b.serial >> 16), 12: 1})
						span.SetSpanID(pcommon.SpanID{7: byte(b.serial), 6: byte(b.serial >> 8), 5: byte(b.serial >> 16), 0: byte(k + 1)})
						span.SetKind(kind)
						span.SetName("POST /cart/checkout")
						span.SetEndTimestamp(pcommon.NewTimestampFromTime(b.now.Add(time.Duration(i) * 10 * time.Millisecond)))
						span.SetStartTimestamp(pcommon.NewTimestampFromTime(b.now.Add(time.Duration(i)*10*time.Millisecond - 20*time.Millisecond)))
						span.SetParentSpanID(pcommon.SpanID{1: 1})
						if kind == client {
							span.SetName("POST /pay")
							span.Attributes().PutStr("peer.service", "payments")
							span.SetParentSpanID(pcommon.SpanID{7: byte(b.serial), 6: byte(b.serial >> 8), 5: byte(b.serial >> 16), 0: 2})
						}
						if bad && (kind == server || !own) {
							span.Status().SetCode(ptrace.StatusCodeError)
						}
					}
				}
			}
			require.NoError(t, b.traces.ConsumeTraces(t.Context(), td))
			b.tick()
		}
		for range 60 {
			second("1.41.3")
		}
		b.deploy("1.42.0", "1.41.3")
		for range 40 {
			second("1.41.3", "1.42.0")
		}
		_, verdicts := b.told()
		require.NotEmpty(t, verdicts)
		v := verdicts[len(verdicts)-1]
		require.Equal(t, event.Regressed, v.State, "%s: %s", name, v.Detail)
		require.NotNil(t, v.Exclusive, name)
		require.Greater(t, v.Exclusive.Requests, 100.)
		if own {
			assert.InDelta(t, 1, v.Exclusive.Share, 1e-9, v.Exclusive.Detail)
			assert.InDelta(t, .34, v.Exclusive.Own, .05, v.Exclusive.Detail)
		} else {
			assert.Zero(t, v.Exclusive.Share, v.Exclusive.Detail)
			assert.Contains(t, v.Exclusive.Detail, "errors without a failed call: none of ")
		}
		b.stop()
	}
}
