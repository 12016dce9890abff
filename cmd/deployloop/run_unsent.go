package main

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/deployloop/deployloop/internal/endpoint"
	"github.com/deployloop/deployloop/internal/wording"
)

// sendAgain keeps what was not taken in a file, and gives the command that sends it,
// with the reports where those were not taken either.
func (r *runSender) sendAgain(lines [][]byte, reports bool) string {
	words := []string{"deployloop", "report"}
	if r.to.endpoint != "" {
		words = append(words, "--endpoint", wording.ShellQuote(endpoint.Shown(r.to.endpoint)))
	}
	for _, f := range []struct{ name, value string }{
		{"--revision", r.what.revision}, {"--repository", r.what.repository}, {"--ref", r.what.ref}, {"--base", r.what.base}, {"--run-id", r.what.runID}, {"--root", r.what.told},
	} {
		if f.value != "" {
			words = append(words, f.name, wording.ShellQuote(f.value))
		}
	}
	named := len(words)
	if len(lines) > 0 {
		if name, err := r.keep(lines); err == nil {
			words = append(words, wording.ShellQuote(name))
		}
	}
	if reports && len(r.files) > 0 {
		for _, glob := range r.globs {
			words = append(words, wording.ShellQuote(glob))
		}
	}
	if len(words) == named {
		return ""
	}
	return strings.Join(words, " ")
}

// maxUnsentFiles bounds what is kept of steps: the oldest files make room.
const maxUnsentFiles = 20

// keep writes lines to a file of their own: the command that sends them again must
// not find those of another step, or of the same step later.
func (r *runSender) keep(lines [][]byte) (name string, err error) {
	f, err := unsentFile()
	if err != nil {
		return "", err
	}
	for _, line := range lines {
		if _, err = f.Write(append(line, '\n')); err != nil {
			break
		}
	}
	if closed := f.Close(); err == nil {
		err = closed
	}
	if err != nil {
		_ = os.Remove(f.Name()) // half of it is not sent again
	}
	return f.Name(), err
}

func unsentFile() (*os.File, error) {
	const pattern = "deployloop-unsent-*.jsonl"
	dirs := []string{os.TempDir()}
	if cache, err := os.UserCacheDir(); err == nil {
		cache = filepath.Join(cache, "deployloop")
		if os.MkdirAll(cache, 0o700) == nil {
			dirs = []string{cache, dirs[0]}
		}
	}
	var errs []error
	for _, dir := range dirs {
		makeRoom(filepath.Join(dir, pattern))
		f, err := os.CreateTemp(dir, pattern) // for nobody else to read
		if err == nil {
			return f, nil
		}
		errs = append(errs, err)
	}
	return nil, errors.Join(errs...)
}

// makeRoom removes the oldest files of a pattern until one more has room.
func makeRoom(pattern string) {
	names, _ := filepath.Glob(pattern) // a folder with a pattern's signs keeps them all
	written := map[string]time.Time{}
	for _, name := range names {
		if info, err := os.Lstat(name); err == nil {
			written[name] = info.ModTime()
		}
	}
	slices.SortFunc(names, func(a, b string) int { return written[b].Compare(written[a]) })
	for _, name := range names[min(len(names), maxUnsentFiles-1):] {
		_ = os.Remove(name) // of another user it stays
	}
}
