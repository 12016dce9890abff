package backtest

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/klauspost/compress/zstd"
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
	require.Len(t, in.Skipped.Named, 3)
	for k, want := range []string{"mixed.jsonl:2: the line is longer than", "mixed.jsonl:4: ", "mixed.jsonl:6: the line is longer than"} {
		require.Contains(t, in.Skipped.Named[k], want)
	}
	played := 0
	require.NoError(t, in.sorted.each(func(batch) error { played++; return nil }))
	require.Equal(t, 3, played)
}

// What a compressed file holds before it was cut is read, and the cut is named;
// a byte order mark costs nothing.
func TestACompressedFileThatWasCutIsReadAsFarAsItGoes(t *testing.T) {
	var text bytes.Buffer
	for k := range 5000 { // lines that do not compress to nothing
		fmt.Fprintf(&text, `{"resourceSpans":[{"scopeSpans":[{"spans":[{"name":"GET /%x","endTimeUnixNano":"1000000000"}]}]}]}`+"\n", sha256.Sum256([]byte{byte(k), byte(k >> 8)}))
	}
	var gz, zst bytes.Buffer
	z := gzip.NewWriter(&gz)
	_, err := z.Write(text.Bytes())
	require.NoError(t, err)
	require.NoError(t, z.Close())
	s, err := zstd.NewWriter(&zst)
	require.NoError(t, err)
	_, err = s.Write(text.Bytes())
	require.NoError(t, err)
	require.NoError(t, s.Close())
	flipped := bytes.Clone(gz.Bytes())
	flipped[len(flipped)/2] ^= 0xff
	folder := t.TempDir()
	for name, data := range map[string][]byte{"cut.gz": gz.Bytes()[:gz.Len()/2], "cut.zst": zst.Bytes()[:zst.Len()/2], "flipped.gz": flipped, "head.gz": gz.Bytes()[:5]} {
		path, whole := filepath.Join(folder, name), filepath.Join(folder, "whole.jsonl")
		require.NoError(t, os.WriteFile(path, data, 0o600))
		require.NoError(t, os.WriteFile(whole, []byte("\xef\xbb\xbf"+goodLine), 0o600))
		in, err := Read(t.Context(), []string{path, whole}, nil, 1<<30, nil)
		require.NoError(t, err, name)
		in.Close()
		require.Len(t, in.Skipped.Cut, 1, name)
		require.Contains(t, in.Skipped.Cut[0], name+" after line ")
		require.Less(t, in.Lines, uint64(5000), name)
		if name != "head.gz" {
			require.Greater(t, in.Lines, uint64(1000), name)
		}
		if name != "flipped.gz" { // what it holds behind the damage is for the reader of lines
			require.Zero(t, in.Skipped.Lines, in.Skipped.Named)
		}
	}
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
