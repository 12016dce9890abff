package loopmetrics

import (
	"strconv"
	"time"

	"github.com/deployloop/deployloop/internal/event"
	"github.com/deployloop/deployloop/internal/ledger"
	"github.com/deployloop/deployloop/internal/notice"
)

// Limits of a Tracker.
const (
	maxIndicators  = 10                  // of a deployment, strongest first
	maxSuspects    = 3                   // of a deployment
	maxSeries      = 5000                // of a family; further label sets are counted as lost
	maxTracked     = 10_000              // deployments, anomalies and runs looked at, newest first
	settledAfter   = 25 * time.Hour      // a verdict older than its longest watch does not change any more
	evidenceFresh  = 5 * time.Minute     // a verdict that was not repeated for so long shows no evidence
	judgedFresh    = time.Hour           // a verdict has its marker for so long though its deployment was replaced
	longestLatency = 30 * 24 * time.Hour // a longer step is a clock or an import, no latency
	datedTo        = 2 * time.Second     // verdicts are dated to the second, what they look back on to the nanosecond
)

// Tracker keeps the counters and histograms; it observes each fact of the
// ledger once. Counters start from what the ledger holds, so that a restart
// continues them. Not safe for concurrent use.
type Tracker struct {
	ledger ledger.Reader
	lost   uint64

	deployments map[string]*deploymentProgress
	anomalies   map[string]bool // by id: closure counted
	runs        map[string]bool // by id and task: finish counted
	flakes      map[string]bool // by pipeline, task and revision: counted
	builds      builds

	deployed, untracked, rollbacks, verdicts, suspicions, closed, runResults, flaked *series
	latency, recovery, runDuration                                                   *series
}

// deploymentProgress is what of a deployment was counted already.
type deploymentProgress struct {
	verdict                                    event.VerdictState
	settled, lead, built, seen, decided, found bool
	suspicion, untracked, rollback             bool
	told                                       int // of the ledger's tellings, which only grow
}

// NewTracker counts what the ledger holds and will hold.
func NewTracker(l ledger.Reader) *Tracker {
	t := &Tracker{ledger: l, deployments: map[string]*deploymentProgress{}, anomalies: map[string]bool{}, runs: map[string]bool{}, flakes: map[string]bool{}}
	family := func(kind Kind, name, unit, description string) *series {
		return newSeries(kind, name, unit, description, maxSeries, &t.lost)
	}
	t.deployed = family(Counter, "deployloop.deployments", "{deployment}", "Deployments that were seen, rollbacks among them")
	t.untracked = family(Counter, "deployloop.deployments.untracked", "{deployment}", "New versions in telemetry that no deploy source told of")
	t.rollbacks = family(Counter, "deployloop.rollbacks", "{deployment}", "Deployments that undid another one")
	t.verdicts = family(Counter, "deployloop.verdicts", "{verdict}", "Times that a deployment's verdict became this")
	t.suspicions = family(Counter, "deployloop.suspicions", "{deployment}", "Regressed deployments by whether a commit was named")
	t.closed = family(Counter, "deployloop.anomalies.closed", "{anomaly}", "Anomalies that ended, by the reason")
	t.runResults = family(Counter, "deployloop.pipeline.runs", "{run}", "Finished pipeline runs and tasks, by result")
	t.flaked = family(Counter, "deployloop.pipeline.flakes", "{flake}", "Runs and tasks that both failed and passed on one revision")
	t.latency = family(Histogram, "deployloop.loop.latency", "s", "Duration of each step of the loop")
	t.recovery = family(Histogram, "deployloop.recovery.duration", "s", "From a regression's onset to its closure (time to restore)")
	t.runDuration = family(Histogram, "deployloop.pipeline.run.duration", "s", "Duration of finished pipeline runs and tasks, queue time apart")
	return t
}

