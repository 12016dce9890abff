package anomalyconnector

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/ptrace"
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
	refused := &counters{}
	c := &calls{refused: refused}
	start := time.Unix(1_700_000_000, 0)
	onset := start.Add(5 * time.Minute)
	for second := range 600 {
		at := start.Add(time.Duration(second) * time.Second)
		after := at.After(onset)
		for k := range 10 {
			c.add("prod", "web", call(at, after && k < 2 || second%100 == 0 && k == 0, "peer.service", "checkout"), 0)
			c.add("prod", "admin", call(at, second%100 == 0 && k == 0, "peer.service", "checkout"), 0) // as before
			c.add("prod", "edge", call(at, after && k == 0, "peer.service", "web"), 0)
			c.add("staging", "web", call(at, after, "peer.service", "checkout"), 0)
			c.add("prod", "checkout", call(at, after, "peer.service", "stock"), 0) // it calls others: not downstream
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
	c.add("prod", "web", call(start.Add(time.Hour), false, "peer.service", "checkout"), 0)
	c.add("prod", "web", call(start, false, "peer.service", "checkout"), 0)
	n, _, nBefore, _ := c.byEdge[edge{"prod", "web", "checkout"}].since(start.Add(30 * time.Minute))
	assert.Equal(t, 1., n)
	assert.Positive(t, nBefore)

	for i := range maxEdges + 10 {
		c.add("prod", "crawler", call(start, false, "peer.service", fmt.Sprint("shop-", i)), 0)
	}
	assert.Len(t, c.byEdge, maxEdges)
	require.Len(t, refused.list(), 1)
	assert.Equal(t, lossCalls, refused.list()[0].Name)
}
