package alertmanagerexporter

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/deployloop/deployloop/internal/event"
	"github.com/deployloop/deployloop/internal/ledger/ledgerhost/ledgerhosttest"
	"github.com/deployloop/deployloop/test/alertmanagertest"
)

// knownTo is a host whose ledger knows the anomaly and its deployment.
func knownTo(a event.Anomaly) ledgerhosttest.Host {
	h := ledgerhosttest.New()
	h.RecordDeployment(a.Verdict.Deployment)
	h.RecordAnomaly(a)
	return h
}

func silenced(l ledgerhosttest.Host, id string) *event.Silence {
	a, _ := l.Anomaly(id)
	return a.Silenced(time.Now())
}

// A real Alertmanager: a person silences the service, and takes it back.
func TestASilenceIsSeen(t *testing.T) {
	am := alertmanagertest.Start(t)
	cfg := configFor(am.URL)
	cfg.SilencePoll = time.Second
	a := rollUpAt(time.Now())
	l := knownTo(a)
	exporter := start(t, cfg, l)
	exporter.consume(a)
	eventually(t, func() bool { return len(l.Tellings(a.Verdict.Deployment.ID)) == 1 }, "the ledger knows that it was told")
	assert.Equal(t, event.ChannelAlertmanager, l.Tellings(a.Verdict.Deployment.ID)[0].Channel)

	until := time.Now().Add(time.Hour).UTC().Truncate(time.Second)
	body := fmt.Sprintf(`{"matchers":[{"name":"service","value":"check.*","isRegex":true},{"name":"team","value":"platform","isRegex":false,"isEqual":false}],
		"startsAt":%q,"endsAt":%q,"createdBy":"ada","comment":"known, mended in 1.43.0"}`, time.Now().UTC().Format(time.RFC3339), until.Format(time.RFC3339))
	response, err := http.Post(am.URL+"/api/v2/silences", "application/json", strings.NewReader(body))
	require.NoError(t, err)
	defer response.Body.Close()
	var made struct {
		ID string `json:"silenceID"`
	}
	require.NoError(t, json.NewDecoder(response.Body).Decode(&made))
	eventually(t, func() bool { return silenced(l, a.ID) != nil }, "the silence")
	assert.Equal(t, &event.Silence{ID: made.ID, By: "ada", Comment: "known, mended in 1.43.0", Until: until}, silenced(l, a.ID))

	request, err := http.NewRequestWithContext(t.Context(), http.MethodDelete, am.URL+"/api/v2/silence/"+made.ID, nil)
	require.NoError(t, err)
	gone, err := http.DefaultClient.Do(request)
	require.NoError(t, err)
	require.NoError(t, gone.Body.Close())
	eventually(t, func() bool { return silenced(l, a.ID) == nil }, "the silence is over")
	assert.Positive(t, exporter.counted("deployloop.alertmanager.silence_polls", "ok"))
}

// silenceServer answers with a silence of the given matchers.
func silenceServer(t *testing.T, answer func() (int, string)) string {
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/am/api/v2/silences" { // under a path, as behind a proxy
			return
		}
		code, body := answer()
		w.WriteHeader(code)
		_, _ = w.Write([]byte(body))
	}))
	t.Cleanup(s.Close)
	return s.URL + "/am/"
}

func silenceOf(state, matchers string) string {
	return fmt.Sprintf(`[{"id":"s","createdBy":"ada","comment":"","updatedAt":"2026-01-01T00:00:00Z","startsAt":"2026-01-01T00:00:00Z","endsAt":%q,
		"status":{"state":%q},"matchers":[%s]}]`, time.Now().Add(time.Hour).UTC().Format(time.RFC3339), state, matchers)
}

func TestWhichSilencesHold(t *testing.T) {
	for name, c := range map[string]struct {
		state, matchers string
		holds           bool
	}{
		"the service":               {"active", `{"name":"service","value":"checkout","isRegex":false}`, true},
		"another service":           {"active", `{"name":"service","value":"cart","isRegex":false}`, false},
		"a part of the name":        {"active", `{"name":"service","value":"check","isRegex":true}`, false},
		"one of two does not hold":  {"active", `{"name":"service","value":"checkout","isRegex":false},{"name":"environment","value":"staging","isRegex":false}`, false},
		"not this service":          {"active", `{"name":"service","value":"checkout","isRegex":false,"isEqual":false}`, false},
		"a label that it lacks":     {"active", `{"name":"cluster","value":"eu","isRegex":false}`, false},
		"is expired":                {"expired", `{"name":"service","value":"checkout","isRegex":false}`, false},
		"begins later":              {"pending", `{"name":"service","value":"checkout","isRegex":false}`, false},
		"a pattern that is no such": {"active", `{"name":"service","value":"(","isRegex":true}`, false},
		"without a matcher":         {"active", ``, false},
	} {
		t.Run(name, func(t *testing.T) {
			cfg := configFor(silenceServer(t, func() (int, string) { return 200, silenceOf(c.state, c.matchers) }))
			a := rollUpAt(time.Now())
			l := knownTo(a)
			cfg.SilencePoll = time.Hour // polled by hand
			exporter := start(t, cfg, l)
			exporter.consume(a)
			exporter.pollSilences(t.Context())
			assert.Equal(t, c.holds, silenced(l, a.ID) != nil)
		})
	}
}

func TestASilenceStandsWhileAlertmanagerDoesNotAnswer(t *testing.T) {
	var code atomic.Int64
	var body atomic.Value
	code.Store(200)
	body.Store(silenceOf("active", `{"name":"service","value":"checkout","isRegex":false}`))
	cfg := configFor(silenceServer(t, func() (int, string) { return int(code.Load()), body.Load().(string) }))
	cfg.SilencePoll = time.Hour
	a := rollUpAt(time.Now())
	l := knownTo(a)
	exporter := start(t, cfg, l)
	exporter.consume(a)
	poll := func() *event.Silence { exporter.pollSilences(t.Context()); return silenced(l, a.ID) }
	require.NotNil(t, poll())

	code.Store(503)
	require.NotNil(t, poll())
	require.NotNil(t, poll())
	code.Store(200)
	body.Store(string(bytes.Repeat([]byte(" "), silencesLimit+1)))
	require.NotNil(t, poll(), "too much to read is no answer")
	body.Store(`<html>a login page</html>`)
	require.NotNil(t, poll())
	assert.EqualValues(t, 4, exporter.counted("deployloop.alertmanager.silence_polls", "failed"))
	assert.Equal(t, 1, exporter.log.FilterMessageSnippet("does not tell its silences").Len(), "said once")
	body.Store(`[]`)
	require.Nil(t, poll())

	body.Store(silenceOf("active", `{"name":"service","value":"checkout","isRegex":false}`))
	require.NotNil(t, poll())
	exporter.consume(closedAtTime(a, time.Now()))
	assert.Empty(t, exporter.open(), "what is closed is not asked about")
}

func TestWithoutALedgerNothingIsPolled(t *testing.T) {
	var asked atomic.Int64
	cfg := configFor(silenceServer(t, func() (int, string) { asked.Add(1); return 200, "[]" }))
	cfg.SilencePoll = time.Second
	exporter := start(t, cfg, host{})
	exporter.consume(rollUpAt(time.Now()))
	eventually(t, func() bool { return exporter.counted("deployloop.alertmanager.alerts.sent", "open") == 1 }, "sent")
	assert.False(t, exporter.asksForSilences())
	require.NoError(t, exporter.Shutdown(context.Background()))
	assert.Zero(t, asked.Load())
}
