package anomalyconnector

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/deployloop/deployloop/internal/event"
)

// Two services that call each other are deployed at once: failed calls tell
// which release did it.
func TestDeploymentsAtOnce(t *testing.T) {
	b := newBench(t, nil)
	onset := b.now
	put := func(id, service string, nats, requests float64) *tracked {
		x := &tracked{d: event.Deployment{ID: id, Service: service, Environment: "prod", Version: "2", StartedAt: onset.Add(-time.Minute), FirstSeenAt: onset.Add(-30 * time.Second)}}
		x.verdict = event.Verdict{State: event.Regressed, Nats: nats, RegressedAt: onset, Impact: event.Impact{Requests: requests}}
		b.m.tracked[id] = x
		return x
	}
	checkout := put("c", "checkout", 9, 100)
	require.Nil(t, b.m.concurrent(checkout), "it is alone")
	put("p", "payment", 9, 95)
	put("s", "search", 9, 50)
	require.Nil(t, b.m.concurrent(checkout), "nobody is seen to call")
	calls := func(failing bool) {
		for second := -300; second < 300; second++ {
			at := onset.Add(time.Duration(second) * time.Second)
			b.m.calls.add(at, "prod", "checkout", call(at, failing && second > 10 && second%3 == 0, "peer.service", "payment"), 0)
		}
	}
	calls(false)
	got := b.m.concurrent(checkout)
	require.Len(t, got, 2)
	assert.Equal(t, "c", got[0].ID, "its own version, and no call fails")
	calls(true)
	got = b.m.concurrent(checkout)
	require.Len(t, got, 2, "search is not called")
	assert.Equal(t, "p", got[0].ID)
	assert.Greater(t, got[0].Explained, .9)
	assert.Greater(t, got[0].Probability, .8)
}
