package gitrange

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/deployloop/deployloop/internal/suspect"
)

func mustRange(t *testing.T, r *Repository, previous, new string, o Options) Result {
	t.Helper()
	got, err := r.Range(context.Background(), previous, new, o)
	require.NoError(t, err)
	return got
}

func ids(commits []suspect.Commit) (ids []string) {
	for _, c := range commits {
		ids = append(ids, c.Revision)
	}
	return ids
}

func TestRangeToldToTheHunkAndTheFunction(t *testing.T) {
	h := newHistory(t)
	source := "package cart\n\nfunc First() int {\n\tone := 1\n\ttwo := 2\n\tthree := 3\n\tfour := 4\n\treturn one + two + three + four\n}\n\n" +
		"// Total adds up.\nfunc Total(prices []int) int {\n\tsum := 0\n\tfor _, p := range prices {\n\t\tsum += p\n\t}\n\treturn sum\n}\n"
	h.write("cart/total.go", source)
	old := h.commit("begin")
	h.write("cart/total.go", strings.Replace(strings.Replace(source, "two := 2", "two := 22\n\tlog(two)", 1), "sum += p", "sum -= p", 1))
	h.write("README.md", "shop\n")
	new := h.commit("Discount (#12)\n\nSubtract it.")

	got := mustRange(t, h.open(), old, new, Options{})
	require.Empty(t, got.Note)
	require.True(t, got.Complete)
	require.Len(t, got.Commits, 1)
	c := got.Commits[0]
	require.Equal(t, new, c.Revision)
	require.Equal(t, []string{old}, c.Parents)
	require.Equal(t, "Discount (#12)\n\nSubtract it.", c.Message)
	require.Equal(t, "Ada", c.Author)
	require.Equal(t, "ada@shop.example", c.Email)
	require.False(t, c.At.IsZero())
	require.Equal(t, []string{"README.md"}, c.Added)
	require.Equal(t, []string{"cart/total.go"}, c.Modified)
	require.Len(t, c.Files, 2)
	f := c.Files[1]
	require.Equal(t, "cart/total.go", f.Path)
	require.Equal(t, 3, f.Added)
	require.Equal(t, 2, f.Removed)
	require.Len(t, f.Hunks, 2)
	require.Equal(t, suspect.Hunk{OldStart: 5, OldLines: 1, NewStart: 5, NewLines: 2, Function: "func First() int {",
		Added: []string{"\ttwo := 22", "\tlog(two)"}, Removed: []string{"\ttwo := 2"},
		Text: "@@ -2,7 +2,8 @@ func First() int {\n \n func First() int {\n \tone := 1\n-\ttwo := 2\n+\ttwo := 22\n+\tlog(two)\n \tthree := 3\n \tfour := 4\n \treturn one + two + three + four\n",
	}, withFunction(f.Hunks[0], "func First() int {"))
	require.Equal(t, 15, f.Hunks[1].OldStart)
	require.Equal(t, 16, f.Hunks[1].NewStart)
	require.Contains(t, f.Hunks[1].Text, "func Total(prices []int) int {")
}

// withFunction pins what depends on git's version: whether a function that
// begins inside the shown lines is already the enclosing one.
func withFunction(h suspect.Hunk, function string) suspect.Hunk {
	h.Text = strings.Replace(h.Text, "@@ "+h.Function+"\n", "@@ "+function+"\n", 1)
	h.Function = function
	return h
}

