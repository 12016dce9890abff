// Package backtest measures the ranking of suspects on regressions whose
// culprit is known, fits its weights, and holds simple rules beside it.
//
// The cases are metadata of Defects4J (MIT) and regs4j (the lists are facts
// about public commits); they are read in place and never become part of the
// project. What is fitted on them is the handful of numbers in
// suspect.Default.
package backtest

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/deployloop/deployloop/internal/suspect"
)

// Case is a regression: what was seen, the candidates, and the answer, which
// only the measurement looks at.
type Case struct {
	ID         string
	Repository string
	Traced     bool // it has a stack trace; else only names of failing tests
	Symptom    suspect.Symptom
	Commits    []suspect.Commit
	Answer     int // index in Commits of the culprit
	// Blamed are indices of the commits that last changed the lines of the
	// trace's frames, as git blame told at the failing revision, top first; -1
	// for one outside the candidates. For the blame baseline only.
	Blamed []int
}

// DataFile is where the cases are, from the root of the repository.
const DataFile = "../shared/data/commits/cases.json"

// Find looks for the cases from a folder upwards.
func Find(from string) (string, error) {
	dir, err := filepath.Abs(from)
	if err != nil {
		return "", err
	}
	for {
		file := filepath.Join(dir, DataFile)
		if _, err := os.Stat(file); err == nil {
			return file, nil
		}
		if dir == filepath.Dir(dir) {
			return "", fmt.Errorf("no %s above %s: the measured cases are not on this machine", DataFile, from)
		}
		dir = filepath.Dir(dir)
	}
}

// Load reads the cases of a file.
func Load(file string) ([]Case, error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	var raw []json.RawMessage
	if err := json.Unmarshal(text, &raw); err != nil {
		return nil, fmt.Errorf("%s: %w", file, err)
	}
	cases := make([]Case, 0, len(raw))
	for i, r := range raw {
		c, err := parse(r)
		if err != nil {
			return nil, fmt.Errorf("%s: case %d: %w", file, i, err)
		}
		cases = append(cases, c)
	}
	if len(cases) == 0 {
		return nil, fmt.Errorf("%s holds no case", file)
	}
	return cases, nil
}

func parse(raw []byte) (Case, error) {
	// The ranking gets what the product's own reader gives it, and nothing else.
	symptom, commits, err := suspect.ReadCase(bytes.NewReader(raw))
	if err != nil {
		return Case{}, err
	}
	var truth struct {
		ID      string `json:"id"`
		Repo    string `json:"repo"`
		Culprit string `json:"culprit"`
		Frames  []struct {
			Blame string `json:"blame"`
		} `json:"frames_at_buggy"`
	}
	if err := json.Unmarshal(raw, &truth); err != nil {
		return Case{}, err
	}
	c := Case{ID: truth.ID, Repository: truth.Repo, Traced: symptom.Text != "", Symptom: symptom, Commits: commits, Answer: -1}
	index := map[string]int{}
	for i, commit := range commits {
		index[commit.Revision] = i
		if commit.Revision == truth.Culprit {
			c.Answer = i
		}
	}
	if c.Answer < 0 {
		return Case{}, errors.New("the culprit is not among the candidates")
	}
	for _, f := range truth.Frames {
		if i, ok := index[f.Blame]; ok {
			c.Blamed = append(c.Blamed, i)
		} else {
			c.Blamed = append(c.Blamed, -1)
		}
	}
	return c, nil
}
