package wording

import (
	"math"
	"strings"
	"testing"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/deployloop/deployloop/internal/event"
)

var started = time.Date(2026, 11, 23, 14, 3, 5, 0, time.UTC)

const (
	badRevision  = "9f2c1ab0c0ffee0c0ffee0c0ffee0c0ffee0c0ff"
	goodRevision = "a1b2c3d0c0ffee0c0ffee0c0ffee0c0ffee0c0ff"
)

func errorsUp() event.Evidence {
	return event.Evidence{
		Signal: event.SignalErrors, Operation: "POST /cart/checkout", Unit: "1",
		Before: 0.0021, After: 0.048, Ratio: 22.9, Interval: [2]float64{0.041, 0.052},
		Nats: 12.1, Threshold: 6.91, Control: event.ControlConcurrent, Harm: true, Critical: true,
		New: event.Count{Events: 48, Exposure: 1000}, Old: event.Count{Events: 2, Exposure: 950},
	}
}

func verdict() event.Verdict {
	return event.Verdict{
		Deployment: event.Deployment{
			ID: "0123456789ab", Service: "checkout", Environment: "production",
			Revision: badRevision, PreviousRevision: goodRevision, Version: "1.42.0", PreviousVersion: "1.41.3",
			StartedAt: started, Sources: []event.Source{{Name: "api"}, {Name: "telemetry"}, {Name: "api"}},
		},
		State: event.Regressed, Reason: event.ReasonEvidenceOfHarm, Control: event.ControlConcurrent,
		At: started.Add(30 * time.Second), WatchedFrom: started.Add(2 * time.Second),
		Nats: 9.3, Threshold: 6.91, Onset: &event.Onset{At: started.Add(15 * time.Second)},
		Evidence: []event.Evidence{errorsUp()},
		Related: []event.RelatedError{{
			Signal: event.SignalException, Fingerprint: "f00d", Type: "TypeError", Message: "total is undefined",
			OnlyInNew: true, NewCount: 48, Frames: []event.Frame{{File: "cart/total.ts", Line: 88, Function: "total"}},
		}},
		Suspicion: &event.Suspicion{Commits: 7, Range: "a1b2c3d..9f2c1ab", Suspects: []event.Suspect{
			{Change: event.Change{Revision: badRevision, Message: "Round totals to cents\n\nbody", Author: "Ada"}, Probability: 0.83, Reasons: []string{"stack line cart/total.ts:88 inside a changed hunk"}},
			{Change: event.Change{Revision: goodRevision, Message: "Bump deps", Author: "Bob"}, Probability: 0.06},
		}},
		Impact: event.Impact{Requests: 1240, Share: 0.046, Users: 310},
	}
}

func anomaly() event.Anomaly {
	v, e := verdict(), errorsUp()
	return event.Anomaly{
		Kind: event.KindSymptom, Service: "checkout", Environment: "production", Deployment: v.Deployment.ID,
		Commit: badRevision, Signal: e.Signal, Operation: e.Operation, Severity: event.SeverityCritical,
		StartsAt: started.Add(15 * time.Second), Verdict: &v, Evidence: &e, Open: true,
	}
}

