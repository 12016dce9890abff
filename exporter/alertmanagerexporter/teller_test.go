package alertmanagerexporter

import (
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/alertmanager/api/v2/models"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/component/componenttest"
	"go.opentelemetry.io/collector/config/configauth"
	"go.opentelemetry.io/collector/config/configoptional"
	"go.opentelemetry.io/collector/extension/extensiontest"
	"go.opentelemetry.io/collector/pdata/plog"

	"github.com/open-telemetry/opentelemetry-collector-contrib/extension/basicauthextension"
	"github.com/open-telemetry/opentelemetry-collector-contrib/extension/bearertokenauthextension"

	"github.com/deployloop/deployloop/internal/event"
)

// server answers like an Alertmanager and keeps what it was told.
type server struct {
	*httptest.Server
	mu      sync.Mutex
	alerts  models.PostableAlerts
	headers []http.Header
	status  int
	answer  string
	hang    chan struct{}
}

func newServer(t *testing.T) *server {
	s := &server{status: http.StatusOK}
	s.Server = httptest.NewServer(s)
	t.Cleanup(s.Close)
	return s
}

func (s *server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	status, answer, hang := s.status, s.answer, s.hang
	s.mu.Unlock()
	body, err := io.ReadAll(r.Body) // only then does the server see a client that left
	if hang != nil {
		select {
		case <-hang:
		case <-r.Context().Done():
		}
		return
	}
	var alerts models.PostableAlerts
	if r.URL.Path != "/api/v2/alerts" || r.Method != http.MethodPost || err != nil || json.Unmarshal(body, &alerts) != nil {
		status, answer = http.StatusBadRequest, "not a post of alerts"
	}
	s.mu.Lock()
	s.headers = append(s.headers, r.Header)
	if status == http.StatusOK {
		s.alerts = append(s.alerts, alerts...)
	}
	s.mu.Unlock()
	w.WriteHeader(status)
	_, _ = w.Write([]byte(answer))
}

func (s *server) set(status int, answer string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.status, s.answer = status, answer
}

func (s *server) got() models.PostableAlerts {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append(models.PostableAlerts(nil), s.alerts...)
}

func eventually(t *testing.T, condition func() bool, message string) {
	t.Helper()
	require.Eventually(t, condition, 10*time.Second, 5*time.Millisecond, message)
}

func TestOnlyWhatMayBeToldIsSent(t *testing.T) {
	now := time.Now()
	with := func(edit func(*event.Anomaly)) event.Anomaly {
		a := symptomAt(now)
		edit(&a)
		return a
	}
	for name, c := range map[string]struct {
		anomaly event.Anomaly
		skipped string // "" when it is sent
	}{
		"advise":         {symptomAt(now), ""},
		"gate":           {with(func(a *event.Anomaly) { a.Mode = event.Gate }), ""},
		"shadow":         {with(func(a *event.Anomaly) { a.Mode = event.Shadow }), skipShadow},
		"no mode":        {with(func(a *event.Anomaly) { a.Mode = "" }), skipShadow},
		"an old replay":  {with(func(a *event.Anomaly) { a.At = now.Add(-2 * time.Minute) }), skipStale},
		"an old closure": {closedAtTime(symptomAt(now), now.Add(-2*time.Minute)), skipStale},
	} {
		t.Run(name, func(t *testing.T) {
			am := newServer(t)
			h := start(t, configFor(am.URL), nil)
			h.consume(c.anomaly)
			if c.skipped == "" {
				eventually(t, func() bool { return len(am.got()) == 1 }, "sent")
				return
			}
			require.NoError(t, h.Shutdown(t.Context())) // all that was pending is out
			assert.Empty(t, am.got())
			assert.EqualValues(t, 1, h.counted("deployloop.alertmanager.records.skipped", c.skipped))
		})
	}
}

func TestForeignAndBrokenRecordsAreNoMatter(t *testing.T) {
	am := newServer(t)
	h := start(t, configFor(am.URL), nil)
	logs := plog.NewLogs()
	list := logs.ResourceLogs().AppendEmpty().ScopeLogs().AppendEmpty().LogRecords()
	list.AppendEmpty().SetEventName(event.NameVerdict)
	broken := list.AppendEmpty()
	broken.SetEventName(event.NameAnomaly)
	broken.Body().SetStr("{")
	require.NoError(t, h.ConsumeLogs(t.Context(), logs))
	require.NoError(t, h.ConsumeLogs(t.Context(), plog.NewLogs()))
	require.NoError(t, h.Shutdown(t.Context()))
	assert.Empty(t, am.got())
	assert.EqualValues(t, 1, h.counted("deployloop.alertmanager.records.skipped", skipUndecodable))
	assert.False(t, h.Capabilities().MutatesData)
}

