package consoleextension

import (
	"cmp"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/deployloop/deployloop/internal/event"
	"github.com/deployloop/deployloop/internal/ledger"
	"github.com/deployloop/deployloop/internal/wording"
)

const (
	// loopRows is how many rows the timeline shows; ?rows= asks for more, up to loopMaxRows.
	loopRows    = 40
	loopMaxRows = 400
	// everything asks the ledger for all it keeps: its own limit is lower.
	everything = 1 << 20
	// recentSpan is what the summary calls recent: it also holds the longest watch.
	recentSpan = 25 * time.Hour
	// recentRunsLimit is how many pipeline runs and tasks the timeline looks at.
	recentRunsLimit = 4000
	// recentChangesLimit is how many commits it looks at for what is not deployed yet.
	recentChangesLimit = 1000
)

// summary is the strip above the timeline, and part of the API's status.
type summary struct {
	Services    int            `json:"services"`
	Deployments int            `json:"deployments"` // baselines are none
	OpenAlerts  int            `json:"open_alerts"` // roll-ups and symptoms that stand alone
	Watching    int            `json:"watching"`
	Recent      map[string]int `json:"recent_verdicts"`           // of the last 25 h, by state
	Sources     []string       `json:"deployment_sources"`        // other than telemetry
	Changes     int            `json:"changes"`                   // 1: at least one
	Median      time.Duration  `json:"median_time_to_verdict_ns"` // of the recent; 0: none yet
}

// summarize counts over what the ledger keeps.
func (s *site) summarize() summary {
	now := s.now()
	sum := summary{Recent: map[string]int{}, Changes: min(1, len(s.recentChanges()))}
	services := map[string]struct{}{}
	sources := map[string]struct{}{}
	var took []time.Duration
	for _, d := range s.everyDeployment() {
		services[d.Service] = struct{}{}
		if d.Baseline {
			continue
		}
		sum.Deployments++
		for _, src := range d.Sources {
			if src.Name != sourceTelemetry {
				sources[src.Name] = struct{}{}
			}
		}
		if now.Sub(d.StartedAt) > recentSpan {
			continue
		}
		switch o := s.hub.recall.outcome(s.reader, d.ID); {
		case !o.Known:
		case o.State == event.Watching:
			sum.Watching++
		default:
			sum.Recent[string(o.State)]++
			if o.Took > 0 {
				took = append(took, o.Took)
			}
		}
	}
	for _, seen := range s.reader.Coverage() { // telemetry without a version makes no deployment
		services[seen.Service] = struct{}{}
	}
	sum.Services = len(services)
	sum.Sources = slices.Sorted(maps.Keys(sources))
	if len(took) > 0 {
		slices.Sort(took)
		sum.Median = took[len(took)/2]
	}
	sum.OpenAlerts = s.openAlerts()
	return sum
}

// sourceTelemetry is the provenance of a deployment inferred from telemetry.
const sourceTelemetry = "telemetry"

// decidedAt is when a verdict was first given; zero while there is none.
func decidedAt(v event.Verdict) time.Time {
	switch v.State {
	case event.Regressed:
		return v.RegressedAt
	case event.Healthy:
		return v.HealthyAt
	}
	return time.Time{}
}

// runsByRevision holds the newest pipeline runs, listed once for a whole
// page, by the first digits of their revision.
type runsByRevision map[string][]event.PipelineRun

func (r runsByRevision) of(revision string) []event.PipelineRun {
	if revision == "" {
		return nil
	}
	return r[revisionKey(revision)]
}

// revisionKey makes a full and an abbreviated commit id meet.
func revisionKey(revision string) string { return strings.ToLower(revision[:min(7, len(revision))]) }

// row is one commit's way round the loop; without a deployment, as far as it came.
type row struct {
	At          time.Time
	Deployment  *event.Deployment
	Change      *event.Change
	State       string // of the verdict
	Verdict     *event.Verdict
	Words       string // one line: what the verdict says
	Revision    string
	Steps       []step
	Calibrating bool
	Closure     *event.Closure // how the alert of a regression ended; nil: it is open, or there is none
	Notice      *event.Notice  // what nobody said of it; nil: nothing
}

// step is one stage of the loop. State is done, failed, running or none.
// Text is short enough for a phone; Spoken comes before it for a screen reader.
type step struct {
	Name, State, Spoken, Text, URL string
}

// loopView is the front page.
type loopView struct {
	Summary      summary
	Rows         []row
	First        bool // nothing was deployed yet: show the checklist
	Checklist    []check
	Addresses    []address
	Services     []string
	Environments []string
	Service      string
	Environment  string
	Placebos     []event.PlaceboCount // the placebo ledger, of each detector
	More         string               // query of the link to more rows; "" when all are shown
}

