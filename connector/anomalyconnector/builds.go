package anomalyconnector

import (
	"cmp"
	"context"
	"path"
	"slices"
	"strings"
	"sync"
	"time"

	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/plog"
	"go.uber.org/zap"

	"github.com/deployloop/deployloop/internal/event"
	"github.com/deployloop/deployloop/internal/event/eventotlp"
	"github.com/deployloop/deployloop/internal/judge"
	"github.com/deployloop/deployloop/internal/ledger"
	"github.com/deployloop/deployloop/internal/suspect"
)

const (
	// maxResults bounds what of builds and tests waits for the next tick; the
	// newest beyond it are left out and counted.
	maxResults = 200_000
	// maxFeedback bounds the commits whose feedback is repeated; the ledger keeps
	// the others.
	maxFeedback      = 2000
	lossResults      = "build_results_over_limit"
	lossUndecodable  = "build_results_undecodable"
	maxVerdictBuilds = 5 // judgements that a verdict names
)

// builds are what is known before anything is deployed. Readers only put results
// on the heap; the rest is the loop's.
type builds struct {
	mu      sync.Mutex
	waiting []any // event.TestResult, Finding, Measurement, Report, PipelineRun

	store    *judge.Store
	repeated []string        // keys of records of feedback, oldest first
	ranked   map[string]bool // alerts whose commits are being, or were, ranked
	lost     map[string]uint64
	saved    time.Time
}

func newBuilds(c *Config) builds {
	return builds{
		ranked: map[string]bool{}, lost: map[string]uint64{},
		store: judge.NewStore(judge.Options{
			Trunks: c.Builds.Branches, Quiet: c.Builds.Quiet, Mode: c.modeOf, Limits: judge.DefaultLimits,
		}),
	}
}

// readOwn takes what a record of the vocabulary says of builds and tests.
func (m *monitor) readOwn(resource pcommon.Resource, record plog.LogRecord) {
	var result any
	var err error
	switch eventotlp.Name(record) {
	case event.NameTestResult:
		result, err = eventotlp.DecodeTestResult(resource, record)
	case event.NameFinding:
		result, err = eventotlp.DecodeFinding(resource, record)
	case event.NameMeasurement:
		result, err = eventotlp.DecodeMeasurement(resource, record)
	case event.NameReport:
		result, err = eventotlp.DecodeReport(resource, record)
	case event.NamePipelineRun:
		result, err = eventotlp.DecodePipelineRun(resource, record)
	default:
		return
	}
	if err != nil {
		m.refused.add(lossUndecodable, 1)
		return
	}
	b := &m.builds
	b.mu.Lock()
	defer b.mu.Unlock()
	if len(b.waiting) >= maxResults {
		m.refused.add(lossResults, 1)
		return
	}
	b.waiting = append(b.waiting, result)
}

// judgeBuilds takes in what waits, and tells what changed.
func (m *monitor) judgeBuilds(now time.Time) {
	b := &m.builds
	b.mu.Lock()
	waiting := b.waiting
	b.waiting = nil
	b.mu.Unlock()
	for _, result := range waiting {
		switch x := result.(type) {
		case event.TestResult:
			b.store.Test(x, now)
		case event.Finding:
			b.store.Finding(x, now)
		case event.Measurement:
			b.store.Measurement(x, now)
		case event.Report:
			b.store.Report(x, now)
		case event.PipelineRun:
			b.store.PipelineRun(x, now)
		}
	}
	feedback, anomalies := b.store.Tick(now)
	for _, f := range feedback {
		f.Production = m.effectsOf(f)
		m.tellFeedback(f, now)
	}
	for _, a := range anomalies {
		m.tellBuild(a, now)
	}
	for name, n := range b.store.Dropped {
		if more := n - b.lost[name]; more > 0 {
			b.lost[name] = n
			m.refused.add("build_"+name, more)
		}
	}
}

// tellFeedback tells what builds and tests say of a commit, and repeats it.
func (m *monitor) tellFeedback(f event.Feedback, now time.Time) {
	m.ledger.RecordFeedback(f)
	m.repeatFeedback(f, now)
}

