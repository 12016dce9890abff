package detect

import (
	"math"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/deployloop/deployloop/internal/event"
)

func lossesOf(v event.Verdict) map[string]uint64 {
	out := map[string]uint64{}
	for _, l := range v.Losses {
		out[l.Name] = l.Count
	}
	return out
}

func TestBadTelemetryIsCountedByNameAndChangesNothing(t *testing.T) {
	s := newSim(1, Config{Limits: Limits{Operations: 20, Patterns: 20, Sources: 20}})
	pods := s.roll(100, .01, 900, .01)
	s.run(120, pods[:9], nil)
	s.deploy("d", "2", "1")
	s.run(20, pods, nil)
	src := pods[9].source
	now := s.sec * second
	send := func(r Request) { src.Request(r, nil) }
	send(Request{Operation: "a", End: now + int64(time.Hour), Failed: true})
	send(Request{Operation: "a", End: now - int64(time.Hour), Failed: true})
	send(Request{Operation: "a", End: now - 10*second})
	send(Request{Operation: "a", End: now, Duration: -1})
	send(Request{Operation: "a", End: now, Weight: math.NaN()})
	send(Request{Operation: "a", End: now, Weight: math.Inf(1)})
	for i := range 100_000 {
		name := "op" + strconv.Itoa(i)
		src.Request(Request{Operation: name, End: now}, nil)
		src.Log(LogLine{Template: uint64(i), Text: name, At: now, Severity: 9}, nil)
	}
	for i := range 100 {
		s.e.Source(Origin{Service: "checkout", Environment: "prod", Version: "1", Instance: "more" + strconv.Itoa(i)}).Request(Request{Operation: "a", End: now}, nil)
	}
	s.e.Refuse(src.Origin(), "shed", 7)
	s.run(30, pods, nil)
	v, ok := s.e.Verdict("d")
	require.True(t, ok)
	got := lossesOf(v)
	require.Equal(t, uint64(1), got["late"])
	require.Equal(t, uint64(1), got["clock_ahead"])
	require.Equal(t, uint64(1), got["late_counted"])
	require.Equal(t, uint64(1), got["invalid_duration"])
	require.Equal(t, uint64(2), got["invalid_weight"])
	require.Equal(t, uint64(7), got["shed"])
	require.Greater(t, got["other_operations"], uint64(99_000))
	require.Greater(t, got["other_patterns"], uint64(99_000))
	require.Equal(t, uint64(90), got["sources_over_limit"])
	require.NotEqual(t, event.Regressed, v.State)
	st := s.e.Status()
	require.LessOrEqual(t, st.Operations, 20)
	require.LessOrEqual(t, st.Patterns, 20)
	require.LessOrEqual(t, st.Sources, 20)
}

func TestLostTelemetryIsNeverHealthy(t *testing.T) {
	s := newSim(1, Config{Watches: []time.Duration{time.Minute, 5 * time.Minute}})
	pods := s.roll(100, .01, 900, .01)
	s.run(120, pods[:9], nil)
	s.deploy("d", "2", "1")
	for range 400 {
		for _, p := range pods {
			s.play(p)
		}
		for range 20 {
			pods[9].source.Request(Request{Operation: "POST /cart", End: s.sec*second + int64(time.Hour)}, nil)
		}
		s.tick()
		require.NotEqual(t, event.Healthy, s.state("d"))
	}
	require.Equal(t, event.Inconclusive, s.state("d"))
	require.Equal(t, event.ReasonDataLost, s.last["d"].Reason)
}

