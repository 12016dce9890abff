package detect

import (
	"fmt"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/deployloop/deployloop/internal/event"
	"github.com/deployloop/deployloop/test/cputime"
)

// What the engine costs. `make cost` runs these and writes docs/cost.md. An
// indicator is here one pair of counts: latency has one a bound.

// BenchmarkUpdate is one second of one open indicator: eight ratios, the onsets
// and, once a second, its weight. The golden ones of the busiest operations have
// a record for explain and a test for the better, too; most have neither (plain).
func BenchmarkUpdate(b *testing.B) {
	for _, name := range []string{"events", "quiet", "plain-events", "plain-quiet"} {
		b.Run(name, func(b *testing.B) {
			s := newSim(1, Config{})
			pods := s.roll(10, .01, 90, .01)
			s.run(60, pods[:9], nil)
			s.deploy("d", "2", "1")
			s.run(20, pods, nil)
			w := s.e.watches["d"]
			i := w.byOp[1].errors
			l := &i.levels[0]
			c := counts{xc: 1, wc: 100, xs: 9, ws: 900}
			if strings.HasSuffix(name, "quiet") {
				c.xc, c.xs = 0, 0
			}
			if strings.HasPrefix(name, "plain") {
				l.unrecorded, l.more = true, nil
				w.rec.levels = recordedLevels
			}
			b.ReportAllocs()
			began := cputime.Used()
			for sec := s.sec; b.Loop(); sec++ {
				i.step(w, l, sec, c, true)
				i.weigh(w, sec)
			}
			reportCPU(b, began)
		})
	}
}

// fleet is an engine with many open indicators: services of 20 operations with
// errors and latency each, and 60 exceptions that history knows.
type fleet struct {
	e    *Engine
	sec  int64
	old  []*Source
	new  []*Source
	open int
}

const (
	fleetOps      = 20
	fleetPatterns = 60
	fleetEach     = 7*fleetOps + fleetPatterns // pairs, nearly: errors, and latency at about six bounds
)

// Both versions speak, or the old one alone; the new one is watched, or not. The
// search without a deployment, which has a limit of its own, is off.
func newFleet(indicators int, both, watched bool) *fleet {
	services := (indicators + fleetEach - 1) / fleetEach
	f := &fleet{e: New(Config{Start: time.Unix(simStart, 0), Limits: Limits{Services: services + 1, Watches: services + 1},
		AlwaysOn: AlwaysOnConfig{Indicators: -1}}), sec: simStart}
	for k := range services {
		name := fmt.Sprintf("service-%d", k)
		f.old = append(f.old, f.e.Source(Origin{Service: name, Environment: "prod", Version: "1", Instance: "old"}))
		f.new = append(f.new, f.e.Source(Origin{Service: name, Environment: "prod", Version: "2", Instance: "new"}))
	}
	for range 60 { // past the warm-up, so that latency is known
		f.second(f.old, 10)
	}
	if !both {
		return f
	}
	for k := range services {
		if !watched {
			break
		}
		f.e.Watch(event.Deployment{ID: fmt.Sprint(k), Service: fmt.Sprintf("service-%d", k), Environment: "prod", Version: "2", PreviousVersion: "1", StartedAt: time.Unix(f.sec, 0)}, event.Advise)
	}
	for range 3 {
		f.send(f.old, 1)
		f.second(f.new, 1)
	}
	for _, w := range f.e.queue {
		for _, i := range w.indicators {
			f.open += len(i.levels)
		}
	}
	return f
}

var fleetNames = func() (out [fleetOps]string) {
	for i := range out {
		out[i] = fmt.Sprintf("GET /operation/%d", i)
	}
	return out
}()

// send is one second of each source: n requests of every operation, and one of
// each exception.
func (f *fleet) send(sources []*Source, n int) {
	at := f.sec * second
	for _, s := range sources {
		for op := range fleetOps {
			for i := range n {
				s.Request(Request{Operation: fleetNames[op], End: at, Duration: int64(1+(op+i*37+int(f.sec)*11)%97) * 1e6}, nil)
			}
		}
		for p := range fleetPatterns {
			s.Exception(Exception{Fingerprint: uint64(p + 1), At: at, Type: "KnownError"}, nil)
		}
	}
}