func TestSummary(t *testing.T) {
	rollUp := anomaly()
	rollUp.Kind, rollUp.Evidence = event.KindDeployment, nil

	exception := anomaly()
	exception.Evidence = &event.Evidence{Signal: event.SignalException, Detail: "f00d", Unit: "1", After: 0.05, FirstEver: true, New: event.Count{Events: 5, Exposure: 100}, Harm: true}

	latency := anomaly()
	latency.Evidence = &event.Evidence{Signal: event.SignalLatency, Operation: "GET /search", Detail: "> 250ms", Unit: "1", Before: 0.03, After: 0.18, Ratio: 6, Harm: true}

	wholeService := anomaly()
	wholeService.Evidence = nil
	whole, weak := errorsUp(), errorsUp()
	whole.Operation, whole.Nats = "", 14
	weak.Operation, weak.Nats = "GET /", 2
	wholeService.Verdict.Evidence = []event.Evidence{whole, weak, errorsUp()}

	noDeploy := anomaly()
	noDeploy.Kind, noDeploy.Commit, noDeploy.Verdict = event.KindAlwaysOn, "", nil

	long := anomaly()
	long.Service = strings.Repeat("cart", 30)
	long.Evidence.Operation = strings.Repeat("/näive/path", 40)

	bare := event.Anomaly{Service: "checkout", Commit: badRevision}

	fromNothing := anomaly()
	fromNothing.Evidence.Before, fromNothing.Evidence.Ratio = 0, math.Inf(1)

	for name, c := range map[string]struct {
		anomaly event.Anomaly
		want    string
	}{
		"symptom":            {anomaly(), "checkout POST /cart/checkout errors 0.21% → 4.8% (×23) since 9f2c1ab went out at 14:03Z"},
		"roll-up":            {rollUp, "checkout POST /cart/checkout errors 0.21% → 4.8% (×23) since 9f2c1ab went out at 14:03Z"},
		"first exception":    {exception, "checkout new TypeError: total is undefined (5×) since 9f2c1ab went out at 14:03Z"},
		"latency":            {latency, "checkout GET /search requests slower than 250ms 3% → 18% (×6) since 9f2c1ab went out at 14:03Z"},
		"an operation leads": {wholeService, "checkout POST /cart/checkout errors 0.21% → 4.8% (×23) since 9f2c1ab went out at 14:03Z"},
		"no deployment":      {noDeploy, "checkout POST /cart/checkout errors 0.21% → 4.8% (×23) since 14:03Z"},
		"long names are cut": {long, "cartcartcartcartcartcartcartcartcart… /näive/path… errors 0.21% → 4.8% (×23) since 9f2c1ab went out at 14:03Z"},
		"nothing known":      {bare, "checkout got worse since 9f2c1ab went out"},
		"from nothing":       {fromNothing, "checkout POST /cart/checkout errors 0% → 4.8% since 9f2c1ab went out at 14:03Z"},
	} {
		t.Run(name, func(t *testing.T) {
			got := Summary(c.anomaly)
			assert.LessOrEqual(t, utf8.RuneCountInString(got), SummaryLimit)
			if name == "long names are cut" {
				assert.Contains(t, got, "errors 0.21% → 4.8% (×23) since 9f2c1ab went out at 14:03Z", "numbers, commit and time stay")
				assert.True(t, strings.HasPrefix(got, "cartcart"), got)
				return
			}
			assert.Equal(t, c.want, got)
		})
	}
}

func TestNumbers(t *testing.T) {
	for _, c := range []struct{ got, want string }{
		{Percent(0.0021), "0.21%"},
		{Percent(0.048), "4.8%"},
		{Percent(0.2), "20%"},
		{Percent(0.000012), "0.0012%"},
		{Percent(0), "0%"},
		{Percent(1), "100%"},
		{Percent(0.99996), "99.99%"},
		{Percent(math.NaN()), "unknown"},
		{Value(182, "ms"), "182 ms"},
		{Value(1840, "ms"), "1.8 s"},
		{Value(0.42, "ms"), "0.42 ms"},
		{Value(3.14, "1/s"), "3.1/s"},
		{Value(12.5, "By"), "12.5 By"},
		{Value(math.Inf(1), "ms"), "unknown"},
		{Ratio(22.86), "×23"},
		{Ratio(1.43), "×1.4"},
		{Ratio(0.4), "×0.4"},
		{Ratio(math.Inf(1)), ""},
		{Ratio(0), ""},
		{Difference(0.046, "1"), "+4.6 pp"},
		{Difference(-0.3, "ms"), "−0.3 ms"},
		{Interval([2]float64{0.041, 0.052}, "1"), "95% CI +4.1 pp … +5.2 pp"},
		{Interval([2]float64{-0.14, -0.08}, "1"), "95% CI −14 pp … −8 pp"},
		{Interval([2]float64{}, "1"), ""},
		{Count(1240), "1,240"},
		{Count(1234567), "1,234,567"},
		{Count(999), "999"},
		{Count(2.5), "2.5"},
		{Count(-1), "unknown"},
		{Elapsed(8 * time.Second), "8s"},
		{Elapsed(-220 * time.Second), "3m40s"},
		{Elapsed(4 * time.Minute), "4m"},
		{Elapsed(125 * time.Minute), "2h5m"},
		{Elapsed(76 * time.Hour), "3d4h"},
		{Clock(started), "14:03Z"},
		{Clock(time.Time{}), ""},
		{OneLine("a\n\tb\x00c\xff d", 80), "a bc d"},
		{OneLine("\u202egnp.exe", 80), "gnp.exe"},
		{Clip("ähnlich", 4), "ähn…"},
	} {
		assert.Equal(t, c.want, c.got)
	}
}

