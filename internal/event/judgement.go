package event

// Call is what a result of a build or test means.
type Call string

// The calls. Only NewFailure, NewFinding, Slower, Worsened and Hanging are news for
// the worse.
const (
	NewFailure     Call = "new_failure"
	KnownFlaky     Call = "known_flaky"
	AlreadyFailing Call = "already_failing"
	NotCertain     Call = "not_certain" // new or already failing, by where the branch began, which nobody told
	Fixed          Call = "fixed"
	Slower         Call = "slower"
	Hanging        Call = "hanging"  // a job that goes on for longer than it ever took
	Worsened       Call = "worsened" // what is no time: a coverage, a size, a count of warnings
	Vanished       Call = "vanished"
	NewFinding     Call = "new_finding"
	FixedFinding   Call = "fixed_finding"
)

// Judgement is one thing to say of a run against the runs before it.
type Judgement struct {
	Call     Call        `json:"call"`
	Test     *TestResult `json:"test,omitempty"`
	Finding  *Finding    `json:"finding,omitempty"`
	Measure  string      `json:"measure,omitempty"` // of Slower and Worsened: the benchmark, duration, coverage, size or count
	Unit     string      `json:"unit,omitempty"`
	Rate     float64     `json:"flake_rate,omitempty"`      // posterior mean
	Interval [2]float64  `json:"flake_interval,omitzero"`   // 95 %, of the rate
	NewFlake bool        `json:"turned_flaky,omitempty"`    // it was never seen to be flaky before
	LastPass string      `json:"last_pass,omitempty"`       // revision
	FirstBad string      `json:"first_bad,omitempty"`       // revision
	Streak   int         `json:"failures_in_row,omitempty"` // with this one
	Shift    *Shift      `json:"shift,omitempty"`
	Closure  *Closure    `json:"closure,omitempty"` // set in an anomaly, once it is over
}

// Shift is a change of a measured value that is no noise.
type Shift struct {
	Before    float64 `json:"before"` // medians
	After     float64 `json:"after"`
	Ratio     float64 `json:"ratio"`
	Nats      float64 `json:"nats"` // of evidence
	Threshold float64 `json:"threshold"`
	LastGood  string  `json:"last_good,omitempty"`
	FirstBad  string  `json:"first_bad,omitempty"`
	Runs      int     `json:"runs"` // since it began
}

// CoverageTotal is a run's coverage in one unit, and the baseline's.
type CoverageTotal struct {
	Unit   string  `json:"unit"`
	Share  float64 `json:"share"`
	Before float64 `json:"before,omitempty"`
}

// Worse tells whether a call is news for the worse.
func (c Call) Worse() bool {
	return c == NewFailure || c == NewFinding || c == Slower || c == Worsened || c == Hanging
}

// Key tells what a judgement is about: the same test, finding or measure has the
// same in every run.
func (j Judgement) Key() string {
	switch {
	case j.Call == Hanging && j.Test != nil:
		return "h\x1f" + j.Test.Suite + "\x1f" + j.Test.Case
	case j.Test != nil:
		return "t\x1f" + j.Test.Suite + "\x1f" + j.Test.Case
	case j.Finding != nil:
		return "f\x1f" + j.Finding.Tool + "\x1f" + j.Finding.Fingerprint
	}
	return "m\x1f" + j.Measure + "\x1f" + j.Unit
}

// Stage is where in the loop a judgement belongs.
func (j Judgement) Stage() Stage {
	if j.Test != nil && !j.Test.IsJob() {
		return StageTest
	}
	return StageBuild
}
