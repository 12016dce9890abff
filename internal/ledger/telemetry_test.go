package ledger

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestCoverageOfTelemetry(t *testing.T) {
	l := New(Limits{})
	at := time.Date(2026, 11, 23, 14, 0, 0, 0, time.UTC)
	l.RecordTelemetry(Telemetry{Service: "checkout", Environment: "production", Signal: Traces, Version: true, At: at, Stamped: at.Add(-3 * time.Second)})
	l.RecordTelemetry(Telemetry{Service: "checkout", Environment: "production", Signal: Logs, Revision: true, At: at.Add(time.Minute), Stamped: at.Add(time.Minute - time.Second)})
	l.RecordTelemetry(Telemetry{Service: "cart", Signal: Metrics, At: at})
	l.RecordTelemetry(Telemetry{Signal: Metrics, At: at})

	list := l.Coverage()
	require.Len(t, list, 2)
	require.Equal(t, Coverage{Service: "cart", Environment: "default", Seen: [3]time.Time{Metrics: at}}, list[0])
	require.Equal(t, Coverage{Service: "checkout", Environment: "production", Seen: [3]time.Time{Traces: at, Logs: at.Add(time.Minute)},
		Version: at, Revision: at.Add(time.Minute), Lag: time.Second, LagKnown: true}, list[1])

	// A clock that is ahead shows, and is forgotten once it is mended.
	l.RecordTelemetry(Telemetry{Service: "checkout", Environment: "production", At: at.Add(2 * time.Minute), Stamped: at.Add(4 * time.Minute)})
	require.Equal(t, -2*time.Minute, l.Coverage()[1].Lag)
	for m := 3; m <= 20; m++ {
		now := at.Add(time.Duration(m) * time.Minute)
		l.RecordTelemetry(Telemetry{Service: "checkout", Environment: "production", At: now, Stamped: now.Add(-time.Second)})
	}
	require.Equal(t, time.Second, l.Coverage()[1].Lag)
}

func TestCoverageIsBounded(t *testing.T) {
	l := New(Limits{Places: 3})
	for i := range 5 {
		l.RecordTelemetry(Telemetry{Service: fmt.Sprint("service ", i), At: time.Now()})
	}
	require.Len(t, l.Coverage(), 3)
	require.EqualValues(t, 2, l.Dropped()["places"])
}

func TestTelemetryThatIsKnownAllocatesNothing(t *testing.T) {
	l := New(Limits{})
	now := time.Now()
	one := Telemetry{Service: "checkout", Environment: "production", Version: true, At: now, Stamped: now}
	l.RecordTelemetry(one)
	require.Zero(t, testing.AllocsPerRun(100, func() { l.RecordTelemetry(one) }))
}

func BenchmarkTelemetryOfAKnownService(b *testing.B) {
	l := New(Limits{})
	now := time.Now()
	one := Telemetry{Service: "checkout", Environment: "production", Version: true, At: now, Stamped: now}
	b.ReportAllocs()
	for b.Loop() {
		l.RecordTelemetry(one)
	}
}
