// Package gitrange tells which commits lie between two revisions and what each
// of them changed, to the hunk and the enclosing function: from a local clone
// (Open, Range), a forge's API (Remote), or push events (FromChanges).
//
// A clone is read by the git program, not by a library: `git log` writes
// 5,000 commits with their diffs in well under two seconds, and knows partial
// clones, worktrees, odd names and every object format. Where there is no git
// program, push events remain.
package gitrange

import (
	"context"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/deployloop/deployloop/internal/event"
	"github.com/deployloop/deployloop/internal/suspect"
)

// Options bound what Range reads. Zero values mean the defaults.
type Options struct {
	// Paths are globs relative to the repository's root ("services/cart/**",
	// "lib/*.go"; a folder's name matches all below it). Commits that touch none
	// of them are left out, and so are other files of those that do.
	Paths []string
	// Owners keep, where set, only commits that change what one of them owns
	// ("@acme/cart"), as the CODEOWNERS file of the new revision tells; their
	// other files stay. With no such file all commits stay, and the note says so.
	Owners []string
	// MaxCommits is how many commits are told, newest first; default 1,000.
	MaxCommits int
	// MaxDiffBytes is how much text of one commit's diff is kept; default
	// 256 KiB. Lines are counted and hunks placed past it, without their text,
	// up to MaxHunks a commit.
	MaxDiffBytes int
	// MaxTotalBytes is the same for the whole range; default 32 MiB.
	MaxTotalBytes int
	// Timeout ends the reading; what was read by then is told, with a note.
	// Default 20 s.
	Timeout time.Duration
	// FirstParent tells one candidate for each merge (with the whole of what it
	// brought in) instead of the commits behind it.
	FirstParent bool
	// UnknownPrevious is how many commits are told when the previous revision is
	// unknown; default 20.
	UnknownPrevious int
}

// MaxHunks is how many hunks of one commit are kept.
const MaxHunks = 5000

// MaxFiles is how many files of one commit are kept.
const MaxFiles = 5000

func (o Options) withDefaults() Options {
	set := func(v *int, d int) {
		if *v <= 0 {
			*v = d
		}
	}
	set(&o.MaxCommits, 1000)
	set(&o.MaxDiffBytes, 256<<10)
	set(&o.MaxTotalBytes, 32<<20)
	set(&o.UnknownPrevious, 20)
	if o.Timeout <= 0 {
		o.Timeout = 20 * time.Second
	}
	return o
}

// Result is a range. Its commits are shared with a cache: do not change them.
type Result struct {
	Commits  []suspect.Commit // newest first, children before parents
	Previous string           // full commit id; "" when unknown
	New      string           // full commit id
	Base     string           // what the range starts from: Previous, or a merge base; "" when unknown
	Complete bool             // the commits are all that lie between the two revisions
	Note     string           // in words what is unusual about it; "" when nothing is
}

// Range tells the commits that are in new and not in previous. It fails only
// when new is not in the clone, git cannot run, or ctx ends; everything else is
// told in Result.Note: an unknown or no previous revision, a force-push (the
// range then starts at the merge base), a roll-back, a shallow or partial
// clone, a limit.
func (r *Repository) Range(ctx context.Context, previous, new string, o Options) (Result, error) {
	o = o.withDefaults()
	ctx, cancel := context.WithTimeout(ctx, o.Timeout)
	defer cancel()

	ids, err := r.resolve(ctx, new, previous)
	if err != nil {
		return Result{}, err
	}
	result := Result{New: ids[0], Previous: ids[1], Base: ids[1], Complete: true}
	if result.New == "" {
		return Result{}, fmt.Errorf("%q: %w", new, ErrUnknownRevision)
	}
	shallow := r.Shallow()
	var notes []string
	switch {
	case result.Previous == "":
		result.Complete = false
		o.MaxCommits = min(o.MaxCommits, o.UnknownPrevious)
		what := "the previous revision is not known"
		if previous != "" && !zeros(previous) {
			what = fmt.Sprintf("the previous revision %s is not in the clone", event.ShortRevision(clean(previous)))
			if shallow {
				what += ", which is shallow"
			}
		}
		notes = append(notes, fmt.Sprintf("%s: these are the last commits before the new one, at most %d", what, o.MaxCommits))
	case result.Previous == result.New:
		result.Note = "both revisions are the same commit"
		return result, nil
	default:
		base, err := r.mergeBase(ctx, result.Previous, result.New)
		if err != nil {
			return Result{}, err
		}
		switch {
		case base == result.New:
			result.Base = base
			result.Note = "a roll-back: the new revision is an ancestor of the previous one"
			return result, nil
		case base == "" && shallow:
			result.Complete, result.Base = false, ""
			notes = append(notes, "the clone is shallow and holds no common ancestor of the two revisions: commits may be missing or too many")
		case base == "":
			result.Base = ""
			notes = append(notes, "the two revisions have no common history: these are all commits of the new one")
		case base != result.Previous:
			result.Base = base
			notes = append(notes, fmt.Sprintf("the previous revision %s is no ancestor of the new one (a force-push, a rebase or another branch): the range starts at their common ancestor %s",
				event.ShortRevision(result.Previous), event.ShortRevision(base)))
		}
	}

	key := cacheKey(result, o)
	if cached, ok := r.cache.get(key); ok && !shallow {
		return cached, nil
	}
	read, err := r.read(ctx, result, o)
	if err != nil {
		return Result{}, err
	}
	result.Commits = read.commits
	pages := r.links(ctx)
	for i := range result.Commits {
		pages.add(&result.Commits[i].Change)
	}
	if shallow && read.reachedShallow {
		result.Complete = false
		notes = append(notes, "the clone is shallow: the oldest commit told holds what came before it too")
	}
	if read.cut != "" {
		result.Complete = result.Complete && read.namesWhole
		notes = append(notes, read.cut)
	}
	if len(o.Owners) > 0 {
		if owners := r.Owners(ctx, result.New); owners != nil {
			result.Commits = ownedBy(result.Commits, owners, o.Owners)
		} else {
			notes = append(notes, "there is no CODEOWNERS file, so the commits of all owners are told")
		}
	}
	result.Note = strings.Join(notes, "; ")
	if !shallow && !read.timedOut {
		r.cache.add(key, result, read.bytes)
	}
	return result, nil
}

