package ledger

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"

	"github.com/deployloop/deployloop/internal/event"
)

// A source with a wrong clock, or a typing error in started_at.
func TestADeploymentFromTheFutureIsTakenAsOfNow(t *testing.T) {
	l := New(Limits{})
	now := time.Date(2026, 11, 23, 14, 0, 0, 0, time.UTC)
	tell := func(version string, told, started time.Time) event.Deployment {
		d, _ := l.RecordDeployment(event.Deployment{
			Service: "checkout", Version: version, StartedAt: started, Sources: []event.Source{{Name: "api", At: told}},
		})
		return d
	}
	tell("1", now, now)
	ahead := tell("2", now.Add(time.Hour), now.AddDate(70, 0, 0))
	assert.Equal(t, now.Add(time.Hour), ahead.StartedAt)
	next := tell("3", now.Add(2*time.Hour), now.Add(2*time.Hour))
	assert.Equal(t, "2", next.PreviousVersion, "what came later is the newer one")
	assert.Equal(t, uint64(1), l.Dropped()["deployment_times_ahead"])

	skewed := tell("4", now.Add(3*time.Hour), now.Add(3*time.Hour+time.Minute))
	assert.Equal(t, now.Add(3*time.Hour+time.Minute), skewed.StartedAt, "clocks differ by minutes")
}
