package ledger

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/deployloop/deployloop/internal/event"
)

func TestTheFirstTellingStands(t *testing.T) {
	l := New(Limits{})
	at := time.Date(2026, 3, 4, 12, 0, 0, 0, time.UTC)
	d, _ := l.RecordDeployment(event.Deployment{ID: "run-7", Service: "cart", Environment: "production", Version: "2", StartedAt: at, Sources: []event.Source{{Name: "api", At: at}}})
	tell := func(channel event.Channel, after time.Duration) {
		l.RecordTold(event.Telling{Deployment: "run-7", Verdict: event.Regressed, Channel: channel, At: at.Add(after)})
	}
	tell(event.ChannelAlertmanager, 20*time.Second)
	tell(event.ChannelAlertmanager, 50*time.Second) // the next heartbeat
	tell(event.ChannelGrafana, 30*time.Second)
	l.RecordTold(event.Telling{Deployment: "nobody", Verdict: event.Regressed, Channel: event.ChannelForge, At: at})
	want := []event.Telling{
		{Deployment: d.ID, Verdict: event.Regressed, Channel: event.ChannelAlertmanager, At: at.Add(20 * time.Second)},
		{Deployment: d.ID, Verdict: event.Regressed, Channel: event.ChannelGrafana, At: at.Add(30 * time.Second)},
	}
	assert.Equal(t, want, l.Tellings(d.ID))
	assert.Equal(t, want, l.Tellings("run-7"), "by its alias")
	assert.Empty(t, l.Tellings("nobody"))

	again := New(Limits{})
	for _, item := range l.Dirty() {
		require.NoError(t, again.Load(item.Key, item.Value))
	}
	again.Loaded()
	assert.Equal(t, want, again.Tellings(d.ID), "kept over a restart")

	for i := range 100 {
		l.RecordTold(event.Telling{Deployment: d.ID, Verdict: event.VerdictState(fmt.Sprint(i)), Channel: event.ChannelForge, At: at})
	}
	assert.Len(t, l.Tellings(d.ID), maxTellings, "bounded")
}

func TestASilenceIsKeptUntilItIsTakenBack(t *testing.T) {
	l := New(Limits{})
	at := time.Date(2026, 3, 4, 12, 0, 0, 0, time.UTC)
	a := event.Anomaly{ID: "a", Service: "cart", At: at, Open: true}
	l.RecordAnomaly(a)
	silence := &event.Silence{ID: "s", By: "ada", Comment: "known", Until: at.Add(time.Hour)}
	updates, cancel := l.Subscribe(8)
	defer cancel()
	l.RecordSilence("a", silence)
	l.RecordSilence("a", silence) // polled again
	l.RecordSilence("b", silence)
	assert.Len(t, updates, 1, "told once")

	a.At = at.Add(time.Minute) // the connector repeats the anomaly, and knows of no silence
	l.RecordAnomaly(a)
	got, _ := l.Anomaly("a")
	assert.Equal(t, silence, got.Silenced(at.Add(time.Minute)))
	assert.Nil(t, got.Silenced(at.Add(time.Hour)), "it is over")

	l.RecordSilence("a", nil)
	got, _ = l.Anomaly("a")
	assert.Nil(t, got.Silence)

	l.RecordSilence("a", silence)
	require.True(t, l.CloseAnomaly("a", event.Closure{Reason: event.ClosedRecovered, At: at.Add(2 * time.Minute)}))
	got, _ = l.Anomaly("a")
	assert.Nil(t, got.Silenced(at.Add(2*time.Minute)), "what is closed is not silenced")
}
