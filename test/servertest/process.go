// Package servertest runs real servers for tests: each on a free port of
// loopback, ended with its test, its last words shown when the test failed.
package servertest

import (
	"net/http"
	"os/exec"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

const (
	startLimit = time.Minute
	stopLimit  = 20 * time.Second
	tailLimit  = 64 << 10 // bytes of output that are kept
)

// Process is a server that can be ended and started again.
type Process struct {
	t        testing.TB
	name     string
	make     func() *exec.Cmd
	ready    func() bool
	log      tail
	command  *exec.Cmd // nil while it does not run
	exited   chan struct{}
	starting time.Duration
}

// Run starts a server and waits until it is ready. make gives a new command for
// each start. It ends with the test.
func Run(t testing.TB, name string, make func() *exec.Cmd, ready func() bool) *Process {
	t.Helper()
	p := &Process{t: t, name: name, make: make, ready: ready}
	t.Cleanup(func() {
		p.Stop()
		if t.Failed() {
			t.Logf("%s said:\n%s", name, &p.log)
		}
	})
	p.Start()
	return p
}

// Answers says whether a GET of the address gives 200.
func Answers(url string) bool {
	response, err := http.Get(url)
	if err != nil {
		return false
	}
	_ = response.Body.Close()
	return response.StatusCode == http.StatusOK
}

// Start runs the server again after Stop or Kill.
func (p *Process) Start() {
	p.t.Helper()
	command, exited := p.make(), make(chan struct{})
	command.Stdout, command.Stderr = &p.log, &p.log
	command.SysProcAttr = endsWithItsParent()
	began := time.Now()
	require.NoError(p.t, command.Start())
	p.command, p.exited = command, exited
	go func() { _ = command.Wait(); close(exited) }()
	ended := func() bool {
		select {
		case <-exited:
			return true
		default:
			return false
		}
	}
	require.Eventually(p.t, func() bool { return ended() || p.ready() }, startLimit, 20*time.Millisecond, "%s is not ready", p.name)
	require.False(p.t, ended(), "%s ended at its start", p.name)
	p.starting = time.Since(began)
}

// StartupTime is how long the last start took until the server was ready.
func (p *Process) StartupTime() time.Duration { return p.starting }

// Pid of the running process.
func (p *Process) Pid() int { return p.command.Process.Pid }

// Kill ends the process as kill -9 does, with no chance to save anything.
func (p *Process) Kill() {
	p.t.Helper()
	require.NoError(p.t, p.command.Process.Kill())
	<-p.exited
	p.command = nil
}

// Stop ends the process in order.
func (p *Process) Stop() {
	if p.command == nil {
		return
	}
	_ = p.command.Process.Signal(syscall.SIGTERM)
	select {
	case <-p.exited:
	case <-time.After(stopLimit):
		_ = p.command.Process.Kill()
		<-p.exited
		p.t.Errorf("%s did not stop within %v of SIGTERM", p.name, stopLimit)
	}
	p.command = nil
}

// tail keeps the end of a program's output.
type tail struct {
	mu sync.Mutex
	b  []byte
}

func (l *tail) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.b = append(l.b, p...)
	if over := len(l.b) - tailLimit; over > 0 {
		l.b = append(l.b[:0], l.b[over:]...)
	}
	return len(p), nil
}

func (l *tail) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return string(l.b)
}
