package event

import (
	"strings"
	"time"
)

// TestResult is the outcome of one test case in one run.
type TestResult struct {
	ID         string        `json:"id,omitempty"` // the same when the same result is sent again; "": nobody knows
	Suite      string        `json:"suite,omitempty"`
	Case       string        `json:"case"`
	Status     string        `json:"status"` // pass | fail | skip | error
	Duration   time.Duration `json:"duration,omitempty"`
	Message    string        `json:"message,omitempty"`
	Stacktrace string        `json:"stacktrace,omitempty"`
	File       string        `json:"file,omitempty"`
	Line       int           `json:"line,omitempty"`
	Repository string        `json:"repository,omitempty"`
	Revision   string        `json:"revision,omitempty"`
	Ref        string        `json:"ref,omitempty"`  // the branch that was tested
	Base       string        `json:"base,omitempty"` // the revision it is compared with: the merge base of a branch
	RunID      string        `json:"run_id,omitempty"`
	At         time.Time     `json:"at"`
}

// IsJob tells a job, a build or a whole package from a test: "[build failed]".
func (r TestResult) IsJob() bool { return strings.HasPrefix(r.Case, "[") }
