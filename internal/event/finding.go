package event

import "time"

// Finding is one result of a static analysis.
type Finding struct {
	ID          string    `json:"id,omitempty"` // the same when the same result is sent again; "": nobody knows
	Tool        string    `json:"tool,omitempty"`
	Rule        string    `json:"rule"`
	Level       string    `json:"level,omitempty"` // SARIF: none | note | warning | error
	Message     string    `json:"message,omitempty"`
	File        string    `json:"file,omitempty"`
	Line        int       `json:"line,omitempty"`
	Fingerprint string    `json:"fingerprint,omitempty"`
	Repository  string    `json:"repository,omitempty"`
	Revision    string    `json:"revision,omitempty"`
	Ref         string    `json:"ref,omitempty"`  // the branch that was analysed
	Base        string    `json:"base,omitempty"` // the revision it is compared with: the merge base of a branch
	RunID       string    `json:"run_id,omitempty"`
	At          time.Time `json:"at"`
}
