package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/deployloop/deployloop/internal/event"
	"github.com/deployloop/deployloop/internal/terminal"
	"github.com/deployloop/deployloop/internal/wording"
)

// screen is what a person sees: the command's output, failures as they happen and,
// on a terminal, one line of progress below.
type screen struct {
	readable bool // by a person: a terminal, or CI's log
	paint    terminal.Painter
	live     bool // the notes go to a terminal

	mu           sync.Mutex
	out, notes   io.Writer
	began        time.Time
	drawn        bool // a line of progress stands
	begun        bool // the command's last line is not whole
	tests, fails int
	last         string
	stop         chan struct{}
	ticking      sync.WaitGroup
}

func newScreen(out, notes io.Writer) *screen {
	inCI := os.Getenv("CI") != "" && os.Getenv("CI") != "false"
	s := &screen{
		out: out, notes: notes, readable: terminal.IsTerminal(out) || inCI, live: terminal.IsTerminal(notes) && !inCI && os.Getenv("TERM") != "dumb",
		paint: terminal.NewPainter(notes), began: time.Now(), stop: make(chan struct{}),
	}
	if s.live {
		s.ticking.Go(s.tick)
	}
	return s
}

func (s *screen) tick() {
	ticker := time.NewTicker(200 * time.Millisecond)
	defer ticker.Stop()
	for {
		select {
		case <-s.stop:
			return
		case <-ticker.C:
			s.mu.Lock()
			s.erase()
			if !s.begun {
				text := fmt.Sprintf("%s · %s", time.Since(s.began).Round(time.Second), howMany(s.tests, "test"))
				if s.fails > 0 {
					text += fmt.Sprintf(" · %d failed", s.fails)
				}
				if s.last != "" {
					text += " · " + s.last
				}
				fmt.Fprint(s.notes, s.paint.Dim(wording.Clip(plain(text), 79)))
				s.drawn = true
			}
			s.mu.Unlock()
		}
	}
}

// erase removes the line of progress; s.mu is held.
func (s *screen) erase() {
	if s.drawn {
		fmt.Fprint(s.notes, "\r\x1b[K")
		s.drawn = false
	}
}

func (s *screen) close() {
	close(s.stop)
	s.ticking.Wait()
	s.mu.Lock()
	defer s.mu.Unlock()
	s.erase()
	s.live = false
}

// count notes a result for the line of progress, and how many tests that makes: one
// that was run again is one.
func (s *screen) count(last string, tests, fails int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.last, s.tests, s.fails = last, tests, fails
}

// failure says at once that a test failed; known: there is a baseline to say more.
func (s *screen) failure(j event.Judgement, known bool) {
	word := "FAILED"
	if known {
		word = strings.ToUpper(strings.ReplaceAll(string(j.Call), "_", " "))
	}
	if !known || j.Call == event.NewFailure {
		word = s.paint.Bad(word)
	} else {
		word = s.paint.Warn(word)
	}
	line := word + "  " + s.paint.Bold(plain(wording.Judged(j)))
	if j.Test != nil && j.Test.File != "" {
		line += plain(fmt.Sprintf("  %s:%d", j.Test.File, j.Test.Line))
	}
	s.note(line)
}

// note prints one line of our own.
func (s *screen) note(line string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.erase()
	if s.begun {
		fmt.Fprintln(s.notes)
		s.begun = false
	}
	fmt.Fprintln(s.notes, line)
}

func (s *screen) stdout() io.Writer { return through{s, s.out} }
func (s *screen) stderr() io.Writer { return through{s, s.notes} }

// through writes the command's bytes, above the line of progress.
type through struct {
	screen *screen
	to     io.Writer
}

func (t through) Write(p []byte) (int, error) {
	t.screen.mu.Lock()
	defer t.screen.mu.Unlock()
	t.screen.erase()
	t.screen.begun = t.screen.live && len(p) > 0 && p[len(p)-1] != '\n'
	return t.to.Write(p)
}

// maxHeld bounds the words of tests under way; beyond it all are shown as they come.
const maxHeld = 64 << 20

// goTestShow shows go test -json as go test itself would: the words of tests that
// fail, and of packages.
type goTestShow struct {
	to      io.Writer
	verbose bool
	line    []byte
	held    map[string]*bytes.Buffer // by package and test
	size    int
}

func (g *goTestShow) write(p []byte) {
	for len(p) > 0 {
		i := bytes.IndexByte(p, '\n')
		if i < 0 {
			g.line = append(g.line, p...)
			if len(g.line) > maxHeld {
				g.flush()
			}
			return
		}
		g.line = append(g.line, p[:i+1]...)
		p = p[i+1:]
		g.flush()
	}
}

// flush shows one line of the stream.
func (g *goTestShow) flush() {
	line := g.line
	g.line = g.line[:0]
	var e struct{ Action, Package, Test, Output string }
	if len(line) == 0 || line[0] != '{' || json.Unmarshal(line, &e) != nil || e.Action == "" {
		_, _ = g.to.Write(line)
		return
	}
	key := e.Package + "\x1f" + e.Test
	switch e.Action {
	case "build-output":
		_, _ = io.WriteString(g.to, e.Output)
	case "output":
		if e.Test == "" || g.verbose || g.size > maxHeld {
			if e.Test == "" && (e.Output == "PASS\n" || e.Output == "FAIL\n") && !g.verbose {
				return // its package's line says it
			}
			_, _ = io.WriteString(g.to, e.Output)
			return
		}
		if strings.HasPrefix(e.Output, "=== ") {
			return // RUN, PAUSE, CONT, NAME: go test tells them with -v
		}
		if g.held == nil {
			g.held = map[string]*bytes.Buffer{}
		}
		if g.held[key] == nil {
			g.held[key] = &bytes.Buffer{}
		}
		g.held[key].WriteString(e.Output)
		g.size += len(e.Output)
	case "pass", "skip", "fail":
		if held := g.held[key]; held != nil {
			if e.Action == "fail" {
				_, _ = g.to.Write(held.Bytes())
			}
			g.size -= held.Len()
			delete(g.held, key)
		}
	}
}

// end shows what never came to an end: a crash, a timeout.
func (g *goTestShow) end() {
	if len(g.line) > 0 {
		g.flush()
	}
	for _, held := range g.held {
		_, _ = g.to.Write(held.Bytes())
	}
}
