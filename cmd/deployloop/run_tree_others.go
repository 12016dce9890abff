//go:build !linux

package main

import "os"

// Without /proc nobody tells what a command started: it is ended alone. A terminal's
// keyboard reaches the others by itself.
func adoptOrphans() {}

func reapOrphans() (stop func()) { return func() {} }

func endDescendants(command *os.Process) { _ = command.Kill() }

func signalDescendants(os.Signal) {}
