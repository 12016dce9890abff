// Package suspect ranks the commits of a deployment by how well what each
// changed explains what got worse (docs/detection.md, "Attribution"). Pure: the
// commits come from gitrange or from push events, the symptom from detect.
package suspect

import (
	"github.com/deployloop/deployloop/internal/event"
)

// Symptom is what got worse, as far as it can point into code.
type Symptom struct {
	Errors     []event.RelatedError // exceptions with frames, log templates with examples
	Operations []string             // span names or routes that got worse, worst first
	Signals    []event.Signal
	Tests      []string // failing tests
	Text       string   // raw stack trace or log excerpt (the offline command)
}

// Commit is a candidate and what it changed.
type Commit struct {
	event.Change
	Files []FileDiff // empty when only names are known (then Added/Modified/Removed serve)
}

// FileDiff is one changed file.
type FileDiff struct {
	Path, OldPath string
	Binary        bool
	Truncated     bool // the diff was larger than the limit
	Hunks         []Hunk
}

// Hunk is one changed place of a file.
type Hunk struct {
	NewStart, NewLines int
	OldStart, OldLines int
	Function           string // enclosing function, from the hunk header or the language
	Added, Removed     []string
	Text               string // unified diff, cut to a limit
}
