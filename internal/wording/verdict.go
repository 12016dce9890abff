package wording

import (
	"slices"
	"strings"
	"time"

	"github.com/deployloop/deployloop/internal/event"
)

// Headline says a verdict in a few words: "checkout got worse in production".
func Headline(v event.Verdict) string {
	d := v.Deployment
	who := OneLine(d.Service, nameLimit)
	where := ""
	if d.Environment != "" && d.Environment != event.DefaultEnvironment {
		where = " in " + OneLine(d.Environment, nameLimit)
	}
	switch v.State {
	case event.Watching:
		return "watching " + join(" ", who, OneLine(d.Label(), nameLimit)) + where
	case event.Healthy:
		return join(" ", who, OneLine(d.Label(), nameLimit)) + " is healthy" + where
	case event.Regressed:
		return who + " got worse" + where
	case event.Inconclusive:
		return "cannot tell about " + join(" ", who, OneLine(d.Label(), nameLimit)) + where
	case event.Exonerated:
		return who + " got worse" + where + ", but not because of this deploy"
	default:
		return join(" ", who, OneLine(string(v.State), nameLimit)) + where
	}
}

// Reason says why a verdict is what it is, with its numbers. Each state and
// reason has its own sentence; what the structure does not hold is taken from
// v.Detail, and nothing is claimed that is in neither.
func Reason(v event.Verdict) string {
	sentence := ""
	switch v.State {
	case event.Watching:
		sentence = join(" ", watching(v), couldHaveSeen(v), remaining(v))
	case event.Healthy:
		sentence = healthy(v)
	case event.Regressed:
		sentence = regressed(v)
	case event.Inconclusive:
		sentence = inconclusive(v)
	case event.Exonerated:
		sentence = exonerated(v)
	default:
		sentence = detailOf(v)
	}
	lost := ""
	if v.Reason != event.ReasonDataLost {
		if names := Losses(v.Losses); names != "" {
			lost = "Not counted: " + names + "."
		}
	}
	calibrating := ""
	if v.Calibrating {
		calibrating = "The threshold is provisional: still calibrating."
	}
	return join(" ", sentence, lost, calibrating)
}

// unheardAfter is how long a rollout may take to be heard of before the reader is
// asked why it is not.
const unheardAfter = time.Minute

// watching says how far a watch has come. That nothing came of the new version
// is another thing than that nothing came of it yet that proves anything.
func watching(v event.Verdict) string {
	heard := slices.ContainsFunc(v.Evidence, func(e event.Evidence) bool { return e.New.Exposure > 0 })
	if heard || !v.Deployment.FirstSeenAt.IsZero() || smallestEffect(v) != "" {
		return "Nothing is proven yet."
	}
	text := "No telemetry of " + newVersion(v.Deployment) + " has come yet, so nothing can be told."
	if v.WatchedFrom.IsZero() || v.At.Sub(v.WatchedFrom) < unheardAfter {
		return text
	}
	return text + " " + carriesVersion
}

// carriesVersion is what to look at where telemetry of a version is missing.
const carriesVersion = "Does it carry service.version or vcs.ref.head.revision?"

// newVersion names what was deployed.
func newVersion(d event.Deployment) string {
	if label := OneLine(d.Label(), nameLimit); label != "" {
		return label
	}
	return "the new version"
}

func healthy(v event.Verdict) string {
	within := 0
	for _, e := range v.Evidence {
		if e.Critical && e.Within {
			within++
		}
	}
	text := "Every critical indicator is within tolerance"
	if within > 0 {
		text += " (" + Count(float64(within)) + " shown)"
	}
	if against := Comparison(v.Control, v.Deployment.PreviousLabel()); against != "" {
		text += ", compared with " + against
	}
	return text + "."
}

