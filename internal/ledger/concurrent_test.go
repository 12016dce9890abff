package ledger

import (
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"

	"github.com/deployloop/deployloop/internal/event"
)

// Telemetry, webhooks, readers and persistence at once: for the race detector,
// and in the end one deployment a version.
func TestConcurrentUse(t *testing.T) {
	l := New(Limits{Settle: -1})
	l.RecordSighting(Sighting{Service: "cart", Version: "0", At: t0})
	var all sync.WaitGroup
	for range 4 {
		all.Go(func() {
			for i := range 500 {
				version := fmt.Sprint(i/50 + 1)
				at := t0.Add(time.Duration(i) * time.Second)
				l.RecordSighting(Sighting{Service: "cart", Version: version, At: at})
				if _, _, ok := l.Current("cart", "", version, ""); !ok {
					t.Errorf("version %s is unknown right after its sighting", version)
				}
			}
		})
	}
	all.Go(func() {
		for i := range 200 {
			l.RecordDeployment(event.Deployment{Service: "pay", Version: fmt.Sprint(i), StartedAt: t0.Add(time.Duration(i) * time.Hour), Sources: []event.Source{{Name: "api"}}})
			l.Deployments(Query{})
			l.MarkDirty(l.Dirty())
			l.Expire(t0)
		}
	})
	updates, cancel := l.Subscribe(1)
	all.Go(func() {
		for range updates {
			l.Sizes()
		}
	})
	time.AfterFunc(50*time.Millisecond, cancel)
	all.Wait()
	assert.Len(t, l.Deployments(Query{Service: "cart", Environment: event.DefaultEnvironment}), 10)
}