func (m *monitor) repeatFeedback(f event.Feedback, now time.Time) {
	r := &record{key: "feedback/" + f.ID, encode: func(lr plog.LogRecord) { eventotlp.EncodeFeedback(f, lr) }}
	if !f.Running {
		r.closed = f.At
	}
	b := &m.builds
	if m.records[r.key] == nil {
		if b.repeated = append(b.repeated, r.key); len(b.repeated) > maxFeedback {
			delete(m.records, b.repeated[0])
			b.repeated = b.repeated[1:]
		}
	}
	m.tell(r, now)
}

// tellBuild tells an alert of a branch.
func (m *monitor) tellBuild(a event.Anomaly, now time.Time) {
	if !a.Open {
		m.ledger.RecordAnomaly(a)
		m.ledger.CloseAnomaly(a.ID, *a.Closure)
		delete(m.builds.ranked, a.ID)
		m.logger.Info("the alert of a branch ended", zap.String("repository", a.Service), zap.String("commit", a.Commit), zap.String("reason", string(a.Closure.Reason)), zap.String("detail", a.Closure.Detail))
	} else {
		if _, known := m.ledger.Anomaly(a.ID); !known {
			m.logger.Warn("a commit made a branch worse", zap.String("repository", a.Service), zap.String("branch", a.Feedback.Ref),
				zap.String("commit", a.Commit), zap.String("stage", string(a.Stage)), zap.Int("problems", len(a.Feedback.Judgements)))
		}
		m.ledger.RecordAnomaly(a)
		m.suspectBuild(a)
	}
	m.tell(anomalyRecord(a), now)
}

// suspectBuild ranks the commits between the last good and the first bad run in
// the background, once an alert.
func (m *monitor) suspectBuild(a event.Anomaly) {
	f, b := a.Feedback, &m.builds
	if b.ranked[a.ID] || len(f.Judgements) == 0 || f.Judgements[0].LastPass == "" {
		return
	}
	b.ranked[a.ID] = true
	d := event.Deployment{Service: path.Base(f.Repository), Repository: f.Repository, PreviousRevision: f.Judgements[0].LastPass, Revision: a.Commit}
	symptom := suspect.Symptom{Signals: []event.Signal{a.Signal}}
	for _, j := range f.Judgements {
		if j.Test == nil {
			continue
		}
		symptom.Tests = append(symptom.Tests, strings.TrimSpace(j.Test.Suite+" "+j.Test.Case))
		if symptom.Text == "" {
			symptom.Text = strings.TrimSpace(j.Test.Message + "\n" + j.Test.Stacktrace)
		}
	}
	clones := m.config.repositoriesNamed(f.Repository)
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
		s := m.rankCommits(symptom, commits, clones)
		s.Commits, s.Source, s.Range = len(commits.list), commits.source, rangeText(d)
		if commits.note != "" {
			s.RangeNote = commits.note
		}
		return func() { b.store.Suspect(a.ID, s, m.now()) }
	})
}

// repositoriesNamed are the clones of a repository, whatever is deployed from it.
func (c *Config) repositoriesNamed(name string) []Repository {
	base := func(s string) string { return strings.TrimSuffix(path.Base(strings.TrimRight(s, "/")), ".git") }
	var out []Repository
	for _, r := range c.Repositories {
		if ok, _ := path.Match(r.Service, base(name)); ok || base(r.Path) == base(name) {
			r.Paths, r.Owners = nil, nil // builds are of the whole
			out = append(out, r)
		}
	}
	return out
}

