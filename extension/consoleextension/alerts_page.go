package consoleextension

import (
	"net/http"
	"slices"
	"time"

	"github.com/deployloop/deployloop/internal/event"
	"github.com/deployloop/deployloop/internal/ledger"
	"github.com/deployloop/deployloop/internal/waiver"
	"github.com/deployloop/deployloop/internal/wording"
)

const (
	// openAlertsLimit bounds how many open anomalies are read for a count or a list.
	openAlertsLimit = 10_000
	// closedScanLimit is how many anomalies are read to find closed ones.
	closedScanLimit = 10_000
	// shownClosed is how many closed alerts the page shows.
	shownClosed = 100
)

// alert is one roll-up, or an anomaly that no roll-up holds, with its symptoms.
type alert struct {
	event.Anomaly
	Summary  string
	Silence  string  // until when and by whom; "": it is not silenced
	Known    bool    // its deployment is still known
	Do       *action // the first thing to do; nil: none is known
	Symptoms []event.Anomaly
}

// alertsView is the page of alerts.
type alertsView struct {
	Open, Closed            []alert
	Notices                 []event.Notice // what nobody said
	Shadow                  bool           // nothing is sent: alerts are shown here only
	Token                   string         // of the forms that waive
	NeedsToken              bool           // gate::token is set: the forms ask for it
	Known                   string         // who the server's auth says is reading; "": the form asks
	FirstDay, LastDay, Week string         // that a waiver may name, and a week from now
}

// rollUp puts symptoms under the roll-up that inhibits them: as Alertmanager
// does, a person sees one alert a deployment.
func (s *site) rollUp(list []event.Anomaly) (alerts []alert) {
	held := map[string][]event.Anomaly{} // symptoms by deployment
	rolled := map[string]bool{}
	for _, a := range list {
		if a.Kind == event.KindDeployment {
			rolled[a.Deployment] = true
		}
	}
	for _, a := range list {
		if a.Kind == event.KindSymptom && rolled[a.Deployment] {
			held[a.Deployment] = append(held[a.Deployment], a)
		}
	}
	for _, a := range list {
		if a.Kind == event.KindSymptom && rolled[a.Deployment] {
			continue
		}
		out := alert{Anomaly: a, Summary: wording.Summary(a)}
		if silence := a.Silenced(s.now()); silence != nil {
			out.Silence = wording.Silence(*silence)
		}
		if a.Kind == event.KindDeployment {
			out.Symptoms = held[a.Deployment]
		}
		d, known := s.reader.Deployment(a.Deployment)
		out.Known, out.Do = known, firstAction(a, d)
		alerts = append(alerts, out)
	}
	return alerts
}

// firstAction is what the page of the alert's deployment says to do first, or the
// command that shows a branch's failure again.
func firstAction(a event.Anomaly, d event.Deployment) *action {
	switch {
	case !a.Open:
	case a.Feedback != nil:
		if again := wording.BuildFix(*a.Feedback); again != "" {
			return &action{Title: "See it again", Command: again}
		}
	case a.Verdict != nil && d.ID != "":
		if list, _ := actions(d, a.Verdict, nil, nil); len(list) > 0 {
			return &list[0]
		}
	}
	return nil
}

// openAlerts counts what a person would see open.
func (s *site) openAlerts() int {
	open := s.reader.Anomalies(ledger.Query{OpenOnly: true, Limit: openAlertsLimit})
	rolled := map[string]bool{}
	for _, a := range open {
		if a.Kind == event.KindDeployment {
			rolled[a.Deployment] = true
		}
	}
	n := 0
	for _, a := range open {
		if a.Kind != event.KindSymptom || !rolled[a.Deployment] {
			n++
		}
	}
	return n
}

func (s *site) alertsPage(w http.ResponseWriter, r *http.Request) {
	all := s.reader.Anomalies(ledger.Query{Limit: closedScanLimit})
	var open, closed []event.Anomaly
	for _, a := range all {
		if a.Open {
			open = append(open, a)
		} else {
			closed = append(closed, a)
		}
	}
	slices.SortStableFunc(closed, func(a, b event.Anomaly) int { return closedAt(b).Compare(closedAt(a)) })
	view := alertsView{Open: s.rollUp(open), Closed: s.rollUp(closed), Notices: s.notices(), Shadow: s.mode() == string(event.Shadow)}
	view.Closed = view.Closed[:min(shownClosed, len(view.Closed))]
	if len(view.Open) > 0 {
		now := s.now().UTC()
		view.Token, view.Known, view.NeedsToken = s.formToken(w, r), authenticatedAs(r), s.cfg.Gate.Token != ""
		view.FirstDay, view.LastDay = now.Format(time.DateOnly), now.Add(waiver.Limit).AddDate(0, 0, -1).Format(time.DateOnly)
		view.Week = now.AddDate(0, 0, 7).Format(time.DateOnly)
	}
	s.render(w, r, http.StatusOK, "alerts", page{Title: "Alerts", Nav: "alerts", View: view})
}

func closedAt(a event.Anomaly) time.Time {
	if a.Closure == nil {
		return a.At
	}
	return a.Closure.At
}