// revisionPattern is what may name a revision here: an id, a tag, a branch, a
// remote branch, with ~n and ^n behind it. No option, no range, no file, no
// reflog, no search by message.
var revisionPattern = regexp.MustCompile(`^[A-Za-z0-9_][A-Za-z0-9_./+\-]{0,254}(?:[~^][0-9]{0,6}){0,8}$`)

// ValidRevision says whether name may name a revision.
func ValidRevision(name string) bool {
	return revisionPattern.MatchString(name) && !strings.Contains(name, "..") && !strings.HasSuffix(name, ".lock")
}

// resolve gives the full commit id of each name, "" for one that is unknown,
// ambiguous or not allowed. Names go in by standard input: none is an argument.
func (r *Repository) resolve(ctx context.Context, names ...string) ([]string, error) {
	var in strings.Builder
	for _, name := range names {
		if !ValidRevision(name) || zeros(name) {
			name = "0000000000000000000000000000000000000000"
		}
		in.WriteString(name + "^{commit}\n")
	}
	out, err := r.output(ctx, strings.NewReader(in.String()), "cat-file", "--batch-check=%(objectname) %(objecttype)")
	if err != nil {
		return nil, err
	}
	lines := strings.Split(strings.TrimRight(string(out), "\n"), "\n")
	ids := make([]string, len(names))
	for i := range ids {
		if i < len(lines) {
			if id, kind, ok := strings.Cut(lines[i], " "); ok && kind == "commit" {
				ids[i] = id
			}
		}
	}
	return ids, nil
}

// mergeBase is the best common ancestor, "" when there is none.
func (r *Repository) mergeBase(ctx context.Context, a, b string) (string, error) {
	out, err := r.output(ctx, nil, "merge-base", a, b)
	if err != nil {
		if ctx.Err() != nil {
			return "", ctx.Err()
		}
		return "", nil // exit status 1: none
	}
	return strings.TrimSpace(string(out)), nil
}

func zeros(revision string) bool { return strings.Trim(revision, "0") == "" }

// clean makes a foreign name fit for a sentence.
func clean(name string) string {
	name = strings.Map(func(c rune) rune {
		if c < ' ' || c == 0x7f {
			return '?'
		}
		return c
	}, strings.ToValidUTF8(name, "?"))
	if len(name) > 80 {
		name = strings.ToValidUTF8(name[:80], "") + "…"
	}
	return name
}

// FromChanges makes candidates of push events, which tell names of files but
// no diffs.
func FromChanges(changes []event.Change) []suspect.Commit {
	commits := make([]suspect.Commit, 0, len(changes))
	for _, c := range changes {
		commits = append(commits, withTrailers(suspect.Commit{Change: c, Merge: len(c.Parents) > 1}))
	}
	return commits
}

var (
	revertLine = regexp.MustCompile(`(?m)^This reverts commit ([0-9a-f]{7,64})`)
	pickLine   = regexp.MustCompile(`(?m)^\(cherry picked from commit ([0-9a-f]{7,64})\)`)
)

// withTrailers reads from the message what the commit says of other commits.
func withTrailers(c suspect.Commit) suspect.Commit {
	for _, m := range revertLine.FindAllStringSubmatch(c.Message, 32) {
		if !slices.Contains(c.Reverts, m[1]) {
			c.Reverts = append(c.Reverts, m[1])
		}
	}
	if m := pickLine.FindStringSubmatch(c.Message); m != nil {
		c.PickedFrom = m[1]
	}
	return c
}

const ignoreFile = ".git-blame-ignore-revs"

// IgnoredRevisions are the commit ids that the repository's own
// .git-blame-ignore-revs lists at a revision; none when it has no such file.
func (r *Repository) IgnoredRevisions(ctx context.Context, revision string) []string {
	if !ValidRevision(revision) {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	text, err := r.output(ctx, nil, "cat-file", "blob", revision+":"+ignoreFile)
	if err != nil {
		return nil
	}
	return ignoredRevisions(string(text))
}

func ignoredRevisions(text string) (ids []string) {
	for line := range strings.Lines(text) {
		line, _, _ = strings.Cut(line, "#")
		if line = strings.TrimSpace(line); objectID.MatchString(line) && len(ids) < 10_000 {
			ids = append(ids, line)
		}
	}
	return ids
}

var objectID = regexp.MustCompile(`^[0-9a-f]{40}(?:[0-9a-f]{24})?$`)
