// Package backtest measures the finding of the lines that explain a failed build
// on logs in which people marked them, fits its weights, and holds a diff of the
// two logs and the published method beside it.
//
// The cases are those of CiDiff (Apache-2.0); they are read in place and never
// become part of the project. What is fitted on them are the handful of numbers
// in cilog's weights.
package backtest

import (
	"bufio"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// Case is a failed build: its log, one that passed before it, and the lines that
// two people marked as the cause, each for themselves.
type Case struct {
	Name       string
	Repository string
	Passed     string // the file
	Failed     string
	Actions    bool            // of GitHub Actions; else of Jenkins
	Marked     [2]map[int]bool // ordinals of lines, from 1
}

// DataDir is where the cases are, from the root of the repository.
const DataDir = "../shared/data/ci-logs"

// Find looks for the cases from a folder upwards.
func Find(from string) (string, error) {
	dir, err := filepath.Abs(from)
	if err != nil {
		return "", err
	}
	for {
		found := filepath.Join(dir, DataDir)
		if _, err := os.Stat(found); err == nil {
			return found, nil
		}
		if dir == filepath.Dir(dir) {
			return "", fmt.Errorf("no %s above %s: the measured logs are not on this machine", DataDir, from)
		}
		dir = filepath.Dir(dir)
	}
}

// Load reads what the folder holds.
func Load(dir string) ([]Case, error) {
	marks, err := filepath.Glob(filepath.Join(dir, "*", "groundtruth"))
	if err != nil {
		return nil, err
	}
	if len(marks) == 0 {
		return nil, fmt.Errorf("%s holds no case", dir)
	}
	var cases []Case
	for _, file := range marks {
		folder := filepath.Dir(file)
		c := Case{Name: filepath.Base(folder), Passed: filepath.Join(folder, "pass.log"), Failed: filepath.Join(folder, "fail.log")}
		c.Repository, _, _ = strings.Cut(c.Name, "_")
		if i := strings.LastIndexByte(c.Name, '_'); i > 0 {
			c.Repository = c.Name[:i]
		}
		for i, name := range []string{"groundtruth", "groundtruth2"} {
			dialect := ""
			if dialect, c.Marked[i], err = marked(filepath.Join(folder, name)); err != nil {
				return nil, err
			}
			c.Actions = c.Actions || i == 0 && dialect != "DEFAULT"
		}
		cases = append(cases, c)
	}
	return cases, nil
}

// marked reads a file of marks: the name of the log's dialect, then lines "E
// 18-61" (the error itself) or "C 34" (its context; not counted here, since it
// is no cause).
func marked(file string) (dialect string, lines map[int]bool, err error) {
	f, err := os.Open(file)
	if err != nil {
		return "", nil, err
	}
	defer f.Close()
	lines = map[int]bool{}
	for in := bufio.NewScanner(f); in.Scan(); {
		kind, span, ok := strings.Cut(strings.TrimSpace(in.Text()), " ")
		if !ok && dialect == "" {
			dialect = kind
		}
		if !ok || kind != "E" {
			continue
		}
		from, to, ranged := strings.Cut(span, "-")
		if !ranged {
			to = from
		}
		first, err := strconv.Atoi(from)
		if err != nil {
			return "", nil, fmt.Errorf("%s: %w", file, err)
		}
		last, err := strconv.Atoi(to)
		if err != nil {
			return "", nil, fmt.Errorf("%s: %w", file, err)
		}
		for ; first <= last; first++ {
			lines[first] = true
		}
	}
	if len(lines) == 0 {
		return "", nil, fmt.Errorf("%s marks no line", file)
	}
	return dialect, lines, nil
}