func TestRangeNotes(t *testing.T) {
	h := newHistory(t)
	var c []string
	for i := range 30 {
		h.write("a.txt", fmt.Sprint(i))
		c = append(c, h.commit(fmt.Sprint("commit ", i)))
	}
	h.git("checkout", "--quiet", "-b", "rewritten", c[20])
	h.write("b.txt", "b")
	forced := h.commit("rewritten")
	h.git("checkout", "--quiet", "--orphan", "other")
	other := h.commit("other beginning")
	r := h.open()

	for name, test := range map[string]struct {
		previous, new string
		o             Options
		commits       int
		complete      bool
		base          string
		note          string
	}{
		"in order":               {c[10], c[13], Options{}, 3, true, c[10], ""},
		"same":                   {c[10], c[10], Options{}, 0, true, c[10], "same commit"},
		"short ids and branches": {c[10][:9], "rewritten", Options{}, 11, true, c[10], ""},
		"force-push":             {c[29], forced, Options{}, 1, true, c[20], "common ancestor " + c[20][:7]},
		"roll-back":              {c[13], c[10], Options{}, 0, true, c[10], "roll-back"},
		"first deployment":       {"", c[29], Options{}, 20, false, "", "not known"},
		"first push":             {strings.Repeat("0", 40), c[29], Options{}, 20, false, "", "not known"},
		"unknown previous":       {strings.Repeat("12", 20), c[29], Options{UnknownPrevious: 5}, 5, false, "", "1212121 is not in the clone"},
		"a file as previous":     {"a.txt", c[5], Options{}, 6, false, "", "not in the clone"},
		"unrelated":              {c[3], other, Options{}, 1, true, "", "no common history"},
		"limit":                  {c[0], c[29], Options{MaxCommits: 7}, 7, false, c[0], "more than 7 commits"},
		"exactly the limit":      {c[0], c[7], Options{MaxCommits: 7}, 7, true, c[0], ""},
	} {
		t.Run(name, func(t *testing.T) {
			got := mustRange(t, r, test.previous, test.new, test.o)
			require.Len(t, got.Commits, test.commits)
			require.Equal(t, test.complete, got.Complete)
			require.Equal(t, test.base, got.Base)
			if test.note == "" {
				require.Empty(t, got.Note)
			}
			require.Contains(t, got.Note, test.note)
		})
	}
	for _, bad := range []string{"", "nope", "--output=/tmp/x", "-p", "HEAD:a.txt", "@{-1}", ":/commit", "a..b", "main@{1}", strings.Repeat("9", 40), "x\ny", c[0] + "^{tree}"} {
		_, err := r.Range(context.Background(), c[0], bad, Options{})
		require.ErrorIs(t, err, ErrUnknownRevision, "%q", bad)
	}
}

func TestRangeIsCached(t *testing.T) {
	h := newHistory(t)
	a := h.commit("a")
	h.write("f", "1\n")
	b := h.commit("b")
	r := h.open()
	first := mustRange(t, r, a, b, Options{})
	second := mustRange(t, r, a, b, Options{})
	require.Same(t, &first.Commits[0], &second.Commits[0])
	other := mustRange(t, r, a, b, Options{MaxCommits: 3})
	require.NotSame(t, &first.Commits[0], &other.Commits[0])
}

func TestCacheStaysBounded(t *testing.T) {
	c := newCache()
	for i := range 100 {
		c.add([32]byte{byte(i)}, Result{}, 1<<20)
	}
	require.Len(t, c.entries, cacheEntries)
	c.add([32]byte{200}, Result{}, cacheBytes-1<<20)
	require.LessOrEqual(t, c.bytes, cacheBytes)
	_, ok := c.get([32]byte{200})
	require.True(t, ok)
	c.add([32]byte{201}, Result{}, cacheBytes+1)
	require.Zero(t, c.bytes)
}

func TestPathsOfAMonorepo(t *testing.T) {
	h := newHistory(t)
	old := h.commit("begin")
	h.write("services/cart/main.go", "package main\n")
	h.write("services/pay/main.go", "package main\n")
	both := h.commit("both")
	h.write("services/pay/main.go", "package main // pay\n")
	h.commit("pay")
	h.write("lib/deep/er/money.go", "package er\n")
	lib := h.commit("lib")
	r := h.open()
	got := mustRange(t, r, old, "main", Options{Paths: []string{"services/cart/**", "lib"}})
	require.Equal(t, []string{lib, both}, ids(got.Commits))
	require.Len(t, got.Commits[1].Files, 1)
	require.Equal(t, "services/cart/main.go", got.Commits[1].Files[0].Path)
	require.Len(t, mustRange(t, r, old, "main", Options{Paths: []string{"**/*.go"}}).Commits, 3)
	require.Empty(t, mustRange(t, r, old, "main", Options{Paths: []string{"--all", "nothing/**"}}).Commits)
}