func regressed(v event.Verdict) string {
	weight := ""
	if v.Nats > 0 && v.Threshold > 0 && finite(v.Nats) && finite(v.Threshold) {
		weight = "Evidence " + significant(v.Nats, 3) + " nats, " + significant(v.Threshold, 3) + " needed."
	}
	lead, ok := LeadOf(v)
	if !ok {
		return join(" ", detailOf(v), weight)
	}
	against := ""
	if c := Comparison(lead.Control, v.Deployment.PreviousLabel()); c != "" {
		against = ", compared with " + c
	}
	return join(" ", capital(Subject(lead, v.Related))+" "+change(lead)+against+".", through(v, lead), onset(v), weight)
}

// through says which calls went bad with it.
func through(v event.Verdict, lead event.Evidence) string {
	callee := OneLine(v.Through, nameLimit)
	switch {
	case callee == "":
		return ""
	case lead.Signal == event.SignalLatency:
		return "The calls that take longer are those to " + callee + "."
	default:
		return "The calls that fail are those to " + callee + "."
	}
}

func inconclusive(v event.Verdict) string {
	switch v.Reason {
	case event.ReasonThinData:
		return join(" ", "Not enough traffic to tell"+traffic(v)+".", canRuleOut(v))
	case event.ReasonNoData:
		return "No telemetry of " + newVersion(v.Deployment) + " came, so nothing can be told. " + carriesVersion
	case event.ReasonNoControl:
		return "There is nothing to compare with: no old version serves beside it, and there is no history of this service yet."
	case event.ReasonDataLost:
		if names := Losses(v.Losses); names != "" {
			return "Telemetry was lost, so a pass would prove nothing: " + names + "."
		}
		return "Telemetry was lost, so a pass would prove nothing."
	case event.ReasonNotWatched:
		return join(" ", "Nobody watched it to the end, so nothing is claimed.", detailOf(v))
	case event.ReasonSupersededWatch:
		return join(" ", "A newer deploy ended the watch before anything was proven.", couldHaveSeen(v))
	default:
		return join(" ", detailOr(v, "The watch ended before anything was proven."), couldHaveSeen(v))
	}
}

func exonerated(v event.Verdict) string {
	what := "It got worse"
	if lead, ok := strongest(v); ok && !lead.Within { // what is within tolerance is not what got worse
		switch lead.Signal {
		case event.SignalErrors:
			what = "Errors rose"
		case event.SignalLatency:
			what = "Latency rose"
		case event.SignalThroughput:
			what = "Throughput fell"
		default:
			what = capital(Subject(lead, v.Related)) + " " + change(lead)
		}
	}
	why := ""
	switch v.Reason {
	case event.ReasonBeganBefore:
		why = ": it began before it"
		if v.Onset != nil && !v.Deployment.StartedAt.IsZero() {
			if gap := v.Deployment.StartedAt.Sub(v.Onset.At); gap > 0 {
				why = ": it began " + Elapsed(gap) + " before it"
			}
		}
	case event.ReasonOldCohortAffected:
		old := OneLine(v.Deployment.PreviousLabel(), nameLimit)
		if old == "" {
			old = "the old version"
		}
		why = ": " + old + " has the same"
	case event.ReasonUpstreamFirst:
		why = ": a service that it calls moved first"
	}
	return join(" ", what+", but not because of this deploy"+why+".", detailOf(v))
}

// strongest is the indicator with the most evidence, harmful or not.
func strongest(v event.Verdict) (event.Evidence, bool) {
	if lead, ok := LeadOf(v); ok {
		return lead, true
	}
	if len(v.Evidence) == 0 {
		return event.Evidence{}, false
	}
	return v.Evidence[0], true
}

// detailOf is the engine's own words, as one sentence.
func detailOf(v event.Verdict) string { return detailOr(v, "") }

func detailOr(v event.Verdict, otherwise string) string {
	detail := OneLine(v.Detail, 2*messageLimit)
	if detail == "" {
		return otherwise
	}
	if !strings.HasSuffix(detail, ".") && !strings.HasSuffix(detail, "…") {
		detail += "."
	}
	return capital(detail)
}

