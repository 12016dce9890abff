package event

import "time"

// Measurement is one number of one build or test run that should not get worse:
// a benchmark, a coverage, a size, a count of warnings.
type Measurement struct {
	Suite      string    `json:"suite,omitempty"` // the package, directory or tool it is of
	Name       string    `json:"name"`
	Value      float64   `json:"value"`
	Unit       string    `json:"unit"` // as told: ns/op, B/op, MB/s, s, By, 1
	Repository string    `json:"repository,omitempty"`
	Revision   string    `json:"revision,omitempty"`
	Ref        string    `json:"ref,omitempty"`
	RunID      string    `json:"run_id,omitempty"`
	At         time.Time `json:"at"`
}

// Report says that one report of a run was read to its end, so that what it does
// not hold is known to be gone.
type Report struct {
	Kind       string    `json:"kind"`
	Name       string    `json:"name,omitempty"`   // as its sender calls it: a file's name
	Suites     []string  `json:"suites,omitempty"` // that it told of, at most MaxReportNames
	Tools      []string  `json:"tools,omitempty"`  // of its findings, at most MaxReportNames
	Tests      int       `json:"tests,omitempty"`
	Failures   int       `json:"failures,omitempty"`
	Findings   int       `json:"findings,omitempty"`
	Problems   []string  `json:"problems,omitempty"` // what could not be read, and why
	Broken     bool      `json:"broken,omitempty"`   // it breaks off: what is missing may still be there
	Repository string    `json:"repository,omitempty"`
	Revision   string    `json:"revision,omitempty"`
	Ref        string    `json:"ref,omitempty"`
	Base       string    `json:"base,omitempty"`
	RunID      string    `json:"run_id,omitempty"`
	At         time.Time `json:"at"`
}

// MaxReportNames is how many suites and tools a Report names.
const MaxReportNames = 1000