func TestMergesRevertsAndPicks(t *testing.T) {
	h := newHistory(t)
	h.write("a.txt", lines(40, nil))
	old := h.commit("begin")
	h.git("checkout", "--quiet", "-b", "side")
	h.write("a.txt", lines(40, map[int]string{5: "side"}))
	side := h.commit("side")
	h.git("checkout", "--quiet", "main")
	h.write("a.txt", lines(40, map[int]string{30: "main"}))
	onMain := h.commit("main")
	h.git("merge", "--quiet", "--no-ff", "--no-commit", "side")
	h.write("a.txt", lines(40, map[int]string{5: "side", 30: "main", 18: "evil"}))
	merge := h.commit("Merge side, and a little more")
	h.git("revert", "--no-edit", side)
	revert := h.git("rev-parse", "HEAD")
	h.git("cherry-pick", "-x", side)
	pick := h.git("rev-parse", "HEAD")
	h.commit("nothing at all")

	r := h.open()
	got := mustRange(t, r, old, "main", Options{})
	require.Len(t, got.Commits, 6)
	by := map[string]suspect.Commit{}
	for _, c := range got.Commits {
		by[c.Revision] = c
	}
	require.Equal(t, []string{side}, by[revert].Reverts)
	require.Equal(t, side, by[pick].PickedFrom)
	require.True(t, by[merge].Merge)
	require.Len(t, by[merge].Files, 1)
	require.Len(t, by[merge].Files[0].Hunks, 1, "only what the merge itself changed")
	hunk := by[merge].Files[0].Hunks[0]
	require.Equal(t, []string{"evil"}, hunk.Added)
	require.Len(t, hunk.Removed, 1)
	require.Equal(t, []int{18, 1, 18, 1}, []int{hunk.OldStart, hunk.OldLines, hunk.NewStart, hunk.NewLines})

	got = mustRange(t, r, old, merge, Options{FirstParent: true})
	require.Equal(t, []string{merge, onMain}, ids(got.Commits))
	require.Len(t, got.Commits[0].Files[0].Hunks, 2, "the merge brings the whole of its branch")
}

func TestOddHistories(t *testing.T) {
	h := newHistory(t)
	old := h.commit("")
	// An octopus.
	for _, arm := range []string{"one", "two", "three"} {
		h.git("checkout", "--quiet", "-b", arm, old)
		h.write(arm+".txt", arm+"\n")
		h.commit(arm)
	}
	h.git("checkout", "--quiet", "main")
	h.git("merge", "--quiet", "--no-ff", "-m", "octopus", "one", "two", "three")
	octopus := h.git("rev-parse", "HEAD")
	// Binary, names that need quoting, names that are no UTF-8, a long line.
	h.write("logo.png", "\x89PNG\x00\x00\x01")
	h.write("tab\there \"quoted\" ä.txt", "x\n")
	h.write("raw\xff\xfe.txt", "bytes \xff\xfe\n")
	h.write("min.js", strings.Repeat("var a=1;", 200_000)+"\n")
	h.write("no-end.txt", "no newline")
	odd := h.commit("Odd\x01 names \xff and \x1b[31mcolours\n\n@@ -1 +1 @@\ndiff --git a/x b/x\n:100644 100644 a b M\tx")
	// Renames, modes, links, a file that becomes a link.
	h.git("mv", "one.txt", "uno.txt")
	require.NoError(t, os.Chmod(filepath.Join(h.path, "two.txt"), 0o755))
	require.NoError(t, os.Remove(filepath.Join(h.path, "three.txt")))
	require.NoError(t, os.Symlink("two.txt", filepath.Join(h.path, "three.txt")))
	require.NoError(t, os.Remove(filepath.Join(h.path, "logo.png")))
	moved := h.commit("move")
	// A submodule.
	library := newHistory(t)
	library.write("lib.c", "int x;\n")
	library.commit("library")
	h.git("submodule", "--quiet", "add", library.path, "vendor/lib")
	submodule := h.commit("submodule")
	// Ten megabytes of a diff.
	h.write("big.sql", strings.Repeat("INSERT INTO prices VALUES (1, 'a price that is long enough to weigh something');\n", 90_000))
	h.write("after.txt", "after\n")
	big := h.commit("big")

	r := h.open()
	start := time.Now()
	got := mustRange(t, r, old, big, Options{})
	require.Less(t, time.Since(start), 15*time.Second)
	by := map[string]suspect.Commit{}
	files := map[string]map[string]suspect.FileDiff{}
	for _, c := range got.Commits {
		by[c.Revision] = c
		files[c.Revision] = map[string]suspect.FileDiff{}
		for _, f := range c.Files {
			files[c.Revision][f.Path] = f
		}
	}
	require.Len(t, by, 8)
	require.Len(t, by[octopus].Parents, 4)
	require.Empty(t, by[octopus].Files)

	require.True(t, files[odd]["logo.png"].Binary)
	require.Contains(t, files[odd], "tab\there \"quoted\" ä.txt")
	require.Contains(t, files[odd], "raw\uFFFD.txt")
	require.Equal(t, []string{"bytes \uFFFD"}, files[odd]["raw\uFFFD.txt"].Hunks[0].Added)
	require.LessOrEqual(t, len(files[odd]["min.js"].Hunks[0].Added[0]), maxLine)
	require.Equal(t, []string{"no newline"}, files[odd]["no-end.txt"].Hunks[0].Added)
	require.Len(t, by[odd].Files, 5)
	require.Contains(t, by[odd].Message, "diff --git a/x b/x")

	require.Equal(t, "one.txt", files[moved]["uno.txt"].OldPath)
	require.Contains(t, by[moved].Modified, "two.txt")
	require.Equal(t, []string{"two.txt"}, files[moved]["three.txt"].Hunks[1].Added)
	require.Contains(t, by[moved].Removed, "logo.png")

	require.True(t, files[submodule]["vendor/lib"].Submodule)
	require.False(t, files[submodule][".gitmodules"].Submodule)

	sql := files[big]["big.sql"]
	require.True(t, sql.Truncated)
	require.Equal(t, 90_000, sql.Added)
	require.Equal(t, 90_000, sql.Hunks[0].NewLines)
	require.Less(t, len(sql.Hunks[0].Added), 5000)
	require.Contains(t, got.Note, "too large")
	require.True(t, got.Complete, "every commit is named")
}

