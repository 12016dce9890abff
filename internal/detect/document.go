package detect

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"math"
	"sort"
	"time"

	"github.com/deployloop/deployloop/internal/event"
)

// DocumentSchema names the form of a Document; docs/evidence.schema.json
// describes it.
const DocumentSchema = "deployloop/evidence/2"

// Document is all that a verdict stands on: settings, windows, counts,
// statistics and thresholds. Recompute derives the verdict anew from its
// counts. docs/evidence.md tells how to read it.
type Document struct {
	Schema       string          `json:"schema"`
	At           time.Time       `json:"at"` // event time up to which it speaks
	Deployment   Subject         `json:"deployment"`
	Verdict      Conclusion      `json:"verdict"`
	Settings     Settings        `json:"settings"`
	SettingsHash string          `json:"settings_sha256"` // of the settings as compact JSON
	Window       Window          `json:"window"`
	Control      ControlRecord   `json:"control"`
	Indicators   []IndicatorPart `json:"indicators"` // strongest first
	Rest         Rest            `json:"rest"`
	Growth       []Point         `json:"growth"` // of the deployment's evidence
	Losses       []event.Loss    `json:"losses,omitempty"`
}

// Subject is the deployment judged.
type Subject struct {
	ID               string    `json:"id"`
	Service          string    `json:"service"`
	Environment      string    `json:"environment"`
	Version          string    `json:"version,omitempty"`
	PreviousVersion  string    `json:"previous_version,omitempty"`
	Revision         string    `json:"revision,omitempty"`
	PreviousRevision string    `json:"previous_revision,omitempty"`
	StartedAt        time.Time `json:"started_at,omitzero"`
}

// Conclusion is the verdict as it was drawn.
type Conclusion struct {
	State       event.VerdictState `json:"state"`
	Reason      event.Reason       `json:"reason"`
	Detail      string             `json:"detail"`
	Calibrating bool               `json:"calibrating"`
	Calibration event.Calibration  `json:"calibration"`
	Nats        float64            `json:"nats"`                      // ln E of the deployment
	Threshold   float64            `json:"threshold"`                 // nats for regressed
	Basis       *Basis             `json:"threshold_basis,omitempty"` // what a calibrated one was found from
	RegressedAt time.Time          `json:"regressed_at,omitzero"`
	HealthyAt   time.Time          `json:"healthy_at,omitzero"`
	Onset       *event.Onset       `json:"onset,omitempty"`
}

// Settings are the engine's, for this service.
type Settings struct {
	FalseAlarms    float64        `json:"false_alarms_per_1000_deploys"`
	Watches        []float64      `json:"watches_seconds"`
	MinErrorRatio  float64        `json:"min_error_ratio"`
	MinRateRatio   float64        `json:"min_rate_ratio"`
	Signals        []event.Signal `json:"signals"` // empty: all
	Warmup         float64        `json:"warmup_seconds"`
	Lateness       float64        `json:"allowed_lateness_seconds"`
	MaxDelay       float64        `json:"max_delay_seconds"`
	HealthyAlpha   float64        `json:"healthy_alpha"`
	ErrorTolerance float64        `json:"error_tolerance_ratio"`
	ErrorRise      float64        `json:"error_tolerance_rise"`
	LatencyFactor  float64        `json:"latency_tolerance_factor"` // of the 95th percentile
	Ratios         []float64      `json:"ratio_grid"`
	FirstEverRatio float64        `json:"first_ever_ratio"`
}

// Window is when what was counted.
type Window struct {
	Opened    time.Time `json:"opened"`                   // the watch; steps count seconds from here
	Started   time.Time `json:"started"`                  // the deployment
	Ready     time.Time `json:"ready,omitzero"`           // first telemetry of the new version
	DecidedAt time.Time `json:"decided,omitzero"`         // the verdict
	Till      time.Time `json:"till"`                     // end of the longest watch
	Stride    int64     `json:"stride_seconds,omitempty"` // between reports of metrics, where they tell of requests
	Warmup    float64   `json:"warmup_seconds"`           // in which latency and throughput of an instance that started did not count
	Before    float64   `json:"history_seconds"`          // of the control's past
	Course    []Bin     `json:"history,omitempty"`        // its last ten minutes, oldest first
	BinLength float64   `json:"history_bin_seconds"`      // seconds of a bin
}

