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
	Files      []FileDiff // empty when only names are known (then Added/Modified/Removed serve)
	Unread     bool       // what it changed could not be read, which is no sign of anything
	Merge      bool       // more than one parent; Files then hold only what the merge itself changed
	Reverts    []string   // commit ids that its message says it reverts
	PickedFrom string     // commit id that its message says it was cherry-picked from
	Reports    []Report   // what was said of this very commit, not of its neighbours
}

// Report is what a test or an analyser newly said of one commit: a test that
// passed before it and fails since, a finding that it brought.
type Report struct {
	Text string // in words: "test CartTest.adds fails since", "finding G115: integer overflow"
	Name string // of the test or rule
	File string
	Line int
}

// FileDiff is one changed file.
type FileDiff struct {
	Path, OldPath string
	Added         int  // lines; counted past the limits too
	Removed       int  // lines
	Submodule     bool // a moved submodule pointer
	Binary        bool
	Truncated     bool // the diff was larger than the limit: Hunks or their texts are not whole
	Hunks         []Hunk
}

// Hunk is one changed place of a file: a run of removed and added lines
// without unchanged ones between. As in a diff without context, a start with
// no lines names the line before the place.
type Hunk struct {
	NewStart, NewLines int
	OldStart, OldLines int
	Function           string // enclosing function, from the hunk header or the language
	Added, Removed     []string
	Text               string // unified diff with up to three lines around, cut to a limit
}
