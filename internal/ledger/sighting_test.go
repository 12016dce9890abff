package ledger

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/deployloop/deployloop/internal/event"
)

var t0 = time.Date(2026, 3, 2, 9, 0, 0, 0, time.UTC)

// seer sends sightings of one service.
type seer struct {
	t *testing.T
	*Ledger
}

func newSeer(t *testing.T) seer { return seer{t, New(Limits{})} }

func (s seer) see(version string, at time.Duration) (event.Deployment, bool) {
	return s.RecordSighting(Sighting{Service: "cart", Environment: "prod", Version: version, At: t0.Add(at)})
}

// stay sends a sighting every 10 s, and fails if one is taken for news.
func (s seer) stay(from, to time.Duration, versions ...string) {
	s.t.Helper()
	for at := from; at <= to; at += 10 * time.Second {
		for _, v := range versions {
			if d, isNew := s.see(v, at); isNew {
				s.t.Fatalf("%s at %s was taken for deployment %+v", v, at, d)
			}
		}
	}
}

func (s seer) list() []event.Deployment { return s.Deployments(Query{Service: "cart"}) }

func TestFirstVersionIsBaseline(t *testing.T) {
	s := newSeer(t)
	_, isNew := s.see("1", 0)
	assert.False(t, isNew)
	assert.Empty(t, s.list())
	require.Len(t, s.Deployments(Query{Baselines: true}), 1)
	_, _, ok := s.Current("cart", "prod", "1", "")
	assert.False(t, ok, "a baseline is no deployment")
}

func TestNewVersionIsDeployment(t *testing.T) {
	s := newSeer(t)
	s.stay(0, time.Minute, "1")
	d, isNew := s.see("2", 61*time.Second)
	require.True(t, isNew)
	assert.Equal(t, "1", d.PreviousVersion)
	assert.Equal(t, t0.Add(61*time.Second), d.FirstSeenAt)
	id, _, ok := s.Current("cart", "prod", "2", "")
	assert.True(t, ok)
	assert.Equal(t, d.ID, id)
}

func TestOldInstancesOfRollingUpdateAreNoRollback(t *testing.T) {
	s := newSeer(t)
	s.stay(0, time.Minute, "1")
	_, isNew := s.see("2", 65*time.Second)
	require.True(t, isNew)
	s.stay(70*time.Second, time.Hour, "1", "2")
	s.stay(time.Hour, 5*time.Hour, "2")
	_, isNew = s.see("1", 5*time.Hour) // one late batch
	assert.False(t, isNew)
	s.stay(5*time.Hour, 6*time.Hour, "2")
	assert.Len(t, s.list(), 1)
}

func TestRollbackByTelemetryAlone(t *testing.T) {
	t.Run("the new version vanished and the old one stayed", func(t *testing.T) {
		s := newSeer(t)
		s.stay(0, time.Minute, "1")
		bad, _ := s.see("2", 65*time.Second)
		s.stay(70*time.Second, 3*time.Minute, "1", "2")
		s.stay(3*time.Minute, 8*time.Minute, "1")
		back, isNew := s.see("1", 8*time.Minute+10*time.Second)
		require.True(t, isNew)
		assert.Equal(t, bad.ID, back.RollbackOf)
		assert.Equal(t, 1, back.Ordinal)
		assert.Equal(t, t0.Add(3*time.Minute), back.StartedAt)
		assert.Len(t, s.list(), 2)
	})
	t.Run("the old version came back", func(t *testing.T) {
		s := newSeer(t)
		s.stay(0, time.Minute, "1")
		bad, _ := s.see("2", 65*time.Second)
		s.stay(70*time.Second, time.Hour, "2")
		s.stay(time.Hour, time.Hour+50*time.Second, "1", "2")
		back, isNew := s.see("1", time.Hour+time.Minute)
		require.True(t, isNew, "it stayed for ConfirmAfter")
		assert.Equal(t, bad.ID, back.RollbackOf)
		assert.Equal(t, t0.Add(time.Hour), back.StartedAt)
		again, isNew := s.see("2", 3*time.Hour)
		assert.False(t, isNew, "%+v", again)
	})
	t.Run("but a version of little traffic may be silent as long as it was before", func(t *testing.T) {
		s := newSeer(t)
		s.stay(0, time.Minute, "1")
		s.see("2", 2*time.Minute)
		for at := 6 * time.Minute; at < 40*time.Minute; at += 4 * time.Minute {
			s.stay(at-4*time.Minute+10*time.Second, at, "1")
			_, isNew := s.see("2", at)
			assert.False(t, isNew)
		}
		s.stay(38*time.Minute, 47*time.Minute, "1") // twice its usual silence
		assert.Len(t, s.list(), 1)
	})
}

func TestSeveralVersionsAtTheStartAreAllBaseline(t *testing.T) {
	s := newSeer(t)
	s.stay(0, 2*time.Hour, "2", "1")
	assert.Empty(t, s.list())
}

func TestVersionFloodIsBounded(t *testing.T) {
	s := newSeer(t)
	s.see("0", 0)
	for i := range 1000 {
		s.see(time.Duration(i+1).String(), time.Minute+time.Duration(i)*time.Second)
	}
	assert.Len(t, s.Deployments(Query{Limit: 1000}), 30)
	assert.EqualValues(t, 970, s.Dropped()["inferred"])
}

func TestUnchangedSightingAllocatesNothing(t *testing.T) {
	s := newSeer(t)
	s.see("1", 0)
	at := t0.Add(time.Second)
	assert.Zero(t, testing.AllocsPerRun(1000, func() {
		at = at.Add(time.Second)
		s.RecordSighting(Sighting{Service: "cart", Environment: "prod", Version: "1", At: at})
		s.Current("cart", "prod", "1", "")
	}))
}

func TestRestartKeepsWhatWasKnown(t *testing.T) {
	s := newSeer(t)
	s.stay(0, time.Minute, "1")
	d, _ := s.see("2", 65*time.Second)
	s.stay(70*time.Second, 2*time.Minute, "1", "2")
	s.Ledger = reload(t, s.Ledger)
	s.stay(3*time.Minute, time.Hour, "1", "2") // still no news
	got, ok := s.Deployment(d.ID)
	require.True(t, ok)
	assert.Equal(t, "1", got.PreviousVersion)

	// Rolled back while the collector was down: the new one is never seen again.
	s.Ledger = reload(t, s.Ledger)
	s.stay(2*time.Hour, 2*time.Hour+5*time.Minute, "1")
	back, isNew := s.see("1", 2*time.Hour+6*time.Minute)
	require.True(t, isNew)
	assert.Equal(t, d.ID, back.RollbackOf)
}

// reload is a restart: what is persisted, in a new ledger.
func reload(t *testing.T, l *Ledger) *Ledger {
	t.Helper()
	for key := range l.deployments {
		l.touch(kindDeployment, key)
	}
	fresh := New(Limits{})
	for _, item := range l.Dirty() {
		require.NoError(t, fresh.Load(item.Key, item.Value))
	}
	fresh.Loaded()
	return fresh
}
