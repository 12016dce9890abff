package event

import "time"

// VerdictState is what is known of a deployment.
type VerdictState string

// The states of a verdict.
const (
	Watching     VerdictState = "watching"
	Healthy      VerdictState = "healthy"
	Regressed    VerdictState = "regressed"
	Inconclusive VerdictState = "inconclusive"
	Exonerated   VerdictState = "exonerated"
)

// Reason is why a verdict is what it is.
type Reason string

// Reasons of a verdict.
const (
	ReasonCollecting        Reason = "collecting_evidence"        // watching: no threshold crossed yet
	ReasonEvidenceOfHarm    Reason = "evidence_of_harm"           // regressed
	ReasonWithinTolerance   Reason = "within_tolerance"           // healthy
	ReasonNoData            Reason = "no_data"                    // inconclusive: no telemetry of the new version
	ReasonThinData          Reason = "not_enough_traffic"         // inconclusive: the effect that could be seen is too large
	ReasonNoControl         Reason = "no_control"                 // inconclusive: neither an old cohort nor history
	ReasonDataLost          Reason = "data_lost"                  // inconclusive: telemetry was dropped or refused
	ReasonNotWatched        Reason = "not_watched"                // inconclusive: the watch ended while nobody watched, or had to make room
	ReasonBeganBefore       Reason = "began_before_deployment"    // exonerated
	ReasonOldCohortAffected Reason = "old_version_affected_too"   // exonerated
	ReasonUpstreamFirst     Reason = "upstream_moved_first"       // exonerated
	ReasonSupersededWatch   Reason = "superseded_by_newer_deploy" // the watch ended early
	ReasonRecordingEnded    Reason = "recording_ended"            // inconclusive: what was played ended before the watch
)

// ControlKind says against what the new cohort was compared.
type ControlKind string

// Controls, best first.
const (
	ControlConcurrent ControlKind = "concurrent" // instances of the old version still serving
	ControlHistory    ControlKind = "history"    // the same service just before
	ControlPeers      ControlKind = "peers"
	ControlNone       ControlKind = "none"
)

// Signal is the kind of an indicator.
type Signal string

// The signals that indicators are made of.
const (
	SignalErrors     Signal = "errors"     // failed requests / requests
	SignalLatency    Signal = "latency"    // requests slower than a bound / requests
	SignalException  Signal = "exception"  // occurrences of one exception fingerprint / requests
	SignalLog        Signal = "log"        // occurrences of one log template / requests or lines
	SignalThroughput Signal = "throughput" // successes per instance-second
	SignalGauge      Signal = "gauge"      // samples beyond the control's quantiles / samples
	SignalBuild      Signal = "build"
	SignalTest       Signal = "test"
)

// Mode is how far what is found may reach.
type Mode string

// The modes. Alerts and the forge act on Advise and Gate only.
const (
	Shadow Mode = "shadow"
	Advise Mode = "advise"
	Gate   Mode = "gate"
)

// Verdict is the full state of what is known of one deployment at one time.
type Verdict struct {
	Deployment  Deployment   `json:"deployment"`
	State       VerdictState `json:"verdict"`
	Reason      Reason       `json:"reason"`
	Detail      string       `json:"detail,omitempty"` // the reason in words, with numbers
	Calibrating bool         `json:"calibrating"`
	Mode        Mode         `json:"mode"`
	At          time.Time    `json:"at"`

	WatchedFrom time.Time     `json:"watched_from,omitzero"`
	WatchedTill time.Time     `json:"watched_till,omitzero"` // end of the longest watch
	Checkpoint  time.Duration `json:"checkpoint,omitempty"`  // the last watch that ended (ns)
	RegressedAt time.Time     `json:"regressed_at,omitzero"` // when it was first decided that it is regressed
	HealthyAt   time.Time     `json:"healthy_at,omitzero"`   // likewise healthy
	FirstBadAt  time.Time     `json:"first_bad_at,omitzero"` // event time of the first bad item of the leading indicator in the new cohort

	Nats        float64     `json:"nats"`      // log E of the deployment
	Threshold   float64     `json:"threshold"` // nats needed for regressed
	Calibration Calibration `json:"calibration,omitzero"`

	Onset       *Onset  `json:"onset,omitempty"`
	NewRequests float64 `json:"new_requests,omitempty"` // counted of the new version
	OldRequests float64 `json:"old_requests,omitempty"` // counted of the control, beside and before it

	Control       ControlKind `json:"control"`
	ControlDetail string      `json:"control_detail,omitempty"`

	ETA              time.Duration `json:"eta,omitempty"`                         // ns till a decision is expected; 0: unknown
	MinimumEffect    float64       `json:"minimum_detectable_effect,omitempty"`   // smallest rate ratio that could have been seen so far
	MinimumEffectAbs float64       `json:"minimum_detectable_increase,omitempty"` // the same as an absolute rise of the error share

	Evidence []Evidence     `json:"evidence,omitempty"` // strongest first
	Related  []RelatedError `json:"related,omitempty"`  // strongest first
	Impact   Impact         `json:"impact,omitzero"`
	Affected []Affected     `json:"affected,omitempty"` // callers that feel it, hardest hit first
	// Exclusive is how much of the leading harm is the service's own; nil: not known.
	Exclusive *Exclusive `json:"exclusive,omitempty"`
	// Through is the callee to which the calls went bad that account for the leading
	// harm. Whose fault that is it does not say.
	Through string `json:"through,omitempty"`
	Losses  []Loss `json:"losses,omitempty"` // telemetry of this service that was dropped, by name

	Suspicion *Suspicion `json:"suspicion,omitempty"`
	WayBack   *WayBack   `json:"way_back,omitempty"` // where the version before regressed too

	// Builds are what builds and tests said was new in the same commits.
	Builds []Judgement `json:"builds,omitempty"`
}

