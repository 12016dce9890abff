package anomalyconnector

import (
	"encoding/json"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/deployloop/deployloop/internal/detect"
	"github.com/deployloop/deployloop/internal/event"
)

// What a verdict stands on is in the ledger: while it is open, and as of the
// decision.
func TestTheLedgerHoldsWhatAVerdictStandsOn(t *testing.T) {
	b := newBench(t, nil)
	b.sight("1.41.3")
	b.seconds(60, old(200))
	d := b.deploy("1.42.0", "1.41.3")
	read := func() *detect.Document {
		text, ok := b.ledger.Evidence(d.ID)
		require.True(t, ok)
		var doc detect.Document
		require.NoError(t, json.Unmarshal(text, &doc))
		return &doc
	}
	good := load{version: "1.42.0", instance: "new-1", rate: 100, errors: .01}
	b.seconds(40, old(100), good)
	watching := read()
	assert.Equal(t, event.Watching, watching.Verdict.State)
	assert.Less(t, b.now.Sub(watching.At).Seconds(), 25., "not old")
	bad := good
	bad.errors = .3
	b.seconds(20, old(100), bad)
	regressed := read()
	require.Equal(t, event.Regressed, regressed.Verdict.State)
	assert.Equal(t, d.ID, regressed.Deployment.ID)
	r := regressed.Recompute()
	assert.True(t, r.Agrees, "%v %v", r.Problems, r.Gaps)

	verdict, ok := b.ledger.Verdict(d.ID)
	require.True(t, ok)
	assert.Equal(t, verdict.RegressedAt, regressed.Verdict.RegressedAt, "it is the told verdict's")
	b.seconds(300, old(100), bad)
	assert.True(t, regressed.At.Equal(read().At), "the decision stands")
}