func TestExporterThatBatchesFiveSeconds(t *testing.T) {
	// One old and one new instance, whose exporters flush at different times.
	s := newSim(4, Config{})
	var queue [2][]Request
	sources := []*Source{s.pod("1", 0, 0, 0).source, s.pod("2", 0, 0, 0).source}
	bad := [2]float64{.01, .01}
	serving := 1
	step := func() {
		for i := range serving {
			for range 50 {
				queue[i] = append(queue[i], Request{Operation: "GET /", End: s.sec*second + s.rng.Int64N(second), Duration: 5e7, Failed: s.rng.Float64() < bad[i]})
			}
			if s.sec%5 == int64(i)*2 {
				for _, r := range queue[i] {
					sources[i].Request(r, nil)
				}
				queue[i] = queue[i][:0]
			}
		}
		s.tick()
	}
	for range 120 {
		step()
	}
	s.deploy("d", "2", "1")
	serving = 2
	for range 600 {
		step()
	}
	require.Equal(t, event.Healthy, s.state("d"), "%+v", s.last["d"])
	require.Equal(t, event.ControlConcurrent, s.last["d"].Control)
	bad[1] = .2
	start := s.sec
	for range 60 {
		if step(); s.state("d") == event.Regressed {
			break
		}
	}
	require.Equal(t, event.Regressed, s.state("d"))
	t.Logf("healthy became regressed %d s after the errors began; onset %v", s.sec-start, s.last["d"].Onset)
	// Two exporters of five seconds each: that is how sharp it can be.
	require.InDelta(t, float64(start), float64(s.last["d"].Onset.At.Unix()), 10)
}

// The tag that was deployed is v2, telemetry says 2; CI cut the revision short.
func TestTheNewVersionIsKnownByAnotherSpelling(t *testing.T) {
	for name, d := range map[string]event.Deployment{
		"tag":                {Version: "v2.0.0", PreviousVersion: "v1.0.0"},
		"revision cut short": {Revision: "2222222", PreviousRevision: "1111111"},
	} {
		told, new := versionTells(&d, &Origin{Version: "2.0.0", Revision: strings.Repeat("2", 40)})
		require.True(t, told && new, name)
		told, new = versionTells(&d, &Origin{Version: "1.0.0", Revision: strings.Repeat("1", 40)})
		require.True(t, told && !new, name)
	}
}

// Two Deployments of one service run each release in two ReplicaSets; a rollout of
// the same image is told apart by its ReplicaSet.
func TestReplicaSetsOfOneReleaseAreOneSide(t *testing.T) {
	d := event.Deployment{Version: "1.43.0+rs.ddddd", PreviousVersion: "1.42.0+rs.bbbbb"}
	for version, want := range map[string]bool{"1.43.0+rs.ddddd": true, "1.43.0+rs.fffff": true, "1.42.0+rs.bbbbb": false, "1.42.0+rs.ccccc": false} {
		told, new := versionTells(&d, &Origin{Version: version})
		require.True(t, told)
		require.Equal(t, want, new, version)
		require.Equal(t, !want, saysOld(&d, &Origin{Version: version}), version)
	}
	d.PreviousVersion = "1.43.0+rs.bbbbb"
	_, new := versionTells(&d, &Origin{Version: "1.43.0+rs.bbbbb"})
	require.False(t, new)
}

func TestOldVersionAffectedTooIsNotTheDeploymentsFault(t *testing.T) {
	s := newSim(2, Config{})
	pods := s.roll(100, .01, 900, .01)
	s.run(300, pods[:9], nil)
	s.deploy("d", "2", "1")
	s.run(20, pods, nil)
	for _, p := range pods {
		p.errors = .2
	}
	s.run(120, pods, func() bool { return s.state("d") != event.Watching })
	require.Equal(t, event.Exonerated, s.state("d"), "%+v", s.last["d"])
	require.Equal(t, event.ReasonOldCohortAffected, s.last["d"].Reason)
	t.Log(s.last["d"].Detail)
}

func TestHarmThatBeganBeforeIsExonerated(t *testing.T) {
	s := newSim(2, Config{})
	pods := s.roll(100, .01, 900, .01)
	s.run(540, pods[:9], nil)
	for _, p := range pods {
		p.errors = .1
	}
	s.run(60, pods[:9], nil)
	s.deploy("d", "2", "1")
	var next []*pod
	for i := range 10 {
		next = append(next, s.pod("2", i, 100, .1))
	}
	s.run(60, next, func() bool { return s.state("d") != event.Watching })
	require.Equal(t, event.Exonerated, s.state("d"), "%+v", s.last["d"])
	require.Equal(t, event.ReasonBeganBefore, s.last["d"].Reason)
	t.Log(s.last["d"].Detail)
}

