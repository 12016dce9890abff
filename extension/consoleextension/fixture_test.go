package consoleextension

import (
	"context"
	"crypto/sha1"
	"encoding/hex"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/confmap"
	"go.opentelemetry.io/collector/extension/extensioncapabilities"
	"go.opentelemetry.io/collector/extension/extensiontest"

	"github.com/deployloop/deployloop/internal/event"
	"github.com/deployloop/deployloop/internal/ledger"
)

// noon is when the scenes of the tests play.
var noon = time.Date(2026, 11, 23, 14, 6, 0, 0, time.UTC)

// afternoon is an afternoon at the shop, as it is known at now.
type afternoon struct{ now time.Time }

func (p afternoon) at(before time.Duration) time.Time { return p.now.Add(-before) }

func revision(n int) string {
	sum := sha1.Sum([]byte(fmt.Sprint("commit ", n)))
	return hex.EncodeToString(sum[:])
}

// ledgerExtension is the ledger as a component: what the console asks of its host.
type ledgerExtension struct {
	*ledger.Ledger
	component.StartFunc
	component.ShutdownFunc
}

type host map[component.ID]component.Component

func (h host) GetExtensions() map[component.ID]component.Component { return h }

// start runs a console on a free port over l, with the clock at now.
func start(t testing.TB, l *ledger.Ledger, now func() time.Time, change ...func(*Config)) (*console, string) {
	t.Helper()
	cfg := createDefaultConfig().(*Config)
	cfg.NetAddr.Endpoint = "127.0.0.1:0"
	for _, f := range change {
		f(cfg)
	}
	require.NoError(t, cfg.Validate())
	ext, err := NewFactory().Create(context.Background(), extensiontest.NewNopSettings(Type), cfg)
	require.NoError(t, err)
	c := ext.(*console)
	c.site.now = now
	require.NoError(t, c.Start(context.Background(), host{component.MustNewID("ledger"): ledgerExtension{Ledger: l}}))
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		require.NoError(t, c.Shutdown(ctx))
	})
	require.NoError(t, c.NotifyConfigSnapshot(context.Background(), extensioncapabilities.NewConfigSnapshot(confmap.NewFromStringMap(wholeConfig()), confmap.New())))
	return c, c.site.ownURL()
}

// handler is the site without a listener, for tests of single answers.
func handler(t testing.TB, l *ledger.Ledger, change ...func(*Config)) http.Handler {
	t.Helper()
	cfg := createDefaultConfig().(*Config)
	for _, f := range change {
		f(cfg)
	}
	s := newSite(cfg, newHub(cfg.MaxLiveClients), "v0.1.0")
	s.show(l)
	s.address = "127.0.0.1:8090"
	s.now = func() time.Time { return noon }
	s.setSetup(readSetup(confmap.NewFromStringMap(wholeConfig())))
	return s.handler()
}

func get(t testing.TB, h http.Handler, target string, headers ...string) *httptest.ResponseRecorder {
	t.Helper()
	r := httptest.NewRequest(http.MethodGet, target, nil)
	r.Host = "127.0.0.1:8090"
	for i := 0; i+1 < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w
}

// wholeConfig is a configuration as the Collector tells it.
func wholeConfig() map[string]any {
	return map[string]any{
		"receivers": map[string]any{
			"otlp": map[string]any{"protocols": map[string]any{"grpc": map[string]any{"endpoint": "127.0.0.1:4317"}, "http": nil}},
			"cicd": map[string]any{"endpoint": "127.0.0.1:8088", "github": map[string]any{"secret": "s3cret"}},
		},
		"processors": map[string]any{"deploy_marker": map[string]any{"ledger": "ledger"}},
		"connectors": map[string]any{"anomaly": map[string]any{"mode": "advise"}},
		"exporters":  map[string]any{"alertmanager": map[string]any{"endpoints": []any{"http://user:pw@127.0.0.1:9093"}}},
		"service": map[string]any{"pipelines": map[string]any{
			"traces":        map[string]any{"receivers": []any{"otlp", "cicd"}, "processors": []any{"deploy_marker"}, "exporters": []any{"anomaly"}},
			"logs/verdicts": map[string]any{"receivers": []any{"anomaly"}, "exporters": []any{"alertmanager"}},
		}},
	}
}