func TestReason(t *testing.T) {
	change := func(edit func(*event.Verdict)) event.Verdict {
		v := verdict()
		edit(&v)
		return v
	}
	for name, c := range map[string]struct {
		verdict event.Verdict
		want    string
	}{
		"regressed": {verdict(), "POST /cart/checkout errors 0.21% → 4.8% (×23), compared with instances of 1.41.3 serving beside it. It began 14:03:20Z, 15s after the rollout started. Evidence 9.3 nats, 6.91 needed."},
		"at once": {change(func(v *event.Verdict) { v.Onset.At, v.Nats = started.Add(-600*time.Millisecond), 0 }),
			"POST /cart/checkout errors 0.21% → 4.8% (×23), compared with instances of 1.41.3 serving beside it. It began 14:03:04Z, as the rollout started."},
		"calibrating": {change(func(v *event.Verdict) { v.Calibrating = true; v.Onset = nil; v.Nats = 0 }),
			"POST /cart/checkout errors 0.21% → 4.8% (×23), compared with instances of 1.41.3 serving beside it. The threshold is provisional: still calibrating."},
		"watching": {change(func(v *event.Verdict) {
			v.State, v.Reason, v.ETA, v.MinimumEffectAbs = event.Watching, event.ReasonCollecting, 4*time.Minute, 0.019
		}), "Nothing is proven yet. A rise of 1.9 points or more would have been seen. A decision is expected in 4m."},
		"watching nothing": {change(func(v *event.Verdict) {
			v.State, v.Reason, v.Evidence, v.At, v.WatchedFrom = event.Watching, event.ReasonCollecting, nil, started.Add(10*time.Second), started
		}), "No telemetry of 1.42.0 has come yet, so nothing can be told."},
		"watching nothing for long": {change(func(v *event.Verdict) {
			v.State, v.Reason, v.Evidence, v.At, v.WatchedFrom = event.Watching, event.ReasonCollecting, nil, started.Add(time.Minute), started
		}), "No telemetry of 1.42.0 has come yet, so nothing can be told. Does it carry service.version or vcs.ref.head.revision?"},
		"watching what was heard of": {change(func(v *event.Verdict) {
			v.State, v.Reason, v.Evidence, v.Deployment.FirstSeenAt = event.Watching, event.ReasonCollecting, nil, started
		}), "Nothing is proven yet."},
		"watching for one point": {change(func(v *event.Verdict) {
			v.State, v.Reason, v.MinimumEffectAbs = event.Watching, event.ReasonCollecting, 0.01
		}), "Nothing is proven yet. A rise of 1 point or more would have been seen."},
		"healthy": {change(func(v *event.Verdict) {
			v.State, v.Reason = event.Healthy, event.ReasonWithinTolerance
			v.Evidence[0].Harm, v.Evidence[0].Within = false, true
		}), "Every critical indicator is within tolerance (1 shown), compared with instances of 1.41.3 serving beside it."},
		"thin data": {change(func(v *event.Verdict) {
			v.State, v.Reason = event.Inconclusive, event.ReasonThinData
			v.At, v.WatchedFrom = started.Add(700*time.Second), started.Add(700*time.Second-322*time.Second)
			v.Evidence[0].Harm = false
			v.ETA, v.MinimumEffectAbs = 90*time.Second, 0.019
		}), "Not enough traffic to tell: 3.1 req/s. I can rule out a rise of 1.9 points or more by 14:16Z."},
		"no data": {change(func(v *event.Verdict) { v.State, v.Reason = event.Inconclusive, event.ReasonNoData }),
			"No telemetry of 1.42.0 came, so nothing can be told. Does it carry service.version or vcs.ref.head.revision?"},
		"no control": {change(func(v *event.Verdict) { v.State, v.Reason = event.Inconclusive, event.ReasonNoControl }),
			"There is nothing to compare with: no old version serves beside it, and there is no history of this service yet."},
		"data lost": {change(func(v *event.Verdict) {
			v.State, v.Reason = event.Inconclusive, event.ReasonDataLost
			v.Losses = []event.Loss{{Name: "shed_inner_spans", Count: 1204}, {Name: "late", Count: 0}, {Name: "clock_ahead", Count: 3}}
		}), "Telemetry was lost, so a pass would prove nothing: 1,204 inner spans, left out for want of processor time; 3 items from the future: a sender's clock is ahead."},
		"superseded": {change(func(v *event.Verdict) { v.State, v.Reason = event.Inconclusive, event.ReasonSupersededWatch }),
			"A newer deploy ended the watch before anything was proven."},
		"began before": {change(func(v *event.Verdict) {
			v.State, v.Reason = event.Exonerated, event.ReasonBeganBefore
			v.Onset.At = started.Add(-220 * time.Second)
		}), "Errors rose, but not because of this deploy: it began 3m40s before it."},
		"old version too": {change(func(v *event.Verdict) { v.State, v.Reason = event.Exonerated, event.ReasonOldCohortAffected }),
			"Errors rose, but not because of this deploy: 1.41.3 has the same."},
		"upstream first": {change(func(v *event.Verdict) {
			v.State, v.Reason, v.Detail = event.Exonerated, event.ReasonUpstreamFirst, "first to move: payments-db"
		}), "Errors rose, but not because of this deploy: a service that it calls moved first. First to move: payments-db."},
		"nothing shown got worse": {change(func(v *event.Verdict) {
			v.State, v.Reason = event.Exonerated, event.ReasonOldCohortAffected
			v.Evidence = []event.Evidence{{Signal: event.SignalLatency, Within: true, Ratio: .95}}
		}), "It got worse, but not because of this deploy: 1.41.3 has the same."},
		"whose calls fail": {change(func(v *event.Verdict) { v.Through = "payments" }),
			"POST /cart/checkout errors 0.21% → 4.8% (×23), compared with instances of 1.41.3 serving beside it. The calls that fail are those to payments. It began 14:03:20Z, 15s after the rollout started. Evidence 9.3 nats, 6.91 needed."},
		"whose calls take longer": {change(func(v *event.Verdict) {
			v.Through, v.Evidence[0].Signal, v.Onset, v.Nats = "payments\n", event.SignalLatency, nil, 0
		}),
			"POST /cart/checkout latency 0.21% → 4.8% (×23), compared with instances of 1.41.3 serving beside it. The calls that take longer are those to payments."},
		"losses are said": {change(func(v *event.Verdict) {
			v.State, v.Losses, v.Evidence[0].Harm = event.Healthy, []event.Loss{{Name: "late", Count: 3}, {Name: "late_counted", Count: 116}}, false
		}), "Every critical indicator is within tolerance, compared with instances of 1.41.3 serving beside it. Not counted: 3 items that came too late to be counted."},
	} {
		t.Run(name, func(t *testing.T) { assert.Equal(t, c.want, Reason(c.verdict)) })
	}
}

