package alertmanagerexporter

import (
	"hash/fnv"
	"net/url"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/go-openapi/strfmt"
	"github.com/prometheus/alertmanager/api/v2/models"

	"github.com/deployloop/deployloop/internal/event"
	"github.com/deployloop/deployloop/internal/wording"
)

// Bounds of what an alert carries, in runes.
const (
	labelLimit      = 256
	annotationLimit = 1000
	exampleLimit    = 2000
)

// heartbeatsOpen is how many heartbeats an alert stays open without being repeated.
const heartbeatsOpen = 3

// The alert names.
const (
	alertRollUp  = "DeployRegressed"
	alertSymptom = "DeployRegression"
	alertPattern = "PatternChanged"
	alertBuild   = "BuildRegressed"
)

// ownLabels are the identity of an alert.
var ownLabels = map[string]bool{
	"alertname": true, "severity": true, "service": true, "environment": true, "signal": true,
	"operation": true, "deployment": true, "commit": true, "stage": true, "team": true,
}

// alertOf makes the alert of an anomaly as it is known at a.At. It is pure: the
// same record and configuration give the same alert, whatever was sent before.
//
// Labels come from the anomaly's frozen identity alone, never from values that
// change. An open alert ends three heartbeats after the record; a closed one at
// its closure, in every record alike. A record from a clock ahead of ours counts
// as of now, else its alert would outlive its heartbeats.
func alertOf(a event.Anomaly, now time.Time, cfg *Config) *models.PostableAlert {
	at := a.At
	if at.After(now) {
		at = now
	}
	ends := at.Add(heartbeatsOpen * cfg.Heartbeat)
	if closed(a) {
		ends = closedAt(a, at)
	}
	starts := a.StartsAt
	if starts.IsZero() {
		starts = a.DetectedAt
	}
	if starts.IsZero() || starts.After(ends) {
		// Alertmanager refuses an end before its start: an onset estimated
		// after the closure is then the closure.
		starts = ends
	}
	labels := labelsOf(a, cfg)
	annotations := annotationsOf(a, cfg, labels)
	return &models.PostableAlert{
		Alert: models.Alert{
			Labels:       labels,
			GeneratorURL: strfmt.URI(annotations["verdict_url"]),
		},
		Annotations: annotations,
		StartsAt:    strfmt.DateTime(starts.UTC()),
		EndsAt:      strfmt.DateTime(ends.UTC()),
	}
}

func closed(a event.Anomaly) bool { return !a.Open || a.Closure != nil }

func closedAt(a event.Anomaly, at time.Time) time.Time {
	if a.Closure != nil && !a.Closure.At.IsZero() && a.Closure.At.Before(at) {
		return a.Closure.At
	}
	return at
}

func alertName(kind event.AnomalyKind) string {
	switch kind {
	case event.KindDeployment:
		return alertRollUp
	case event.KindAlwaysOn:
		return alertPattern
	case event.KindBuild:
		return alertBuild
	default:
		return alertSymptom
	}
}

func labelsOf(a event.Anomaly, cfg *Config) models.LabelSet {
	labels := models.LabelSet{}
	for name, value := range cfg.Labels {
		put(labels, name, value)
	}
	put(labels, "alertname", alertName(a.Kind))
	put(labels, "severity", string(a.Severity))
	put(labels, "service", a.Service)
	put(labels, "environment", a.Environment)
	put(labels, "deployment", a.Deployment)
	put(labels, "commit", a.Commit)
	put(labels, "stage", string(a.Stage))
	put(labels, "team", a.Team)
	if a.Kind != event.KindDeployment {
		put(labels, "signal", string(a.Signal))
		put(labels, "operation", a.Operation)
	}
	return labels
}

