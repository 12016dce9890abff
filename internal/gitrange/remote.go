package gitrange

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"sync"

	"github.com/deployloop/deployloop/internal/event"
	"github.com/deployloop/deployloop/internal/suspect"
)

// History is what a forge's API tells of a repository, for where there is no
// clone. It is used by one goroutine at a time. An error with a method Gone
// that says true is of a revision that the forge does not have.
type History interface {
	// Between lists the commits in new and not in previous, at most limit, the
	// newest; whole says that there are no more. With no previous one they are
	// the last before new.
	Between(ctx context.Context, repository, previous, new string, limit int) (changes []event.Change, whole bool, err error)
	// Diff is what one commit changed against its first parent.
	Diff(ctx context.Context, repository, revision string) ([]suspect.FileDiff, error)
	// File is the text of a file at a revision; "" when there is none.
	File(ctx context.Context, repository, revision, path string) (string, error)
}

// MaxForgeDiffs is how many commits' diffs are asked for, the newest; each is a
// request.
const MaxForgeDiffs = 100

// Remote tells ranges from a forge's API. It is safe for concurrent use.
type Remote struct {
	history History
	turn    chan struct{} // the one who may ask
	cache   *cache

	mu    sync.Mutex
	files map[[2]string]string // of CODEOWNERS and the like, by revision and path
}

// maxRemoteFiles bounds the texts that are kept, each of at most 1 MiB.
const (
	maxRemoteFiles = 32
	maxRemoteFile  = 1 << 20
)

// NewRemote reads through a forge's API.
func NewRemote(h History) *Remote {
	return &Remote{history: h, turn: make(chan struct{}, 1), cache: newCache(), files: map[[2]string]string{}}
}

