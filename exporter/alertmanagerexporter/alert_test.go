package alertmanagerexporter

import (
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/go-openapi/strfmt"
	"github.com/prometheus/alertmanager/api/v2/models"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/deployloop/deployloop/internal/event"
)

var noon = time.Date(2026, 11, 23, 14, 3, 30, 0, time.UTC)

func alertConfig() *Config {
	cfg := configFor("http://127.0.0.1:9093")
	cfg.ConsoleURL = "http://127.0.0.1:8090/"
	cfg.RunbookURL = "https://runbooks.example/{alertname}?op={operation}"
	cfg.DashboardURL = "https://grafana.example/d/x?var-service={service}&from={from}&to={to}"
	cfg.Labels = map[string]string{"cluster": "eu-1"}
	cfg.Annotations = map[string]string{"contact": "#shop", "summary": "never shown"}
	return cfg
}

func TestAlertOfASymptom(t *testing.T) {
	alert := alertOf(symptomAt(noon), noon, alertConfig())
	assert.Equal(t, models.LabelSet{
		"alertname": "DeployRegression", "severity": "critical", "service": "checkout", "environment": "production",
		"signal": "errors", "operation": "POST /cart/checkout", "deployment": "0123456789ab", "commit": badRevision,
		"stage": "post-deploy", "team": "shop", "cluster": "eu-1",
	}, alert.Labels)
	assert.Equal(t, noon.Add(-10*time.Second), time.Time(alert.StartsAt))
	assert.Equal(t, noon.Add(90*time.Second), time.Time(alert.EndsAt))
	assert.Equal(t, models.LabelSet{
		"summary":        "checkout POST /cart/checkout errors 0.21% → 4.8% (×23) since 9f2c1ab went out at 14:03Z",
		"what_changed":   "checkout 1.41.3 → 1.42.0 (9f2c1ab, 7 commits a1b2c3d..9f2c1ab) in production, from 14:03:05Z",
		"why":            "POST /cart/checkout errors: 0.21% → 4.8% (×23), 95% CI +4.1 pp … +5.2 pp. Only the new version has TypeError: total is undefined at cart/total.ts:88. Compared with instances of 1.41.3 serving beside it.",
		"suspect":        "9f2c1ab “Round totals” by Ada, 83%",
		"impact":         "about 310 users so far",
		"fix":            "./rollback checkout 1.41.3",
		"fix_forward":    "git revert " + badRevision,
		"evidence":       "POST /cart/checkout errors: 0.21% → 4.8% (×23), 95% CI +4.1 pp … +5.2 pp; 12.1 nats of 6.91 needed",
		"trace_examples": "aaaa, bbbb",
		"log_example":    "checkout failed: total is undefined\nTypeError: total is undefined\nat total (cart/total.ts:88:9)",
		"commit_url":     "https://git.example/acme/shop/commit/9f2c1ab",
		"compare_url":    "https://git.example/acme/shop/compare/a1b2c3d...9f2c1ab",
		"verdict_url":    "http://127.0.0.1:8090/deployments/0123456789ab",
		"runbook_url":    "https://runbooks.example/DeployRegression?op=POST+%2Fcart%2Fcheckout",
		"dashboard":      "https://grafana.example/d/x?var-service=checkout&from=1795441700000&to=1795443500000",
		"contact":        "#shop",
	}, alert.Annotations)
	assert.Equal(t, "http://127.0.0.1:8090/deployments/0123456789ab", string(alert.GeneratorURL))
	require.NoError(t, alert.Validate(strfmt.Default))
}

func TestAlertOfARollUp(t *testing.T) {
	alert := alertOf(rollUpAt(noon), noon, alertConfig())
	assert.Equal(t, "DeployRegressed", alert.Labels["alertname"])
	assert.NotContains(t, alert.Labels, "signal")
	assert.NotContains(t, alert.Labels, "operation")
	for _, name := range []string{"summary", "why", "suspect", "fix", "evidence", "log_example"} {
		assert.NotEmpty(t, alert.Annotations[name], name)
	}
}

