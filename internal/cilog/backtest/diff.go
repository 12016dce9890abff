package backtest

import (
	"io"
	"regexp"
	"slices"
	"strings"
)

// stamp is what GitHub's runner puts before a line, and gh run view before that.
var stamp = regexp.MustCompile(`^(?:[^\t]*\t[^\t]*\t)?\x{FEFF}?\d{4}-\d\d-\d\dT[\d:.]+Z ?`)

// difference is how a failed log differs from the one that passed. Finding it takes
// nearly all of the time here, so the ways that start from it share it.
type difference struct {
	passed, failed []string
	// added are the lines of the failed log outside a longest common subsequence
	// of lines. The time stamps of the runner are taken off first, without which
	// each line differs.
	added []bool
	gaps  []gap
}

// plain are the lines that a diff calls added.
func (d difference) plain() []bool { return d.added }

// cidiff are the added lines that are left when, as the published method does,
// lines that were rewritten or moved are taken out: an added line is rewritten
// where a deleted one of the same gap has as many words and most of them alike,
// and moved where one deleted anywhere is the same.
func (d difference) cidiff() []bool {
	added := slices.Clone(d.added)
	deleted := map[string]int{}
	for _, g := range d.gaps {
		for _, s := range d.passed[g.p0:g.p1] {
			deleted[s]++
		}
	}
	for _, g := range d.gaps {
		from := g.p0
		for i := g.f0; i < g.f1; i++ {
			for k := from; k < min(g.p1, from+maxLookahead); k++ {
				if rewritten(d.passed[k], d.failed[i]) {
					added[i], from = false, k+1
					break
				}
			}
			if added[i] && deleted[d.failed[i]] > 0 {
				deleted[d.failed[i]]--
				added[i] = false
			}
		}
	}
	return added
}

const (
	maxLookahead = 200 // deleted lines of a gap that an added one is held against
	minAlike     = .6  // share of words
)

func rewritten(a, b string) bool {
	x, y := strings.Fields(a), strings.Fields(b)
	if len(x) != len(y) || len(x) == 0 {
		return false
	}
	alike := 0
	for i := range x {
		if x[i] == y[i] {
			alike++
		}
	}
	return float64(alike) >= minAlike*float64(len(x))
}

// gap is where the two logs differ: passed[p0:p1] became failed[f0:f1].
type gap struct{ p0, p1, f0, f1 int }

// compare finds a longest common subsequence by Hirschberg's method: time as the
// product of the lengths, memory as their sum.
func compare(passed, failed []string) difference {
	ids := map[string]int32{}
	number := func(lines []string) []int32 {
		out := make([]int32, len(lines))
		for i, s := range lines {
			id, known := ids[s]
			if !known {
				id = int32(len(ids))
				ids[s] = id
			}
			out[i] = id
		}
		return out
	}
	p, f := number(passed), number(failed)
	d := difference{passed: passed, failed: failed, added: slices.Repeat([]bool{true}, len(failed))}
	last := gap{}
	match := func(i, k int) {
		d.added[k] = false
		if i > last.p0 || k > last.f0 {
			d.gaps = append(d.gaps, gap{last.p0, i, last.f0, k})
		}
		last = gap{p0: i + 1, f0: k + 1}
	}
	common(p, f, 0, 0, match)
	if last.p0 < len(p) || last.f0 < len(f) {
		d.gaps = append(d.gaps, gap{last.p0, len(p), last.f0, len(f)})
	}
	return d
}

func common(p, f []int32, p0, f0 int, match func(i, k int)) {
	for len(p) > 0 && len(f) > 0 && p[0] == f[0] {
		match(p0, f0)
		p, f, p0, f0 = p[1:], f[1:], p0+1, f0+1
	}
	tail := 0
	for tail < len(p) && tail < len(f) && p[len(p)-1-tail] == f[len(f)-1-tail] {
		tail++
	}
	end, fend := p0+len(p)-tail, f0+len(f)-tail
	middle(p[:len(p)-tail], f[:len(f)-tail], p0, f0, match)
	for i := range tail {
		match(end+i, fend+i)
	}
}

func middle(p, f []int32, p0, f0 int, match func(i, k int)) {
	if len(p) == 0 || len(f) == 0 {
		return
	}
	if len(p) == 1 {
		for k, x := range f {
			if x == p[0] {
				match(p0, f0+k)
				return
			}
		}
		return
	}
	half := len(p) / 2
	forward, backward := lengths(p[:half], f, false), lengths(p[half:], f, true)
	best, at := int32(-1), 0
	for k := range forward {
		if n := forward[k] + backward[len(f)-k]; n > best {
			best, at = n, k
		}
	}
	if best == 0 {
		return
	}
	common(p[:half], f[:at], p0, f0, match)
	common(p[half:], f[at:], p0+half, f0+at, match)
}

// lengths are those of the longest common subsequences of p and each begin of
// f; of each end, from behind, where reversed.
func lengths(p, f []int32, reversed bool) []int32 {
	row := make([]int32, len(f)+1)
	for i := range p {
		x := p[i]
		if reversed {
			x = p[len(p)-1-i]
		}
		var corner int32 // row above, one column back
		for k := range f {
			y := f[k]
			if reversed {
				y = f[len(f)-1-k]
			}
			above := row[k+1]
			if x == y {
				row[k+1] = corner + 1
			} else {
				row[k+1] = max(above, row[k])
			}
			corner = above
		}
	}
	return row
}

// lines of a log, with the counts of lines that the marks have, without the time
// stamps of the runner.
func lines(file string) (out []string, err error) {
	err = reading(file, func(r io.Reader) error {
		text, err := io.ReadAll(r)
		s := strings.ReplaceAll(strings.ReplaceAll(string(text), "\r\n", "\n"), "\r", "\n")
		for line := range strings.Lines(s) {
			out = append(out, stamp.ReplaceAllString(strings.TrimSuffix(line, "\n"), ""))
		}
		return err
	})
	return out, err
}
