package backtest

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"sync"

	"github.com/klauspost/compress/zstd"
	"go.opentelemetry.io/collector/pdata/pmetric"
)

// maxLine bounds one line, in bytes.
var maxLine = 256 << 20 // shorter in a test

// Skipped is input that was not used, by why.
type Skipped struct {
	Lines     uint64 // not OTLP JSON
	FirstLine string // where the first of them is and why
	Untimed   uint64 // items without an event time
}

// Input reads telemetry files into order.
type Input struct {
	Skipped  Skipped
	Lines    uint64
	Bytes    uint64
	sorted   sorter
	progress func(read uint64)
}

type rawLine struct {
	data   []byte
	name   string
	number uint64
	long   bool // and left out for it
}

// Read reads all files ("-": stdin), on all cores, into order of event time.
// memory is how many bytes it may hold. Close must follow.
func Read(ctx context.Context, files []string, stdin io.Reader, memory int, progress func(read uint64)) (*Input, error) {
	in := &Input{sorted: sorter{limit: max(memory, 1<<20)}, progress: progress}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	lines := make(chan rawLine, 64)
	var mu sync.Mutex // guards in
	var first rawLine // the first bad line, by name and number, whoever met it
	var workers sync.WaitGroup
	for range runtime.GOMAXPROCS(0) {
		workers.Go(func() {
			for line := range lines {
				batches, untimed, err := split(line.data)
				if line.long {
					err = errLong
				}
				mu.Lock()
				in.Lines++
				in.Bytes += uint64(len(line.data))
				in.Skipped.Untimed += untimed
				if err != nil {
					in.Skipped.Lines++
					if first.name == "" || line.name < first.name || line.name == first.name && line.number < first.number {
						first = line
						in.Skipped.FirstLine = fmt.Sprintf("%s:%d: %v", line.name, line.number, err)
					}
				}
				for _, b := range batches {
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
	for _, name := range files {
		if err = readFile(ctx, name, stdin, lines); err != nil {
			break
		}
	}
	close(lines)
	workers.Wait()
	if err == nil && ctx.Err() != nil {
		err = context.Cause(ctx)
	}
	if err == nil && in.Lines > 0 && in.Lines == in.Skipped.Lines {
		err = fmt.Errorf("no line is OTLP JSON as the Collector's file exporter writes it; %s", in.Skipped.FirstLine)
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
		if err := in.sorted.add(b); err != nil {
			return err
		}
	}
	return nil
}

// Close removes temporary files.
func (in *Input) Close() { in.sorted.close() }

func readFile(ctx context.Context, name string, stdin io.Reader, lines chan<- rawLine) error {
	var r io.Reader = stdin
	if name != "-" {
		f, err := os.Open(name)
		if err != nil {
			return err
		}
		defer f.Close()
		r = f
	}
	buffered := bufio.NewReaderSize(r, 1<<20)
	// By content, so that standard input and renamed files work too.
	magic, _ := buffered.Peek(4)
	switch {
	case bytes.HasPrefix(magic, []byte{0x1f, 0x8b}):
		z, err := gzip.NewReader(buffered)
		if err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		buffered = bufio.NewReaderSize(z, 1<<20)
	case bytes.Equal(magic, []byte{0x28, 0xb5, 0x2f, 0xfd}):
		z, err := zstd.NewReader(buffered)
		if err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		defer z.Close()
		buffered = bufio.NewReaderSize(z, 1<<20)
	}
	for number := uint64(1); ; number++ {
		line, err := readLine(buffered)
		long := errors.Is(err, errLong)
		if long || len(bytes.TrimSpace(line)) > 0 {
			select {
			case lines <- rawLine{line, filepath.Base(name), number, long}:
			case <-ctx.Done():
				return context.Cause(ctx)
			}
		}
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil && !long {
			return fmt.Errorf("%s:%d: %w", name, number, err)
		}
	}
}

var errLong = fmt.Errorf("the line is longer than %d bytes", maxLine)

// readLine reads up to a newline or the end. A line of more than maxLine bytes
// is passed over and gives errLong.
func readLine(r *bufio.Reader) ([]byte, error) {
	var line []byte
	long := false
	for {
		part, err := r.ReadSlice('\n')
		if long = long || len(line)+len(part) > maxLine; long {
			line = nil
		} else {
			line = append(line, part...)
		}
		switch {
		case errors.Is(err, bufio.ErrBufferFull):
		case long && (err == nil || errors.Is(err, io.EOF)):
			return nil, errLong // an end is met again at the next call
		default:
			return line, err
		}
	}
}
