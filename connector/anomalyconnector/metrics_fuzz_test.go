package anomalyconnector

import (
	"math"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/pmetric"
	"go.uber.org/zap"

	"github.com/deployloop/deployloop/internal/detect"
)

// Whatever comes as OTLP: nothing panics, no count is negative or no number,
// no interval runs backwards, and every point is accounted for.
func FuzzReadMetrics(f *testing.F) {
	start := time.Date(2026, 11, 23, 14, 0, 0, 0, time.UTC)
	marshal := new(pmetric.ProtoMarshaler)
	rng := rand.New(rand.NewPCG(1, 1))
	for _, p := range []*meteredPod{{exponential: true}, {cumulative: true}, {exponential: true, cumulative: true}, {}} {
		p.version, p.instance, p.rate, p.errors, p.median, p.began, p.last = "1", "pod", 5, .2, .05, start, start
		p.serve(rng, start.Add(10*time.Second))
		raw, err := marshal.MarshalMetrics(p.export(start.Add(10 * time.Second)))
		require.NoError(f, err)
		f.Add(raw)
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		md, err := new(pmetric.ProtoUnmarshaler).UnmarshalMetrics(raw)
		if err != nil {
			return
		}
		r := NewReplay(createDefaultConfig().(*Config), start, false, zap.NewNop())
		defer r.Close()
		count := r.monitor.tally
		r.monitor.tally = func(s *source, x detect.Tally) {
			if !(x.N >= 0) || math.IsInf(x.N, 0) || !(x.Failed >= 0) || x.Aside.Kind != detect.AsideRate && x.Failed > x.N {
				t.Fatalf("counts %+v", x)
			}
			if x.Start > x.End && x.Start != 0 && x.Start < start.UnixNano() {
				t.Fatalf("runs backwards: %+v", x)
			}
			for _, b := range x.Buckets {
				if b.Bin < 0 || b.Bin >= detect.Bins || !(b.N > 0) {
					t.Fatalf("bucket %+v", b)
				}
			}
			count(s, x)
		}
		for now := start; now.Before(start.Add(15 * time.Second)); now = now.Add(5 * time.Second) {
			r.Step(now)
			r.Metrics(md, now) // the same again is late or repeated, where it is cumulative
		}
		if r.monitor.meter.panics.Load() > 0 {
			t.Fatal("the reader panicked")
		}
	})
}
