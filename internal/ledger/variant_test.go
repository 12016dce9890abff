package ledger

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// Two Deployments of one service roll out a release: it is one deployment, which
// goes back to the release before, also behind a restart.
func TestTwoDeploymentsOfOneServiceAreOneRelease(t *testing.T) {
	s := newSeer(t)
	s.stay(0, time.Minute, "1.42.0+rs.bbbbb", "1.42.0+rs.ccccc")
	release, isNew := s.see("1.43.0+rs.ddddd", 65*time.Second)
	require.True(t, isNew)
	s.stay(70*time.Second, 3*time.Minute, "1.43.0+rs.ddddd", "1.43.0+rs.fffff", "1.42.0+rs.ccccc")
	s.stay(3*time.Minute, 2*time.Hour, "1.43.0+rs.ddddd", "1.43.0+rs.fffff")
	id, _, ok := s.Current("cart", "prod", "1.43.0+rs.fffff", "")
	require.True(t, ok)
	require.Equal(t, release.ID, id)

	s.Ledger = reload(t, s.Ledger)
	s.stay(3*time.Hour, 4*time.Hour, "1.43.0+rs.fffff", "1.43.0+rs.ddddd")
	s.stay(4*time.Hour, 5*time.Hour, "1.43.0+rs.fffff") // the other one is scaled to nothing
	all := s.list()
	require.Len(t, all, 1)
	require.Contains(t, []string{"1.42.0+rs.bbbbb", "1.42.0+rs.ccccc"}, all[0].PreviousVersion)

	next, isNew := s.see("1.44.0+rs.ggggg", 6*time.Hour)
	require.True(t, isNew)
	assert.Equal(t, "1.43.0+rs.ddddd", next.PreviousVersion)
}

// A rollout of the same image with another configuration is a deployment: soon
// after a release, once the ReplicaSet of before is gone.
func TestRolloutOfTheSameImageIsADeployment(t *testing.T) {
	for name, after := range map[string]time.Duration{"soon": 10 * time.Minute, "long after": 3 * time.Hour} {
		t.Run(name, func(t *testing.T) {
			s := newSeer(t)
			s.stay(0, time.Minute, "1.42.0+rs.bbbbb")
			release, _ := s.see("1.43.0+rs.ddddd", 65*time.Second)
			s.stay(70*time.Second, after, "1.43.0+rs.ddddd")
			for at := after; at < after+20*time.Minute; at += 10 * time.Second {
				s.see("1.43.0+rs.fffff", at)
			}
			all := s.list()
			require.Len(t, all, 2)
			rollout := all[0]
			if rollout.ID == release.ID {
				rollout = all[1]
			}
			assert.Equal(t, "1.43.0+rs.fffff", rollout.Version)
			assert.Equal(t, "1.43.0+rs.ddddd", rollout.PreviousVersion)
			assert.Equal(t, t0.Add(after), rollout.StartedAt)
			assert.Empty(t, rollout.RollbackOf)
			id, _, _ := s.Current("cart", "prod", "1.43.0+rs.fffff", "")
			assert.Equal(t, rollout.ID, id)
		})
	}
}
