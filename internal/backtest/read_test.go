package backtest

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"encoding/binary"
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
		_, _, _ = ReadDeploys(bytes.NewReader(line))
	})
}

// readText reads one file of this name and text.
func readText(t *testing.T, name, text string) *Input {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	require.NoError(t, os.WriteFile(path, []byte(text), 0o600))
	in, err := Read(t.Context(), []string{path}, nil, 1<<20, nil)
	require.NoError(t, err)
	t.Cleanup(in.Close)
	return in
}

// What is wrong with a line is said in words that help.
func TestWhatIsWrongWithALine(t *testing.T) {
	for line, want := range map[string]string{
		goodLine[:60]:                        "mixed.jsonl:2: the line is cut short after 60 bytes",
		`{"resourceSpans":[{]}`:              "mixed.jsonl:2: no JSON: invalid character ']' looking for beginning of object key string at byte 20",
		`{"resourceSpans":{}}`:               "mixed.jsonl:2: JSON, but no OTLP: ReadArray: expect [",
		`{"hello":1}`:                        "mixed.jsonl:2: no OTLP JSON: it begins with none of",
		"{":                                  "mixed.jsonl:2: the line holds a bracket alone; give each request in one line, as by jq -c .",
		strings.Repeat("\x00", 100) + "junk": "mixed.jsonl:2: no OTLP JSON",
	} {
		in := readText(t, "mixed.jsonl", goodLine+"\n"+line+"\n"+goodLine+"\r\n")
		require.EqualValues(t, 3, in.Lines)
		require.EqualValues(t, 1, in.Skipped.Lines)
		require.Contains(t, in.Skipped.Named[0], want)
		require.NotContains(t, in.Skipped.Named[0], "bigger context")
	}
	in := readText(t, "crashed.jsonl", strings.Repeat("\x00", 4096)+goodLine+"\n"+strings.Repeat("\x00", 4096))
	require.EqualValues(t, 1, in.Lines)
	require.Zero(t, in.Skipped.Lines, in.Skipped.Named)
	for name, text := range map[string]string{
		"UTF-16":           "\xff\xfe{\x00\"\x00r\x00e\x00s\x00",
		"format: json":     "\x00\x00\x04\x5c\x0a\xd9\x08\x0a\x7a",
		"jq -c .":          "{\n \"resourceSpans\": [\n",
		"it begins with n": "\x00\x00\x00\x00\x00",
	} {
		path, whole := filepath.Join(t.TempDir(), "other"), filepath.Join(t.TempDir(), "whole.jsonl")
		require.NoError(t, os.WriteFile(path, []byte(text+"x"), 0o600))
		require.NoError(t, os.WriteFile(whole, []byte(goodLine), 0o600))
		in, err := Read(t.Context(), []string{path, whole}, nil, 1<<20, nil)
		require.NoError(t, err, name)
		in.Close()
		require.Contains(t, in.Skipped.Named[0], path+":1: ")
		require.Contains(t, in.Skipped.Named[0], name)
		require.Equal(t, 1, len(in.dates))
	}
}

// The file exporter packs each request by itself, behind its length.
func TestMessagesOfTheFileExporter(t *testing.T) {
	z, err := zstd.NewWriter(nil)
	require.NoError(t, err)
	var text []byte
	for range 3 {
		message := z.EncodeAll([]byte(goodLine), nil)
		text = append(binary.BigEndian.AppendUint32(text, uint32(len(message))), message...)
	}
	in := readText(t, "telemetry.zst", string(text))
	require.EqualValues(t, 3, in.Lines)
	require.Zero(t, in.Skipped.Lines, in.Skipped.Named)
	require.Empty(t, in.Skipped.Cut)
	in = readText(t, "telemetry.zst", string(text[:len(text)-3]))
	require.EqualValues(t, 2, in.Lines)
	require.Contains(t, in.Skipped.Cut[0], "telemetry.zst after line 2: unexpected EOF")
	in = readText(t, "telemetry.zst", string(text)+"\xff\xff\xff\xff\x28")
	require.EqualValues(t, 3, in.Lines)
	require.Contains(t, in.Skipped.Cut[0], "telemetry.zst after line 3: ")
	text[len(text)/2] ^= 0xff // in the second
	in = readText(t, "telemetry.zst", string(text))
	require.EqualValues(t, 3, in.Lines)
	require.EqualValues(t, 1, in.Skipped.Lines)
	require.Contains(t, in.Skipped.Named[0], "telemetry.zst:2: ")
}

// Files that were split between bytes are one, in the order that is given.
func TestASplitBetweenBytesCostsNothing(t *testing.T) {
	text := strings.Repeat(goodLine+"\n", 40) + goodLine
	for _, size := range []int{30, 97, 1000, len(goodLine), len(goodLine) + 1} {
		folder := t.TempDir()
		var files []string
		for k := 0; k < len(text); k += size {
			files = append(files, filepath.Join(folder, fmt.Sprintf("part-%03d", k/size)))
			require.NoError(t, os.WriteFile(files[len(files)-1], []byte(text[k:min(k+size, len(text))]), 0o600))
		}
		in, err := Read(t.Context(), files, nil, 1<<20, nil)
		require.NoError(t, err)
		in.Close()
		require.EqualValues(t, 41, in.Lines, size)
		require.Zero(t, in.Skipped.Lines, in.Skipped.Named)
	}
	// A line that a crash cut takes nothing of the next file with it.
	folder := t.TempDir()
	a, b := filepath.Join(folder, "a"), filepath.Join(folder, "b")
	require.NoError(t, os.WriteFile(a, []byte(goodLine+"\n"+goodLine[:70]), 0o600))
	require.NoError(t, os.WriteFile(b, []byte(goodLine+"\n"+goodLine), 0o600))
	for _, files := range [][]string{{a, b}, {b, a}} {
		in, err := Read(t.Context(), files, nil, 1<<20, nil)
		require.NoError(t, err)
		in.Close()
		require.EqualValues(t, 4, in.Lines)
		require.Equal(t, []string{a + ":2: the line is cut short after 70 bytes"}, in.Skipped.Named)
	}
}
