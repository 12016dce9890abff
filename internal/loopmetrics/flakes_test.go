package loopmetrics

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"

	"github.com/deployloop/deployloop/internal/event"
	"github.com/deployloop/deployloop/internal/ledger"
)

func TestAFlakeIsWhatBothFailedAndPassedOnOneRevision(t *testing.T) {
	l := ledger.New(ledger.Limits{})
	run := func(id, task, revision, result string) {
		l.RecordPipelineRun(event.PipelineRun{ID: id, TaskID: id + task, Pipeline: "ci", Task: task, Repository: "acme/shop", Revision: revision, Stage: event.StageTest,
			Result: result, State: "finished", StartedAt: noon, FinishedAt: noon.Add(time.Minute)})
	}
	tracker := NewTracker(l)
	flakes := func(labels ...string) float64 {
		return value(t, tracker.Collect(noon), "deployloop.pipeline.flakes", labels...)
	}
	run("1", "unit", "aaaaaaa", "failure")
	run("2", "unit", "bbbbbbb", "success") // another revision: it was mended
	run("3", "e2e", "aaaaaaa", "success")  // another task
	run("4", "unit", "aaaaaaa", "cancellation")
	assert.Zero(t, flakes())
	run("5", "unit", "aaaaaaa", "success")
	assert.Equal(t, 1.0, flakes("pipeline", "ci", "level", "task", "stage", "test"))
	run("6", "unit", "aaaaaaa", "success")
	assert.Equal(t, 1.0, flakes(), "once")
	run("7", "unit", "bbbbbbb", "failure")
	assert.Equal(t, 2.0, flakes())
}
