package consoleextension

import (
	"cmp"
	"fmt"
	"math"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/deployloop/deployloop/internal/event"
	"github.com/deployloop/deployloop/internal/ledger"
	"github.com/deployloop/deployloop/internal/wording"
)

// deploymentView is the page of one deployment.
type deploymentView struct {
	D        event.Deployment
	V        *event.Verdict // nil: not judged yet
	Row      row            // its way round the loop
	Headline string
	Reason   string
	Next     string // what to expect while there is no verdict
	Meter    meter
	Against  string // what it was compared with
	Impact   string
	Affected string
	Latency  []fact // how long each part of the loop took

	Indicators []indicator
	Suspects   []suspectView
	Suspicion  string // one sentence: who is suspected, or why none
	Related    []relatedView
	Actions    []action
	Links      []link
	Alerts     []event.Anomaly
	Undone     *event.Deployment // the deployment that this one rolled back
}

// fact is a name and what is known of it.
type fact struct{ Name, Text string }

// action is a command that can be copied, or words where there is none.
type action struct {
	Title, Command, Words, Note string
}

// suspectView is one commit of the range with its diff split into lines.
type suspectView struct {
	event.Suspect
	Percent string
	Bar     float64 // width of its bar, of barWidth
	Diff    []diffLine
	Lead    bool // named as the suspect, not merely listed
}

// diffLine is one line of a unified diff.
type diffLine struct{ Kind, Text string }

// relatedView is a group of like errors.
type relatedView struct {
	event.RelatedError
	Name     string
	Examples []exampleView
}

// exampleView is one recorded error or log line.
type exampleView struct {
	event.Example
	TraceURL string
}

func (s *site) deploymentPage(w http.ResponseWriter, r *http.Request) {
	d, ok := s.reader.Deployment(r.PathValue("id"))
	if !ok {
		s.render(w, r, http.StatusNotFound, "missing", page{Title: "Deployment not known", Nav: "loop", View: missing{
			"This deployment is not known", "Old ones are forgotten after the ledger's retention. An id from a forge or a CD tool works too, once that tool told about it."}})
		return
	}
	view := deploymentView{D: d, Row: s.deploymentRow(d, s.recentRuns())}
	if v := view.Row.Verdict; v != nil {
		s.judged(&view, *v)
	} else {
		view.Headline, view.Next = s.unjudged(d)
	}
	view.Actions, view.Links = actions(d, view.V, view.Row.Change, view.Row.Closure)
	view.Alerts = s.reader.Anomalies(ledger.Query{Deployment: d.ID, Limit: apiDefaultLimit})
	slices.SortStableFunc(view.Alerts, func(a, b event.Anomaly) int { return cmp.Compare(a.Kind, b.Kind) }) // the roll-up first
	if u, ok := s.reader.Deployment(d.RollbackOf); ok && d.RollbackOf != "" {
		view.Undone = &u
	}
	title := strings.Join(slices.DeleteFunc([]string{d.Service, d.Label()}, func(t string) bool { return t == "" }), " ")
	s.render(w, r, http.StatusOK, "deployment", page{Title: title + ": " + stateLabel(view.Row.State), Nav: "loop", State: view.Row.State, View: view})
}

// judged fills the view with what a verdict holds.
func (s *site) judged(view *deploymentView, v event.Verdict) {
	view.V = &v
	view.Headline, view.Reason = sentence(wording.Headline(v)), wording.Reason(v)
	view.Meter = newMeter(v.Nats, v.Threshold)
	view.Against = wording.Comparison(v.Control, v.Deployment.PreviousLabel())
	view.Impact, view.Affected = wording.ImpactLine(v.Impact), wording.AffectedLine(v.Affected)
	view.Latency = latency(view.D, view.Row.Change, v)
	for _, e := range v.Evidence {
		view.Indicators = append(view.Indicators, newIndicator(e, v.Related))
	}
	view.Suspicion = wording.SuspectSentence(v.Suspicion)
	if v.Suspicion != nil {
		for i, sus := range v.Suspicion.Suspects[:min(len(v.Suspicion.Suspects), shownSuspects)] {
			view.Suspects = append(view.Suspects, suspectView{
				Suspect: sus, Percent: wording.Percent(sus.Probability), Bar: barWidth * clamp(sus.Probability),
				Diff: diffLines(sus.Hunk), Lead: i == 0 && !v.Suspicion.Abstained,
			})
		}
	}
	for _, rel := range v.Related {
		rv := relatedView{RelatedError: rel, Name: wording.ErrorName(rel)}
		for _, ex := range rel.Examples {
			rv.Examples = append(rv.Examples, exampleView{ex, s.cfg.traceLink(ex.TraceID)})
		}
		view.Related = append(view.Related, rv)
	}
}

// shownSuspects is how many commits of a range the page shows; the API has all.
const shownSuspects = 10

