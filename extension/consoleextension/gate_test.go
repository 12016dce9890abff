package consoleextension

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/deployloop/deployloop/internal/event"
	"github.com/deployloop/deployloop/internal/ledger"
)

// judged records one rollout of each verdict, under the given mode: the
// version is the verdict's name.
func judged(t testing.TB, mode event.Mode) *ledger.Ledger {
	t.Helper()
	l := ledger.New(ledger.Limits{})
	p := afternoon{noon}
	for i, v := range []event.Verdict{
		{State: event.Watching, Reason: event.ReasonCollecting, ETA: 3 * time.Minute, MinimumEffect: 2.5, MinimumEffectAbs: 0.012, Calibrating: true},
		{State: event.Healthy, Reason: event.ReasonWithinTolerance},
		{State: event.Regressed, Reason: event.ReasonEvidenceOfHarm},
		{State: event.Inconclusive, Reason: event.ReasonThinData, MinimumEffectAbs: 0.019},
		{State: event.Exonerated, Reason: event.ReasonBeganBefore},
	} {
		d, _ := l.RecordDeployment(event.Deployment{Service: "s-" + string(v.State), Environment: "production", Version: string(v.State), Revision: revision(i),
			StartedAt: p.at(time.Hour), FirstSeenAt: p.at(time.Hour), Sources: []event.Source{{Name: "flagger", At: noon}}})
		if v.State == event.Regressed {
			v = p.badVerdict(d)
		}
		v.Deployment, v.Mode, v.At = d, mode, noon
		l.RecordVerdict(v)
	}
	return l
}

func argo(t testing.TB, h http.Handler, query string) gateAnswer {
	t.Helper()
	w := get(t, h, "/gate/argo?"+query)
	require.Equal(t, http.StatusOK, w.Code, "always 200: %s", w.Body)
	var a gateAnswer
	require.NoError(t, json.Unmarshal(w.Body.Bytes(), &a))
	require.NotEmpty(t, a.Reason)
	return a
}

func flagger(h http.Handler, hook, payload string, headers ...string) (status int, body string) {
	r := httptest.NewRequest(http.MethodPost, "/gate/flagger/"+hook, strings.NewReader(payload))
	r.Host = "127.0.0.1:8090"
	for i := 0; i+1 < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w.Code, w.Body.String()
}

func TestGateDecides(t *testing.T) {
	states := []event.VerdictState{event.Watching, event.Healthy, event.Regressed, event.Inconclusive, event.Exonerated, "unknown"}
	type row struct {
		decision                   decision
		rollout, confirm, rollBack int
	}
	const ok, no = http.StatusOK, http.StatusConflict
	pass, fail, wait := row{decisionPass, ok, ok, no}, row{decisionFail, no, no, no}, row{decisionWait, ok, no, no}
	harmful := row{decisionFail, no, no, ok}
	for _, c := range []struct {
		name   string
		mode   event.Mode
		change func(*Config)
		want   []row // in the order of states
	}{
		{"gate", event.Gate, func(*Config) {}, []row{wait, pass, harmful, wait, pass, wait}},
		{"no evidence fails", event.Gate, func(c *Config) { c.Gate.OnInconclusive, c.Gate.OnUnavailable = decisionFail, decisionFail }, []row{wait, pass, harmful, fail, pass, fail}},
		{"no evidence passes on purpose", event.Gate, func(c *Config) { c.Gate.OnInconclusive, c.Gate.OnUnavailable = decisionPass, decisionPass }, []row{wait, pass, harmful, pass, pass, pass}},
		// What is not gated is never held up; what nobody knows is not waved through for that.
		{"advise", event.Advise, func(*Config) {}, []row{pass, pass, pass, pass, pass, wait}},
		{"shadow", event.Shadow, func(c *Config) { c.Gate.OnInconclusive = decisionFail }, []row{pass, pass, pass, pass, pass, wait}},
	} {
		t.Run(c.name, func(t *testing.T) {
			h := handler(t, judged(t, c.mode), c.change)
			for i, state := range states {
				want := c.want[i]
				a := argo(t, h, fmt.Sprintf("service=s-%s&environment=production&version=%s", state, state))
				if state == "unknown" {
					require.Equal(t, event.Inconclusive, a.Verdict)
					require.Contains(t, a.Reason, "not known")
				} else {
					require.Equal(t, state, a.Verdict, "the verdict is told whatever the mode")
					require.Contains(t, a.URL, "/deployments/"+a.Deployment)
				}
				require.Equal(t, want.decision, a.Decision, state)
				for hook, status := range map[string]int{"rollout": want.rollout, "confirm-promotion": want.confirm, "rollback": want.rollBack} {
					got, body := flagger(h, hook, fmt.Sprintf(`{"name":"s-%s","namespace":"production","phase":"Progressing","metadata":{"version":%q}}`, state, state))
					require.Equal(t, status, got, "%s of %s: %s", hook, state, body)
					require.Contains(t, body, string(a.Verdict)+": "+a.Reason)
				}
			}
		})
	}
}

