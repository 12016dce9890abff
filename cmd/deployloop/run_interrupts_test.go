//go:build linux

package main

import (
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

// binary is this program as a process of its own, in a session without a terminal.
func binary(t *testing.T, arguments ...string) *exec.Cmd {
	t.Helper()
	c := exec.Command(os.Args[0], arguments...)
	c.Env = append(os.Environ(), asDeployloop+"=1")
	c.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	return c
}

// noting notes each signal in a file and ends with 7 once it is told to.
const noting = `trap 'echo INT >> got' INT; trap 'echo TERM >> got' TERM; : > ready; until [ -e go-on ]; do sleep 0.01; done; exit 7`

func exists(name string) func() bool {
	return func() bool { _, err := os.Stat(name); return err == nil }
}

func eventually(t *testing.T, condition func() bool) {
	t.Helper()
	require.Eventually(t, condition, time.Minute, 5*time.Millisecond)
}

func exited(t *testing.T, c *exec.Cmd) int {
	t.Helper()
	err := c.Wait()
	if err == nil {
		return 0
	}
	exit := new(exec.ExitError)
	require.ErrorAs(t, err, &exit)
	return exit.ExitCode()
}

func TestASignalGoesOnOnce(t *testing.T) {
	module(t, map[string]string{})
	c := binary(t, "run", "--", "sh", "-c", noting)
	require.NoError(t, c.Start())
	eventually(t, exists("ready"))
	require.NoError(t, c.Process.Signal(os.Interrupt))
	eventually(t, exists("got"))
	require.NoError(t, os.WriteFile("go-on", nil, 0o600))
	require.Equal(t, 7, exited(t, c), "the command's own code")
	got, err := os.ReadFile("got")
	require.NoError(t, err)
	require.Equal(t, "INT\n", string(got))
}

func TestASecondSignalEndsTheCommand(t *testing.T) {
	module(t, map[string]string{})
	// What it starts holds its output open, and must not hold up the end.
	c := binary(t, "run", "--retries=2", "--", "sh", "-c", `sleep 3600 & echo $! > grandchild; `+noting)
	var out locked
	c.Stdout, c.Stderr = &out, &out
	require.NoError(t, c.Start())
	eventually(t, exists("ready"))
	defer func() {
		var pid int
		text, err := os.ReadFile("grandchild")
		require.NoError(t, err)
		_, err = fmt.Sscan(string(text), &pid)
		require.NoError(t, err)
		require.NoError(t, syscall.Kill(pid, syscall.SIGKILL))
	}()
	require.NoError(t, c.Process.Signal(syscall.SIGTERM))
	eventually(t, exists("got"))
	require.NoError(t, c.Process.Signal(os.Interrupt))
	require.Equal(t, 128+9, exited(t, c))
}

func TestACommandThatASignalEndsSaysWhich(t *testing.T) {
	module(t, map[string]string{})
	c := binary(t, "run", "--", "sh", "-c", `: > ready; exec sleep 3600`)
	require.NoError(t, c.Start())
	eventually(t, exists("ready"))
	require.NoError(t, c.Process.Signal(os.Interrupt))
	require.Equal(t, 128+2, exited(t, c))
}

// At a terminal ctrl-C reaches the command by itself, whatever its standard input is.
func TestTheKeyboardsSignalIsNotDoubled(t *testing.T) {
	module(t, map[string]string{})
	master, err := os.OpenFile("/dev/ptmx", os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Skip("no terminals here: ", err)
	}
	defer master.Close()
	fd := int(master.Fd())
	require.NoError(t, unix.IoctlSetPointerInt(fd, unix.TIOCSPTLCK, 0))
	number, err := unix.IoctlGetInt(fd, unix.TIOCGPTN)
	require.NoError(t, err)
	slave, err := os.OpenFile(filepath.Join("/dev/pts", fmt.Sprint(number)), os.O_RDWR|unix.O_NOCTTY, 0)
	require.NoError(t, err)
	c := binary(t, "run", "--", os.Args[0], countSignals)
	c.SysProcAttr.Setctty, c.SysProcAttr.Ctty = true, 1
	c.Stdin, c.Stdout, c.Stderr = strings.NewReader(""), slave, slave
	require.NoError(t, c.Start())
	require.NoError(t, slave.Close())
	go func() { _, _ = io.Copy(io.Discard, master) }() // ends with the terminal
	eventually(t, exists("ready"))
	_, err = master.Write([]byte{3})
	require.NoError(t, err)
	eventually(t, func() bool { got, err := os.ReadFile("got"); return err == nil && len(got) > 0 })
	require.NoError(t, os.WriteFile("go-on", nil, 0o600))
	require.Equal(t, 7, exited(t, c))
	got, err := os.ReadFile("got")
	require.NoError(t, err)
	require.Equal(t, "interrupt\n", string(got))
}
