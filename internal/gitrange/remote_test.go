package gitrange

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/deployloop/deployloop/internal/event"
	"github.com/deployloop/deployloop/internal/suspect"
)

type gone struct{ error }

func (gone) Gone() bool { return true }

// fakeForge is a line of commits c0, c1, …, told oldest first.
type fakeForge struct {
	commits  int
	files    map[string]string
	fail     error // of diffs, after the first failAfter
	failFrom int
	asked    int // diffs
	wait     bool
}

func id(i int) string { return fmt.Sprintf("%040x", i+1) }

func (f *fakeForge) Between(ctx context.Context, _, previous, new string, limit int) (changes []event.Change, whole bool, err error) {
	if f.wait {
		<-ctx.Done()
		return nil, false, ctx.Err()
	}
	from, to := -1, -1
	for i := range f.commits {
		if id(i) == previous {
			from = i
		}
		if id(i) == new {
			to = i
		}
	}
	if to < 0 || previous != "" && from < 0 {
		return nil, false, gone{errors.New("404")}
	}
	for i := max(from+1, to+1-limit); i <= to; i++ {
		c := event.Change{Revision: id(i), Message: fmt.Sprintf("change %d", i), At: time.Unix(int64(i), 0)}
		if i > 0 {
			c.Parents = []string{id(i - 1)}
		}
		changes = append(changes, c)
	}
	return changes, previous != "" && to-from <= limit, nil
}

func (f *fakeForge) Diff(_ context.Context, _, revision string) ([]suspect.FileDiff, error) {
	f.asked++
	if f.fail != nil && f.asked > f.failFrom {
		return nil, f.fail
	}
	name := "cart/total.go"
	if revision[39]%2 == 0 {
		name = "web/page.ts"
	}
	d := suspect.FileDiff{Path: name}
	ReadPatch(&d, "@@ -1 +1,2 @@ func Total()\n a\n+b\n")
	return []suspect.FileDiff{d}, nil
}

func (f *fakeForge) File(_ context.Context, _, _, path string) (string, error) {
	if text, ok := f.files[path]; ok {
		return text, nil
	}
	return "", gone{errors.New("404")}
}

func TestRemoteRange(t *testing.T) {
	f := &fakeForge{commits: 300, files: map[string]string{"CODEOWNERS": "web/ @web\n", ignoreFile: id(3) + "\n"}}
	r := NewRemote(f)
	get := func(previous, new string, o Options) Result {
		t.Helper()
		got, err := r.Range(t.Context(), "acme/shop", previous, new, o)
		require.NoError(t, err)
		return got
	}
	got := get(id(4), id(8), Options{})
	require.True(t, got.Complete)
	require.Empty(t, got.Note)
	require.Equal(t, []string{id(8), id(7), id(6), id(5)}, ids(got.Commits), "newest first, whatever the forge's order")
	require.Equal(t, "func Total()", got.Commits[0].Files[0].Hunks[0].Function)
	require.Equal(t, "acme/shop", got.Commits[0].Repository)
	require.Len(t, got.Commits[0].Modified, 1)
	asked := f.asked
	require.Equal(t, got, get(id(4), id(8), Options{}))
	require.Equal(t, asked, f.asked, "a range is asked for once")

	require.Len(t, get(id(4), id(8), Options{Paths: []string{"web/**"}}).Commits, 2)
	require.Len(t, get(id(4), id(8), Options{Paths: []string{"cart"}}).Commits, 2)
	require.Len(t, get(id(4), id(8), Options{Owners: []string{"@WEB"}}).Commits, 2)
	require.Equal(t, []string{"@web"}, r.Owners(t.Context(), "acme/shop", id(8)).Of("web/page.ts"))
	require.Equal(t, []string{id(3)}, r.IgnoredRevisions(t.Context(), "acme/shop", id(8)))

	long := get(id(0), id(250), Options{MaxCommits: 200})
	require.False(t, long.Complete)
	require.Len(t, long.Commits, 200)
	require.Contains(t, long.Note, "more than 200 commits")
	require.Contains(t, long.Note, "of 100 commits what they changed was not read (the oldest of a long range)")
	require.True(t, long.Commits[199].Unread)

	unknown := get("feedfacefeedfacefeedfacefeedfacefeedface", id(40), Options{})
	require.False(t, unknown.Complete)
	require.Len(t, unknown.Commits, 20)
	require.Contains(t, unknown.Note, "does not have the previous revision feedfac")
	require.Contains(t, get(id(8), id(8), Options{}).Note, "a roll-back, or the same commit")

	_, err := r.Range(t.Context(), "acme/shop", id(1), "cafecafe", Options{})
	require.ErrorIs(t, err, errNotAtForge)
	_, err = r.Range(t.Context(), "acme/shop", id(1), "--output=x", Options{})
	require.ErrorIs(t, err, ErrUnknownRevision)
}

// A limit of the forge costs diffs, not the range, and not for ever.
func TestRemoteRangeUnderALimit(t *testing.T) {
	f := &fakeForge{commits: 10, fail: errors.New("403: rate limit, again in 60 s"), failFrom: 2}
	r := NewRemote(f)
	got, err := r.Range(t.Context(), "acme/shop", id(0), id(5), Options{})
	require.NoError(t, err)
	require.Len(t, got.Commits, 5)
	require.Contains(t, got.Note, "of 3 commits what they changed was not read (403: rate limit, again in 60 s)")
	require.Equal(t, 3, f.asked, "the first refusal ends the asking")
	require.False(t, got.Commits[1].Unread)
	require.True(t, got.Commits[2].Unread)
	f.fail = nil
	got, err = r.Range(t.Context(), "acme/shop", id(0), id(5), Options{})
	require.NoError(t, err)
	require.Empty(t, got.Note)

	_, err = NewRemote(&fakeForge{wait: true}).Range(t.Context(), "acme/shop", id(0), id(5), Options{Timeout: 10 * time.Millisecond})
	require.ErrorIs(t, err, context.DeadlineExceeded)
}

func TestChildrenFirst(t *testing.T) {
	at := func(name string, second int64, parents ...string) event.Change {
		return event.Change{Revision: name, Parents: parents, At: time.Unix(second, 0)}
	}
	// A merge whose branch is newer than its main line, told in a forge's order.
	got := childrenFirst([]event.Change{at("base", 1), at("main", 2, "base"), at("branch", 9, "base"), at("merge", 5, "main", "branch")})
	var order []string
	for _, c := range got {
		order = append(order, c.Revision)
	}
	require.Equal(t, []string{"merge", "branch", "main", "base"}, order)
	circle := []event.Change{at("a", 1, "b"), at("b", 2, "a")}
	require.Equal(t, circle, childrenFirst(circle))
}

func TestGlobs(t *testing.T) {
	for glob, paths := range map[string][2]string{
		"services/cart/**": {"services/cart/a/b.go", "services/cartoon/a.go"},
		"services/cart":    {"services/cart/a.go", "x/services/cart/a.go"},
		"lib/*.go":         {"lib/a.go", "lib/x/a.go"},
		"**/*.sql":         {"db/deep/a.sql", "a.sqlite"},
		"a.b":              {"a.b", "axb"},
		"v?/x":             {"v1/x", "v/x"},
	} {
		require.True(t, globPattern(glob).MatchString(paths[0]), "%s %s", glob, paths[0])
		require.False(t, globPattern(glob).MatchString(paths[1]), "%s %s", glob, paths[1])
	}
}