func TestShallowAndPartialClones(t *testing.T) {
	h := newHistory(t)
	h.git("config", "uploadpack.allowFilter", "true")
	var c []string
	for i := range 6 {
		h.write("a.txt", lines(10, map[int]string{3: fmt.Sprint(i)}))
		c = append(c, h.commit(fmt.Sprint(i)))
	}
	clone := func(arguments ...string) *Repository {
		path := filepath.Join(t.TempDir(), "clone")
		h.git(append(append([]string{"clone", "--quiet"}, arguments...), "file://"+h.path, path)...)
		r, err := Open(path)
		require.NoError(t, err)
		return r
	}
	shallow := clone("--depth=3")
	got := mustRange(t, shallow, c[0], c[5], Options{})
	require.False(t, got.Complete)
	require.Contains(t, got.Note, "is not in the clone, which is shallow")
	require.Len(t, got.Commits, 3)
	got = mustRange(t, shallow, c[4], c[5], Options{})
	require.True(t, got.Complete)
	require.Empty(t, got.Note)

	partial := clone("--filter=blob:none", "--no-checkout", "--bare")
	got = mustRange(t, partial, c[1], c[5], Options{})
	require.Len(t, got.Commits, 4)
	require.Contains(t, got.Note, "partial clone")
	require.Equal(t, []string{"a.txt"}, got.Commits[0].Modified)
	require.Empty(t, got.Commits[0].Files[0].Hunks)
}

func TestAForeignRepositoryRunsNothing(t *testing.T) {
	h := newHistory(t)
	h.write("a.txt", "1\n")
	old := h.commit("1")
	h.write("a.txt", "2\n")
	h.write(".gitattributes", "*.txt diff=evil\n")
	new := h.commit("2")
	ran := filepath.Join(t.TempDir(), "ran")
	for key, value := range map[string]string{
		"diff.external": "touch " + ran, "diff.evil.textconv": "touch " + ran + "; cat", "diff.evil.command": "touch " + ran,
		"core.pager": "touch " + ran, "pager.log": "touch " + ran, "core.fsmonitor": "touch " + ran, "gpg.program": "touch",
		"log.showSignature": "true", "format.pretty": "evil %H", "color.ui": "always", "diff.noprefix": "true", "diff.mnemonicPrefix": "true",
		"core.quotePath": "false", "log.diffMerges": "off", "diff.context": "0", "diff.interHunkContext": "50", "diff.wsErrorHighlight": "all", "log.decorate": "full",
		"diff.renames": "false", "core.abbrev": "5", "log.follow": "true", "diff.algorithm": "patience", "log.date": "relative",
	} {
		h.git("config", key, value)
	}
	t.Setenv("GIT_EXTERNAL_DIFF", "touch "+ran)
	t.Setenv("GIT_DIR", "/nowhere")
	got := mustRange(t, h.open(), old, new, Options{})
	require.Len(t, got.Commits, 1)
	require.Equal(t, []string{"2"}, got.Commits[0].Files[1].Hunks[0].Added)
	require.NoFileExists(t, ran)
}