const shop = "acme/shop"

// commits of the shop, oldest first.
var commits = []struct{ author, message string }{
	{"Ada Moreau", "Cache the product list for five seconds"},
	{"Grace Osei", "Add a timeout to calls of payments"},
	{"Lin Zhao", "Show delivery dates in the cart"},
	{"Ada Moreau", "Move price rules into their own package"},
	{"Sam Rivera", "Update the README"},
	{"Lin Zhao", "Round totals to cents in the cart\n\nThe total was shown with three digits for some currencies."},
	{"Grace Osei", "Log the cart's size at checkout"},
}

// play fills a ledger with an afternoon at the shop: healthy, inconclusive and
// exonerated deployments, one that regressed, one being watched, and commits
// on their way. It returns the id of the regressed deployment.
func (p afternoon) play(t testing.TB, l *ledger.Ledger) string {
	t.Helper()
	for i, c := range commits {
		rev := revision(i)
		change := event.Change{
			Repository: shop, Ref: "refs/heads/main", Revision: rev, Message: c.message, Author: c.author,
			At: p.at(time.Duration(len(commits)-i)*11*time.Minute + 4*time.Minute), URL: "https://forge.example/" + shop + "/commit/" + rev,
			CompareURL: "https://forge.example/" + shop + "/compare/main", Modified: []string{"services/checkout/cart/total.ts"},
		}
		if i > 0 {
			change.Previous, change.Parents = revision(i-1), []string{revision(i - 1)}
		}
		l.RecordChange(change)
		for k, stage := range []event.Stage{event.StageBuild, event.StageTest} {
			began := change.At.Add(time.Duration(k) * 70 * time.Second)
			l.RecordPipelineRun(event.PipelineRun{
				ID: fmt.Sprintf("%d-%s", 100+i, stage), Pipeline: "ci", Task: string(stage), Stage: stage, State: "finished", Result: "success",
				Repository: shop, Revision: rev, URL: "https://forge.example/" + shop + "/runs/" + fmt.Sprint(100+i),
				StartedAt: began, FinishedAt: began.Add(time.Duration(48+9*i) * time.Second), Source: "github",
			})
		}
	}

	told := func(service, environment string, rev, prev int, version, previous string, before time.Duration) event.Deployment {
		d := event.Deployment{
			Service: service, Environment: environment, Version: version, PreviousVersion: previous, Repository: shop,
			Status: event.DeploymentSucceeded, StartedAt: p.at(before), FinishedAt: p.at(before - 40*time.Second), FirstSeenAt: p.at(before - 8*time.Second),
			URL:     "https://forge.example/" + shop + "/actions/runs/771",
			Sources: []event.Source{{Name: "github", ID: "deployment 771", At: p.at(before)}},
		}
		if rev >= 0 {
			d.Revision = revision(rev)
		}
		if prev >= 0 {
			d.PreviousRevision = revision(prev)
		}
		l.RecordDeployment(d)
		became, _ := l.RecordDeployment(event.Deployment{
			Service: service, Environment: environment, Version: version, Revision: d.Revision, StartedAt: p.at(before - 8*time.Second),
			FirstSeenAt: p.at(before - 8*time.Second), Sources: []event.Source{{Name: "telemetry", At: p.at(before - 8*time.Second)}},
		})
		return became
	}
	for _, b := range []event.Deployment{
		{Service: "checkout", Environment: "production", Version: "1.40.0", StartedAt: p.at(9 * time.Hour), Baseline: true, Sources: []event.Source{{Name: "telemetry", At: p.at(9 * time.Hour)}}},
		{Service: "payments", Environment: "production", Version: "2.7.1", StartedAt: p.at(9 * time.Hour), Baseline: true, Sources: []event.Source{{Name: "telemetry", At: p.at(9 * time.Hour)}}},
	} {
		l.RecordDeployment(b)
	}

	judge := func(d event.Deployment, state event.VerdictState, reason event.Reason, change func(*event.Verdict)) {
		v := event.Verdict{
			Deployment: d, State: state, Reason: reason, Mode: event.Advise, At: p.at(2 * time.Second), WatchedFrom: d.FirstSeenAt,
			WatchedTill: d.FirstSeenAt.Add(24 * time.Hour), Nats: 0.4, Threshold: 6.91, Control: event.ControlConcurrent,
		}
		change(&v)
		l.RecordVerdict(v)
	}
	quiet := []event.Evidence{{
		Signal: event.SignalErrors, Operation: "GET /products", Unit: "1", Before: 0.0019, After: 0.0018, Ratio: 0.95, Interval: [2]float64{-0.0006, 0.0004},
		Nats: 0.1, Threshold: 6.91, New: event.Count{Events: 21, Exposure: 11640}, Old: event.Count{Events: 199, Exposure: 104700}, Control: event.ControlConcurrent, Critical: true, Within: true,
	}}

	judge(told("checkout", "production", 1, -1, "1.41.2", "1.40.0", 3*time.Hour), event.Healthy, event.ReasonWithinTolerance, func(v *event.Verdict) {
		v.HealthyAt, v.Evidence = v.WatchedFrom.Add(4*time.Minute), quiet
	})
	judge(told("search", "production", -1, -1, "0.9.4", "0.9.3", 2*time.Hour), event.Inconclusive, event.ReasonThinData, func(v *event.Verdict) {
		v.MinimumEffectAbs, v.Control = 0.019, event.ControlHistory
	})
	judge(told("payments", "production", 2, -1, "2.8.0", "2.7.1", 95*time.Minute), event.Exonerated, event.ReasonBeganBefore, func(v *event.Verdict) {
		v.Onset = &event.Onset{At: p.at(99 * time.Minute), Earliest: p.at(100 * time.Minute), Latest: p.at(98 * time.Minute)}
		v.Evidence = []event.Evidence{{Signal: event.SignalErrors, Operation: "POST /charge", Unit: "1", Before: 0.002, After: 0.03, Ratio: 15, Harm: true, Nats: 30}}
		v.Detail = "first to move: payments-db"
	})
	judge(told("checkout", "production", 2, 1, "1.41.3", "1.41.2", 70*time.Minute), event.Healthy, event.ReasonWithinTolerance, func(v *event.Verdict) {
		v.HealthyAt, v.Evidence = v.WatchedFrom.Add(3*time.Minute+20*time.Second), quiet
	})
	judge(told("catalog", "production", 4, 3, "3.2.0", "3.1.9", 41*time.Second), event.Watching, event.ReasonCollecting, func(v *event.Verdict) {
		v.Calibrating, v.ETA, v.MinimumEffectAbs, v.Nats = true, 3*time.Minute, 0.012, 1.1
	})

	old := event.Anomaly{ID: event.AnomalyID("gone", event.KindDeployment, "", ""), Kind: event.KindDeployment, Service: "search", Environment: "production",
		Deployment: "gone", Commit: revision(0), Stage: event.StagePostDeploy, Severity: event.SeverityWarning, Mode: event.Advise,
		StartsAt: p.at(26 * time.Hour), DetectedAt: p.at(26 * time.Hour), At: p.at(26 * time.Hour), Open: true}
	l.RecordAnomaly(old)
	require.True(t, l.CloseAnomaly(old.ID, event.Closure{Reason: event.ClosedRolledBack, Detail: "rolled back to 0.9.2 at 12:31Z; errors are back to 0.2%", Revision: revision(1), At: p.at(25 * time.Hour)}))
	bad := p.badDeployment(l)
	verdict := p.badVerdict(bad)
	l.RecordVerdict(verdict)
	recordAlerts(l, verdict)
	return bad.ID
}

