package anomalyconnector

import (
	"cmp"
	"context"
	"slices"
	"strings"
	"sync"

	"go.uber.org/zap"

	"github.com/deployloop/deployloop/internal/event"
	"github.com/deployloop/deployloop/internal/gitrange"
	"github.com/deployloop/deployloop/internal/ledger"
	"github.com/deployloop/deployloop/internal/suspect"
	"github.com/deployloop/deployloop/internal/wording"
)

// fetch reads the commits of a deployment in the background, so that they are
// there when it turns out bad: from the configured clones, else from a forge's
// API, else from the push events in the ledger.
func (m *monitor) fetch(t *tracked) {
	d := t.d
	if d.Revision == "" {
		t.fetched, t.commits = true, commitRange{source: "none", note: "the deployed revision is unknown"}
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
		commits := m.commits(ctx, d, clones)
		return func() {
			t.commits, t.fetched = commits, true
			t.ranked = 0
			if !t.regressed.IsZero() {
				m.rank(t)
			}
		}
	})
}

// commitRange is what lies between two deployments.
type commitRange struct {
	list    []suspect.Commit
	ignored []string         // revisions that .git-blame-ignore-revs lists
	owners  *gitrange.Owners // as CODEOWNERS tells; nil: nobody is known
	note    string           // what is unusual about it
	source  string           // "clone", "forge", "push events", "none"
}

// openClones are the repositories by their configured path, opened once: each
// keeps the ranges that it read last. Only as many as the settings name.
type openClones struct {
	mu     sync.Mutex
	byPath map[string]*gitrange.Repository
}

func (o *openClones) open(path string) (*gitrange.Repository, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if r := o.byPath[path]; r != nil {
		return r, nil
	}
	r, err := gitrange.Open(path)
	if err != nil {
		return nil, err // it may be cloned later
	}
	if o.byPath == nil {
		o.byPath = map[string]*gitrange.Repository{}
	}
	o.byPath[path] = r
	return r, nil
}

func (m *monitor) commits(ctx context.Context, d event.Deployment, clones []Repository) commitRange {
	changes, _, why := m.ledger.ChangeRange(d.Repository, d.PreviousRevision, d.Revision)
	note := ""
	for _, c := range clones {
		for _, from := range []struct {
			named bool
			read  func(context.Context, event.Deployment, Repository) (commitRange, error)
		}{{c.Path != "", m.fromClone}, {c.Forge != nil, m.fromForge}} {
			if !from.named {
				continue
			}
			r, err := from.read(ctx, d, c)
			if err == nil {
				r.list = m.withReports(withPages(r.list, changes), d.Repository)
				return r
			}
			note = err.Error()
			m.logger.Warn("the commits of a deployment could not be read", zap.String("path", c.Path), zap.Bool("forge", c.Path == ""),
				zap.String("service", d.Service), zap.String("revision", d.Revision), zap.Error(err))
		}
	}
	if len(changes) > m.config.Limits.Commits {
		changes, why = changes[:m.config.Limits.Commits], "more commits than the limit; the newest are told"
	}
	if why != "" {
		note = why
	}
	if len(changes) == 0 {
		return commitRange{note: note, source: "none"}
	}
	return commitRange{list: m.withReports(gitrange.FromChanges(changes), d.Repository), note: note, source: "push events"}
}

// fromClone reads a deployment's commits from a local clone.
func (m *monitor) fromClone(ctx context.Context, d event.Deployment, c Repository) (commitRange, error) {
	repository, err := m.clones.open(c.Path)
	if err != nil {
		return commitRange{}, err
	}
	r, err := repository.Range(ctx, d.PreviousRevision, d.Revision, c.options(m.config.Limits))
	if err != nil {
		return commitRange{}, err
	}
	return commitRange{list: r.Commits, ignored: repository.IgnoredRevisions(ctx, r.New), owners: repository.Owners(ctx, r.New), note: r.Note, source: "clone"}, nil
}

// withPages adds to commits the pages that the forge's events told.
func withPages(commits []suspect.Commit, changes []event.Change) []suspect.Commit {
	told := make(map[string]event.Change, len(changes))
	for _, c := range changes {
		told[c.Revision] = c
	}
	commits = slices.Clone(commits) // they are shared with a cache
	for i := range commits {
		c := told[commits[i].Revision]
		commits[i].URL = cmp.Or(c.URL, commits[i].URL)
		commits[i].PullURL = cmp.Or(c.PullURL, commits[i].PullURL)
		commits[i].PullHead = cmp.Or(c.PullHead, commits[i].PullHead)
	}
	return commits
}

// reportRuns is how many of the latest runs are looked through for what was
// said of a range's commits.
const reportRuns = 1000

// withReports adds what tests and analysers newly said of each commit itself:
// only where its parent was seen without it, since else an older one may have
// brought it; and not to merges, which change nothing themselves.
func (m *monitor) withReports(commits []suspect.Commit, repository string) []suspect.Commit {
	type report struct {
		event.Judgement
		good string // the revision that was without it
	}
	said := map[string][]report{}
	for _, f := range m.ledger.Feedback(ledger.RunQuery{Repository: repository, Limit: reportRuns}) {
		for _, j := range f.Judgements {
			if j.Call.Worse() {
				first := cmp.Or(j.FirstBad, f.Revision)
				said[first] = append(said[first], report{j, cmp.Or(j.LastPass, f.Base)})
			}
		}
	}
	if len(said) == 0 {
		return commits
	}
	for i := range commits {
		for _, j := range said[commits[i].Revision] {
			if commits[i].Merge || j.good == "" || !slices.Contains(commits[i].Parents, j.good) {
				continue
			}
			r := suspect.Report{Name: j.Measure}
			switch {
			case j.Test != nil:
				r = suspect.Report{Name: strings.TrimPrefix(j.Test.Suite+"#"+j.Test.Case, "#"), File: j.Test.File, Line: j.Test.Line}
			case j.Finding != nil:
				r = suspect.Report{Name: j.Finding.Rule, File: j.Finding.File, Line: j.Finding.Line}
			}
			switch j.Call {
			case event.NewFailure:
				r.Text = wording.Judged(j.Judgement) + " fails since"
			case event.Slower:
				r.Text = wording.Judged(j.Judgement) + " is slower since"
			case event.Worsened:
				r.Text = wording.Judged(j.Judgement) + " is worse since"
			default:
				r.Text = wording.Judged(j.Judgement) + " is a new finding"
			}
			commits[i].Reports = append(commits[i].Reports, r)
		}
	}
	return commits
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
	symptom, d, commits, deployments := symptomOf(t.verdict), t.d, t.commits, m.concurrent(t)
	clones := m.config.repositoriesOf(d.Service)
	m.background(func(context.Context) func() {
		s, frames := m.rankCommits(symptom, commits, clones), m.sourceFrames(symptom.Errors, clones)
		s.Commits, s.Source, s.Deployments = len(commits.list), commits.source, deployments
		if len(deployments) > 0 && deployments[0].ID != d.ID {
			s.Abstained = true // another deployment did it, more likely than any commit of this one
		}
		s.Range = rangeText(d)
		if commits.note != "" {
			s.RangeNote = commits.note
		}
		return func() {
			t.ranking = false
			t.suspicion = &s
			t.frames = frames
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
