package ledger

import (
	"fmt"
	"testing"
	"time"

	"github.com/deployloop/deployloop/internal/event"
)

// full holds 10,000 deployments of 100 services.
func full() *Ledger {
	l := New(Limits{})
	for i := range 10_000 {
		l.RecordDeployment(event.Deployment{
			Service: fmt.Sprint("service-", i%100), Environment: "prod", Version: fmt.Sprint("1.", i), Revision: fmt.Sprintf("%040d", i),
			StartedAt: t0.Add(time.Duration(i) * time.Minute), Status: event.DeploymentSucceeded,
			Sources: []event.Source{{Name: "api"}},
		})
	}
	return l
}

func BenchmarkRecordSightingUnchanged(b *testing.B) {
	l := full()
	s := Sighting{Service: "service-7", Environment: "prod", Version: "1.9907", Revision: fmt.Sprintf("%040d", 9907), At: t0.Add(10_000 * time.Minute)}
	l.RecordSighting(s)
	b.ReportAllocs()
	for b.Loop() {
		s.At = s.At.Add(time.Millisecond)
		l.RecordSighting(s)
	}
}

func BenchmarkCurrent(b *testing.B) {
	l := full()
	b.ReportAllocs()
	for b.Loop() {
		if _, _, ok := l.Current("service-7", "prod", "1.9907", ""); !ok {
			b.Fatal("unknown")
		}
	}
}

func BenchmarkRecordDeploymentAmong10000(b *testing.B) {
	l := full()
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		l.RecordDeployment(event.Deployment{
			Service: fmt.Sprint("service-", i%100), Environment: "prod", Revision: fmt.Sprintf("%040d", 20_000+i),
			StartedAt: t0.Add(time.Duration(20_000+i) * time.Minute), Sources: []event.Source{{Name: "api"}},
		})
	}
}

func BenchmarkDeploymentsOfService(b *testing.B) {
	l := full()
	for b.Loop() {
		if len(l.Deployments(Query{Service: "service-7", Environment: "prod"})) != 100 {
			b.Fatal("missing")
		}
	}
}
