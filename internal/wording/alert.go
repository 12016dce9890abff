package wording

import (
	"strings"
	"time"
	"unicode/utf8"

	"github.com/deployloop/deployloop/internal/event"
)

// SummaryLimit is the most runes that Summary gives: what a phone shows.
const SummaryLimit = 120

// Lead is the indicator that speaks for an anomaly: a symptom's own, else the
// strongest of its verdict that shows harm.
func Lead(a event.Anomaly) (event.Evidence, bool) {
	if a.Evidence != nil {
		return *a.Evidence, true
	}
	if a.Verdict == nil {
		return event.Evidence{}, false
	}
	return LeadOf(*a.Verdict)
}

// LeadOf is the strongest indicator of a verdict that shows harm. One of the
// whole service gives way to one of an operation that is nearly as strong: the
// operation says where to look.
func LeadOf(v event.Verdict) (event.Evidence, bool) {
	lead, found := strongestHarm(v, func(event.Evidence) bool { return true })
	if !found || lead.Operation != "" {
		return lead, found
	}
	inside, ok := strongestHarm(v, func(e event.Evidence) bool { return e.Signal == lead.Signal && e.Operation != "" })
	if ok && inside.Nats >= nearlyAsStrong*lead.Nats {
		return inside, true
	}
	return lead, true
}

const nearlyAsStrong = 0.8

func strongestHarm(v event.Verdict, wanted func(event.Evidence) bool) (strongest event.Evidence, found bool) {
	for _, e := range v.Evidence {
		if e.Harm && wanted(e) && (!found || e.Nats > strongest.Nats) {
			strongest, found = e, true
		}
	}
	return strongest, found
}

// Summary says an anomaly in at most SummaryLimit runes: "checkout POST
// /cart/checkout errors 0.21% → 4.8% (×23) since 9f2c1ab went out at 14:03Z".
// What does not fit is cut where it hurts least: first the operation or
// message, then the service's name; numbers, commit and time stay.
func Summary(a event.Anomaly) string {
	if a.Kind == event.KindBuild {
		return buildSummary(a)
	}
	service := OneLine(a.Service, nameLimit)
	since := sinceWhen(a)
	lead, ok := Lead(a)
	if !ok {
		return fit(service, "got worse", since)
	}
	related := relatedOf(a)
	switch lead.Signal {
	case event.SignalException, event.SignalLog:
		name := measure(lead, related)
		if lead.FirstEver || lead.Before <= 0 {
			if n := lead.New.Events; n > 0 && finite(n) {
				return fit(service, name, join(" ", "("+Count(n)+"×)", since))
			}
			return fit(service, name, since)
		}
		return fit(service, name, join(" ", change(lead), since))
	default:
		return fit(service, OneLine(lead.Operation, operationLimit), join(" ", measure(lead, related), change(lead), since))
	}
}

// fit joins a summary's three parts, shortening the middle one first.
func fit(service, middle, tail string) string {
	const least = 12 // runes of a part below which it says nothing
	whole := join(" ", service, middle, tail)
	over := utf8.RuneCountInString(whole) - SummaryLimit
	if over <= 0 {
		return whole
	}
	if size := utf8.RuneCountInString(middle); size > least {
		keep := max(least, size-over)
		over -= size - keep
		middle = Clip(middle, keep)
	}
	if size := utf8.RuneCountInString(service); over > 0 && size > least {
		service = Clip(service, max(least, size-over))
	}
	return Clip(join(" ", service, middle, tail), SummaryLimit)
}

func sinceWhen(a event.Anomaly) string {
	label := Clip(label(a), 20)
	if a.Kind != event.KindAlwaysOn && label != "" {
		if v := a.Verdict; v != nil && !v.Deployment.StartedAt.IsZero() {
			return "since " + label + " went out at " + Clock(v.Deployment.StartedAt)
		}
		return "since " + label + " went out"
	}
	if at := Clock(a.StartsAt); at != "" {
		return "since " + at
	}
	return ""
}

// label is what a person calls the change behind an anomaly: its commit, else
// its version.
func label(a event.Anomaly) string {
	if a.Commit != "" {
		return shortRevision(a.Commit)
	}
	if a.Verdict != nil {
		return OneLine(a.Verdict.Deployment.Label(), 40)
	}
	return ""
}

func relatedOf(a event.Anomaly) []event.RelatedError {
	if a.Verdict == nil {
		return nil
	}
	return a.Verdict.Related
}

// WhatChanged says what was deployed, where, when and who told: "checkout
// 1.41.3 → 1.42.0 (9f2c1ab, 7 commits a1b2c3d..9f2c1ab) in production, from
// 14:03:05Z; told by api, telemetry"; and whether what it replaced was bad too.
func WhatChanged(v event.Verdict) string {
	d := v.Deployment
	name := OneLine(d.Service, nameLimit)
	if name == "" {
		return ""
	}
	label, previous := OneLine(d.Label(), nameLimit), OneLine(d.PreviousLabel(), nameLimit)
	switch {
	case label != "" && previous != "":
		name += " " + previous + " → " + label
	case label != "":
		name += " " + label
	}
	var inside []string
	if revision := shortRevision(d.Revision); revision != "" && revision != label {
		inside = append(inside, revision)
	}
	if s := v.Suspicion; s != nil && s.Commits > 0 {
		inside = append(inside, join(" ", plural(s.Commits, "commit"), OneLine(s.Range, nameLimit)))
	}
	if len(inside) > 0 {
		name += " (" + join(", ", inside...) + ")"
	}
	if d.Environment != "" && d.Environment != event.DefaultEnvironment {
		name += " in " + OneLine(d.Environment, nameLimit)
	}
	if at := ClockSeconds(d.StartedAt); at != "" {
		name += ", from " + at
	}
	if sources := sourceNames(d); sources != "" {
		name += "; told by " + sources
	}
	return join("; ", name, BadBefore(v.WayBack))
}

