// Package ledger is what deployloop knows: changes, deployments, anomalies,
// verdicts and closures, as one bounded in-memory state with indices. It is
// pure (no Collector, no clock of its own, no I/O); extension/ledgerextension
// persists it and gives it to the other components.
package ledger

import (
	"time"

	"github.com/deployloop/deployloop/internal/event"
)

// Sighting is telemetry of one resource as it passes: the inference of
// deployments from telemetry starts here.
type Sighting struct {
	Service, Environment string
	Version, Revision    string // either may be empty
	Instance             string
	At                   time.Time
}

// Reader is what other parts may ask. Results are copies.
type Reader interface {
	// Deployment finds one by id or alias.
	Deployment(id string) (event.Deployment, bool)
	// Deployments lists newest first.
	// Baselines are listed only when the query asks for them.
	Deployments(Query) []event.Deployment
	// Current is the deployment that put this version or revision where it
	// is; ok is false for a baseline or an unknown one. Allocation-free.
	Current(service, environment, version, revision string) (id string, rev string, ok bool)
	// Verdict is the last recorded of a deployment.
	Verdict(deploymentID string) (event.Verdict, bool)
	// WayBack is where a rollback of a deployment must lead when what it
	// replaced had regressed too; else nil.
	WayBack(deploymentID string) *event.WayBack
	Anomaly(id string) (event.Anomaly, bool)
	Anomalies(Query) []event.Anomaly
	// Change finds a commit by its id (or a unique prefix of at least 7 digits).
	Change(repository, revision string) (event.Change, bool)
	// ChangeRange walks Previous from new back to previous (first parent, push order),
	// newest first; complete is false when the walk did not reach previous,
	// and note says why in words (force-push, unknown revision, limit).
	ChangeRange(repository, previous, new string) (changes []event.Change, complete bool, note string)
	// Changes and PipelineRuns list newest first.
	Changes(ChangeQuery) []event.Change
	PipelineRuns(RunQuery) []event.PipelineRun
	// Feedback lists what builds and tests said of commits, newest first.
	Feedback(RunQuery) []event.Feedback
	// Tellings lists who was told of a deployment, and when first.
	Tellings(deploymentID string) []event.Telling
	// Coverage is how the telemetry of each service was since the start.
	Coverage() []Coverage
	// Detections is how each detector stands, as it told last since the start.
	Detections() []Detection
	// Subscribe is told of every recorded update; a slow subscriber misses
	// updates and is told so by Update.Missed.
	Subscribe(buffer int) (updates <-chan Update, cancel func())
}

// Recorder is what other parts may tell.
type Recorder interface {
	RecordChange(event.Change)
	// RecordDeployment reconciles d with what is known and returns the one it became.
	RecordDeployment(d event.Deployment) (event.Deployment, bool)
	// RecordSighting infers a deployment at the first sight of a new version.
	// The common case (nothing new) must be allocation-free and cheap.
	RecordSighting(Sighting) (d event.Deployment, isNew bool)
	// RecordTelemetry notes what signal of a service passes, and what it lacks;
	// as cheap as RecordSighting.
	RecordTelemetry(Telemetry)
	RecordVerdict(event.Verdict)
	RecordAnomaly(event.Anomaly)
	RecordPipelineRun(event.PipelineRun)
	RecordFeedback(event.Feedback)
	// CloseAnomaly closes it once; later calls change nothing and return false.
	CloseAnomaly(id string, c event.Closure) bool
	// RecordTold keeps when a channel first took a verdict.
	RecordTold(event.Telling)
	// RecordSilence notes the silence that holds for an open anomaly; nil: none.
	RecordSilence(anomalyID string, s *event.Silence)
	// RecordDetection keeps how a detector stands.
	RecordDetection(Detection)
}

// Query filters a listing; zero fields match all.
type Query struct {
	Service, Environment, Deployment string
	OpenOnly                         bool
	Baselines                        bool // deployments: also the first versions seen, which are none
	Since                            time.Time
	Limit                            int // 0: 100
}

// ChangeQuery filters commits; zero fields match all.
type ChangeQuery struct {
	Repository, Ref string
	Since           time.Time
	Limit           int // 0: 100
}

// RunQuery filters pipeline runs and their tasks, and feedback; zero fields match all.
type RunQuery struct {
	Repository, Revision, RunID string
	Since                       time.Time
	Limit                       int // 0: 100
}

// Update names what changed; readers fetch the object itself.
type Update struct {
	Kind   string // change | deployment | verdict | anomaly | run | feedback
	ID     string
	At     time.Time
	Missed int
}