func TestSnapshotGoesOnWhereItWas(t *testing.T) {
	for _, cut := range []int{5, 60} {
		play := func(restart bool) event.Verdict {
			s := newSim(9, Config{})
			pods := s.roll(100, .02, 900, .01)
			s.run(300, pods[:9], nil)
			s.deploy("d", "2", "1")
			s.run(cut, pods, nil)
			if restart {
				state, err := s.e.Snapshot()
				require.NoError(t, err)
				cfg := s.e.cfg
				cfg.Start = time.Unix(s.sec, 0)
				e := New(cfg)
				require.NoError(t, e.Restore(state))
				for i := range pods {
					pods[i].source = e.Source(pods[i].source.Origin())
				}
				s.e = e
			}
			s.run(90, pods, nil)
			v, ok := s.e.Verdict("d")
			require.True(t, ok)
			return v
		}
		whole, cutAt := play(false), play(true)
		require.Equal(t, whole.State, cutAt.State)
		require.InDelta(t, whole.Nats, cutAt.Nats, math.Max(2, .1*whole.Nats), "cut at %d", cut)
		require.Equal(t, whole.Deployment, cutAt.Deployment)
		t.Logf("cut at %d s: %s %.2f nats whole, %.2f nats with a restart", cut, whole.State, whole.Nats, cutAt.Nats)
	}
	e := New(Config{})
	require.Error(t, e.Restore([]byte("nonsense")))
}

func TestConcurrentUse(t *testing.T) {
	e := New(Config{Start: time.Unix(simStart, 0)})
	var wg sync.WaitGroup
	stop := make(chan struct{})
	for g := range 4 {
		wg.Go(func() {
			for i := 0; ; i++ {
				select {
				case <-stop:
					return
				default:
				}
				src := e.Source(Origin{Service: "s", Version: strconv.Itoa(g % 2), Instance: strconv.Itoa(g)})
				at := e.open.Load()*second + int64(i%1000)*1e6
				src.Request(Request{Operation: "op" + strconv.Itoa(i%7), End: at, Duration: int64(i % 100 * 1e6), Failed: i%50 == 0, User: "u"}, fixedExample{})
				src.Exception(Exception{Fingerprint: uint64(i % 5), At: at}, fixedExample{})
				src.Log(LogLine{Template: uint64(i % 9), At: at, Severity: 17}, fixedExample{})
				src.Work(Work{Name: "w", End: at})
			}
		})
	}
	e.Watch(event.Deployment{ID: "d", Service: "s", Version: "1", StartedAt: time.Unix(simStart, 0)}, event.Gate)
	// On a busy machine the ticks below are over before the others have begun.
	require.Eventually(t, func() bool { return e.Status().Operations > 0 }, time.Minute, time.Millisecond)
	for i := range 120 {
		e.Tick(time.Unix(simStart+int64(i), 0))
		e.Verdict("d")
		e.Status()
		if i%40 == 0 {
			_, err := e.Snapshot()
			require.NoError(t, err)
		}
		runtime.Gosched()
	}
	close(stop)
	wg.Wait()
	require.Positive(t, e.Status().Operations)
}

func TestRequestAndInjectAgree(t *testing.T) {
	a, b := newSim(1, Config{}), newSim(1, Config{})
	pa, pb := a.pod("1", 0, 0, 0), b.pod("1", 0, 0, 0)
	a.inject(pa, 50, 5, 80)
	for i := range 50 {
		pb.source.Request(Request{Operation: pb.op, End: b.sec*second + second/2, Duration: 8e7, Failed: i < 5}, nil)
	}
	a.tick()
	a.tick()
	b.tick()
	b.tick()
	na, fa := a.e.order[0].history.total()
	nb, fb := b.e.order[0].history.total()
	require.Equal(t, [2]float64{50, 5}, [2]float64{na, fa})
	require.Equal(t, [2]float64{na, fa}, [2]float64{nb, fb})
}

func TestRequestDoesNotAllocate(t *testing.T) {
	e := New(Config{Start: time.Unix(simStart, 0)})
	src := e.Source(Origin{Service: "s", Instance: "i"})
	names := []string{"a", "b"}
	at, i := simStart*second, 0
	run := func() {
		i++
		src.Request(Request{Operation: names[i&1], End: at, Duration: 8e7, Failed: i&15 == 0}, nil)
		src.Log(LogLine{Template: uint64(i & 3), At: at, Severity: 9, Text: "x"}, nil)
		src.Exception(Exception{Fingerprint: uint64(i & 3), At: at}, nil)
	}
	for range 100 {
		run()
	}
	require.Zero(t, testing.AllocsPerRun(1000, run))
}