// put sets a label. An empty one is left out, as Alertmanager would. A value
// that is too long is cut and ends in a hash of the whole, so that two
// operations with the same beginning stay two alerts.
func put(labels models.LabelSet, name, value string) {
	value = strings.ToValidUTF8(value, "\uFFFD")
	if value == "" {
		return
	}
	if utf8.RuneCountInString(value) > labelLimit {
		sum := fnv.New32a()
		_, _ = sum.Write([]byte(value))
		value = wording.Clip(value, labelLimit-9) + "#" + strconv.FormatUint(uint64(sum.Sum32()), 16)
	}
	labels[name] = value
}

func annotationsOf(a event.Anomaly, cfg *Config, labels models.LabelSet) models.LabelSet {
	notes := models.LabelSet{}
	note := func(name, text string, limit int) {
		if text = wording.Clip(strings.TrimSpace(text), limit); text != "" {
			notes[name] = text
		}
	}
	link := func(name, text string) {
		if len(text) <= exampleLimit { // half a URL leads nowhere
			note(name, webURL(text), exampleLimit)
		}
	}
	for name, text := range cfg.Annotations {
		note(name, text, annotationLimit)
	}
	note("summary", wording.Summary(a), wording.SummaryLimit)
	note("why", wording.Why(a), annotationLimit)
	if a.Evidence != nil {
		note("evidence", wording.EvidenceLine(*a.Evidence), annotationLimit)
	}
	if v := a.Verdict; v != nil {
		note("what_changed", wording.WhatChanged(*v), annotationLimit)
		note("suspect", wording.SuspectSentence(v.Suspicion), annotationLimit)
		note("changed", strings.Join(changedPlace(v.Suspicion), "\n"), exampleLimit)
		note("other_suspects", wording.OtherSuspects(v.Suspicion, 2), annotationLimit)
		note("impact", wording.ImpactLine(v.Impact), annotationLimit)
		note("affected", wording.AffectedLine(v.Affected), annotationLimit)
		note("fix", wording.Fix(*v), exampleLimit)
		note("fix_forward", wording.FixForward(v.Suspicion), annotationLimit)
		note("builds", wording.BuildsSentence(v.Builds), annotationLimit)
		if a.Evidence == nil {
			note("evidence", wording.EvidenceLines(*v, 3), annotationLimit)
		}
		traces, example := examplesOf(a)
		note("trace_examples", traces, annotationLimit)
		note("log_example", example, exampleLimit)
		commit, pull, compare := commitLinks(v)
		link("commit_url", commit)
		link("pull_url", pull)
		link("compare_url", compare)
	}
	if f := a.Feedback; f != nil {
		note("branch", f.Ref, labelLimit)
		note("suspect", wording.SuspectSentence(f.Suspicion), annotationLimit)
		note("other_suspects", wording.OtherSuspects(f.Suspicion, 2), annotationLimit)
		note("fix_forward", wording.FixForward(f.Suspicion), annotationLimit)
		note("run_again", wording.BuildFix(*f), annotationLimit)
		link("run_url", f.URL)
		if cfg.ConsoleURL != "" {
			link("verdict_url", strings.TrimRight(cfg.ConsoleURL, "/")+"/changes/"+url.PathEscape(a.Commit))
		}
	}
	if a.Closure != nil {
		note("resolution", wording.Resolution(*a.Closure), annotationLimit)
	}
	if cfg.ConsoleURL != "" && a.Deployment != "" {
		link("verdict_url", strings.TrimRight(cfg.ConsoleURL, "/")+"/deployments/"+url.PathEscape(a.Deployment))
	}
	link("runbook_url", fillURL(cfg.RunbookURL, a, labels))
	link("dashboard", fillURL(cfg.DashboardURL, a, labels))
	return notes
}

// changedPlace is the caption and the diff of the place that the error points to.
func changedPlace(s *event.Suspicion) []string {
	caption, diff := wording.ChangedPlace(s)
	if diff == "" {
		return nil
	}
	return []string{caption, diff}
}

