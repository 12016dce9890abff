package consoleextension

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/deployloop/deployloop/internal/event"
	"github.com/deployloop/deployloop/internal/ledger"
	"github.com/deployloop/deployloop/internal/wording"
)

// coverage is what the loop knows of one service in one environment, and what
// it lacks. It goes by the newest deployment (or baseline) there, and by the
// telemetry since the start.
type coverage struct {
	Service     string    `json:"service"`
	Environment string    `json:"environment"`
	Version     bool      `json:"version"`           // telemetry names one; before any was seen, a deploy source
	Apart       bool      `json:"told_apart"`        // likewise, a version or a revision: either tells old and new instances apart
	Commit      bool      `json:"revision"`          // telemetry or a deploy source names one
	Change      bool      `json:"commit_known"`      // and its commit was told
	Named       bool      `json:"environment_named"` // not the default
	Telemetry   bool      `json:"telemetry"`         // any signal was seen since the start
	Traces      bool      `json:"traces"`
	Metrics     bool      `json:"metrics"`
	Logs        bool      `json:"logs"`
	LagSeconds  float64   `json:"lag_seconds"`   // least time from what telemetry says of itself to its arrival; 0: not known
	Source      bool      `json:"deploy_source"` // something other than telemetry told a deployment
	Sources     []string  `json:"sources"`
	Mode        string    `json:"mode"` // shadow, advise or gate; "" without an anomaly connector
	LastVerdict string    `json:"last_verdict,omitempty"`
	At          time.Time `json:"last_deployment_at,omitzero"`
	Fixes       []string  `json:"fixes"`
	// How the search for what gets worse without a deployment stands, and what it
	// does not tell.
	AlwaysOn event.SearchState `json:"always_on,omitempty"` // "": no detector told
	Learning float64           `json:"always_on_learning_seconds,omitempty"`
	Unsought string            `json:"always_on_detail,omitempty"`

	Latest event.Deployment `json:"-"`
	lag    time.Duration
}

// Complete tells whether nothing is missing.
func (c coverage) Complete() bool { return len(c.Fixes) == 0 }

// Note is what the search does not tell, where nothing can be set against it.
func (c coverage) Note() string {
	if c.AlwaysOn == event.SearchLeftOut {
		return "" // among the fixes
	}
	return c.Unsought
}

// coverageView is the page of coverage.
type coverageView struct {
	Rows      []coverage
	Services  int // of the rows: one may be in several environments
	Complete  int
	Searches  string               // how many services are looked at without a deployment
	Placebos  []event.PlaceboCount // of each detector
	Checklist []check
	Addresses []address
}

func (s *site) coveragePage(w http.ResponseWriter, r *http.Request) {
	view := coverageView{Rows: s.coverage(), Checklist: s.checklist(s.summarize()), Addresses: s.addresses()}
	services := map[string]struct{}{}
	for _, c := range view.Rows {
		services[c.Service] = struct{}{}
		if c.Complete() {
			view.Complete++
		}
	}
	view.Services = len(services)
	var searches []event.Search
	for _, d := range s.detections() {
		searches = append(searches, d.Searches...)
	}
	view.Searches, view.Placebos = wording.Searches(searches), s.placebos(nil)
	s.render(w, r, http.StatusOK, "coverage", page{Title: "Coverage", Nav: "coverage", View: view})
}

