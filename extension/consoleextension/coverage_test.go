package consoleextension

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"go.opentelemetry.io/collector/confmap"

	"github.com/deployloop/deployloop/internal/event"
	"github.com/deployloop/deployloop/internal/ledger"
)

// Each service shows what it lacks, those that send telemetry but no version,
// and so never make a deployment, too.
func TestCoverageTellsWhatEachServiceLacks(t *testing.T) {
	l := ledger.New(ledger.Limits{})
	seen := func(service string, signal ledger.Signal, version, revision bool, lag time.Duration) {
		l.RecordTelemetry(ledger.Telemetry{Service: service, Environment: "production", Signal: signal, Version: version, Revision: revision, At: noon, Stamped: noon.Add(-lag)})
	}
	for service, source := range map[string]string{"whole": "argocd", "versionless": "github", "silent": "github"} {
		l.RecordDeployment(event.Deployment{Service: service, Environment: "production", Version: "1.42.0", Revision: revision(1), Repository: shop,
			StartedAt: noon.Add(-time.Hour), Sources: []event.Source{{Name: source, At: noon}}})
	}
	l.RecordDeployment(event.Deployment{Service: "told", Environment: "production", Revision: revision(1), Repository: shop,
		StartedAt: noon.Add(-time.Hour), Sources: []event.Source{{Name: "api", At: noon}}})
	l.RecordChange(event.Change{Repository: shop, Revision: revision(1), At: noon})
	for _, signal := range []ledger.Signal{ledger.Traces, ledger.Metrics, ledger.Logs} {
		seen("whole", signal, true, true, time.Second)
	}
	seen("versionless", ledger.Traces, false, false, time.Second)
	seen("tagless", ledger.Traces, false, true, time.Second) // a revision tells versions apart as well
	seen("ahead", ledger.Traces, true, false, -3*time.Minute)
	seen("behind", ledger.Logs, true, false, 10*time.Minute)

	h := handler(t, l)
	w := get(t, h, "/api/v1/coverage")
	require.Equal(t, http.StatusOK, w.Code)
	var answer struct{ Services []coverage }
	require.NoError(t, json.Unmarshal(w.Body.Bytes(), &answer))
	got := map[string]coverage{}
	for _, c := range answer.Services {
		got[c.Service] = c
	}
	require.Len(t, got, 7)
	whole := got["whole"]
	require.Empty(t, whole.Fixes)
	require.True(t, whole.Version && whole.Commit && whole.Change && whole.Named && whole.Traces && whole.Metrics && whole.Logs && whole.Source)
	require.Equal(t, []string{"argocd"}, whole.Sources)
	require.Equal(t, "advise", whole.Mode)
	require.Equal(t, 1.0, whole.LagSeconds)

	for service, fixes := range map[string][]string{
		"versionless": {"No version"},
		"tagless":     {"No deploy source"},
		"silent":      {"No telemetry since the start"},
		"told":        {"No telemetry since the start"}, // which version its telemetry would name, nobody knows
		"ahead":       {"3m0s ahead", "No commit", "No deploy source"},
		"behind":      {"No traces", "10m0s behind", "No commit", "No deploy source"},
	} {
		all := strings.Join(got[service].Fixes, "\n")
		require.Len(t, got[service].Fixes, len(fixes), "%s: %s", service, all)
		for _, fix := range fixes {
			require.Contains(t, all, fix, service)
		}
	}
	page := get(t, h, "/coverage").Body.String()
	require.Contains(t, page, "1 of 7 services lack nothing")
	require.Contains(t, page, "3m0s ahead")
	require.Contains(t, get(t, h, "/").Body.String(), `<a href="/coverage">7</a>`, "both pages count alike")

	l.RecordTelemetry(ledger.Telemetry{Service: "whole", Environment: "staging", Signal: ledger.Traces, At: noon, Stamped: noon})
	require.Contains(t, get(t, h, "/coverage").Body.String(), "7 services, each told of in each of its environments: 1 of 8 lack nothing.")
	require.Contains(t, get(t, h, "/").Body.String(), `<a href="/coverage">7</a>`)
}

