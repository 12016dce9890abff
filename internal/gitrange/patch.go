package gitrange

import (
	"bufio"
	"bytes"
	"io"
	"strings"

	"github.com/deployloop/deployloop/internal/suspect"
)

// ReadPatch fills a file's counts and hunks from a patch without headers of
// files, as GitHub and GitLab tell one. An empty one of a file that did change
// is a diff that the forge left out.
func ReadPatch(f *suspect.FileDiff, patch string) {
	p := newPatchParser(strings.NewReader(patch))
	p.add(*f)
	p.readHunks()
	*f = p.commits[0].Files[0]
	f.Truncated = f.Truncated || p.hunk.open() // it was cut
}

// ReadDiff reads the patches of one commit in git's own form, as Gitea tells
// them. What is no part of a patch is skipped.
func ReadDiff(diff []byte) []suspect.FileDiff {
	p := newPatchParser(bytes.NewReader(diff))
	for {
		line, err := p.line()
		if err != nil {
			p.endHunk()
			return p.commits[0].Files
		}
		p.diffLine(line)
	}
}

func newPatchParser(in io.Reader) *parser {
	return &parser{in: bufio.NewReaderSize(in, 64<<10), limits: Options{}.withDefaults(), file: -1, commits: []suspect.Commit{{}}}
}

// add makes a file the one whose patch is read.
func (p *parser) add(f suspect.FileDiff) {
	p.endHunk()
	c := &p.commits[0]
	if len(c.Files) >= MaxFiles {
		p.file = -1
		return
	}
	c.Files = append(c.Files, f)
	p.file = len(c.Files) - 1
}

func (p *parser) readHunks() {
	for {
		line, err := p.line()
		if err != nil {
			if !p.hunk.open() {
				p.endHunk()
			} else {
				p.endRun() // cut short: what came counts, and open says so
			}
			return
		}
		switch {
		case p.hunk.open():
			p.hunkLine(line)
		case bytes.HasPrefix(line, []byte("@@")):
			p.hunkHeader(line)
		}
	}
}

// diffLine reads one line of git's diff.
func (p *parser) diffLine(line []byte) {
	if p.hunk.open() {
		p.hunkLine(line)
		return
	}
	text := string(line)
	if rest, ok := strings.CutPrefix(text, "diff --git "); ok {
		p.add(suspect.FileDiff{Path: unquote(newName(rest))})
		return
	}
	f := p.current()
	if f == nil {
		return
	}
	switch {
	case strings.HasPrefix(text, "@@"):
		p.hunkHeader(line)
	case strings.HasPrefix(text, "rename from "):
		f.OldPath = unquote(text[len("rename from "):])
	case strings.HasPrefix(text, "rename to "):
		f.Path = unquote(text[len("rename to "):])
	case strings.HasPrefix(text, "+++ "):
		if name := unquote(strings.TrimSuffix(text[len("+++ "):], "\t")); strings.HasPrefix(name, "b/") {
			f.Path = name[len("b/"):]
		}
	case strings.HasPrefix(text, "Binary files "), strings.HasPrefix(text, "GIT binary patch"):
		f.Binary = true
	case strings.HasSuffix(text, " 160000") || text == "new file mode 160000" || text == "deleted file mode 160000":
		f.Submodule = true
	}
}

// newName is the second name of "a/x b/x". Only of a file without hunks it is
// needed, and there both names are the same.
func newName(names string) string {
	if strings.HasPrefix(names, `"`) || strings.HasSuffix(names, `"`) {
		if i := strings.LastIndex(names, ` "b/`); i >= 0 {
			return `"` + names[i+len(` "b/`):]
		}
	}
	if half := len(names) / 2; len(names)%2 == 1 && names[half] == ' ' && strings.HasPrefix(names, "a/") {
		return names[half+len(" b/"):]
	}
	if i := strings.LastIndex(names, " b/"); i >= 0 {
		return names[i+len(" b/"):]
	}
	return names
}
