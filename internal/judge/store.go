package judge

import (
	"cmp"
	"iter"
	"maps"
	"path"
	"slices"
	"strings"
	"time"

	"github.com/deployloop/deployloop/internal/event"
	"github.com/deployloop/deployloop/internal/report"
)

// Options of a Store.
type Options struct {
	// Trunks are globs of the branches that others are compared with. Results
	// that name no branch are the trunk's.
	Trunks []string
	// Quiet is how long a run that tells nothing more is waited for. A run whose
	// pipeline is known to go on is waited for until that ends.
	Quiet time.Duration
	// Mode is how far what is found of a repository may reach.
	Mode   func(repository string) event.Mode
	Limits Limits
}

// Limits bound a Store. What is over them is counted in Dropped under the names
// given here.
type Limits struct {
	Baselines int // the one used least recently goes first: "baselines"
	Tests     int // of all baselines; likewise
	Runs      int // open ones; the one that was quiet for longest is judged as it is: "runs"
	Commits   int // settled ones of which is known what was said; the one told longest ago goes first: "commits"
	Said      int // bytes of what was said of those; likewise
	Results   int // of all open runs; likewise
	Problems  int // open ones of a branch; more are not followed: "problems"
}

// DefaultLimits hold some hundred MiB at the very most.
var DefaultLimits = Limits{Baselines: 200, Tests: 300_000, Runs: 500, Commits: 2000, Said: 32 << 20, Results: 300_000, Problems: 1000}

// hangs is how long a pipeline that says nothing is believed to go on, unless it takes
// longer as a rule: see waitsTill.
const hangs = 6 * time.Hour

// Store judges results as they come: the runs under way, the baselines of the
// branches that are compared with, and the alerts of what got worse there. It has
// no clock and no lock of its own.
type Store struct {
	options   Options
	baselines map[branch]*kept
	gone      map[string]bool // keys of baselines whose saved value is to be deleted
	runs      map[runKey]*openRun
	deploys   map[runKey]*openRun       // jobs that deploy, while they go on
	before    map[runKey]event.Feedback // what was said last of commits whose runs are over
	bytes     int                       // of before
	results   int                       // of all open runs
	alerts    map[string]*alert
	problems  map[branch]map[string]*alert // open, by what they are about
	changed   map[string]event.Anomaly
	told      []event.Feedback
	Dropped   map[string]uint64
}

// branch is where a baseline is of.
type branch struct{ repository, ref string }

type kept struct {
	*Baseline
	used  time.Time
	dirty bool
}

type runKey struct {
	branch
	revision string
}

// openRun is what is known of one commit while its runs go on.
type openRun struct {
	runKey
	run         *Run
	before      event.Feedback // said of the commit when its runs were over the last time
	base        string
	assumed     bool // nobody told of base: the main branch as it was when this one was first heard of
	id, url     string
	began, last time.Time
	pipelines   map[string]event.PipelineRun // that go on
	stage       event.Stage                  // of what is in Store.deploys; else ""
	broken      int                          // reports that break off, but for unread
	restarts    int                          // of broken: what a restart lost
	unread      []event.BrokenReport
	unended     []event.UnendedJob
	prints      map[string]int // findings so far, by fingerprint
	said        map[string]event.Judgement
	changed     bool
}

// NewStore knows nothing.
func NewStore(o Options) *Store {
	return &Store{
		options: o, baselines: map[branch]*kept{}, gone: map[string]bool{}, runs: map[runKey]*openRun{}, deploys: map[runKey]*openRun{}, before: map[runKey]event.Feedback{}, alerts: map[string]*alert{},
		problems: map[branch]map[string]*alert{}, changed: map[string]event.Anomaly{}, Dropped: map[string]uint64{},
	}
}

// trunk tells whether a branch is one that others are compared with.
func (s *Store) trunk(ref string) bool {
	return ref == "" || slices.ContainsFunc(s.options.Trunks, func(glob string) bool {
		ok, err := path.Match(glob, ref)
		return ok && err == nil
	})
}

