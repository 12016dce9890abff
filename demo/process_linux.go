package demo

import (
	"os"
	"os/exec"
	"syscall"
)

// dieWithParent has the kernel end the child when the demo dies, however it
// does. A group of its own keeps the terminal's Ctrl-C from it: the demo stops
// its children in order.
func dieWithParent(cmd *exec.Cmd) {
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL, Setpgid: true}
}

func terminate(p *os.Process) error { return p.Signal(syscall.SIGTERM) }
