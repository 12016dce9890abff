package consoleextension

import (
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/deployloop/deployloop/internal/event"
)

// coverage is what the loop knows of one service in one environment, and what
// it lacks. It goes by the newest deployment (or baseline) there.
type coverage struct {
	Service, Environment string
	Latest               event.Deployment
	Version              bool
	Commit               bool // a revision is told
	Named                bool // the environment is named, not the default
	Source               bool // something other than telemetry told a deployment
	Change               bool // the commit behind the revision is known
	Sources              []string
	LastVerdict          string
	At                   time.Time
	Fixes                []string
}

// Complete tells whether nothing is missing.
func (c coverage) Complete() bool { return len(c.Fixes) == 0 }

// coverageView is the page of coverage.
type coverageView struct {
	Rows      []coverage
	Complete  int
	Checklist []check
	Addresses []address
}

func (s *site) coveragePage(w http.ResponseWriter, r *http.Request) {
	view := coverageView{Rows: s.coverage(), Checklist: s.checklist(s.summarize()), Addresses: s.addresses()}
	for _, c := range view.Rows {
		if c.Complete() {
			view.Complete++
		}
	}
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
				Version: d.Version != "", Commit: d.Revision != "", Named: d.Environment != "" && d.Environment != event.DefaultEnvironment})
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
	for i := range list {
		list[i].Fixes = fixes(list[i])
	}
	slices.SortStableFunc(list, func(a, b coverage) int {
		if d := len(b.Fixes) - len(a.Fixes); d != 0 {
			return d
		}
		return strings.Compare(a.Service+"\x00"+a.Environment, b.Service+"\x00"+b.Environment)
	})
	return list
}

// fixes says, for each thing that is missing, what it costs and what to set.
func fixes(c coverage) (list []string) {
	if !c.Version {
		list = append(list, "No version: set service.version in OTEL_RESOURCE_ATTRIBUTES, so that old and new instances are told apart.")
	}
	if !c.Commit {
		list = append(list, "No commit: set vcs.ref.head.revision in OTEL_RESOURCE_ATTRIBUTES, or tell it with deployloop mark --revision, so that suspects can be named.")
	}
	if !c.Named {
		list = append(list, "No environment: set deployment.environment.name, so that staging is not compared with production.")
	}
	if !c.Source {
		list = append(list, "No deploy source: add a webhook or deployloop mark to the pipeline, for the moment the rollout starts and its rollback command.")
	}
	if c.Commit && !c.Change {
		list = append(list, "Commit "+event.ShortRevision(c.Latest.Revision)+" is in no push that was told: add a push webhook or a local clone, so that suspects can be ranked.")
	}
	return list
}