// baseline is what a run is compared with; nil for a branch whose repository has
// none yet. Of several the one counts that knows base, else the last used.
func (s *Store) baseline(r *openRun) *kept {
	if s.trunk(r.ref) {
		b := s.baselines[r.branch]
		if b == nil {
			b = &kept{Baseline: NewBaseline(), used: r.began}
			s.baselines[r.branch] = b
		}
		return b
	}
	var best *kept
	knew := false
	for key, b := range s.baselines {
		if key.repository != r.repository || b.Runs == 0 {
			continue
		}
		knows := len(r.base) >= minAbbreviation && slices.ContainsFunc(b.Recent, func(revision string) bool { return strings.HasPrefix(revision, r.base) })
		if best == nil || knows && !knew || knows == knew && b.used.After(best.used) {
			best, knew = b, knows
		}
	}
	return best
}

// compareAt is the run number that a run is compared with: a trunk's run with the
// one before it, whatever base its sender names.
func (s *Store) compareAt(b *kept, r *openRun) int {
	if s.trunk(r.ref) {
		return b.Runs
	}
	return b.runAt(r.base)
}

func newOpenRun(key runKey, now time.Time) *openRun {
	return &openRun{runKey: key, run: NewRun(key.revision), began: now, pipelines: map[string]event.PipelineRun{}, prints: map[string]int{}, said: map[string]event.Judgement{}}
}

// open finds the run of a commit, or begins it.
func (s *Store) open(repository, ref, revision string, now time.Time) *openRun {
	key := runKey{branch{repository, strings.TrimPrefix(ref, "refs/heads/")}, revision}
	r := s.runs[key]
	if r == nil {
		r = newOpenRun(key, now)
		r.before = s.before[key]
		r.base, r.assumed = r.before.Base, r.before.BaseAssumed
		if r.base == "" {
			s.assumeBase(r)
		}
		s.runs[key] = r
	}
	r.last, r.changed = now, true
	return r
}

// Test takes in one result. A failure is judged at once.
func (s *Store) Test(t event.TestResult, now time.Time) {
	if t.Revision == "" {
		s.Dropped["without_revision"]++
		return
	}
	r := s.open(t.Repository, t.Ref, t.Revision, now)
	r.beganAt(t.Base)
	r.id = cmp.Or(r.id, t.RunID)
	if r.run.repeated(t.ID) {
		return
	}
	t.ID = ""
	if !report.Failed(t.Status) {
		t.Message, t.Stacktrace = "", ""
	}
	s.test(r, t, now)
}

func (s *Store) test(r *openRun, t event.TestResult, now time.Time) {
	size := r.run.Size()
	a := r.run.addTest(t)
	s.results += r.run.Size() - size
	key := event.Judgement{Test: &t}.Key()
	if _, said := r.said[key]; !a.failed() || said && !a.passed() {
		return
	}
	b := s.baseline(r)
	if b == nil || b.Runs == 0 {
		return // nothing to compare with
	}
	if j, ok := b.sayTest(Key(t.Suite, t.Case), a, r.revision, s.compareAt(b, r)); ok {
		s.say(r, s.doubted(b, r, j), now)
	}
}

// Finding takes in one finding, and judges it at once.
func (s *Store) Finding(f event.Finding, now time.Time) {
	if f.Revision == "" {
		s.Dropped["without_revision"]++
		return
	}
	r := s.open(f.Repository, f.Ref, f.Revision, now)
	r.beganAt(f.Base)
	r.id = cmp.Or(r.id, f.RunID)
	if r.run.repeated(f.ID) {
		return
	}
	f.ID = ""
	size := r.run.Size()
	r.run.Add(report.Item{Finding: &f})
	s.results += r.run.Size() - size
	r.prints[f.Fingerprint]++
	b := s.baseline(r)
	if b == nil || b.Runs == 0 || !b.Tools[f.Tool] || !b.newFinding(f, r.prints[f.Fingerprint], s.compareAt(b, r)) {
		return
	}
	j := event.Judgement{Call: event.NewFinding, Finding: &f, FirstBad: r.revision, LastPass: b.Revision}
	s.say(r, s.doubted(b, r, j), now)
}