// commitLinks are the URLs of the suspect commit, of the pull request that
// brought it, and of the range: where no commit is certain, of the range alone.
func commitLinks(v *event.Verdict) (commit, pull, compare string) {
	if v.Suspicion == nil || len(v.Suspicion.Suspects) == 0 {
		return "", "", ""
	}
	for _, s := range v.Suspicion.Suspects {
		if s.Change.Revision == v.Deployment.Revision && s.Change.CompareURL != "" {
			compare = s.Change.CompareURL
		}
	}
	first := v.Suspicion.Suspects[0].Change
	if compare == "" {
		compare = first.CompareURL
	}
	if v.Suspicion.Abstained {
		return "", "", compare
	}
	return first.URL, first.PullURL, compare
}

// examplesOf gives up to three trace ids and one error in its own words: the
// line of log and the exception with the top of its stack, else the request that
// failed, as far as there are such. The group that the leading indicator counts comes first, then the
// others, strongest first.
func examplesOf(a event.Anomaly) (traces, example string) {
	groups := a.Verdict.Related
	if lead, ok := wording.Lead(a); ok {
		if own, ok := wording.RelatedTo(lead, groups); ok {
			groups = append([]event.RelatedError{own}, groups...)
		}
	}
	var ids []string
	seen := map[string]bool{}
	line, thrown, failed := "", "", ""
	for _, g := range groups {
		for _, e := range g.Examples {
			if id := wording.OneLine(e.TraceID, 64); id != "" && !seen[id] && len(ids) < 3 {
				seen[id] = true
				ids = append(ids, id)
			}
			switch {
			case g.Signal == event.SignalLog && line == "":
				line = wording.OneLine(e.Message, annotationLimit)
			case g.Signal == event.SignalException && thrown == "":
				thrown = exceptionText(g, e)
			case g.Signal != event.SignalLog && failed == "":
				failed = exceptionText(g, e)
			}
		}
	}
	if thrown == "" {
		thrown = failed // a request that failed says less than what it threw
	}
	return strings.Join(ids, ", "), strings.TrimSpace(line + "\n" + thrown)
}

// exceptionText is an error as it was recorded: its message, and its stack cut
// to the top. Line breaks stay; they carry a stack's meaning.
func exceptionText(g event.RelatedError, e event.Example) string {
	const frames = 8
	lines := strings.SplitN(strings.TrimSpace(e.Stacktrace), "\n", frames+1)
	if len(lines) > frames {
		lines = append(lines[:frames], "…")
	}
	for i := range lines {
		lines[i] = wording.OneLine(lines[i], 300)
	}
	stack := strings.Join(lines, "\n")
	message := wording.OneLine(e.Message, annotationLimit)
	if message == "" {
		message = wording.ErrorName(g)
	}
	if len(e.Attributes) > 0 && e.Stacktrace == "" {
		var known []string
		for _, a := range e.Attributes[:min(len(e.Attributes), 6)] {
			known = append(known, wording.OneLine(a.Key+"="+a.Text, 120))
		}
		message += " (" + strings.Join(known, ", ") + ")"
	}
	if strings.Contains(lines[0], message) {
		return stack // whose first line says it already
	}
	return strings.TrimSpace(message + "\n" + stack)
}

// fillURL fills a link's template; each value is escaped for a URL's query.
func fillURL(template string, a event.Anomaly, labels models.LabelSet) string {
	if template == "" {
		return ""
	}
	pairs := []string{
		"{from}", strconv.FormatInt(a.StartsAt.Add(-15*time.Minute).UnixMilli(), 10),
		"{to}", strconv.FormatInt(a.StartsAt.Add(15*time.Minute).UnixMilli(), 10),
	}
	for _, name := range []string{"alertname", "service", "environment", "deployment", "commit", "signal", "operation"} {
		pairs = append(pairs, "{"+name+"}", url.QueryEscape(labels[name]))
	}
	return strings.NewReplacer(pairs...).Replace(template)
}
