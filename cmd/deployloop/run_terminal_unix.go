//go:build unix

package main

import (
	"os"

	"golang.org/x/sys/unix"
)

// inForeground tells whether this process's group is the one that its terminal's
// keyboard reaches. What standard input is says nothing of that: it may be a pipe
// at a terminal, and /dev/null without one.
func inForeground() bool {
	tty, err := os.OpenFile("/dev/tty", os.O_RDONLY|unix.O_NOCTTY|unix.O_NONBLOCK, 0)
	if err != nil {
		return false
	}
	defer tty.Close()
	connection, err := tty.SyscallConn()
	if err != nil {
		return false
	}
	foreground := false
	err = connection.Control(func(fd uintptr) {
		group, err := unix.IoctlGetInt(int(fd), unix.TIOCGPGRP)
		foreground = err == nil && group == unix.Getpgrp()
	})
	return err == nil && foreground
}