// Collect brings the counters up to date and gives all families.
func (t *Tracker) Collect(now time.Time) []Family {
	family := func(name, unit, description string) *series {
		return newSeries(Gauge, name, unit, description, maxSeries, &t.lost)
	}
	started := family("deployloop.deployment.start_time", "s", "Unix time at which the latest deployment of a service started: the deploy marker")
	judged := family("deployloop.deployment.verdict_time", "s", "Unix time at which a service's latest deployment, or another one in the last hour, was judged: the verdict marker")
	nats := family("deployloop.evidence", "{nat}", "Evidence of harm against a watched deployment (log E)")
	threshold := family("deployloop.evidence.threshold", "{nat}", "Evidence at which a watched deployment is called regressed")
	against := family("deployloop.indicator.evidence", "{nat}", "Evidence of harm of one indicator against a watched deployment")
	effect := family("deployloop.effect.ratio", "1", "One indicator of a watched deployment: rate after it over before")
	suspects := family("deployloop.suspect.probability", "1", "Commits that are suspected of a regressed deployment, the likeliest")
	open := family("deployloop.anomalies.open", "{anomaly}", "Anomalies that are open")
	oldest := family("deployloop.anomalies.open.age", "s", "Age of the oldest open anomaly")

	watching := family("deployloop.deployments.watched", "{deployment}", "Deployments under watch")

	phantom := family("deployloop.deployments.phantom", "{deployment}", "Deployments that were told, but whose telemetry does not arrive")
	dark := family("deployloop.deployments.dark", "{deployment}", "Newest versions whose telemetry arrives, and that serve no request")
	silenced := family("deployloop.anomalies.silenced", "{anomaly}", "Open anomalies that a silence of Alertmanager keeps quiet")

	newest := map[string]bool{}
	look := notice.At(now)
	live := map[string]*deploymentProgress{}
	for _, d := range t.ledger.Deployments(ledger.Query{Limit: maxTracked, Baselines: true}) {
		t.expectAt(d.Service, d.Environment)
		if d.Baseline {
			continue
		}
		p, known := t.deployments[d.ID]
		if !known {
			p = &deploymentProgress{}
			t.deployed.inc("service", d.Service, "environment", d.Environment)
		}
		if d.RollbackOf != "" && !p.rollback { // which may be learnt later
			p.rollback = true
			t.rollbacks.inc("service", d.Service, "environment", d.Environment)
		}
		live[d.ID] = p
		place := d.Service + "\xff" + d.Environment
		latest := !newest[place]
		newest[place] = true
		if latest {
			started.set(float64(d.StartedAt.UnixNano())/1e9, "service", d.Service, "environment", d.Environment,
				"deployment", d.ID, "version", d.Label(), "revision", d.Revision)
		}
		v, hasVerdict := t.ledger.Verdict(d.ID)
		if at := judgedAt(v); hasVerdict && v.State != event.Watching && (latest || now.Sub(at) < judgedFresh) {
			judged.set(float64(at.UnixNano())/1e9, "service", d.Service, "environment", d.Environment,
				"deployment", d.ID, "version", d.Label(), "verdict", string(v.State))
		}
		if p.settled {
			continue
		}
		p.settled = now.Sub(d.StartedAt) > settledAfter
		t.steps(d, p)
		var verdict *event.Verdict
		if hasVerdict {
			verdict = &v
		}
		if n, ok := look.Of(d, verdict); ok {
			switch {
			case n.Kind == event.NoticePhantom:
				phantom.inc("service", d.Service, "environment", d.Environment)
			case n.Kind == event.NoticeDark:
				dark.inc("service", d.Service, "environment", d.Environment)
			case !p.untracked:
				p.untracked = true
				t.untracked.inc("service", d.Service, "environment", d.Environment)
			}
		}
		if !hasVerdict {
			continue
		}
		t.verdict(d, v, p)
		t.tellings(d, v, p)
		if v.State == event.Watching {
			watching.inc("service", d.Service, "environment", d.Environment)
		}
		if now.Sub(v.At) < evidenceFresh {
			nats.set(v.Nats, "service", d.Service, "environment", d.Environment, "deployment", d.ID)
			threshold.set(v.Threshold, "service", d.Service, "environment", d.Environment, "deployment", d.ID)
			told := map[[2]string]bool{}
			for _, e := range v.Evidence {
				key := [2]string{string(e.Signal), e.Operation}
				if told[key] || len(told) >= maxIndicators {
					continue // the stronger one of the two was told: what tells them apart is text, and no label
				}
				told[key] = true
				labels := []string{"service", d.Service, "environment", d.Environment, "deployment", d.ID, "signal", string(e.Signal), "operation", e.Operation}
				against.set(e.Nats, labels...)
				if e.Ratio > 0 {
					effect.set(e.Ratio, labels...)
				}
			}
			if s := v.Suspicion; s != nil && v.State == event.Regressed {
				for _, suspect := range s.Suspects[:min(len(s.Suspects), maxSuspects)] {
					suspects.set(suspect.Probability, "service", d.Service, "environment", d.Environment, "deployment", d.ID, "revision", suspect.Change.Revision)
				}
			}
		}
	}
	t.deployments, t.builds = live, nil
	t.collectAnomalies(now, open, oldest, silenced)
	t.collectRuns()

	lost := family("deployloop.metrics.lost", "{series}", "Label sets that did not fit into a family")
	lost.set(float64(t.lost))
	var out []Family
	for _, s := range []*series{
		t.deployed, t.untracked, t.rollbacks, watching, phantom, dark, t.verdicts, t.suspicions, started, judged, nats, threshold, against, effect, suspects,
		open, oldest, silenced, t.closed, t.runResults, t.flaked, t.runDuration, t.latency, t.recovery, lost,
	} {
		out = append(out, s.copied())
	}
	return out
}

