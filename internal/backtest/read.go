package backtest

import (
	"bufio"
	"bytes"
	"cmp"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"runtime"
	"slices"
	"sync"

	"github.com/klauspost/compress/zstd"
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
}

// maxNamed bounds the lines that are named.
const maxNamed = 5

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

type badLine struct {
	name   string
	number uint64
	err    error
}

// Read reads all files ("-": stdin), on all cores, into order of event time.
// memory is how many bytes it may hold. Close must follow.
func Read(ctx context.Context, files []string, stdin io.Reader, memory int, progress func(read uint64)) (*Input, error) {
	in := &Input{sorted: sorter{limit: max(memory, 1<<20)}, progress: progress}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	lines := make(chan rawLine, 64)
	var mu sync.Mutex // guards in
	var bad []badLine // the first ones, by name and number, whoever met them
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
					bad = append(bad, badLine{line.name, line.number, err})
					slices.SortFunc(bad, func(a, b badLine) int { return cmp.Or(cmp.Compare(a.name, b.name), cmp.Compare(a.number, b.number)) })
					bad = bad[:min(len(bad), maxNamed)]
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
		var cut string
		if cut, err = readFile(ctx, name, stdin, lines); err != nil {
			break
		} else if cut != "" {
			in.Skipped.Cut = append(in.Skipped.Cut, cut)
		}
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
		if err := in.sorted.add(b); err != nil {
			return err
		}
	}
	return nil
}

// Close removes temporary files.
func (in *Input) Close() { in.sorted.close() }

// readFile gives the lines of a file. A compressed one may have been cut short,
// as by a crash: what it still holds is read, and the text says up to where.
func readFile(ctx context.Context, name string, stdin io.Reader, lines chan<- rawLine) (string, error) {
	var r io.Reader = stdin
	if name != "-" {
		f, err := os.Open(name)
		if err != nil {
			return "", err
		}
		defer f.Close()
		r = f
	}
	buffered := bufio.NewReaderSize(r, 1<<20)
	// By content, so that standard input and renamed files work too.
	magic, _ := buffered.Peek(4)
	packed := true
	var unpacked io.Reader
	var err error
	switch {
	case bytes.HasPrefix(magic, []byte{0x1f, 0x8b}):
		unpacked, err = gzip.NewReader(buffered)
	case bytes.Equal(magic, []byte{0x28, 0xb5, 0x2f, 0xfd}):
		var z *zstd.Decoder
		if z, err = zstd.NewReader(buffered); err == nil {
			defer z.Close()
		}
		unpacked = z
	default:
		packed, unpacked = false, buffered
	}
	cut := func(after uint64, err error) (string, error) {
		var system *fs.PathError
		if !packed || errors.As(err, &system) {
			return "", fmt.Errorf("%s:%d: %w", name, after+1, err)
		}
		return fmt.Sprintf("%s after line %d: %v", name, after, err), nil
	}
	if err != nil {
		return cut(0, err)
	}
	buffered = bufio.NewReaderSize(unpacked, 1<<20)
	for number := uint64(1); ; number++ {
		line, err := readLine(buffered)
		long, end := errors.Is(err, errLong), errors.Is(err, io.EOF)
		if err != nil && !long && !end {
			return cut(number-1, err)
		}
		if number == 1 {
			line = bytes.TrimPrefix(line, []byte("\xef\xbb\xbf"))
		}
		if line = bytes.TrimSpace(line); long || len(line) > 0 {
			select {
			case lines <- rawLine{line, name, number, long}:
			case <-ctx.Done():
				return "", context.Cause(ctx)
			}
		}
		if end {
			return "", nil
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