func (s *site) loopPage(w http.ResponseWriter, r *http.Request) {
	q := r.URL.Query()
	v := loopView{Service: q.Get("service"), Environment: q.Get("environment"), Summary: s.summarize()}
	rows := loopRows
	if n, err := strconv.Atoi(q.Get("rows")); err == nil {
		rows = max(loopRows, min(n, loopMaxRows))
	}
	v.Rows = s.timeline(v.Service, v.Environment, rows)
	if len(v.Rows) == rows && rows < loopMaxRows {
		q.Set("rows", strconv.Itoa(min(rows*2, loopMaxRows)))
		v.More = "?" + q.Encode()
	}
	v.Placebos = s.placebos(v.Rows)
	v.Services, v.Environments = s.places()
	v.First = v.Summary.Deployments == 0
	v.Checklist = s.checklist(v.Summary)
	v.Addresses = s.addresses()
	s.render(w, r, http.StatusOK, "loop", page{Title: "The loop", Nav: "loop", View: v})
}

// placebos are the ledgers of the detectors; where none told of its own lately,
// the one in the verdicts shown that counted most windows.
func (s *site) placebos(rows []row) (out []event.PlaceboCount) {
	for _, d := range s.detections() {
		out = append(out, d.Placebos)
	}
	if len(out) > 0 {
		return out
	}
	for i := range rows {
		if v := rows[i].Verdict; v != nil && v.Calibration.All.Windows > 0 && (out == nil || v.Calibration.All.Windows > out[0].Windows) {
			out = []event.PlaceboCount{v.Calibration.All}
		}
	}
	return out
}

// places lists what the filters offer.
func (s *site) places() (services, environments []string) {
	service, environment := map[string]struct{}{}, map[string]struct{}{}
	for _, d := range s.everyDeployment() {
		service[d.Service] = struct{}{}
		environment[d.Environment] = struct{}{}
	}
	return slices.Sorted(maps.Keys(service)), slices.Sorted(maps.Keys(environment))
}

// timeline gives the newest rows: each deployment, and each commit that is
// not deployed yet.
func (s *site) timeline(service, environment string, limit int) []row {
	var rows []row
	runs := s.recentRuns()
	unsaid := map[string]*event.Notice{}
	for _, n := range s.notices() {
		unsaid[n.Deployment] = &n
	}
	var deployed []string
	for _, d := range s.reader.Deployments(ledger.Query{Service: service, Environment: environment, Limit: limit, Baselines: true}) {
		rw := s.deploymentRow(d, runs)
		rw.Notice = unsaid[d.ID]
		rows = append(rows, rw)
		deployed = append(deployed, d.Revision)
	}
	if service == "" && environment == "" { // a commit alone belongs to no service
		for _, c := range waiting(slices.Clone(s.recentChanges()), deployed) {
			if len(rows) < 2*limit {
				rows = append(rows, row{At: c.At, Change: &c, State: stateNone, Revision: c.Revision, Words: "Not deployed yet",
					Steps: steps(c.Revision, &c, nil, nil, runs.of(c.Revision))})
			}
		}
	}
	slices.SortStableFunc(rows, func(a, b row) int { return b.At.Compare(a.At) })
	rows = rows[:min(limit, len(rows))]
	s.markTests(rows)
	return rows
}

// waiting leaves the changes that are in no deployment: neither deployed
// themselves nor before one that was. It looks only as far as changes reach.
func waiting(changes []event.Change, deployed []string) []event.Change {
	byRevision := make(map[string]event.Change, len(changes))
	for _, c := range changes {
		byRevision[revisionKey(c.Revision)] = c
	}
	out := map[string]bool{}
	for len(deployed) > 0 {
		last := revisionKey(deployed[len(deployed)-1])
		deployed = deployed[:len(deployed)-1]
		if c, known := byRevision[last]; known && !out[last] {
			out[last] = true
			deployed = append(append(deployed, c.Parents...), c.Previous)
		}
	}
	return slices.DeleteFunc(changes, func(c event.Change) bool { return out[revisionKey(c.Revision)] })
}

