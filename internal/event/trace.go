package event

import (
	"crypto/sha256"
	"fmt"
)

// The ids of a run's spans are deterministic, so that a run and its tasks, told in
// different deliveries, join, and so that what a job itself sends is part of the
// tree. They are those of contrib's githubreceiver (v0.151 and later).

// TraceID is the trace of a run's attempt.
func (r PipelineRun) TraceID() [16]byte {
	sum := sha256.Sum256(fmt.Appendf(nil, "%s%dt", r.traceKey(), r.Attempt))
	return [16]byte(sum[:16])
}

// SpanID is the root span of a run, or a task's.
func (r PipelineRun) SpanID() [8]byte {
	if r.TaskID != "" {
		return SpanIDOf("%s-j", r.TaskID)
	}
	return SpanIDOf("%s%ds", r.traceKey(), r.Attempt)
}

// traceKey tells apart equal run ids of different systems; GitHub's stand alone, as
// contrib's receiver has them.
func (r PipelineRun) traceKey() string {
	if r.Source == "github" {
		return r.ID
	}
	return r.Source + "/" + r.Repository + "/" + r.ID + "/"
}

// SpanIDOf is the span of a part of a run.
func SpanIDOf(format string, args ...any) [8]byte {
	sum := sha256.Sum256(fmt.Appendf(nil, format, args...))
	return [8]byte(sum[8:16])
}
