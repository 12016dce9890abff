package main

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"slices"
	"sync"
	"syscall"
	"time"

	"github.com/deployloop/deployloop/internal/report"
	"github.com/deployloop/deployloop/internal/terminal"
)

// start runs the command once and reads what it says. killed: by a signal, so that
// nothing of it is run again.
func (s *step) start(ctx context.Context, arguments []string, in io.Reader) (code int, killed bool, err error) {
	c := exec.Command(arguments[0], arguments[1:]...) // no CommandContext: it would kill, where a signal lets clean up
	c.Env = os.Environ()
	if os.Getenv("TRACEPARENT") == "" {
		c.Env = append(c.Env, traceParent(s.child))
	}
	c.Stdin = in
	stdout, stderr := s.reader(arguments, s.screen.stdout()), s.reader(nil, s.screen.stderr())
	c.Stdout, c.Stderr = stdout, stderr
	// A grandchild that holds the pipe open must not hold up the step's end for ever.
	c.WaitDelay = 10 * time.Second

	signals := s.signals
	if signals == nil {
		signals = make(chan os.Signal, 4)
		signal.Notify(signals, os.Interrupt, syscall.SIGTERM, syscall.SIGHUP, syscall.SIGQUIT)
		defer signal.Stop(signals)
	}
	if err := c.Start(); err != nil {
		stdout.end()
		stderr.end()
		return exitNotStarted, false, err
	}
	ended := make(chan struct{})
	var forwarding sync.WaitGroup
	forwarding.Go(func() {
		for stopped := ctx.Done(); ; {
			select {
			case sig := <-signals:
				killed = true
				// At a terminal the keyboard's signals reach the child by themselves.
				if sig == syscall.SIGTERM || sig == syscall.SIGHUP || !terminal.IsTerminal(os.Stdin) {
					_ = c.Process.Signal(sig) // it may have ended by now
				}
			case <-stopped:
				killed, stopped = true, nil
				_ = c.Process.Signal(syscall.SIGTERM)
			case <-ended:
				return
			}
		}
	})
	err = c.Wait()
	close(ended)
	forwarding.Wait()
	stdout.end()
	stderr.end()
	exit := new(exec.ExitError)
	switch {
	case err == nil, errors.Is(err, exec.ErrWaitDelay):
		return c.ProcessState.ExitCode(), killed, nil
	case errors.As(err, &exit):
		if status, ok := exit.Sys().(syscall.WaitStatus); ok && status.Signaled() {
			return 128 + int(status.Signal()), true, nil
		}
		return exit.ExitCode(), killed, nil
	}
	return exitNotStarted, killed, err
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
	return &childReader{step: s, to: to, command: command, decided: command == nil, tool: report.ToolOutput{Tool: s.name}}
}

const maxHead = 64 << 10

func (r *childReader) Write(p []byte) (int, error) {
	if !r.decided {
		r.head = append(r.head, p...)
		if !bytes.ContainsRune(r.head, '\n') && len(r.head) < maxHead {
			return len(p), nil
		}
		r.decide()
		return len(p), nil
	}
	r.pass(p)
	return len(p), nil
}

// decide tells go test's two outputs from any other by how they begin.
func (r *childReader) decide() {
	r.decided = true
	switch {
	case bytes.HasPrefix(r.head, []byte("{")) && bytes.Contains(r.head, []byte(`"Action":"`)):
		r.parse(report.GoTestJSON)
		if !r.step.raw && r.step.screen.readable {
			r.show = &goTestShow{to: r.to, verbose: slices.Contains(r.command, "-v")}
		}
	case isGoTest(r.command):
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
	if f, ok := r.tool.Line(string(r.line)); ok && f.Level == "error" {
		source := r.step.what.source()
		f.Repository, f.Revision, f.Ref, f.Base, f.RunID, f.At = source.Repository, source.Revision, source.Ref, source.Base, source.RunID, source.At
		r.step.place(f)
	}
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
	if r.pipe != nil {
		_ = r.pipe.Close()
		r.parsing.Wait()
	}
	if r.show != nil {
		r.show.end()
	}
}
