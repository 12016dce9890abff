//go:build unix

// Package cputime tells benchmarks the processor time that they used, which other
// programs on the machine do not change much.
package cputime

import "syscall"

// Used is the processor time of this process, in nanoseconds; 0 where the system does
// not tell it.
func Used() float64 {
	var u syscall.Rusage
	if syscall.Getrusage(syscall.RUSAGE_SELF, &u) != nil {
		return 0
	}
	return float64(u.Utime.Nano() + u.Stime.Nano())
}
