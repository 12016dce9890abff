package gitrange

import (
	"bufio"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/deployloop/deployloop/internal/event"
	"github.com/deployloop/deployloop/internal/suspect"
)

// reading is what one pass over the log gave.
type reading struct {
	commits        []suspect.Commit
	bytes          int
	cut            string // which limit was hit, in words
	namesWhole     bool   // despite the cut each commit and file is named
	timedOut       bool
	reachedShallow bool
}

// read streams the commits of a range with their diffs.
func (r *Repository) read(ctx context.Context, of Result, o Options) (reading, error) {
	read, err := r.log(ctx, of, o, true)
	if err != nil && !read.timedOut {
		// A partial clone without the old contents still has the names.
		if names, namesErr := r.log(ctx, of, o, false); namesErr == nil {
			names.cut = join(fmt.Sprintf("the clone does not hold all contents (a partial clone?), so only names of files are known (%v)", err), names.cut)
			names.namesWhole = true
			read, err = names, nil
		}
	}
	if err != nil && !read.timedOut {
		return reading{}, err
	}
	if ids := r.shallowIDs(); len(ids) > 0 {
		for i := range read.commits {
			read.reachedShallow = read.reachedShallow || ids[read.commits[i].Revision]
		}
	}
	return read, nil
}

func (r *Repository) log(ctx context.Context, of Result, o Options, diffs bool) (reading, error) {
	nonce := rand.Text() // a message cannot hold what it cannot know
	before := []string{}
	if diffs {
		attributes, remove, err := attributesFile()
		if err != nil {
			return reading{}, err
		}
		defer remove()
		before = append(before, "-c", "core.attributesFile="+attributes)
		for driver, pattern := range extraDrivers {
			before = append(before, "-c", "diff."+driver+".xfuncname="+pattern)
		}
	}
	arguments := logArguments(of, o, diffs, nonce)

	// A limit ends the log early; without cancelling it would write on.
	logContext, stop := context.WithCancel(ctx)
	var parts []*part
	defer func() {
		stop()
		for _, p := range parts {
			p.end()
		}
	}()
	var in []io.Reader
	for _, part := range r.intervals(o.MaxCommits + 1) {
		p, err := startPart(logContext, r.command(logContext, slices.Concat(before,
			[]string{"log", fmt.Sprintf("--skip=%d", part.skip), fmt.Sprintf("--max-count=%d", part.count)}, arguments)...))
		if err != nil {
			return reading{}, fmt.Errorf("git: %w", err)
		}
		parts, in = append(parts, p), append(in, p)
	}
	p := &parser{in: bufio.NewReaderSize(io.MultiReader(in...), 64<<10), nonce: nonce, repository: r.path, limits: o}
	parseErr := p.run()

	read := reading{commits: p.commits, bytes: p.bytes, namesWhole: true}
	if len(read.commits) > o.MaxCommits {
		read.commits = read.commits[:o.MaxCommits]
		read.namesWhole, parseErr = false, nil
		if of.Base != "" || of.Previous != "" {
			read.cut = fmt.Sprintf("more than %d commits: the oldest are left out", o.MaxCommits)
		}
	}
	if p.droppedText > 0 {
		read.cut = join(read.cut, fmt.Sprintf("of %s the diff was too large to keep whole", commitsText(p.droppedText)))
	}
	switch {
	case parseErr != nil && errors.Is(ctx.Err(), context.DeadlineExceeded):
		read.timedOut, read.namesWhole = true, false
		if n := len(read.commits); n > 0 {
			read.commits = read.commits[:n-1] // the last may be half read
		}
		read.cut = join(read.cut, fmt.Sprintf("reading took longer than %s: %d commits were read", o.Timeout, len(read.commits)))
		return read, ctx.Err()
	case parseErr != nil:
		return reading{}, parseErr
	}
	return read, nil
}

func logArguments(of Result, o Options, diffs bool, nonce string) []string {
	arguments := []string{"--topo-order", "--no-color", "--no-show-signature", "--no-notes", "--no-ext-diff", "--no-textconv",
		"--no-abbrev", "--encoding=UTF-8", "--root", "--raw",
		"--format=tformat:" + nonce + "C%n%H%n%P%n%aN%n%aE%n%cI%n%B%n" + nonce + "E"}
	if o.FirstParent {
		arguments = append(arguments, "--first-parent", "--diff-merges=first-parent")
	} else {
		arguments = append(arguments, "--diff-merges=dense-combined")
	}
	if diffs {
		arguments = append(arguments, "--patch", "-U3", "-M", "--submodule=short", "--src-prefix=a/", "--dst-prefix=b/", "--diff-algorithm=histogram")
	} else {
		arguments = append(arguments, "--no-renames")
	}
	arguments = append(arguments, of.New)
	if of.Base != "" {
		arguments = append(arguments, "^"+of.Base)
	}
	if of.Previous != "" && of.Previous != of.Base {
		arguments = append(arguments, "^"+of.Previous)
	}
	return append(append(arguments, "--"), o.Paths...)
}

