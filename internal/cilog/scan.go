package cilog

import (
	"io"
	"math"
)

// line is one line on its way through a log.
type line struct {
	text            string // cleaned
	number, ordinal int
	vector          Vector
	blank           bool
}

const (
	nearEnd    = 50
	closeToEnd = 300
)

// scan gives every line in order, late enough that how near it is to the end is
// known.
func scan(log io.Reader, b *Baseline, take func(line)) (*reader, error) {
	r, s := newReader(log), newState(b)
	var ring [closeToEnd]line
	for {
		ok, err := r.next()
		if err != nil {
			return r, err
		}
		if !ok {
			break
		}
		at := &ring[r.ordinal%closeToEnd]
		if r.ordinal > closeToEnd {
			take(*at)
		}
		text := clean(r.text)
		v, blank := s.line(text)
		*at = line{text: text, number: r.number, ordinal: r.ordinal, vector: v, blank: blank}
	}
	for i := max(1, r.ordinal-closeToEnd+1); i <= r.ordinal; i++ {
		l := ring[i%closeToEnd]
		if !l.blank {
			l.vector.set(featClose, true)
			l.vector.set(featNear, r.ordinal-i < nearEnd)
		}
		take(l)
	}
	return r, nil
}

// Blank is the vector of a blank line in Vectors.
const Blank Vector = 1 << 63

// Vectors are the features of every line of a log, for fitting.
func Vectors(log io.Reader, b *Baseline) ([]Vector, error) {
	var out []Vector
	_, err := scan(log, b, func(l line) {
		if l.blank {
			l.vector = Blank
		}
		out = append(out, l.vector)
	})
	return out, err
}

// Choose tells which lines are taken: those whose score passes the threshold,
// and blank ones, whose score is NaN, between two of them. Where none does, the
// likeliest is taken: a failed build has a cause.
func Choose(scores []float64, threshold float64) []bool {
	taken := make([]bool, len(scores))
	last, best, any := -1, -1, false
	for i, score := range scores {
		switch {
		case math.IsNaN(score):
			continue
		case score < threshold:
			last = -1
		default:
			for k := last + 1; last >= 0 && k < i; k++ {
				taken[k] = true
			}
			taken[i], last, any = true, i, true
		}
		if best < 0 || score > scores[best] {
			best = i
		}
	}
	if !any && best >= 0 {
		taken[best] = true
	}
	return taken
}
