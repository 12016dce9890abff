package demo

import (
	"fmt"
	"io"
	"strings"
	"sync"
	"time"
	"unicode/utf8"

	"github.com/deployloop/deployloop/internal/event"
	"github.com/deployloop/deployloop/internal/terminal"
	"github.com/deployloop/deployloop/internal/wording"
)

// narrator tells the loop as it goes, one calm line at a time.
type narrator struct {
	mu    sync.Mutex
	w     io.Writer
	p     terminal.Painter
	begin time.Time
}

func newNarrator(w io.Writer, begin time.Time) *narrator {
	return &narrator{w: w, p: terminal.NewPainter(w), begin: begin}
}

// say prints a line with the time since the start.
func (n *narrator) say(mark, text string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	t := time.Since(n.begin).Round(time.Second)
	fmt.Fprintf(n.w, "  %s  %s  %s\n", n.p.Dim(fmt.Sprintf("%d:%02d", int(t.Minutes()), int(t.Seconds())%60)), mark, text)
}

func (n *narrator) step(format string, args ...any) {
	n.say(n.p.Dim("·"), fmt.Sprintf(format, args...))
}
func (n *narrator) good(format string, args ...any) {
	n.say(n.p.Good("✓"), fmt.Sprintf(format, args...))
}
func (n *narrator) bad(format string, args ...any) {
	n.say(n.p.Bad("✗"), n.p.Bold(fmt.Sprintf(format, args...)))
}

// chapter opens a part of the story.
func (n *narrator) chapter(title string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	fmt.Fprintf(n.w, "\n  %s\n", n.p.Bold(title))
}

// detail prints indented lines below the last, with a name before the first.
func (n *narrator) detail(name, text string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	for i, line := range wrap(text, textWidth) {
		if i > 0 {
			name = ""
		}
		fmt.Fprintf(n.w, "           %s %s\n", n.p.Dim(fmt.Sprintf("%-9s", name)), line)
	}
}

// figure prints one line of the summary.
func (n *narrator) figure(name, text string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	fmt.Fprintf(n.w, "           %s  %s\n", n.p.Dim(fmt.Sprintf("%-28s", name)), text)
}

// textWidth is the most columns of a paragraph, so that it reads on a terminal
// of a hundred.
const textWidth = 78

// wrap breaks text into lines of at most width columns; a longer word, such as
// a command or an address, keeps a line of its own.
func wrap(text string, width int) []string {
	var lines []string
	for _, paragraph := range strings.Split(strings.TrimRight(text, "\n"), "\n") {
		line, used := "", 0
		for _, word := range strings.Fields(paragraph) {
			size := utf8.RuneCountInString(word)
			if used > 0 && used+1+size > width {
				lines = append(lines, line)
				line, used = "", 0
			}
			if used > 0 {
				line, used = line+" ", used+1
			}
			line, used = line+word, used+size
		}
		lines = append(lines, line)
	}
	return lines
}

// patch prints the changed lines of a commit.
func (n *narrator) patch(hunk string, limit int) {
	if hunk == "" {
		return
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	lines := strings.Split(strings.TrimRight(hunk, "\n"), "\n")
	for i, line := range lines {
		if i == limit {
			fmt.Fprintf(n.w, "                     %s\n", n.p.Dim(fmt.Sprintf("… %d more lines", len(lines)-limit)))
			return
		}
		switch {
		case strings.HasPrefix(line, "+"):
			line = n.p.Good(line)
		case strings.HasPrefix(line, "-"):
			line = n.p.Bad(line)
		default:
			line = n.p.Dim(line)
		}
		fmt.Fprintf(n.w, "                     %s\n", strings.ReplaceAll(line, "\t", "    "))
	}
}

// summarize ends the story with its figures, or with what was not kept.
func (p *play) summarize() {
	r := p.result
	if !r.Passed {
		p.chapter(p.p.Bad("The loop did not close"))
		for _, problem := range r.Problems {
			p.bad("%s", problem)
		}
		return
	}
	p.chapter("The loop has closed")
	named := event.ShortRevision(r.Suspect) + ", the right one, at " + wording.Percent(r.Confidence)
	if r.Abstained {
		named = "none named: the evidence points into no commit"
	}
	p.figure("push → new failure told", r.PushToHeard.String())
	p.figure("deploy → verdict", r.DeployToVerdict.String())
	if r.FirstBadToVerdict > 0 {
		p.figure("first bad request → verdict", r.FirstBadToVerdict.String())
	}
	p.figure("deploy → person on call", r.DeployToAlert.String())
	p.figure("rollback → alert resolved", r.RollbackToResolve.String())
	p.figure("commit", named)
	if s := r.Stack; s != nil {
		p.figure("verdict → Prometheus' rule", s.VerdictToRule.String())
		p.figure("rollback → rule cleared", s.RollbackToCleared.String())
		p.figure("queries of dashboards", fmt.Sprintf("%d asked, all with series", s.Queries))
	}
	fmt.Fprintln(p.w)
}
