// Package digest sums up a period of the loop: what was watched, what was or
// would have been alerted, what stays open, what nobody said. Pure; the console
// answers it on demand, and the anomaly connector tells it every day.
package digest

import (
	"cmp"
	"slices"
	"time"

	"github.com/deployloop/deployloop/internal/event"
	"github.com/deployloop/deployloop/internal/ledger"
	"github.com/deployloop/deployloop/internal/notice"
	"github.com/deployloop/deployloop/internal/wording"
)

const (
	// maxListed bounds each list of a digest: it is read by people, and is one
	// log record.
	maxListed = 50
	// maxLooked bounds what is read of the ledger.
	maxLooked = 10_000
)

// states and reasons in the order in which a digest tells them.
var (
	states  = []event.VerdictState{event.Regressed, event.Exonerated, event.Inconclusive, event.Healthy, event.Watching, ""}
	reasons = []event.ClosureReason{
		event.ClosedRolledBack, event.ClosedFixedBy, event.ClosedRecovered, event.ClosedSuperseded, event.ClosedExonerated, event.ClosedUnheard, event.ClosedWaived,
	}
)

// Of sums up the period from (inclusive) to till (exclusive), as the ledger
// knows it at till. Symptoms are part of their roll-up, and not listed.
func Of(reader ledger.Reader, from, till time.Time) event.Digest {
	d := event.Digest{From: from, Till: till}
	within := func(t time.Time) bool { return !t.Before(from) && t.Before(till) }

	verdicts := map[event.VerdictState]int{}
	for _, x := range reader.Deployments(ledger.Query{Since: from, Limit: maxLooked}) {
		if !within(x.StartedAt) {
			continue
		}
		d.Deployments++
		v, _ := reader.Verdict(x.ID)
		verdicts[v.State]++
	}
	for _, s := range states {
		if n := verdicts[s]; n > 0 {
			d.Verdicts = append(d.Verdicts, event.VerdictCount{Verdict: s, Count: n})
		}
	}

	closed := map[event.ClosureReason]int{}
	for _, a := range reader.Anomalies(ledger.Query{Limit: maxLooked}) {
		if a.Kind == event.KindSymptom || !a.DetectedAt.Before(till) {
			continue
		}
		if within(a.DetectedAt) {
			if a.Mode == event.Shadow {
				d.WouldAlert = append(d.WouldAlert, alert(a, till))
			} else {
				d.Alerted = append(d.Alerted, alert(a, till))
			}
		}
		switch {
		case a.Closure == nil || !a.Closure.At.Before(till):
			d.Unclosed = append(d.Unclosed, alert(a, till))
		case within(a.Closure.At):
			closed[a.Closure.Reason]++
		}
	}
	for _, r := range reasons {
		if n := closed[r]; n > 0 {
			d.Closed = append(d.Closed, event.ClosureCount{Reason: r, Count: n})
		}
	}
	slices.SortStableFunc(d.Unclosed, func(a, b event.DigestAlert) int {
		return cmp.Or(a.StartsAt.Compare(b.StartsAt), cmp.Compare(a.ID, b.ID))
	})

	d.Alerted = cut(&d, "alerted", d.Alerted)
	d.WouldAlert = cut(&d, "would_have_alerted", d.WouldAlert)
	d.Unclosed = cut(&d, "unclosed", d.Unclosed)
	more := 0
	if d.Notices, more = notice.Find(reader, till, maxListed); more > 0 {
		d.More = append(d.More, event.DigestMissing{List: "notices", Count: more})
	}
	return d
}

// cut keeps a list within its limit and notes what did not fit.
func cut(d *event.Digest, name string, list []event.DigestAlert) []event.DigestAlert {
	if len(list) <= maxListed {
		return list
	}
	d.More = append(d.More, event.DigestMissing{List: name, Count: len(list) - maxListed})
	return list[:maxListed]
}

func alert(a event.Anomaly, at time.Time) event.DigestAlert {
	out := event.DigestAlert{
		ID: a.ID, Service: a.Service, Environment: a.Environment, Deployment: a.Deployment, Severity: a.Severity, Mode: a.Mode,
		Summary: wording.Summary(a), StartsAt: a.StartsAt, Silence: a.Silenced(at),
	}
	if a.Closure != nil && a.Closure.At.Before(at) {
		out.Closure = a.Closure
	}
	return out
}
