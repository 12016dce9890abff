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
