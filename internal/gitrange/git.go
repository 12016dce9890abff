package gitrange

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

// Errors that a caller can tell apart.
var (
	// ErrNoGit: there is no git program; push events serve instead (FromChanges).
	ErrNoGit = errors.New("no git program in PATH: install git, or let push events tell the commits")
	// ErrNoRepository: the path is no git repository.
	ErrNoRepository = errors.New("not a git repository")
	// ErrUnknownRevision: a revision that is needed is not in the clone.
	ErrUnknownRevision = errors.New("revision is not in this clone: run git fetch there, or give a clone that has it")
)

// Repository is a local clone that is only read. It is safe for concurrent use.
type Repository struct {
	git       string // the program
	path      string // what was opened
	dir       string // the absolute git directory
	intervals func(commits int) []interval
	cache     *cache
}

// Open finds the repository that holds path (a working tree, a folder in one,
// or a bare repository).
func Open(path string) (*Repository, error) {
	program, err := exec.LookPath("git")
	if err != nil {
		return nil, ErrNoGit
	}
	absolute, err := filepath.Abs(path)
	if err != nil {
		return nil, err
	}
	if info, err := os.Stat(absolute); err != nil {
		return nil, err
	} else if !info.IsDir() {
		return nil, fmt.Errorf("%s: %w", path, ErrNoRepository)
	}
	r := &Repository{git: program, path: absolute, intervals: intervals, cache: newCache()}
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	out, err := r.output(ctx, nil, "rev-parse", "--absolute-git-dir")
	if err != nil {
		return nil, fmt.Errorf("%s: %w (%w)", path, ErrNoRepository, err)
	}
	r.dir = strings.TrimRight(string(out), "\n")
	return r, nil
}

// hardened is what keeps a foreign repository's configuration from running
// programs, reaching the network, asking questions or changing what git prints.
// safe.directory is every folder: whoever configures the path has vouched for it.
var hardened = []string{
	"--no-pager", "--no-replace-objects", "--glob-pathspecs",
	"-c", "safe.directory=*",
	"-c", "core.hooksPath=" + os.DevNull,
	"-c", "core.fsmonitor=false",
	"-c", "core.quotePath=true",
	"-c", "core.bigFileThreshold=8m", // larger files are told as binary instead of being compared
	"-c", "log.showSignature=false",
	"-c", "log.mailmap=true",
	"-c", "log.showRoot=true",
	"-c", "diff.renameLimit=400",
	"-c", "diff.orderFile=" + os.DevNull,
	"-c", "diff.relative=false",
	"-c", "log.follow=false",
	"-c", "diff.interHunkContext=0",
	"-c", "diff.suppressBlankEmpty=false",
	"-c", "diff.submodule=short",
	"-c", "i18n.logOutputEncoding=UTF-8",
	"-c", "protocol.allow=never", // a partial clone does not fetch what it lacks
	"-c", "gc.auto=0",
	"-c", "maintenance.auto=false",
}

// command is git with the arguments, in an environment without the caller's GIT_*.
func (r *Repository) command(ctx context.Context, arguments ...string) *exec.Cmd {
	all := make([]string, 0, len(hardened)+len(arguments)+2)
	all = append(all, hardened...)
	if r.dir != "" {
		all = append(all, "--git-dir="+r.dir)
	}
	cmd := exec.CommandContext(ctx, r.git, append(all, arguments...)...)
	cmd.Dir = r.path
	cmd.Env = []string{
		"PATH=" + os.Getenv("PATH"), "LC_ALL=C", "HOME=" + os.DevNull,
		"GIT_CONFIG_NOSYSTEM=1", "GIT_CONFIG_GLOBAL=" + os.DevNull, "GIT_ATTR_NOSYSTEM=1",
		"GIT_OPTIONAL_LOCKS=0", "GIT_TERMINAL_PROMPT=0", "GIT_NO_LAZY_FETCH=1", "GIT_FLUSH=0",
		"GIT_GRAFT_FILE=" + os.DevNull, // as --no-replace-objects: the history that the commits themselves tell
	}
	cmd.WaitDelay = time.Second // a pipe that a killed git left open ends the wait too
	return cmd
}

// output runs a short command; more than 1 MiB of output is an error.
func (r *Repository) output(ctx context.Context, stdin io.Reader, arguments ...string) ([]byte, error) {
	cmd := r.command(ctx, arguments...)
	out, problem := &limited{left: 1 << 20}, &limited{left: 4 << 10}
	cmd.Stdin, cmd.Stdout, cmd.Stderr = stdin, out, problem
	if err := cmd.Run(); err != nil {
		return nil, gitError(ctx, err, problem)
	}
	if out.lost {
		return nil, errors.New("git told more than 1 MiB")
	}
	return out.Bytes(), nil
}

func gitError(ctx context.Context, err error, problem *limited) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if text := strings.TrimSpace(strings.ToValidUTF8(problem.String(), "?")); text != "" {
		return fmt.Errorf("git: %s", text)
	}
	return fmt.Errorf("git: %w", err)
}

// limited keeps the first bytes and drops the rest, so that git never blocks on it.
type limited struct {
	bytes.Buffer
	left int
	lost bool
}

func (l *limited) Write(p []byte) (int, error) {
	kept := p[:min(len(p), l.left)]
	l.left -= len(kept)
	l.lost = l.lost || len(kept) < len(p)
	_, _ = l.Buffer.Write(kept)
	return len(p), nil
}
