package cicdreceiver

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/deployloop/deployloop/internal/cicd"
	"github.com/deployloop/deployloop/internal/cicd/gitlab"
	"github.com/deployloop/deployloop/internal/event"
)

// GitLab retries a pipeline under its id and its time of creation: that it goes on
// again is told, with the retry's own begin. Word that comes late is not.
func TestRetriedPipelineOfGitLabGoesOn(t *testing.T) {
	m, began := newRunMemory(), time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)
	tell := func(status string, at time.Duration, ends string) []cicd.Run {
		t.Helper()
		now := began.Add(at)
		in, err := gitlab.Parse(cicd.Delivery{ReceivedAt: now, Body: fmt.Appendf(nil, `{"object_kind":"pipeline","project":{"name":"shop","path_with_namespace":"acme/shop"},"object_attributes":
			{"id":7,"ref":"main","sha":"9f2c1ab","status":%q,"created_at":"2026-11-23 12:00:00 UTC","queued_duration":5%s}}`, status, ends)}, gitlab.Options{})
		require.NoError(t, err)
		m.follow(&in, now)
		return in.Runs
	}
	run := tell("running", 5*time.Second, "")[0]
	require.Equal(t, began.Add(5*time.Second), run.StartedAt)
	require.Len(t, tell("failed", 10*time.Minute, `,"finished_at":"2026-11-23 12:10:00 UTC","duration":590`), 1)
	require.Empty(t, tell("running", 10*time.Minute+10*time.Second, ""), "late")

	retried := began.Add(24 * time.Hour)
	run = tell("pending", 24*time.Hour, "")[0]
	require.Equal(t, retried, run.QueuedAt)
	require.Zero(t, run.StartedAt)
	run = tell("running", 24*time.Hour+10*time.Second, "")[0]
	require.Equal(t, retried, run.StartedAt, "not the day before, from when on it would seem to hang")
	run = tell("success", 24*time.Hour+5*time.Minute, `,"finished_at":"2026-11-24 12:05:00 UTC","duration":290`)[0]
	require.Equal(t, retried, run.QueuedAt)
	require.Equal(t, retried.Add(10*time.Second), run.StartedAt)
	require.Empty(t, tell("running", 24*time.Hour+5*time.Minute+10*time.Second, ""), "late")
	require.Len(t, tell("running", 48*time.Hour, ""), 1, "retried once more")

	// A job that is retried is another one, and other forges count attempts.
	for _, p := range []event.PipelineRun{{Source: event.SourceGitLab, ID: "7", TaskID: "1"}, {Source: event.SourceGitHub, ID: "7"}} {
		p.State, p.QueuedAt, p.FinishedAt = "finished", began, began.Add(time.Minute)
		require.True(t, m.complete(&p, began.Add(time.Minute)))
		p.State, p.FinishedAt = "executing", time.Time{}
		require.False(t, m.complete(&p, began.Add(time.Hour)))
	}
}