// Every mode with every on_inconclusive and on_unavailable, at Argo Rollouts'
// and at Flagger's three questions: only a gated service is ever held up, and
// only proof rolls back.
func TestGateInEveryMode(t *testing.T) {
	decisions := []decision{decisionFail, decisionPass, decisionWait}
	status := func(yes bool) int {
		if yes {
			return http.StatusOK
		}
		return http.StatusConflict
	}
	for _, mode := range []event.Mode{event.Shadow, event.Advise, event.Gate} {
		l := judged(t, mode)
		for _, onInconclusive := range decisions {
			for _, onUnavailable := range decisions {
				h := handler(t, l, func(c *Config) { c.Gate.OnInconclusive, c.Gate.OnUnavailable = onInconclusive, onUnavailable })
				gated := map[event.VerdictState]decision{
					event.Watching: decisionWait, event.Healthy: decisionPass, event.Exonerated: decisionPass,
					event.Regressed: decisionFail, event.Inconclusive: onInconclusive,
				}
				for state, want := range gated {
					if mode != event.Gate {
						want = decisionPass
					}
					checkGate(t, h, string(state), want, map[string]int{
						"rollout": status(want != decisionFail), "confirm-promotion": status(want == decisionPass),
						"rollback": status(mode == event.Gate && state == event.Regressed),
					})
				}
				// What nobody knows has no mode.
				checkGate(t, h, "unknown", onUnavailable, map[string]int{
					"rollout": status(onUnavailable != decisionFail), "confirm-promotion": status(onUnavailable == decisionPass), "rollback": status(false),
				})
			}
		}
	}
}

func checkGate(t *testing.T, h http.Handler, version string, want decision, hooks map[string]int) {
	t.Helper()
	a := argo(t, h, fmt.Sprintf("service=s-%s&environment=production&version=%s", version, version))
	require.Equal(t, want, a.Decision, version)
	for hook, status := range hooks {
		got, body := flagger(h, hook, fmt.Sprintf(`{"name":"s-%s","namespace":"production","phase":"Progressing","metadata":{"version":%q}}`, version, version))
		require.Equal(t, status, got, "%s of %s: %s", hook, version, body)
	}
}

// deployloop gate goes by the verdict: nothing is said then of what the mode would
// let pass.
func TestGateWhateverTheMode(t *testing.T) {
	for _, mode := range []event.Mode{event.Shadow, event.Advise, event.Gate} {
		a := argo(t, handler(t, judged(t, mode)), "service=s-regressed&version=regressed&respect_mode=false")
		require.Equal(t, decisionFail, a.Decision)
		require.NotContains(t, a.Reason, "Not held up")
		require.Equal(t, mode, a.Mode)
	}
	a := argo(t, handler(t, judged(t, event.Advise)), "service=s-regressed&version=regressed")
	require.Equal(t, decisionPass, a.Decision)
	require.Contains(t, a.Reason, "Not held up")
}

