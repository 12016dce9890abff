// Package detect is deployloop's detection engine: it takes counts with event
// timestamps and gives verdicts (docs/detection.md). It is a plain Go library:
// no Collector, an injected clock, result structs.
//
// Time is event time. Live, the connector's timer calls Tick(now) once a
// second; in a backtest the replay calls it as its virtual clock advances.
//
// # Use
//
//	engine := detect.New(detect.Config{Start: now})
//	source := engine.Source(origin)         // once a resource; bounded
//	source.Request(request, exampler)       // once an entry span; any goroutine
//	engine.Watch(deployment, event.Advise)  // on every state of a deployment
//	changed := engine.Tick(now)             // once a second; one goroutine at a time
//
// # Bounds and eviction
//
// Services, sources a service, operations and patterns a service, and watches
// are capped (Limits). A source that was silent for Limits.SourceIdle is
// evicted, oldest first; when all are busy, what a further source says is
// dropped and counted ("sources_over_limit"). A further service takes the
// place of one that was silent for SourceIdle and is not watched, else it is
// dropped and counted ("services_over_limit"). Operations and patterns are
// never evicted within a process's life but when their service is; those over
// the cap count into "other" and into the loss "other_operations" /
// "other_patterns". Ended watches leave before open ones, oldest first.
package detect

import (
	"time"

	"github.com/deployloop/deployloop/internal/event"
)

// Config sets an engine up. The zero value of each field is its default.
type Config struct {
	// Start is the event time at which the engine begins (default: time.Now).
	Start time.Time
	// FalseAlarms is the number of false "regressed" allowed in 1000
	// deployments (default 1, so α = 0.001).
	FalseAlarms float64
	// Watches are the checkpoints after the first new instance was seen;
	// the last one ends the watch (default 1m, 10m, 1h, 24h).
	Watches []time.Duration
	// MinErrorRatio is δ: a rise of the error share smaller than this is no
	// harm (default 0.001). MinRateRatio is m: a rise of any rate by less than
	// this factor is no harm (default 1.1).
	MinErrorRatio, MinRateRatio float64
	// AllowedLateness is how long a second stays open after it ended
	// (default 1s, at most 5s); MaxDelay how late an item may be and still
	// count, into the earliest open second (default 60s); MaxAhead how far in
	// the future its clock may be (default 5s, at most 5s).
	AllowedLateness, MaxDelay, MaxAhead time.Duration
	// Warmup hides the latency, throughput, processor and memory of an instance
	// for so long after its start (default 30s; never errors, exceptions or
	// logs), and for longer where the service is known to need it: see warmup.go.
	Warmup time.Duration
	// Refresh is how often Tick repeats the verdict of an open watch that did
	// not change materially (default 10s).
	Refresh time.Duration
	// Objective is the share of requests that shall succeed, over ObjectiveWindow
	// (default .999 over 30 days): what a deployment's errors burn of the rest is
	// told as impact. No verdict rests on it.
	Objective       float64
	ObjectiveWindow time.Duration
	// Services overrides a service's settings; the key is the service's name.
	Services map[string]ServiceConfig
	// Placebos bounds the watches of deployments that never were.
	Placebos PlaceboConfig
	// AlwaysOn bounds the search for what gets worse without a deployment.
	AlwaysOn AlwaysOnConfig
	// Limits bound the engine's memory.
	Limits Limits
}

// ServiceConfig overrides Config for one service; zero fields do not override.
type ServiceConfig struct {
	Watches                     []time.Duration
	MinErrorRatio, MinRateRatio float64
	Objective                   float64
	// Signals are the signals that may show harm (nil: all).
	Signals []event.Signal
}

// Limits are the caps of the engine's maps. Zero means the default.
type Limits struct {
	Services   int           // default 2000
	Sources    int           // of a service, default 500
	Operations int           // of a service, default 200
	Patterns   int           // exception fingerprints plus log templates of a service, default 2000
	Watches    int           // open and lately ended ones, default 500
	SourceIdle time.Duration // default 5m
	Memory     int64         // bytes that the engine may hold, as it estimates; 0: no limit. Beyond, see pressure
}

// Origin is who produced telemetry: one instance of one version of a service.
type Origin struct {
	Service, Environment, Version, Revision, Instance string
	StartedAt                                         time.Time // instance start when known (process.creation.time, k8s pod start)
	Caller                                            string    // it is no instance, but this other service's view of them
}

// Exampler builds what can be shown of an observation. The engine calls it
// before the observing method returns, and only when it keeps the result as
// one of a group's three examples; so callers pass a pointer to a reusable
// struct and build nothing in the common case. It may be nil.
type Exampler interface{ Example() event.Example }

// Request is one entry span (trace root, server or consumer span): the unit of
// the error and latency indicators.
type Request struct {
	Operation string
	End       int64 // event time, Unix nanoseconds
	Duration  int64 // nanoseconds; a negative one is counted as "invalid_duration", and the request counts for errors but not for latency
	Failed    bool
	Weight    float64 // 1/sampling probability; 0 means 1; NaN, Inf and negative are refused ("invalid_weight")
	User      string  // user.id, enduser.id or session.id; "" when absent
	Family    Family  // FamilyServer, FamilyConsumer, or of no kind
}

// Exception is one exception event, from a span event or a log record.
type Exception struct {
	Fingerprint uint64 // of the type and the top in-app frames (package logpattern)
	At          int64  // event time, Unix nanoseconds
	Trace       uint64 // part of the trace id: a repeat of the fingerprint within one trace counts once; 0: unknown
	Weight      float64
	Type        string
	Message     string
	Operation   string        // of the span it was seen on, when known
	Frames      []event.Frame // in-app, top first; copied when the fingerprint is new to the service
}

// LogLine is one log record that is not an exception.
type LogLine struct {
	Template uint64 // identity of the template (package logpattern)
	At       int64  // event time, Unix nanoseconds
	Text     string // the template's text; copied when it is new to the service
	Severity int    // OTLP severity number, 0 unknown: 17 (ERROR) and above can show harm
	Trace    uint64 // as in Exception
	Weight   float64
}

// Work is one piece of work inside a service that is no entry span: a client,
// producer or internal span. It is watched for vanishing only.
type Work struct {
	Name   string
	End    int64 // event time, Unix nanoseconds
	Weight float64
}

// Recovery tells how far a regressed deployment is undone; see Engine.Recovery.
type Recovery struct {
	// Gone: the new version sends nothing any more, though at its former rate
	// it would have.
	Gone bool
	// Within: every indicator that showed harm is back within tolerance of what
	// it was before the deployment, as shown by e-processes on the traffic
	// that serves now (threshold 1/0.05), the new cohort's while it serves,
	// else the rest of the service's.
	Within bool
	Since  time.Time // when it became Within
	Detail string    // in words, with numbers
}

// Recovered says whether an anomaly of this deployment may close.
func (r Recovery) Recovered() bool { return r.Within }

// Status is the engine's self-telemetry.
type Status struct {
	Services, Sources, Operations, Patterns int
	Watches, OpenWatches, Indicators        int
	Memory                                  int64     // bytes held, estimated at most ten seconds ago
	Watermark                               time.Time // event time up to which all seconds are closed
	Losses                                  []event.Loss
	Placebos                                PlaceboStatus
}
