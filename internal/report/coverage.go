package report

import (
	"encoding/xml"
	"errors"
	"fmt"
	"hash/maphash"
	"slices"
	"strconv"
	"strings"
)

// Limits of what coverage holds till its end.
const (
	maxCoverFiles  = 100_000
	maxCoverNames  = 16 << 20  // bytes of their names together
	maxCoverBlocks = 1_000_000 // of a Go profile, where -coverpkg repeats them
)

// fileCoverage sums coverage by file, in order of appearance.
type fileCoverage struct {
	p       *parse
	unit    string
	by      map[string]*Coverage
	order   []*Coverage
	named   int // bytes of names
	omitted int // what was told of files beyond the limits
}

func newFileCoverage(p *parse, unit string) *fileCoverage {
	return &fileCoverage{p: p, unit: unit, by: map[string]*Coverage{}}
}

// of is the sum of that file; nil when there are too many.
func (f *fileCoverage) of(file string) *Coverage {
	file = cut(file, maxName)
	c := f.by[file]
	if c == nil {
		if len(f.order) == maxCoverFiles || f.named+len(file) > maxCoverNames {
			f.omitted++
			return nil
		}
		file = strings.Clone(file) // a part of a line would hold all of it
		f.named += len(file)
		c = &Coverage{File: file, Unit: f.unit}
		f.by[file] = c
		f.order = append(f.order, c)
	}
	return c
}

func (f *fileCoverage) emit() error {
	if f.omitted > 0 {
		f.p.problem("files beyond %d, or %d MiB of their names, were left out: they were told of %d times", maxCoverFiles, maxCoverNames>>20, f.omitted)
	}
	for _, c := range f.order {
		if err := f.p.coverage(*c); err != nil {
			return err
		}
	}
	return nil
}

// parseGoCover reads a profile of go test -coverprofile:
// file.go:line.column,line.column statements count.
func parseGoCover(p *parse) error {
	files := newFileCoverage(p, "statements")
	seed := maphash.MakeSeed()
	var blocks blockSet
	number, bad, over := 0, 0, 0
	err := lines(p.in, func(line []byte) error {
		number++
		text := strings.TrimSpace(string(line))
		if text == "" || strings.HasPrefix(text, "mode: ") {
			return nil
		}
		fields := strings.Fields(text)
		colon := strings.LastIndexByte(text, ':')
		if len(fields) < 3 || colon <= 0 {
			bad++
			return nil
		}
		statements, err1 := strconv.Atoi(fields[len(fields)-2])
		count, err2 := strconv.ParseUint(fields[len(fields)-1], 10, 64)
		if err1 != nil || err2 != nil || statements < 0 || statements > 1e6 {
			bad++
			return nil
		}
		file := files.of(text[:colon])
		if file == nil {
			return nil
		}
		block, isNew := blocks.slot(maphash.String(seed, text[:len(text)-len(fields[len(fields)-1])]), maxCoverBlocks)
		if block == nil {
			over++
			return nil
		}
		if isNew {
			file.Total += statements
		}
		if count > 0 && *block&1 == 0 {
			file.Covered += statements
			*block |= 1
		}
		return nil
	})
	if bad > 0 {
		p.problem("%d of %d lines are no blocks of a Go cover profile and were left out", bad, number)
	}
	if over > 0 {
		p.problem("blocks beyond %d were left out: they were told of %d times", maxCoverBlocks, over)
	}
	if failure := files.emit(); failure != nil {
		return failure
	}
	if err == nil && number == 0 {
		err = errors.New("it is empty")
	}
	return err
}

// parseLCOV reads the tracefiles of lcov: SF, then DA:line,hits or LF and LH, then
// end_of_record.
func parseLCOV(p *parse) error {
	files := newFileCoverage(p, "lines")
	var file string
	var found, hits, told, toldHit, records int
	err := lines(p.in, func(line []byte) error {
		text := strings.TrimSpace(string(line))
		name, value, _ := strings.Cut(text, ":")
		switch name {
		case "SF":
			file, found, hits, told, toldHit = value, 0, 0, 0, 0
		case "DA":
			_, count, _ := strings.Cut(value, ",")
			count, _, _ = strings.Cut(count, ",")
			found++
			if n, err := strconv.ParseFloat(count, 64); err == nil && n > 0 {
				hits++
			}
		case "LF":
			told, _ = strconv.Atoi(value)
		case "LH":
			toldHit, _ = strconv.Atoi(value)
		case "end_of_record":
			if file == "" {
				return nil
			}
			records++
			if found == 0 {
				found, hits = max(told, 0), min(max(toldHit, 0), max(told, 0))
			}
			if c := files.of(file); c != nil { // one file in several tests: the sum of its best
				c.Total, c.Covered = max(c.Total, found), max(c.Covered, hits)
			}
			file = ""
		}
		return nil
	})
	if file != "" {
		p.cutOff("the record of %s is incomplete and was left out", file)
	}
	if failure := files.emit(); failure != nil {
		return failure
	}
	if err == nil && records == 0 {
		err = errors.New("it has no complete record (SF … end_of_record)")
	}
	return err
}

// parseCobertura reads Cobertura XML: the lines of classes; those of methods
// repeat them.
func parseCobertura(p *parse) error {
	d, guard := newXMLDecoder(p.in)
	files := newFileCoverage(p, "lines")
	var path []string
	var current *Coverage
	root := false
	err := walkXML(d, func(e xml.StartElement) error {
		name := e.Name.Local
		if len(path) == 0 {
			if name != "coverage" {
				return fmt.Errorf("its root is %q, not coverage", cut(name, 60))
			}
			root = true
		}
		path = append(path, name)
		switch name {
		case "class":
			current = nil
			if file := attribute(e, "filename"); file != "" {
				current = files.of(file)
			}
		case "line":
			if current == nil || slices.Contains(path, "method") {
				return nil
			}
			current.Total++
			if n, err := strconv.ParseFloat(attribute(e, "hits"), 64); err == nil && n > 0 {
				current.Covered++
			}
		}
		return nil
	}, func([]byte) {}, func(string) error {
		if len(path) > 0 {
			path = path[:len(path)-1]
		}
		return nil
	})
	if guard.dropped > 0 {
		p.problem("%d characters of overlong text were left out", guard.dropped)
	}
	if failure := files.emit(); failure != nil {
		return failure
	}
	if err == nil && !root {
		err = errors.New("it has no element coverage")
	}
	return err
}
