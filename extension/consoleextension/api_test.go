package consoleextension

import (
	"encoding/json"
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/deployloop/deployloop/internal/event"
	"github.com/deployloop/deployloop/internal/ledger"
)

func decoded[T any](t *testing.T, h http.Handler, target string, status int) T {
	t.Helper()
	w := get(t, h, target)
	require.Equal(t, status, w.Code, "%s: %s", target, w.Body)
	require.Equal(t, "application/json; charset=utf-8", w.Header().Get("Content-Type"))
	var v T
	require.NoError(t, json.Unmarshal(w.Body.Bytes(), &v))
	return v
}

func TestAPI(t *testing.T) {
	l := ledger.New(ledger.Limits{})
	p := afternoon{noon}
	id := p.play(t, l)
	h := handler(t, l)

	type deployments struct{ Deployments []event.Deployment }
	require.Len(t, decoded[deployments](t, h, "/api/v1/deployments", 200).Deployments, 6)
	list := decoded[deployments](t, h, "/api/v1/deployments?service=checkout&environment=production&limit=2", 200).Deployments
	require.Len(t, list, 2)
	require.Equal(t, id, list[0].ID, "newest first")
	require.Equal(t, "1.41.3", list[1].Version)

	one := decoded[apiDeploymentAnswer](t, h, "/api/v1/deployments/"+id, 200)
	want, _ := l.Verdict(id)
	require.Equal(t, want, *one.Verdict, "the event's own JSON, whole")
	require.Len(t, one.Anomalies, 3)

	type anomalies struct{ Anomalies []event.Anomaly }
	require.Len(t, decoded[anomalies](t, h, "/api/v1/anomalies", 200).Anomalies, 4)
	require.Len(t, decoded[anomalies](t, h, "/api/v1/anomalies?open=true&service=checkout", 200).Anomalies, 3)
	closed := decoded[anomalies](t, h, "/api/v1/anomalies?open=false", 200).Anomalies
	require.Len(t, closed, 1)
	require.Equal(t, event.ClosedRolledBack, closed[0].Closure.Reason)
	require.JSONEq(t, `{"anomalies":[]}`, get(t, h, "/api/v1/anomalies?service=nobody").Body.String())

	type changes struct{ Changes []event.Change }
	require.Len(t, decoded[changes](t, h, "/api/v1/changes?repository=acme/shop&limit=3", 200).Changes, 3)

	status := decoded[apiStatusAnswer](t, h, "/api/v1/status", 200)
	require.Equal(t, "advise", status.Mode)
	require.Equal(t, 1, status.Summary.OpenAlerts, "a roll-up and its symptoms are one")
	require.Equal(t, []string{"github"}, status.Summary.Sources)

	w := get(t, h, "/api/v1/deployments")
	require.Equal(t, http.StatusNotModified, get(t, h, "/api/v1/deployments", "If-None-Match", w.Header().Get("ETag")).Code)
	require.JSONEq(t, `{"status":"ok"}`, get(t, h, "/healthz").Body.String())
}

func TestAPISaysWhatIsWrong(t *testing.T) {
	h := handler(t, ledger.New(ledger.Limits{}))
	for target, status := range map[string]int{
		"/api/v1/deployments/none":           404,
		"/api/v1/nothing":                    404,
		"/api/v1/deployments?limit=0":        400,
		"/api/v1/deployments?limit=many":     400,
		"/api/v1/deployments?limit=1001":     400,
		"/api/v1/deployments?servce=x":       400,
		"/api/v1/deployments?service=%zz":    400,
		"/api/v1/anomalies?open=perhaps":     400,
		"/api/v1/anomalies?open=true&open=x": 400,
		"/api/v1/status?verbose=1":           400,
	} {
		problem := decoded[apiProblem](t, h, target, status)
		require.NotEmpty(t, problem.Error, target)
		require.NotEmpty(t, problem.Fix, target)
	}
}
