package gitrange

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"strconv"
	"strings"
	"time"

	"github.com/deployloop/deployloop/internal/event"
	"github.com/deployloop/deployloop/internal/suspect"
)

// Limits of what one line, message or hunk may hold.
const (
	maxLine     = 1 << 10 // of a changed line, in bytes; the rest is dropped
	maxMessage  = 16 << 10
	maxExcerpt  = 3 << 10 // of Hunk.Text
	contextSize = 3       // lines around a change in Hunk.Text
)

// parser reads `git log --raw --patch` as log asks for it, one line at a time,
// so that a range costs only what is kept of it.
type parser struct {
	in         *bufio.Reader
	nonce      string
	repository string
	limits     Options

	commits     []suspect.Commit
	bytes       int // kept text of all commits
	droppedText int // commits that lost text

	commitBytes int  // kept text of the current commit
	commitHunks int  // of the current commit
	commitLost  bool // the current commit lost text

	raw  []rawName // of the current commit, as its Files
	file int       // index in raw and Files of the patch being read, -1: none
	hunk hunkState
}

// rawName is a file's name as git quoted it.
type rawName struct{ old, new string }

var errForm = errors.New("git log told something that is not understood")

// run parses till the end, or till one commit more than the limit was seen.
func (p *parser) run() error {
	start := []byte(p.nonce + "C")
	for {
		line, err := p.line()
		if errors.Is(err, io.EOF) {
			p.endCommit()
			return nil
		}
		if err != nil {
			return err
		}
		if p.hunk.open() {
			p.hunkLine(line)
			continue
		}
		if bytes.Equal(line, start) {
			p.endCommit()
			if len(p.commits) > p.limits.MaxCommits {
				return nil
			}
			if err := p.header(); err != nil {
				return err
			}
			continue
		}
		if len(p.commits) == 0 || len(line) == 0 {
			continue
		}
		switch {
		case line[0] == ':':
			p.rawLine(line)
		case bytes.HasPrefix(line, []byte("diff --git ")):
			p.selectFile(func(n rawName) bool {
				return string(line[len("diff --git "):]) == prefixed("a/", n.old)+" "+prefixed("b/", n.new)
			})
		case bytes.HasPrefix(line, []byte("diff --cc ")), bytes.HasPrefix(line, []byte("diff --combined ")):
			name := string(line[bytes.IndexByte(line[len("diff --c"):], ' ')+len("diff --c")+1:])
			p.selectFile(func(n rawName) bool { return n.new == name })
		case bytes.HasPrefix(line, []byte("@@")):
			p.hunkHeader(line)
		case bytes.HasPrefix(line, []byte("Binary files ")):
			if f := p.current(); f != nil {
				f.Binary = true
			}
		}
	}
}

// line reads one line without its end; what is beyond maxLine of it is
// dropped. It is valid until the next call.
func (p *parser) line() ([]byte, error) {
	line, err := p.in.ReadSlice('\n')
	if errors.Is(err, bufio.ErrBufferFull) {
		line = bytes.Clone(line)
		for errors.Is(err, bufio.ErrBufferFull) {
			_, err = p.in.ReadSlice('\n')
		}
	}
	if err != nil && (!errors.Is(err, io.EOF) || len(line) == 0) {
		return nil, err
	}
	return bytes.TrimSuffix(line, []byte("\n")), nil
}

// cutShort is the error of a log that ends within a commit.
func cutShort(err error) error {
	if errors.Is(err, io.EOF) {
		return errForm
	}
	return err
}

// header reads a commit up to the end of its message.
func (p *parser) header() error {
	var fields [5]string // id, parents, author, e-mail, time
	for i := range fields {
		line, err := p.line()
		if err != nil {
			return cutShort(err)
		}
		fields[i] = strings.ToValidUTF8(string(line), "\uFFFD")
		if strings.HasPrefix(fields[i], "%") && len(fields[i]) == 3 {
			fields[i] = "" // a broken commit has none: git leaves the placeholder
		}
	}
	var message strings.Builder
	end := p.nonce + "E"
	for {
		line, err := p.line()
		if err != nil {
			return cutShort(err)
		}
		if string(line) == end {
			break
		}
		if message.Len()+len(line) < maxMessage {
			message.Write(line)
			message.WriteByte('\n')
		}
	}
	at, err := time.Parse(time.RFC3339, fields[4])
	if err != nil {
		at = time.Time{} // a commit may hold any date
	}
	parents := strings.Fields(fields[1])
	p.commits = append(p.commits, withTrailers(suspect.Commit{
		Change: event.Change{
			Repository: p.repository, Revision: fields[0], Parents: parents, At: at,
			Message: strings.TrimSpace(strings.ToValidUTF8(message.String(), "\uFFFD")),
			Author:  fields[2], Email: fields[3],
		},
		Merge: len(parents) > 1,
	}))
	p.raw, p.file = p.raw[:0], -1
	return nil
}

func (p *parser) endCommit() {
	p.endHunk()
	if p.commitLost {
		p.droppedText++
	}
	p.commitBytes, p.commitHunks, p.commitLost = 0, 0, false
	p.file = -1
}

// rawLine reads ":100644 100644 <id> <id> M<tab>name[<tab>new name]", with more
// colons, modes and ids for a merge.
func (p *parser) rawLine(line []byte) {
	c := &p.commits[len(p.commits)-1]
	head, names, ok := strings.Cut(string(line), "\t")
	if !ok {
		return
	}
	fields := strings.Fields(strings.TrimLeft(head, ":"))
	if len(fields) < 3 {
		return
	}
	if len(c.Files) >= MaxFiles {
		p.commitLost = true
		return
	}
	status := fields[len(fields)-1][0]
	old, new, renamed := strings.Cut(names, "\t")
	if !renamed {
		new = old
	}
	p.raw = append(p.raw, rawName{old, new})
	f := suspect.FileDiff{Path: unquote(new)}
	if renamed && status == 'R' {
		f.OldPath = unquote(old)
	}
	parents := len(head) - len(strings.TrimLeft(head, ":"))
	f.Submodule = fields[0] == "160000" || len(fields) > parents && fields[parents] == "160000"
	c.Files = append(c.Files, f)
	asChange(&c.Change, f, status)
}

// selectFile finds the file that a patch is of: the next, or the same again (a
// file that became a link is told as two patches).
func (p *parser) selectFile(is func(rawName) bool) {
	p.endHunk()
	for _, i := range []int{p.file + 1, p.file} {
		if i >= 0 && i < len(p.raw) && is(p.raw[i]) {
			p.file = i
			return
		}
	}
	for i := range p.raw {
		if is(p.raw[i]) {
			p.file = i
			return
		}
	}
	p.file = -1 // beyond MaxFiles
}

func (p *parser) current() *suspect.FileDiff {
	if p.file < 0 || len(p.commits) == 0 {
		return nil
	}
	files := p.commits[len(p.commits)-1].Files
	if p.file >= len(files) {
		return nil
	}
	return &files[p.file]
}

// prefixed puts a/ or b/ before a name as git quotes it.
func prefixed(prefix, quoted string) string {
	if strings.HasPrefix(quoted, `"`) {
		return `"` + prefix + quoted[1:]
	}
	return prefix + quoted
}

// unquote undoes git's C-style quoting and makes the name valid UTF-8: bytes
// that are not become U+FFFD, as the name is for people, paths and JSON.
func unquote(name string) string {
	if strings.HasPrefix(name, `"`) {
		if plain, err := strconv.Unquote(name); err == nil {
			name = plain
		}
	}
	return strings.ToValidUTF8(name, "\uFFFD")
}