// badDeployment records the rollout of checkout 1.42.0.
func (p afternoon) badDeployment(l *ledger.Ledger) event.Deployment {
	l.RecordDeployment(event.Deployment{
		Service: "checkout", Environment: "production", Revision: revision(5), PreviousRevision: revision(2), Version: "1.42.0", PreviousVersion: "1.41.3",
		Status: event.DeploymentStarted, StartedAt: p.at(2*time.Minute + 55*time.Second), FirstSeenAt: p.at(2*time.Minute + 46*time.Second), Repository: shop,
		URL: "https://forge.example/" + shop + "/actions/runs/774", RollbackCommand: "kubectl -n shop rollout undo deployment/checkout --to-revision=41",
		Sources: []event.Source{{Name: "github", ID: "deployment 774", At: p.at(2*time.Minute + 55*time.Second)}},
	})
	d, _ := l.RecordDeployment(event.Deployment{
		Service: "checkout", Environment: "production", Revision: revision(5), Version: "1.42.0", StartedAt: p.at(2*time.Minute + 46*time.Second),
		FirstSeenAt: p.at(2*time.Minute + 46*time.Second), Sources: []event.Source{{Name: "telemetry", At: p.at(2*time.Minute + 46*time.Second)}},
	})
	return d
}

// badVerdict is what the engine says of it.
func (p afternoon) badVerdict(d event.Deployment) event.Verdict {
	onset := p.at(2*time.Minute + 40*time.Second)
	trace := "4bf92f3577b34da6a3ce929d0e0e4736"
	return event.Verdict{
		Deployment: d, State: event.Regressed, Reason: event.ReasonEvidenceOfHarm, Mode: event.Advise, At: p.at(2 * time.Second),
		WatchedFrom: d.FirstSeenAt, WatchedTill: d.FirstSeenAt.Add(24 * time.Hour), RegressedAt: onset.Add(8 * time.Second), FirstBadAt: onset,
		Nats: 61.3, Threshold: 6.91, Control: event.ControlConcurrent, ControlDetail: "6 instances of 1.41.3 serve beside 2 of 1.42.0",
		Onset: &event.Onset{At: onset, Earliest: onset.Add(-time.Second), Latest: onset.Add(2 * time.Second)},
		Evidence: []event.Evidence{
			{Signal: event.SignalErrors, Operation: "POST /cart/checkout", Unit: "1", Before: 0.0021, After: 0.048, Ratio: 22.9, Interval: [2]float64{0.041, 0.052},
				Nats: 58.2, Threshold: 6.91, New: event.Count{Events: 337, Exposure: 7020}, Old: event.Count{Events: 132, Exposure: 62900}, Control: event.ControlConcurrent, Harm: true, Critical: true},
			{Signal: event.SignalException, Operation: "POST /cart/checkout", Detail: "f1", Unit: "1", Before: 0, After: 0.047, Interval: [2]float64{0.042, 0.052},
				Nats: 49.9, Threshold: 6.91, New: event.Count{Events: 331, Exposure: 7020}, Old: event.Count{Events: 0, Exposure: 62900}, Control: event.ControlConcurrent, Harm: true, FirstEver: true},
			{Signal: event.SignalLatency, Operation: "POST /cart/checkout", Detail: "> 250ms", Unit: "1", Before: 0.051, After: 0.054, Ratio: 1.06, Interval: [2]float64{-0.004, 0.01},
				Nats: 0.3, Threshold: 6.91, New: event.Count{Events: 379, Exposure: 7020}, Old: event.Count{Events: 3208, Exposure: 62900}, Control: event.ControlConcurrent, Critical: true},
			{Signal: event.SignalErrors, Operation: "GET /cart", Unit: "1", Before: 0.0018, After: 0.0016, Ratio: 0.89, Interval: [2]float64{-0.0009, 0.0006},
				Nats: 0, Threshold: 6.91, New: event.Count{Events: 18, Exposure: 11200}, Old: event.Count{Events: 181, Exposure: 100400}, Control: event.ControlConcurrent, Critical: true, Within: true},
			{Signal: event.SignalGauge, Detail: "CPU per request", Unit: "ms", Before: 1.92, After: 1.71, Ratio: 0.89, Interval: [2]float64{-0.27, -0.15},
				Nats: 9.1, Threshold: 6.91, New: event.Count{Events: 40, Exposure: 310}, Old: event.Count{Events: 500, Exposure: 2900}, Control: event.ControlConcurrent, Improved: true},
		},
		Related: []event.RelatedError{
			{Signal: event.SignalException, Fingerprint: "f1", Type: "TypeError", Message: "total is undefined", Operation: "POST /cart/checkout", OnlyInNew: true, NewCount: 331, FirstAt: onset,
				Frames: []event.Frame{{File: "services/checkout/cart/total.ts", Line: 88, Function: "roundTotal"}, {File: "services/checkout/cart/checkout.ts", Line: 41, Function: "checkout"}, {File: "services/checkout/server.ts", Line: 112, Function: "handle"}},
				Examples: []event.Example{
					{At: onset.Add(2 * time.Second), TraceID: trace, SpanID: "00f067aa0ba902b7", Instance: "checkout-7d4b9-x2x8p", Message: "TypeError: total is undefined",
						Stacktrace: "TypeError: total is undefined\n    at roundTotal (services/checkout/cart/total.ts:88:17)\n    at checkout (services/checkout/cart/checkout.ts:41:12)\n    at handle (services/checkout/server.ts:112:5)",
						Attributes: []event.KeyText{{Key: "http.route", Text: "/cart/checkout"}, {Key: "http.response.status_code", Text: "500"}}},
					{At: onset.Add(5 * time.Second), TraceID: "a3ce929d0e0e47364bf92f3577b34da6", Instance: "checkout-7d4b9-m5kqd", Message: "TypeError: total is undefined",
						Attributes: []event.KeyText{{Key: "http.route", Text: "/cart/checkout"}, {Key: "http.response.status_code", Text: "500"}}},
				}},
			{Signal: event.SignalLog, Fingerprint: "l7", Template: "checkout of cart <*> failed: <*>", Operation: "POST /cart/checkout", NewCount: 337, OldCount: 132, FirstAt: onset,
				Examples: []event.Example{{At: onset.Add(3 * time.Second), TraceID: trace, Instance: "checkout-7d4b9-x2x8p", Message: "checkout of cart c-88213 failed: total is undefined (3 items, currency JPY)"}}},
		},
		Impact: event.Impact{Requests: 322, Share: 0.046, Users: 310},
		Losses: []event.Loss{{Name: "late", Count: 12}},
		Calibration: event.Calibration{Source: event.CalibrationPooled, Windows: 1311,
			Service: event.PlaceboCount{Windows: 412, Interval: [2]float64{0, .0092}},
			All:     event.PlaceboCount{Windows: 1311, FalseAlarms: 1, Rate: 1. / 1311, Interval: [2]float64{.000135, .0043}}},
		Suspicion: &event.Suspicion{Commits: 3, Range: event.ShortRevision(revision(2)) + ".." + event.ShortRevision(revision(5)), Source: "clone", Suspects: []event.Suspect{
			{Change: event.Change{Repository: shop, Revision: revision(5), Parents: []string{revision(4)}, Message: commits[5].message, Author: commits[5].author, At: p.at(26 * time.Minute), URL: "https://forge.example/" + shop + "/commit/" + revision(5), PullURL: "https://forge.example/" + shop + "/pull/412"},
				Probability: 0.91, File: "services/checkout/cart/total.ts", Line: 88,
				Reasons: []string{"the stack's top frame, cart/total.ts:88, lies in lines it changed", "“total” and “currency” of the error stand in its added lines", "it changed roundTotal, the function that throws"},
				Hunk:    "@@ -83,8 +83,10 @@ export function roundTotal(cart: Cart) {\n   const rule = rules.for(cart.currency);\n-  return sum(cart.items);\n+  const total = rule.digits\n+    ? sum(cart.items)\n+    : undefined; // currencies without cents\n+  return total.toFixed(rule.digits);\n }\n"},
			{Change: event.Change{Repository: shop, Revision: revision(3), Message: commits[3].message, Author: commits[3].author, At: p.at(48 * time.Minute)}, Probability: 0.07,
				Reasons: []string{"it changed cart/checkout.ts, a file of the stack"}, File: "services/checkout/cart/checkout.ts", Line: 12,
				Hunk: "@@ -10,4 +10,4 @@\n-import { rules } from '../rules';\n+import { rules } from '@shop/rules';\n"},
			{Change: event.Change{Repository: shop, Revision: revision(4), Message: commits[4].message, Author: commits[4].author, At: p.at(37 * time.Minute)}, Probability: 0.01, Reasons: []string{"documentation only"}},
		}},
	}
}

