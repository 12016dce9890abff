package main

import (
	"crypto/sha256"
	"encoding/hex"
	"os"
	"path/filepath"
	"strings"

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
		{"--revision", r.what.revision}, {"--repository", r.what.repository}, {"--ref", r.what.ref}, {"--base", r.what.base}, {"--run-id", r.what.runID},
	} {
		if f.value != "" {
			words = append(words, f.name, wording.ShellQuote(f.value))
		}
	}
	named := len(words)
	if name, err := r.keep(lines); err == nil && len(lines) > 0 {
		words = append(words, wording.ShellQuote(name))
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

// keep writes lines to a file of this step in this folder: the next time that they
// are not taken they take the place of these.
func (r *runSender) keep(lines [][]byte) (name string, err error) {
	f, err := r.unsentFile()
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
	return f.Name(), err
}

func (r *runSender) unsentFile() (*os.File, error) {
	const name = "deployloop-unsent-"
	where, _ := os.Getwd()
	sum := sha256.Sum256([]byte(where + "\x00" + r.name))
	if dir, err := os.UserCacheDir(); err == nil {
		dir = filepath.Join(dir, "deployloop")
		if os.MkdirAll(dir, 0o700) == nil {
			f, err := os.OpenFile(filepath.Join(dir, name+hex.EncodeToString(sum[:6])+".jsonl"), os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600)
			if err == nil {
				return f, nil
			}
		}
	}
	return os.CreateTemp("", name+"*.jsonl")
}