// A record that arrives after a newer one must not take back what that said.
func TestAReplayNeverRevives(t *testing.T) {
	am := newServer(t)
	h := start(t, configFor(am.URL), nil)
	now := time.Now()
	open := symptomAt(now.Add(-20 * time.Second))
	h.consume(open)
	eventually(t, func() bool { return len(am.got()) == 1 }, "the alert")
	closing := closedAtTime(open, now.Add(-10*time.Second))
	h.consume(closing)
	eventually(t, func() bool { return len(am.got()) == 2 }, "its end")

	h.consume(open)                          // a replay within three heartbeats
	h.consume(repeated(open, closing.At))    // at the very moment of the closure
	h.consume(repeated(closing, time.Now())) // the closure again, at its heartbeat
	eventually(t, func() bool { return len(am.got()) == 3 }, "the closure repeated")
	last := am.got()[2]
	assert.WithinDuration(t, closing.At, time.Time(last.EndsAt), time.Millisecond, "its end is frozen")
	assert.EqualValues(t, 2, h.counted("deployloop.alertmanager.records.skipped", skipOutdated))
}

func TestOneAlertmanagerDownStopsNoOther(t *testing.T) {
	up, hanging, stuck := newServer(t), newServer(t), newServer(t)
	hanging.hang, stuck.hang = make(chan struct{}), make(chan struct{})
	down := newServer(t)
	down.Close()
	cfg := configFor(down.URL, hanging.URL, stuck.URL, up.URL)
	cfg.Endpoints[1].Timeout, cfg.Endpoints[2].Timeout = 300*time.Millisecond, time.Hour
	h := start(t, cfg, nil)
	now := time.Now()
	h.consume(rollUpAt(now), symptomAt(now)) // it waits for no Alertmanager, else it would for an hour
	eventually(t, func() bool { return len(up.got()) == 2 }, "the one that is up has both")
	assert.Equal(t, alertRollUp, up.got()[0].Labels["alertname"], "the roll-up first")
	eventually(t, func() bool { return h.counted("deployloop.alertmanager.alerts.failed", failUnavailable) >= 4 }, "two failures each")
	assert.EqualValues(t, 2, h.counted("deployloop.alertmanager.alerts.sent", "open"))
	m, err := h.telemetry.GetMetric("deployloop.alertmanager.onset_to_alert")
	require.NoError(t, err)
	require.NotNil(t, m)
	close(stuck.hang) // else the end of the exporter would wait for it
}

func TestARefusalIsLoggedOnceWithItsAnswer(t *testing.T) {
	am := newServer(t)
	am.set(http.StatusBadRequest, "bad\nlabel")
	h := start(t, configFor(am.URL), nil)
	now := time.Now()
	for i := range 3 {
		h.consume(repeated(symptomAt(now), now.Add(time.Duration(i)*time.Millisecond)))
		eventually(t, func() bool { return h.counted("deployloop.alertmanager.alerts.failed", failRejected) == int64(i+1) }, "counted")
	}
	refusals := h.log.FilterMessageSnippet("refused").All()
	require.Len(t, refusals, 1)
	assert.Equal(t, "bad label", refusals[0].ContextMap()["answer"])
	assert.EqualValues(t, 400, refusals[0].ContextMap()["status"])

	am.set(http.StatusOK, "")
	h.consume(repeated(symptomAt(now), now.Add(time.Second)))
	eventually(t, func() bool { return len(am.got()) == 1 }, "it heals by itself")
}

