package ledgerextension

import (
	"bufio"
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/extension/xextension/storage"

	"github.com/deployloop/deployloop/internal/event"
	"github.com/deployloop/deployloop/internal/ledger"
)

// childDir and childFrom tell the test binary to be the process that is killed.
const (
	childDir  = "LEDGER_TEST_CHILD_DIR"
	childFrom = "LEDGER_TEST_CHILD_FROM"
)

const killRepository = "acme/kill"

// writeForever records two objects a number, as fast as a busy system would,
// and prints the number and the time once they are recorded.
func writeForever(dir string) {
	from, err := strconv.Atoi(os.Getenv(childFrom))
	if err != nil {
		panic(err)
	}
	l, _, err := openLedger(dir)
	if err != nil {
		panic(err)
	}
	pace := time.NewTicker(2 * time.Millisecond)
	for n := from; ; n++ {
		<-pace.C
		now := time.Now()
		l.RecordChange(event.Change{Repository: killRepository, Revision: revision(n), At: now})
		l.RecordPipelineRun(event.PipelineRun{ID: revision(n), Repository: killRepository, State: "finished", FinishedAt: now})
		fmt.Println(n, time.Now().UnixNano())
	}
}

func revision(n int) string { return fmt.Sprintf("%040d", n) }

// A process that is killed at any moment loses at most the last second, and
// what is there afterwards is whole.
func TestKilledAtAnyMomentLosesAtMostASecond(t *testing.T) {
	rounds := 12
	if testing.Short() {
		rounds = 4
	}
	dir := t.TempDir()
	next, worst := 1, time.Duration(0)
	for round := range rounds {
		numbers, killedAt := runAndKill(t, dir, next)
		require.NotEmpty(t, numbers, "the child wrote nothing")

		l, fs, err := openLedger(dir)
		require.NoError(t, err, "round %d", round)
		assert.Zero(t, l.corrupt.Load(), "no object is torn, and none that the index names is missing")
		kept := keptNumbers(t, l)
		for n := 1; n <= kept; n++ {
			_, ok := l.Change(killRepository, revision(n))
			require.True(t, ok, "number %d of %d is missing", n, kept)
		}
		lastTold := next + len(numbers) - 1
		if kept < lastTold {
			lost := killedAt.Sub(numbers[max(kept+1-next, 0)])
			worst = max(worst, lost)
			assert.LessOrEqual(t, lost, time.Second, "round %d lost what was recorded %s before the kill", round, lost)
		}
		assertIndexIsWhole(t, l)
		closeAll(t, l, fs)
		next = kept + 1
	}
	t.Logf("%d numbers survived %d kills; the longest loss was %s", next-1, rounds, worst)
}

// keptNumbers checks that both objects of each number came back, or neither.
func keptNumbers(t *testing.T, l *Ledger) int {
	t.Helper()
	changes := l.Changes(ledger.ChangeQuery{Repository: killRepository, Limit: 1 << 20})
	runs := l.PipelineRuns(ledger.RunQuery{Repository: killRepository, Limit: 1 << 20})
	require.Len(t, runs, len(changes), "a batch was written in part")
	return len(changes)
}

// assertIndexIsWhole compares the index with what is stored.
func assertIndexIsWhole(t *testing.T, l *Ledger) {
	t.Helper()
	stored := 0
	require.NoError(t, l.store.client.(storage.Walker).Walk(context.Background(), func(key string, _ []byte) ([]*storage.Operation, error) {
		if !strings.HasPrefix(key, indexPrefix) {
			stored++
			assert.Contains(t, l.store.keys[shardOf(key)], key)
		}
		return nil, nil
	}))
	indexed := 0
	for _, shard := range l.store.keys {
		indexed += len(shard)
	}
	assert.Equal(t, stored, indexed)
}

// runAndKill starts a child, kills it at a random moment and returns when it
// recorded each number, from the given one on.
func runAndKill(t *testing.T, dir string, from int) (recorded []time.Time, killedAt time.Time) {
	t.Helper()
	child := exec.Command(os.Args[0])
	child.Env = append(os.Environ(), childDir+"="+dir, childFrom+"="+strconv.Itoa(from))
	child.Stderr = os.Stderr
	out, err := child.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, child.Start())
	lines := bufio.NewScanner(out)
	var kill <-chan time.Time
	killed := make(chan time.Time, 1)
	for lines.Scan() {
		var n int
		var at int64
		if _, err := fmt.Sscan(lines.Text(), &n, &at); err != nil {
			continue // a line that the kill cut
		}
		if kill == nil { // the time runs from the first number on
			kill = time.After(time.Duration(rand.IntN(1400)) * time.Millisecond)
			go func() {
				<-kill
				killed <- time.Now()
				_ = child.Process.Kill()
			}()
		}
		recorded = append(recorded, time.Unix(0, at))
	}
	_ = child.Wait() // it was killed
	if kill == nil {
		return nil, time.Time{}
	}
	return recorded, <-killed
}
