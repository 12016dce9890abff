package cilog

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/deployloop/deployloop/internal/logpattern"
)

// Logs of failed builds in testdata say line by line what is wanted: "!" is to
// be chosen, "-" is not, a blank leaves it open. They are of tools that no
// marked log is of, so that what was learnt on Java is held against others.
func TestLinesThatExplain(t *testing.T) {
	files, err := filepath.Glob("testdata/*.log")
	require.NoError(t, err)
	require.NotEmpty(t, files)
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".log"), func(t *testing.T) {
			text, err := os.ReadFile(file)
			require.NoError(t, err)
			var log, passed []string
			var wanted []byte
			for line := range strings.Lines(string(text)) {
				require.Greater(t, len(line), 2)
				log, wanted = append(log, line[2:]), append(wanted, line[0])
				if line[0] == '-' {
					passed = append(passed, line[2:])
				}
			}
			t.Run("alone", func(t *testing.T) { check(t, log, wanted, nil) })
			t.Run("beside one that passed", func(t *testing.T) {
				b := new(Baseline)
				require.NoError(t, b.Learn(strings.NewReader(strings.Join(passed, ""))))
				check(t, log, wanted, b)
			})
		})
	}
}

func check(t *testing.T, log []string, wanted []byte, b *Baseline) {
	t.Helper()
	r, err := Explain(strings.NewReader(strings.Join(log, "")), b)
	require.NoError(t, err)
	require.Equal(t, len(log), r.Lines)
	chosen := map[int]bool{}
	for _, block := range r.Blocks {
		require.NotEmpty(t, block.Reasons)
		for _, l := range block.Lines {
			chosen[l.Number] = true
		}
	}
	for i, want := range wanted {
		switch want {
		case '!':
			assert.True(t, chosen[i+1], "missing: %s", log[i])
		case '-':
			assert.False(t, chosen[i+1], "chosen: %s", log[i])
		}
	}
}

func TestResultIsBounded(t *testing.T) {
	var log strings.Builder
	for i := range 30_000 { // each a block of its own, of which every hundredth goes on
		fmt.Fprintf(&log, "step %d\n[ERROR] /src/a%d.java:[%d,1] cannot find symbol\n", i, i%7, i)
		if i%100 == 0 {
			log.WriteString(strings.Repeat("\tat com.acme.A.b(A.java:1)\n", 100))
		}
	}
	passed := new(Baseline)
	require.NoError(t, passed.Learn(strings.NewReader("step 1\n")))
	r, err := Explain(strings.NewReader(log.String()), passed)
	require.NoError(t, err)
	assert.Len(t, r.Blocks, MaxBlocks)
	assert.Equal(t, 30_000-MaxBlocks, r.Omitted)
	assert.Greater(t, r.Chosen, 30_000)
	for i, b := range r.Blocks {
		assert.LessOrEqual(t, len(b.Lines), maxShown)
		assert.Equal(t, b.To-b.From+1, len(b.Lines)+b.Omitted)
		if i > 0 {
			assert.Greater(t, b.From, r.Blocks[i-1].To)
		}
	}
}

func TestWhatIsTold(t *testing.T) {
	passed := new(Baseline)
	require.NoError(t, passed.Learn(strings.NewReader("step 1\nERROR: no cache, going on\n")))
	r, err := Explain(strings.NewReader("step 7\nERROR: no cache, going on\njava.lang.IllegalStateException: closed\n\tat java.util.List.of(List.java:1)\n\tat com.acme.Cart.total(Cart.java:88)\n"), passed)
	require.NoError(t, err)
	require.Len(t, r.Blocks, 1, "what a log that passed has too is no cause")
	b := r.Blocks[0]
	assert.Equal(t, 3, b.From)
	assert.Equal(t, 5, b.To)
	assert.Equal(t, 2, r.Known)
	require.NotNil(t, b.Frame)
	assert.Equal(t, "com/acme/Cart.java", b.Frame.File)
	assert.Equal(t, 88, b.Frame.Line)
	assert.Equal(t, []string{"an error that no log that passed had", "an exception", "names a line of a file", "runs through own code"}, b.Reasons)

	r, err = Explain(strings.NewReader("the disk is missing\n"+strings.Repeat("all is well\n", 1000)), nil)
	require.NoError(t, err)
	assert.True(t, r.Unsure, "far from the end, and a word at most")
	require.Len(t, r.Blocks, 1)

	r, err = Explain(strings.NewReader("all is well\nor so it seems\n"), nil)
	require.NoError(t, err)
	assert.Empty(t, r.Blocks, "no line speaks of an error")

	r, err = Explain(strings.NewReader(""), nil)
	require.NoError(t, err)
	assert.Empty(t, r.Blocks)
}