// Ten minutes without an Alertmanager lose nothing: what is open then is told
// with its true start, what closed meanwhile is not revived.
func TestAnOutageOfTenMinutesLosesNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		am := &fakeAlertmanager{down: true}
		cfg := configFor("http://alertmanager.test")
		teller := newBareTeller(t, cfg, am)
		begin := time.Now()
		stays, ends := symptomAt(begin), rollUpAt(begin)
		say := func() {
			now := time.Now()
			records := []event.Anomaly{repeated(stays, now), repeated(ends, now)}
			if now.Sub(begin) >= 5*time.Minute {
				records[1] = repeated(closedAtTime(ends, begin.Add(5*time.Minute)), now)
			}
			for _, a := range records {
				if teller.accept(a) == "" {
					teller.endpoints[0].give(a)
				}
			}
			synctest.Wait()
		}
		for range 20 { // ten minutes of heartbeats
			say()
			time.Sleep(30 * time.Second)
		}
		require.Empty(t, am.alerts)
		am.down = false
		say()
		require.Len(t, am.alerts, 2)
		assert.True(t, stays.StartsAt.Equal(time.Time(am.alerts[0].StartsAt)), "the true onset")
		assert.True(t, time.Time(am.alerts[0].EndsAt).After(time.Now()), "open")
		assert.True(t, begin.Add(5*time.Minute).Equal(time.Time(am.alerts[1].EndsAt)), "closed when it closed")
		assert.Contains(t, am.alerts[1].Annotations, "resolution")

		// And no message of the outage comes late.
		time.Sleep(10 * time.Second)
		synctest.Wait()
		assert.Len(t, am.alerts, 2)
	})
}

// A hanging Alertmanager gets the newest state, never a backlog.
func TestTheMailboxHoldsTheNewestOnly(t *testing.T) {
	am := newServer(t)
	release := make(chan struct{})
	am.hang = release
	h := start(t, configFor(am.URL), nil)
	now := time.Now()
	h.consume(symptomAt(now.Add(-time.Second)))
	for i := range 50 {
		h.consume(repeated(symptomAt(now), now.Add(time.Duration(i)*time.Millisecond)))
	}
	am.mu.Lock()
	am.hang = nil
	am.mu.Unlock()
	close(release)
	eventually(t, func() bool { return len(am.got()) >= 1 }, "told")
	require.NoError(t, h.Shutdown(t.Context()))
	got := am.got()
	assert.LessOrEqual(t, len(got), 2)
	newest := now.Add(49 * time.Millisecond)
	if sentAt := time.Now(); newest.After(sentAt) {
		newest = sentAt
	}
	assert.WithinDuration(t, newest.Add(90*time.Second), time.Time(got[len(got)-1].EndsAt), 50*time.Millisecond, "the newest state")
}

func TestWhatIsRememberedIsBounded(t *testing.T) {
	am := newServer(t)
	cfg := configFor(am.URL)
	cfg.MaxAlerts = 10
	h := start(t, cfg, nil)
	now := time.Now()
	for i := range 100 {
		a := symptomAt(now)
		a.ID, a.At = strings.Repeat("x", i+1), now.Add(-time.Duration(100-i)*time.Millisecond)
		h.consume(a)
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	assert.Len(t, h.latest, 10)
	assert.Contains(t, h.latest, strings.Repeat("x", 100))
}

// Basic and bearer authentication come from the Collector's own extensions.
func TestAuthenticationByExtensions(t *testing.T) {
	basic := basicauthextension.NewFactory()
	basicConfig := basic.CreateDefaultConfig().(*basicauthextension.Config)
	basicConfig.ClientAuth = &basicauthextension.ClientAuthSettings{Username: "loop", Password: "secret"}
	bearer := bearertokenauthextension.NewFactory()
	bearerConfig := bearer.CreateDefaultConfig().(*bearertokenauthextension.Config)
	bearerConfig.BearerToken = "token"

	extensions := host{}
	basicID, bearerID := component.MustNewID("basicauth"), component.MustNewID("bearertokenauth")
	one, err := basic.Create(t.Context(), extensiontest.NewNopSettings(basic.Type()), basicConfig)
	require.NoError(t, err)
	two, err := bearer.Create(t.Context(), extensiontest.NewNopSettings(bearer.Type()), bearerConfig)
	require.NoError(t, err)
	extensions[basicID], extensions[bearerID] = one, two
	for _, e := range extensions {
		require.NoError(t, e.Start(t.Context(), componenttest.NewNopHost()))
		t.Cleanup(func() { require.NoError(t, e.Shutdown(t.Context())) })
	}

	a, b := newServer(t), newServer(t)
	cfg := configFor(a.URL, b.URL)
	cfg.Endpoints[0].Auth = configoptional.Some(configauth.Config{AuthenticatorID: basicID})
	cfg.Endpoints[1].Auth = configoptional.Some(configauth.Config{AuthenticatorID: bearerID})
	h := start(t, cfg, extensions)
	h.consume(symptomAt(time.Now()))
	eventually(t, func() bool { return len(a.got()) == 1 && len(b.got()) == 1 }, "both told")
	assert.Equal(t, "Basic bG9vcDpzZWNyZXQ=", a.headers[0].Get("Authorization"))
	assert.Equal(t, "Bearer token", b.headers[0].Get("Authorization"))
}