func TestFix(t *testing.T) {
	from := func(source string, edits ...func(*event.Deployment)) event.Deployment {
		d := verdict().Deployment
		d.Sources = []event.Source{{Name: source}, {Name: "telemetry"}}
		for _, edit := range edits {
			edit(&d)
		}
		return d
	}
	names := func(object, previous string) func(*event.Deployment) {
		return func(d *event.Deployment) { d.Sources[0].Object, d.Sources[0].Previous = object, previous }
	}
	own := func(command string) func(*event.Deployment) {
		return func(d *event.Deployment) { d.RollbackCommand = command }
	}
	for name, c := range map[string]struct {
		deployment event.Deployment
		want       string
	}{
		"its own command":         {from("argocd", own(" ./roll back ")), "./roll back"},
		"its own, of two lines":   {from("argocd", own("cd shop\r\n  make undo\n")), "cd shop && make undo"},
		"its own, a script":       {from("argocd", own("# back\nhelm rollback \\\n  checkout 6 \\\r\n\t--wait\nmake told\n")), "helm rollback checkout 6 --wait && make told"},
		"its own, but a comment":  {from("helm", own("# none\n")), "helm rollback checkout --wait   # back to 1.41.3"},
		"its own, with quotes":    {from("api", own("kubectl patch deploy/checkout -p '{\"spec\": {}}' # back\n")), "kubectl patch deploy/checkout -p '{\"spec\": {}}' # back"},
		"its own, quotes twice":   {from("api", own("echo \"it's; (bad\"\nmake undo\\ it")), "echo \"it's; (bad\" && make undo\\ it"},
		"its own, as a template":  {from("helm", own("make deploy SERVICE={service} TO={previous_version} ENV={environment}")), "make deploy SERVICE=checkout TO=1.41.3 ENV=production"},
		"a template's braces":     {from("helm", own("kubectl get -o jsonpath='{.spec}' {service}")), "kubectl get -o jsonpath='{.spec}' checkout"},
		"a template with a gap":   {from("helm", own("make deploy REPO={repository}"), func(d *event.Deployment) { d.Repository = "" }), "helm rollback checkout --wait   # back to 1.41.3"},
		"a template, hostile":     {from("helm", own(`make deploy TO="{previous_version}"`), func(d *event.Deployment) { d.PreviousVersion = "$(reboot)" }), "helm rollback checkout --wait   # back to '$(reboot)'"},
		"a template, an option":   {from("api", own("make deploy TO={previous_version}"), func(d *event.Deployment) { d.PreviousVersion = "--all" }), "Deploy --all (a1b2c3d) of checkout to production again, the way 1.42.0 was deployed."},
		"argocd":                  {from("argocd", names("argocd/checkout-prod", "40")), "argocd app set checkout-prod --sync-policy none && argocd app rollback checkout-prod 40   # back to 1.41.3, auto-sync is off then"},
		"argocd, elsewhere":       {from("argocd", names("team-a/checkout", "")), "argocd app history team-a/checkout   # then: argocd app rollback team-a/checkout ID, of 1.41.3"},
		"argo rollouts":           {from("argo_rollouts", names("shop/checkout", "41")), "kubectl argo rollouts undo checkout -n shop --to-revision=41   # back to 1.41.3"},
		"flux, a kustomization":   {from("flux", names("Kustomization/flux-system/checkout", "main@sha1:"+goodRevision)), `kubectl -n flux-system patch gitrepository "$(kubectl -n flux-system get kustomization checkout -o jsonpath='{.spec.sourceRef.name}')" --type merge -p '{"spec":{"ref":{"commit":"` + goodRevision + `"}}}' && flux reconcile kustomization checkout -n flux-system --with-source   # back to 1.41.3`},
		"flux, hostile revision":  {from("flux", names("Kustomization/flux-system/checkout", "main@sha1:'; reboot '")), "Deploy 1.41.3 (a1b2c3d) of checkout to production again, the way 1.42.0 was deployed."},
		"flux, a Helm release":    {from("flux", names("HelmRelease/flux-system/checkout", "shop/shop-checkout.v2")), "flux suspend helmrelease checkout -n flux-system && helm rollback shop-checkout 2 -n shop   # back to 1.41.3, flux resume helmrelease undoes it"},
		"flagger":                 {from("flagger", names("shop/checkout", "")), "kubectl rollout undo deployment/checkout -n shop   # back to 1.41.3, Flagger analyses and promotes it"},
		"helm":                    {from("helm", names("shop/checkout", "6")), "helm rollback checkout 6 -n shop --wait   # back to 1.41.3"},
		"helm, by its service":    {from("helm"), "helm rollback checkout --wait   # back to 1.41.3"},
		"kubectl":                 {from("kubectl", names("shop/statefulset/checkout", "41")), "kubectl rollout undo statefulset/checkout -n shop --to-revision=41   # back to 1.41.3"},
		"kubectl, by its service": {from("kubectl"), "kubectl rollout undo deployment/checkout   # back to 1.41.3"},
		"spinnaker":               {from("spinnaker", names("shop/Deploy to prod", "version=1.41.3")), `curl -fX POST "$SPINNAKER_GATE"/pipelines/shop/Deploy%20to%20prod -H 'Content-Type: application/json' -d '{"type":"manual","parameters":{"version":"1.41.3"}}'   # back to 1.41.3, SPINNAKER_GATE is the URL of Gate`},
		"spinnaker, by a trigger": {from("spinnaker", names("shop/Deploy to prod", "")), "In Spinnaker: start Deploy to prod of shop again for 1.41.3"},
		"github":                  {from("github", names("acme/shop", "289782451")), "gh run rerun 289782451 --repo acme/shop   # back to 1.41.3"},
		"github, by its commit": {from("github", func(d *event.Deployment) { d.Repository = "acme/shop" }),
			"gh run list --commit " + goodRevision + " --repo acme/shop   # then: gh run rerun ID, of the run that deployed 1.41.3"},
		"gitlab":           {from("gitlab", names("https://gitlab.example/acme/shop", "796")), "glab ci retry 796 --repo https://gitlab.example/acme/shop   # back to 1.41.3"},
		"gitlab, in words": {from("gitlab"), "In GitLab: Operate › Environments › production, and press Rollback on 1.41.3"},
		"a controller over CI": {from("argocd", names("argocd/checkout", "40"), func(d *event.Deployment) {
			d.Sources = append(d.Sources, event.Source{Name: "github", Object: "acme/shop", Previous: "1"})
		}), "argocd app set checkout --sync-policy none && argocd app rollback checkout 40   # back to 1.41.3, auto-sync is off then"},
		"in words":            {from("api"), "Deploy 1.41.3 (a1b2c3d) of checkout to production again, the way 1.42.0 was deployed."},
		"nothing before":      {from("api", func(d *event.Deployment) { d.PreviousRevision, d.PreviousVersion = "", "" }), "Deploy the last good version of checkout to production again; which one it was is not known here."},
		"a hostile name":      {from("helm", func(d *event.Deployment) { d.Service = "x; rm -rf '" }), `helm rollback 'x; rm -rf '\''' --wait   # back to 1.41.3`},
		"a hostile object":    {from("argo_rollouts", names("shop$(reboot)/check`out", "4;1")), "kubectl argo rollouts undo 'check`out' -n 'shop$(reboot)' --to-revision='4;1'   # back to 1.41.3"},
		"a name that hides":   {from("helm", func(d *event.Deployment) { d.Service = "check\u202e\u009b2Kout" }), "helm rollback check2Kout --wait   # back to 1.41.3"},
		"an object as option": {from("argocd", names("argocd/--grpc-web", "4")), "Deploy 1.41.3 (a1b2c3d) of checkout to production again, the way 1.42.0 was deployed."},
		"a release as option": {from("helm", names("shop/checkout", "--force")), "Deploy 1.41.3 (a1b2c3d) of checkout to production again, the way 1.42.0 was deployed."},
		"a name as option":    {from("helm", func(d *event.Deployment) { d.Service = "--all" }), "Deploy 1.41.3 (a1b2c3d) of --all to production again, the way 1.42.0 was deployed."},
		"a newline inside":    {from("kubectl", func(d *event.Deployment) { d.PreviousVersion = "1\nrm -rf /" }), "kubectl rollout undo deployment/checkout   # back to '1 rm -rf /'"},
		"no deployment":       {event.Deployment{}, ""},
	} {
		t.Run(name, func(t *testing.T) { assert.Equal(t, c.want, Fix(event.Verdict{Deployment: c.deployment})) })
	}
}

