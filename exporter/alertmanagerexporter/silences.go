package alertmanagerexporter

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	"github.com/prometheus/alertmanager/api/v2/models"
	"github.com/prometheus/alertmanager/pkg/labels"
	"go.uber.org/zap"

	address "github.com/deployloop/deployloop/internal/endpoint"
	"github.com/deployloop/deployloop/internal/event"
)

// A silence keeps an alert from everybody, so the page must say so: whoever
// looks for the reason why nobody was called finds it there. Alertmanager tells
// of silences only when it is asked, so it is polled, beside the data path.

const (
	silencesPath = "api/v2/silences"
	// silencesLimit is how many bytes of silences are read of one
	// Alertmanager, the expired ones of its retention included.
	silencesLimit = 8 << 20
)

// watchSilences keeps the ledger's silences true until ctx ends.
func (t *teller) watchSilences(ctx context.Context) {
	tick := time.NewTicker(t.cfg.SilencePoll)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			t.pollSilences(ctx)
		}
	}
}

// pollSilences asks every Alertmanager, and notes for each open anomaly the
// silence that holds longest. While one does not answer, what it said stands.
func (t *teller) pollSilences(ctx context.Context) {
	var active []silence
	complete := true
	for _, e := range t.endpoints {
		found, err := e.silences(ctx)
		if ctx.Err() != nil {
			return
		}
		t.metrics.polledSilences(ctx, e.name, err == nil)
		if err != nil {
			complete = false
			if !e.pollFailed {
				t.logger.Warn("Alertmanager does not tell its silences; the page may not show them", zap.String("endpoint", e.name), zap.Error(err))
			}
		}
		e.pollFailed = err != nil
		active = append(active, found...)
	}
	for id, alert := range t.open() {
		var holds *event.Silence
		for _, s := range active {
			if s.matches(alert) && (holds == nil || s.Until.After(holds.Until)) {
				holds = &s.Silence
			}
		}
		if holds != nil || complete {
			t.ledger.RecordSilence(id, holds)
		}
	}
}

// open is the labels of the open anomalies that were told, by their id.
func (t *teller) open() map[string]models.LabelSet {
	t.mu.Lock()
	defer t.mu.Unlock()
	open := map[string]models.LabelSet{}
	for id, k := range t.latest {
		if !k.closed && k.labels != nil {
			open[id] = k.labels
		}
	}
	return open
}

// silence is an active silence, ready to be matched.
type silence struct {
	event.Silence
	matchers labels.Matchers
}

// matches as Alertmanager does: all matchers hold, and a label that is not
// there counts as empty.
func (s silence) matches(alert models.LabelSet) bool {
	for _, m := range s.matchers {
		if !m.Matches(alert[m.Name]) {
			return false
		}
	}
	return len(s.matchers) > 0
}

// silences lists the active ones.
func (e *endpoint) silences(ctx context.Context) ([]silence, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, e.base+silencesPath, nil)
	if err != nil {
		return nil, err
	}
	response, err := e.client.Do(request)
	if err != nil {
		return nil, address.Cause(err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(io.LimitReader(response.Body, silencesLimit+1))
	switch {
	case err != nil:
		return nil, err
	case response.StatusCode != http.StatusOK:
		return nil, fmt.Errorf("answered %d", response.StatusCode)
	case len(body) > silencesLimit:
		return nil, fmt.Errorf("holds more than %d MiB of silences", silencesLimit>>20)
	}
	var list models.GettableSilences
	if err := json.Unmarshal(body, &list); err != nil {
		return nil, fmt.Errorf("answered, but not with silences: %w", err)
	}
	var active []silence
	for _, s := range list {
		if readable, ok := readSilence(s); ok {
			active = append(active, readable)
		}
	}
	return active, nil
}

// readSilence takes an active silence; one that lacks a part or whose pattern
// is none cannot match.
func readSilence(s *models.GettableSilence) (silence, bool) {
	if s == nil || s.Status == nil || s.Status.State == nil || *s.Status.State != models.SilenceStatusStateActive || s.EndsAt == nil {
		return silence{}, false
	}
	out := silence{Silence: event.Silence{ID: text(s.ID), By: text(s.CreatedBy), Comment: text(s.Comment), Until: time.Time(*s.EndsAt).UTC()}}
	for _, m := range s.Matchers {
		if m == nil || m.Name == nil || m.Value == nil {
			return silence{}, false
		}
		one, err := labels.NewMatcher(matchType(m), *m.Name, *m.Value)
		if err != nil {
			return silence{}, false
		}
		out.matchers = append(out.matchers, one)
	}
	return out, true
}

func matchType(m *models.Matcher) labels.MatchType {
	equal := m.IsEqual == nil || *m.IsEqual
	switch regex := m.IsRegex != nil && *m.IsRegex; {
	case regex && equal:
		return labels.MatchRegexp
	case regex:
		return labels.MatchNotRegexp
	case equal:
		return labels.MatchEqual
	}
	return labels.MatchNotEqual
}

func text(s *string) string {
	if s == nil {
		return ""
	}
	return strings.TrimSpace(*s)
}