func TestGateAnswerForArgo(t *testing.T) {
	h := handler(t, judged(t, event.Gate), func(c *Config) { c.PublicURL = "https://deploys.example/" })
	w := get(t, h, "/gate/argo?service=s-watching&version=watching")
	var a map[string]any
	require.NoError(t, json.Unmarshal(w.Body.Bytes(), &a))
	require.Equal(t, "no-store", w.Header().Get("Cache-Control"))
	require.Equal(t, "watching", a["verdict"])
	require.Equal(t, true, a["calibrating"])
	require.Equal(t, 180.0, a["eta_seconds"])
	require.Equal(t, map[string]any{"rate_ratio": 2.5, "error_share_increase": 0.012}, a["minimum_detectable_effect"])
	require.Contains(t, a["url"], "https://deploys.example/deployments/")

	bad := argo(t, h, "service=s-regressed&revision="+revision(2)[:9])
	require.Equal(t, event.Regressed, bad.Verdict)
	require.Contains(t, bad.Reason, "4.8%", "the reason comes with its numbers")
}

func TestGateNeverPassesAnothersVerdict(t *testing.T) {
	l := judged(t, event.Gate)
	p := afternoon{noon}
	h := handler(t, l)
	for query, reason := range map[string]string{
		"":                                   "no service",
		"service=s-healthy":                  "neither version nor revision",
		"service=s-healthy&version=healthy2": "not known in any environment",
		"service=s-healthy&revision=" + revision(9):                 "not known",
		"service=s-healthy&revision=" + revision(1)[:6]:             "not known",
		"service=s-healthy&version=healthy&revision=" + revision(9): "not known",
		"service=s-healthy&version=healthy&environment=staging":     "not known in staging",
		"service=s-healthy&version=healthy&enviroment=production":   "Unknown parameter",
	} {
		a := argo(t, h, query)
		require.Equal(t, event.Inconclusive, a.Verdict, query)
		require.Equal(t, decisionWait, a.Decision, query)
		require.Contains(t, a.Reason, reason, query)
	}

	// The same version in two environments needs one of them named.
	l.RecordDeployment(event.Deployment{Service: "s-healthy", Environment: "staging", Version: "healthy", Revision: revision(1), StartedAt: p.at(30 * time.Minute)})
	require.Contains(t, argo(t, h, "service=s-healthy&version=healthy").Reason, "name the environment")
	require.Equal(t, event.Healthy, argo(t, h, "service=s-healthy&version=healthy&environment=production").Verdict)
	staged := argo(t, h, "service=s-healthy&version=healthy&environment=staging")
	require.Equal(t, event.Watching, staged.Verdict)
	require.Equal(t, decisionWait, staged.Decision)
	require.Contains(t, staged.Reason, "first telemetry")

	// A first version has nothing to be compared with.
	l.RecordDeployment(event.Deployment{Service: "new", Environment: "production", Version: "1", Baseline: true, StartedAt: p.at(time.Minute)})
	first := argo(t, h, "service=new&version=1")
	require.Equal(t, event.Inconclusive, first.Verdict)
	require.Contains(t, first.Reason, "nothing to compare")

	// A healthy verdict from before a rollback says nothing of a second try.
	was, _ := l.Deployment(argo(t, h, "service=s-healthy&version=healthy&environment=production").Deployment)
	l.RecordDeployment(event.Deployment{Service: "s-healthy", Environment: "production", Version: "older", Revision: revision(8), RollbackOf: was.ID, StartedAt: p.at(time.Minute),
		Sources: []event.Source{{Name: "api", At: noon}}})
	again := argo(t, h, "service=s-healthy&version=healthy&environment=production")
	require.Equal(t, event.Inconclusive, again.Verdict)
	require.Equal(t, decisionWait, again.Decision)
	require.Contains(t, again.Reason, "rolled back")
}

