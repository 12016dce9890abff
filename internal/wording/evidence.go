package wording

import (
	"strings"
	"unicode/utf8"

	"github.com/deployloop/deployloop/internal/event"
)

const (
	operationLimit = 80
	messageLimit   = 160
	nameLimit      = 80
)

// Subject names what an indicator measures: "POST /cart/checkout errors",
// "GET /search requests slower than 250 ms", "new TypeError: total is undefined".
func Subject(e event.Evidence, related []event.RelatedError) string {
	what := measure(e, related)
	switch e.Signal {
	case event.SignalException, event.SignalLog:
		return what // where it was thrown is part of the proof, not of its name
	default:
		return join(" ", OneLine(e.Operation, operationLimit), what)
	}
}

// measure is Subject without the operation.
func measure(e event.Evidence, related []event.RelatedError) string {
	detail := OneLine(e.Detail, nameLimit)
	switch e.Signal {
	case event.SignalErrors:
		return "errors"
	case event.SignalLatency:
		if bound, ok := strings.CutPrefix(detail, ">"); ok {
			return "requests slower than " + strings.TrimSpace(bound)
		}
		return join(" ", "latency", detail)
	case event.SignalException:
		if r, ok := RelatedTo(e, related); ok {
			return newness(e) + ErrorName(r)
		}
		return newness(e) + join(" ", "exception", detail)
	case event.SignalLog:
		if r, ok := RelatedTo(e, related); ok {
			return newness(e) + ErrorName(r)
		}
		return newness(e) + join(" ", "log line", detail)
	case event.SignalThroughput:
		return join(" ", "throughput", detail)
	case event.SignalBuild:
		return join(" ", "build failures", detail)
	case event.SignalTest:
		return join(" ", "test failures", detail)
	default:
		return join(" ", OneLine(string(e.Signal), 20), detail)
	}
}

func newness(e event.Evidence) string {
	if e.FirstEver {
		return "new "
	}
	return ""
}

// RelatedTo finds the group of errors that an indicator counts.
func RelatedTo(e event.Evidence, related []event.RelatedError) (event.RelatedError, bool) {
	for _, r := range related {
		if r.Fingerprint != "" && r.Fingerprint == e.Detail {
			return r, true
		}
		if r.Template != "" && r.Template == e.Detail {
			return r, true
		}
	}
	// An indicator may name its group in words of its own; the only group of
	// its signal is then the one.
	var only *event.RelatedError
	for i := range related {
		if related[i].Signal != e.Signal {
			continue
		}
		if only != nil {
			return event.RelatedError{}, false
		}
		only = &related[i]
	}
	if only == nil {
		return event.RelatedError{}, false
	}
	return *only, true
}

// ErrorName names a group of errors: "TypeError: total is undefined", its log
// template in quotes, or the operation that failed.
func ErrorName(r event.RelatedError) string {
	kind, message := OneLine(r.Type, nameLimit), OneLine(r.Message, messageLimit)
	switch {
	case kind != "" && message != "" && !strings.HasPrefix(message, kind):
		return kind + ": " + message
	case message != "" && kind != "":
		return message
	case kind != "":
		return kind
	case r.Template != "":
		return "“" + OneLine(r.Template, messageLimit) + "”"
	case message != "":
		return "“" + message + "”"
	case r.Operation != "":
		return OneLine(r.Operation, operationLimit) + " failed"
	default:
		return "error " + OneLine(r.Fingerprint, 40)
	}
}

// Where writes a frame as "cart/total.ts:88"; "" when it has no file.
func Where(f event.Frame) string {
	file := pathEnd(f.File, nameLimit)
	if file == "" {
		return ""
	}
	if f.Line <= 0 {
		return file
	}
	return file + ":" + plain(float64(f.Line), 0)
}

// pathEnd is OneLine of a path, cut at its begin: what tells files apart is the
// end.
func pathEnd(path string, limit int) string {
	runes := []rune(OneLine(path, utf8.RuneCountInString(path)))
	if len(runes) <= limit {
		return string(runes)
	}
	end := string(runes[len(runes)-limit+1:])
	if i := strings.IndexByte(end[:len(end)-1], '/'); i >= 0 {
		end = end[i:]
	}
	return "…" + end
}

// change writes what an indicator did: "0.21% → 4.8% (×23)".
func change(e event.Evidence) string {
	text := Value(e.Before, e.Unit) + " → " + Value(e.After, e.Unit)
	if e.Before > 0 {
		if ratio := Ratio(e.Ratio); ratio != "" {
			return text + " (" + ratio + ")"
		}
	}
	return text
}

// EvidenceLine writes one indicator with its numbers and its certainty:
// "POST /cart/checkout errors: 0.21% → 4.8% (×23), 95% CI +4.1 pp … +5.2 pp;
// new 48 of 1,000, old 2 of 950; 12.1 nats of 6.9 needed".
func EvidenceLine(e event.Evidence) string { return evidenceLine(e, nil) }

func evidenceLine(e event.Evidence, related []event.RelatedError) string {
	counts := ""
	if e.New.Exposure > 0 {
		counts = "new " + occurrences(e.New)
		if e.Old.Exposure > 0 {
			counts += ", old " + occurrences(e.Old)
		}
	}
	weight := ""
	if finite(e.Nats) && e.Nats > 0 {
		weight = significant(e.Nats, 3) + " nats"
		if e.Threshold > 0 && finite(e.Threshold) {
			weight += " of " + significant(e.Threshold, 3) + " needed"
		}
	}
	return Subject(e, related) + ": " + join("; ",
		join(", ", change(e), Interval(e.Interval, e.Unit)),
		judgement(e), counts, weight)
}

func occurrences(c event.Count) string {
	return Count(c.Events) + " of " + Count(c.Exposure)
}

// judgement says in words what an indicator's flags mean.
func judgement(e event.Evidence) string {
	switch {
	case e.Harm:
		return ""
	case e.Improved:
		return "better"
	case e.Within:
		return "within tolerance"
	default:
		return "not certain"
	}
}

// Comparison says against what the new version was compared; "" when unknown.
func Comparison(control event.ControlKind, previous string) string {
	before := "the old version"
	if previous = OneLine(previous, nameLimit); previous != "" {
		before = previous
	}
	switch control {
	case event.ControlConcurrent:
		return "instances of " + before + " serving beside it"
	case event.ControlHistory:
		return "the same service just before"
	case event.ControlPeers:
		return "services that were not deployed"
	default:
		return ""
	}
}
