package event

import "time"

// Digest sums up a period: what was watched, what was or would have been
// alerted, and what stays open. Lists are cut to their limit; More says by how
// many.
type Digest struct {
	From time.Time `json:"from"`
	Till time.Time `json:"till"`

	Deployments int             `json:"deployments"` // started in the period, baselines apart
	Verdicts    []VerdictCount  `json:"verdicts,omitempty"`
	Alerted     []DigestAlert   `json:"alerted,omitempty"`            // found in the period, in mode advise or gate
	WouldAlert  []DigestAlert   `json:"would_have_alerted,omitempty"` // found in the period, in mode shadow
	Closed      []ClosureCount  `json:"closed,omitempty"`             // in the period
	Unclosed    []DigestAlert   `json:"unclosed,omitempty"`           // open at its end, whenever found; oldest first
	Notices     []Notice        `json:"notices,omitempty"`            // what nobody said
	More        []DigestMissing `json:"more,omitempty"`
}

// VerdictCount is how many of the period's deployments have a verdict now; ""
// is none.
type VerdictCount struct {
	Verdict VerdictState `json:"verdict"`
	Count   int          `json:"count"`
}

// ClosureCount is how many alerts ended for a reason.
type ClosureCount struct {
	Reason ClosureReason `json:"reason"`
	Count  int           `json:"count"`
}

// DigestAlert is one alert as a digest tells it.
type DigestAlert struct {
	ID          string    `json:"id"`
	Service     string    `json:"service"`
	Environment string    `json:"environment"`
	Deployment  string    `json:"deployment"`
	Severity    Severity  `json:"severity"`
	Mode        Mode      `json:"mode"`
	Summary     string    `json:"summary"`
	StartsAt    time.Time `json:"starts_at"`
	Closure     *Closure  `json:"closure,omitempty"`
	Silence     *Silence  `json:"silence,omitempty"`
}

// DigestMissing says how many entries of a list did not fit.
type DigestMissing struct {
	List  string `json:"list"`
	Count int    `json:"count"`
}
