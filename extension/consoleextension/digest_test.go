package consoleextension

import (
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/deployloop/deployloop/internal/event"
	"github.com/deployloop/deployloop/internal/ledger"
)

// unsaid is a ledger with a phantom deployment an hour ago.
func unsaid() (*ledger.Ledger, event.Deployment) {
	l := ledger.New(ledger.Limits{})
	at := noon.Add(-time.Hour)
	d, _ := l.RecordDeployment(event.Deployment{Service: "ghost <xss>", Environment: "production", Version: "2", StartedAt: at, Sources: []event.Source{{Name: "api", At: at}}})
	return l, d
}

func TestDigestAPI(t *testing.T) {
	l, d := unsaid()
	h := handler(t, l)
	type answer struct {
		Digest event.Digest `json:"digest"`
	}
	got := decoded[answer](t, h, "/api/v1/digest", http.StatusOK).Digest
	assert.Equal(t, noon.Add(-24*time.Hour), got.From)
	assert.Equal(t, noon, got.Till)
	assert.Equal(t, 1, got.Deployments)
	require.Len(t, got.Notices, 1)
	assert.Equal(t, d.ID, got.Notices[0].Deployment)
	assert.Zero(t, decoded[answer](t, h, "/api/v1/digest?since=10m", http.StatusOK).Digest.Deployments)
	for _, bad := range []string{"since=0s", "since=721h", "since=-1h", "since=yesterday", "from=1"} {
		problem := decoded[apiProblem](t, h, "/api/v1/digest?"+bad, http.StatusBadRequest)
		assert.NotEmpty(t, problem.Fix, bad)
	}
}

func TestThePageShowsWhatNobodySaid(t *testing.T) {
	l, d := unsaid()
	h := handler(t, l)
	alerts := page200(t, h, "/alerts")
	assert.Contains(t, alerts, `id="n-phantom-`+d.ID+`"`)
	assert.Contains(t, alerts, "none of its telemetry comes")
	assert.NotContains(t, alerts, "<xss>", "text from outside is escaped")
	assert.Contains(t, page200(t, h, "/"), `href="/alerts#n-phantom-`+d.ID+`"`)

	l.RecordSighting(ledger.Sighting{Service: "ghost <xss>", Environment: "production", Version: "2", At: noon})
	assert.NotContains(t, page200(t, h, "/alerts"), "n-phantom")
	assert.NotContains(t, page200(t, h, "/"), "n-phantom")
}

func TestThePageShowsASilence(t *testing.T) {
	l := ledger.New(ledger.Limits{})
	now := noon
	afternoon{noon}.play(t, l)
	h := handler(t, l)
	open := l.Anomalies(ledger.Query{OpenOnly: true})
	require.NotEmpty(t, open)
	assert.NotContains(t, page200(t, h, "/alerts"), "silenced until")
	for _, a := range open {
		l.RecordSilence(a.ID, &event.Silence{ID: "s", By: "ada <xss>", Comment: "known", Until: now.Add(time.Hour)})
	}
	shown := page200(t, h, "/alerts")
	assert.Contains(t, words(shown), "silenced until 2026-11-23 15:06Z by ada")
	assert.NotContains(t, shown, "<xss>")
}