func TestTheSameIsToldOnce(t *testing.T) {
	r, err := Explain(strings.NewReader("[ERROR] /src/A.java:[3,7] cannot find symbol\n[INFO] x\n[ERROR] /src/A.java:[9,1] cannot find symbol\n[INFO] x\n[ERROR] Could not resolve dependencies\n"), nil)
	require.NoError(t, err)
	require.GreaterOrEqual(t, len(r.Blocks), 2)
	r.Blocks[0].Score, r.Blocks[1].Score = 1, 2
	best := r.Best(5)
	require.Len(t, best, len(r.Blocks)-1)
	assert.Equal(t, 3, best[0].From, "the likeliest of those that say the same")
	assert.Len(t, r.Best(1), 1)
}

func TestBaseline(t *testing.T) {
	b := new(Baseline)
	require.NoError(t, b.Learn(strings.NewReader("took 3 s\ntook 4 s\nfetched 'a'\n")))
	assert.Equal(t, 2, b.Len())
	var m logpattern.Masker
	assert.Contains(t, b.known, m.Hash("took 99 s"))
	assert.NotContains(t, b.known, m.Hash("took long"))
	text, err := b.MarshalText()
	require.NoError(t, err)
	again := new(Baseline)
	require.NoError(t, again.UnmarshalText(text))
	assert.Equal(t, b.known, again.known)
	require.Error(t, again.UnmarshalText([]byte("!")))
	require.Error(t, again.UnmarshalText([]byte("AAAA")))

	var words strings.Builder
	for i := range maxTemplates + 10 {
		for n := i; ; n /= 26 { // numbers would be masked
			words.WriteByte(byte('g' + n%17))
			if n < 26 {
				break
			}
		}
		words.WriteString(strings.Repeat("z", i%5) + "\n")
	}
	full := new(Baseline)
	require.NoError(t, full.Learn(strings.NewReader(words.String())))
	assert.LessOrEqual(t, full.Len(), maxTemplates)
}

func FuzzExplain(f *testing.F) {
	f.Add("[ERROR] x\n\tat a.b(C.java:1)\n", "x\n")
	f.Add("\x1b[1;31mE   assert\r\r\n2021-12-01T13:01:04.3Z \uFEFF", "\x00")
	f.Fuzz(func(t *testing.T, failed, passed string) {
		b := new(Baseline)
		if err := b.Learn(strings.NewReader(passed)); err != nil {
			t.Fatal(err)
		}
		for _, known := range []*Baseline{nil, b} {
			r, err := Explain(strings.NewReader(failed), known)
			if err != nil {
				t.Fatal(err)
			}
			if strings.TrimSpace(failed) == "" && len(r.Blocks) > 0 {
				t.Fatal("a cause of nothing")
			}
		}
	})
}

func BenchmarkExplain(b *testing.B) {
	var log strings.Builder
	for i := range 20_000 {
		fmt.Fprintf(&log, "2026-11-23T10:11:%02d.123Z [INFO] Downloading from central: https://repo/acme/%d/lib-%d.jar (%d kB at 1.2 MB/s)\n", i%60, i, i, i)
	}
	log.WriteString("[ERROR] it failed\n")
	passed := new(Baseline)
	if err := passed.Learn(strings.NewReader(log.String())); err != nil {
		b.Fatal(err)
	}
	b.SetBytes(int64(log.Len()))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := Explain(strings.NewReader(log.String()), passed); err != nil {
			b.Fatal(err)
		}
	}
}
