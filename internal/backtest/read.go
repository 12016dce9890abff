package backtest

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"runtime"
	"slices"
	"sync"

	"go.opentelemetry.io/collector/pdata/pmetric"
)

// maxLine bounds one line, in bytes.
var maxLine = 256 << 20 // shorter in a test

// Skipped is input that was not used, by why.
type Skipped struct {
	Lines   uint64   // not OTLP JSON
	Named   []string // where the first of them are, and why
	Cut     []string // compressed files that could not be read to their end, and from where
	Untimed uint64   // items without an event time
	Astray  []string // where the first items dated far from the rest are, a day each, and what they say
	Unit    string   // where the first item is, when all were dated in another unit than nanoseconds; they are used
	Days    int      // how many days of such
}

// maxNamed bounds the lines that are named.
const maxNamed = 5

// Input reads telemetry files into order.
type Input struct {
	Skipped  Skipped
	Lines    uint64
	Bytes    uint64
	sorted   sorter
	dates    dates
	progress func(read uint64)
}

type rawLine struct {
	data   []byte
	name   string
	number uint64
	err    error // why it is left out unread
}

type badLine struct {
	name   string
	number uint64
	err    error
}

// Read reads all files ("-": stdin), on all cores, into order of event time.
// memory is how many bytes it may hold. Close must follow.
func Read(ctx context.Context, files []string, stdin io.Reader, memory int, progress func(read uint64)) (*Input, error) {
	in := &Input{sorted: sorter{limit: max(memory, 1<<20)}, dates: dates{}, progress: progress}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	lines := make(chan rawLine, 64)
	var mu sync.Mutex // guards in
	var bad []badLine // the first ones, by name and number, whoever met them
	var workers sync.WaitGroup
	for range runtime.GOMAXPROCS(0) {
		workers.Go(func() {
			for line := range lines {
				var batches []batch
				var untimed uint64
				err := line.err
				if err == nil {
					batches, untimed, err = split(line.data)
				}
				mu.Lock()
				in.Lines++
				in.Bytes += uint64(len(line.data))
				in.Skipped.Untimed += untimed
				if err != nil {
					in.Skipped.Lines++
					bad = append(bad, badLine{line.name, line.number, err})
					slices.SortFunc(bad, func(a, b badLine) int { return cmp.Or(cmp.Compare(a.name, b.name), cmp.Compare(a.number, b.number)) })
					bad = bad[:min(len(bad), maxNamed)]
				}
				for _, b := range batches {
					in.dates.add(b.second, place{line.name, line.number})
					if err := in.sorted.add(b); err != nil {
						cancel(err)
						break
					}
				}
				if in.progress != nil {
					in.progress(in.Bytes)
				}
				mu.Unlock()
			}
		})
	}
	var err error
	reader := lineReader{ctx: ctx, lines: lines}
	for _, name := range files {
		var cut string
		if cut, err = reader.readFile(name, stdin); err != nil {
			break
		} else if cut != "" {
			in.Skipped.Cut = append(in.Skipped.Cut, cut)
		}
	}
	if err == nil {
		err = reader.flush()
	}
	close(lines)
	workers.Wait()
	for _, x := range bad {
		in.Skipped.Named = append(in.Skipped.Named, fmt.Sprintf("%s:%d: %v", x.name, x.number, x.err))
	}
	if err == nil && ctx.Err() != nil {
		err = context.Cause(ctx)
	}
	if err == nil && in.Lines > 0 && in.Lines == in.Skipped.Lines {
		err = fmt.Errorf("no line is OTLP JSON as the Collector's file exporter writes it; %s", in.Skipped.Named[0])
	}
	if err != nil {
		in.Close()
		return nil, err
	}
	return in, nil
}

// Add takes metrics that no file holds, as those that Prometheus recorded.
func (in *Input) Add(md pmetric.Metrics) error {
	c := cutter{}
	c.metrics(md)
	if c.err != nil {
		return c.err
	}
	in.Skipped.Untimed += c.untimed
	for _, b := range c.out {
		in.dates.add(b.second, place{name: "Prometheus"})
		if err := in.sorted.add(b); err != nil {
			return err
		}
	}
	return nil
}

// Close removes temporary files.
func (in *Input) Close() { in.sorted.close() }
