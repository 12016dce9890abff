package backtest

import (
	"math/rand/v2"
	"os"
	"testing"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/pmetric"
)

// Sorted runs in files give what a sort in memory gives, and leave nothing.
func TestSpilledOrderIsTheSame(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 1))
	var all []batch
	for range 3000 {
		at := rng.Int64N(100) * second / 2
		all = append(all, batch{second: at / second, earliest: at, signal: signal(rng.IntN(3)), hash: rng.Uint64() % 50, data: []byte{byte(rng.IntN(4)), 1, 2}})
	}
	order := func(limit int) (out []batch, folder string) {
		s := sorter{limit: limit}
		defer s.close()
		for _, b := range all {
			require.NoError(t, s.add(b))
		}
		require.NoError(t, s.each(func(b batch) error {
			out = append(out, b)
			return nil
		}))
		return out, s.folder
	}
	want, none := order(1 << 30)
	require.Empty(t, none)
	got, folder := order(8 << 10)
	require.NotEmpty(t, folder)
	require.Equal(t, want, got)
	require.NoDirExists(t, folder)
	_, err := os.Stat(folder)
	require.ErrorIs(t, err, os.ErrNotExist)
}

// Every point of every kind of metric lands in its own second.
func TestSplitScattersPoints(t *testing.T) {
	line := `{"resourceMetrics":[{"resource":{},"scopeMetrics":[{"metrics":[
		{"name":"g","gauge":{"dataPoints":[{"timeUnixNano":"1000000000","asDouble":1},{"timeUnixNano":"2000000000","asDouble":2},{"asDouble":3}]}},
		{"name":"s","unit":"By","sum":{"aggregationTemporality":2,"isMonotonic":true,"dataPoints":[{"timeUnixNano":"2500000000","asInt":"4"}]}},
		{"name":"h","histogram":{"aggregationTemporality":1,"dataPoints":[{"timeUnixNano":"1000000001","count":"3"}]}}]}]}]}`
	batches, untimed, err := split([]byte(line))
	require.NoError(t, err)
	require.EqualValues(t, 1, untimed)
	require.Len(t, batches, 2)
	names := map[int64][]string{}
	for _, b := range batches {
		require.Equal(t, metrics, b.signal)
		md, err := (&pmetric.ProtoUnmarshaler{}).UnmarshalMetrics(b.data)
		require.NoError(t, err)
		for _, m := range md.ResourceMetrics().At(0).ScopeMetrics().At(0).Metrics().All() {
			names[b.second] = append(names[b.second], m.Name())
			if m.Name() == "s" {
				require.Equal(t, "By", m.Unit())
				require.True(t, m.Sum().IsMonotonic())
				require.Equal(t, pmetric.AggregationTemporalityCumulative, m.Sum().AggregationTemporality())
			}
		}
	}
	require.Equal(t, map[int64][]string{1: {"g", "h"}, 2: {"g", "s"}}, names)
}
