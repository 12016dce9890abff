// Package logpattern turns text that services write into few, stable groups:
// log lines into templates (Drain: a fixed-depth prefix tree over masked
// tokens) and exceptions into fingerprints (type + the top three frames of the
// application's own code). It is pure: no Collector, no clock, no I/O.
//
// Everything that comes in was written by somebody else's program, so every
// input is cut to a limit and every table has one.
package logpattern
