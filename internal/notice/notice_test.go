package notice

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/deployloop/deployloop/internal/event"
	"github.com/deployloop/deployloop/internal/ledger"
)

var noon = time.Date(2026, 3, 4, 12, 0, 0, 0, time.UTC)

func told(at time.Time) []event.Source { return []event.Source{{Name: "api", At: at}} }

// kinds are the notices at a time, by service.
func kinds(l *ledger.Ledger, at time.Time) map[string]event.NoticeKind {
	list, _ := Find(l, at, 100)
	out := map[string]event.NoticeKind{}
	for _, n := range list {
		out[n.Service] = n.Kind
	}
	return out
}

func TestWhatNobodySaid(t *testing.T) {
	l := ledger.New(ledger.Limits{})
	sight := func(service, version string, at time.Time) event.Deployment {
		d, _ := l.RecordSighting(ledger.Sighting{Service: service, Environment: "production", Version: version, At: at})
		return d
	}
	deploy := func(service, version string, at time.Time) event.Deployment {
		d, _ := l.RecordDeployment(event.Deployment{Service: service, Environment: "production", Version: version, StartedAt: at, Sources: told(at)})
		return d
	}
	for _, service := range []string{"untracked", "late", "dark", "quiet", "busy"} {
		sight(service, "1", noon.Add(-2*time.Hour))
	}
	sight("untracked", "2", noon)
	sight("late", "2", noon)
	deploy("phantom", "2", noon)
	verdict := func(d event.Deployment, new, old float64, at time.Time) {
		l.RecordVerdict(event.Verdict{Deployment: d, State: event.Watching, NewRequests: new, OldRequests: old, At: at})
	}
	dark, quiet, busy := deploy("dark", "2", noon), deploy("quiet", "2", noon), deploy("busy", "2", noon)
	for _, s := range []string{"dark", "quiet", "busy"} {
		sight(s, "2", noon.Add(5*time.Second))
	}
	verdict(dark, 0, 900, noon.Add(12*time.Minute))
	verdict(quiet, 0, 0, noon.Add(12*time.Minute)) // a worker: it never had requests
	verdict(busy, 40, 900, noon.Add(12*time.Minute))

	assert.Empty(t, kinds(l, noon.Add(9*time.Minute)), "too early for any")
	deploy("late", "2", noon.Add(time.Minute)) // its source lagged
	assert.Equal(t, map[string]event.NoticeKind{"untracked": event.NoticeUntracked, "phantom": event.NoticePhantom, "dark": event.NoticeDark},
		kinds(l, noon.Add(16*time.Minute)))

	t.Run("ends", func(t *testing.T) {
		sight("phantom", "2", noon.Add(17*time.Minute))
		verdict(dark, 3, 900, noon.Add(17*time.Minute))
		deploy("untracked", "2", noon.Add(17*time.Minute))
		assert.Empty(t, kinds(l, noon.Add(18*time.Minute)))
	})
	t.Run("is bounded", func(t *testing.T) {
		for _, s := range []string{"a", "b", "c"} {
			deploy(s, "9", noon.Add(time.Hour))
		}
		list, more := Find(l, noon.Add(2*time.Hour), 2)
		require.Len(t, list, 2)
		assert.Equal(t, 1, more)
		assert.Equal(t, event.Notice{Kind: event.NoticePhantom, Deployment: list[0].Deployment, Service: list[0].Service, Environment: "production", Version: "9",
			Since: noon.Add(time.Hour), At: noon.Add(2 * time.Hour), Open: true, Detail: list[0].Detail}, list[0])
		assert.Contains(t, list[0].Detail, "none of its telemetry comes")
	})
	t.Run("is forgotten", func(t *testing.T) {
		assert.Empty(t, kinds(l, noon.Add(48*time.Hour)))
	})
}

func TestAPhantomIsOverWhenSomethingLaterIsSeenOrItFailed(t *testing.T) {
	for name, then := range map[string]func(l *ledger.Ledger){
		"a later version is seen": func(l *ledger.Ledger) {
			l.RecordDeployment(event.Deployment{Service: "cart", Environment: "production", Version: "3", StartedAt: noon.Add(time.Minute),
				FirstSeenAt: noon.Add(2 * time.Minute), Sources: told(noon)})
		},
		"it failed": func(l *ledger.Ledger) {
			l.RecordDeployment(event.Deployment{Service: "cart", Environment: "production", Version: "2", StartedAt: noon,
				Status: event.DeploymentFailed, FinishedAt: noon.Add(time.Minute), Sources: told(noon)})
		},
	} {
		t.Run(name, func(t *testing.T) {
			l := ledger.New(ledger.Limits{})
			l.RecordDeployment(event.Deployment{Service: "cart", Environment: "production", Version: "2", StartedAt: noon, Sources: told(noon)})
			require.Len(t, kinds(l, noon.Add(20*time.Minute)), 1)
			then(l)
			assert.Empty(t, kinds(l, noon.Add(20*time.Minute)))
		})
	}
}
