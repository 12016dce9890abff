package ledger

import (
	"slices"

	"github.com/deployloop/deployloop/internal/event"
)

// maxTellings bounds what is kept of one deployment: every verdict by every channel.
const maxTellings = 16

// RecordTold keeps when a channel first took a verdict of a known deployment.
func (l *Ledger) RecordTold(t event.Telling) {
	l.mu.Lock()
	defer l.mu.Unlock()
	d := l.find(t.Deployment)
	if d == nil || t.Channel == "" || t.Verdict == "" {
		return
	}
	t.Deployment = d.ID
	known, _ := l.tellings.Peek(d.ID)
	if len(known.Value) >= maxTellings || slices.ContainsFunc(known.Value, func(k event.Telling) bool {
		return k.Channel == t.Channel && k.Verdict == t.Verdict
	}) {
		return
	}
	t.At = l.clock(t.At)
	put(l, l.tellings, kindTelling, "tellings", d.ID, append(slices.Clip(known.Value), t)) // never in place: see snapshot
}

// Tellings lists who was told of a deployment, by its id or alias, in order of arrival.
func (l *Ledger) Tellings(deployment string) []event.Telling {
	l.mu.RLock()
	defer l.mu.RUnlock()
	known, _ := l.tellings.Peek(l.canonical(deployment))
	return slices.Clone(known.Value)
}

// RecordSilence notes the silence that holds for an open anomaly; nil: none does.
func (l *Ledger) RecordSilence(anomalyID string, s *event.Silence) {
	if s != nil {
		s = &event.Silence{ID: cut(s.ID, maxName), By: cut(s.By, maxName), Comment: cut(s.Comment, maxText), Until: s.Until}
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	known, ok := l.anomalies.Peek(anomalyID)
	a := known.Value
	if !ok || !a.Open || sameSilence(a.Silence, s) {
		return
	}
	a.Silence = s
	putSized(l, l.anomalies, &l.anomalyBytes, kindAnomaly, "anomalies", anomalyID, a)
	l.tell("anomaly", anomalyID, l.latest)
}

func sameSilence(a, b *event.Silence) bool {
	if a == nil || b == nil {
		return a == b
	}
	return a.ID == b.ID && a.By == b.By && a.Comment == b.Comment && a.Until.Equal(b.Until)
}
