//go:build !unix

package main

import (
	"os"
	"os/exec"
)

// Nobody tells what a command started: it is ended alone. The console's keyboard
// reaches the others by itself.
func adopt(*exec.Cmd) {}

func reapOrphans() (stop func()) { return func() {} }

func endDescendants(command *os.Process) { _ = command.Kill() }

func signalDescendants(*os.Process, os.Signal) {}
