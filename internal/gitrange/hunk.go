package gitrange

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/deployloop/deployloop/internal/suspect"
)

// hunkState is a place of git's diff (changes with unchanged lines around),
// while it is cut into runs of changed lines without unchanged ones between.
type hunkState struct {
	function string
	parents  int // 1, or more in a merge
	oldLeft  []int
	newLeft  int
	oldAt    int // next line of the first parent
	newAt    int

	before []string // the last unchanged lines
	run    run
}

type run struct {
	open   bool
	hunk   suspect.Hunk
	text   strings.Builder
	before int // unchanged lines in text before it
	after  int // and after it so far
	whole  bool
}

func (h *hunkState) open() bool {
	if h.parents == 0 {
		return false
	}
	if h.newLeft > 0 {
		return true
	}
	for _, n := range h.oldLeft {
		if n > 0 {
			return true
		}
	}
	return false
}

// hunkHeader reads "@@ -3,4 +5,6 @@ function", with one @ and one - part more
// for each further parent of a merge.
func (p *parser) hunkHeader(line []byte) {
	p.endHunk()
	text := string(line)
	at := 0
	for at < len(text) && text[at] == '@' {
		at++
	}
	parents := at - 1
	marks := text[:at]
	ranges, function, ok := strings.Cut(text[at:], " "+marks)
	fields := strings.Fields(ranges)
	if !ok || parents < 1 || parents > 64 || len(fields) != parents+1 {
		return
	}
	h := &p.hunk
	h.oldLeft = h.oldLeft[:0]
	for i, field := range fields {
		start, count := span(field)
		if count == 0 {
			start++ // it names the line before
		}
		switch {
		case i == len(fields)-1:
			h.newAt, h.newLeft = start, count
		default:
			if i == 0 {
				h.oldAt = start
			}
			h.oldLeft = append(h.oldLeft, count)
		}
	}
	h.parents = parents
	h.function = cut(strings.TrimSpace(strings.ToValidUTF8(function, "\uFFFD")), 200)
	h.before = h.before[:0]
	h.run = run{}
}

// span reads "-3,4" or "+5".
func span(field string) (start, count int) {
	if field == "" {
		return 0, 0
	}
	a, b, two := strings.Cut(field[1:], ",")
	start, _ = strconv.Atoi(a)
	count = 1
	if two {
		count, _ = strconv.Atoi(b)
	}
	return max(start, 0), max(count, 0)
}

// hunkLine reads one line of a hunk.
func (p *parser) hunkLine(line []byte) {
	h := &p.hunk
	if len(line) > 0 && line[0] == '\\' { // "\ No newline at end of file"
		return
	}
	marks := string(line[:min(len(line), h.parents)])
	for len(marks) < h.parents {
		marks += " "
	}
	body := cut(strings.ToValidUTF8(string(line[min(len(line), h.parents):]), "\uFFFD"), maxLine)
	added, removed := strings.ContainsRune(marks, '+'), strings.ContainsRune(marks, '-')
	for i := range h.oldLeft {
		// A parent has the line unless it is new to it; a removed line is
		// shown with blanks for the parents that never had it.
		if marks[i] == '-' || marks[i] == ' ' && !removed {
			h.oldLeft[i]--
		}
	}
	if !removed {
		h.newLeft--
	}
	switch {
	case removed:
		p.changed(body, '-')
		if marks[0] == '-' {
			h.run.hunk.OldLines++
			h.oldAt++
		}
	case added:
		p.changed(body, '+')
		h.run.hunk.NewLines++
		h.newAt++
		if marks[0] == ' ' {
			h.run.hunk.OldLines++
			h.oldAt++
		}
	default:
		p.unchanged(body)
		h.oldAt++
		h.newAt++
	}
	if !h.open() {
		p.endHunk()
	}
}

// changed puts a line into the current run, or begins one. The caller has just
// counted it off, but not yet moved oldAt and newAt.
func (p *parser) changed(body string, mark byte) {
	h := &p.hunk
	if h.run.open && h.run.after > 0 {
		p.endRun()
	}
	if !h.run.open {
		h.run = run{open: true, whole: true, hunk: suspect.Hunk{NewStart: h.newAt, OldStart: h.oldAt, Function: h.function}}
		for _, line := range h.before {
			h.run.excerpt(' ', line)
		}
		h.run.before, h.before = len(h.before), h.before[:0]
	}
	f := p.current()
	if f == nil {
		return
	}
	lines, count := &h.run.hunk.Added, &f.Added
	if mark == '-' {
		lines, count = &h.run.hunk.Removed, &f.Removed
	}
	*count++
	if p.commitBytes+len(body) > p.limits.MaxDiffBytes || p.bytes+len(body) > p.limits.MaxTotalBytes {
		f.Truncated, p.commitLost, h.run.whole = true, true, false
		return
	}
	p.commitBytes += len(body) + 16 // with the header of a string
	p.bytes += len(body) + 16
	*lines = append(*lines, body)
	h.run.excerpt(mark, body)
}

func (p *parser) unchanged(body string) {
	h := &p.hunk
	if h.run.open && h.run.after < contextSize {
		h.run.excerpt(' ', body)
		h.run.after++
	} else if h.run.open {
		p.endRun()
	}
	if len(h.before) == contextSize {
		copy(h.before, h.before[1:])
		h.before = h.before[:contextSize-1]
	}
	h.before = append(h.before, body)
}

func (r *run) excerpt(mark byte, line string) {
	if r.text.Len()+len(line) > maxExcerpt {
		return
	}
	r.text.WriteByte(mark)
	r.text.WriteString(line)
	r.text.WriteByte('\n')
}

func (p *parser) endRun() {
	r := &p.hunk.run
	if !r.open {
		return
	}
	r.open = false
	f := p.current()
	if f == nil {
		return
	}
	if p.commitHunks >= MaxHunks {
		f.Truncated, p.commitLost = true, true
		return
	}
	p.commitHunks++
	h := r.hunk
	if r.whole {
		around := r.before + r.after
		h.Text = fmt.Sprintf("@@ -%s +%s @@ %s\n%s", place(h.OldStart-r.before, h.OldLines+around), place(h.NewStart-r.before, h.NewLines+around), h.Function, r.text.String())
		p.bytes += len(h.Text)
		p.commitBytes += len(h.Text)
	}
	if h.NewLines == 0 {
		h.NewStart--
	}
	if h.OldLines == 0 {
		h.OldStart--
	}
	f.Hunks = append(f.Hunks, h)
}

// place is one side of a hunk's header; without lines it names the one before.
func place(start, lines int) string {
	if lines == 0 {
		start--
	}
	if lines == 1 {
		return strconv.Itoa(start)
	}
	return strconv.Itoa(start) + "," + strconv.Itoa(lines)
}

func (p *parser) endHunk() {
	p.endRun()
	p.hunk.parents = 0
}

// cut shortens to at most n bytes, at a character's border.
func cut(s string, n int) string {
	if len(s) <= n {
		return s
	}
	return strings.ToValidUTF8(s[:n], "")
}