// coverage lists every service and environment, those that lack most first.
func (s *site) coverage() []coverage {
	type place struct{ service, environment string }
	index := map[place]int{}
	var list []coverage
	for _, d := range s.everyDeployment() {
		key := place{d.Service, d.Environment}
		i, ok := index[key]
		if !ok { // newest first: the first one met is the latest
			i = len(list)
			index[key] = i
			list = append(list, coverage{Service: d.Service, Environment: d.Environment, Latest: d, At: d.StartedAt,
				Version: d.Version != "", Apart: d.Version != "" || d.Revision != "", Commit: d.Revision != "", Named: d.Environment != "" && d.Environment != event.DefaultEnvironment})
			if o := s.hub.recall.outcome(s.reader, d.ID); o.Known {
				list[i].LastVerdict = string(o.State)
			} else if d.Baseline {
				list[i].LastVerdict = stateBaseline
			}
			_, list[i].Change = s.change(d)
		}
		for _, src := range d.Sources {
			list[i].Source = list[i].Source || src.Name != sourceTelemetry
			if !slices.Contains(list[i].Sources, src.Name) && len(list[i].Sources) < 8 {
				list[i].Sources = append(list[i].Sources, src.Name)
			}
		}
	}
	for _, seen := range s.reader.Coverage() {
		key := place{seen.Service, seen.Environment}
		i, ok := index[key]
		if !ok { // telemetry without a version makes no deployment
			i = len(list)
			index[key] = i
			list = append(list, coverage{Service: seen.Service, Environment: seen.Environment, Named: seen.Environment != event.DefaultEnvironment})
		}
		c := &list[i]
		c.Telemetry = true
		c.Traces, c.Metrics, c.Logs = !seen.Seen[ledger.Traces].IsZero(), !seen.Seen[ledger.Metrics].IsZero(), !seen.Seen[ledger.Logs].IsZero()
		// What telemetry lacks is not made up for by what a webhook told: the two
		// could not be tied together.
		c.Version = !seen.Version.IsZero()
		c.Apart = c.Version || !seen.Revision.IsZero()
		c.Commit = c.Commit || !seen.Revision.IsZero()
		if seen.LagKnown {
			c.lag = seen.Lag.Round(time.Millisecond)
			c.LagSeconds = c.lag.Seconds()
		}
	}
	for _, d := range s.detections() {
		for _, x := range d.Searches {
			i, ok := index[place{x.Service, x.Environment}]
			if !ok || list[i].AlwaysOn == event.SearchOn { // another detector does
				continue
			}
			list[i].AlwaysOn, list[i].Learning, list[i].Unsought = x.State, x.Left.Seconds(), wording.Search(x)
		}
	}
	setup := s.setup.Load()
	for i := range list {
		if setup != nil && setup.Watching {
			list[i].Mode = string(setup.modeOf(list[i].Service))
		}
		list[i].Sources = orEmpty(list[i].Sources)
		list[i].Fixes = orEmpty(fixes(list[i]))
	}
	slices.SortStableFunc(list, func(a, b coverage) int {
		if d := len(b.Fixes) - len(a.Fixes); d != 0 {
			return d
		}
		return strings.Compare(a.Service+"\x00"+a.Environment, b.Service+"\x00"+b.Environment)
	})
	return list
}

// detections are how the detectors stand that told of it lately.
func (s *site) detections() []ledger.Detection {
	return slices.DeleteFunc(s.reader.Detections(), func(d ledger.Detection) bool { return s.now().Sub(d.At) > detectionAge })
}

// detectionAge is how old what a detector told may be: it tells every 15 s.
const detectionAge = 2 * time.Minute

// A sender's clock is off when its telemetry is from the future by more than the
// first, or later than the second even at its quickest.
const (
	clockAhead  = 2 * time.Second
	clockBehind = time.Minute
)

// GET /api/v1/coverage
func (s *site) apiCoverage(w http.ResponseWriter, r *http.Request) {
	if _, _, ok := s.parameters(w, r); !ok {
		return
	}
	s.writeJSON(w, r, http.StatusOK, struct {
		Now      time.Time  `json:"now"`
		Services []coverage `json:"services"`
	}{s.now().UTC(), orEmpty(s.coverage())})
}

// fixes says, for each thing that is missing, what it costs and what to set.
func fixes(c coverage) (list []string) {
	if !c.Telemetry {
		list = append(list, "No telemetry since the start: point its OTEL_EXPORTER_OTLP_ENDPOINT here, and compare its service.name and deployment.environment.name with what the deploy source calls it.")
	} else if !c.Traces {
		list = append(list, "No traces: without spans there are no error shares or latencies to compare; logs and metrics alone show less, later.")
	}
	switch {
	case c.lag < -clockAhead:
		list = append(list, fmt.Sprintf("Its clock is %s ahead of this one: mend the time there (NTP), or its telemetry is left out as clock_ahead.", -c.lag.Round(time.Second)))
	case c.lag > clockBehind:
		list = append(list, fmt.Sprintf("Its telemetry is %s behind this clock at best: mend the time there (NTP), or the queue before deployloop; what is late is left out.", c.lag.Round(time.Second)))
	}
	if !c.Apart && c.Telemetry {
		list = append(list, "No version: set service.version or vcs.ref.head.revision in OTEL_RESOURCE_ATTRIBUTES, so that old and new instances are told apart.")
	}
	if !c.Commit {
		list = append(list, "No commit: set vcs.ref.head.revision in OTEL_RESOURCE_ATTRIBUTES, or tell it with deployloop mark --revision, so that suspects can be named.")
	}
	if !c.Named {
		list = append(list, "No environment: set deployment.environment.name, so that staging is not compared with production.")
	}
	if c.AlwaysOn == event.SearchLeftOut {
		list = append(list, c.Unsought)
	}
	if !c.Source {
		list = append(list, "No deploy source: add a webhook or deployloop mark to the pipeline, for the moment the rollout starts and its rollback command.")
	}
	if c.Commit && !c.Change && c.Latest.Revision != "" {
		list = append(list, "Commit "+event.ShortRevision(c.Latest.Revision)+" is in no push that was told: suspects are ranked only if a local clone named under `repositories` of the anomaly connector has it. Add a push webhook, or such a clone.")
	}
	return list
}