// TestFixOfAScript: joining lines never makes a command of what is none, nor
// hides one.
func TestFixOfAScript(t *testing.T) {
	for name, script := range map[string]string{
		"a here-document's text":    "cat <<EOF > note\nrm -rf /\nEOF",
		"a comment behind one":      "helm rollback checkout # see\nrm -rf /",
		"a comment, continued":      "helm rollback checkout \\\n# see\nrm -rf /",
		"a quote over lines":        "echo 'a\nrm -rf /\n'",
		"a comment within a quote":  "echo 'a\n# b'",
		"double quotes over lines":  "echo \"a\nrm -rf /\"",
		"a substitution over lines": "echo $(date\n)",
		"backquotes over lines":     "echo `date\n`",
		"a loop":                    "for x in a b; do\nmake $x\ndone",
		"a condition":               "if true\nthen make undo\nfi",
		"a function":                "undo() {\nmake undo\n}\nundo",
		"in the background":         "make undo &\nwait",
		"an unfinished list":        "make undo ||\nmake undo-hard",
		"a last line that goes on":  "make\nundo \\",
		"a carriage return":         "make undo\rrm -rf /",
		"an escape":                 "make undo; rm -rf /\x1b[2K",
		"reordered text":            "make \u202eodnu",
		"a line separator":          "make undo\u2028rm -rf /",
	} {
		t.Run(name, func(t *testing.T) {
			d := verdict().Deployment
			d.Sources, d.RollbackCommand = nil, script
			text, isCommand := Rollback(event.Verdict{Deployment: d})
			assert.Equal(t, "Deploy 1.41.3 (a1b2c3d) of checkout to production again, the way 1.42.0 was deployed.", text)
			assert.False(t, isCommand)
		})
	}
	for name, c := range map[string]struct{ script, want string }{
		"a comment is not continued":   {"# whatever is here \\\nmake undo", "make undo"},
		"a word goes on":               {"make un\\\ndo", "make undo"},
		"an escaped blank ends a line": {"make undo\\ \nmake told", "make undo\\ && make told"},
	} {
		t.Run(name, func(t *testing.T) {
			d := verdict().Deployment
			d.Sources, d.RollbackCommand = nil, c.script
			text, isCommand := Rollback(event.Verdict{Deployment: d})
			assert.Equal(t, c.want, text)
			assert.True(t, isCommand)
		})
	}
}