// buildsOf is what builds and tests said was new in the commits of a deployment.
func (m *monitor) buildsOf(t *tracked) []event.Judgement {
	in, pulled := t.revisions(), t.pulled()
	var found, ofPulls []event.Judgement
	for _, f := range m.ledger.Feedback(ledger.RunQuery{Repository: t.d.Repository, Limit: maxFeedback}) {
		merged := pulled[f.Revision]
		if merged == "" && !(f.Trunk && holds(in, f.Revision)) {
			continue
		}
		for _, j := range f.Judgements {
			switch {
			case !j.Call.Worse() && !j.NewFlake:
			case merged != "":
				j.FirstBad = merged // nobody finds the commit of a branch that is gone
				ofPulls = append(ofPulls, j)
			default:
				j.FirstBad = cmp.Or(j.FirstBad, f.Revision)
				found = append(found, j)
			}
		}
	}
	for _, j := range ofPulls { // the branch it was merged to may say the same
		if !slices.ContainsFunc(found, func(x event.Judgement) bool { return x.Key() == j.Key() }) {
			found = append(found, j)
		}
	}
	// What can have to do with how a service behaves comes first: a test before a
	// finding, a finding before a duration.
	slices.SortStableFunc(found, func(a, b event.Judgement) int { return rankOfBuild(a) - rankOfBuild(b) })
	return found[:min(len(found), maxVerdictBuilds)]
}

func rankOfBuild(j event.Judgement) int {
	switch {
	case j.Shift != nil:
		return 2
	case j.Finding != nil:
		return 1
	}
	return 0
}

// revisions are the commits that a deployment brought.
func (t *tracked) revisions() map[string]bool {
	in := make(map[string]bool, len(t.commits.list)+1)
	for _, c := range t.commits.list {
		in[c.Revision] = true
	}
	if t.d.Revision != "" {
		in[t.d.Revision] = true
	}
	return in
}

// pulled leads from the last commit of each pull request to the commit that it was
// merged as: a squash has another id, and is what was tested there.
func (t *tracked) pulled() map[string]string {
	merged := map[string]string{}
	for _, c := range t.commits.list {
		if c.PullHead != "" && c.PullHead != c.Revision {
			merged[c.PullHead] = c.Revision
		}
	}
	return merged
}

// holds compares commit ids of which one may be abbreviated.
func holds(in map[string]bool, revision string) bool {
	if in[revision] {
		return true
	}
	for r := range in {
		if min(len(r), len(revision)) >= 7 && (strings.HasPrefix(r, revision) || strings.HasPrefix(revision, r)) {
			return true
		}
	}
	return false
}

// effectsOf is what a commit did where it was deployed: the verdicts of the
// deployments that it is the suspect, or else the head, of.
func (m *monitor) effectsOf(f event.Feedback) []event.ProductionEffect {
	var effects []event.ProductionEffect
	for _, t := range m.tracked {
		if t.verdict.State == event.Regressed && holds(t.blamed(), f.Revision) {
			effects = append(effects, t.effect())
		}
	}
	slices.SortFunc(effects, func(a, b event.ProductionEffect) int { return strings.Compare(a.Deployment, b.Deployment) })
	return effects
}

// blamed are the commits that a regressed deployment is put down to.
func (t *tracked) blamed() map[string]bool {
	revision := t.d.Revision
	if s := t.suspicion; s != nil && !s.Abstained && len(s.Suspects) > 0 {
		revision = s.Suspects[0].Change.Revision
	}
	in := map[string]bool{revision: true}
	for head, merged := range t.pulled() {
		if merged == revision {
			in[head] = true
		}
	}
	return in
}

func (t *tracked) effect() event.ProductionEffect {
	return event.ProductionEffect{
		Deployment: t.d.ID, Service: t.d.Service, Environment: t.d.Environment, State: t.verdict.State,
		Summary: t.verdict.Detail, At: t.verdict.RegressedAt,
	}
}

// tellEffect has the feedback of the blamed commits say what they did.
func (m *monitor) tellEffect(t *tracked, now time.Time) {
	for revision := range t.blamed() {
		if revision == "" {
			continue
		}
		for _, f := range m.ledger.Feedback(ledger.RunQuery{Repository: t.d.Repository, Revision: revision, Limit: 10}) {
			f.Production, f.At = m.effectsOf(f), now
			m.tellFeedback(f, now)
		}
	}
}
