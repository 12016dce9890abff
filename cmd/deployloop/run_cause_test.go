package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/deployloop/deployloop/internal/event"
)

// told runs deployloop and gives what --output json says of the cause.
func told(t *testing.T, arguments ...string) []event.Judgement {
	t.Helper()
	c := newRootCommand()
	var stdout, stderr bytes.Buffer
	c.SetOut(&stdout)
	c.SetErr(&stderr)
	c.SetArgs(arguments)
	_ = c.Execute() // what failed says so by its exit code
	var out reportOutput
	require.NoError(t, json.Unmarshal(stdout.Bytes(), &out), "%s\n%s", stdout.String(), stderr.String())
	return out.Judgements
}

func TestTheCauseIsToldOfACommandThatFails(t *testing.T) {
	t.Setenv("DEPLOYLOOP_CICD_URL", "")
	known := filepath.Join(t.TempDir(), "known.json")
	script := func(lines, code string) []string {
		return []string{"run", "--offline", "--revision", "abc", "--name", "make", "--output", "json", "--baseline", known, "--", "sh", "-c", "printf '" + lines + "'; exit " + code}
	}
	noisy := `fetching 12 files\nERROR: could not restore the cache\n`

	alone := told(t, script(noisy+`ERROR: no space left on device\n`, "1")...)
	require.Len(t, alone, 1)
	assert.Equal(t, event.NewFailure, alone[0].Call)
	assert.Equal(t, "[make]", alone[0].Test.Case)
	assert.Contains(t, alone[0].Test.Message, "restore the cache", "nothing tells yet that it is usual")

	passing := script(noisy, "0")
	told(t, append([]string{"run", "--update"}, passing[1:]...)...)
	beside := told(t, script(noisy+`ERROR: no space left on device\n`, "1")...)
	require.Len(t, beside, 1)
	assert.Contains(t, beside[0].Test.Message, "no space left on device")
	assert.NotContains(t, beside[0].Test.Message, "restore the cache")

	assert.Empty(t, told(t, script("", "3")...), "it printed nothing")
}

func TestReportOfALog(t *testing.T) {
	t.Setenv("DEPLOYLOOP_CICD_URL", "")
	dir := t.TempDir()
	failed, passed := filepath.Join(dir, "failed.log"), filepath.Join(dir, "passed.log")
	require.NoError(t, os.WriteFile(passed, []byte("ERROR: could not restore the cache\n"), 0o600))
	require.NoError(t, os.WriteFile(failed, []byte("ERROR: could not restore the cache\nERROR: no space left on device\n"), 0o600))
	list := told(t, "report", "--offline", "--kind", "log", "--job", "compile", "--output", "json", "--baseline", passed, failed)
	require.Len(t, list, 1)
	assert.Equal(t, "[compile]", list[0].Test.Case)
	assert.NotContains(t, list[0].Test.Message, "restore the cache")

	known := filepath.Join(dir, "known.json")
	told(t, "report", "--offline", "--kind", "log", "--job", "compile", "--result", "success", "--output", "json", "--baseline", known, "--update", passed)
	again := told(t, "report", "--offline", "--kind", "log", "--job", "compile", "--output", "json", "--baseline", known, failed)
	require.Len(t, again, 1)
	assert.Equal(t, list[0].Test.Message, again[0].Test.Message, "a baseline file keeps what a log that passed left behind")
	assert.Equal(t, event.NewFailure, again[0].Call)
}

func TestOutputTailIsBounded(t *testing.T) {
	var o outputTail
	line := bytes.Repeat([]byte("x"), 1000)
	for range 20_000 {
		o.add(line)
	}
	o.add([]byte("last"))
	assert.LessOrEqual(t, len(o.lines), 2*maxOutput+2*len(line))
	assert.Equal(t, int64(20_000*1001+5), o.dropped+int64(len(o.lines)))
	assert.True(t, bytes.HasSuffix(o.lines, []byte("\nlast\n")))
	assert.True(t, bytes.HasPrefix(o.lines, line), "it begins with a whole line")
}

// A test that failed, and passed when it was run again, may be why the command
// failed: its output is not searched for another cause.
func TestAFlakyTestIsCauseEnough(t *testing.T) {
	t.Setenv("DEPLOYLOOP_CICD_URL", "")
	script := oneFailsOnePasses + `echo '{"Action":"pass","Package":"acme/cart","Test":"TestA"}'; echo 'ERROR: no space left on device' >&2; exit 1`
	for _, j := range told(t, "run", "--offline", "--revision", "abc", "--output", "json", "--", "sh", "-c", script) {
		assert.False(t, j.Test.IsJob(), "%+v", j.Test)
	}
	alone := told(t, "run", "--offline", "--revision", "abc", "--output", "json", "--", "sh", "-c", `echo 'ERROR: no space left on device' >&2; exit 1`)
	require.Len(t, alone, 1)
	assert.True(t, alone[0].Test.IsJob())
}

func TestHowMuchOfTheOutputWasNotSearchedIsTold(t *testing.T) {
	t.Setenv("DEPLOYLOOP_CICD_URL", "")
	long := `i=0; while [ $i -lt 9 ]; do head -c 1048576 /dev/zero | tr '\0' x; echo; i=$((i+1)); done; `
	list := told(t, "run", "--offline", "--revision", "abc", "--output", "json", "--", "sh", "-c", long+`i=0; while [ $i -lt 200 ]; do head -c 60000 /dev/zero | tr '\0' x; echo; i=$((i+1)); done; echo 'ERROR: no space left on device'; exit 1`)
	require.Len(t, list, 1)
	assert.Regexp(t, `^of its output the first \d+\.\d MiB were not searched; lines are counted from there\n`, list[0].Test.Message)
	assert.Contains(t, list[0].Test.Message, "no space left on device")
}

// What a crash threw is what is told, at the frame of own code, and not that there was one.
func TestACrashIsToldByWhatWasThrown(t *testing.T) {
	t.Setenv("DEPLOYLOOP_CICD_URL", "")
	recorded, err := filepath.Abs("../../internal/report/testdata/output")
	require.NoError(t, err)
	for name, want := range map[string]string{
		"python":   "cart/total.py:6: TypeError: unsupported operand type(s) for *: 'NoneType' and 'int'",
		"node":     "cart/total.js:2: TypeError: Cannot read properties of undefined (reading 'amount')",
		"maven":    "src/main/java/com/acme/Cart.java:12: cannot find symbol",
		"mypy":     `cart/total.py:12: Unsupported operand types for * ("None" and "int")  [operator]`,
		"go_panic": "main.go:5: panic: runtime error: index out of range [7] with length 3",
	} {
		list := told(t, "run", "--offline", "--revision", "abc", "--root", "/work/app", "--output", "json", "--", "sh", "-c", `cat "$0"; exit 1`, filepath.Join(recorded, name+".txt"))
		require.Len(t, list, 1, name)
		f := list[0].Finding
		require.NotNil(t, f, name)
		assert.Equal(t, want, fmt.Sprintf("%s:%d: %s", f.File, f.Line, f.Message))
	}
}
