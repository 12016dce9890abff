package report

import (
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/deployloop/deployloop/internal/cilog"
	"github.com/deployloop/deployloop/internal/event"
)

func parseOne(t *testing.T, text string, source Source) (event.TestResult, Summary) {
	t.Helper()
	var got []event.TestResult
	sum, err := Parse(strings.NewReader(text), Log, source, func(i Item) error {
		got = append(got, *i.Test)
		return nil
	})
	require.NoError(t, err)
	require.Len(t, got, 1)
	return got[0], sum
}

func TestTheLogOfAJob(t *testing.T) {
	job := Job{Pipeline: "ci", Name: "compile", Known: new(cilog.Baseline)}
	passing := job
	passing.Passed = true
	passed, sum := parseOne(t, "fetching 12 files\nERROR: no cache, going on\nBUILD SUCCESS\n", Source{Revision: "a", Job: passing})
	assert.Equal(t, "pass", passed.Status)
	assert.Equal(t, "[compile]", passed.Case)
	assert.Equal(t, 1, sum.Tests)
	assert.Equal(t, 3, job.Known.Len())

	failed, sum := parseOne(t, "fetching 14 files\nERROR: no cache, going on\njava.lang.IllegalStateException: closed\n\tat com.acme.Cart.total(Cart.java:88)\nBUILD FAILURE\n",
		Source{Repository: "acme/shop", Revision: "b", Job: job})
	assert.Equal(t, 1, sum.Failures)
	assert.True(t, failed.IsJob())
	assert.Equal(t, passed.Suite+passed.Case, failed.Suite+failed.Case, "so that the one ends the other")
	assert.Equal(t, "fail", failed.Status)
	assert.Equal(t, "acme/shop", failed.Repository)
	assert.Equal(t, "lines 3–4 of the log (an error that no log that passed had, an exception, names a line of a file, runs through own code):\n  3: java.lang.IllegalStateException: closed\n  4:  at com.acme.Cart.total(Cart.java:88)", failed.Message)
	assert.Equal(t, "com/acme/Cart.java", failed.File)
	assert.Equal(t, 88, failed.Line)
}

func TestALongCauseIsCut(t *testing.T) {
	got, _ := parseOne(t, "ERROR: it failed\n"+strings.Repeat("\tat com.acme.Cart.total(Cart.java:88)\n", 100), Source{})
	assert.Regexp(t, `\n  … and 9[56] more$`, got.Message)
	assert.LessOrEqual(t, strings.Count(got.Message, "\n"), causeLines+1)
}

// Lines that are long cost no other cause its place, of which each is shown.
func TestLongLinesLeaveRoomForEveryCause(t *testing.T) {
	r := cilog.Result{Lines: 900}
	for block := range 3 {
		b := cilog.Block{From: 100 * block, To: 100*block + 4, Reasons: []string{"an error that no log that passed had", "is near the end"}, Template: uint64(block)}
		for i := range causeLines {
			b.Lines = append(b.Lines, cilog.Line{Number: 100*block + i, Text: fmt.Sprintf("ERROR: cause %d line %d %s", block, i, strings.Repeat("x ", 240))})
		}
		r.Blocks = append(r.Blocks, b)
	}
	got := Cause(Job{Name: "compile"}, r)
	assert.Less(t, len(got.Message), maxMessage)
	for block := range 3 {
		for i := range causeLines {
			assert.Contains(t, got.Message, fmt.Sprintf("cause %d line %d x", block, i))
		}
	}
}

func TestALogWithNothingInIt(t *testing.T) {
	_, err := Parse(strings.NewReader(""), Log, Source{}, func(Item) error { return nil })
	require.ErrorContains(t, err, "empty")
	got, _ := parseOne(t, "all is well\nor so it seems\n", Source{})
	assert.Equal(t, "fail", got.Status)
	assert.Equal(t, "none of the 2 lines of its log says why", got.Message)
}
