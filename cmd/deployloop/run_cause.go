package main

import (
	"bytes"
	"fmt"
	"io"
	"strings"

	"github.com/deployloop/deployloop/internal/cilog"
	"github.com/deployloop/deployloop/internal/report"
)

// maxOutput is how much of a command's last output is searched for why it failed.
const maxOutput = 4 << 20

// outputTail keeps the end of what a command prints: between one and two times
// maxOutput while it runs.
type outputTail struct {
	lines   []byte
	dropped int64 // bytes
}

func (o *outputTail) add(line []byte) {
	if len(o.lines)+len(line) > 2*maxOutput {
		from := len(o.lines) - maxOutput
		from += max(0, bytes.IndexByte(o.lines[from:], '\n')+1)
		o.dropped += int64(from)
		o.lines = append(o.lines[:0], o.lines[from:]...)
	}
	o.lines = append(append(o.lines, line...), '\n')
}

// unread says what was not searched.
func (o *outputTail) unread() string {
	return fmt.Sprintf("of its output the first %.1f MiB were not searched; lines are counted from there", float64(o.dropped)/(1<<20))
}

// addCause tells of a command that failed, where nothing that it reports says
// why, by the lines of its output that do. What a command that passed printed is
// learnt with --update. s.mu is held.
func (s *step) addCause(code int) {
	job := report.Job{Pipeline: s.child.Pipeline, Name: s.name, Known: s.known.Logs[s.name]}
	log := func() io.Reader { return strings.NewReader(s.secrets.Hide(string(s.tail.lines))) }
	switch {
	case code == 0 && s.update:
		passed := new(cilog.Baseline)
		if passed.Learn(log()) == nil { // memory does not fail
			s.known.LearnLog(s.name, passed)
		}
	case code == 0, s.ever, len(s.places) > 0, s.stopped():
	default:
		r, _ := cilog.Explain(log(), job.Known)
		if len(r.Blocks) == 0 { // it printed nothing that says more than its exit code
			if s.tail.dropped > 0 {
				s.screen.note("the last lines that it printed do not say why it failed; " + s.tail.unread())
			}
			return
		}
		t := report.Cause(job, r)
		if s.tail.dropped > 0 {
			t.Message = s.tail.unread() + "\n" + t.Message
		}
		s.what.source().Own(&t)
		s.run.Add(report.Item{Test: &t})
		if s.sending != nil {
			s.sending.test(t)
		}
	}
}

// printed is told of each line that no parser reads.
func (s *step) printed(line []byte) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.tail.add(line)
}