// traffic writes the new version's rate of requests so far (": 3.1 req/s").
func traffic(v event.Verdict) string {
	elapsed := v.At.Sub(v.WatchedFrom).Seconds()
	if v.WatchedFrom.IsZero() || elapsed <= 0 {
		return ""
	}
	requests := 0.0
	for _, e := range v.Evidence {
		if e.Signal == event.SignalErrors && finite(e.New.Exposure) {
			requests += e.New.Exposure
		}
	}
	if requests <= 0 {
		return ""
	}
	return ": " + significant(requests/elapsed, 2) + " req/s"
}

// canRuleOut says which effect will have been excluded when: "I can rule out a
// rise of 1.9 points or more by 14:16Z."
func canRuleOut(v event.Verdict) string {
	effect := smallestEffect(v)
	if effect == "" {
		return ""
	}
	if v.ETA > 0 && !v.At.IsZero() {
		return "I can rule out " + effect + " or more by " + Clock(v.At.Add(v.ETA)) + "."
	}
	return "I could have seen " + effect + " or more."
}

func couldHaveSeen(v event.Verdict) string {
	if effect := smallestEffect(v); effect != "" {
		return capital(effect) + " or more would have been seen."
	}
	return ""
}

func smallestEffect(v event.Verdict) string {
	switch {
	case v.MinimumEffectAbs > 0 && finite(v.MinimumEffectAbs):
		points := significant(v.MinimumEffectAbs*100, 2)
		if points == "1" {
			return "a rise of 1 point"
		}
		return "a rise of " + points + " points"
	case v.MinimumEffect > 1 && finite(v.MinimumEffect):
		return "a rise of " + Ratio(v.MinimumEffect)
	default:
		return ""
	}
}

// remaining says how long a watch still lasts: "Decision expected in 4m."
func remaining(v event.Verdict) string {
	switch {
	case v.ETA > 0:
		return "A decision is expected in " + Elapsed(v.ETA) + "."
	case !v.WatchedTill.IsZero() && v.WatchedTill.After(v.At):
		return "The watch lasts until " + until(v.WatchedTill, v.At) + "."
	default:
		return ""
	}
}

// until writes a time that lies ahead, with the day when it is another one.
func until(t, now time.Time) string {
	if t.Sub(now) < 20*time.Hour {
		return Clock(t)
	}
	return Date(t)
}

// Resolution says how an anomaly ended: "rolled back: to 1.41.3 at 14:09Z".
func Resolution(c event.Closure) string {
	head := ""
	revision := shortRevision(c.Revision)
	switch c.Reason {
	case event.ClosedRolledBack:
		head = "rolled back"
	case event.ClosedFixedBy:
		head = join(" ", "fixed by", revision)
		if revision == "" {
			head = "fixed"
		}
	case event.ClosedRecovered:
		head = "recovered"
	case event.ClosedWaived:
		head = "waived"
		if by := OneLine(c.By, nameLimit); by != "" {
			head += " by " + by
		}
		if until := Date(c.Until); until != "" {
			head += " until " + until
		}
	case event.ClosedSuperseded:
		// By a deployment, or by nothing but time: the detail tells.
		if c.Detail == "" {
			head = "superseded"
		}
	case event.ClosedExonerated:
		head = "exonerated: not because of this deploy"
	case event.ClosedUnheard:
		head = "end unknown"
	default:
		head = OneLine(string(c.Reason), nameLimit)
		if head == "" {
			head = "closed"
		}
	}
	detail := OneLine(c.Detail, 2*messageLimit)
	// Do not stutter when the detail already says it.
	if strings.HasPrefix(strings.ToLower(detail), strings.ToLower(head)) {
		head = ""
	}
	text := join("; ", head, detail)
	if at := Clock(c.At); at != "" && !strings.Contains(text, strings.TrimSuffix(at, "Z")) {
		text += " (closed " + at + ")"
	}
	return capital(text)
}