func commitsText(n int) string {
	if n == 1 {
		return "one commit"
	}
	return fmt.Sprintf("%d commits", n)
}

func join(a, b string) string {
	if a == "" || b == "" {
		return a + b
	}
	return a + "; " + b
}

// attributesFile tells git which language a file is in, so that hunk headers
// name methods instead of classes. A repository's own .gitattributes win.
func attributesFile() (name string, remove func(), err error) {
	f, err := os.CreateTemp("", "deployloop-attributes-")
	if err != nil {
		return "", nil, err
	}
	remove = func() { _ = os.Remove(f.Name()) }
	_, err = f.WriteString(languages)
	if closeErr := f.Close(); err == nil {
		err = closeErr
	}
	if err != nil {
		remove()
		return "", nil, err
	}
	return f.Name(), remove, nil
}

const languages = `*.go diff=golang
*.java diff=java
*.kt diff=kotlin
*.kts diff=kotlin
*.py diff=python
*.rb diff=ruby
*.rs diff=rust
*.cs diff=csharp
*.php diff=php
*.c diff=cpp
*.h diff=cpp
*.cc diff=cpp
*.cpp diff=cpp
*.hpp diff=cpp
*.ex diff=elixir
*.exs diff=elixir
*.js diff=ecmascript
*.mjs diff=ecmascript
*.cjs diff=ecmascript
*.jsx diff=ecmascript
*.ts diff=ecmascript
*.tsx diff=ecmascript
*.scala diff=scala
*.swift diff=swift
`

// extraDrivers are the languages that git does not know itself.
var extraDrivers = map[string]string{
	"ecmascript": `!^[[:space:]]*(if|for|while|switch|catch|return|else|do)[^A-Za-z0-9_$]` + "\n" +
		`^[[:space:]]*((export[[:space:]]+)?(default[[:space:]]+)?(async[[:space:]]+)?(function|class|interface|namespace)[^A-Za-z0-9_$].*)$` + "\n" +
		`^[[:space:]]*((export[[:space:]]+)?(const|let|var)[[:space:]]+[A-Za-z0-9_$]+.*=>.*)$` + "\n" +
		`^[[:space:]]*(((public|private|protected|static|async|get|set)[[:space:]]+)*[A-Za-z0-9_$#]+[[:space:]]*\([^;]*\{)[[:space:]]*$`,
	"scala": `^[[:space:]]*(.*(def|class|object|trait)[[:space:]]+[A-Za-z0-9_$]+.*)$`,
	"swift": `^[[:space:]]*(.*(func|class|struct|enum|protocol|extension|init)[^A-Za-z0-9_$].*\{?)$`,
}

// shallowIDs are the commits at which a shallow clone was cut.
func (r *Repository) shallowIDs() map[string]bool {
	text, err := os.ReadFile(filepath.Join(r.commonDir(), "shallow"))
	if err != nil || len(text) > 1<<20 {
		return nil
	}
	ids := map[string]bool{}
	for line := range strings.Lines(string(text)) {
		ids[strings.TrimSpace(line)] = true
	}
	return ids
}

// Shallow tells whether the clone lacks older commits.
func (r *Repository) Shallow() bool { return len(r.shallowIDs()) > 0 }

// commonDir is where a worktree's repository keeps what all worktrees share.
func (r *Repository) commonDir() string {
	text, err := os.ReadFile(filepath.Join(r.dir, "commondir"))
	if err != nil {
		return r.dir
	}
	dir := strings.TrimRight(string(text), "\r\n")
	if !filepath.IsAbs(dir) {
		dir = filepath.Join(r.dir, dir)
	}
	return dir
}

// asChange fills the lists of names of a commit from its files.
func asChange(c *event.Change, f suspect.FileDiff, status byte) {
	switch status {
	case 'A', 'C':
		c.Added = append(c.Added, f.Path)
	case 'D':
		c.Removed = append(c.Removed, f.Path)
	case 'R':
		c.Added = append(c.Added, f.Path)
		if !slices.Contains(c.Removed, f.OldPath) {
			c.Removed = append(c.Removed, f.OldPath)
		}
	default:
		c.Modified = append(c.Modified, f.Path)
	}
}
