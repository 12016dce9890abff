package main

import (
	"os"
	"path/filepath"
	"strings"

	"github.com/deployloop/deployloop/internal/event"
	"github.com/deployloop/deployloop/internal/wording"
)

// places leads what judgements are about to files of the repository.
type places struct {
	root   string // of the repository
	module string // the Go module of this folder, and where it is
	folder string
}

func newPlaces(root string) places {
	p := places{root: root}
	here, err := os.Getwd()
	for last := ""; err == nil && here != last; last, here = here, filepath.Dir(here) {
		text, err := os.ReadFile(filepath.Join(here, "go.mod"))
		if err != nil {
			continue
		}
		for line := range strings.Lines(string(text)) {
			if name, ok := strings.CutPrefix(line, "module "); ok {
				name, _, _ = strings.Cut(name, "//")
				p.module, p.folder = strings.Trim(strings.TrimSpace(name), `"`), here
				return p
			}
		}
	}
	return p
}

// details are wording's, with the path that an editor opens and a person tells
// one file from another by.
func (p places) details(j event.Judgement) []string {
	if file, _ := p.of(j); j.Test != nil && file != j.Test.File {
		t := *j.Test
		t.File, j.Test = file, &t
	}
	return wording.JudgementDetails(j)
}

// of is the file and line of a judgement. A forge shows an annotation where its path
// is the repository's; of a test file go test tells the name alone.
func (p places) of(j event.Judgement) (string, int) {
	switch {
	case j.Finding != nil:
		return j.Finding.File, j.Finding.Line
	case j.Test == nil:
		return "", 0
	}
	t := *j.Test
	below, ours := strings.CutPrefix(t.Suite, p.module)
	if p.module == "" || !ours || strings.Contains(t.File, "/") || !strings.HasSuffix(t.File, ".go") || below != "" && below[0] != '/' {
		return t.File, t.Line
	}
	file := filepath.Join(p.folder, filepath.FromSlash(below), t.File)
	if _, err := os.Stat(file); err != nil {
		return t.File, t.Line
	}
	if path, err := filepath.Rel(p.root, file); err == nil && filepath.IsLocal(path) {
		return filepath.ToSlash(path), t.Line
	}
	return t.File, t.Line
}