// CalibrationSource says where a threshold comes from.
type CalibrationSource string

// Sources of a threshold, best first.
const (
	CalibrationOwn         CalibrationSource = "own"         // the service's own placebo windows
	CalibrationPooled      CalibrationSource = "pooled"      // those of all services, by what is usual at this one
	CalibrationTail        CalibrationSource = "tail"        // the same, with a generalised-Pareto tail since they are few
	CalibrationProvisional CalibrationSource = "provisional" // too few windows yet
)

// Calibration is what a threshold rests on: windows in which nothing was
// deployed, watched as if something had been.
type Calibration struct {
	Source  CalibrationSource `json:"source"`
	Windows int               `json:"windows"`               // whose peaks the threshold is from
	Raised  float64           `json:"raised_nats,omitempty"` // since there were more false alarms than the budget allows
	Service PlaceboCount      `json:"service"`               // of this service
	All     PlaceboCount      `json:"all"`                   // of all services
}

// PlaceboCount is the rate of false alarms as it is: of the placebo windows
// that ended, those that would have been called regressed.
type PlaceboCount struct {
	Windows     uint64     `json:"windows"`
	FalseAlarms uint64     `json:"false_alarms"`
	Rate        float64    `json:"rate"`
	Interval    [2]float64 `json:"interval"` // Wilson's, 95 %
}

// Onset is the estimated begin of a change, with its confidence set (times
// within 2 nats of the best).
type Onset struct {
	At       time.Time `json:"at"`
	Earliest time.Time `json:"earliest"`
	Latest   time.Time `json:"latest"`
}

// Evidence is one indicator's part of a verdict.
type Evidence struct {
	Signal    Signal      `json:"indicator"`
	Operation string      `json:"operation,omitempty"` // span name / route; "" for whole-service indicators
	Detail    string      `json:"detail,omitempty"`    // the latency bound ("> 250ms"), template or fingerprint
	Unit      string      `json:"unit"`                // of Before and After: "1" (a share), "1/s", "ms"
	Before    float64     `json:"before"`
	After     float64     `json:"after"`
	Ratio     float64     `json:"ratio"`
	Interval  [2]float64  `json:"interval"` // of After−Before, 95 %
	Nats      float64     `json:"nats"`
	Threshold float64     `json:"threshold,omitempty"`
	New       Count       `json:"new"`
	Old       Count       `json:"old"`
	Control   ControlKind `json:"control"`
	Onset     *Onset      `json:"onset,omitempty"`
	Harm      bool        `json:"harm"`               // significant, for the worse
	Improved  bool        `json:"improved,omitempty"` // significant, for the better
	Critical  bool        `json:"critical"`           // healthy needs it within tolerance
	Within    bool        `json:"within"`             // shown to be within tolerance
	FirstEver bool        `json:"first_ever,omitempty"`
}

// Count is x events in w of exposure.
type Count struct {
	Events   float64 `json:"events"`
	Exposure float64 `json:"exposure"`
}

// RelatedError is a group of like errors or log lines, with up to three examples.
type RelatedError struct {
	Signal      Signal    `json:"signal"` // exception | log | errors
	Fingerprint string    `json:"fingerprint"`
	Type        string    `json:"type,omitempty"`     // exception.type
	Message     string    `json:"message,omitempty"`  // of the first example
	Template    string    `json:"template,omitempty"` // for log lines
	Operation   string    `json:"operation,omitempty"`
	Frames      []Frame   `json:"frames,omitempty"` // in-app, top first
	OnlyInNew   bool      `json:"only_in_new"`
	NewCount    float64   `json:"new_count"`
	OldCount    float64   `json:"old_count"`
	FirstAt     time.Time `json:"first_at,omitzero"`
	Examples    []Example `json:"examples,omitempty"`
}

