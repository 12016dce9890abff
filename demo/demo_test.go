package demo_test

import (
	"context"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/deployloop/deployloop/demo"
)

// build makes the real binary, once for the tests of this package.
func build(t *testing.T) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "deployloop")
	out, err := exec.Command("go", "build", "-o", path, "../cmd/deployloop").CombinedOutput()
	require.NoError(t, err, "%s", out)
	return path
}

// The whole loop on real parts, as a user plays it.
func TestDemoClosesTheLoop(t *testing.T) {
	program := build(t)
	ctx, cancel := context.WithTimeout(t.Context(), 6*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, program, "demo", "--headless", "--fault", "exception", "--output", "json")
	var story strings.Builder
	cmd.Stderr = &story
	out, err := cmd.Output()
	require.NoError(t, err, "%s\n%s", story.String(), out)

	var result demo.Result
	require.NoError(t, json.Unmarshal(out, &result), "%s", out)
	require.True(t, result.Passed)
	require.Equal(t, result.Culprit, result.Suspect)
	require.Greater(t, result.Requests, int64(1000))
	require.Positive(t, result.Failed)
	require.Less(t, time.Duration(result.StartToVerdict), 2*time.Minute)
	requireNoneLeft(t, program)
	t.Logf("deploy to verdict %s, rollback to resolved %s", result.DeployToVerdict, result.RollbackToResolve)
}

// However the demo ends, no process of it stays.
func TestDemoLeavesNoProcessBehind(t *testing.T) {
	program := build(t)
	for name, signal := range map[string]os.Signal{"Ctrl-C": os.Interrupt, "kill -9": os.Kill} {
		t.Run(name, func(t *testing.T) {
			cmd := exec.Command(program, "demo", "--headless")
			cmd.Env = append(os.Environ(), "TMPDIR="+t.TempDir()) // a killed demo cannot remove its folder
			require.NoError(t, cmd.Start())
			require.Eventually(t, func() bool { return len(running(program)) >= 10 }, time.Minute, 100*time.Millisecond,
				"the demo, its Collector and eight services")
			require.NoError(t, cmd.Process.Signal(signal))
			_ = cmd.Wait() // a killed process has an error to tell
			requireNoneLeft(t, program)
		})
	}
}

func requireNoneLeft(t *testing.T, program string) {
	t.Helper()
	require.Eventually(t, func() bool { return len(running(program)) == 0 }, 15*time.Second, 50*time.Millisecond)
}

// running is the processes that execute program, from /proc.
func running(program string) []int {
	var ids []int
	entries, _ := os.ReadDir("/proc")
	for _, e := range entries {
		id, err := strconv.Atoi(e.Name())
		if err != nil {
			continue
		}
		if target, err := os.Readlink(filepath.Join("/proc", e.Name(), "exe")); err == nil && target == program {
			ids = append(ids, id)
		}
	}
	return ids
}