// Measurement takes in one number.
func (s *Store) Measurement(m event.Measurement, now time.Time) {
	if m.Revision == "" {
		s.Dropped["without_revision"]++
		return
	}
	r := s.open(m.Repository, m.Ref, m.Revision, now)
	r.id = cmp.Or(r.id, m.RunID)
	size := r.run.Size()
	if unit, ok := strings.CutPrefix(m.Name, "coverage "); ok && m.Unit == "1" {
		const parts = 1_000_000
		r.run.covered[strings.TrimSpace(m.Suite+" "+unit)] = [2]int{int(m.Value * parts), parts}
	} else {
		r.run.Add(report.Item{Benchmark: &report.Benchmark{Suite: m.Suite, Name: m.Name, Value: m.Value, Unit: m.Unit}})
	}
	s.results += r.run.Size() - size
}

// Report takes in that a report was read to its end.
func (s *Store) Report(p event.Report, now time.Time) {
	if p.Revision == "" {
		return
	}
	r := s.open(p.Repository, p.Ref, p.Revision, now)
	r.beganAt(p.Base)
	r.id = cmp.Or(r.id, p.RunID)
	if p.Broken {
		r.breaks(p)
		return
	}
	r.mends(p)
	for _, tool := range p.Tools {
		r.run.Ran(tool)
	}
}

// The least growth of a job's duration and of its time in the queue that is
// worth a word, seconds.
const (
	minSlowerJob   = 10
	minSlowerQueue = 60
)

// PipelineRun takes in how a pipeline or one of its jobs goes. A job that fails
// is a failure of its own where no test and no finding says why.
func (s *Store) PipelineRun(p event.PipelineRun, now time.Time) {
	if p.Revision == "" {
		return
	}
	if p.RefAssumed && s.trunk(p.Ref) && !s.identify(&p) {
		if p.State == "finished" { // before, its run may not have been heard of yet
			s.Dropped["branch_unknown"]++
		}
		return
	}
	key := runKey{branch{p.Repository, strings.TrimPrefix(p.Ref, "refs/heads/")}, p.Revision}
	deploys := p.Stage == event.StageDeploy || p.Stage == event.StagePostDeploy
	if whole := p.Task == "" && p.TaskID == ""; whole && p.State == "finished" { // what its jobs do is of either kind
		if other := s.runs[key]; deploys && (other != nil || len(s.before[key].Unended) > 0) {
			s.over(s.open(p.Repository, p.Ref, p.Revision, now), p, now)
		} else if other := s.deploys[key]; other != nil && !deploys {
			s.over(other, p, now)
		}
	}
	if p.State != "finished" {
		s.heard(key.branch, p, now)
	}
	if deploys {
		s.deploy(key, p, now)
		return
	}
	if p.State == "finished" && s.runs[key] == nil && now.Sub(p.FinishedAt) > hangs {
		return // news of long ago
	}
	r := s.open(p.Repository, p.Ref, p.Revision, now)
	r.id, r.url = cmp.Or(r.id, p.ID), cmp.Or(r.url, p.URL)
	if p.State != "finished" {
		if len(r.pipelines) < s.options.Limits.Runs {
			r.pipelines[jobKey(p)] = p
		}
		return
	}
	s.over(r, p, now)
	name := jobName(p)
	t := event.TestResult{Suite: p.Pipeline, Case: "[" + name + "]", Status: "pass", Repository: p.Repository, Revision: p.Revision,
		Ref: p.Ref, RunID: p.ID, At: p.FinishedAt, Message: "the job ended with " + p.Result}
	switch p.Result {
	case "success":
		t.Message = ""
	case "failure", "timeout", "error":
		if r.explained() {
			return // what failed in it is told already
		}
		t.Status = "fail"
	case "cancellation":
		if r.before.State != event.Healthy { // else it is one run too many
			r.unend(p)
		}
		return
	default:
		return // skipped says nothing
	}
	s.test(r, t, now)
	if p.Result != "success" {
		return
	}
	size := r.run.Size()
	for _, m := range []struct {
		what       string
		from, till time.Time
		least      float64
	}{{"duration", p.StartedAt, p.FinishedAt, minSlowerJob}, {"time in the queue", p.QueuedAt, p.StartedAt, minSlowerQueue}} {
		if d := m.till.Sub(m.from).Seconds(); !m.from.IsZero() && !m.till.IsZero() && d >= 0 {
			r.run.measures[Key(p.Pipeline, name)+"\x1f"+m.what] = measure{value: max(d, 1), unit: "s", suite: p.Pipeline, name: name + " " + m.what, alone: true, least: m.least}
		}
	}
	s.results += r.run.Size() - size
}

