package detect

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/deployloop/deployloop/internal/event"
)

// overlap plays payments, whose instances share its requests, and web, which
// calls it and sees who fails.
type overlap struct{ *shop }

func (x overlap) play(seconds int, fails map[*Source]float64, order ...*Source) {
	for range seconds {
		end := x.sec*second + second/2
		for k := range 60 {
			at := order[k%len(order)]
			lost := x.rng.Float64() < .005+fails[at]
			at.Request(Request{Operation: "POST /pay", End: end, Duration: 2e6, Failed: lost}, nil)
			x.web.Call(Call{Callee: "payments", End: end, Duration: 3e6, Failed: lost})
			x.web.Request(Request{Operation: "POST /order", End: end, Duration: 4e6, Failed: lost}, nil)
		}
		x.tick()
	}
}

func (x overlap) deploy(id, version, previous string, starts time.Duration) *Source {
	x.e.Watch(event.Deployment{ID: id, Service: "payments", Environment: "prod", Version: version, PreviousVersion: previous, StartedAt: time.Unix(x.sec, 0).Add(-starts)}, event.Advise)
	return x.e.Source(Origin{Service: "payments", Environment: "prod", Version: version, Instance: id, StartedAt: time.Unix(x.sec, 0)})
}

// A bad version serves on beside the one that mends it: what callers see of it
// is not the mend's doing.
func TestTheMendIsNotBlamedForWhatItMends(t *testing.T) {
	for seed := range uint64(5) {
		x := overlap{newShop(seed)}
		x.play(400, nil, x.payments)
		bad := x.deploy("bad", "2", "1", 0)
		fails := map[*Source]float64{bad: .3}
		x.play(30, fails, x.payments, bad)
		v, _ := x.e.Verdict("bad")
		require.Equal(t, event.Regressed, v.State, v.Detail)
		mend := x.deploy("mend", "3", "2", 0)
		x.play(60, fails, mend, bad)
		x.play(240, nil, mend)
		v, _ = x.e.Verdict("mend")
		require.NotEqual(t, event.Regressed, v.State, "seed %d: %s", seed, v.Detail)
		require.True(t, x.e.Recovery("bad").Within, "what callers see counts for its end")
	}
}

// A deployment is not blamed for what the next one does, while its own
// instances still serve.
func TestTheNextDeploymentsHarmIsItsOwn(t *testing.T) {
	for seed := range uint64(5) {
		x := overlap{newShop(seed)}
		x.play(400, nil, x.payments)
		first := x.deploy("first", "2", "1", 0)
		x.play(40, nil, first)
		second := x.deploy("second", "3", "2", 0)
		x.play(60, map[*Source]float64{second: .3}, first, second)
		v, _ := x.e.Verdict("second")
		require.Equal(t, event.Regressed, v.State, "seed %d: %s", seed, v.Detail)
		v, _ = x.e.Verdict("first")
		require.NotEqual(t, event.Regressed, v.State, "seed %d: %s", seed, v.Detail)
	}
}

// A bad version that is deployed again did its harm before; another harm is new.
func TestTheSameVersionAgain(t *testing.T) {
	for name, other := range map[string]bool{"the same harm": false, "another one": true} {
		for seed := range uint64(3) {
			x := overlap{newShop(seed)}
			x.play(400, nil, x.payments)
			bad := x.deploy("bad", "2", "1", 0)
			x.play(60, map[*Source]float64{bad: .3}, bad)
			v, _ := x.e.Verdict("bad")
			require.Equal(t, event.Regressed, v.State, v.Detail)
			again := x.deploy("again", "2", "2", 0)
			for range 120 {
				if other {
					again.Exception(Exception{Fingerprint: 9, Type: "E", At: x.sec*second + second/2}, nil)
				}
				x.play(1, map[*Source]float64{again: .3}, again)
			}
			v, _ = x.e.Verdict("again")
			if other {
				require.Equal(t, event.Regressed, v.State, "%s, seed %d: %s", name, seed, v.Detail)
				continue
			}
			require.Equal(t, event.Exonerated, v.State, "%s, seed %d: %s", name, seed, v.Detail)
			require.Equal(t, event.ReasonBeganBefore, v.Reason)
		}
	}
}