// unjudged says why there is no verdict, and what would bring one.
func (s *site) unjudged(d event.Deployment) (headline, next string) {
	switch setup := s.setup.Load(); {
	case d.Baseline:
		return d.Service + " was first seen here with this version", "It is the baseline: nothing came before that it could be compared with. The next version is judged against it."
	case setup != nil && !setup.Watching:
		return "Nothing watches this deployment", "No anomaly connector is in a pipeline. The loop's set-up says what to add."
	case d.FirstSeenAt.IsZero():
		return "No telemetry of this version yet", "The watch begins with its first span, metric or log. It must carry the same service.name, and its service.version or vcs.ref.head.revision."
	default:
		return "No verdict yet", "The watch has just begun; this page changes by itself."
	}
}

// actions lists what can be done, most direct first.
func actions(d event.Deployment, v *event.Verdict, c *event.Change, closure *event.Closure) (list []action, links []link) {
	// Rolling back is advice only where this deployment did harm; while that is
	// open it is offered, and an exonerated or healthy one is left alone, as is
	// one whose harm is over. What is waived still does harm.
	over := closure != nil && closure.Reason != event.ClosedWaived
	if v != nil && v.State != event.Healthy && v.State != event.Exonerated && !d.Baseline && !over {
		current := *v
		current.Deployment = d
		fix, isCommand := wording.Rollback(current)
		title := "Roll back"
		if v.State != event.Regressed {
			title = "To roll back without waiting for proof"
		}
		switch {
		case fix == "":
		case isCommand:
			list = append(list, action{Title: title, Command: fix, Note: wording.BadBefore(v.WayBack)})
		default:
			list = append(list, action{Title: title, Words: fix, Note: wording.BadBefore(v.WayBack)})
		}
	}
	if v != nil && v.State == event.Regressed && (closure == nil || closure.Reason != event.ClosedFixedBy) {
		if forward := wording.FixForward(v.Suspicion); forward != "" {
			title := "Revert the suspect commit"
			if strings.HasPrefix(forward, "git log") {
				title = "Look through the range"
			}
			list = append(list, action{Title: title, Command: forward})
		}
	}
	add := func(href, text string) {
		if l := (link{safeURL(href), text}); l.URL != "" && !slices.Contains(links, l) {
			links = append(links, l)
		}
	}
	if c != nil {
		add(c.CompareURL, "Compare with what ran before")
		add(c.PullURL, "Pull request")
		add(c.URL, "Commit "+event.ShortRevision(c.Revision))
	}
	add(d.URL, "The run that deployed it")
	return list, links
}

// latency is the loop as it was measured, part by part.
func latency(d event.Deployment, c *event.Change, v event.Verdict) (list []fact) {
	add := func(name string, from, to time.Time) {
		if !from.IsZero() && !to.IsZero() && !to.Before(from) {
			list = append(list, fact{name, wording.Elapsed(to.Sub(from))})
		}
	}
	if c != nil {
		add("Commit to deploy", c.At, d.StartedAt)
	}
	add("Deploy to first telemetry", d.StartedAt, d.FirstSeenAt)
	if v.State == event.Regressed {
		add("First bad item to verdict", cmp.Or(v.FirstBadAt, onsetAt(v)), v.RegressedAt)
	}
	add("Deploy to verdict", d.StartedAt, decidedAt(v))
	return list
}

func onsetAt(v event.Verdict) time.Time {
	if v.Onset == nil {
		return time.Time{}
	}
	return v.Onset.At
}

// inOneLine is what a row of the timeline says of a verdict.
func inOneLine(v event.Verdict) string {
	if lead, ok := wording.LeadOf(v); ok && v.State == event.Regressed {
		line := wording.Subject(lead, v.Related)
		if lead.Before > 0 || lead.Signal != event.SignalException && lead.Signal != event.SignalLog {
			return sentence(line + " " + wording.Value(lead.Before, lead.Unit) + " → " + wording.Value(lead.After, lead.Unit))
		}
		return sentence(fmt.Sprintf("%s, %s×", line, wording.Count(lead.New.Events)))
	}
	return wording.Reason(v)
}

// sentence makes the first letter a capital, unless it begins a name.
func sentence(text string) string {
	for _, known := range []string{"watching ", "cannot ", "new "} {
		if strings.HasPrefix(text, known) {
			return strings.ToUpper(text[:1]) + text[1:]
		}
	}
	return text
}

// diffLines splits a unified diff; each line's kind is told by its mark, which
// stays visible, so that colour is never the only signal.
func diffLines(hunk string) (lines []diffLine) {
	for text := range strings.Lines(hunk) {
		text = strings.TrimRight(text, "\r\n")
		kind := "same"
		switch {
		case strings.HasPrefix(text, "@@"):
			kind = "place"
		case strings.HasPrefix(text, "+"):
			kind = "added"
		case strings.HasPrefix(text, "-"):
			kind = "removed"
		}
		lines = append(lines, diffLine{kind, text})
		if len(lines) == shownDiffLines {
			return append(lines, diffLine{"place", "… cut here; see the commit"})
		}
	}
	return lines
}

// shownDiffLines bounds one hunk on the page.
const shownDiffLines = 60

func clamp(share float64) float64 {
	if math.IsNaN(share) {
		return 0
	}
	return max(0, min(1, share))
}