// crowd adds what is wide and what is many: two hundred services, names without
// a place to break, a build that failed with a cause of many lines.
func (p afternoon) crowd(l *ledger.Ledger) (widest event.Deployment) {
	for i := range 200 {
		l.RecordDeployment(event.Deployment{Service: fmt.Sprintf("service-%03d", i), Environment: "production", Version: fmt.Sprint("1.0.", i), Revision: revision(i), Repository: shop,
			StartedAt: p.at(time.Duration(i) * time.Minute), Sources: []event.Source{{Name: "api", At: p.now}}})
	}
	long := strings.Repeat("AVeryLongNameWithoutAnyPlaceToBreakIt", 7)
	widest, _ = l.RecordDeployment(event.Deployment{Service: long, Environment: long, Version: long, PreviousVersion: long, Revision: revision(5), PreviousRevision: revision(2), Repository: shop,
		StartedAt: p.at(time.Minute), FirstSeenAt: p.at(time.Minute), RollbackCommand: "undo " + long, Sources: []event.Source{{Name: long, ID: long, At: p.now}}})
	v := p.badVerdict(widest)
	v.Detail, v.ControlDetail = long, long
	for i := range v.Evidence {
		v.Evidence[i].Operation, v.Evidence[i].Detail = "POST /"+long, long
	}
	for i := range v.Related {
		v.Related[i].Operation, v.Related[i].Message, v.Related[i].Template = "POST /"+long, long, long
		for k := range v.Related[i].Examples {
			e := &v.Related[i].Examples[k]
			e.Instance, e.Message, e.TraceID, e.Attributes = long, long, long, []event.KeyText{{Key: long, Text: long}}
		}
	}
	v.Losses = append(v.Losses, event.Loss{Name: "a_" + long, Count: 3})
	v.Affected = []event.Affected{{Service: long, Calls: long, Requests: 2900, Failed: 348, Share: .12}}
	v.Suspicion.Range, v.Suspicion.Suspects[0].Reasons = long, []string{long}
	s := &v.Suspicion.Suspects[0]
	s.Owners, s.PointedBy, s.Change.Author, s.Change.Message = []string{long}, long, long, long
	l.RecordVerdict(v)
	recordAlerts(l, v)

	cause := "total.go:88:17: undefined: roundTotl\n\tin " + long + "\n" + strings.Repeat("\tcalled from "+long+"\n", 20)
	l.RecordFeedback(event.Feedback{ID: "1", Repository: shop, Ref: long, Trunk: true, Revision: revision(6), State: event.Regressed, Tests: 212, Failed: 1, At: p.now,
		Judgements: []event.Judgement{{Call: event.NewFailure, LastPass: revision(5), FirstBad: revision(6),
			Test: &event.TestResult{Suite: long, Case: "Test" + long, Status: "fail", File: long + ".go", Line: 14, Message: cause}}}})
	return widest
}

