package gitrange

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/deployloop/deployloop/internal/suspect"
)

// sameDiffs holds what ReadDiff makes of the diff of each commit, as git and
// Gitea write it, against what the pass over the log told.
func sameDiffs(t *testing.T, r *Repository, commits []suspect.Commit) {
	t.Helper()
	for _, c := range commits {
		if c.Merge || len(c.Files) > 100 {
			continue
		}
		diff, err := r.command(t.Context(), "show", "--format=", "--root", "-M", "--diff-algorithm=histogram", "--no-color", "--no-ext-diff", c.Revision).Output()
		require.NoError(t, err)
		var want, got []suspect.FileDiff
		for _, f := range c.Files {
			if !c.Files[0].Truncated { // where text is cut is the reader's affair
				want = append(want, bare(f))
			}
		}
		for _, f := range joinLinks(ReadDiff(diff)) {
			if !c.Files[0].Truncated {
				got = append(got, bare(f))
			}
		}
		require.Equal(t, want, got, c.Message)
	}
}

// joinLinks puts together what git tells as two patches: a file that became a link.
func joinLinks(files []suspect.FileDiff) []suspect.FileDiff {
	var out []suspect.FileDiff
	for _, f := range files {
		if n := len(out); n > 0 && out[n-1].Path == f.Path {
			out[n-1].Hunks = append(out[n-1].Hunks, f.Hunks...)
			out[n-1].Added, out[n-1].Removed = out[n-1].Added+f.Added, out[n-1].Removed+f.Removed
			continue
		}
		out = append(out, f)
	}
	return out
}

// bare is a file without what depends on the reader's idea of languages.
func bare(f suspect.FileDiff) suspect.FileDiff {
	hunks := make([]suspect.Hunk, len(f.Hunks))
	for i, h := range f.Hunks {
		hunks[i] = h
		hunks[i].Function, hunks[i].Text = "", ""
	}
	f.Hunks = hunks
	return f
}

func TestReadPatch(t *testing.T) {
	f := suspect.FileDiff{Path: "cart/total.go"}
	ReadPatch(&f, "@@ -40,4 +40,5 @@ func (c *Cart) Total() int {\n a\n-b\n+c\n+d\n e\n f\n")
	require.False(t, f.Truncated)
	require.Equal(t, 2, f.Added)
	require.Equal(t, 1, f.Removed)
	require.Len(t, f.Hunks, 1)
	h := f.Hunks[0]
	require.Equal(t, [4]int{41, 1, 41, 2}, [4]int{h.OldStart, h.OldLines, h.NewStart, h.NewLines})
	require.Equal(t, "func (c *Cart) Total() int {", h.Function)
	require.Equal(t, []string{"c", "d"}, h.Added)
	require.True(t, strings.HasPrefix(h.Text, "@@ -40,4 +40,5 @@"), h.Text)

	cut := suspect.FileDiff{Path: "x"}
	ReadPatch(&cut, "@@ -1,9 +1,9 @@\n a\n-b\n+c")
	require.True(t, cut.Truncated, "it ends before its header says so")
	require.Equal(t, []string{"c"}, cut.Hunks[0].Added)
	ReadPatch(&cut, "")
	require.Len(t, cut.Hunks, 1)
}

func FuzzReadDiff(f *testing.F) {
	f.Add("diff --git a/x b/x\nindex 1..2 100644\n--- a/x\n+++ b/x\n@@ -1 +1 @@ f\n-a\n+b\ndiff --git a/y b/z\nrename from y\nrename to z\n")
	f.Add("diff --git \"a/\\303\" \"b/\\303\"\nnew file mode 160000\n+++ \"b/\\303\"\n@@ -0,0 +99999999999999999999 @@\n+x")
	f.Add("@@ -1 +1 @@\n+x\ndiff --git \nBinary files a and b differ\n@@@ -1 -1 +1 @@@\n++x\n")
	f.Fuzz(func(t *testing.T, text string) {
		for _, d := range ReadDiff([]byte(text)) {
			for _, h := range d.Hunks {
				require.LessOrEqual(t, len(h.Added), h.NewLines)
				require.GreaterOrEqual(t, h.OldLines, 0)
			}
		}
		d := suspect.FileDiff{Path: "x"}
		ReadPatch(&d, text)
		require.LessOrEqual(t, len(d.Hunks), MaxHunks)
	})
}