func TestSentencesOfAnAlert(t *testing.T) {
	v, a := verdict(), anomaly()
	abstained := *v.Suspicion
	abstained.Abstained, abstained.RangeNote = true, "the branch was force-pushed"
	require.Contains(t, SuspectLine(event.Suspect{Change: event.Change{Revision: badRevision, Author: "Ada"}, Probability: .8, Owners: []string{"@acme/cart", "@a\nb", "", "@c", "@d"}}),
		"by Ada (owned by @acme/cart, @a b, @c), 80%")
	merge := event.Suspicion{Suspects: []event.Suspect{{Change: event.Change{Revision: badRevision, Parents: []string{"a", "b"}}}}}

	for name, c := range map[string]struct{ got, want string }{
		"what changed":             {WhatChanged(v), "checkout 1.41.3 → 1.42.0 (9f2c1ab, 7 commits a1b2c3d..9f2c1ab) in production, from 14:03:05Z; told by api, telemetry"},
		"why":                      {Why(a), "POST /cart/checkout errors: 0.21% → 4.8% (×23), 95% CI +4.1 pp … +5.2 pp. It began 14:03:20Z, 15s after the rollout started. Only the new version has TypeError: total is undefined at cart/total.ts:88. Compared with instances of 1.41.3 serving beside it."},
		"evidence":                 {EvidenceLine(errorsUp()), "POST /cart/checkout errors: 0.21% → 4.8% (×23), 95% CI +4.1 pp … +5.2 pp; new 48 of 1,000, old 2 of 950; 12.1 nats of 6.91 needed"},
		"suspect":                  {SuspectSentence(v.Suspicion), "9f2c1ab “Round totals to cents” by Ada, 83%: stack line cart/total.ts:88 inside a changed hunk"},
		"others":                   {OtherSuspects(v.Suspicion, 2), "a1b2c3d “Bump deps” by Bob, 6%"},
		"abstained":                {SuspectSentence(&abstained), "this deployment; the commit is not certain (7 commits in a1b2c3d..9f2c1ab); the branch was force-pushed"},
		"abstained, others":        {OtherSuspects(&abstained, 1), "9f2c1ab “Round totals to cents” by Ada, 83%: stack line cart/total.ts:88 inside a changed hunk"},
		"no range":                 {SuspectSentence(&event.Suspicion{}), "this deployment; its commits are not known"},
		"no suspicion":             {SuspectSentence(nil), ""},
		"fix forward":              {FixForward(v.Suspicion), "git revert " + badRevision},
		"fix forward, a merge":     {FixForward(&merge), "git revert -m 1 " + badRevision},
		"fix forward, not certain": {FixForward(&abstained), "git log -p a1b2c3d..9f2c1ab   # no single commit is certain"},
		"impact":                   {ImpactLine(v.Impact), "about 310 users and 1,240 requests (4.6% of the new version's) so far"},
		"a budget":                 {ImpactLine(event.Impact{Requests: 1240, Budget: .031, Objective: .999, Window: 720 * time.Hour}), "about 1,240 requests so far, 3.1% of the error budget of 30 days (99.9%)"},
		"a failure without words":  {ErrorName(event.RelatedError{Fingerprint: "failed POST /cart/checkout", Operation: "POST /cart/checkout"}), "POST /cart/checkout failed"},
		"no impact":                {ImpactLine(event.Impact{}), ""},
		"headline":                 {Headline(v), "checkout got worse in production"},
		"rolled back":              {Resolution(event.Closure{Reason: event.ClosedRolledBack, Detail: "rolled back to 1.41.3 at 14:09Z", At: started.Add(6 * time.Minute)}), "Rolled back to 1.41.3 at 14:09Z"},
		"fixed":                    {Resolution(event.Closure{Reason: event.ClosedFixedBy, Revision: goodRevision, At: started}), "Fixed by a1b2c3d (closed 14:03Z)"},
		"replaced":                 {Resolution(event.Closure{Reason: event.ClosedSuperseded, Revision: goodRevision, Detail: "1.42.0 was replaced by 1.42.1 at 14:02Z, whose own verdict is regressed", At: started}), "1.42.0 was replaced by 1.42.1 at 14:02Z, whose own verdict is regressed (closed 14:03Z)"},
		"test gone":                {Resolution(event.Closure{Reason: event.ClosedSuperseded, Revision: goodRevision, Detail: "the test is gone since a1b2c3d", At: started}), "The test is gone since a1b2c3d (closed 14:03Z)"},
		"superseded":               {Resolution(event.Closure{Reason: event.ClosedSuperseded, At: started}), "Superseded (closed 14:03Z)"},
		"waived":                   {Resolution(event.Closure{Reason: event.ClosedWaived, By: "ada", Until: started, Detail: "known", At: started}), "Waived by ada until 2026-11-23 14:03Z; known"},
	} {
		t.Run(name, func(t *testing.T) { assert.Equal(t, c.want, c.got) })
	}
}