// recordAlerts opens the roll-up and its symptoms.
func recordAlerts(l *ledger.Ledger, v event.Verdict) {
	d := v.Deployment
	var symptoms []string
	for _, e := range v.Evidence[:2] {
		id := event.AnomalyID(d.ID, event.KindSymptom, e.Signal, e.Operation)
		symptoms = append(symptoms, id)
		l.RecordAnomaly(event.Anomaly{ID: id, Kind: event.KindSymptom, Service: d.Service, Environment: d.Environment, Deployment: d.ID, Commit: d.Revision,
			Signal: e.Signal, Operation: e.Operation, Stage: event.StagePostDeploy, Severity: event.SeverityCritical, Mode: event.Advise, StartsAt: v.Onset.At, DetectedAt: v.RegressedAt, At: v.At, Open: true, Evidence: &e})
	}
	l.RecordAnomaly(event.Anomaly{ID: event.AnomalyID(d.ID, event.KindDeployment, "", ""), Kind: event.KindDeployment, Service: d.Service, Environment: d.Environment, Deployment: d.ID, Commit: d.Revision,
		Stage: event.StagePostDeploy, Severity: event.SeverityCritical, Mode: event.Advise, StartsAt: v.Onset.At, DetectedAt: v.RegressedAt, At: v.At, Open: true, Symptoms: symptoms, Verdict: &v})
}
