package anomalyconnector

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/ptrace"
	"go.uber.org/zap"

	"github.com/deployloop/deployloop/internal/event"
	"github.com/deployloop/deployloop/internal/ledger"
)

// What a cluster recorded without a version is replayed by its images and
// ReplicaSets, as deploy_marker would have stamped it.
func TestReplayKnowsRolloutsOfPods(t *testing.T) {
	now := time.Date(2026, 11, 23, 14, 0, 0, 0, time.UTC)
	r := NewReplay(createDefaultConfig().(*Config), now, true, zap.NewNop())
	defer r.Close()
	for second := range 1200 {
		pod := "checkout-7d9f8b6c5d-x2x4z"
		if second >= 900 {
			pod = "checkout-5c59b9dd9c-b8xv2"
		}
		td := ptrace.NewTraces()
		attributes := td.ResourceSpans().AppendEmpty().Resource().Attributes()
		attributes.PutStr("service.name", "checkout")
		attributes.PutStr("k8s.deployment.name", "checkout")
		attributes.PutStr("k8s.pod.name", pod)
		attributes.PutEmptySlice("container.image.tags").AppendEmpty().SetStr("1.42.0")
		r.Traces(td, now)
		now = now.Add(time.Second)
		r.Step(now)
	}
	all := r.ledger.Deployments(ledger.Query{Service: "checkout"})
	require.Len(t, all, 1)
	require.Equal(t, "1.42.0+rs.5c59b9dd9c", all[0].Version)
	require.Equal(t, "1.42.0+rs.7d9f8b6c5d", all[0].PreviousVersion)
	require.Equal(t, event.DefaultEnvironment, all[0].Environment)
}

// A recording that pauses for decades, or a machine that slept, costs the
// seconds around the pause and not those in it.
func TestAStepOverDecades(t *testing.T) {
	r := NewReplay(createDefaultConfig().(*Config), fuzzStart, true, zap.NewNop())
	defer r.Close()
	d := r.Deploy(event.Deployment{Service: "checkout", Version: "2", PreviousVersion: "1", Status: event.DeploymentStarted, StartedAt: fuzzStart})
	r.Step(fuzzStart.Add(time.Second))
	end := fuzzStart.AddDate(200, 0, 0)
	for second := range 5 {
		r.Step(end.Add(time.Duration(second) * time.Second))
	}
	verdicts := r.Finish()
	require.Len(t, verdicts, 1)
	require.Equal(t, d.ID, verdicts[0].Deployment.ID)
	require.Equal(t, event.Inconclusive, verdicts[0].State)
}
