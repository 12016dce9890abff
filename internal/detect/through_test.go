package detect

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/deployloop/deployloop/internal/event"
)

// A till asks payments five times a second, and throws when that does not answer. The
// deployment of its new version is judged against the past.
type till struct {
	*sim
	now, other *Source // other asks payments, too; nil: nobody does
	payments   *Source // nil: it sends no telemetry of its own
	handled    bool    // what it throws fails no request: the exception alone tells
}

func newTill(seed uint64, other, telemetry bool) *till {
	x := &till{sim: newSim(seed, Config{Watches: []time.Duration{time.Minute, 5 * time.Minute}})}
	source := func(service, version string) *Source {
		return x.e.Source(Origin{Service: service, Environment: "prod", Version: version, Instance: service + "-" + version})
	}
	x.now = source("till", "1")
	if other {
		x.other = source("kiosk", "1")
	}
	if telemetry {
		x.payments = source("payments", "1")
	}
	return x
}

func (x *till) deploy() {
	x.now = x.e.Source(Origin{Service: "till", Environment: "prod", Version: "2", Instance: "till-2"})
	x.e.Watch(event.Deployment{ID: "d", Service: "till", Environment: "prod", Version: "2", PreviousVersion: "1", StartedAt: time.Unix(x.sec, 0)}, event.Advise)
}

// play asks; at the given shares there is no answer for whoever asks (silent) or
// for the till alone (mine), or a bug of the till's throws.
func (x *till) play(seconds int, silent, mine, bug float64) {
	for k := range seconds * 5 {
		end := x.sec*second + int64(k%5)*second/5
		ask := func(s *Source, share float64) (failed bool) {
			failed = x.rng.Float64() < share
			d := int64(5e7)
			if failed {
				d = 2e9
			}
			s.Call(Call{Callee: "payments", End: end, Duration: d, Failed: failed})
			if x.payments != nil {
				x.payments.Request(Request{Operation: "POST /pay", End: end, Duration: d}, nil)
			}
			return failed
		}
		failed := ask(x.now, 1-(1-silent)*(1-mine))
		if failed {
			x.now.Exception(Exception{Fingerprint: 7, Type: "*url.Error", Message: "payments does not answer: Client.Timeout exceeded", Operation: "POST /order", At: end}, nil)
		} else if failed = x.rng.Float64() < bug; failed {
			x.now.Exception(Exception{Fingerprint: 8, Type: "NilPointer", Message: "nil cart", Operation: "POST /order", At: end}, nil)
		}
		x.now.Request(Request{Operation: "POST /order", End: end, Duration: 6e7, Failed: failed && !x.handled}, nil)
		if x.other != nil {
			lost := ask(x.other, silent)
			x.other.Request(Request{Operation: "POST /order", End: end, Duration: 6e7, Failed: lost}, nil)
		}
		if k%5 == 4 {
			x.tick()
		}
	}
}

func (x *till) judged(t *testing.T) event.Verdict {
	v, ok := x.e.Verdict("d")
	require.True(t, ok)
	return v
}

// Novelty is inherited as errors are: where the callee is shown to have gone bad
// without the deployment.
func TestAnExceptionOfASilentCalleeIsInherited(t *testing.T) {
	for seed := range uint64(5) {
		for _, handled := range []bool{true, false} {
			x := newTill(seed, true, seed%2 == 0)
			x.handled = handled
			x.play(400, 0, 0, 0)
			x.deploy()
			x.play(20, 0, 0, 0)
			x.play(60, .4, 0, 0)
			v := x.judged(t)
			require.Equal(t, event.Exonerated, v.State, "seed %d: %s", seed, v.Detail)
			require.Equal(t, event.ReasonUpstreamFirst, v.Reason)
			require.Contains(t, v.Detail, "it went bad for kiosk too")
		}
	}
}

// Where nothing shows whose fault it is, or others fare well with the callee (a
// version that waits too short a time), the conviction stands and says which
// calls fail. It says so for as long as it stands.
func TestAConvictionNamesTheCallsThatFail(t *testing.T) {
	for seed := range uint64(5) {
		for _, other := range []bool{true, false} {
			for _, handled := range []bool{true, false} {
				x := newTill(seed, other, seed%2 == 0)
				x.handled = handled
				x.play(400, 0, 0, 0)
				x.deploy()
				x.play(60, 0, .4, 0)
				v := x.judged(t)
				require.Equal(t, event.Regressed, v.State, "seed %d: %s", seed, v.Detail)
				require.Equal(t, "payments", v.Through, "seed %d: %s", seed, v.Detail)
				require.Contains(t, v.Detail, "calls to payments went bad with it, and account for it")
				x.play(120, 0, 0, 0)
				require.Equal(t, "payments", x.judged(t).Through)
			}
		}
	}
}

// A bug of its own is not laid at a callee's door, be it that calls fail at
// times as well.
func TestAConvictionNamesNoCalleeForItsOwnBug(t *testing.T) {
	for seed := range uint64(5) {
		for _, mine := range []float64{0, .05} {
			x := newTill(seed, true, true)
			x.play(400, 0, 0, 0)
			x.deploy()
			x.play(60, 0, mine, .6)
			v := x.judged(t)
			require.Equal(t, event.Regressed, v.State, "seed %d: %s", seed, v.Detail)
			require.Empty(t, v.Through, "seed %d: %s", seed, v.Detail)
		}
	}
}
