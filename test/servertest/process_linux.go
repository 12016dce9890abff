package servertest

import "syscall"

// endsWithItsParent: a server must not outlive a test that is killed.
func endsWithItsParent() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
}