// FuzzSentences: whatever comes from outside, each sentence is valid UTF-8 on
// one line, without control characters, and bounded.
func FuzzSentences(f *testing.F) {
	f.Add("checkout", "POST /x", "boom\n at a", "1.42.0", 0.01, 0.2, 20.0)
	f.Add("\xff\x00", strings.Repeat("é", 300), "\u202e", "", math.NaN(), math.Inf(1), -1.0)
	f.Add("", "", "", "--force", 0.0, 1e308, 1e-308)
	f.Add("checkout", "POST /x", "make \\\n\tundo\r\n# x\nmake \x7f{version}", "1", 0.0, 1.0, 1.0)
	f.Fuzz(func(t *testing.T, service, operation, message, version string, before, after, ratio float64) {
		a := anomaly()
		a.Service, a.Operation, a.Commit = service, operation, version
		d := &a.Verdict.Deployment
		d.Service, d.Version, d.PreviousVersion, d.Environment = service, version, message, operation
		e := a.Evidence
		e.Operation, e.Before, e.After, e.Ratio, e.Detail, e.Nats = operation, before, after, ratio, message, after
		e.New, e.Interval = event.Count{Events: before, Exposure: after}, [2]float64{before, after}
		a.Verdict.Evidence[0] = *e
		a.Verdict.Related[0].Message, a.Verdict.Detail = message, message
		a.Verdict.Suspicion.Suspects[0].Change.Message = message
		a.Verdict.Impact = event.Impact{Users: before, Requests: after, Share: ratio}

		assertSentence(t, Summary(a), SummaryLimit)
		for _, state := range []event.VerdictState{event.Watching, event.Healthy, event.Regressed, event.Inconclusive, event.Exonerated, "?"} {
			a.Verdict.State = state
			assertSentence(t, Reason(*a.Verdict), 2000)
			assertSentence(t, Headline(*a.Verdict), 500)
		}
		for _, signal := range []event.Signal{event.SignalErrors, event.SignalLatency, event.SignalException, event.SignalLog, event.SignalGauge} {
			a.Evidence.Signal = signal
			assertSentence(t, Summary(a), SummaryLimit)
			assertSentence(t, Why(a), 2000)
			assertSentence(t, EvidenceLine(*a.Evidence), 2000)
		}
		assertSentence(t, WhatChanged(*a.Verdict), 2000)
		assertSentence(t, SuspectSentence(a.Verdict.Suspicion), 2000)
		assertSentence(t, ImpactLine(a.Verdict.Impact), 2000)
		assertSentence(t, Fix(*a.Verdict), 2000)
		d.RollbackCommand = message
		assertSentence(t, Fix(*a.Verdict), 2000)
		assertSentence(t, Resolution(event.Closure{Reason: event.ClosureReason(operation), Detail: message, By: service, Revision: version, At: started}), 2000)
	})
}