func (f *fleet) second(sources []*Source, n int) {
	f.send(sources, n)
	f.sec++
	f.e.Tick(time.Unix(f.sec, 0))
}

// reportCPU tells what an operation took since a call of cputime.Used.
func reportCPU(b *testing.B, since float64) {
	ns := (cputime.Used() - since) / float64(b.N)
	b.ReportMetric(ns, "cpu-ns/op")
	if ns > 0 {
		b.ReportMetric(1e9/ns, "items/s")
	}
}

func heap() float64 {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return float64(m.HeapAlloc)
}

// BenchmarkTick is one second of the engine, with every indicator spoken to
// (busy) or none (quiet). Sending is not measured.
func BenchmarkTick(b *testing.B) {
	for _, n := range []int{110_000, 1_100_000} {
		before := heap()
		f := newFleet(n, true, true)
		bytes := heap() - before
		for _, busy := range []bool{true, false} {
			name := "busy"
			if !busy {
				name = "quiet"
			}
			b.Run(fmt.Sprintf("%d/%s", n/11*10, name), func(b *testing.B) {
				used := 0.
				for b.Loop() {
					b.StopTimer()
					if busy {
						f.send(f.old, 1)
						f.send(f.new, 1)
					}
					f.sec++
					began := cputime.Used()
					b.StartTimer()
					f.e.Tick(time.Unix(f.sec, 0))
					used += cputime.Used() - began
				}
				b.ReportMetric(used/float64(b.N), "cpu-ns/op")
				b.ReportMetric(used/float64(b.N)/float64(f.open), "cpu-ns/indicator")
				b.ReportMetric(float64(f.open), "indicators")
				b.ReportMetric(bytes/float64(f.open), "B/indicator")
				b.ReportMetric(bytes/(1<<20), "MiB")
			})
		}
		runtime.KeepAlive(f)
	}
}

// BenchmarkMemory is the heap that an indicator takes: idle (learnt, no
// deployment under watch: its history and its source's open seconds); what a
// watch adds, beside the same traffic without one (open); that and what the new
// version's instances take, as any others do (both); and the same after a minute.
func BenchmarkMemory(b *testing.B) {
	const n = 50_000
	before := heap()
	idle := newFleet(n, false, false)
	learnt := heap() - before
	before = heap()
	spoken := newFleet(n, true, false)
	unwatched := heap() - before
	before = heap()
	open := newFleet(n, true, true)
	both := heap() - before
	for range 60 {
		open.send(open.old, 1)
		open.second(open.new, 1)
	}
	aged := heap() - before
	for name, bytes := range map[string]float64{"idle": learnt, "open": both - unwatched, "both": both - learnt, "minute": aged - learnt} {
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
			}
			b.ReportMetric(0, "ns/op")
			b.ReportMetric(bytes/float64(open.open), "B/indicator")
		})
	}
	runtime.KeepAlive(idle)
	runtime.KeepAlive(spoken)
	runtime.KeepAlive(open)
}

// BenchmarkSpan and BenchmarkLine are one request and one log line counted.
func BenchmarkSpan(b *testing.B) {
	e := New(Config{Start: time.Unix(simStart, 0)})
	s := e.Source(Origin{Service: "checkout", Version: "1", Instance: "a"})
	at := simStart * second
	b.ReportAllocs()
	began := cputime.Used()
	for i := 0; b.Loop(); i++ {
		s.Request(Request{Operation: fleetNames[i%fleetOps], End: at, Duration: int64(i%1000) * 1e5, Failed: i%50 == 0}, nil)
	}
	reportCPU(b, began)
}

func BenchmarkLine(b *testing.B) {
	e := New(Config{Start: time.Unix(simStart, 0)})
	s := e.Source(Origin{Service: "checkout", Version: "1", Instance: "a"})
	at := simStart * second
	b.ReportAllocs()
	began := cputime.Used()
	for i := 0; b.Loop(); i++ {
		s.Log(LogLine{Template: uint64(i%300) + 1, At: at, Text: "order <*> of user <*>", Severity: 9}, nil)
	}
	reportCPU(b, began)
}
