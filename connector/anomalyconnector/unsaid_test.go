package anomalyconnector

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/deployloop/deployloop/internal/event"
	"github.com/deployloop/deployloop/internal/event/eventotlp"
)

// unsaid gives the notices and digests that were told so far.
func (b *bench) unsaid() (notices []event.Notice, digests []event.Digest) {
	for _, ld := range b.sink.AllLogs() {
		for _, r := range ld.ResourceLogs().All() {
			for _, record := range r.ScopeLogs().At(0).LogRecords().All() {
				switch eventotlp.Name(record) {
				case event.NameNotice:
					n, err := eventotlp.DecodeNotice(r.Resource(), record)
					require.NoError(b.t, err)
					notices = append(notices, n)
				case event.NameDigest:
					d, err := eventotlp.DecodeDigest(r.Resource(), record)
					require.NoError(b.t, err)
					digests = append(digests, d)
				}
			}
		}
	}
	return notices, digests
}

func TestANoticeIsToldWhenItBeginsAndWhenItEnds(t *testing.T) {
	b := newBench(t, nil)
	b.sight("1.41.3")
	b.seconds(30, old(10))
	d := b.deploy("1.42.0", "1.41.3")
	b.now = b.now.Add(9 * time.Minute)
	b.seconds(20, old(10))
	notices, _ := b.unsaid()
	require.Empty(t, notices, "a rollout may take its time")

	b.now = b.now.Add(2 * time.Minute)
	b.seconds(60, old(10)) // four looks
	notices, _ = b.unsaid()
	require.Len(t, notices, 1, "told once")
	assert.Equal(t, event.NoticePhantom, notices[0].Kind)
	assert.Equal(t, d.ID, notices[0].Deployment)
	assert.True(t, notices[0].Open)

	b.sight("1.42.0")
	b.seconds(30, old(10))
	notices, _ = b.unsaid()
	require.Len(t, notices, 2)
	assert.Equal(t, d.ID, notices[1].Deployment)
	assert.False(t, notices[1].Open, "its telemetry came")
}

func TestAVersionWithoutTrafficIsDark(t *testing.T) {
	b := newBench(t, nil)
	b.sight("1.41.3")
	b.seconds(60, old(50))
	d := b.deploy("1.42.0", "1.41.3")
	b.sight("1.42.0") // it sends, and serves nothing
	b.seconds(11*60+45, old(50))
	notices, _ := b.unsaid()
	require.Len(t, notices, 1)
	assert.Equal(t, event.NoticeDark, notices[0].Kind)
	assert.Equal(t, d.ID, notices[0].Deployment)

	b.seconds(40, old(25), load{version: "1.42.0", instance: "new-1", rate: 25, errors: .01})
	notices, _ = b.unsaid()
	require.Len(t, notices, 2)
	assert.False(t, notices[1].Open, "it has traffic")
}

func TestADigestIsToldAtMidnight(t *testing.T) {
	b := newBench(t, nil)
	b.sight("1.41.3")
	b.seconds(20, old(10))
	b.deploy("1.42.0", "1.41.3")
	b.seconds(20, old(10))
	_, digests := b.unsaid()
	require.Empty(t, digests)

	midnight := b.now.Truncate(24 * time.Hour).Add(24 * time.Hour)
	b.now = midnight.Add(-5 * time.Second)
	b.seconds(60, old(10))
	_, digests = b.unsaid()
	require.Len(t, digests, 1, "once")
	assert.Equal(t, midnight.Add(-24*time.Hour), digests[0].From)
	assert.Equal(t, midnight, digests[0].Till)
	assert.Equal(t, 1, digests[0].Deployments)
}

// What ended while no collector ran is told by the next, and nothing twice.
func TestADigestIsToldOnceHoweverOftenItRestarts(t *testing.T) {
	b := newBench(t, nil)
	b.sight("1.41.3")
	b.seconds(20, old(10))
	b.deploy("1.42.0", "1.41.3")
	midnight := b.now.Truncate(day).Add(day)
	var told []time.Time
	restartAt := func(at time.Time) {
		b.stop()
		b.now = at
		b.start()
		b.seconds(20, old(10))
		_, digests := b.unsaid()
		for _, d := range digests {
			told = append(told, d.From)
			assert.Equal(t, day, d.Till.Sub(d.From))
		}
	}
	restartAt(midnight.Add(-time.Minute))
	require.Empty(t, told, "the day is not over")
	restartAt(midnight.Add(time.Minute)) // it was down over midnight
	restartAt(midnight.Add(2 * time.Minute))
	require.Equal(t, []time.Time{midnight.Add(-day)}, told)
	restartAt(midnight.Add(3*day + time.Hour)) // a long week-end
	restartAt(midnight.Add(3*day + 2*time.Hour))
	require.Equal(t, []time.Time{midnight.Add(-day), midnight, midnight.Add(day), midnight.Add(2 * day)}, told)
	told = nil
	restartAt(midnight.Add(60 * day))
	require.Len(t, told, maxDigests)
	require.Equal(t, midnight.Add(59*day), told[maxDigests-1], "the newest of them")
}
