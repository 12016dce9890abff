package cicdreceiver

import (
	"context"
	"testing"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/pcommon"

	"github.com/deployloop/deployloop/internal/cicd"
	"github.com/deployloop/deployloop/internal/cicdclient"
	"github.com/deployloop/deployloop/internal/event"
	"github.com/deployloop/deployloop/internal/event/eventotlp"
	"github.com/deployloop/deployloop/internal/ledger"
)

// What deployloop mark sends, twice for the two ends of a rollout, and what
// GitHub says of it, is one deployment in the ledger, found by each id.
func TestSeveralSourcesOfOneDeployment(t *testing.T) {
	r := start(t, wiring{})
	client, err := cicdclient.New(r.base)
	require.NoError(t, err)
	request := cicd.DeploymentRequest{Service: "checkout", Environment: "production", Revision: "9f2c1abf852bd8fca8fcc58a9a2d6c842781e32a", Status: "started", RollbackCommand: "make undo"}
	first, err := client.Mark(context.Background(), request)
	require.NoError(t, err)
	request.Status = "succeeded"
	second, err := client.Mark(context.Background(), request)
	require.NoError(t, err)
	status, text := r.github("deployment_status", "1", []byte(`{"deployment":{"id":7,"sha":"9f2c1abf852bd8fca8fcc58a9a2d6c842781e32a","ref":"v1.42.0","environment":"production","payload":{"service":"checkout"},"created_at":"2026-11-23T13:59:00Z"},"deployment_status":{"state":"success","updated_at":"2026-11-23T14:00:30Z"},"repository":{"name":"shop","full_name":"acme/shop"}}`))
	require.Equal(t, 202, status, text)

	book := ledger.New(ledger.Limits{})
	book.RecordDeployment(event.Deployment{Service: "checkout", Environment: "production", Version: "1.41.3", StartedAt: fixedNow.AddDate(0, 0, -1)}) // the baseline
	var ids []string
	for _, record := range r.records() {
		d, err := eventotlp.DecodeDeployment(pcommon.NewResource(), record)
		require.NoError(t, err)
		became, _ := book.RecordDeployment(d)
		ids = append(ids, became.ID)
	}
	require.Len(t, ids, 3)
	require.Equal(t, []string{ids[0], ids[0], ids[0]}, ids)
	for _, id := range []string{ids[0], first, second, "github:7"} {
		d, ok := book.Deployment(id)
		require.True(t, ok, id)
		require.Equal(t, "v1.42.0", d.Version)
		require.Equal(t, event.DeploymentSucceeded, d.Status)
		require.Equal(t, "make undo", d.RollbackCommand)
	}
}