func TestWorktreeBareFolderAndNoRepository(t *testing.T) {
	h := newHistory(t)
	h.write("sub/a", "1")
	a := h.commit("a")
	b := h.commit("b")
	tree := filepath.Join(t.TempDir(), "tree")
	h.git("worktree", "add", "--quiet", "--detach", tree)
	for _, path := range []string{tree, filepath.Join(h.path, "sub"), filepath.Join(h.path, ".git")} {
		r, err := Open(path)
		require.NoError(t, err)
		require.Equal(t, []string{b}, ids(mustRange(t, r, a, b, Options{}).Commits))
	}
	_, err := Open(t.TempDir())
	require.ErrorIs(t, err, ErrNoRepository)
	_, err = Open(filepath.Join(t.TempDir(), "nothing"))
	require.ErrorIs(t, err, os.ErrNotExist)
	t.Setenv("PATH", t.TempDir())
	_, err = Open(h.path)
	require.ErrorIs(t, err, ErrNoGit)
}

func TestTimeIsBounded(t *testing.T) {
	h := newHistory(t)
	old := h.commit("begin")
	for i := range 3 {
		h.write("a.txt", fmt.Sprint(i))
		h.commit("x")
	}
	r := h.open()
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	_, err := r.Range(ctx, old, "main", Options{})
	require.ErrorIs(t, err, context.Canceled)

	// A git that hangs after the first commit: what was read is told.
	fake := filepath.Join(t.TempDir(), "git")
	script := "#!/bin/sh\ncase \"$*\" in *--batch-check*|*merge-base*) exec " + r.git + " \"$@\";; esac\n" +
		r.git + " \"$@\"\nexec sleep 60\n"
	require.NoError(t, os.WriteFile(fake, []byte(script), 0o755))
	if err := exec.Command("/bin/sh", "-c", "true").Run(); err != nil {
		t.Skip("no /bin/sh on this system to play a git that hangs")
	}
	r.git = fake
	start := time.Now()
	got, err := r.Range(context.Background(), old, "main", Options{Timeout: 1500 * time.Millisecond})
	require.NoError(t, err)
	require.Less(t, time.Since(start), 10*time.Second)
	require.Len(t, got.Commits, 2, "the last may be half read")
	require.Contains(t, got.Note, "took longer than 1.5s")
	require.False(t, got.Complete)
}

func TestBrokenRepositoryIsAnError(t *testing.T) {
	h := newHistory(t)
	old := h.commit("begin")
	h.write("a.txt", "1\n")
	new := h.commit("x")
	tree := h.git("rev-parse", new+"^{tree}")
	require.NoError(t, os.Remove(filepath.Join(h.path, ".git", "objects", tree[:2], tree[2:])))
	_, err := h.open().Range(context.Background(), old, new, Options{})
	require.Error(t, err)
	require.False(t, errors.Is(err, ErrUnknownRevision))
	require.Contains(t, err.Error(), "git:")
}

// manyCommits is a repository of n commits that each change three of 200 files.
func manyCommits(t testing.TB, n int) *history {
	h := newHistory(t)
	var in strings.Builder
	content := make([][]string, 200)
	for i := range content {
		for line := range 120 {
			content[i] = append(content[i], fmt.Sprintf("\tvalue%d := compute(%d, %d)", line, i, line))
		}
	}
	for c := range n {
		fmt.Fprintf(&in, "commit refs/heads/main\ncommitter Ada <ada@shop.example> %d +0000\ndata 10\nChange%4d\n", 1_700_000_000+c, c%10_000)
		for k := range 3 {
			i := (c*7 + k*31) % len(content)
			content[i][(c*13+k)%120] = fmt.Sprintf("\tchanged%d := compute(%d)", c, k)
			text := strings.Join(content[i], "\n") + "\n"
			fmt.Fprintf(&in, "M 100644 inline pkg%d/file%d.go\ndata %d\n%s\n", i%20, i, len(text), text)
		}
	}
	h.gitWith(in.String(), "fast-import", "--quiet")
	return h
}

func TestFiveThousandCommits(t *testing.T) {
	if testing.Short() {
		t.Skip("makes 5,000 commits")
	}
	h := manyCommits(t, 5001)
	r := h.open()
	start := time.Now()
	got := mustRange(t, r, "main~5000", "main", Options{MaxCommits: 5000})
	took := time.Since(start)
	require.Len(t, got.Commits, 5000)
	require.True(t, got.Complete)
	require.NotEmpty(t, got.Commits[4999].Files[0].Hunks)
	t.Logf("5,000 commits in %s", took)
	require.Less(t, took, 10*time.Second, "2 s on an idle machine")
}

func BenchmarkFiveThousandCommits(b *testing.B) {
	h := manyCommits(b, 5001)
	r := h.open()
	for b.Loop() {
		r.cache = newCache()
		if _, err := r.Range(context.Background(), "main~5000", "main", Options{MaxCommits: 5000}); err != nil {
			b.Fatal(err)
		}
	}
}
