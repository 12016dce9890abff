package backtest

import (
	"math"
	"strings"
	"time"

	"github.com/deployloop/deployloop/internal/event"
)

// Line is what is told: a verdict, or an anomaly that opened or ended.
type Line struct {
	Type        string     `json:"type"` // verdict | anomaly
	At          time.Time  `json:"at"`   // event time
	Deployment  Identity   `json:"deployment"`
	Anomaly     *Anomaly   `json:"anomaly,omitempty"`
	Verdict     string     `json:"verdict"`
	Reason      string     `json:"reason"`
	Detail      string     `json:"detail,omitempty"`
	Final       bool       `json:"final,omitempty"` // the deployment's last line
	Calibrating bool       `json:"calibrating"`
	Nats        float64    `json:"nats"`
	Threshold   float64    `json:"threshold"`
	Onset       *time.Time `json:"onset"`
	// OnsetInterval is the onset's confidence set, first and last.
	OnsetInterval    *[2]time.Time        `json:"onset_interval,omitempty"`
	Control          string               `json:"control"`
	ControlDetail    string               `json:"control_detail,omitempty"`
	RegressedAt      time.Time            `json:"regressed_at,omitzero"`
	HealthyAt        time.Time            `json:"healthy_at,omitzero"`
	Checkpoint       float64              `json:"checkpoint_seconds,omitempty"` // the last watch that ended
	ETASeconds       float64              `json:"eta_seconds,omitempty"`
	MinimumEffect    float64              `json:"minimum_detectable_effect,omitempty"`
	MinimumEffectAbs float64              `json:"minimum_detectable_increase,omitempty"`
	Evidence         []Evidence           `json:"evidence"`
	Suspects         []Suspect            `json:"suspects"`
	Impact           event.Impact         `json:"impact,omitzero"`
	Related          []event.RelatedError `json:"related,omitempty"`
	Losses           []event.Loss         `json:"losses,omitempty"`
}

// Identity names a deployment. ID is the one that the file of deployments
// gave, if it did; Ledger is then the ledger's own.
type Identity struct {
	ID          string    `json:"id"`
	Ledger      string    `json:"ledger_id,omitempty"`
	Service     string    `json:"service"`
	Environment string    `json:"environment"`
	Revision    string    `json:"revision"`
	Version     string    `json:"version,omitempty"`
	StartedAt   time.Time `json:"started_at,omitzero"`
}

// Anomaly is what a line of type anomaly says beside its deployment's verdict.
type Anomaly struct {
	ID        string         `json:"id"`
	Kind      string         `json:"kind"`
	Signal    string         `json:"indicator,omitempty"`
	Operation string         `json:"operation,omitempty"`
	Severity  string         `json:"severity"`
	StartsAt  time.Time      `json:"starts_at"`
	Open      bool           `json:"open"`
	Closure   *event.Closure `json:"closure,omitempty"`
	Evidence  *Evidence      `json:"evidence,omitempty"`
}

// Evidence is one indicator. Operation is always there, "" of a whole service.
type Evidence struct {
	Signal    event.Signal `json:"indicator"`
	Operation string       `json:"operation"`
	event.Evidence
}

// Suspect is one commit of the deployment's range.
type Suspect struct {
	Revision    string   `json:"revision"`
	Subject     string   `json:"subject,omitempty"`
	Author      string   `json:"author,omitempty"`
	Probability float64  `json:"probability"`
	Reasons     []string `json:"reasons,omitempty"`
}

// verdictLine is a verdict as a line. ids gives the ids of the file of
// deployments by the ledger's.
func verdictLine(v event.Verdict, ids map[string]string) Line {
	d := v.Deployment
	l := Line{
		Type: "verdict", At: v.At.UTC(), Verdict: string(v.State), Reason: string(v.Reason), Detail: v.Detail, Calibrating: v.Calibrating,
		Deployment: Identity{ID: d.ID, Service: d.Service, Environment: d.Environment, Revision: d.Revision, Version: d.Version, StartedAt: d.StartedAt.UTC()},
		Nats:       finite(v.Nats), Threshold: finite(v.Threshold), Control: string(v.Control), ControlDetail: v.ControlDetail,
		RegressedAt: v.RegressedAt, HealthyAt: v.HealthyAt, Checkpoint: v.Checkpoint.Seconds(), ETASeconds: v.ETA.Seconds(),
		MinimumEffect: finite(v.MinimumEffect), MinimumEffectAbs: finite(v.MinimumEffectAbs),
		Evidence: []Evidence{}, Suspects: []Suspect{}, Impact: v.Impact, Related: v.Related, Losses: v.Losses,
	}
	if id := ids[d.ID]; id != "" {
		l.Deployment.ID, l.Deployment.Ledger = id, d.ID
	}
	if v.Onset != nil {
		l.Onset, l.OnsetInterval = &v.Onset.At, &[2]time.Time{v.Onset.Earliest, v.Onset.Latest}
	}
	for _, e := range v.Evidence {
		l.Evidence = append(l.Evidence, tidy(e))
	}
	if v.Suspicion != nil {
		for _, s := range v.Suspicion.Suspects {
			l.Suspects = append(l.Suspects, Suspect{Revision: s.Change.Revision, Subject: subject(s.Change.Message), Author: s.Change.Author, Probability: s.Probability, Reasons: s.Reasons})
		}
	}
	return l
}

func anomalyLine(a event.Anomaly, ids map[string]string) Line {
	var v event.Verdict
	if a.Verdict != nil {
		v = *a.Verdict
	} else {
		v.Deployment = event.Deployment{ID: a.Deployment, Service: a.Service, Environment: a.Environment, Revision: a.Commit}
	}
	l := verdictLine(v, ids)
	if a.Deployment == "" { // of none: which service it is stands here all the same
		l.Deployment = Identity{Service: a.Service, Environment: a.Environment, Revision: a.Commit}
	}
	l.Type, l.At = "anomaly", a.At.UTC()
	l.Anomaly = &Anomaly{ID: a.ID, Kind: string(a.Kind), Signal: string(a.Signal), Operation: a.Operation, Severity: string(a.Severity),
		StartsAt: a.StartsAt.UTC(), Open: a.Open, Closure: a.Closure}
	if a.Evidence != nil {
		e := tidy(*a.Evidence)
		l.Anomaly.Evidence = &e
	}
	return l
}

// tidy makes all numbers such as JSON knows.
func tidy(e event.Evidence) Evidence {
	for _, x := range []*float64{&e.Before, &e.After, &e.Ratio, &e.Interval[0], &e.Interval[1], &e.Nats, &e.Threshold} {
		*x = finite(*x)
	}
	return Evidence{Signal: e.Signal, Operation: e.Operation, Evidence: e}
}

func finite(x float64) float64 {
	switch {
	case math.IsNaN(x):
		return 0
	case math.IsInf(x, 1):
		return math.MaxFloat64
	case math.IsInf(x, -1):
		return -math.MaxFloat64
	}
	return x
}

// subject is the first line of a commit's message.
func subject(message string) string {
	line, _, _ := strings.Cut(message, "\n")
	return line
}
