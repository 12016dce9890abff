package main

import (
	"bytes"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"sync"
	"syscall"
	"time"

	"github.com/deployloop/deployloop/internal/report"
)

// lingers is how long the output of a command that ended is read on: a grandchild
// that holds the pipe open must not hold up the step's end for ever.
const lingers = 10 * time.Second

// lingersStopped is that where a signal came: whoever pressed ctrl-C waits for it.
const lingersStopped = time.Second

var errInterrupted = errors.New("interrupted before it began")

// start runs the command once and reads what it says. The first signal goes on to
// it, and it may take its time to clean up; the second ends it and all that it
// started.
func (s *step) start(arguments []string, in io.Reader) (code int, err error) {
	c := exec.Command(arguments[0], arguments[1:]...) // no CommandContext: it would kill, where a signal lets clean up
	c.Env = os.Environ()
	if os.Getenv("TRACEPARENT") == "" {
		c.Env = append(c.Env, traceParent(s.child))
	}
	c.Stdin, c.WaitDelay = in, lingers
	stdout, stderr := s.reader(arguments, s.screen.stdout()), s.reader(nil, s.screen.stderr())
	defer stderr.end()
	defer stdout.end()
	var reading [2]*childOutput
	for i, to := range []*childReader{stdout, stderr} {
		if reading[i], err = newChildOutput(to); err != nil {
			return exitNotStarted, err
		}
		defer reading[i].close()
	}
	c.Stdout, c.Stderr = reading[0].write, reading[1].write

	cut := make(chan struct{})
	release, err := s.startUnder(c, sync.OnceFunc(func() { close(cut) }))
	if err != nil {
		return exitNotStarted, err
	}
	defer release()
	defer reapOrphans()()
	for _, o := range reading {
		o.begin()
	}
	err = c.Wait()
	if sig := s.interrupts.first(); sig != nil && !fromKeyboard(sig) {
		signalDescendants(c.Process, sig) // else what the command left behind holds up the end
	}
	wait := lingers
	if s.stopped() {
		wait = lingersStopped
	}
	patience := time.NewTimer(wait)
	defer patience.Stop()
	for _, o := range reading {
		select {
		case <-o.ended:
		case <-patience.C:
			patience.Reset(0) // for the other as well
		case <-cut:
		}
		o.close()
	}
	exit := new(exec.ExitError)
	switch {
	case err == nil, errors.Is(err, exec.ErrWaitDelay):
		return c.ProcessState.ExitCode(), nil
	case errors.As(err, &exit):
		if status, ok := exit.Sys().(syscall.WaitStatus); ok && status.Signaled() {
			s.killed = true
			return 128 + int(status.Signal()), nil
		}
		return exit.ExitCode(), nil
	}
	return exitNotStarted, err
}

// startUnder starts the command where no signal has come yet, and has it told of
// those that come: a signal between the two would be lost.
func (s *step) startUnder(c *exec.Cmd, cut func()) (release func(), err error) {
	i := s.interrupts
	i.mu.Lock()
	defer i.mu.Unlock()
	if len(i.got) > 0 {
		return nil, errInterrupted
	}
	adopt(c)
	if err := c.Start(); err != nil {
		return nil, err
	}
	i.act = func(sig os.Signal) {
		switch {
		case len(i.got) > 1:
			cut()
			endDescendants(c.Process)
		case !fromKeyboard(sig):
			_ = c.Process.Signal(sig)
		}
	}
	return func() { i.during(nil) }, nil
}

// childOutput is one output of the command on its way to a reader. It is a pipe of
// our own, since only that can be cut short.
type childOutput struct {
	read, write *os.File
	to          io.Writer
	ended       chan struct{} // nil before begin
}

func newChildOutput(to io.Writer) (o *childOutput, err error) {
	o = &childOutput{to: to}
	o.read, o.write, err = os.Pipe()
	return o, err
}

// begin reads once the command holds the other end.
func (o *childOutput) begin() {
	_ = o.write.Close()
	o.ended = make(chan struct{})
	go func() {
		defer close(o.ended)
		_, _ = io.Copy(o.to, o.read) // its writer never fails; how reading ends says nothing
	}()
}

