package demo

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"sync"
	"time"
)

const (
	startTimeout = 20 * time.Second
	stopTimeout  = 8 * time.Second
)

// process is a child of the demo. It ends when its standard input closes, so
// that it cannot outlive the demo even where the kernel does not see to it.
type process struct {
	cmd   *exec.Cmd
	stdin io.Closer
	done  chan struct{} // closed once the process has ended
	once  sync.Once
}

// start runs path with args; what it prints goes to log.
func start(path string, args, env []string, log io.Writer) (*process, error) {
	cmd, stdin, err := command(path, args, env, log)
	if err != nil {
		return nil, err
	}
	cmd.Stdout = log
	return launch(cmd, stdin)
}

// startReady runs path with args and waits for the one line that it prints on
// standard output when it is ready.
func startReady(ctx context.Context, path string, args, env []string, log io.Writer) (*process, string, error) {
	cmd, stdin, err := command(path, args, env, log)
	if err != nil {
		return nil, "", err
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		return nil, "", err
	}
	p, err := launch(cmd, stdin)
	if err != nil {
		return nil, "", err
	}
	ready := make(chan string, 1)
	go func() {
		line, _ := bufio.NewReader(stdout).ReadString('\n')
		ready <- strings.TrimSpace(line)
	}()
	select {
	case line := <-ready:
		if line != "" {
			return p, line, nil
		}
		err = fmt.Errorf("%s ended before it was ready", strings.Join(args, " "))
	case <-time.After(startTimeout):
		err = fmt.Errorf("%s was not ready after %s", strings.Join(args, " "), startTimeout)
	case <-ctx.Done():
		err = ctx.Err()
	}
	p.stop()
	return nil, "", err
}

func command(path string, args, env []string, log io.Writer) (*exec.Cmd, io.Closer, error) {
	cmd := exec.Command(path, args...)
	cmd.Env = append(os.Environ(), env...)
	cmd.Stderr = log
	stdin, err := cmd.StdinPipe()
	if err != nil {
		return nil, nil, err
	}
	dieWithParent(cmd)
	return cmd, stdin, nil
}

func launch(cmd *exec.Cmd, stdin io.Closer) (*process, error) {
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	p := &process{cmd: cmd, stdin: stdin, done: make(chan struct{})}
	go func() {
		_ = cmd.Wait() // how it ended is told by its log
		close(p.done)
	}()
	return p, nil
}

// stop asks the process to end and makes sure that it has.
func (p *process) stop() {
	p.once.Do(func() {
		_ = p.stdin.Close()
		_ = terminate(p.cmd.Process)
		select {
		case <-p.done:
		case <-time.After(stopTimeout):
			_ = p.cmd.Process.Kill()
			<-p.done
		}
	})
}

// ended tells whether the process is no more.
func (p *process) ended() bool {
	select {
	case <-p.done:
		return true
	default:
		return false
	}
}

// UntilInputEnds gives a context that ends with the parent process: when
// standard input is closed.
func UntilInputEnds(ctx context.Context) context.Context {
	ctx, cancel := context.WithCancelCause(ctx)
	go func() {
		_, _ = io.Copy(io.Discard, os.Stdin)
		cancel(errors.New("the parent process ended"))
	}()
	return ctx
}

// lastLines is the end of the log, for an error that needs it.
func lastLines(path string, n int) string {
	text, err := os.ReadFile(path)
	if err != nil || len(text) == 0 {
		return ""
	}
	lines := strings.Split(strings.TrimRight(string(text), "\n"), "\n")
	return "\n\nthe end of the log:\n  " + strings.Join(lines[max(0, len(lines)-n):], "\n  ")
}
