package detect

import (
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/deployloop/deployloop/internal/event"
)

// Impact is what failed beyond the control's rate, who felt it, and what that
// takes of the month's budget.
func TestImpact(t *testing.T) {
	s := newSim(4, Config{Services: map[string]ServiceConfig{"checkout": {Objective: .99}}, ObjectiveWindow: 10 * 24 * time.Hour})
	pods := s.roll(100, .21, 900, .01)
	s.run(300, pods[:9], nil)
	s.deploy("d", "2", "1")
	users := 0
	s.run(60, pods, func() bool {
		for k := range 20 {
			pods[9].source.Request(Request{Operation: "POST /cart", End: s.sec * second, Duration: -1, Failed: true, User: strconv.Itoa(k)}, nil)
			users++
		}
		return false
	})
	v, _ := s.e.Verdict("d")
	require.Equal(t, event.Regressed, v.State)
	i := v.Impact
	want := 60*100*.2 + float64(users)
	require.InEpsilon(t, want, i.Requests, .25)
	require.InDelta(t, 20, i.Users, 1)
	require.Equal(t, .99, i.Objective)
	// 900 requests a second for ten days, of which a hundredth may fail.
	require.InEpsilon(t, i.Requests/(900*864000*.01), i.Budget, .2)
}