// Bin is one bin of the control's past.
type Bin struct {
	Requests float64 `json:"requests"`
	Failed   float64 `json:"failed"`
}

// ControlRecord is what the new version was compared with.
type ControlRecord struct {
	Kind            event.ControlKind `json:"kind"`
	Why             string            `json:"why"`
	NewInstances    float64           `json:"new_instances"`
	OldInstances    float64           `json:"old_instances"`
	HistoryRequests float64           `json:"history_requests"`
	HistorySources  int               `json:"history_instances"`
	Unseen          *Unseen           `json:"unseen,omitempty"` // kinds of errors; absent: none came
}

// IndicatorPart is one indicator with what it consumed.
type IndicatorPart struct {
	Shown    event.Evidence `json:"shown"` // as a person reads it
	Class    string         `json:"class"`
	Share    float64        `json:"share"` // of the deployment's evidence
	Nats     float64        `json:"nats"`  // ln E
	Cleared  bool           `json:"cleared"`
	Critical bool           `json:"critical"`
	Pattern  bool           `json:"pattern,omitempty"` // of a kind of inner work, an exception or a log template
	Levels   []LevelPart    `json:"levels"`
}

// LevelPart is the evidence on one definition of the event.
type LevelPart struct {
	Event     string         `json:"event"`   // "failed requests", "requests > 250ms", …
	Harm      string         `json:"harm"`    // higher | lower: which way the rate gets worse
	Base      event.Count    `json:"history"` // of the control's past
	Bounds    [2]float64     `json:"bounds"`  // of the past rate, lower and upper; 0: none
	Tested    Tested         `json:"tested"`  // sums of the steps
	Window    Tested         `json:"window"`  // since the estimated onset
	Seconds   float64        `json:"window_seconds"`
	Noisy     float64        `json:"window_noise_seconds,omitempty"` // over which prior noise averaged out, where they are fewer
	Heaviest  float64        `json:"window_heaviest"`                // weight of an item in that window
	Dispersed Dispersion     `json:"dispersion"`                     // what phi and the bounds follow from
	Course    *PastCourse    `json:"history_curve,omitempty"`        // what the spread of the past follows from
	Fellows   *Fellows       `json:"instances,omitempty"`            // of latency: what the spread between instances follows from
	Phi       float64        `json:"phi"`                            // over-dispersion of the counts in that window
	Nats      float64        `json:"nats"`                           // ln E, tempered by phi
	Recorded  bool           `json:"recorded"`                       // the steps are all that was tested
	FirstLate bool           `json:"lump"`                           // the first step stands for all before the record began
	Steps     []Step         `json:"steps"`                          // oldest first
	Tolerance *TolerancePart `json:"tolerance"`                      // where healthy asks
}

// TolerancePart is the test of "worse than tolerated".
type TolerancePart struct {
	Phi    float64 `json:"phi"`
	Nats   float64 `json:"nats"`
	Needed float64 `json:"needed"`
	Ratio  []Step  `json:"ratio"`
	Rise   []Step  `json:"rise"`
}

// Tested are paired counts: events x and exposure w of the new cohort and of
// the control, and what was tested against a bound: exposure and the events
// that the bound allows.
type Tested struct {
	NewEvents     float64 `json:"x_new"`
	NewExposure   float64 `json:"w_new"`
	OldEvents     float64 `json:"x_old"`
	OldExposure   float64 `json:"w_old"`
	BoundExposure float64 `json:"w_bound"`
	BoundMean     float64 `json:"mean"`
}

