package ledger

import (
	"slices"
	"time"

	"github.com/deployloop/deployloop/internal/event"
)

// RecordFeedback keeps the newest state of what builds and tests say of a commit.
func (l *Ledger) RecordFeedback(f event.Feedback) {
	for _, text := range []*string{&f.ID, &f.Repository, &f.Ref, &f.Revision, &f.Base, &f.RunID} {
		*text = cut(*text, maxName)
	}
	f.URL = cut(f.URL, maxText)
	if f.ID == "" || f.Revision == "" {
		return
	}
	f = cloneFeedback(f)
	l.mu.Lock()
	defer l.mu.Unlock()
	if known, ok := l.feedback.Peek(f.ID); ok && known.Value.At.After(f.At) {
		return
	}
	l.clock(f.At)
	putSized(l, l.feedback, &l.feedbackBytes, kindFeedback, "feedback", f.ID, f)
	l.tell("feedback", f.ID, f.At)
}

// Feedback lists what builds and tests said, newest first.
func (l *Ledger) Feedback(q RunQuery) []event.Feedback {
	l.mu.RLock()
	defer l.mu.RUnlock()
	found := list(l.feedback, Query{Since: q.Since, Limit: q.Limit}, func(f event.Feedback) bool {
		return (q.Repository == "" || SameRepository(q.Repository, f.Repository)) &&
			(q.Revision == "" || event.SameRevision(q.Revision, f.Revision)) && (q.RunID == "" || q.RunID == f.RunID)
	}, func(f event.Feedback) time.Time { return f.At })
	for i := range found {
		found[i] = cloneFeedback(found[i])
	}
	return found
}

func cloneFeedback(f event.Feedback) event.Feedback {
	f.Coverage, f.Production = bounded(f.Coverage, maxList), bounded(f.Production, maxList)
	f.Judgements = cloneJudgements(f.Judgements)
	f.Suspicion = cloneSuspicion(f.Suspicion)
	return f
}

// cloneJudgements copies at most event.MaxJudgements, their texts cut: what fails anew
// has to be understood, the rest was told before.
func cloneJudgements(list []event.Judgement) []event.Judgement {
	list = slices.Clone(list[:min(len(list), event.MaxJudgements)])
	for i := range list {
		j := &list[i]
		if j.Test != nil {
			t := *j.Test
			if j.Call == event.NewFailure {
				t.Message, t.Stacktrace = cut(t.Message, maxText), cut(t.Stacktrace, maxText)
			} else {
				t.Message, t.Stacktrace = cut(t.Message, maxOldText), ""
			}
			j.Test = &t
		}
		if j.Finding != nil {
			f := *j.Finding
			f.Message = cut(f.Message, maxOldText)
			j.Finding = &f
		}
		if j.Shift != nil {
			s := *j.Shift
			j.Shift = &s
		}
		if j.Closure != nil {
			c := *j.Closure
			j.Closure = &c
		}
	}
	return list
}
