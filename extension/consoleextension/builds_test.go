package consoleextension

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/deployloop/deployloop/internal/event"
	"github.com/deployloop/deployloop/internal/ledger"
)

// recordFailedTest has a test fail anew in a commit, and its alert open.
func recordFailedTest(l *ledger.Ledger, revision, message string) {
	at := time.Now().Add(-time.Minute).UTC()
	l.RecordChange(event.Change{Repository: "acme/shop", Ref: "main", Revision: revision, Message: "Round the total", At: at})
	f := event.Feedback{
		ID: "1", Repository: "acme/shop", Ref: "main", Trunk: true, Revision: revision, State: event.Regressed, Tests: 212, Failed: 1, At: at,
		Judgements: []event.Judgement{{Call: event.NewFailure, LastPass: "a1b2c3d", FirstBad: revision,
			Test: &event.TestResult{Suite: "acme/shop/cart", Case: "TestTotal", Status: "fail", File: "total_test.go", Line: 14, Message: message}}},
		Production: []event.ProductionEffect{{Deployment: "0123456789ab", Service: "checkout", Environment: "production", State: event.Regressed, Summary: "errors rose", At: at}},
	}
	l.RecordFeedback(f)
	l.RecordAnomaly(event.Anomaly{ID: "b1", Kind: event.KindBuild, Service: "acme/shop", Commit: revision, Stage: event.StageTest, Signal: event.SignalTest,
		Severity: event.SeverityWarning, Mode: event.Advise, StartsAt: at, DetectedAt: at, At: at, Open: true, Feedback: &f})
}

func TestPagesTellOfBuildsAndTests(t *testing.T) {
	l := ledger.New(ledger.Limits{})
	revision := revision(7)
	recordFailedTest(l, revision, "want <3>, got 4")
	h := handler(t, l)

	page := page200(t, h, "/changes/"+revision)
	text := words(page)
	for _, want := range []string{"What builds and tests say of main", "1 new failure; 212 tests", "new failure: acme/shop/cart TestTotal (total_test.go:14)",
		"last passed at a1b2c3d", "go test -count=1 -run", "In production", "checkout in production", "errors rose"} {
		require.Contains(t, text, want)
	}
	require.Equal(t, 1, strings.Count(text, "go test -count=1 -run"), "a command is shown once")
	require.Contains(t, page, "want &lt;3&gt;, got 4", "text from outside is escaped")
	require.Contains(t, page, `href="/deployments/0123456789ab"`)

	alerts := page200(t, h, "/alerts")
	require.Contains(t, alerts, `<a href="/changes/`+revision+`">acme/shop main: acme/shop/cart TestTotal fails since `)
	require.Contains(t, words(alerts), "See it again go test -count=1 -run '^TestTotal$' acme/shop/cart")
	require.Contains(t, words(page200(t, h, "/")), "1 new failure")

	answer := get(t, h, "/api/v1/feedback?revision="+revision[:8])
	require.Equal(t, http.StatusOK, answer.Code)
	var got struct{ Feedback []event.Feedback }
	require.NoError(t, json.Unmarshal(answer.Body.Bytes(), &got))
	require.Equal(t, l.Feedback(ledger.RunQuery{}), got.Feedback)
}

// A job whose end was never told does not seem to go on for ever.
func TestPagesTellOfAnEndThatWasNeverTold(t *testing.T) {
	l := ledger.New(ledger.Limits{})
	revision, at := revision(7), time.Now().Add(-7*time.Hour).UTC()
	l.RecordChange(event.Change{Repository: "acme/shop", Ref: "main", Revision: revision, Message: "Round the total", At: at})
	l.RecordPipelineRun(event.PipelineRun{ID: "7", Pipeline: "CI", Task: "image", TaskID: "8", Stage: event.StageBuild, State: "executing",
		Repository: "acme/shop", Ref: "main", Revision: revision, StartedAt: at})
	f := event.Feedback{ID: "1", Repository: "acme/shop", Ref: "main", Trunk: true, Revision: revision, State: event.Watching, Running: true, At: at}
	l.RecordFeedback(f)
	h := handler(t, l)
	require.Contains(t, words(page200(t, h, "/")), "Build running")

	f.State, f.Running, f.At = event.Inconclusive, false, at.Add(6*time.Hour)
	f.Unended = []event.UnendedJob{{RunID: "7", Pipeline: "CI", Job: "<b>image", TaskID: "8"}}
	l.RecordFeedback(f)
	timeline := words(page200(t, h, "/"))
	require.NotContains(t, timeline, "Build running")
	require.Contains(t, timeline, "Build end unknown")
	page := page200(t, h, "/changes/"+revision)
	require.Contains(t, words(page), "no end was told of CI / <b>image, so that more may have failed")
	require.Contains(t, words(page), "Build end unknown")
	require.Contains(t, page, "&lt;b&gt;image")
}
