package detect

import (
	"math"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

// A service's tick is that of what tells of its requests: metrics beside its
// spans, of them or of other things, do not make it a minute's.
func TestOnlyMetricsThatSpeakSetTheStride(t *testing.T) {
	for name, tc := range map[string]struct {
		spans, aside bool
		want         int64
	}{
		"metrics alone":               {false, false, 60},
		"metrics that repeat spans":   {true, false, 0},
		"metrics of something else":   {false, true, 0},
		"spans and metrics of others": {true, true, 0},
	} {
		t.Run(name, func(t *testing.T) {
			e := New(Config{Start: time.Unix(simStart, 0)})
			s := e.Source(Origin{Service: "checkout", Environment: "prod", Version: "1", Instance: "a"})
			tally := Tally{Operation: "GET /cart", Family: FamilyHTTP, Voice: VoiceMetrics, N: 10, Start: (simStart - 60) * second, End: simStart * second}
			if tc.aside {
				tally.Operation, tally.Aside.Kind = "db.client.operation.duration", AsideShare
			}
			if tc.spans {
				s.Request(Request{Operation: "GET /cart", End: simStart * second, Family: FamilyServer}, nil)
			}
			require.Equal(t, !tc.spans || tc.aside, s.Tally(tally))
			e.Tick(time.Unix(simStart+3, 0))
			require.Equal(t, tc.want, s.service.stride)
		})
	}
}

// What a layout says is beyond one of its bounds is what the histogram says,
// whichever buckets it has; and an exponential histogram's counts fall into the
// same bins whatever its scale.
func TestLayoutsKeepWhatIsBeyondABound(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var bounds []float64
		for b := 1e4 * rapid.Float64Range(.5, 5).Draw(t, "first"); b < 1e12 && len(bounds) < 60; b *= rapid.Float64Range(1.05, 4).Draw(t, "factor") {
			bounds = append(bounds, math.Ceil(b))
		}
		l, ok := NewLayout(bounds)
		if !ok {
			t.Fatalf("bounds %v", bounds)
		}
		counts := rapid.SliceOfN(rapid.IntRange(0, 9), len(bounds)+1, len(bounds)+1).Draw(t, "counts")
		var bins [latencyBins]int
		for i, n := range counts {
			bins[l.Bin(i)] += n
		}
		for bin, ns := range l.at {
			if ns == 0 {
				continue
			}
			want, got := 0, 0
			for i, n := range counts {
				if i == len(bounds) || bounds[i] > float64(ns) {
					want += n
				}
			}
			for i := bin + 1; i < latencyBins; i++ {
				got += bins[i]
			}
			if got != want {
				t.Fatalf("%d beyond %dns, %d by the bins", want, ns, got)
			}
		}
	})
	rapid.Check(t, func(t *rapid.T) {
		unit := rapid.SampledFrom([]float64{1e9, 1e6}).Draw(t, "unit")
		l := NewExponentialLayout(MaxScale, unit)
		scale := rapid.IntRange(MaxScale, 12).Draw(t, "scale")
		d := rapid.Float64Range(2e4, 9e11).Draw(t, "ns") / unit
		at := func(scale int) int { return int(math.Ceil(math.Log2(d)*math.Exp2(float64(scale)))) - 1 }
		if a, b := l.Bin(at(MaxScale), MaxScale), l.Bin(at(scale), scale); a != b {
			t.Fatalf("%v: bin %d at scale %d, %d at %d", d, a, MaxScale, b, scale)
		}
	})
}

