package consoleextension

import (
	"net/http"
	"slices"
	"strings"

	"github.com/deployloop/deployloop/internal/event"
	"github.com/deployloop/deployloop/internal/ledger"
)

// changeView is the page of one commit.
type changeView struct {
	Revision  string
	C         *event.Change // nil: only seen as a deployed revision
	Runs      []event.PipelineRun
	Steps     []step
	Said      []said      // of its builds and tests
	Deployed  []row       // deployments of this very revision
	Carried   []row       // deployments whose range holds it
	Suspected []suspicion // where it was ranked
	Links     []link
	Files     []fileChange
}

// fileChange is a path and what happened to it.
type fileChange struct{ What, Path string }

// suspicion is a deployment's opinion of this commit.
type suspicion struct {
	Deployment event.Deployment
	Suspect    event.Suspect
}

func (s *site) changePage(w http.ResponseWriter, r *http.Request) {
	view := changeView{Revision: r.PathValue("revision")}
	c, known := s.reader.Change("", view.Revision)
	if known {
		view.C, view.Revision = &c, c.Revision
		view.Links = slices.DeleteFunc([]link{
			{safeURL(c.URL), "Commit on the forge"}, {safeURL(c.PullURL), "Pull request"}, {safeURL(c.CompareURL), "Compare"},
		}, func(l link) bool { return l.URL == "" })
		view.Files = files(c)
	}
	view.Runs = s.reader.PipelineRuns(ledger.RunQuery{Revision: view.Revision, Limit: apiDefaultLimit})
	view.Said = s.saidOf(view.Revision)
	runs := s.recentRuns()
	for _, d := range s.everyDeployment() {
		switch {
		case d.Revision != "" && sameRevision(d.Revision, view.Revision):
			view.Deployed = append(view.Deployed, s.deploymentRow(d, runs))
		case known && len(view.Carried) < apiDefaultLimit && !d.StartedAt.Before(c.At) && s.carries(d, c):
			view.Carried = append(view.Carried, s.deploymentRow(d, runs))
		}
	}
	if !known && len(view.Deployed) == 0 && len(view.Runs) == 0 && len(view.Said) == 0 {
		s.render(w, r, http.StatusNotFound, "missing", page{Title: "Commit not known", Nav: "loop", View: missing{
			"This commit is not known", "Commits come from push webhooks; an abbreviated id needs at least seven digits."}})
		return
	}
	view.Steps = steps(view.Revision, view.C, nil, nil, view.Runs)[:3]
	if len(view.Said) > 0 {
		markSteps(view.Steps, view.Said[0].Feedback)
	}
	for _, rw := range slices.Concat(view.Deployed, view.Carried) {
		if rw.Verdict == nil || rw.Verdict.Suspicion == nil {
			continue
		}
		for _, sus := range rw.Verdict.Suspicion.Suspects {
			if sameRevision(sus.Change.Revision, view.Revision) {
				view.Suspected = append(view.Suspected, suspicion{*rw.Deployment, sus})
			}
		}
	}
	s.render(w, r, http.StatusOK, "change", page{Title: "Commit " + event.ShortRevision(view.Revision), Nav: "loop", View: view})
}

// carries tells whether a deployment's range holds a commit of its repository.
// Deployments to the same place as the last one walked are the common case, and
// the walk is bounded by the ledger.
func (s *site) carries(d event.Deployment, c event.Change) bool {
	if d.Baseline || d.PreviousRevision == "" || d.Revision == "" {
		return false
	}
	changes, _, _ := s.reader.ChangeRange(d.Repository, d.PreviousRevision, d.Revision)
	return slices.ContainsFunc(changes, func(other event.Change) bool { return other.Revision == c.Revision })
}

// sameRevision compares commit ids of which one may be abbreviated.
func sameRevision(a, b string) bool {
	a, b = strings.ToLower(a), strings.ToLower(b)
	if len(a) > len(b) {
		a, b = b, a
	}
	return a == b || len(a) >= 7 && strings.HasPrefix(b, a)
}

// shownFiles bounds the list of changed paths.
const shownFiles = 200

func files(c event.Change) (list []fileChange) {
	for _, group := range []struct {
		what  string
		paths []string
	}{{"added", c.Added}, {"changed", c.Modified}, {"removed", c.Removed}} {
		for _, p := range group.paths {
			if len(list) < shownFiles {
				list = append(list, fileChange{group.what, p})
			}
		}
	}
	return list
}