func (s *site) deploymentRow(d event.Deployment, runs runsByRevision) row {
	rw := row{At: d.StartedAt, Deployment: &d, Revision: d.Revision, State: stateNone, Words: "No verdict yet"}
	if c, ok := s.change(d); ok {
		rw.Change = &c
	}
	if v, ok := s.reader.Verdict(d.ID); ok {
		rw.Verdict, rw.State, rw.Calibrating, rw.Words = &v, string(v.State), v.Calibrating, inOneLine(v)
	} else if d.Baseline {
		rw.State, rw.Words = stateBaseline, "The first version seen here; later ones are compared with it"
	}
	if a, ok := s.reader.Anomaly(event.AnomalyID(d.ID, event.KindDeployment, "", "")); ok && !a.Open && rw.State == string(event.Regressed) {
		rw.Closure = a.Closure
	}
	if rw.Closure != nil && rw.Closure.Reason == event.ClosedRolledBack {
		d.Status = event.DeploymentRolledBack // whoever told of the rollout need not tell of its end
	}
	rw.Steps = steps(d.Revision, rw.Change, &d, rw.Verdict, runs.of(d.Revision))
	return rw
}

// change finds the commit that a deployment put out.
func (s *site) change(d event.Deployment) (event.Change, bool) {
	if d.Revision == "" {
		return event.Change{}, false
	}
	return s.reader.Change(d.Repository, d.Revision)
}

// steps draws commit → build → test → deploy → verdict as far as it is known.
func steps(revision string, c *event.Change, d *event.Deployment, v *event.Verdict, runs []event.PipelineRun) []step {
	commit := step{Name: "Commit", State: "none", Spoken: "not known"}
	if c != nil {
		commit = step{Name: "Commit", State: "done", Text: event.ShortRevision(c.Revision), URL: safeURL(c.URL)}
	} else if revision != "" {
		commit.Spoken, commit.Text = "known by its id alone:", event.ShortRevision(revision)
	}
	list := []step{commit, runStep("Build", event.StageBuild, runs), runStep("Test", event.StageTest, runs)}
	deploy, verdict := runStep("Deploy", event.StageDeploy, runs), step{Name: "Verdict", State: "none", Spoken: "none yet"}
	if d != nil {
		deploy = deployStep(*d)
		if d.Baseline {
			verdict.State, verdict.Text = stateBaseline, "baseline"
		}
	}
	if v != nil {
		verdict = step{Name: "Verdict", State: string(v.State), Spoken: stateLabel(string(v.State))}
		if took := decidedAt(*v).Sub(v.Deployment.StartedAt); took > 0 && !decidedAt(*v).IsZero() {
			verdict.Text = "in " + wording.Elapsed(took)
		}
	}
	return append(list, deploy, verdict)
}

// runStep sums up the runs of one stage: whatever failed, else runs, else passed.
func runStep(name string, stage event.Stage, runs []event.PipelineRun) step {
	out := step{Name: name, State: "none", Spoken: "not told"}
	rank := map[string]int{"none": 0, "skipped": 1, "done": 2, "running": 3, "failed": 4}
	seen := map[string]bool{}
	for _, run := range runs { // newest first: of each task only its last run counts
		key := run.Pipeline + "\x00" + run.Task
		if run.Stage != stage || seen[key] {
			continue
		}
		seen[key] = true
		st := runState(run)
		if rank[st] <= rank[out.State] {
			continue
		}
		out.State, out.URL, out.Text = st, safeURL(run.URL), ""
		out.Spoken = map[string]string{"done": "passed", "failed": cmp.Or(run.Result, "failed"), "running": "running", "skipped": "skipped"}[st]
		if !run.FinishedAt.IsZero() && !run.StartedAt.IsZero() {
			out.Text = "in " + wording.Elapsed(run.FinishedAt.Sub(run.StartedAt))
		}
	}
	return out
}

func runState(run event.PipelineRun) string {
	switch run.Result {
	case "success":
		return "done"
	case "skip", "cancellation":
		return "skipped"
	case "":
		return "running"
	}
	return "failed"
}

func deployStep(d event.Deployment) step {
	out := step{Name: "Deploy", State: "done", Text: "seen", URL: safeURL(d.URL)}
	switch d.Status {
	case event.DeploymentStarted:
		out.State, out.Text = "running", "ongoing"
	case event.DeploymentSucceeded:
		out.Text = "done"
		if !d.FinishedAt.IsZero() && d.FinishedAt.After(d.StartedAt) {
			out.Spoken, out.Text = "done", "in "+wording.Elapsed(d.FinishedAt.Sub(d.StartedAt))
		}
	case event.DeploymentFailed:
		out.State, out.Text = "failed", "failed"
	case event.DeploymentRolledBack:
		out.State, out.Text = "undone", "undone"
	}
	if d.RollbackOf != "" {
		out.Text = "rollback"
	}
	return out
}
