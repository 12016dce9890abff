//go:build unix && !linux

package main

import (
	"os"
	"os/exec"
	"syscall"
)

// adopt gives the command a process group of its own, by which what it started is
// found: there is no /proc to ask. At a terminal it stays in the foreground's, or the
// keyboard would not reach it, and it is ended alone.
func adopt(command *exec.Cmd) {
	if !inForeground() {
		command.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	}
}

func reapOrphans() (stop func()) { return func() {} }

func endDescendants(command *os.Process) {
	if syscall.Kill(-command.Pid, syscall.SIGKILL) != nil { // it leads no group
		_ = command.Kill()
	}
}

func signalDescendants(command *os.Process, sig os.Signal) {
	if number, ok := sig.(syscall.Signal); ok {
		_ = syscall.Kill(-command.Pid, number)
	}
}