// Step is one test, or as many as Ticks says, taken together.
type Step struct {
	At          int32   `json:"t"` // seconds since the watch was opened; of a tolerance, the test's number
	Ticks       int32   `json:"n"`
	Margin      float64 `json:"m,omitempty"`
	NewEvents   float64 `json:"x_new,omitempty"` // paired
	NewExposure float64 `json:"w_new,omitempty"`
	OldEvents   float64 `json:"x_old,omitempty"`
	OldExposure float64 `json:"w_old,omitempty"`
	Events      float64 `json:"x,omitempty"` // against a bound
	Exposure    float64 `json:"w,omitempty"`
	Mean        float64 `json:"mean,omitempty"` // the events that the bound allows, margin included
}

// Point is the deployment's evidence at a time.
type Point struct {
	At   int32   `json:"t"`
	Nats float64 `json:"nats"`
}

// Rest are the indicators that are not listed.
type Rest struct {
	Indicators int     `json:"indicators"`
	Share      float64 `json:"share"`
	Evidence   float64 `json:"evidence"` // Σ share·E
	Strongest  float64 `json:"strongest_nats"`
	Unrecorded int     `json:"unrecorded_levels"` // for want of room
}

// maxParts bounds the indicators of a document.
const maxParts = 24

// Document gives what the verdict of a deployment stands on: as of the
// decision, or as of now while there is none. It is not to be changed. A
// decision of before a restart has none.
func (e *Engine) Document(deploymentID string) (*Document, bool) {
	e.work.Lock()
	defer e.work.Unlock()
	w := e.watches[deploymentID]
	if w == nil {
		return nil, false
	}
	if w.decided() || w.ended {
		return w.rec.doc, w.rec.doc != nil
	}
	return w.document(e.open.Load() - 1), true
}

// document tells what was recorded up to the end of a second.
func (w *watch) document(sec int64) *Document {
	at := w.engine.clock.timeOf(sec + 1)
	v := w.verdict(at)
	d := &Document{Schema: DocumentSchema, At: at,
		Deployment: Subject{w.d.ID, w.d.Service, w.d.Environment, w.d.Version, w.d.PreviousVersion, w.d.Revision, w.d.PreviousRevision, w.d.StartedAt},
		Verdict: Conclusion{State: v.State, Reason: v.Reason, Detail: v.Detail, Calibrating: v.Calibrating, Calibration: v.Calibration, Nats: real(w.nats), Threshold: w.threshold,
			RegressedAt: v.RegressedAt, HealthyAt: v.HealthyAt, Onset: v.Onset},
		Settings: w.settings(),
		Window: Window{Opened: w.engine.clock.timeOf(w.opened), Started: w.engine.clock.timeOf(w.started), Ready: w.engine.clock.timeOf(w.ready), Till: v.WatchedTill,
			Warmup: float64(w.warmup), Stride: w.service.stride, Before: w.base.Seconds, BinLength: binSeconds},
		Control: ControlRecord{Kind: v.Control, Why: v.ControlDetail, NewInstances: w.instances(cohortNew, w.newSources), OldInstances: w.instances(cohortOld, w.oldSources),
			HistoryRequests: w.base.Requests, HistorySources: w.base.Sources, Unseen: w.unseen()},
		Losses: v.Losses, Growth: append([]Point{}, w.rec.growth...), Indicators: []IndicatorPart{},
	}
	if w.decided() || w.ended {
		d.Window.DecidedAt = w.engine.clock.wall(w.engine.clock.now)
	}
	if w.basis.Windows > 0 {
		b := w.basis
		d.Verdict.Basis = &b
	}
	d.SettingsHash = d.Settings.hash()
	w.base.Recent.course(func(n, failed float64) { d.Window.Course = append(d.Window.Course, Bin{n, failed}) })
	w.parts(d, sec)
	return d
}

// instances is how many of a cohort were seen: at least those with requests.
func (w *watch) instances(c cohort, withRequests float64) float64 {
	n := 0.
	for s, of := range w.members {
		if of == c && s.origin.Caller == "" {
			n++
		}
	}
	return math.Max(n, withRequests)
}