// Frame is one frame of a stack.
type Frame struct {
	File     string `json:"file,omitempty"`
	Line     int    `json:"line,omitempty"`
	Column   int    `json:"column,omitempty"` // 1-based, where the runtime tells it; 0: unknown
	Function string `json:"function,omitempty"`
	Module   string `json:"module,omitempty"`
}

// Example is one recorded error or log line.
type Example struct {
	At         time.Time `json:"at"`
	TraceID    string    `json:"trace_id,omitempty"`
	SpanID     string    `json:"span_id,omitempty"`
	Instance   string    `json:"instance,omitempty"`
	Message    string    `json:"message,omitempty"`
	Stacktrace string    `json:"stacktrace,omitempty"`
	Attributes []KeyText `json:"attributes,omitempty"` // a few that help: http.route, status code
}

// KeyText is a name and its value as text.
type KeyText struct {
	Key  string `json:"key"`
	Text string `json:"text"`
}

// Impact is who felt it.
type Impact struct {
	Requests float64 `json:"requests,omitempty"` // failed or slow requests beyond the control's rate
	Share    float64 `json:"share,omitempty"`    // of the new cohort's requests
	Users    float64 `json:"users,omitempty"`    // distinct user.id, enduser.id or session.id, estimated
	// Budget is the share of the error budget that the failed requests beyond
	// the control's rate burned: of what Objective allows to fail in Window at
	// the service's pace before.
	Budget    float64       `json:"budget,omitempty"`
	Objective float64       `json:"objective,omitempty"`
	Window    time.Duration `json:"budget_window,omitempty"` // ns
}

// Exclusive tells what a service did itself from what it inherited, in requests
// whose spans were joined with those of the calls below them: shares of the new
// version's requests since the onset, and of the control's. By errors: failed
// without and with a failed call; by latency: slow by time of its own, and with
// slow calls.
type Exclusive struct {
	Signal          Signal  `json:"indicator"`
	Requests        float64 `json:"requests"` // of the new version that were joined
	Own             float64 `json:"own"`
	OwnBefore       float64 `json:"own_before"`
	Inherited       float64 `json:"inherited"`
	InheritedBefore float64 `json:"inherited_before"`
	Share           float64 `json:"share"`            // of the rise, its own
	Detail          string  `json:"detail,omitempty"` // in words, with numbers
}

// Affected is a service whose calls to another fail more since the onset: it
// calls the deployed one, or one that is affected in turn.
type Affected struct {
	Service  string  `json:"service"`
	Calls    string  `json:"calls"`    // the service that it calls
	Requests float64 `json:"requests"` // calls since the onset
	Failed   float64 `json:"failed"`
	Share    float64 `json:"share"`  // of the calls, failed
	Before   float64 `json:"before"` // the same before the onset
}

// Loss names telemetry that was not used, so that a verdict can say so.
type Loss struct {
	Name  string `json:"name"` // clock_ahead, late, other_operations, invalid_duration, shed, …
	Count uint64 `json:"count"`
}

// WayBack is where a rollback leads when what the deployment replaced had
// regressed too.
type WayBack struct {
	Regressed []string    `json:"regressed"`      // the versions passed over, newest first
	Good      *Deployment `json:"good,omitempty"` // the newest before them that is not known to be bad; nil: none is known
}

// Suspicion is the ranked range of commits of a deployment.
type Suspicion struct {
	Suspects    []Suspect       `json:"suspects"`              // most probable first
	Abstained   bool            `json:"abstained"`             // no commit is certain enough to be named
	Commits     int             `json:"commits"`               // how many commits the range holds
	Range       string          `json:"range,omitempty"`       // "a1b2c3d..9f2c1ab"
	RangeNote   string          `json:"range_note,omitempty"`  // a force-push, an unknown previous revision, …
	Deployments []DeploySuspect `json:"deployments,omitempty"` // where several may be behind it, most probable first
	Source      string          `json:"source,omitempty"`      // "clone", "forge", "push events", "none"
}

// DeploySuspect is a deployment that may be behind a regression: the one it shows
// in, or one of a service that it calls, made about the same time.
type DeploySuspect struct {
	ID          string  `json:"id"`
	Service     string  `json:"service"`
	Version     string  `json:"version,omitempty"`
	Probability float64 `json:"probability"`
	Explained   float64 `json:"explained,omitempty"` // of the harm, by failed calls to this service
}

// Suspect is one commit with the reasons that speak for it.
type Suspect struct {
	Change      Change   `json:"change"`
	Probability float64  `json:"probability"`
	Reasons     []string `json:"reasons,omitempty"` // in words, strongest first
	Hunk        string   `json:"hunk,omitempty"`    // the changed lines that the error points to, unified diff
	File        string   `json:"file,omitempty"`
	Line        int      `json:"line,omitempty"`
	PointedBy   string   `json:"pointed_by,omitempty"` // the frame, or the words of a message or log line, that point there
	Owners      []string `json:"owners,omitempty"`     // of that file, else of what it changed, as CODEOWNERS tells: "@acme/cart"
}