// Another layout in a later version leaves the bounds that both have.
func TestLayoutsMeet(t *testing.T) {
	a, _ := NewLayout([]float64{1e7, 2.5e7, 5e7, 1e8})
	b, _ := NewLayout([]float64{1e7, 5e7, 7.5e7, 2e8})
	m := a.meet(b)
	var at []int64
	for _, ns := range m.at {
		if ns != 0 {
			at = append(at, ns)
		}
	}
	require.Equal(t, []int64{1e7, 5e7}, at)
	require.Same(t, m, m.meet(a), "what is in it already changes nothing")
	require.Same(t, a, a.meet(spanLayout), "spans have every bound")
	require.False(t, m.holds(&latencyTest{n: 1, bounds: [latencyLevels]int16{int16(latencyBin(1e8))}}))
	_, ok := NewLayout([]float64{2, 1})
	require.False(t, ok)
}

// One absurd count must not be all that is ever known.
func TestAbsurdCountsAreRefused(t *testing.T) {
	e := New(Config{Start: time.Unix(simStart, 0)})
	s := e.Source(Origin{Service: "checkout", Environment: "prod", Version: "1", Instance: "a"})
	l, _ := NewLayout([]float64{1e7, 1e8})
	good := Tally{Operation: "GET /cart", Family: FamilyHTTP, Voice: VoiceMetrics, N: 10, End: simStart * second, Layout: l, Buckets: []Bucket{{Bin: 3, N: 10}}}
	require.True(t, s.Tally(good))
	for name, spoil := range map[string]func(*Tally){
		"count":    func(x *Tally) { x.N = 1e39 },
		"infinite": func(x *Tally) { x.N = math.Inf(1) },
		"failed":   func(x *Tally) { x.N, x.Failed, x.Aside.Kind = 10, 1e39, AsideRate },
		"bucket":   func(x *Tally) { x.Buckets = []Bucket{{Bin: 3, N: 1e39}} },
		"NaN":      func(x *Tally) { x.Buckets = []Bucket{{Bin: 3, N: math.NaN()}} },
	} {
		bad := good
		spoil(&bad)
		require.False(t, s.Tally(bad), name)
	}
	require.EqualValues(t, 5, s.service.losses.snapshot()[lossTally])
	e.Tick(time.Unix(simStart+5, 0))
	require.True(t, s.service.history.finite())
	require.InDelta(t, 10, s.service.history.Requests, 1e-9)
}

// What a former version let in does not outlive a restart.
func TestRestartForgetsWhatIsNoNumber(t *testing.T) {
	for name, spoil := range map[string]func(*service){
		"requests": func(s *service) { s.history.Requests = math.Inf(1) },
		"ring":     func(s *service) { s.history.Recent.N[3] = float32(math.Inf(1)) },
		"sketch":   func(s *service) { s.history.Ops[1].Sketch.N[0] = float32(math.NaN()) },
		"window":   func(s *service) { s.history.Ops[1].Sketch.First = latencyBins },
		"curve":    func(s *service) { s.history.Errors.Lengths[2].Sums.XX = float32(math.Inf(1)) },
		"peaks":    func(s *service) { s.calibration.Peaks = append(s.calibration.Peaks, float32(math.NaN())) },
	} {
		t.Run(name, func(t *testing.T) {
			s, _ := calm(3, Config{}, 500)
			require.NotEmpty(t, s.e.order[0].calibration.Peaks)
			spoil(s.e.order[0])
			raw, err := s.e.Snapshot()
			require.NoError(t, err)
			again := New(Config{Start: time.Unix(s.sec, 0)})
			require.NoError(t, again.Restore(raw))
			x := again.order[0]
			require.True(t, x.history.finite())
			require.True(t, finitePeaks(x.calibration.Peaks))
			require.Equal(t, name == "peaks", x.history.Requests > 0, "the rest is kept")
			require.Equal(t, name != "peaks", len(x.calibration.Peaks) > 0, "the rest is kept")
		})
	}
	c := calibration{Peaks: []float32{1, 2, 3}}
	c.add(math.NaN())
	c.add(math.Inf(1))
	require.Len(t, c.Peaks, 3)
	for range fewPeaks {
		c.add(1)
	}
	p := pool{}
	p.add(&c, math.NaN(), 20)
	require.Empty(t, p.Peaks)
}