func assertSentence(t *testing.T, text string, limit int) {
	t.Helper()
	require.True(t, utf8.ValidString(text), "%q", text)
	require.LessOrEqual(t, utf8.RuneCountInString(text), limit, "%q", text)
	require.Equal(t, -1, strings.IndexFunc(text, unicode.IsControl), "%q", text)
}

// What a span tells of already is not missed, and a detail that holds the time of
// the closure is not told it again.
func TestNothingIsSaidTwice(t *testing.T) {
	require.Empty(t, Losses([]event.Loss{{Name: "metric_points_repeating_spans", Count: 91}}))
	require.Equal(t, "Rolled back to 1.41.3 at 14:03:08Z; 1.42.0 serves nothing since 14:03:26Z", Resolution(event.Closure{
		Reason: event.ClosedRolledBack, Detail: "rolled back to 1.41.3 at 14:03:08Z; 1.42.0 serves nothing since 14:03:26Z", At: started}))
}

// An onset that may lie after the rollout's start is not said to lie before it.
func TestOnsetBesideTheStart(t *testing.T) {
	v := verdict()
	start := v.Deployment.StartedAt
	v.Onset = &event.Onset{At: start.Add(-5 * time.Second), Earliest: start.Add(-5 * time.Second), Latest: start.Add(time.Second)}
	require.Contains(t, Reason(v), "as the rollout started")
	v.Onset.Latest = start.Add(-time.Second)
	require.Contains(t, Reason(v), "5s before the rollout started")
}

// A long path is cut at its begin: the file is at the end.
func TestWhereNamesTheFile(t *testing.T) {
	deep := strings.Repeat("github.com/acme/", 7)
	for file, want := range map[string]string{
		"cart/total.ts":                  "cart/total.ts:88",
		deep + "cart/total.go":           "…/" + strings.Repeat("github.com/acme/", 4) + "cart/total.go:88",
		strings.Repeat("é", 100) + ".go": "…" + strings.Repeat("é", 76) + ".go:88",
		"":                               "",
	} {
		got := Where(event.Frame{File: file, Line: 88})
		assert.Equal(t, want, got)
		assert.LessOrEqual(t, utf8.RuneCountInString(got), nameLimit+len(":88"))
	}
}
