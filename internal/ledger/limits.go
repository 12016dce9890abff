package ledger

import (
	"cmp"
	"path"
	"time"
)

// Limits bounds what the ledger holds and tunes how it reconciles. A zero
// field takes its default. What overflows is evicted in the order written at
// each field and counted under the name given there (see Dropped).
type Limits struct {
	// Deployments in all (default 10000) and PerPlace of one service and
	// environment (default 500): the oldest started goes first, the newest of
	// a place last. Counted as "deployments".
	Deployments, PerPlace int
	// Places are the pairs of service and environment (default 10000). New
	// ones beyond it are refused, so that a flood of names cannot push out
	// what is known. Counted as "places".
	Places int
	// Changes (default 50000), Runs (20000), Anomalies (10000) and Verdicts
	// (10000): the least recently told goes first; an open anomaly is told
	// again every heartbeat, so the closed ones go before it. Counted as
	// "changes", "runs", "anomalies" and "verdicts". Who was told of a deployment
	// is bounded as its verdict is, and counted as "tellings". Beyond 64 MiB of
	// anomalies, or of verdicts, they go likewise.
	Changes, Runs, Anomalies, Verdicts int
	// Feedback of builds and tests by commit (default 5000): the least recently
	// told goes first, and so beyond 64 MiB of them, as "feedback".
	Feedback int
	// Documents are the evidence documents of verdicts (default 2000, and 64
	// MiB compressed): the least recently told goes first, as "evidence".
	Documents int
	// InferredPerHour is how many deployments of one place may be inferred
	// from telemetry in an hour (default 30): a version that changes with
	// every process is no deployment. Counted as "inferred".
	InferredPerHour int
	// Variants are the combinations of version and revision of one place that
	// are remembered for the fast path (default 64); all are dropped and
	// learnt anew when full. Counted as "variants".
	Variants int
	// Range is how many commits ChangeRange walks (default 500).
	Range int
	// Subscribers at one time (default 256), counted as "subscribers".
	Subscribers int
	// Retention is how long closed and past things are kept (default 720 h).
	Retention time.Duration
	// ReconcileWithin is how far apart two tellings of the same revision may
	// be and still mean one rollout (default 1 h).
	ReconcileWithin time.Duration
	// VanishAfter is how long a version must be silent to count as gone
	// (default 5 min; three times the longest silence seen of it, if longer).
	VanishAfter time.Duration
	// ConfirmAfter is how long a version that came back must stay to count as
	// rolled back to (default 1 min).
	ConfirmAfter time.Duration
	// Settle is how long after the first telemetry of a place every version
	// still counts as baseline (default 10 s; negative: only the first does):
	// a collector that starts in the middle of a rollout cannot tell which of
	// two versions is the new one.
	Settle time.Duration
	// RollbackCommands are the user's own, for deployments that bring none; the
	// first that matches counts.
	RollbackCommands []RollbackCommand
}

// RollbackCommand is a template of a command: {service}, {environment},
// {version}, {revision}, {previous_version}, {previous_revision} and
// {repository} stand in it for what package wording fills in.
type RollbackCommand struct {
	Service, Environment string // globs as of path.Match; "" matches all
	Command              string
}

// rollbackCommand is the user's own for a place; "" when there is none.
func (l Limits) rollbackCommand(service, environment string) string {
	for _, c := range l.RollbackCommands {
		if matches(c.Service, service) && matches(c.Environment, environment) {
			return c.Command
		}
	}
	return ""
}

func matches(glob, name string) bool {
	ok, err := path.Match(glob, name)
	return glob == "" || ok && err == nil
}

func (l Limits) withDefaults() Limits {
	return Limits{
		Deployments:     positive(l.Deployments, 10_000),
		PerPlace:        positive(l.PerPlace, 500),
		Places:          positive(l.Places, 10_000),
		Changes:         positive(l.Changes, 50_000),
		Runs:            positive(l.Runs, 20_000),
		Anomalies:       positive(l.Anomalies, 10_000),
		Verdicts:        positive(l.Verdicts, 10_000),
		Feedback:        positive(l.Feedback, 5000),
		Documents:       positive(l.Documents, 2000),
		InferredPerHour: positive(l.InferredPerHour, 30),
		Variants:        positive(l.Variants, 64),
		Range:           positive(l.Range, 500),
		Subscribers:     positive(l.Subscribers, 256),
		Retention:       positive(l.Retention, 720*time.Hour),
		ReconcileWithin: positive(l.ReconcileWithin, time.Hour),
		VanishAfter:     positive(l.VanishAfter, 5*time.Minute),
		ConfirmAfter:    positive(l.ConfirmAfter, time.Minute),
		Settle:          cmp.Or(l.Settle, 10*time.Second),

		RollbackCommands: l.RollbackCommands,
	}
}

func positive[T int | time.Duration](v, fallback T) T {
	if v > 0 {
		return v
	}
	return fallback
}

// Lengths in bytes beyond which text from outside is cut.
const (
	maxName    = 256     // services, environments, versions, revisions, ids
	maxText    = 4 << 10 // commands, details, URLs
	maxOldText = 512     // messages of failures and findings that are no new failures
	maxMessage = 16 << 10
	maxList    = 1000 // paths of a change, symptoms of a roll-up
	maxSources = 16   // of one deployment
	maxAliases = 32
)

// maxShelfBytes bounds what builds and tests said in all, all anomalies, and all
// verdicts, each.
const maxShelfBytes = 64 << 20

// cut shortens s to at most n bytes without splitting a character.
func cut(s string, n int) string {
	if len(s) <= n {
		return s
	}
	for n > 0 && s[n]&0xC0 == 0x80 {
		n--
	}
	return s[:n]
}
