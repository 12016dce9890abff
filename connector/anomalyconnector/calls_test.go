package anomalyconnector

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/deployloop/deployloop/internal/event"
)

func call(at time.Time, failed bool, attributes ...string) ptrace.Span {
	s := ptrace.NewSpan()
	s.SetKind(ptrace.SpanKindClient)
	s.SetEndTimestamp(pcommon.NewTimestampFromTime(at))
	if failed {
		s.Status().SetCode(ptrace.StatusCodeError)
	}
	for i := 0; i+1 < len(attributes); i += 2 {
		s.Attributes().PutStr(attributes[i], attributes[i+1])
	}
	return s
}

func TestWhoIsCalled(t *testing.T) {
	for want, attributes := range map[string][]string{
		"cart":    {"server.address", "db.internal", "peer.service", "cart"},
		"payment": {"service.peer.name", "payment", "peer.service", "old-name"},
		"price":   {"net.peer.name", "price.shop.svc.cluster.local"},
		"":        {"server.address", "10.0.0.7", "http.method", "GET"},
	} {
		assert.Equal(t, want, calleeOf(call(time.Now(), false, attributes...).Attributes()))
	}
	assert.Empty(t, calleeOf(call(time.Now(), false, "server.address", "::1").Attributes()))
}

func TestCallersThatFeelIt(t *testing.T) {
	c := &calls{refused: &counters{}}
	start := time.Unix(1_700_000_000, 0)
	onset := start.Add(5 * time.Minute)
	for second := range 600 {
		at := start.Add(time.Duration(second) * time.Second)
		after := at.After(onset)
		for k := range 10 {
			c.add(at, "prod", "web", call(at, after && k < 2 || second%100 == 0 && k == 0, "peer.service", "checkout"), 0)
			c.add(at, "prod", "admin", call(at, second%100 == 0 && k == 0, "peer.service", "checkout"), 0) // as before
			c.add(at, "prod", "edge", call(at, after && k == 0, "peer.service", "web"), 0)
			c.add(at, "staging", "web", call(at, after, "peer.service", "checkout"), 0)
			c.add(at, "prod", "checkout", call(at, after, "peer.service", "stock"), 0) // it calls others: not downstream
		}
	}
	got := c.affected("prod", "checkout", onset)
	require.Len(t, got, 2, "%+v", got)
	assert.Equal(t, "web", got[0].Service)
	assert.Equal(t, "checkout", got[0].Calls)
	assert.InDelta(t, .2, got[0].Share, .01)
	assert.InDelta(t, .001, got[0].Before, .001)
	assert.InDelta(t, 2900, got[0].Requests, 1)
	assert.Equal(t, "edge", got[1].Service)
	assert.Equal(t, "web", got[1].Calls)
	assert.Empty(t, c.affected("prod", "checkout", start.Add(time.Hour)), "nothing came since")
	assert.Empty(t, c.affected("prod", "edge", onset))

	hops, ok := c.reach("prod", "edge", "stock")
	assert.True(t, ok)
	assert.Equal(t, 3, hops, "edge, web, checkout, stock")
	_, ok = c.reach("prod", "stock", "edge")
	assert.False(t, ok, "the other way round")
	assert.InDelta(t, 580, c.excess("prod", "web", "checkout", onset), 5)
	assert.Zero(t, c.excess("prod", "admin", "checkout", onset))

	// A quarter of an hour later the old is gone.
	later := start.Add(time.Hour)
	c.add(later, "prod", "web", call(later, false, "peer.service", "checkout"), 0)
	c.add(later, "prod", "web", call(start, false, "peer.service", "checkout"), 0)
	after, before := c.byEdge[edge{"prod", "web", "checkout"}].since(start.Add(30 * time.Minute))
	assert.Equal(t, 1., after.n)
	assert.Positive(t, before.n)
}

// Who calls no more makes room for others; who calls still does not.
func TestCallersThatFellSilentMakeRoom(t *testing.T) {
	refused := &counters{}
	c := &calls{refused: refused}
	now := time.Unix(1_700_000_000, 0)
	fill := func(n int, caller string) {
		for i := range n {
			c.add(now, "prod", caller, call(now, false, "peer.service", fmt.Sprint("shop-", i)), 0)
		}
	}
	fill(maxEdges+10, "crawler")
	assert.Len(t, c.byEdge, maxEdges)
	require.Len(t, refused.list(), 1)
	assert.Equal(t, event.Loss{Name: lossCalls, Count: 10}, refused.list()[0])

	now = now.Add(10 * time.Minute)
	fill(100, "crawler")
	now = now.Add(6 * time.Minute)
	fill(50, "web")
	assert.Len(t, c.byEdge, 150)
	assert.Len(t, c.byPlace, 100)
	assert.ElementsMatch(t, []string{"crawler", "web"}, c.byPlace[place{"prod", "shop-0"}])
	assert.EqualValues(t, 10, refused.list()[0].Count)
}

// A call that speaks for many is still one that was seen.
func TestWeightsAreNoCounts(t *testing.T) {
	c := &calls{refused: &counters{}}
	start := time.Unix(1_700_000_000, 0)
	onset := start.Add(100 * time.Second)
	at := onset.Add(20 * time.Second)
	for i := range 20 {
		c.add(start, "prod", "web", call(start, false, "peer.service", "checkout"), 1e9)
		c.add(at, "prod", "web", call(at, i < 2, "peer.service", "checkout"), 1e9)
	}
	assert.Empty(t, c.affected("prod", "checkout", onset), "two failed calls of twenty")
	after, _ := c.byEdge[edge{"prod", "web", "checkout"}].since(onset)
	assert.Equal(t, 20.*maxCallShare, after.n)
	for range 20 {
		c.add(at, "prod", "web", call(at, true, "peer.service", "checkout"), 1e9)
	}
	got := c.affected("prod", "checkout", onset)
	require.Len(t, got, 1)
	assert.InDelta(t, .55, got[0].Share, .001)
}

// A caller whose clock is ahead, and this machine's clock set back, take
// nothing from what is counted now.
func TestCallsFromTheFuture(t *testing.T) {
	refused := &counters{}
	c := &calls{refused: refused}
	now := time.Unix(1_700_000_000, 0)
	c.add(now, "prod", "web", call(now.Add(time.Hour), true, "peer.service", "checkout"), 0)
	assert.Empty(t, c.byEdge)
	assert.Equal(t, []event.Loss{{Name: lossAhead, Count: 1}}, refused.list())
	ahead := now.Add(callBins * callBin * time.Second)
	c.add(ahead, "prod", "web", call(ahead, true, "peer.service", "checkout"), 0)
	c.add(now, "prod", "web", call(now, false, "peer.service", "checkout"), 0) // the clock was set back
	after, _ := c.byEdge[edge{"prod", "web", "checkout"}].since(now.Add(-time.Minute))
	assert.Equal(t, callSum{n: 1, squares: 1}, after)
}