// parts lists the critical indicators, what harms, and sums up the rest.
func (w *watch) parts(d *Document, sec int64) {
	critical := map[*indicator]bool{}
	for _, i := range w.criticals() {
		critical[i] = true
	}
	var listed []*indicator
	for _, i := range w.indicators {
		if len(i.levels) > 0 && (critical[i] || i == w.leader || i.nats > 0) {
			listed = append(listed, i)
		}
	}
	weight := func(i *indicator) float64 {
		switch {
		case i == w.leader:
			return math.Inf(1)
		case critical[i]:
			return maxLog + i.nats
		case i.onlyShown():
			return i.nats - maxLog
		}
		return i.nats + math.Log(float64(i.share))
	}
	sort.SliceStable(listed, func(a, b int) bool { return weight(listed[a]) > weight(listed[b]) })
	listed = listed[:min(len(listed), maxParts)]
	in := map[*indicator]bool{}
	bar := w.listBar()
	for _, i := range listed {
		in[i] = true
		d.Indicators = append(d.Indicators, w.part(i, sec, critical[i], bar))
	}
	d.Rest.Unrecorded, d.Rest.Share = w.rec.refused, w.forgone
	for _, i := range w.indicators {
		if in[i] || len(i.levels) == 0 || i.cleared || i.onlyShown() {
			continue
		}
		d.Rest.Indicators++
		d.Rest.Share += float64(i.share)
		d.Rest.Evidence += float64(i.share) * math.Exp(math.Min(i.nats, maxLog))
		d.Rest.Strongest = math.Max(d.Rest.Strongest, i.nats)
	}
}

var classNames = [classes]string{"golden", "novelty", "tail", "callers"}

func (w *watch) part(i *indicator, sec int64, critical bool, bar float64) IndicatorPart {
	shown, ok := w.show(i, !i.cleared && !i.onlyShown() && (i.nats >= bar || w.state == event.Regressed && i == w.leader))
	if !ok {
		shown = event.Evidence{Signal: i.signal(), Unit: "1", Nats: i.nats}
		if i.op >= 0 {
			shown.Operation = w.operationAt(i.op).name
		}
	}
	shown.Critical, shown.Within = critical, critical && i.isWithin(w)
	for _, x := range []*float64{&shown.Before, &shown.After, &shown.Ratio, &shown.Interval[0], &shown.Interval[1], &shown.Nats, &shown.Threshold} {
		*x = real(*x)
	}
	p := IndicatorPart{Shown: shown, Class: classNames[i.class], Share: float64(i.share), Nats: real(i.nats), Cleared: i.cleared, Critical: critical, Pattern: i.pattern >= 0}
	for k := range i.levels {
		p.Levels = append(p.Levels, w.levelPart(i, k, sec, critical))
	}
	return p
}

func (w *watch) levelPart(i *indicator, k int, sec int64, critical bool) LevelPart {
	l := &i.levels[k]
	p := LevelPart{Event: i.eventText(w, k), Harm: "higher", Base: l.base, Dispersed: i.dispersion(w, l, true),
		Bounds: [2]float64{real(float64(l.lower)), real(float64(l.upper))}, Phi: 1, Steps: []Step{}}
	if math.IsInf(float64(l.upper), 1) {
		p.Bounds[1] = 0
	}
	p.Dispersed.Seconds = w.base.Seconds
	p.Course = w.pastCourse(i, k)
	if f := w.fellows[i]; i.test != nil && f != nil && f.test == i.test {
		p.Fellows = &f.levels[k]
	}
	switch {
	case i.opt().gauge != nil:
		p.Course, p.Dispersed.Clusters = nil, i.opt().gauge.clusters()
		_, _, p.Dispersed.Instances = i.opt().gauge.gauge.base(i.opt().gauge.bounds[k])
	case i.signal() == event.SignalThroughput && i.op < 0 && i.pattern < 0:
		p.Dispersed.Seconds = l.base.Exposure
	}
	if l.side == lower {
		p.Harm = "lower"
	}
	if l.harm.ticks > 0 {
		p.Nats, p.Phi = i.levelNats(w, l, sec)
		win, long := l.harm.window(), i.since(w, &l.harm, l.harm.leading(), sec)
		p.Tested, p.Window, p.Heaviest, p.Seconds = tested(l.tested()), tested(win), win.heavy, long.clock
		if long.noise < long.clock {
			p.Noisy = long.noise
		}
	}
	switch {
	case l.opt().rec != nil:
		p.FirstLate, p.Steps = l.opt().rec.late, l.opt().rec.harm.told()
	case l.harm.ticks > 0 && !l.unrecorded: // nothing spoke for harm before this second
		p.FirstLate, p.Steps = true, series{w.lump(i, l)}.told()
	}
	p.Recorded = !l.unrecorded
	if critical && l.opt().tol != nil && (w.healthyAt == 0 || w.state == event.Healthy) { // later ones decide nothing
		nats, phi := i.tolerated(w, l)
		t := &TolerancePart{Phi: phi, Nats: real(nats), Needed: -math.Log(healthyAlpha), Ratio: []Step{}, Rise: []Step{}}
		if l.opt().rec != nil {
			t.Ratio, t.Rise = l.opt().rec.ratio.told(), l.opt().rec.rise.told()
		}
		p.Tolerance = t
	}
	return p
}

