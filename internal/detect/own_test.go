package detect

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/deployloop/deployloop/internal/event"
)

// tiers are a caller and its callee, and another caller of it. Times are in
// milliseconds: of the callee, and of the caller beside its call.
type tiers struct {
	*sim
	web, mobile, payments *Source
	callee, own           func(sec int64) (failing, ms float64)
	handled               bool // the caller makes do without what a failed call would have given
}

func newTiers(seed uint64) *tiers {
	x := &tiers{sim: newSim(seed, Config{Watches: []time.Duration{time.Minute, 5 * time.Minute}})}
	x.web, x.mobile, x.payments = x.source("web", "1"), x.source("mobile", "1"), x.source("payments", "1")
	x.callee = func(int64) (float64, float64) { return .002, 20 }
	x.own = x.callee
	return x
}

func (x *tiers) source(service, version string) *Source {
	return x.e.Source(Origin{Service: service, Environment: "prod", Version: version, Instance: service + "-" + version})
}

func (x *tiers) deployed(service string, source **Source) {
	*source = x.source(service, "2")
	x.e.Watch(event.Deployment{ID: service, Service: service, Environment: "prod", Version: "2", PreviousVersion: "1", StartedAt: time.Unix(x.sec, 0)}, event.Advise)
}

func (x *tiers) play(seconds int) {
	for range seconds {
		end := x.sec*second + second/2
		for range 20 {
			for _, caller := range []*Source{x.web, x.mobile} {
				failing, ms := x.callee(x.sec - simStart)
				lost, took := x.rng.Float64() < failing, int64(ms*(.5+x.rng.ExpFloat64())*1e6)
				x.payments.Request(Request{Operation: "POST /pay", End: end, Duration: took, Failed: lost}, nil)
				x.payments.Own(Own{Operation: "POST /pay", Duration: took, Self: took, Failed: lost})
				failing, ms = .002, 20
				if caller == x.web {
					failing, ms = x.own(x.sec - simStart)
				}
				mine, self := x.rng.Float64() < failing, int64(ms*(.5+x.rng.ExpFloat64())*1e6)
				caller.Call(Call{Callee: "payments", End: end, Duration: took, Failed: lost})
				failed := mine || lost && !x.handled
				caller.Request(Request{Operation: "POST /order", End: end, Duration: took + self, Failed: failed}, nil)
				caller.Own(Own{Operation: "POST /order", Duration: took + self, Self: self, Failed: failed, Inherited: failed && lost})
			}
		}
		x.tick()
	}
}

// The callee's release breaks it, while the caller was released a moment before:
// each error of the caller comes with a failed call.
func TestErrorsWithAFailedCallAreInherited(t *testing.T) {
	for seed := range uint64(5) {
		x := newTiers(seed)
		x.play(400)
		x.deployed("web", &x.web)
		x.play(45)
		x.deployed("payments", &x.payments)
		x.callee = func(int64) (float64, float64) { return .4, 20 }
		x.play(60)
		v, _ := x.e.Verdict("payments")
		require.Equal(t, event.Regressed, v.State, v.Detail)
		require.NotNil(t, v.Exclusive)
		require.InDelta(t, 1, v.Exclusive.Share, .05, v.Exclusive.Detail)
		v, _ = x.e.Verdict("web")
		require.Equal(t, event.Exonerated, v.State, "seed %d: %s", seed, v.Detail)
		require.Contains(t, v.Detail, "errors without a failed call: ")
		require.NotNil(t, v.Exclusive)
		require.Less(t, v.Exclusive.Share, .1, v.Exclusive.Detail)
		require.Greater(t, v.Exclusive.Inherited, .3, v.Exclusive.Detail)
	}
}

// The callee fails for everybody, which its callers handle; the new version of
// one fails as often, but not in the same requests.
func TestErrorsWithoutAFailedCallAreItsOwn(t *testing.T) {
	for seed := range uint64(5) {
		x := newTiers(seed)
		x.handled = true
		x.play(400)
		x.deployed("web", &x.web)
		x.callee = func(sec int64) (float64, float64) { return .25, 20 }
		x.own = func(sec int64) (float64, float64) { return .15, 20 } // as many as the failed calls would account for
		x.play(60)
		v, _ := x.e.Verdict("web")
		require.Equal(t, event.Regressed, v.State, "seed %d: %s", seed, v.Detail)
		require.Greater(t, v.Exclusive.Share, .6, v.Exclusive.Detail)
		require.Greater(t, v.Exclusive.Own, .08, v.Exclusive.Detail)
	}
}

// A caller is slow because its callee is, or of itself: the whole time grows alike.
func TestTimeInCallsIsInherited(t *testing.T) {
	for seed := range uint64(5) {
		for name, slow := range map[string]struct{ callee, own float64 }{"the callee": {120, 20}, "its own": {20, 120}} {
			x := newTiers(seed)
			x.play(400)
			x.deployed("web", &x.web)
			x.play(45)
			if slow.callee > 20 {
				x.deployed("payments", &x.payments)
			}
			x.play(60) // past the warm-up of both
			x.callee = func(int64) (float64, float64) { return .002, slow.callee }
			x.own = func(int64) (float64, float64) { return .002, slow.own }
			x.play(120)
			v, _ := x.e.Verdict("web")
			require.NotNil(t, v.Exclusive, "seed %d, %s: %s %s", seed, name, v.State, v.Detail)
			if slow.own > 20 {
				require.Equal(t, event.Regressed, v.State, "seed %d, %s: %s", seed, name, v.Detail)
				require.Greater(t, v.Exclusive.Share, .9, v.Exclusive.Detail)
				continue
			}
			require.Equal(t, event.Exonerated, v.State, "seed %d, %s: %s", seed, name, v.Detail)
			require.Less(t, v.Exclusive.Share, .1, v.Exclusive.Detail)
			require.Contains(t, v.Detail, "time of its own beyond ")
			v, _ = x.e.Verdict("payments")
			require.Equal(t, event.Regressed, v.State, "seed %d, %s: %s", seed, name, v.Detail)
		}
	}
}

// Few joined requests, or ones that speak for many, tell nothing.
func TestTooLittleToTellWhose(t *testing.T) {
	now, before := ownSum{n: 2000, squares: 2000 * 1000, failed: 1000, own: 1000}, ownSum{n: 100, squares: 100}
	_, ok := rose(now.own, &now, before.own, &before)
	require.False(t, ok, "one request that was seen")
	now = ownSum{n: 200, squares: 200, failed: 60, own: 60}
	rise, ok := rose(now.own, &now, before.own, &before)
	require.True(t, ok)
	require.InDelta(t, .3, rise, 1e-9)
}

// What is told of whose a harm is does not depend on the order of a map.
func TestWhoseInOneOrder(t *testing.T) {
	i := &indicator{kind: kindOfSignal(event.SignalErrors), op: -1, levels: make([]level, 1)}
	i.levels[0].harm.ticks = 1
	w := &watch{own: map[int32]*ownWatch{}}
	for op := range int32(20) {
		o := &ownWatch{before: ownSum{n: 1000, squares: 1000, failed: .1 * float64(op), own: 1 / float64(op+3)}}
		o.bin[0], o.fresh[0] = 1, ownSum{n: 100, squares: 100, failed: 50 + .1*float64(op), own: 40 + 1/float64(op+3)}
		w.own[op] = o
	}
	first, ok := w.whose(i)
	require.True(t, ok)
	for range 100 {
		again, _ := w.whose(i)
		require.Equal(t, first, again)
	}
}