// judgedAt is when a verdict became what it is; of one without such a time,
// when it was last told.
func judgedAt(v event.Verdict) time.Time {
	switch {
	case v.State == event.Regressed && !v.RegressedAt.IsZero():
		return v.RegressedAt
	case v.State == event.Healthy && !v.HealthyAt.IsZero():
		return v.HealthyAt
	}
	return v.At
}

// steps observes how long the loop took up to the first telemetry.
func (t *Tracker) steps(d event.Deployment, p *deploymentProgress) {
	observe := func(done *bool, step string, from, to time.Time) {
		if !*done && !from.IsZero() && !to.IsZero() {
			*done = true
			t.step(d, nil, step, from, to)
		}
	}
	// What a rollback puts back was delivered before.
	if change, ok := t.ledger.Change(d.Repository, d.Revision); ok && d.Revision != "" && d.RollbackOf == "" {
		observe(&p.lead, "commit_to_deploy", change.At, d.StartedAt)
	}
	if d.Revision != "" && d.RollbackOf == "" && !p.built {
		built := t.builds.before(d, t.ledger)
		if change, ok := t.ledger.Change(d.Repository, d.Revision); ok && !built.IsZero() {
			t.step(d, nil, "commit_to_build", change.At, built)
		}
		observe(&p.built, "build_to_deploy", built, d.StartedAt)
	}
	observe(&p.seen, "deploy_to_first_telemetry", d.StartedAt, d.FirstSeenAt)
}

// verdict observes the verdict's transitions and how long they took.
func (t *Tracker) verdict(d event.Deployment, v event.Verdict, p *deploymentProgress) {
	if v.State != p.verdict {
		p.verdict = v.State
		t.verdicts.inc("service", d.Service, "environment", d.Environment, "verdict", string(v.State))
	}
	decided := v.RegressedAt
	if decided.IsZero() {
		decided = v.HealthyAt
	}
	exemplar := exemplarOf(v)
	if !p.decided && !decided.IsZero() && !d.FirstSeenAt.IsZero() {
		p.decided = true
		t.step(d, exemplar, "first_telemetry_to_verdict", d.FirstSeenAt, decided)
	}
	if !p.found && !v.RegressedAt.IsZero() && !v.FirstBadAt.IsZero() {
		p.found = true
		t.step(d, exemplar, "first_bad_to_verdict", v.FirstBadAt, v.RegressedAt)
	}
	if v.Suspicion != nil && !p.suspicion && v.State == event.Regressed {
		p.suspicion = true
		outcome := "named"
		if v.Suspicion.Abstained {
			outcome = "abstained"
		}
		t.suspicions.inc("service", d.Service, "environment", d.Environment, "outcome", outcome)
	}
}

