package backtest

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"

	"github.com/klauspost/compress/zstd"
)

// Why a line is left out unread.
var (
	errLong  = fmt.Errorf("the line is longer than %d bytes", maxLine)
	errUTF16 = errors.New("the file is UTF-16; give it as UTF-8: iconv -f UTF-16 -t UTF-8")
	errProto = errors.New("the file is binary, as the file exporter writes it by format: proto, which does not tell traces from metrics; record it by format: json")
)

var (
	gzipMagic = []byte{0x1f, 0x8b}
	zstdMagic = []byte{0x28, 0xb5, 0x2f, 0xfd}
)

// lineReader gives the lines of files to those that read them.
type lineReader struct {
	ctx   context.Context
	lines chan<- rawLine
	// rest is the last line of the file before, when no newline ended it: one that
	// was split between bytes goes on in the next file.
	rest rawLine
}

// blanks are around lines. NUL bytes are what a crash leaves at the end of a
// file that was not synced.
const blanks = "\x00 \t\r\n"

// send gives a line, unless it is blank.
func (r *lineReader) send(line rawLine) error {
	if line.data = bytes.Trim(line.data, blanks); len(line.data) == 0 && line.err == nil {
		return nil
	}
	select {
	case r.lines <- line:
		return nil
	case <-r.ctx.Done():
		return context.Cause(r.ctx)
	}
}

// flush gives the line that waits for the next file.
func (r *lineReader) flush() error {
	rest := r.rest
	r.rest = rawLine{}
	return r.send(rest)
}

// goesOn says whether the first line of a file is the end of the line before:
// that one needs an end, and this is no beginning.
func (r *lineReader) goesOn(line rawLine) bool {
	if len(r.rest.data) == 0 || line.err != nil || len(r.rest.data)+len(line.data) > maxLine {
		return false
	}
	head := bytes.TrimLeft(line.data, blanks)
	_, err := kindOf(head)
	begins := err == nil && head[0] == '{'
	return !begins && !json.Valid(r.rest.data)
}

// readFile gives the lines of a file. A compressed one may have been cut short,
// as by a crash: what it still holds is read, and the text says up to where.
func (r *lineReader) readFile(name string, stdin io.Reader) (string, error) {
	source := stdin
	if name != "-" {
		f, err := os.Open(name)
		if err != nil {
			return "", err
		}
		defer f.Close()
		source = f
	}
	buffered := bufio.NewReaderSize(source, 1<<20)
	// By content, so that standard input and renamed files work too.
	magic, _ := buffered.Peek(8)
	packed := true
	var unpacked io.Reader
	var err error
	switch {
	case bytes.HasPrefix(magic, gzipMagic):
		unpacked, err = gzip.NewReader(buffered)
	case bytes.HasPrefix(magic, zstdMagic):
		var z *zstd.Decoder
		if z, err = zstd.NewReader(buffered); err == nil {
			defer z.Close()
		}
		unpacked = z
	case len(magic) == 8 && bytes.HasPrefix(magic[4:], zstdMagic):
		return r.readMessages(name, buffered)
	case bytes.HasPrefix(magic, []byte{0xff, 0xfe}), bytes.HasPrefix(magic, []byte{0xfe, 0xff}):
		return "", r.send(rawLine{nil, name, 1, errUTF16})
	case len(magic) == 8 && magic[0] == 0 && magic[4] == 0x0a: // a length, and the first field of a request
		return "", r.send(rawLine{nil, name, 1, errProto})
	default:
		packed, unpacked = false, buffered
	}
	cut := func(after uint64, err error) (string, error) {
		var system *fs.PathError
		if !packed || errors.As(err, &system) {
			return "", fmt.Errorf("%s:%d: %w", name, after+1, err)
		}
		return cutShort(name, after, err), nil
	}
	if err != nil {
		return cut(0, err)
	}
	buffered = bufio.NewReaderSize(unpacked, 1<<20)
	for number := uint64(1); ; number++ {
		data, err := readLine(buffered)
		line := rawLine{data, name, number, nil}
		switch end := errors.Is(err, io.EOF); {
		case end && len(data) == 0:
			return "", nil
		case errors.Is(err, errLong):
			line.err = errLong
		case err != nil && !end:
			return cut(number-1, err)
		}
		if number == 1 {
			line.data = bytes.TrimPrefix(data, []byte("\xef\xbb\xbf"))
		}
		if number == 1 && r.goesOn(line) {
			r.rest.data = append(r.rest.data, line.data...)
			line, r.rest = r.rest, rawLine{}
		} else if err := r.flush(); err != nil {
			return "", err
		}
		if err == nil || line.err != nil {
			err = r.send(line)
		} else {
			r.rest, err = line, nil // the file ends: so does the next read
		}
		if err != nil {
			return "", err
		}
	}
}

func cutShort(name string, after uint64, err error) string {
	return fmt.Sprintf("%s after line %d: %v", name, after, err)
}

// readMessages gives what the file exporter writes by compression: zstd: a
// request after another, each packed by itself behind its length.
func (r *lineReader) readMessages(name string, packed *bufio.Reader) (string, error) {
	z, err := zstd.NewReader(nil, zstd.WithDecoderMaxMemory(uint64(maxLine)), zstd.WithDecoderConcurrency(1))
	if err != nil {
		return "", err
	}
	defer z.Close()
	for number := uint64(1); ; number++ {
		var size uint32
		if err := binary.Read(packed, binary.BigEndian, &size); errors.Is(err, io.EOF) {
			return "", nil
		} else if err != nil {
			return cutShort(name, number-1, err), nil
		}
		if int64(size) > int64(maxLine) {
			return cutShort(name, number-1, fmt.Errorf("%d bytes are no length of a request", size)), nil
		}
		message := make([]byte, size)
		if _, err := io.ReadFull(packed, message); err != nil {
			return cutShort(name, number-1, err), nil
		}
		line, err := z.DecodeAll(message, nil)
		if err := r.send(rawLine{line, name, number, err}); err != nil {
			return "", err
		}
	}
}

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