// identify names the branch of a run that may be a fork's main, by what else was said
// of its commit. A fork's run must neither teach the main branch nor have it alarmed.
func (s *Store) identify(p *event.PipelineRun) bool {
	var refs []string
	for _, keys := range []iter.Seq[runKey]{maps.Keys(s.runs), maps.Keys(s.before)} {
		for k := range keys {
			if k.repository == p.Repository && k.revision == p.Revision && (p.Ref == "" || k.ref == p.Ref || strings.HasSuffix(k.ref, ":"+p.Ref)) {
				refs = append(refs, k.ref)
			}
		}
	}
	if len(refs) == 0 {
		return false
	}
	// The repository's own branch before a fork's, which is named with its owner.
	p.Ref = slices.MinFunc(refs, func(a, b string) int {
		return cmp.Or(strings.Count(a, ":")-strings.Count(b, ":"), cmp.Compare(a, b))
	})
	return true
}

// say notes one judgement of a run that goes on.
func (s *Store) say(r *openRun, j event.Judgement, now time.Time) {
	if j.Call.Worse() && (s.trunk(r.ref) || r.stage != "") {
		j = s.worse(r, j, now)
	}
	if len(r.said) < s.options.Limits.Problems {
		r.said[j.Key()] = j
	}
}

// Tick judges the runs that are over, and gives what changed since the last call:
// the feedback of runs and the alerts of branches.
func (s *Store) Tick(now time.Time) ([]event.Feedback, []event.Anomaly) {
	s.giveUp(now)
	s.sayDeploys(now)
	for _, r := range s.runs {
		s.sayHanging(r, now)
		quiet := now.Sub(r.last)
		switch {
		case quiet >= s.options.Quiet && len(r.pipelines) == 0 || quiet >= hangs && !now.Before(s.waitsTill(r)):
			s.settle(r, now)
		case r.changed:
			r.changed = false
			s.told = append(s.told, s.running(r, now))
		}
	}
	for len(s.runs) > s.options.Limits.Runs || s.results > s.options.Limits.Results {
		oldest := slices.MinFunc(slices.Collect(maps.Values(s.runs)), func(a, b *openRun) int { return a.last.Compare(b.last) })
		s.settle(oldest, now)
		s.Dropped["runs"]++
	}
	s.evict()
	told := s.told
	s.told = nil
	anomalies := slices.SortedFunc(maps.Values(s.changed), func(a, b event.Anomaly) int { return cmp.Compare(a.ID, b.ID) })
	clear(s.changed)
	return told, anomalies
}

// evict keeps the baselines within their limits.
func (s *Store) evict() {
	tests := 0
	for _, b := range s.baselines {
		tests += len(b.Tests) + len(b.Findings) + len(b.Measures)
	}
	for len(s.baselines) > 1 && (len(s.baselines) > s.options.Limits.Baselines || tests > s.options.Limits.Tests) {
		var oldest branch
		for key, b := range s.baselines {
			if was := s.baselines[oldest]; was == nil || b.used.Before(was.used) {
				oldest = key
			}
		}
		b := s.baselines[oldest]
		tests -= len(b.Tests) + len(b.Findings) + len(b.Measures)
		delete(s.baselines, oldest)
		if len(s.gone) < maxEntries { // a storage that fails all the while
			s.gone[keyOf(oldest)] = true
		}
		s.Dropped["baselines"]++
	}
}

// Sizes counts what is held.
func (s *Store) Sizes() (baselines, runs, open int) {
	return len(s.baselines), len(s.runs), len(s.alerts)
}
