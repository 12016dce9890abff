package anomalyconnector

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/plog"

	"github.com/deployloop/deployloop/internal/cicd"
	"github.com/deployloop/deployloop/internal/cicd/github"
	"github.com/deployloop/deployloop/internal/event"
	"github.com/deployloop/deployloop/internal/event/eventotlp"
	"github.com/deployloop/deployloop/internal/ledger"
	"github.com/deployloop/deployloop/internal/wording"
)

// job tells of a job as GitHub's webhook does.
func (b *bench) job(id int, status, conclusion string, started time.Time) {
	body := fmt.Sprintf(`{"action":"x","workflow_job":{"id":%d,"run_id":%d,"run_attempt":1,"name":"unit","workflow_name":"CI","head_branch":"main","head_sha":"aaaaaaa%d",
		"status":%q,"conclusion":%q,"created_at":%q,"started_at":%q,"completed_at":%q},"repository":{"name":"shop","full_name":"acme/shop"}}`,
		id, id, id, status, conclusion, started.Add(-10*time.Second).Format(time.RFC3339), started.Format(time.RFC3339), b.now.Format(time.RFC3339))
	in, err := github.Parse(cicd.Delivery{Event: "workflow_job", Body: []byte(body), ReceivedAt: b.now}, github.Options{})
	require.NoError(b.t, err)
	require.Len(b.t, in.Runs, 1)
	in.Runs[0].RefAssumed = false // the receiver has heard of the run
	ld := plog.NewLogs()
	eventotlp.EncodePipelineRun(in.Runs[0].PipelineRun, ld.ResourceLogs().AppendEmpty().ScopeLogs().AppendEmpty().LogRecords().AppendEmpty())
	require.NoError(b.t, b.logs.ConsumeLogs(context.Background(), ld))
}

// A job that hangs is an alert while it hangs, out of what the forge says of its
// begin alone: nothing more comes. It ends with the job.
func TestAJobThatHangsIsAnAlertWhileItHangs(t *testing.T) {
	b := newBench(t, nil)
	for id := range 15 {
		started := b.now
		b.job(1000+id, "in_progress", "", started)
		b.seconds(55 + id%5*2)
		b.job(1000+id, "completed", "success", started)
		b.seconds(40)
	}
	anomalies, _ := b.told()
	require.Empty(t, anomalies)

	started := b.now
	b.job(2000, "in_progress", "", started)
	b.seconds(90)
	anomalies, _ = b.told()
	require.Empty(t, anomalies, "slow, and maybe no more")
	b.seconds(140)
	anomalies, _ = b.told()
	require.NotEmpty(t, anomalies)
	a := anomalies[0]
	require.True(t, a.Open)
	require.Equal(t, event.KindBuild, a.Kind)
	require.Equal(t, event.StageBuild, a.Stage)
	require.Equal(t, event.Advise, a.Mode)
	require.Equal(t, "acme/shop main: CI [unit] hangs at aaaaaaa2000 (last good aaaaaaa1014)", wording.Summary(a))
	require.Contains(t, wording.Why(a), "it usually takes 59s, and took 1m3s at most in 15 runs")
	require.True(t, b.feedback("aaaaaaa2000").Running)
	require.Less(t, a.StartsAt.Sub(started), 230*time.Second)

	b.stop() // the alert survives, and ends with the job
	b.start()
	b.seconds(60)
	require.Len(t, b.ledger.Anomalies(ledger.Query{OpenOnly: true}), 1)
	b.job(2000, "completed", "cancelled", started)
	b.seconds(2)
	require.Empty(t, b.ledger.Anomalies(ledger.Query{OpenOnly: true}))
	known, _ := b.ledger.Anomaly(a.ID)
	require.Equal(t, event.ClosedRecovered, known.Closure.Reason)
	require.Contains(t, known.Closure.Detail, "the job ended with cancellation after 4m")
}
