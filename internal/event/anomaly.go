package event

import (
	"crypto/sha256"
	"encoding/hex"
	"strings"
	"time"
)

// AnomalyKind tells a deployment's roll-up from its symptoms.
type AnomalyKind string

// The kinds of anomaly; each is one alert name.
const (
	KindDeployment AnomalyKind = "deployment" // alertname DeployRegressed
	KindSymptom    AnomalyKind = "symptom"    // alertname DeployRegression
	KindAlwaysOn   AnomalyKind = "always_on"  // a pattern without a deployment
	KindBuild      AnomalyKind = "build"      // alertname BuildRegressed: a branch's build or tests, before any deployment
)

// Severity follows impact, not p-values.
type Severity string

// The severities.
const (
	SeverityCritical Severity = "critical"
	SeverityWarning  Severity = "warning"
	SeverityInfo     Severity = "info"
)

// Anomaly is the full state of one alert. Identity (all fields up to StartsAt)
// is frozen when it is detected, so that its fingerprint never changes.
type Anomaly struct {
	ID          string      `json:"id"` // see AnomalyID
	Kind        AnomalyKind `json:"kind"`
	Service     string      `json:"service"`
	Environment string      `json:"environment"`
	Deployment  string      `json:"deployment"` // its id
	Commit      string      `json:"commit"`     // head revision of the introducing deployment
	Signal      Signal      `json:"signal,omitempty"`
	Operation   string      `json:"operation,omitempty"`
	Stage       Stage       `json:"stage"`
	Severity    Severity    `json:"severity"`
	Team        string      `json:"team,omitempty"`
	Mode        Mode        `json:"mode"`
	StartsAt    time.Time   `json:"starts_at"` // the estimated onset

	DetectedAt time.Time `json:"detected_at"`
	At         time.Time `json:"at"` // of this record
	Open       bool      `json:"open"`
	Closure    *Closure  `json:"closure,omitempty"` // set once, when it closed
	Silence    *Silence  `json:"silence,omitempty"` // of an Alertmanager, as last polled

	// Symptoms are the ids that this roll-up inhibits, frozen with the verdict.
	Symptoms []string `json:"symptoms,omitempty"`
	// Evidence is the symptom's own indicator.
	Evidence *Evidence `json:"evidence,omitempty"`
	// Verdict is the deployment's verdict as it is known at At.
	Verdict *Verdict `json:"verdict,omitempty"`
	// Feedback is what got worse, of a KindBuild: the service is the repository,
	// and there is neither a deployment nor an environment.
	Feedback *Feedback `json:"feedback,omitempty"`
}

// ClosureReason is how an anomaly ended.
type ClosureReason string

// Every anomaly ends with one of these.
const (
	ClosedRolledBack ClosureReason = "rolled_back"
	ClosedFixedBy    ClosureReason = "fixed_by"
	ClosedRecovered  ClosureReason = "recovered"
	ClosedWaived     ClosureReason = "waived"
	ClosedSuperseded ClosureReason = "superseded"
	ClosedExonerated ClosureReason = "exonerated"
	ClosedUnheard    ClosureReason = "unheard" // of a job that hung: its end was never told
)

// Closure ends an anomaly, with a reason.
type Closure struct {
	Reason   ClosureReason `json:"reason"`
	Detail   string        `json:"detail"`             // in words: "rolled back to 1.41.3 at 14:09Z; …"
	Revision string        `json:"revision,omitempty"` // what fixed it
	By       string        `json:"by,omitempty"`
	Until    time.Time     `json:"until,omitzero"` // of a waiver
	At       time.Time     `json:"at"`
}

// AnomalyID is stable for one deployment, kind, signal and operation: the
// first 12 hex digits of SHA-256 over them.
func AnomalyID(deployment string, kind AnomalyKind, signal Signal, operation string) string {
	sum := sha256.Sum256([]byte(strings.Join([]string{deployment, string(kind), string(signal), operation}, "\x00")))
	return hex.EncodeToString(sum[:])[:12]
}