func sourceNames(d event.Deployment) string {
	seen := map[string]bool{}
	var names []string
	for _, s := range d.Sources {
		if name := OneLine(s.Name, 40); name != "" && !seen[name] && len(names) < 8 {
			seen[name] = true
			names = append(names, name)
		}
	}
	return join(", ", names...)
}

// Why says what proves an anomaly: its numbers, the error that only the new
// version has and where it is thrown, and the comparison.
func Why(a event.Anomaly) string {
	if a.Feedback != nil {
		return buildWhy(*a.Feedback, 3)
	}
	lead, ok := Lead(a)
	if !ok {
		if a.Verdict != nil {
			return Reason(*a.Verdict)
		}
		return ""
	}
	related := relatedOf(a)
	first := capital(Subject(lead, related)) + ": " + join(", ", change(lead), Interval(lead.Interval, lead.Unit)) + "."
	began := ""
	if v := a.Verdict; v != nil {
		began = onset(*v)
	}
	return join(" ", first, began, newError(lead, related), compared(a, lead))
}

// onset says when it began relative to the rollout: "It began 14:03:20Z, 15s
// after the rollout started."
func onset(v event.Verdict) string {
	if v.Onset == nil || v.Onset.At.IsZero() {
		return ""
	}
	text := "It began " + ClockSeconds(v.Onset.At)
	if started := v.Deployment.StartedAt; !started.IsZero() {
		switch gap := v.Onset.At.Sub(started); {
		// An onset is known to the second at best; one that may lie after the start
		// is not said to lie before it.
		case gap.Abs() < 2*time.Second, gap < 0 && !v.Onset.Latest.Before(started):
			text += ", as the rollout started"
		case gap > 0:
			text += ", " + Elapsed(gap) + " after the rollout started"
		default:
			text += ", " + Elapsed(gap) + " before the rollout started"
		}
	}
	return text + "."
}

// newError names the strongest error that only the new version has, unless the
// leading indicator already is that one.
func newError(lead event.Evidence, related []event.RelatedError) string {
	for _, r := range related {
		if !r.OnlyInNew {
			continue
		}
		where := ""
		if len(r.Frames) > 0 {
			where = Where(r.Frames[0])
		}
		if own, ok := RelatedTo(lead, related); ok && own.Fingerprint == r.Fingerprint &&
			(lead.Signal == event.SignalException || lead.Signal == event.SignalLog) {
			if where == "" {
				return ""
			}
			return "It is thrown at " + where + "."
		}
		if where != "" {
			where = " at " + where
		}
		return "Only the new version has " + ErrorName(r) + where + "."
	}
	return ""
}

func compared(a event.Anomaly, lead event.Evidence) string {
	previous := ""
	if a.Verdict != nil {
		previous = a.Verdict.Deployment.PreviousLabel()
	}
	if against := Comparison(lead.Control, previous); against != "" {
		return "Compared with " + against + "."
	}
	return ""
}

// EvidenceLines writes the strongest indicators of a verdict that show harm,
// at most limit, one a line.
func EvidenceLines(v event.Verdict, limit int) string {
	var lines []string
	for _, e := range v.Evidence {
		if e.Harm && len(lines) < limit {
			lines = append(lines, evidenceLine(e, v.Related))
		}
	}
	return join("\n", lines...)
}

// ImpactLine says who felt it: "about 310 users and 1,240 requests (4.6% of
// the new version's) so far"; "" when nothing is known.
func ImpactLine(i event.Impact) string {
	users, requests := "", ""
	if finite(i.Users) && i.Users >= 1 {
		users = Count(i.Users) + " users"
		if i.Users < 1.5 {
			users = "1 user"
		}
	}
	if finite(i.Requests) && i.Requests >= 1 {
		requests = Count(i.Requests) + " requests"
		if i.Requests < 1.5 {
			requests = "1 request"
		}
		if i.Share > 0 && finite(i.Share) {
			requests += " (" + Percent(i.Share) + " of the new version's)"
		}
	}
	if users == "" && requests == "" {
		return ""
	}
	text := "about " + join(" and ", users, requests) + " so far"
	if days := i.Window.Hours() / 24; i.Budget >= .0005 && finite(i.Budget) && days >= 1 && i.Objective > 0 && i.Objective < 1 {
		text += ", " + Percent(i.Budget) + " of the error budget of " + Count(days) + " days (" + Percent(i.Objective) + ")"
	}
	return text
}

// AffectedLine says which services feel it as callers: "web: 12% of 2,900 calls
// to checkout fail (0.1% before)"; "" when none is known to.
func AffectedLine(list []event.Affected) string {
	var parts []string
	for _, a := range list {
		if !finite(a.Requests) || !finite(a.Share) || a.Requests < 1 {
			continue
		}
		parts = append(parts, OneLine(a.Service, nameLimit)+": "+Percent(a.Share)+" of "+Count(a.Requests)+" calls to "+OneLine(a.Calls, nameLimit)+" fail ("+Percent(a.Before)+" before)")
	}
	return strings.Join(parts, "; ")
}
