//go:build linux

package main

import (
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

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

// grandchild gives the process that a command noted, and ends it with the test.
func grandchild(t *testing.T) (pid int) {
	t.Helper()
	text, err := os.ReadFile("grandchild")
	require.NoError(t, err)
	_, err = fmt.Sscan(string(text), &pid)
	require.NoError(t, err)
	t.Cleanup(func() { _ = syscall.Kill(pid, syscall.SIGKILL) })
	return pid
}

// gone tells whether a process has ended, though nobody may have asked how.
func gone(pid int) func() bool {
	return func() bool {
		text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
		return err != nil || strings.Contains(string(text), ") Z ")
	}
}

// What a command starts may hold its output open, outlive it and heed no signal.
func TestASecondSignalEndsTheCommandAndAllThatItStarted(t *testing.T) {
	for _, signals := range [][2]syscall.Signal{{syscall.SIGTERM, syscall.SIGINT}, {syscall.SIGTERM, syscall.SIGTERM}, {syscall.SIGHUP, syscall.SIGHUP}} {
		t.Run(fmt.Sprint(signals), func(t *testing.T) {
			module(t, map[string]string{})
			c := binary(t, "run", "--retries=2", "--", "sh", "-c", `trap "" INT TERM HUP; (sh -c 'echo $$ > grandchild; while :; do sleep 1; done' &); trap 'echo HUP >> got' HUP; `+noting)
			var out locked
			c.Stdout, c.Stderr = &out, &out
			require.NoError(t, c.Start())
			eventually(t, exists("ready"))
			eventually(t, func() bool { text, _ := os.ReadFile("grandchild"); return strings.HasSuffix(string(text), "\n") })
			pid := grandchild(t)
			require.NoError(t, c.Process.Signal(signals[0]))
			eventually(t, exists("got"))
			require.NoError(t, c.Process.Signal(signals[1]))
			require.Equal(t, 128+9, exited(t, c))
			eventually(t, gone(pid))
		})
	}
}

// A signal reaches the command alone; what that leaves behind is told of it then,
// rather than to hold up the end.
func TestASignalReachesWhatTheCommandLeavesBehind(t *testing.T) {
	module(t, map[string]string{})
	c := binary(t, "run", "--", "sh", "-c", `sleep 3600 & echo $! > grandchild; trap 'exit 7' TERM; : > ready; wait`)
	require.NoError(t, c.Start())
	eventually(t, exists("ready"))
	pid := grandchild(t)
	require.NoError(t, c.Process.Signal(syscall.SIGTERM))
	require.Equal(t, 7, exited(t, c))
	eventually(t, gone(pid))
}

// A build may leave thousands behind that end before it does; each that nobody asks
// how it ended keeps its place in the process table.
func TestRunKeepsNoPlaceForWhatEnded(t *testing.T) {
	module(t, map[string]string{})
	c := binary(t, "run", "--", "sh", "-c", `for i in 1 2 3 4 5; do (sh -c 'echo $$ >> orphans' &); done; : > ready; while [ ! -e end ]; do sleep .05; done`)
	require.NoError(t, c.Start())
	eventually(t, exists("ready"))
	eventually(t, func() bool {
		text, _ := os.ReadFile("orphans")
		pids := strings.Fields(string(text))
		return len(pids) == 5 && !slices.ContainsFunc(pids, func(pid string) bool {
			_, err := os.Stat("/proc/" + pid)
			return err == nil
		})
	})
	require.NoError(t, os.WriteFile("end", nil, 0o600))
	require.Zero(t, exited(t, c))
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