func (r *Remote) take(ctx context.Context) error {
	select {
	case r.turn <- struct{}{}:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (r *Remote) give() { <-r.turn }

// Range tells the commits that are in new and not in previous, as
// Repository.Range does. What the forge refuses after the commits are known, a
// rate limit or the time, costs diffs and not the range.
func (r *Remote) Range(ctx context.Context, repository, previous, new string, o Options) (Result, error) {
	if !ValidRevision(new) {
		return Result{}, fmt.Errorf("%q: %w", clean(new), ErrUnknownRevision)
	}
	if !ValidRevision(previous) || zeros(previous) {
		previous = ""
	}
	o = o.withDefaults()
	ctx, cancel := context.WithTimeout(ctx, o.Timeout)
	defer cancel()
	if err := r.take(ctx); err != nil {
		return Result{}, err
	}
	defer r.give()

	result := Result{Previous: previous, New: new, Base: previous, Complete: true}
	key := cacheKey(Result{Previous: previous, New: new, Base: repository}, o)
	if cached, ok := r.cache.get(key); ok {
		return cached, nil
	}
	var notes []string
	limit, asked := o.MaxCommits, previous
	changes, whole, err := r.history.Between(ctx, repository, previous, new, limitWithout(previous, limit, o))
	if previous != "" && isGone(err) {
		asked = ""
		changes, whole, err = r.history.Between(ctx, repository, "", new, limitWithout("", limit, o))
	}
	switch {
	case isGone(err):
		return Result{}, fmt.Errorf("%s in %s: %w", event.ShortRevision(new), clean(repository), errNotAtForge)
	case err != nil:
		return Result{}, err
	case asked == "":
		result.Complete, result.Previous, result.Base = false, "", ""
		what := "the previous revision is not known"
		if previous != "" {
			what = fmt.Sprintf("the forge does not have the previous revision %s", event.ShortRevision(previous))
		}
		notes = append(notes, fmt.Sprintf("%s: these are the last commits before the new one, at most %d", what, limitWithout("", limit, o)))
	case !whole:
		result.Complete = false
		notes = append(notes, fmt.Sprintf("more than %d commits: the oldest are left out", len(changes)))
	case len(changes) == 0:
		notes = append(notes, "the new revision holds no commit that the previous one lacks: a roll-back, or the same commit")
	}
	for i := range changes {
		changes[i].Repository = repository
	}
	result.Commits = FromChanges(childrenFirst(changes))
	bytes, unread, why := r.readDiffs(ctx, repository, result.Commits, o.MaxTotalBytes)
	if unread > 0 {
		notes = append(notes, fmt.Sprintf("of %s what they changed was not read (%s)", commitsText(unread), why))
	}
	if len(o.Paths) > 0 {
		result.Commits = touching(result.Commits, o.Paths)
	}
	if len(o.Owners) > 0 {
		if owners := r.owners(ctx, repository, new); owners != nil {
			result.Commits = ownedBy(result.Commits, owners, o.Owners)
		} else {
			notes = append(notes, "there is no CODEOWNERS file, so the commits of all owners are told")
		}
	}
	result.Note = strings.Join(notes, "; ")
	if why == "" || why == tooManyDiffs { // what a limit of the forge cost may be there the next time
		r.cache.add(key, result, bytes)
	}
	return result, nil
}

var errNotAtForge = errors.New("the forge does not have this revision, or the token may not see the repository")

const tooManyDiffs = "the oldest of a long range"

func limitWithout(previous string, limit int, o Options) int {
	if previous == "" {
		return min(limit, o.UnknownPrevious)
	}
	return limit
}

func isGone(err error) bool {
	var gone interface{ Gone() bool }
	return errors.As(err, &gone) && gone.Gone()
}

// keep gives a commit its files. Texts beyond the room that is left are dropped;
// the places stay.
func keep(c *suspect.Commit, files []suspect.FileDiff, left int) (bytes int) {
	for i := range files {
		f := &files[i]
		status := byte('M')
		if f.OldPath != "" {
			status = 'R'
		}
		asChange(&c.Change, *f, status)
		for k := range f.Hunks {
			h := &f.Hunks[k]
			n := len(h.Text)
			for _, list := range [][]string{h.Added, h.Removed} {
				for _, line := range list {
					n += len(line)
				}
			}
			if bytes+n > left {
				h.Text, h.Added, h.Removed, f.Truncated = "", nil, nil, true
				continue
			}
			bytes += n
		}
	}
	c.Files = files
	return bytes
}

// readDiffs asks for what each commit changed, newest first. A merge changed
// nothing itself, as far as a forge tells.
func (r *Remote) readDiffs(ctx context.Context, repository string, commits []suspect.Commit, left int) (bytes, unread int, why string) {
	asked := 0
	for i := range commits {
		c := &commits[i]
		if c.Merge {
			continue
		}
		if why == "" && asked == MaxForgeDiffs {
			why = tooManyDiffs
		}
		if why == "" {
			asked++
			files, err := r.history.Diff(ctx, repository, c.Revision)
			if err == nil {
				bytes += keep(c, files, left-bytes)
				continue
			}
			why = err.Error()
		}
		c.Unread = true
		unread++
	}
	return bytes, unread, why
}

// childrenFirst puts commits before their parents, whatever order a forge told
// them in; of those that do not depend on each other the newer first.
func childrenFirst(changes []event.Change) []event.Change {
	children := map[string]int{}
	known := map[string]int{}
	for i, c := range changes {
		known[c.Revision] = i
	}
	for _, c := range changes {
		for _, p := range c.Parents {
			children[p]++
		}
	}
	var ready []int
	for i, c := range changes {
		if children[c.Revision] == 0 {
			ready = append(ready, i)
		}
	}
	sorted := make([]event.Change, 0, len(changes))
	for len(ready) > 0 {
		next := 0
		for k := range ready {
			if changes[ready[k]].At.After(changes[ready[next]].At) {
				next = k
			}
		}
		c := changes[ready[next]]
		ready = slices.Delete(ready, next, next+1)
		sorted = append(sorted, c)
		for _, p := range c.Parents {
			if children[p]--; children[p] == 0 {
				if i, ok := known[p]; ok {
					ready = append(ready, i)
				}
			}
		}
	}
	if len(sorted) < len(changes) {
		return changes // parents in a circle: no history that git could make
	}
	return sorted
}

// touching keeps the commits that change a path of one of the globs, and of
// these only such files. A commit whose files are not known stays.
func touching(commits []suspect.Commit, globs []string) []suspect.Commit {
	var patterns []*regexp.Regexp
	for _, g := range globs {
		patterns = append(patterns, globPattern(g))
	}
	matches := func(path string) bool {
		return path != "" && slices.ContainsFunc(patterns, func(p *regexp.Regexp) bool { return p.MatchString(path) })
	}
	var kept []suspect.Commit
	for _, c := range commits {
		if c.Unread {
			kept = append(kept, c)
			continue
		}
		c.Files = slices.DeleteFunc(c.Files, func(f suspect.FileDiff) bool { return !matches(f.Path) && !matches(f.OldPath) })
		other := func(path string) bool { return !matches(path) }
		c.Added, c.Modified, c.Removed = slices.DeleteFunc(c.Added, other), slices.DeleteFunc(c.Modified, other), slices.DeleteFunc(c.Removed, other)
		if len(c.Files) > 0 {
			kept = append(kept, c)
		}
	}
	return kept
}

// globPattern is a glob as git's glob pathspecs are: * and ? stay inside a
// folder, ** does not, and a folder's name matches all below it.
func globPattern(glob string) *regexp.Regexp {
	var b strings.Builder
	b.WriteString("^")
	for rest := strings.Trim(glob, "/"); rest != ""; {
		switch {
		case strings.HasPrefix(rest, "**/"):
			b.WriteString("(?:.*/)?")
			rest = rest[3:]
		case strings.HasPrefix(rest, "**"):
			b.WriteString(".*")
			rest = rest[2:]
		case rest[0] == '*':
			b.WriteString("[^/]*")
			rest = rest[1:]
		case rest[0] == '?':
			b.WriteString("[^/]")
			rest = rest[1:]
		default:
			end := strings.IndexAny(rest, "*?")
			if end < 0 {
				end = len(rest)
			}
			b.WriteString(regexp.QuoteMeta(rest[:end]))
			rest = rest[end:]
		}
	}
	b.WriteString("(?:/.*)?$")
	return regexp.MustCompile(b.String())
}

// file is a text at a revision, asked for once.
func (r *Remote) file(ctx context.Context, repository, revision, path string) string {
	key := [2]string{repository + "@" + revision, path}
	r.mu.Lock()
	text, ok := r.files[key]
	r.mu.Unlock()
	if ok {
		return text
	}
	text, err := r.history.File(ctx, repository, revision, path)
	if err != nil && !isGone(err) {
		return ""
	}
	if len(text) > maxRemoteFile {
		text = ""
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.files) >= maxRemoteFiles {
		clear(r.files)
	}
	r.files[key] = text
	return text
}

func (r *Remote) owners(ctx context.Context, repository, revision string) *Owners {
	for _, name := range ownerFiles {
		if text := r.file(ctx, repository, revision, name); text != "" {
			return ParseOwners(text)
		}
	}
	return nil
}

// Owners reads the repository's CODEOWNERS file as it is at a revision; nil
// when it has none or the forge does not tell.
func (r *Remote) Owners(ctx context.Context, repository, revision string) *Owners {
	if !ValidRevision(revision) || r.take(ctx) != nil {
		return nil
	}
	defer r.give()
	return r.owners(ctx, repository, revision)
}

// IgnoredRevisions are the commit ids that .git-blame-ignore-revs lists.
func (r *Remote) IgnoredRevisions(ctx context.Context, repository, revision string) []string {
	if !ValidRevision(revision) || r.take(ctx) != nil {
		return nil
	}
	defer r.give()
	return ignoredRevisions(r.file(ctx, repository, revision, ignoreFile))
}
