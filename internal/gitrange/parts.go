package gitrange

import (
	"context"
	"io"
	"os/exec"
	"runtime"
)

// A long log is read in parts by programs that run side by side, each writing
// the commits behind those of the one before: git compares files on one core
// only, and that is nearly all of the time. Read one after the other the parts
// are the log that one program would have written.
const (
	maxParts    = 4   // each walks the history anew
	partCommits = 250 // what a part is worth: fewer are read sooner than a program starts
	aheadChunk  = 64 << 10
	aheadChunks = 128 // of each part so many are kept ahead of the reader; then its program waits
)

// interval is which commits of a log a part tells.
type interval struct{ skip, count int }

// intervals cut the first commits of a log into parts.
func intervals(commits int) []interval {
	parts := min(runtime.GOMAXPROCS(0), maxParts)
	size := max((commits+parts-1)/parts, partCommits)
	var all []interval
	for skip := 0; skip < commits; skip += size {
		all = append(all, interval{skip, min(size, commits-skip)})
	}
	return all
}

// part is a running program and what it wrote that is not yet read.
type part struct {
	chunks chan []byte
	rest   []byte
	err    error // how the program ended; set before chunks closes
}

func startPart(ctx context.Context, cmd *exec.Cmd) (*part, error) {
	p, problem := &part{chunks: make(chan []byte, aheadChunks)}, &limited{left: 4 << 10}
	cmd.Stderr = problem
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	go func() {
		defer close(p.chunks)
		kept, readErr := true, error(nil)
		for kept && readErr == nil {
			chunk, n := make([]byte, aheadChunk), 0
			n, readErr = io.ReadFull(out, chunk)
			kept = p.keep(ctx, chunk[:n])
		}
		if err := cmd.Wait(); err != nil || !kept {
			p.err = gitError(ctx, err, problem)
		}
	}()
	return p, nil
}

// keep waits for room; where there is some, what came before a cancellation is
// kept too, so that of a range that took too long is told what was read.
func (p *part) keep(ctx context.Context, chunk []byte) bool {
	select {
	case p.chunks <- chunk:
		return true
	default:
	}
	select {
	case p.chunks <- chunk:
		return true
	case <-ctx.Done():
		return false
	}
}

// Read ends as the program ended: with io.EOF only when all went well.
func (p *part) Read(b []byte) (int, error) {
	for len(p.rest) == 0 {
		chunk, ok := <-p.chunks
		switch {
		case ok:
			p.rest = chunk
		case p.err != nil:
			return 0, p.err
		default:
			return 0, io.EOF
		}
	}
	n := copy(b, p.rest)
	p.rest = p.rest[n:]
	return n, nil
}

// end waits for the program, which must have been told to end or be at its end.
func (p *part) end() {
	for range p.chunks { //nolint:revive // what nobody reads any more
	}
}