func tested(c counts) Tested {
	return Tested{c.xc, c.wc, c.xs, c.ws, c.wh, c.eh}
}

// told is a series as the document holds it.
func (s series) told() []Step {
	out := make([]Step, len(s))
	for i, x := range s {
		out[i] = Step{At: x.at, Ticks: x.ticks, Margin: float64(x.margin), NewEvents: float64(x.xc), NewExposure: float64(x.wc),
			OldEvents: float64(x.xs), OldExposure: float64(x.ws), Events: float64(x.xh), Exposure: float64(x.wh), Mean: float64(x.mean)}
	}
	return out
}

// eventText says what is counted at a level.
func (i *indicator) eventText(w *watch, k int) string {
	l := &i.levels[k]
	switch {
	case i.opt().gauge != nil:
		text := i.opt().gauge.text(k)
		if l.complement {
			return "not " + text
		}
		return text
	case i.signal() == event.SignalLatency && l.complement:
		return "requests not " + w.operationAt(i.op).boundText(i.test.bounds[k])
	case i.signal() == event.SignalLatency:
		return "requests " + w.operationAt(i.op).boundText(i.test.bounds[k])
	case i.signal() == event.SignalErrors:
		return "failed requests"
	case i.signal() == event.SignalThroughput && i.op < 0 && i.pattern < 0:
		return "successful requests a second"
	case i.signal() == event.SignalThroughput:
		return "its requests among all"
	default:
		return "occurrences"
	}
}

func (w *watch) settings() Settings {
	c := &w.engine.cfg
	s := Settings{FalseAlarms: 1000 * w.alpha, MinErrorRatio: w.minError, MinRateRatio: w.minRatio, Signals: append([]event.Signal{}, w.signals...),
		Warmup: c.Warmup.Seconds(), Lateness: c.AllowedLateness.Seconds(), MaxDelay: c.MaxDelay.Seconds(),
		HealthyAlpha: healthyAlpha, ErrorTolerance: errorTolerance, ErrorRise: errorRise, LatencyFactor: latencyTolerance,
		Ratios: ratios[:], FirstEverRatio: novelRatio}
	for _, d := range w.watches {
		s.Watches = append(s.Watches, d.Seconds())
	}
	return s
}

func (s Settings) hash() string {
	text, err := json.Marshal(s)
	if err != nil { // a NaN, which New excludes
		return ""
	}
	sum := sha256.Sum256(text)
	return hex.EncodeToString(sum[:])
}

// real is x as JSON knows it.
func real(x float64) float64 {
	switch {
	case math.IsNaN(x):
		return 0
	case x > math.MaxFloat64:
		return math.MaxFloat64
	case x < -math.MaxFloat64:
		return -math.MaxFloat64
	}
	return x
}
