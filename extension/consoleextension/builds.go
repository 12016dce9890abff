package consoleextension

import (
	"net/http"
	"slices"
	"strings"

	"github.com/deployloop/deployloop/internal/event"
	"github.com/deployloop/deployloop/internal/ledger"
	"github.com/deployloop/deployloop/internal/wording"
)

// said is what builds and tests say of a commit, as a page shows it.
type said struct {
	event.Feedback
	Headline string
	Items    []saidItem
}

type saidItem struct {
	Worse   bool
	Line    string
	Details []string
	Message string // of several lines, which stand as they are
	Again   string // command
}

const maxMessageLines = 25

func newSaid(f event.Feedback) said {
	out := said{Feedback: f, Headline: sentence(wording.FeedbackHeadline(f))}
	for _, j := range f.Judgements {
		item := saidItem{Worse: j.Call.Worse(), Line: wording.JudgementLine(j)}
		if j.Call != event.Fixed && j.Call != event.FixedFinding {
			if j.Test != nil {
				if lines := wording.MessageLines(*j.Test, maxMessageLines); len(lines) > 1 {
					t := *j.Test
					t.Message = ""
					item.Message, j.Test = strings.Join(lines, "\n"), &t
				}
			}
			item.Details = wording.JudgementDetails(j)
		}
		if j.Test != nil && j.Call.Worse() {
			item.Again = wording.RunAgain(*j.Test)
			// It stands below, to be copied.
			item.Details = slices.DeleteFunc(item.Details, func(line string) bool { return item.Again != "" && line == "again: "+item.Again })
		}
		out.Items = append(out.Items, item)
	}
	return out
}

// saidOf is what builds and tests said of a commit, of each branch it was on.
func (s *site) saidOf(revision string) (list []said) {
	for _, f := range s.reader.Feedback(ledger.RunQuery{Revision: revision, Limit: 20}) {
		list = append(list, newSaid(f))
	}
	return list
}

// recentFeedback bounds what the timeline looks at.
const recentFeedback = 500

// markTests has the steps of a timeline say what builds and tests mean.
func (s *site) markTests(rows []row) {
	newest := map[string]event.Feedback{}
	for _, f := range s.reader.Feedback(ledger.RunQuery{Limit: recentFeedback}) {
		if _, known := newest[revisionKey(f.Revision)]; !known {
			newest[revisionKey(f.Revision)] = f
		}
	}
	for _, rw := range rows {
		f, known := newest[revisionKey(rw.Revision)]
		if !known || rw.Revision == "" {
			continue
		}
		markSteps(rw.Steps, f)
	}
}

func markSteps(steps []step, f event.Feedback) {
	for i, stage := range []event.Stage{event.StageBuild, event.StageTest} {
		markStep(&steps[i+1], f, stage)
	}
}

func markStep(st *step, f event.Feedback, stage event.Stage) {
	worse := 0
	for _, j := range f.Judgements {
		if j.Stage() == stage && (j.Call == event.NewFailure || j.Call == event.NewFinding) {
			worse++
		}
	}
	switch {
	case worse > 0:
		st.State, st.Spoken, st.Text = "failed", "", count(worse, "new failure")
	case st.State == "running" && !f.Running && len(f.Unended) > 0: // for ever, by its runs alone
		st.State, st.Spoken, st.Text = "none", "", "end unknown"
	case stage == event.StageTest && f.Tests > 0 && f.Running:
		st.State, st.Spoken, st.Text = "running", "", count(f.Tests, "test")
	case stage == event.StageTest && f.Tests > 0 && f.State != event.Inconclusive && st.State != "failed":
		st.State, st.Spoken, st.Text = "done", "", "nothing new"
	default:
		return
	}
	st.URL = safeURL(f.URL)
}

// GET /api/v1/feedback?repository=&revision=&run_id=&limit=: newest first.
func (s *site) apiFeedback(w http.ResponseWriter, r *http.Request) {
	v, limit, ok := s.parameters(w, r, "repository", "revision", "run_id")
	if !ok {
		return
	}
	list := s.reader.Feedback(ledger.RunQuery{Repository: v.Get("repository"), Revision: v.Get("revision"), RunID: v.Get("run_id"), Limit: limit})
	s.writeJSON(w, r, http.StatusOK, struct {
		Feedback []event.Feedback `json:"feedback"`
	}{orEmpty(list)})
}