// close ends reading, and returns when nothing more comes.
func (o *childOutput) close() {
	_ = o.read.Close()
	_ = o.write.Close()
	if o.ended != nil {
		<-o.ended
	}
}

// childReader passes on what the command writes and reads it for results. It never
// holds up nor loses a byte: a parser that gives up is left out.
type childReader struct {
	step    *step
	to      io.Writer
	command []string // whose standard output it is; nil: standard error
	head    []byte   // until the first line is whole
	decided bool

	pipe    *io.PipeWriter // of the parser; nil: none
	parsing sync.WaitGroup
	show    *goTestShow // renders go test -json; nil: bytes pass as they are
	tool    report.ToolOutput
	line    []byte
}

func (s *step) reader(command []string, to io.Writer) *childReader {
	return &childReader{step: s, to: to, command: command, decided: command == nil, tool: report.ToolOutput{Tool: s.name, Source: s.what.source(), Tell: s.place}}
}

const maxHead = 64 << 10

func (r *childReader) Write(p []byte) (int, error) {
	if !r.decided {
		r.head = append(r.head, p...)
		if r.mayBeEvents() && !bytes.ContainsRune(r.head, '\n') && len(r.head) < maxHead {
			return len(p), nil
		}
		r.decide()
		return len(p), nil
	}
	r.pass(p)
	return len(p), nil
}

// mayBeEvents tells whether what came so far may begin an event of go test -json.
// Anything else is passed on as it comes: a prompt has no end of line.
func (r *childReader) mayBeEvents() bool {
	return len(r.head) == 0 || string(r.head) == "{" || bytes.HasPrefix(r.head, []byte(`{"`))
}

// decide tells go test's two outputs from any other by how they begin.
func (r *childReader) decide() {
	r.decided = true
	switch {
	case bytes.HasPrefix(r.head, []byte("{")) && bytes.Contains(r.head, []byte(`"Action":"`)):
		r.parse(report.GoTestJSON)
		// A second run has events for our sake, whatever the first one printed.
		if !r.step.rerun {
			r.step.events = true
		}
		if !r.step.events || !r.step.raw && r.step.screen.readable {
			r.show = &goTestShow{to: r.to, verbose: slices.Contains(r.command, "-v")}
		}
	case isGoTest(r.command):
		r.step.unnamed = !slices.Contains(r.command, "-v")
		r.parse(report.GoTest)
	}
	head := r.head
	r.head = nil
	r.pass(head)
}

func isGoTest(command []string) bool {
	return len(command) > 1 && filepath.Base(command[0]) == "go" && command[1] == "test"
}

func (r *childReader) parse(kind report.Kind) {
	from, to := io.Pipe()
	r.pipe = to
	r.parsing.Go(func() {
		// An output of no kind is no error: it was shown.
		_, _ = report.Parse(from, kind, r.step.what.source(), r.step.take)
		_ = from.Close() // what comes now is only passed on
	})
}

func (r *childReader) pass(p []byte) {
	if r.show != nil {
		r.show.write(p)
	} else {
		_, _ = r.to.Write(p) // a closed terminal must not end the command
	}
	if r.pipe != nil {
		_, _ = r.pipe.Write(p)
		return
	}
	for _, b := range p {
		if b != '\n' {
			if len(r.line) < maxHead {
				r.line = append(r.line, b)
			}
			continue
		}
		r.place()
	}
}

// place reads one line of a tool for the place that it names.
func (r *childReader) place() {
	r.step.printed(r.line)
	r.tool.Line(string(r.line))
	r.line = r.line[:0]
}

// end reads what is left.
func (r *childReader) end() {
	if !r.decided {
		r.decide()
	}
	if len(r.line) > 0 {
		r.place()
	}
	r.tool.End()
	if r.pipe != nil {
		_ = r.pipe.Close()
		r.parsing.Wait()
	}
	if r.show != nil {
		r.show.end()
	}
}