func TestModesOfServices(t *testing.T) {
	conf := wholeConfig()
	conf["connectors"] = map[string]any{"anomaly": map[string]any{"mode": "shadow", "overrides": []any{
		map[string]any{"service": "checkout", "mode": "gate"}, map[string]any{"service": "checkout", "mode": "advise"}, map[string]any{"service": "cart", "signals": []any{"errors"}},
	}}}
	s := readSetup(confmap.NewFromStringMap(conf))
	require.Equal(t, event.Gate, s.modeOf("checkout"))
	require.Equal(t, event.Shadow, s.modeOf("cart"))
	require.Equal(t, event.Shadow, s.modeOf("payments"))
}

// A running Collector tells its configuration in the components' own types, and
// every endpoint of Alertmanager as a map.
func TestSetupOfARunningCollector(t *testing.T) {
	conf := wholeConfig()
	conf["connectors"] = map[string]any{"anomaly": map[string]any{"mode": event.Advise, "overrides": []any{map[string]any{"service": "cart", "mode": event.Gate}}}}
	conf["exporters"] = map[string]any{"alertmanager": map[string]any{"endpoints": []any{map[string]any{"endpoint": "http://user:pw@127.0.0.1:9093", "timeout": "5s"}}}}
	s := readSetup(confmap.NewFromStringMap(conf))
	require.Equal(t, event.Advise, s.Mode)
	require.Equal(t, event.Gate, s.modeOf("cart"))
	require.Equal(t, []string{"127.0.0.1:9093"}, s.Alertmanagers)
}

// Nobody is to take a service for well that the detector does not look at, or
// does not know yet; and how often it is wrong is there before any verdict is.
func TestCoverageTellsWhatIsNotLookedFor(t *testing.T) {
	l := ledger.New(ledger.Limits{})
	states := map[string]event.Search{
		"young": {State: event.SearchLearning, Hard: true, Left: 170 * time.Second, Items: 900, Needed: 30},
		"over":  {State: event.SearchLeftOut},
		"known": {State: event.SearchOn},
		"both":  {State: event.SearchSilent},
	}
	d := ledger.Detection{By: "anomaly", At: noon.Add(-10 * time.Second)}
	for name, x := range states {
		l.RecordTelemetry(ledger.Telemetry{Service: name, Environment: "production", Signal: ledger.Traces, Version: true, Revision: true, At: noon})
		x.Service, x.Environment = name, "production"
		d.Searches = append(d.Searches, x)
	}
	h := handler(t, l)
	page := func() string { return get(t, h, "/coverage").Body.String() }
	require.NotContains(t, page(), "How sure:")

	l.RecordDetection(d)
	l.RecordDetection(ledger.Detection{By: "anomaly/second", At: noon, Placebos: event.PlaceboCount{Windows: 1311, FalseAlarms: 1, Rate: 1. / 1311, Interval: [2]float64{.000135, .0043}},
		Searches: []event.Search{{Service: "both", Environment: "production", State: event.SearchOn}}})
	text := page()
	require.Contains(t, text, "Still learning what is normal, for 2m50s more; till then without a deployment only hard failures are told")
	require.Contains(t, text, "Raise always_on::indicators")
	require.NotContains(t, text, "Nothing was heard of it for a minute", "the second detector looks at it")
	require.Contains(t, text, "Looked for what gets worse without a deployment: 2 of 5.")
	for _, where := range []string{text, get(t, h, "/").Body.String()} {
		require.Contains(t, where, "How sure: no window without a deployment has ended yet")
		require.Contains(t, where, "How sure: 1 of 1,311 windows in which nothing was deployed would have been called regressed")
	}

	var answer struct{ Services []coverage }
	require.NoError(t, json.Unmarshal(get(t, h, "/api/v1/coverage").Body.Bytes(), &answer))
	got := map[string]coverage{}
	for _, c := range answer.Services {
		got[c.Service] = c
	}
	require.Equal(t, event.SearchLearning, got["young"].AlwaysOn)
	require.InDelta(t, 170, got["young"].Learning, 0)
	require.Contains(t, strings.Join(got["over"].Fixes, "\n"), "always_on::indicators")
	require.NotContains(t, strings.Join(got["young"].Fixes, "\n"), "learning", "there is nothing to set")
	require.Equal(t, event.SearchOn, got["both"].AlwaysOn)

	stale := ledger.New(ledger.Limits{})
	d.At = noon.Add(-time.Hour)
	stale.RecordDetection(d)
	require.NotContains(t, get(t, handler(t, stale), "/coverage").Body.String(), "Looked for what gets worse")
}
