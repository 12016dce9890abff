package suspect

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/deployloop/deployloop/internal/event"
)

// MaxCaseBytes is the largest file of candidates that is read.
const MaxCaseBytes = 64 << 20

// caseFile is a symptom and its candidates as a file holds them. Fields that
// are not named here are ignored: whatever a file says of the answer is never read.
type caseFile struct {
	StackTrace   string          `json:"stack_trace"`
	FailingTests texts           `json:"failing_tests"`
	Candidates   []caseCandidate `json:"candidates"` // newest first
}

type caseCandidate struct {
	SHA        string              `json:"sha"`
	Parents    []string            `json:"parents"`
	CommitDate string              `json:"commit_date"`
	Author     string              `json:"author"`
	Subject    string              `json:"subject"`
	Message    string              `json:"message"`
	Files      []caseFileChange    `json:"files"`
	Hunks      map[string][][4]int `json:"hunks"` // path: old start, old lines, new start, new lines
}

// caseFileChange is ["path", "lines added", "lines removed"], or only a path;
// "-" for the lines of a binary file.
type caseFileChange struct {
	path           string
	added, removed int
	binary         bool
}

func (f *caseFileChange) UnmarshalJSON(b []byte) error {
	if json.Unmarshal(b, &f.path) == nil {
		return nil
	}
	var parts []json.RawMessage
	if err := json.Unmarshal(b, &parts); err != nil || len(parts) == 0 {
		return errors.New(`a file must be a path or ["path", added, removed]`)
	}
	if err := json.Unmarshal(parts[0], &f.path); err != nil {
		return err
	}
	count := func(i int) int {
		if i >= len(parts) {
			return 0
		}
		text := strings.Trim(string(parts[i]), `"`)
		if text == "-" {
			f.binary = true
			return 0
		}
		var n int
		if _, err := fmt.Sscan(text, &n); err != nil {
			return 0
		}
		return max(n, 0)
	}
	f.added, f.removed = count(1), count(2)
	return nil
}

// texts is a list, or one text with ";" between its parts.
type texts []string

func (t *texts) UnmarshalJSON(b []byte) error {
	var list []string
	if json.Unmarshal(b, &list) == nil {
		*t = list
		return nil
	}
	var one string
	if err := json.Unmarshal(b, &one); err != nil {
		return errors.New("failing_tests must be a list of names, or one text with ; between them")
	}
	*t = nil
	for part := range strings.SplitSeq(one, ";") {
		if part = strings.TrimSpace(part); part != "" {
			*t = append(*t, part)
		}
	}
	return nil
}

// ReadCase reads one JSON object with stack_trace, failing_tests and
// candidates, newest first.
func ReadCase(r io.Reader) (Symptom, []Commit, error) {
	limited := &io.LimitedReader{R: r, N: MaxCaseBytes + 1}
	var c caseFile
	if err := json.NewDecoder(limited).Decode(&c); err != nil {
		if limited.N <= 0 {
			return Symptom{}, nil, fmt.Errorf("more than %d MiB", MaxCaseBytes>>20)
		}
		return Symptom{}, nil, fmt.Errorf("no JSON object with stack_trace, failing_tests and candidates: %w", err)
	}
	commits := make([]Commit, 0, len(c.Candidates))
	for i, from := range c.Candidates {
		if from.SHA == "" {
			return Symptom{}, nil, fmt.Errorf("candidates[%d] has no sha", i)
		}
		commits = append(commits, from.commit())
	}
	return Symptom{Text: c.StackTrace, Tests: c.FailingTests}, commits, nil
}

func (c caseCandidate) commit() Commit {
	message := c.Message
	if message == "" {
		message = c.Subject
	}
	at, err := time.Parse(time.RFC3339, c.CommitDate)
	if err != nil {
		at = time.Time{}
	}
	out := Commit{
		Change: event.Change{Revision: c.SHA, Parents: c.Parents, Message: message, Author: c.Author, At: at},
		Merge:  len(c.Parents) > 1,
	}
	for _, f := range c.Files {
		old, name := renamed(f.path)
		d := FileDiff{Path: name, OldPath: old, Added: f.added, Removed: f.removed, Binary: f.binary}
		hunks, ok := c.Hunks[name]
		if !ok {
			hunks = c.Hunks[f.path]
		}
		for _, h := range hunks {
			d.Hunks = append(d.Hunks, Hunk{OldStart: h[0], OldLines: h[1], NewStart: h[2], NewLines: h[3]})
		}
		out.Files = append(out.Files, d)
		out.Modified = append(out.Modified, name)
	}
	return out
}

// renamed reads how git's statistics write a rename: "old => new" and
// "a/{old => new}/b".
func renamed(name string) (old, new string) {
	before, rest, ok := strings.Cut(name, "{")
	if middle, after, closed := strings.Cut(rest, "}"); ok && closed {
		if a, b, arrow := strings.Cut(middle, " => "); arrow {
			join := func(part string) string { return strings.ReplaceAll(before+part+after, "//", "/") }
			return join(a), join(b)
		}
	}
	if a, b, arrow := strings.Cut(name, " => "); arrow {
		return a, b
	}
	return "", name
}
