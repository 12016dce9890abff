package backtest

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

const goodLine = `{"resourceSpans":[{"scopeSpans":[{"spans":[{"name":"GET /","endTimeUnixNano":"1000000000"}]}]}]}`

// A malformed line, or one that is too long, costs itself and is named.
func TestABadLineCostsOnlyItself(t *testing.T) {
	before := maxLine
	maxLine = 1 << 20
	defer func() { maxLine = before }()
	path := filepath.Join(t.TempDir(), "mixed.jsonl")
	text := strings.Join([]string{goodLine, strings.Repeat("x", 3<<20), goodLine, `{"resourceSpans":[{]`, goodLine, strings.Repeat("y", 3<<20)}, "\n")
	require.NoError(t, os.WriteFile(path, []byte(text), 0o600))
	in, err := Read(t.Context(), []string{path}, nil, 1<<20, nil)
	require.NoError(t, err)
	defer in.Close()
	require.EqualValues(t, 6, in.Lines)
	require.EqualValues(t, 3, in.Skipped.Lines)
	require.Contains(t, in.Skipped.FirstLine, "mixed.jsonl:2: the line is longer than")
	played := 0
	require.NoError(t, in.sorted.each(func(batch) error { played++; return nil }))
	require.Equal(t, 3, played)
}

// Whatever a line holds, it becomes batches of one second each, or an error.
func FuzzSplit(f *testing.F) {
	f.Add([]byte(goodLine))
	f.Add([]byte(`{"resourceMetrics":[{"scopeMetrics":[{"metrics":[{"name":"h","histogram":{"dataPoints":[{"timeUnixNano":"1","bucketCounts":["1"]}]}}]}]}]}`))
	f.Add([]byte(`{"resourceLogs":[{"scopeLogs":[{"logRecords":[{"observedTimeUnixNano":"18446744073709551615"}]}]}]}`))
	f.Add([]byte(`{"resourceLogs":null}`))
	f.Fuzz(func(t *testing.T, line []byte) {
		batches, _, err := split(line)
		for _, b := range batches {
			if b.earliest <= 0 || b.second != b.earliest/second || len(b.data) == 0 {
				t.Fatalf("%d, %d, %d bytes, %v", b.second, b.earliest, len(b.data), err)
			}
		}
		_, _ = ReadDeploys(bytes.NewReader(line))
	})
}
