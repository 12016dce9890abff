//go:build !linux

package servertest

import "syscall"

func endsWithItsParent() *syscall.SysProcAttr { return nil } // only Linux has it
