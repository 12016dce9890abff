package anomalyconnector

import (
	"context"

	"go.uber.org/zap"

	"github.com/deployloop/deployloop/internal/event"
	"github.com/deployloop/deployloop/internal/gitrange"
	"github.com/deployloop/deployloop/internal/suspect"
)

// fetch reads the commits of a deployment in the background, so that they are
// there when it turns out bad: from the configured clones, else from the push
// events in the ledger.
func (m *monitor) fetch(t *tracked) {
	d := t.d
	if d.Revision == "" {
		t.fetched, t.source, t.rangeNote = true, "none", "the deployed revision is unknown"
		return
	}
	clones := m.config.repositoriesOf(d.Service)
	m.background(func(ctx context.Context) func() {
		select {
		case m.readers <- struct{}{}:
			defer func() { <-m.readers }()
		case <-ctx.Done():
			return nil
		}
		ctx, cancel := context.WithTimeout(ctx, m.config.Limits.CommitTimeout)
		defer cancel()
		commits, note, source := m.commits(ctx, d, clones)
		return func() {
			t.commits, t.rangeNote, t.source, t.fetched = commits, note, source, true
			t.ranked = 0
			if !t.regressed.IsZero() {
				m.rank(t)
			}
		}
	})
}

func (m *monitor) commits(ctx context.Context, d event.Deployment, clones []Repository) (commits []suspect.Commit, note, source string) {
	for _, c := range clones {
		repository, err := gitrange.Open(c.Path)
		if err == nil {
			var r gitrange.Result
			r, err = repository.Range(ctx, d.PreviousRevision, d.Revision, gitrange.Options{
				Paths: c.Paths, MaxCommits: m.config.Limits.Commits, Timeout: m.config.Limits.CommitTimeout,
			})
			if err == nil {
				return r.Commits, r.Note, "clone"
			}
		}
		note = err.Error()
		m.logger.Warn("the commits of a deployment could not be read from its clone", zap.String("path", c.Path),
			zap.String("service", d.Service), zap.String("revision", d.Revision), zap.Error(err))
	}
	changes, _, why := m.ledger.ChangeRange(d.Repository, d.PreviousRevision, d.Revision)
	if len(changes) > m.config.Limits.Commits {
		changes, why = changes[:m.config.Limits.Commits], "more commits than the limit; the newest are told"
	}
	if why != "" {
		note = why
	}
	if len(changes) == 0 {
		return nil, note, "none"
	}
	return gitrange.FromChanges(changes), note, "push events"
}

// rank ranks the commits in the background, anew when the proof grew.
func (m *monitor) rank(t *tracked) {
	seen := 1 + len(t.verdict.Related)
	for _, e := range t.verdict.Evidence {
		if e.Harm {
			seen++
		}
	}
	if !t.fetched || t.ranking || t.ranked == seen {
		return
	}
	t.ranking, t.ranked = true, seen
	symptom, d, commits := symptomOf(t.verdict), t.d, t.commits
	clones := m.config.repositoriesOf(d.Service)
	note, source := t.rangeNote, t.source
	m.background(func(context.Context) func() {
		s := rankCommits(symptom, commits, clones)
		s.Commits, s.Source = len(commits), source
		s.Range = rangeText(d)
		if note != "" {
			s.RangeNote = note
		}
		return func() {
			t.ranking = false
			t.suspicion = &s
		}
	})
}

// symptomOf gives what of a verdict points into code.
func symptomOf(v event.Verdict) suspect.Symptom {
	s := suspect.Symptom{Errors: v.Related}
	seen := map[event.Signal]bool{}
	for _, e := range v.Evidence {
		if !e.Harm {
			continue
		}
		if e.Operation != "" && !containsID(s.Operations, e.Operation) {
			s.Operations = append(s.Operations, e.Operation)
		}
		if !seen[e.Signal] {
			seen[e.Signal] = true
			s.Signals = append(s.Signals, e.Signal)
		}
	}
	return s
}

func rangeText(d event.Deployment) string {
	if d.PreviousRevision == "" {
		return event.ShortRevision(d.Revision)
	}
	return event.ShortRevision(d.PreviousRevision) + ".." + event.ShortRevision(d.Revision)
}