// Payloads as Flagger posts them (docs.flagger.app/usage/webhooks), replayed.
func TestFlaggerPayloads(t *testing.T) {
	h := handler(t, judged(t, event.Gate))
	for name, want := range map[string]int{"rollout": http.StatusConflict, "confirm-promotion": http.StatusConflict, "rollback": http.StatusOK} {
		payload, err := os.ReadFile("testdata/flagger_" + name + ".json")
		require.NoError(t, err)
		status, body := flagger(h, name, string(payload))
		require.Equal(t, want, status, body)
		require.Contains(t, body, "regressed: ")
		require.NotContains(t, body, "<", "plain text for the Canary's events")
	}
	status, body := flagger(h, "rollout", "{")
	require.Equal(t, http.StatusBadRequest, status)
	require.Contains(t, body, "no webhook of Flagger")
	status, _ = flagger(h, "rollout", `{"name":"`+strings.Repeat("x", flaggerBodyLimit)+`"}`)
	require.Equal(t, http.StatusBadRequest, status, "a body is bounded")
	status, _ = flagger(h, "pre-rollout", `{"name":"a"}`)
	require.Equal(t, http.StatusNotFound, status)
}

func TestGateToken(t *testing.T) {
	const token = "0123456789abcdef0123"
	h := handler(t, judged(t, event.Gate), func(c *Config) { c.Gate.Token = token })
	const question = "/gate/argo?service=s-healthy&version=healthy"
	const hook = `{"name":"s-healthy","namespace":"production","metadata":{"version":"healthy"}}`
	basic := func(password string) string {
		r := httptest.NewRequest(http.MethodGet, "/", nil)
		r.SetBasicAuth("gate", password)
		return r.Header.Get("Authorization")
	}
	for header, status := range map[string]int{
		"": 401, "Bearer ": 401, "Bearer " + token[1:]: 401, token: 401, basic("wrong"): 401,
		"Bearer " + token: 200, basic(token): 200,
	} {
		require.Equal(t, status, get(t, h, question, "Authorization", header).Code, header)
		got, _ := flagger(h, "confirm-promotion", hook, "Authorization", header)
		require.Equal(t, status, got, header)
	}
	require.Equal(t, http.StatusOK, get(t, h, "/").Code, "the page needs no token: it is the gate's")

	// Who has the token may come by another name, e.g. through a cluster's service.
	r := httptest.NewRequest(http.MethodGet, question, nil)
	r.Host = "deployloop.ops.svc:8090"
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	require.Equal(t, http.StatusMisdirectedRequest, w.Code)
	r.Header.Set("Authorization", "Bearer "+token)
	w = httptest.NewRecorder()
	h.ServeHTTP(w, r)
	require.Equal(t, http.StatusOK, w.Code)
}

// questions are those of a full ledger, the costly ones too: those that name no
// environment or nothing that is known. The first two of four are answered.
func questions(i int) string {
	return []string{
		fmt.Sprintf("service=svc-%d&environment=production&version=%d.0", i%400, 9600+i%400),
		fmt.Sprintf("service=svc-%d&revision=%s", i%400, revision(1000+9600+i%400)),
		fmt.Sprintf("service=svc-%d&version=none", i%400),
		"service=nobody&version=1",
	}[i%4]
}

func TestGateAmongTenThousand(t *testing.T) {
	l, _ := many(t)
	h := handler(t, l)
	for i := range 2000 {
		a := argo(t, h, questions(i))
		want := event.Inconclusive
		if i%4 < 2 {
			want = event.Healthy
		}
		require.Equal(t, want, a.Verdict, a.Reason)
	}
}

// BenchmarkGate reports the slowest answer of a hundred too: Argo Rollouts and
// Flagger hold a rollout up for each.
func BenchmarkGate(b *testing.B) {
	l, _ := many(b)
	h := handler(b, l)
	var took []time.Duration
	for b.Loop() {
		began := time.Now()
		a := argo(b, h, questions(len(took)))
		took = append(took, time.Since(began))
		if len(took)%4 == 1 && a.Verdict != event.Healthy {
			b.Fatal(a.Reason)
		}
	}
	slices.Sort(took)
	b.ReportMetric(float64(took[len(took)*99/100].Nanoseconds()), "p99-ns/op")
}
