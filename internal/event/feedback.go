package event

import (
	"crypto/sha256"
	"encoding/hex"
	"strings"
	"time"
)

// MaxJudgements is how many judgements a Feedback holds; More counts the rest.
const MaxJudgements = 50

// Feedback is the full state of what builds and tests say of one commit of a
// branch, against the branch that it goes to. Its state is watching while runs go
// on, and regressed from the first news for the worse.
type Feedback struct {
	ID         string `json:"id"` // see FeedbackID
	Repository string `json:"repository,omitempty"`
	Ref        string `json:"ref,omitempty"`
	Trunk      bool   `json:"trunk"` // the branch that others are compared with
	Revision   string `json:"revision"`
	Base       string `json:"base,omitempty"` // the revision it is compared with
	// BaseAssumed: nobody told of it; it is what the main branch was when the branch
	// was first heard of.
	BaseAssumed bool         `json:"base_assumed,omitempty"`
	State       VerdictState `json:"verdict"` // watching | healthy | regressed | inconclusive
	Mode        Mode         `json:"mode"`
	Running     bool         `json:"running,omitempty"`
	RunID       string       `json:"run_id,omitempty"`
	URL         string       `json:"url,omitempty"` // of the run
	StartedAt   time.Time    `json:"started_at"`
	At          time.Time    `json:"at"`

	Tests     int             `json:"tests"`
	Passed    int             `json:"passed"`
	Failed    int             `json:"failed"`
	Skipped   int             `json:"skipped"`
	Findings  int             `json:"findings"`
	Unchanged int             `json:"findings_unchanged"`
	Broken    int             `json:"reports_broken,omitempty"`   // reports that break off, and Restarts
	Restarts  int             `json:"restarts,omitempty"`         // of deployloop while runs went on: results are lost
	Mendable  []BrokenReport  `json:"reports_mendable,omitempty"` // those of them that a whole one would replace
	Unended   []UnendedJob    `json:"jobs_unended,omitempty"`     // jobs that were cancelled, or whose end was never told
	Coverage  []CoverageTotal `json:"coverage,omitempty"`

	Judgements []Judgement `json:"judgements,omitempty"` // news for the worse first, at most MaxJudgements
	More       int         `json:"more,omitempty"`       // judgements beyond

	Suspicion  *Suspicion         `json:"suspicion,omitempty"`  // of an anomaly: which commit since the last good one
	Production []ProductionEffect `json:"production,omitempty"` // what the same commit did where it was deployed
}

// BrokenReport is what is known of a report that breaks off: a later one of the same
// kind and name that begins with the same suite or tool, and holds no less, is it again.
type BrokenReport struct {
	Kind     string `json:"kind"`
	Name     string `json:"name,omitempty"`
	First    string `json:"first,omitempty"`
	Tests    int    `json:"tests,omitempty"`
	Findings int    `json:"findings,omitempty"`
}

// UnendedJob is a job of a pipeline that was cancelled, or whose end was never told. Its
// job is "" where it is the pipeline itself.
type UnendedJob struct {
	RunID     string `json:"run_id"`
	Pipeline  string `json:"pipeline,omitempty"`
	Job       string `json:"job,omitempty"`
	TaskID    string `json:"task_id,omitempty"`
	Attempt   int    `json:"attempt,omitempty"`
	Cancelled bool   `json:"cancelled,omitempty"`
}

// Whole tells whether it is a pipeline, not one of its jobs.
func (u UnendedJob) Whole() bool { return u.Job == "" && u.TaskID == "" }

// ProductionEffect is a verdict on a deployment that holds the commit.
type ProductionEffect struct {
	Deployment  string       `json:"deployment"`
	Service     string       `json:"service"`
	Environment string       `json:"environment"`
	State       VerdictState `json:"verdict"`
	Summary     string       `json:"summary"`
	At          time.Time    `json:"at"`
}

// FeedbackID is stable for one commit of a branch.
func FeedbackID(repository, ref, revision string) string {
	sum := sha256.Sum256([]byte(strings.Join([]string{repository, ref, revision}, "\x00")))
	return hex.EncodeToString(sum[:])[:12]
}

// Count is how many of the judgements are of that call.
func (f Feedback) Count(call Call) int {
	n := 0
	for _, j := range f.Judgements {
		if j.Call == call {
			n++
		}
	}
	return n
}
