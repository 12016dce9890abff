package detect

import (
	"bytes"
	"encoding/gob"
	"math"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/deployloop/deployloop/internal/event"
)

// FuzzRestore changes one number of a snapshot that has a bad deployment, an
// undecided one and a gauge's past: it is refused, or the engine goes on.
func FuzzRestore(f *testing.F) {
	s := newSim(9, Config{})
	pods := s.roll(100, .01, 900, .01)
	s.run(120, pods[:9], nil)
	s.deploy("bad", "2", "1")
	pods[9].errors = .2
	s.run(60, pods, nil)
	require.Equal(f, event.Regressed, s.state("bad"))
	s.deploy("next", "3", "1")
	pods = append(pods, s.pod("3", 0, 100, .02))
	s.run(20, pods, nil)
	s.e.order[0].loadGauge(gaugeState{Name: "latency", Worse: WorseHigher, Excursions: excursions{Stride: 1}})
	data, err := s.e.Snapshot()
	require.NoError(f, err)
	at := s.sec
	decoded := func(t testing.TB) (in snapshot, numbers []*float64) {
		require.NoError(t, gob.NewDecoder(bytes.NewReader(data)).Decode(&in))
		for k := range in.Watches {
			w := &in.Watches[k]
			lists := [][]float64{w.Numbers, w.Hits}
			for i := range w.Indicators {
				lists = append(lists, w.Indicators[i].Numbers)
			}
			for _, list := range lists {
				for i := range list {
					numbers = append(numbers, &list[i])
				}
			}
		}
		return in, numbers
	}
	_, all := decoded(f)
	for where := range all {
		if where%3 == 0 { // as a float and as a whole number: NaN and −1, nearly nothing and far beyond
			f.Add(uint32(where), uint64(math.MaxUint64))
			f.Add(uint32(where), uint64(1<<40))
		}
		if where%17 == 0 {
			f.Add(uint32(where), math.Float64bits(math.MaxFloat64))
		}
	}
	f.Fuzz(func(t *testing.T, where uint32, bits uint64) {
		in, numbers := decoded(t)
		*numbers[int(where)%len(numbers)] = math.Float64frombits(bits)
		var out bytes.Buffer
		require.NoError(t, gob.NewEncoder(&out).Encode(in))
		e := New(Config{Start: time.Unix(at, 0)})
		if e.Restore(out.Bytes()) != nil {
			return
		}
		sources := [3]*Source{}
		for k, version := range []string{"1", "2", "3"} {
			sources[k] = e.Source(Origin{Service: "checkout", Environment: "prod", Version: version, Instance: version + "-0"})
		}
		for sec := range int64(4) {
			for k, source := range sources {
				for n := range int64(5) {
					source.Request(Request{Operation: "POST /cart", End: (at+sec)*second + n, Duration: 5e7, Failed: k == 1}, nil)
				}
			}
			e.Tick(time.Unix(at+sec, 0))
		}
		e.Verdict("next")
		e.Document("next")
	})
}