// tellings observes how long a verdict took to reach those it is told to.
func (t *Tracker) tellings(d event.Deployment, v event.Verdict, p *deploymentProgress) {
	list := t.ledger.Tellings(d.ID)
	for _, told := range list[min(p.told, len(list)):] {
		decided := map[event.VerdictState]time.Time{event.Regressed: v.RegressedAt, event.Healthy: v.HealthyAt}[told.Verdict]
		if !decided.IsZero() {
			t.step(d, exemplarOf(v), "verdict_to_told", decided, told.At, "channel", string(told.Channel))
		}
	}
	p.told = len(list)
}

func (t *Tracker) step(d event.Deployment, exemplar *Exemplar, step string, from, to time.Time, further ...string) {
	took := to.Sub(from)
	if took < -datedTo || took > longestLatency {
		return // a clock that is off says nothing about the loop
	}
	took = max(took, 0)
	if exemplar == nil {
		exemplar = &Exemplar{Deployment: d.ID}
	}
	e := *exemplar
	e.Value, e.AtUnixNano = took.Seconds(), to.UnixNano()
	t.latency.observe(took.Seconds(), &e, append([]string{"service", d.Service, "environment", d.Environment, "step", step}, further...)...)
}

func exemplarOf(v event.Verdict) *Exemplar {
	e := &Exemplar{Deployment: v.Deployment.ID}
	for _, related := range v.Related {
		for _, example := range related.Examples {
			if example.TraceID != "" {
				e.TraceID = example.TraceID
				return e
			}
		}
	}
	return e
}

func (t *Tracker) collectAnomalies(now time.Time, open, oldest, silenced *series) {
	live := map[string]bool{}
	for _, a := range t.ledger.Anomalies(ledger.Query{Limit: maxTracked}) {
		live[a.ID] = t.anomalies[a.ID]
		if a.Open {
			open.inc("service", a.Service, "environment", a.Environment, "kind", string(a.Kind), "severity", string(a.Severity))
			if a.Silenced(now) != nil {
				silenced.inc("service", a.Service, "environment", a.Environment)
			}
			if p := oldest.at("service", a.Service, "environment", a.Environment); p != nil {
				p.Value = max(p.Value, now.Sub(a.StartsAt).Seconds())
			}
			continue
		}
		if live[a.ID] || a.Closure == nil {
			continue
		}
		live[a.ID] = true
		t.closed.inc("service", a.Service, "environment", a.Environment, "kind", string(a.Kind), "reason", string(a.Closure.Reason))
		if took := a.Closure.At.Sub(a.StartsAt); a.Kind == event.KindDeployment && took >= 0 && took <= longestLatency {
			t.recovery.observe(took.Seconds(), &Exemplar{Deployment: a.Deployment, Value: took.Seconds(), AtUnixNano: a.Closure.At.UnixNano()},
				"service", a.Service, "environment", a.Environment)
		}
	}
	t.anomalies = live
}

func (t *Tracker) collectRuns() {
	live := map[string]bool{}
	outcomes := outcomes{}
	for _, r := range t.ledger.PipelineRuns(ledger.RunQuery{Limit: maxTracked}) {
		key := r.ID + "\xff" + r.TaskID + "\xff" + r.Task + "\xff" + strconv.Itoa(r.Attempt)
		live[key] = t.runs[key]
		level := "run"
		if r.Task != "" {
			level = "task"
		}
		t.expectRun(r.Pipeline, level, r.Stage)
		outcomes.add(r, level)
		if live[key] || r.FinishedAt.IsZero() {
			continue
		}
		live[key] = true
		labels := []string{"pipeline", r.Pipeline, "level", level, "stage", string(r.Stage), "result", r.Result}
		t.runResults.inc(labels...)
		if took := r.FinishedAt.Sub(r.StartedAt); !r.StartedAt.IsZero() && took >= 0 && took <= longestLatency {
			t.runDuration.observe(took.Seconds(), nil, labels...)
		}
	}
	t.runs = live
	t.collectFlakes(outcomes)
}
