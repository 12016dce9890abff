package cilog

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"strings"
)

// maxLineBytes of a line are looked at; what is beyond is skipped and counted.
const maxLineBytes = 4 << 10

// reader gives a log line by line. Progress bars end their lines with a lone
// carriage return, so that counts as an end too; editors do not agree on that,
// so both counts are kept.
type reader struct {
	in      *bufio.Reader
	buf     []byte
	text    string // of the line, without its end, cut
	number  int    // of line feeds before it, from 1: what grep -n says
	ordinal int    // of lines before it by any end, from 1
	bytes   int64
	cut     int // lines of which not all was looked at
	fed     bool
}

func newReader(r io.Reader) *reader {
	return &reader{in: bufio.NewReaderSize(r, 64<<10), number: 1}
}

// next reads one line; it is false at the end.
func (r *reader) next() (bool, error) {
	if r.fed {
		r.number++
		r.fed = false
	}
	r.buf = r.buf[:0]
	any, long := false, false
	for ended := false; !ended; {
		if _, err := r.in.Peek(1); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			return false, err
		}
		any = true
		window, _ := r.in.Peek(r.in.Buffered())
		n := bytes.IndexAny(window, "\r\n")
		take := n + 1
		if ended = n >= 0; !ended {
			n, take = len(window), len(window)
		} else {
			r.fed = window[n] == '\n'
		}
		if room := maxLineBytes - len(r.buf); n > room {
			n, long = room, true
		}
		r.buf = append(r.buf, window[:n]...)
		r.discard(take)
		if ended && !r.fed { // "\r\n" is one end
			if after, err := r.in.Peek(1); err == nil && after[0] == '\n' {
				r.discard(1)
				r.fed = true
			}
		}
	}
	if !any {
		return false, nil
	}
	if long {
		r.cut++
	}
	r.ordinal++
	r.text = string(r.buf)
	return true, nil
}

func (r *reader) discard(n int) {
	_, _ = r.in.Discard(n) // it was peeked at
	r.bytes += int64(n)
}

// clean takes off what the runner and the terminal put round a line: colours,
// the runner's time stamp, the names of job and step before it.
func clean(s string) string {
	s = unprefixed(s)
	if strings.IndexByte(s, 0x1b) >= 0 {
		s = uncoloured(s)
	}
	return strings.TrimRight(s, " \t")
}

// unprefixed is the line without "2021-12-01T13:01:04.3782602Z ", before which
// may stand job and step between tabs (gh run view --log).
func unprefixed(s string) string {
	from := 0
	for range 3 {
		if n := stamp(s[from:]); n > 0 {
			return s[from+n:]
		}
		tab := strings.IndexByte(s[from:], '\t')
		if tab < 0 || tab > 200 {
			return s
		}
		from += tab + 1
	}
	return s
}

// stamp is the length of the time stamp at the begin of s, with what follows it
// as far as the text; 0 where there is none.
func stamp(s string) int {
	i := 0
	if strings.HasPrefix(s, "\uFEFF") {
		i = len("\uFEFF")
	}
	bracket := i < len(s) && s[i] == '['
	if bracket {
		i++
	}
	const shape = "dddd-dd-ddTdd:dd:dd"
	if len(s) < i+len(shape) {
		return 0
	}
	for k := range len(shape) {
		c := s[i+k]
		switch shape[k] {
		case 'd':
			if c < '0' || c > '9' {
				return 0
			}
		case 'T':
			if c != 'T' && c != ' ' {
				return 0
			}
		default:
			if c != shape[k] {
				return 0
			}
		}
	}
	i += len(shape)
	for i < len(s) && (s[i] >= '0' && s[i] <= '9' || strings.IndexByte(".,Z+:", s[i]) >= 0) {
		i++
	}
	if bracket && i < len(s) && s[i] == ']' {
		i++
	}
	if i < len(s) && s[i] == ' ' {
		i++
	}
	return i
}

// uncoloured drops the control sequences of terminals: CSI ("\x1b[1;31m"), OSC
// ("\x1b]0;title\a") and the two-byte ones.
func uncoloured(s string) string {
	b := make([]byte, 0, len(s))
	for i := 0; i < len(s); i++ {
		if s[i] != 0x1b {
			b = append(b, s[i])
			continue
		}
		if i++; i >= len(s) {
			break
		}
		switch s[i] {
		case '[':
			for i++; i < len(s) && (s[i] < 0x40 || s[i] > 0x7e); i++ {
			}
		case ']':
			for i++; i < len(s) && s[i] != 0x07 && s[i] != 0x1b; i++ {
			}
			if i+1 < len(s) && s[i] == 0x1b && s[i+1] == '\\' {
				i++
			}
		}
	}
	return string(b)
}
