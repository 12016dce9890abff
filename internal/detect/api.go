// Package detect is deployloop's detection engine: it takes counts with event
// timestamps and gives verdicts (docs/detection.md). It is a plain Go library:
// no Collector, an injected clock, result structs.
//
// Time is event time. Live, the connector's timer calls Tick(now) once a
// second; in a backtest the replay calls it as its virtual clock advances.
package detect

import (
	"time"

	"github.com/deployloop/deployloop/internal/event"
)

// Origin is who produced telemetry: one instance of one version of a service.
type Origin struct {
	Service, Environment, Version, Revision, Instance string
	StartedAt                                         time.Time // instance start when known (process.creation.time, k8s pod start)
}

// Request is one entry span (trace root, server or consumer span): the unit of
// the error and latency indicators.
type Request struct {
	Operation string
	End       int64 // event time, Unix nanoseconds
	Duration  int64 // nanoseconds; negative is refused and counted
	Failed    bool
	Weight    float64 // 1/sampling probability; 0 means 1
	User      string  // user.id, enduser.id or session.id; "" when absent
}

// Detail is what can be shown of an error; the engine copies it only when it
// keeps it as one of the three examples, so callers build it lazily.
type Detail func() event.Example