// Beside the suspect stand the lines that the error points to, their owner, the
// pull request, the exact way back, and who else feels it.
func TestSuspectsInContext(t *testing.T) {
	a := rollUpAt(noon)
	s := a.Verdict.Suspicion
	s.Suspects[0].File, s.Suspects[0].Line, s.Suspects[0].Owners = "cart/total.ts", 88, []string{"@acme/cart"}
	s.Suspects[0].PointedBy, s.Suspects[0].Hunk = "total (cart/total.ts:88)", "@@ -88 +88 @@\n-  return sum\n+  return sum.toFixed(2)\n"
	s.Suspects[0].Change.PullURL = "https://git.example/acme/shop/pull/412"
	s.Suspects = append(s.Suspects, event.Suspect{Probability: .07, Change: event.Change{Revision: strings.Repeat("a", 40), Message: "Move rules", Author: "Lin"}})
	a.Verdict.Affected = []event.Affected{{Service: "web", Calls: "checkout", Requests: 2900, Failed: 348, Share: .12, Before: .001}}
	notes := alertOf(a, noon, alertConfig()).Annotations
	for name, want := range map[string]string{
		"suspect":        "9f2c1ab “Round totals” by Ada (owned by @acme/cart), 83%",
		"changed":        "cart/total.ts:88, where total (cart/total.ts:88) points\n@@ -88 +88 @@\n-  return sum\n+  return sum.toFixed(2)",
		"other_suspects": "aaaaaaa “Move rules” by Lin, 7%",
		"affected":       "web: 12% of 2,900 calls to checkout fail (0.1% before)",
		"fix_forward":    "git revert " + badRevision,
		"pull_url":       "https://git.example/acme/shop/pull/412",
	} {
		assert.Equal(t, want, notes[name], name)
	}
	s.Abstained, s.Suspects[0].Probability = true, .4
	notes = alertOf(a, noon, alertConfig()).Annotations
	assert.Equal(t, "this deployment; the commit is not certain (7 commits in a1b2c3d..9f2c1ab)", notes["suspect"])
	assert.Contains(t, notes["other_suspects"], "9f2c1ab")
	assert.NotContains(t, notes["fix_forward"], "git revert")
	assert.NotContains(t, notes, "pull_url")
}

// The end of an alert: three heartbeats ahead while it is open, frozen when it
// is closed, never before its start.
func TestEndOfAnAlert(t *testing.T) {
	cfg := alertConfig()
	open := symptomAt(noon)
	closing := closedAtTime(open, noon.Add(time.Minute))
	odd := closedAtTime(open, noon)
	odd.StartsAt = noon.Add(time.Hour)
	for name, c := range map[string]struct {
		anomaly event.Anomaly
		now     time.Time
		want    time.Time
	}{
		"open":                     {open, noon.Add(5 * time.Second), noon.Add(90 * time.Second)},
		"open, repeated":           {repeated(open, noon.Add(30*time.Second)), noon.Add(30 * time.Second), noon.Add(120 * time.Second)},
		"open, of a clock ahead":   {repeated(open, noon.Add(time.Hour)), noon, noon.Add(90 * time.Second)},
		"closed":                   {closing, noon.Add(time.Minute), noon.Add(time.Minute)},
		"closed, repeated":         {repeated(closing, noon.Add(9*time.Minute)), noon.Add(9 * time.Minute), noon.Add(time.Minute)},
		"closed before its onset":  {odd, noon, noon},
		"closed without a closure": {func() event.Anomaly { a := open; a.Open = false; return a }(), noon, noon},
	} {
		t.Run(name, func(t *testing.T) {
			alert := alertOf(c.anomaly, c.now, cfg)
			assert.Equal(t, c.want, time.Time(alert.EndsAt))
			assert.False(t, time.Time(alert.StartsAt).After(time.Time(alert.EndsAt)))
		})
	}
	assert.Equal(t, "Rolled back to 1.41.3 at 14:09Z (closed 14:04Z)", alertOf(closing, noon, cfg).Annotations["resolution"])
}

// Whatever changes in the state of an anomaly, its labels stay.
func TestLabelsNeverHoldValues(t *testing.T) {
	cfg := alertConfig()
	first := alertOf(symptomAt(noon), noon, cfg)
	later := symptomAt(noon)
	later.At = noon.Add(time.Minute)
	later.Evidence.After, later.Evidence.Nats, later.Verdict.Nats = 0.5, 99, 99
	later.Verdict.State, later.Verdict.Suspicion, later.Verdict.Impact = event.Watching, nil, event.Impact{Users: 9999}
	later.Verdict.Deployment.Version, later.Verdict.Deployment.Revision = "2.0.0", "other"
	changed := alertOf(closedAtTime(later, later.At), later.At, cfg)
	assert.Equal(t, first.Labels, changed.Labels)
	assert.Equal(t, first.StartsAt, changed.StartsAt)
}

func TestLongOperationsStayApart(t *testing.T) {
	cfg := alertConfig()
	one, two := symptomAt(noon), symptomAt(noon)
	one.Operation, two.Operation = strings.Repeat("é", 400)+"1", strings.Repeat("é", 400)+"2"
	a, b := alertOf(one, noon, cfg).Labels["operation"], alertOf(two, noon, cfg).Labels["operation"]
	assert.NotEqual(t, a, b)
	assert.LessOrEqual(t, utf8.RuneCountInString(a), labelLimit)
}

// A request that failed is an example only where nothing was thrown or logged.
func TestTheExampleThatSaysMost(t *testing.T) {
	a := symptomAt(noon)
	failed := event.RelatedError{
		Signal: event.SignalErrors, Fingerprint: "failed POST /cart/checkout", Operation: "POST /cart/checkout",
		Examples: []event.Example{{TraceID: "cccc", Attributes: []event.KeyText{{Key: "http.response.status_code", Text: "500"}}}},
	}
	a.Verdict.Related = append([]event.RelatedError{failed}, a.Verdict.Related...)
	traces, example := examplesOf(a)
	assert.Equal(t, "cccc, aaaa, bbbb", traces)
	assert.Equal(t, "checkout failed: total is undefined\nTypeError: total is undefined\nat total (cart/total.ts:88:9)", example)

	a.Verdict.Related = []event.RelatedError{failed}
	_, example = examplesOf(a)
	assert.Equal(t, "POST /cart/checkout failed (http.response.status_code=500)", example)
}

