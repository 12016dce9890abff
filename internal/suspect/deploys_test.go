package suspect

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestSeveralDeploysAtOnce(t *testing.T) {
	start := time.Unix(1_700_000_000, 0)
	at := func(minutes float64) time.Time { return start.Add(time.Duration(minutes * float64(time.Minute))) }
	calls := map[string][]string{"web": {"checkout"}, "checkout": {"payment", "stock"}}
	reach := func(from, to string) (int, bool) {
		for hops, next := 0, []string{from}; hops < 4; hops++ {
			var further []string
			for _, s := range next {
				if s == to {
					return hops, true
				}
				further = append(further, calls[s]...)
			}
			next = further
		}
		return 0, false
	}
	harm := Harm{Service: "checkout", From: at(10), Best: at(10.5), Till: at(11)}
	deploys := []Deploy{
		{ID: "checkout 2", Service: "checkout", Ready: at(10), Nats: 9},
		{ID: "payment 5", Service: "payment", Ready: at(10), Nats: -.5},
		{ID: "search 3", Service: "search", Ready: at(10), Nats: -.5},
	}
	p, other := Attribute(harm, deploys, reach)
	require.Greater(t, p[0], .9, "the harm follows its own version")
	require.InDelta(t, 1, p[0]+p[1]+p[2]+other, 1e-9)

	// The same harm, but nine in ten of its failures are failed calls to payment.
	harm.Explained = map[string]float64{"payment": .9}
	deploys[1].Nats = 5
	p, _ = Attribute(harm, deploys, reach)
	require.Greater(t, p[1], .9)

	// Calls fail as much, but the spans say that the requests failed without them.
	own := .95
	harm.Own = &own
	p, _ = Attribute(harm, deploys, reach)
	require.Greater(t, p[0], .9)
	// Nothing is known of failed calls, as with latency, and none of it is its own.
	own = 0
	harm.Explained = nil
	p, _ = Attribute(harm, deploys, reach)
	require.Greater(t, p[1], .9)
	harm.Own, harm.Explained = nil, map[string]float64{"payment": .9}

	// What was not yet there when it began is out.
	late := append([]Deploy(nil), deploys...)
	late[1].Ready = at(12)
	p, _ = Attribute(harm, late, reach)
	require.Zero(t, p[1])

	// Nothing that was deployed: long ago, out of reach, no evidence.
	p, other = Attribute(Harm{Service: "checkout", From: at(9000), Best: at(9000), Till: at(9000)}, []Deploy{{Service: "search", Ready: at(10), Nats: -1}}, reach)
	require.Less(t, p[0], .01)
	require.Greater(t, other, .99)

	// Nearer in time counts, all else alike.
	p, _ = Attribute(Harm{Service: "web", From: at(30), Best: at(30), Till: at(30)},
		[]Deploy{{Service: "web", Ready: at(29.5), Nats: 3}, {Service: "web", Ready: at(-600), Nats: 3}}, reach)
	require.Greater(t, p[0], 10*p[1])
	p, other = Attribute(harm, nil, reach)
	require.Empty(t, p)
	require.InDelta(t, 1, other, 1e-9)
}
