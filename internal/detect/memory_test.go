package detect

import (
	"fmt"
	"runtime"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/deployloop/deployloop/internal/event"
)

// The estimate is what the heap says, within a third, idle and under watch.
func TestMemoryEstimateIsTheHeaps(t *testing.T) {
	for _, watched := range []bool{false, true} {
		before := heap()
		f := newFleet(40_000, watched, watched)
		for range memoryInterval {
			f.second(f.old, 1)
		}
		held, measured := float64(f.e.Status().Memory), heap()-before
		t.Logf("watched %v: %.1f MiB estimated, %.1f MiB on the heap", watched, held/(1<<20), measured/(1<<20))
		require.InEpsilon(t, measured, held, .33)
		runtime.KeepAlive(f)
	}
}

// Under a flood of names the budget holds, what is shed is named in the
// verdict, and errors are still called.
func TestGoldenSignalsSurviveAFloodOfNames(t *testing.T) {
	flood := func(budget int64) (*sim, event.Verdict) {
		s := newSim(3, Config{Limits: Limits{Memory: budget, Patterns: 100_000, Operations: 100_000}})
		pods := s.roll(20, .01, 180, .01)
		s.run(60, pods[:9], nil)
		s.deploy("d", "2", "1")
		serial := uint64(0)
		for second := range int64(120) {
			if second == 60 {
				pods[9].errors = .3
			}
			for _, p := range pods {
				for range 40 {
					serial++
					at := s.sec * 1e9
					p.source.Work(Work{Name: fmt.Sprint("query ", serial), End: at})
					p.source.Log(LogLine{Template: serial, At: at, Text: "a line like no other", Severity: 9}, nil)
					p.source.Log(LogLine{Template: serial << 32, At: at, Text: "a warning like no other", Severity: 13}, nil)
					p.source.Request(Request{Operation: fmt.Sprint("GET /page/", serial), End: at, Duration: 5e6}, nil)
				}
			}
			s.run(1, pods, nil)
		}
		v, ok := s.e.Verdict("d")
		require.True(t, ok)
		return s, v
	}
	const budget = 8 << 20
	s, v := flood(budget)
	require.Equal(t, event.Regressed, v.State, v.Detail)
	require.Equal(t, event.SignalErrors, v.Evidence[0].Signal)
	require.LessOrEqual(t, s.e.Status().Memory, int64(2*budget), "it may grow for an interval before it is measured")
	lost := lossesOf(v)
	for _, name := range []string{"memory_new_inner_work_and_quiet_lines", "memory_new_log_templates", "memory_new_operations"} {
		require.Positive(t, lost[name], name)
	}
	require.Greater(t, lost["memory_new_inner_work_and_quiet_lines"], lost["memory_new_operations"], "the long tail goes first")

	s, v = flood(0)
	require.Greater(t, s.e.Status().Memory, int64(4*budget), "without a budget the flood is kept")
	require.Equal(t, event.Regressed, v.State)
}

// At the end of the budget new services are refused, those that are known are
// judged, and what was shed comes in again when there is room.
func TestMemoryShedsNewServicesLast(t *testing.T) {
	s := newSim(5, Config{})
	pods := s.roll(20, .01, 180, .01)
	s.run(40, pods[:9], nil)
	s.deploy("d", "2", "1")
	s.run(10, pods, nil)
	require.NotNil(t, s.e.watches["d"].traffic)
	vanishing := func() (n int) {
		for _, i := range s.e.watches["d"].indicators {
			if i.class == classTail {
				n++
			}
		}
		return n
	}
	s.e.cfg.Limits.Memory = 1
	s.run(memoryInterval+1, pods, nil)
	require.Zero(t, vanishing())
	pods[9].errors = .3
	late := s.e.Source(Origin{Service: "late", Instance: "a"})
	late.Request(Request{Operation: "GET /", End: s.sec * second, Duration: 1}, nil)
	s.run(20, pods, nil)
	require.Equal(t, event.Regressed, s.state("d"))
	status := s.e.Status()
	require.NotContains(t, fmt.Sprint(s.e.services), "late")
	names := map[string]uint64{}
	for _, l := range status.Losses {
		names[l.Name] = l.Count
	}
	require.Positive(t, names["sources_over_limit"])

	s.e.cfg.Limits.Memory = 1 << 30
	s.run(memoryInterval+1, pods, nil)
	s.e.Source(Origin{Service: "late", Instance: "a"}).Request(Request{Operation: "GET /", End: s.sec * second, Duration: 1}, nil)
	require.Len(t, s.e.services, 3) // with the one that stands for others
	require.WithinDuration(t, time.Unix(s.sec, 0), s.e.Status().Watermark, 3*time.Second)
}

// The search without a deployment ends early, and is counted.
func TestMemoryEndsTheSearchWithoutADeployment(t *testing.T) {
	s, pods := calm(7, Config{}, 900)
	require.NotNil(t, s.e.order[0].always)
	s.e.cfg.Limits.Memory = 1
	s.run(memoryInterval+1, pods, nil)
	require.Nil(t, s.e.order[0].always)
	require.Contains(t, s.e.Status().Losses, event.Loss{Name: lossMemoryAlwaysOn, Count: 1})
}

// Only what is watched for vanishing is let go of: what a watch still counts stays
// part of its evidence, and of what is held.
func TestOnlyWhatMayVanishIsLetGo(t *testing.T) {
	s := newSim(6, Config{})
	pods := s.roll(20, .01, 180, .01)
	calls := func(seconds int, pods []*pod) {
		for range seconds {
			for _, p := range pods {
				for range 10 {
					p.source.Call(Call{Callee: "db", End: s.sec * second, Duration: 1e6})
					p.source.Work(Work{Name: "query", End: s.sec * second})
				}
			}
			s.run(1, pods, nil)
		}
	}
	calls(120, pods[:9])
	s.deploy("d", "2", "1")
	calls(60, pods)
	w := s.e.watches["d"]
	require.Positive(t, w.dropVanishing())
	require.Zero(t, w.dropVanishing())
	listed, callees := map[*indicator]bool{}, 0
	for _, i := range w.indicators {
		listed[i] = true
	}
	for op, o := range w.byOp {
		require.Nil(t, o.vanish)
		for _, i := range []*indicator{o.errors, o.latency} {
			require.True(t, listed[i], "%s of %s is counted, and no part of the evidence", i.signal(), w.operationAt(op).name)
		}
		if w.operationAt(op).aside.Kind == AsideCallee {
			callees++
		}
	}
	require.Equal(t, 1, callees)
	for _, i := range w.byPattern {
		require.True(t, i == nil || listed[i])
	}
}
