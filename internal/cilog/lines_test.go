package cilog

import (
	"strings"
	"testing"
	"testing/iotest"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestLinesAndTheirNumbers(t *testing.T) {
	const log = "a\r\nb\n\nprogress 1\rprogress 2\r\nlast"
	type got struct {
		text   string
		number int
	}
	want := []got{{"a", 1}, {"b", 2}, {"", 3}, {"progress 1", 4}, {"progress 2", 4}, {"last", 5}}
	for name, r := range map[string]*reader{"whole": newReader(strings.NewReader(log)), "byte by byte": newReader(iotest.OneByteReader(strings.NewReader(log)))} {
		t.Run(name, func(t *testing.T) {
			var lines []got
			for {
				ok, err := r.next()
				require.NoError(t, err)
				if !ok {
					break
				}
				lines = append(lines, got{r.text, r.number})
			}
			assert.Equal(t, want, lines)
			assert.Equal(t, len(want), r.ordinal)
			assert.EqualValues(t, len(log), r.bytes)
		})
	}
}

func TestLongLinesAreCut(t *testing.T) {
	r := newReader(strings.NewReader(strings.Repeat("x", 200<<10) + "\nnext\n"))
	ok, err := r.next()
	require.NoError(t, err)
	require.True(t, ok)
	assert.Len(t, r.text, maxLineBytes)
	ok, err = r.next()
	require.NoError(t, err)
	require.True(t, ok)
	assert.Equal(t, "next", r.text)
	assert.Equal(t, 2, r.number)
	assert.Equal(t, 1, r.cut)
}

func TestABrokenLogIsToldOf(t *testing.T) {
	_, err := Explain(iotest.TimeoutReader(iotest.OneByteReader(strings.NewReader("ERROR: a\nb\n"))), nil)
	require.ErrorIs(t, err, iotest.ErrTimeout)
}

func TestClean(t *testing.T) {
	for raw, want := range map[string]string{
		"2021-12-01T13:01:04.3782602Z  indented":              " indented",
		"build\ttest it\t2021-12-01T13:01:04.3785538Z > Task": "> Task",
		"[2026-11-23T10:11:12.123Z] ERROR: x":                 "ERROR: x",
		"2026-11-23 10:11:12,123 ERROR x":                     "ERROR x",
		"[\x1b[1;31mERROR\x1b[m] \x1b[1mx\x1b[0m  ":           "[ERROR] x",
		"\x1b]0;title\atext\x1b[K":                            "text",
		"\tat a.B.c(B.java:1)":                                "\tat a.B.c(B.java:1)",
		"a\tb\tc":                                             "a\tb\tc",
		"2026-11-23":                                          "2026-11-23",
		"\x1b":                                                "",
	} {
		assert.Equal(t, want, clean(raw), "%q", raw)
	}
}

func TestLevels(t *testing.T) {
	for text, want := range map[string]level{
		"[ERROR] x": levelError, "ERROR: x": levelError, "error: x": levelError, "error[E0308]: mismatched": levelError, "##[error]x": levelError, "E: Unable": levelError,
		"npm ERR! x": levelError, "npm error code": levelNone, "FATAL: x": levelError, "10:11:12 [ERROR] x": levelError, "E       assert 1 == 2": levelError,
		"[WARNING] x": levelWarn, "warning: x": levelWarn, "[INFO] Errors: 0": levelInfo, "DEBUG x": levelInfo,
		"cart/total.go:88:14: undefined: price": levelError, "/src/X.java:[161,37] error: x": levelNone, "src/total.ts(12,5): error TS1: x": levelError, "a.c:1:2: warning: x": levelNone,
		"main.go:12: listening": levelNone, "CartTest > vat() FAILED": levelError, "--- FAIL: TestX (0.00s)": levelError, "> Task :test FAILED": levelNone, "http://a.b:80/x: y": levelNone,
		"errors are fun": levelNone, "Error handling is tested": levelNone, "at x": levelNone, "": levelNone, "I: read": levelInfo,
	} {
		got, _ := levelOf(text)
		assert.Equal(t, want, got, "%q", text)
	}
}

func TestVocabulary(t *testing.T) {
	for text, want := range map[string]byte{
		"0 errors": 0, "no errors found": wordWeak, "Failures: 0": 0, "Failures: 0, Errors: 1": wordStrong, "3 errors": wordStrong, "Could not resolve": wordStrong,
		"all is well": 0, "permission denied": wordStrong | wordWeak, "expected: <1> but was: <2>": wordAssert,
	} {
		assert.Equal(t, want, vocabulary(text), "%q", text)
	}
}
