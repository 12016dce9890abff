package detect

import (
	"math"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/deployloop/deployloop/internal/event"
)

// copiesRun replaces two of four instances by ones that fail. The names of the
// replaced ones go on in the recording with a copy of the new ones' values, or
// with values that are only as bad.
func copiesRun(t *testing.T, how string) event.Verdict {
	t.Helper()
	s := newSim(1, Config{})
	var kept, replaced, fresh []*Source
	for i := range 2 {
		kept, replaced = append(kept, s.pod("1", i, 0, 0).source), append(replaced, s.pod("1", 2+i, 0, 0).source)
	}
	send := func(from *Source, values [3]float64) {
		for i, x := range []Sample{
			{Name: "edge.success_ratio", Worse: WorseLower, Golden: true},
			{Name: "edge.latency", Worse: WorseHigher, Golden: true},
			{Name: "cpu", Worse: WorseHigher},
		} {
			x.At, x.Value = s.sec*second, values[i]
			from.Gauge(x)
		}
	}
	// Values come of the instance and the second, so that all runs see the same.
	values := func(instance int, success float64) [3]float64 {
		noise := func(k int64) float64 {
			return math.Mod(float64((s.sec*7919+int64(instance)*104729+k*1299709)%9973)/9973, 1)
		}
		return [3]float64{success * (1 - .2*noise(1)*(1-success)), 5 + noise(2), .4 + .01*noise(3)}
	}
	run := func(seconds int, each func()) {
		for range seconds {
			if s.sec%10 == 0 {
				each()
			}
			s.tick()
		}
	}
	run(600, func() {
		for i := range 2 {
			send(kept[i], values(i, 1))
			send(replaced[i], values(2+i, 1))
		}
	})
	s.deploy("d", "2", "1")
	for i := range 2 {
		fresh = append(fresh, s.pod("2", i, 0, 0).source)
	}
	run(900, func() {
		for i := range 2 {
			send(kept[i], values(i, 1))
			send(fresh[i], values(4+i, .3))
			switch how {
			case "copy":
				send(replaced[i], values(4+i, .3))
			case "as bad":
				send(replaced[i], values(6+i, .3))
			}
		}
	})
	v, _ := s.e.Verdict("d")
	return v
}

func TestACopiedSeriesIsNoControl(t *testing.T) {
	alone := copiesRun(t, "")
	require.Equal(t, event.Regressed, alone.State, "%+v", alone)
	copied := copiesRun(t, "copy")
	require.Equal(t, event.Regressed, copied.State, "%+v", copied)
	require.InDelta(t, alone.Nats, copied.Nats, 1e-9, "a copy counts on neither side")
	require.Contains(t, copied.Losses, event.Loss{Name: lossCopies, Count: 2 * 3 * 90})

	// Old instances that fail by themselves stay what they are: part of the control.
	bad := copiesRun(t, "as bad")
	require.Less(t, bad.Nats, alone.Nats)
	require.Equal(t, 180., bad.Evidence[0].Old.Events)
	require.Empty(t, bad.Losses)
}

func TestValuesThatMeetByChanceAreNoCopies(t *testing.T) {
	for value, tells := range map[float64]bool{0: false, 1: false, .33: false, 45: false, .125: false, 1.0 / 3: true, 4.455791846076261: true} {
		require.Equal(t, tells, telling(value), value)
	}
}