func TestOnlyWebLinksAreShown(t *testing.T) {
	a := symptomAt(noon)
	a.Verdict.Suspicion.Suspects[0].Change.URL = "javascript:alert(1)"
	a.Verdict.Suspicion.Suspects[0].Change.CompareURL = "https://git.example/" + strings.Repeat("x", 5000)
	annotations := alertOf(a, noon, alertConfig()).Annotations
	assert.NotContains(t, annotations, "commit_url")
	assert.NotContains(t, annotations, "compare_url", "half a URL leads nowhere")
}

// Whatever comes from outside, Alertmanager's own model finds the alert valid,
// and it is bounded.
func TestEveryAlertIsValidAndBounded(t *testing.T) {
	cfg := alertConfig()
	rapid.Check(t, func(r *rapid.T) {
		text := func(name string) string {
			return rapid.OneOf(rapid.String(), rapid.Map(rapid.SliceOf(rapid.Byte()), func(b []byte) string { return string(b) }),
				rapid.Just(strings.Repeat("long é\n", 3000))).Draw(r, name)
		}
		a := symptomAt(noon)
		a.Service, a.Operation, a.Environment, a.Commit, a.Team = text("service"), text("operation"), text("environment"), text("commit"), text("team")
		a.Verdict.Related[0].Examples[0].Stacktrace = text("stack")
		a.Verdict.Related[0].Message = text("message")
		a.Verdict.Deployment.RollbackCommand = text("command")
		a.Verdict.Suspicion.Suspects[0].Change.Message = text("title")
		a.Verdict.Suspicion.Suspects[0].Change.URL = text("url")
		alert := alertOf(a, noon, cfg)
		if err := alert.Validate(strfmt.Default); err != nil {
			r.Fatalf("invalid: %v", err)
		}
		for name, value := range alert.Labels {
			if !utf8.ValidString(value) || utf8.RuneCountInString(value) > labelLimit || value == "" {
				r.Fatalf("label %s: %q", name, value)
			}
		}
		size := 0
		for name, value := range alert.Annotations {
			size += len(value)
			if !utf8.ValidString(value) || utf8.RuneCountInString(value) > exampleLimit {
				r.Fatalf("annotation %s: %d runes", name, utf8.RuneCountInString(value))
			}
		}
		if size > 64<<10 {
			r.Fatalf("annotations of %d bytes", size)
		}
	})
}

func TestAlertOfABranch(t *testing.T) {
	a := event.Anomaly{
		ID: "b1", Kind: event.KindBuild, Service: "acme/shop", Commit: badRevision, Stage: event.StageTest, Signal: event.SignalTest,
		Severity: event.SeverityWarning, Mode: event.Advise, StartsAt: noon.Add(-time.Minute), DetectedAt: noon, At: noon, Open: true,
		Feedback: &event.Feedback{Repository: "acme/shop", Ref: "main", URL: "https://forge.example/runs/7", Judgements: []event.Judgement{{
			Call: event.NewFailure, LastPass: "a1b2c3d", FirstBad: badRevision,
			Test: &event.TestResult{Suite: "acme/cart", Case: "TestTotal", File: "total_test.go", Line: 14, Message: "want 3, got 4"}}}},
	}
	alert := alertOf(a, noon, alertConfig())
	assert.Equal(t, models.LabelSet{
		"alertname": "BuildRegressed", "severity": "warning", "service": "acme/shop", "signal": "test", "commit": badRevision, "stage": "test", "cluster": "eu-1",
	}, alert.Labels)
	assert.Contains(t, alert.Annotations["summary"], "acme/shop main: acme/cart TestTotal fails since ")
	assert.Equal(t, "new failure: acme/cart TestTotal (total_test.go:14): want 3, got 4", alert.Annotations["why"])
	assert.Equal(t, "go test -count=1 -run '^TestTotal$' acme/cart", alert.Annotations["run_again"])
	assert.Equal(t, "https://forge.example/runs/7", alert.Annotations["run_url"])
	assert.Equal(t, "main", alert.Annotations["branch"])
	assert.Equal(t, "http://127.0.0.1:8090/changes/"+badRevision, alert.Annotations["verdict_url"])

	// What is mended while it is open moves no label.
	a.Feedback.Judgements[0].Closure = &event.Closure{Reason: event.ClosedFixedBy, Detail: "passes since 9f2c1ab"}
	a.Open, a.Closure = false, &event.Closure{Reason: event.ClosedFixedBy, Revision: "c3d4e5f", Detail: "passes since c3d4e5f", At: noon}
	closed := alertOf(a, noon.Add(time.Minute), alertConfig())
	assert.Equal(t, alert.Labels, closed.Labels)
	assert.Equal(t, noon, time.Time(closed.EndsAt))
	assert.Contains(t, closed.Annotations["resolution"], "passes since c3d4e5f")
}
