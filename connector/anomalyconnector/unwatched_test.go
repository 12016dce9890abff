package anomalyconnector

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/deployloop/deployloop/internal/event"
)

// verdictsTold are the newest verdicts that were told, by deployment.
func (b *bench) verdictsTold() map[string]event.Verdict {
	b.t.Helper()
	_, list := b.told()
	newest := map[string]event.Verdict{}
	for _, v := range list {
		newest[v.Deployment.ID] = v
	}
	return newest
}

// Who was away for longer than a watch lasts says so, once and for all: what was told
// to be watched must not stay so, and is not well for that.
func TestAWatchThatEndedWhileNobodyWatchedIsEnded(t *testing.T) {
	b := newBench(t, nil)
	b.sight("1.41.3")
	b.seconds(60, old(200))
	d := b.deploy("1.42.0", "1.41.3")
	b.seconds(20, old(100), load{version: "1.42.0", instance: "new-1", rate: 100, errors: .01})
	require.Equal(t, event.Watching, b.verdictsTold()[d.ID].State)
	away := b.now
	b.crash()
	b.now = b.now.Add(3 * b.config.Watch[len(b.config.Watch)-1])
	b.start()
	b.seconds(2)
	v := b.verdictsTold()[d.ID]
	assert.Equal(t, event.Inconclusive, v.State)
	assert.Equal(t, event.ReasonNotWatched, v.Reason)
	assert.Contains(t, v.Detail, "deployloop was away since "+away.Add(-time.Second).UTC().Format("2006-01-02T15:04"))
	kept, _ := b.ledger.Verdict(d.ID)
	assert.Equal(t, event.Inconclusive, kept.State)
	b.seconds(30)
	assert.Equal(t, event.Inconclusive, b.m.records["verdict/"+d.ID].verdict.State)

	// Who hears of it may have been away too, until the next restart.
	b.crash()
	b.start()
	b.seconds(2)
	assert.Equal(t, event.ReasonNotWatched, b.verdictsTold()[d.ID].Reason)
	b.crash()
	b.now = b.now.Add(toldFor)
	b.start()
	b.seconds(2)
	assert.Empty(t, b.verdictsTold(), "a day is enough")
}

func TestAWatchThatMakesRoomIsEnded(t *testing.T) {
	b := newBench(t, func(c *Config) { c.Limits.Watches = 1 })
	b.sight("1.41.3")
	b.seconds(60, old(200))
	first := b.deploy("1.42.0", "1.41.3")
	b.seconds(5, old(100), load{version: "1.42.0", instance: "new-1", rate: 100, errors: .01})
	require.Equal(t, event.Watching, b.verdictsTold()[first.ID].State)
	b.deploy("1.43.0", "1.42.0")
	b.seconds(2, old(100))
	v := b.verdictsTold()[first.ID]
	assert.Equal(t, event.ReasonNotWatched, v.Reason)
	assert.Contains(t, v.Detail, "limits::watches")
}
