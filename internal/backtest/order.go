package backtest

import (
	"bufio"
	"bytes"
	"cmp"
	"container/heap"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
)

func compare(a, b batch) int {
	return cmp.Or(cmp.Compare(a.second, b.second), cmp.Compare(a.earliest, b.earliest), cmp.Compare(a.signal, b.signal),
		cmp.Compare(a.hash, b.hash), bytes.Compare(a.data, b.data))
}

// sorter puts batches in order, in memory up to a limit and in files beyond.
type sorter struct {
	limit  int // bytes
	held   int
	batch  []batch
	folder string
	runs   []*os.File
}

// overhead of a batch in memory beside its data, in bytes.
const overhead = 64

func (s *sorter) add(b batch) error {
	s.batch = append(s.batch, b)
	if s.held += len(b.data) + overhead; s.held < s.limit {
		return nil
	}
	return s.spill()
}

// spill writes what is held as one sorted run.
func (s *sorter) spill() error {
	slices.SortFunc(s.batch, compare)
	if s.folder == "" {
		folder, err := os.MkdirTemp("", "deployloop-backtest-")
		if err != nil {
			return fmt.Errorf("sort the input: %w", err)
		}
		s.folder = folder
	}
	f, err := os.CreateTemp(s.folder, "run-")
	if err != nil {
		return fmt.Errorf("sort the input: %w", err)
	}
	s.runs = append(s.runs, f)
	w := bufio.NewWriterSize(f, 1<<20)
	for _, b := range s.batch {
		var head []byte
		head = binary.AppendVarint(head, b.earliest)
		head = append(head, byte(b.signal))
		head = binary.LittleEndian.AppendUint64(head, b.hash)
		head = binary.AppendUvarint(head, uint64(len(b.data)))
		w.Write(head) // a bufio.Writer keeps its first error for Flush
		w.Write(b.data)
	}
	if err := w.Flush(); err != nil {
		return fmt.Errorf("sort the input in %s: %w", s.folder, err)
	}
	if _, err := f.Seek(0, io.SeekStart); err != nil {
		return fmt.Errorf("sort the input: %w", err)
	}
	clear(s.batch)
	s.batch, s.held = s.batch[:0], 0
	return nil
}

// close removes the temporary files.
func (s *sorter) close() {
	for _, f := range s.runs {
		f.Close()
	}
	if s.folder != "" {
		os.RemoveAll(s.folder)
	}
}

// each gives the batches in order.
func (s *sorter) each(f func(batch) error) error {
	slices.SortFunc(s.batch, compare)
	if len(s.runs) == 0 {
		for i := range s.batch {
			b := s.batch[i]
			s.batch[i].data = nil // played: let it go
			if err := f(b); err != nil {
				return err
			}
		}
		return nil
	}
	var merged merge
	held := s.batch
	sources := []func() (batch, error){func() (batch, error) {
		if len(held) == 0 {
			return batch{}, io.EOF
		}
		b := held[0]
		held = held[1:]
		return b, nil
	}}
	for _, run := range s.runs {
		r := bufio.NewReaderSize(run, 256<<10)
		sources = append(sources, func() (batch, error) { return readBatch(r) })
	}
	for _, next := range sources {
		switch b, err := next(); {
		case err == nil:
			merged = append(merged, head{b, next})
		case !errors.Is(err, io.EOF):
			return err
		}
	}
	heap.Init(&merged)
	for len(merged) > 0 {
		if err := f(merged[0].batch); err != nil {
			return err
		}
		b, err := merged[0].next()
		switch {
		case err == nil:
			merged[0].batch = b
			heap.Fix(&merged, 0)
		case errors.Is(err, io.EOF):
			heap.Pop(&merged)
		default:
			return fmt.Errorf("read a sorted run: %w", err)
		}
	}
	return nil
}

func readBatch(r *bufio.Reader) (b batch, err error) {
	if b.earliest, err = binary.ReadVarint(r); err != nil {
		return b, err
	}
	kind, err := r.ReadByte()
	if err != nil {
		return b, io.ErrUnexpectedEOF
	}
	b.second, b.signal = b.earliest/second, signal(kind)
	if err := binary.Read(r, binary.LittleEndian, &b.hash); err != nil {
		return b, io.ErrUnexpectedEOF
	}
	n, err := binary.ReadUvarint(r)
	if err != nil {
		return b, io.ErrUnexpectedEOF
	}
	b.data = make([]byte, n)
	if _, err := io.ReadFull(r, b.data); err != nil {
		return b, io.ErrUnexpectedEOF
	}
	return b, nil
}

// merge is a heap of runs by their first batch.
type merge []head

type head struct {
	batch batch
	next  func() (batch, error)
}

func (m merge) Len() int           { return len(m) }
func (m merge) Less(i, j int) bool { return compare(m[i].batch, m[j].batch) < 0 }
func (m merge) Swap(i, j int)      { m[i], m[j] = m[j], m[i] }
func (m *merge) Push(x any)        { *m = append(*m, x.(head)) }
func (m *merge) Pop() any {
	last := len(*m) - 1
	x := (*m)[last]
	*m = (*m)[:last]
	return x
}
