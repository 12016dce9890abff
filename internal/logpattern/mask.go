package logpattern

import (
	"strings"

	"github.com/cespare/xxhash/v2"
)

// Limits of what is read of a line.
const (
	maxLineBytes = 4 << 10 // the rest of a longer line is not looked at
	maxTokens    = 96      // further tokens are not looked at
)

// Wildcard stands in a template where lines of the group differ.
const Wildcard = "<*>"

// token is one piece of a masked line.
type token struct {
	hash     uint64
	from, to int32 // its masked text in scanner.text
	masked   bool  // holds a Wildcard: useless as a key of the tree
	pure     bool  // is nothing but a Wildcard and punctuation
	spaced   bool  // white space stands before it
}

// scanner masks lines and cuts them into tokens. It keeps its buffers, so that
// in steady state a line costs no allocation.
type scanner struct {
	text   []byte // the masked line
	tokens []token
}

// Classes of bytes. Bytes of multi-byte runes count as letters.
const (
	classOther byte = iota
	classSpace
	classDigit
	classHex    // a–f, A–F
	classLetter // the other letters
	classSplit  // ends a token, is a token's last byte
)

var classOf = func() (t [256]byte) {
	for c := range t {
		switch {
		case c == ' ' || c == '\t' || c == '\n' || c == '\r' || c == '\v' || c == '\f':
			t[c] = classSpace
		case c >= '0' && c <= '9':
			t[c] = classDigit
		case c >= 'a' && c <= 'f' || c >= 'A' && c <= 'F':
			t[c] = classHex
		case c >= 'g' && c <= 'z' || c >= 'G' && c <= 'Z' || c >= 0x80:
			t[c] = classLetter
		case strings.IndexByte("=:,;()[]{}|", byte(c)) >= 0:
			t[c] = classSplit
		}
	}
	return t
}()

// scan masks, in one pass, what is variable by its form: numbers (with sign,
// decimals, dates, times, IP and MAC addresses, versions), hexadecimal runs of
// six and more, UUIDs, ids inside paths and words, and quoted text.
func (s *scanner) scan(line string) {
	if len(line) > maxLineBytes {
		line = line[:maxLineBytes]
	}
	s.text, s.tokens = s.text[:0], s.tokens[:0]
	for i := 0; i < len(line) && len(s.tokens) < maxTokens; {
		if classOf[line[i]] == classSpace {
			i++
			continue
		}
		spaced := i > 0 && classOf[line[i-1]] == classSpace
		if spaced && len(s.text) > 0 {
			s.text = append(s.text, ' ')
		}
		i = s.token(line, i, spaced)
	}
}

// token masks the token at i and returns the place after it.
func (s *scanner) token(line string, i int, spaced bool) int {
	t := token{from: int32(len(s.text)), spaced: spaced}
	wild, literal := false, false // the last piece is a Wildcard; some piece is a word
	for first := true; i < len(line); first = false {
		c := line[i]
		class := classOf[c]
		if class == classSpace {
			break
		}
		if class == classDigit || class == classHex || class == classLetter {
			end, digits, other, flips := word(line, i)
			switch {
			case digits == 0 && !(wild && other == 0 && hexGroup(end-i)):
				s.text = append(s.text, line[i:end]...)
				wild, literal = false, true
			case other == 0 && wild && hexGroup(end-i), // of a UUID, an address
				other == 0 && end-i >= 6,                  // a hexadecimal run
				end-i > 2 && c == '0' && line[i+1] == 'x', // 0x…
				flips >= 4, // base64 and its like
				wild && class == classDigit && classOf[line[end-1]] == classDigit:
				s.wildcard(&wild)
				t.masked = true
			default: // digits between letters
				for ; i < end; i++ {
					if classOf[line[i]] == classDigit {
						s.wildcard(&wild)
					} else {
						s.text = append(s.text, line[i])
						wild, literal = false, true
					}
				}
				t.masked = true
			}
			i = end
			continue
		}
		if wild { // 10.0.0.1:80, 2026-11-23, 1,024, a_1_2: one variable, not several
			if j := joint(line, i); j > i {
				i = j
				continue
			}
		}
		if (c == '-' || c == '+') && first && i+1 < len(line) && classOf[line[i+1]] == classDigit {
			i++ // a sign
			continue
		}
		if (c == '"' || c == '\'') && first {
			if end := quoted(line, i); end > 0 {
				s.wildcard(&wild)
				t.masked, i = true, end
				continue
			}
		}
		s.text = append(s.text, c)
		wild = false
		i++
		if class == classSplit {
			break
		}
		literal = true
	}
	t.to = int32(len(s.text))
	t.pure = t.masked && !literal
	t.hash = xxhash.Sum64(s.text[t.from:t.to])
	s.tokens = append(s.tokens, t)
	return i
}

func (s *scanner) wildcard(wild *bool) {
	if !*wild {
		s.text = append(s.text, Wildcard...)
	}
	*wild = true
}

// word measures the run of letters and digits at i: its end, how many digits
// and how many letters beyond f it holds, and how often the two change places.
func word(line string, i int) (end, digits, other, flips int) {
	was := classOf[line[i]] == classDigit
	for ; i < len(line); i++ {
		switch classOf[line[i]] {
		case classDigit:
			digits++
			if !was {
				flips++
			}
			was = true
			continue
		case classLetter:
			other++
		case classHex:
		default:
			return i, digits, other, flips
		}
		if was {
			flips++
		}
		was = false
	}
	return i, digits, other, flips
}

// hexGroup: the lengths of a UUID's, MAC's and IPv6 address's groups.
func hexGroup(n int) bool { return n == 2 || n == 4 || n == 8 || n == 12 }

// joint skips the separators at i when a further variable piece follows them.
func joint(line string, i int) int {
	j := i
	for j < len(line) && j-i < 3 && strings.IndexByte(".:,-/_", line[j]) >= 0 {
		j++
	}
	if j == i || j >= len(line) {
		return i
	}
	switch classOf[line[j]] {
	case classDigit:
		return j
	case classHex:
		end, _, other, _ := word(line, j)
		if other == 0 && hexGroup(end-j) {
			return j
		}
	}
	return i
}

// quoted returns the place after the closing quote of the text quoted at i, or
// 0: an apostrophe is no quote.
func quoted(line string, i int) int {
	end := strings.IndexByte(line[i+1:], line[i])
	if end < 0 || end > 200 {
		return 0
	}
	end += i + 2
	if end < len(line) {
		if c := classOf[line[end]]; c == classDigit || c == classHex || c == classLetter {
			return 0
		}
	}
	return end
}
