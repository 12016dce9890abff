// Package backtest plays recorded telemetry through the detector on a virtual
// clock. It reads OTLP JSON lines, puts them in order of event time, and tells
// what the detector said, second by second.
//
// # Order
//
// Each line is cut into batches of one resource and one second of event time
// (a span's end, a record's timestamp, a point's time). Batches are sorted by
// second, earliest item, signal and content; so the order within files, the
// split into files and the number of cores change nothing. Up to Options.Memory
// bytes are sorted in memory; beyond, sorted runs go to temporary files and are
// merged. All input is read before the first second is played, since a file
// may end with the earliest line.
package backtest
