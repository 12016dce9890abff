package main

import (
	"bytes"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestBenchmarksAreRead(t *testing.T) {
	got := parse(bytes.NewBufferString("goos: linux\nBenchmarkTick/1000000/busy-2 \t 3 \t 12.5 ns/op \t 2045 B/indicator\nPASS\n"))
	require.Equal(t, map[string]measured{"Tick/1000000/busy": {"ns/op": 12.5, "B/indicator": 2045}}, got)
}

// A line beyond its target says so, and a benchmark that told nothing is no zero.
func TestReportTellsWhatFallsShort(t *testing.T) {
	times := func(names ...string) map[string]measured {
		out := map[string]measured{}
		for _, n := range names {
			out[n] = measured{"cpu-ns/op": 100, "B/indicator": 300, "MiB": 500, "indicators": 1e6}
		}
		return out
	}
	engine := times("Update/events", "Update/quiet", "Update/plain-events", "Update/plain-quiet", "Memory/both", "Span", "Line", "Memory/idle", "Memory/open", "Memory/minute", "Tick/100000/busy", "Tick/100000/quiet", "Tick/1000000/busy", "Tick/1000000/quiet")
	connector := times("Span", "FailedSpanWithException", "LogRecord", "HistogramPoint")
	c := compared{without: []float64{1, 1}, with: []float64{1.2, 1.4}, items: 2000}
	text, err := report(engine, connector, c)
	require.NoError(t, err)
	require.Contains(t, text, "| heap of an idle indicator | ≤ 512 B | 300 B | yes |")
	require.Contains(t, text, "| heap that a watch adds, an open indicator | ≤ 256 B | 300 B | **no** |")
	require.Contains(t, text, "| ≤ 1.25 × | 1.30 × | **no** |")
	require.NotContains(t, text, "%!")
	delete(connector, "Span")
	_, err = report(engine, connector, c)
	require.ErrorContains(t, err, "Span")
}
