package gitrange

import (
	"context"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// inThree cuts whatever the range between its first commits.
func inThree(commits int) []interval {
	return []interval{{0, 1}, {1, 1}, {2, max(commits-2, 1)}}
}

// sameInParts: whatever the history, where the log is cut changes nothing.
func sameInParts(t *testing.T, r *Repository, previous string, want Result) {
	t.Helper()
	r.intervals, r.cache = inThree, newCache()
	got, err := r.Range(t.Context(), previous, "new", Options{})
	require.NoError(t, err)
	require.Equal(t, want, got)
}

func TestIntervalsCoverTheLog(t *testing.T) {
	for _, commits := range []int{1, 21, partCommits, partCommits + 1, 1001, 5001} {
		next := 0
		for _, i := range intervals(commits) {
			require.Equal(t, next, i.skip)
			require.Positive(t, i.count)
			next += i.count
		}
		require.Equal(t, commits, next)
		require.LessOrEqual(t, len(intervals(commits)), maxParts)
	}
	require.Len(t, intervals(partCommits), 1, "a short log is read by one program")
}

func TestPathsAndLimitsHoldInParts(t *testing.T) {
	h := newHistory(t)
	h.write("a.txt", "0\n")
	old := h.commit("begin")
	for i := range 6 {
		h.write([]string{"a.txt", "b.txt"}[i%2], lines(i+2, nil))
		h.commit("x")
	}
	for _, o := range []Options{{Paths: []string{"a.txt"}}, {MaxCommits: 2}, {MaxCommits: 4}, {MaxTotalBytes: 60}, {FirstParent: true}} {
		r := h.open()
		r.intervals = func(commits int) []interval { return []interval{{0, commits}} }
		want := mustRange(t, r, old, "main", o)
		r.intervals, r.cache = inThree, newCache()
		require.Equal(t, want, mustRange(t, r, old, "main", o), "%+v", o)
	}
}

// A part that fails or hangs leaves no hole: what is behind it is not told.
func TestAPartThatFailsLeavesNoHole(t *testing.T) {
	h := newHistory(t)
	old := h.commit("begin")
	for _, message := range []string{"1", "2", "3", "4"} {
		h.write("a.txt", message)
		h.commit(message)
	}
	r := h.open()
	r.intervals = inThree
	program, folder := r.git, t.TempDir()
	r.git = filepath.Join(folder, "git")
	second := func(does string) {
		script := "#!/bin/sh\ncd " + folder + "\ncase \"$*\" in *--skip=0*) echo $$ >first;; *--skip=1*) " + does + ";; esac\n" +
			"exec " + program + " \"$@\"\n"
		require.NoError(t, os.WriteFile(r.git, []byte(script), 0o755))
	}
	second("echo broken disk >&2; exit 1")
	_, err := r.Range(t.Context(), old, "main", Options{})
	require.ErrorContains(t, err, "broken disk")

	for _, c := range []struct {
		name string
		ends error
		told []string
		err  error
	}{
		{"out of time", context.DeadlineExceeded, []string{"4"}, nil}, // the last may be half read
		{"cancelled", context.Canceled, nil, context.Canceled},
	} {
		t.Run(c.name, func(t *testing.T) {
			hangs := filepath.Join(folder, "hangs")
			_ = os.Remove(hangs)
			_ = os.Remove(filepath.Join(folder, "first"))
			second("while ! [ -s first ] || kill -0 $(cat first); do sleep .01; done; " + program + " \"$@\"; touch hangs; exec sleep 600")
			ctx := &ended{Context: t.Context(), done: make(chan struct{}), err: c.ends}
			go func() {
				for range time.Tick(time.Millisecond) {
					if _, err := os.Stat(hangs); err == nil {
						close(ctx.done)
						return
					}
				}
			}()
			got, err := r.Range(ctx, old, "main", Options{Timeout: time.Minute})
			require.ErrorIs(t, err, c.err)
			var told []string
			for _, commit := range got.Commits {
				told = append(told, commit.Message)
			}
			require.Equal(t, c.told, told)
			require.False(t, got.Complete)
		})
	}
}

// ended is a context that ends, for the reason given, when done closes.
type ended struct {
	context.Context
	done chan struct{}
	err  error
}

func (e *ended) Done() <-chan struct{} { return e.done }

func (e *ended) Err() error {
	select {
	case <-e.done:
		return e.err
	default:
		return nil
	}
}
