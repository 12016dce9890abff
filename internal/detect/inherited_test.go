package detect

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/deployloop/deployloop/internal/event"
)

// Where no traces are joined, a rare operation is excused by slow calls if
// nobody else can have waited for them, and not if they are those that made
// other operations slow.
func TestSlowCallsExcuseWhoWaitsForThem(t *testing.T) {
	for name, c := range map[string]struct {
		order, report int // calls to payments of a request
		own           int64
		state         event.VerdictState
	}{
		"orders call payments, reports got slow of themselves": {1, 0, 500e6, event.Regressed},
		"only reports call payments, fifty times each":         {0, 50, 0, event.Exonerated},
		"both call payments, reports fifty times":              {1, 50, 0, event.Exonerated},
	} {
		for seed := range uint64(2) {
			x := newShop(seed)
			from := int64(-1)
			play := func(seconds int) {
				for range seconds {
					end, slow, own := x.sec*second+second/2, int64(0), int64(0)
					if from >= 0 && x.sec >= from {
						slow, own = 10e6, c.own
					}
					request := func(caller *Source, operation string, calls int, took float64) {
						for range calls {
							call := int64(float64(3e6)*(.8+.4*x.rng.Float64())) + slow
							took += float64(call)
							x.payments.Request(Request{Operation: "POST /pay", End: end, Duration: call}, nil)
							caller.Call(Call{Callee: "payments", End: end, Duration: call + 1e5})
						}
						caller.Request(Request{Operation: operation, End: end, Duration: int64(took)}, nil)
					}
					for range 50 {
						request(x.web, "POST /order", c.order, 4e6*(.8+.4*x.rng.Float64()))
						request(x.mobile, "POST /order", 1, 4e6*(.8+.4*x.rng.Float64()))
					}
					request(x.web, "GET /report", c.report, 1e8*(.8+.4*x.rng.Float64())+float64(own))
					x.tick()
				}
			}
			play(700)
			x.deployed("web", &x.web)
			from = x.sec + 60
			play(200)
			v, ok := x.e.Verdict("web")
			require.True(t, ok)
			t.Logf("%s: %s, %s", name, v.State, v.Detail)
			require.Equal(t, c.state, v.State, "%s, seed %d: %s", name, seed, v.Detail)
			if c.state == event.Exonerated {
				require.Equal(t, event.ReasonUpstreamFirst, v.Reason)
			}
		}
	}
}
