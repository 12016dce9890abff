package consoleextension

import (
	"net/http"
	"net/http/httptest"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/deployloop/deployloop/internal/event"
	"github.com/deployloop/deployloop/internal/ledger"
)

// posted sends a body from a peer on this machine unless a header says otherwise.
func posted(h http.Handler, target, kind, body string, headers ...string) *httptest.ResponseRecorder {
	r := httptest.NewRequest(http.MethodPost, target, strings.NewReader(body))
	r.Host, r.RemoteAddr = "127.0.0.1:8090", "127.0.0.1:40000"
	r.Header.Set("Content-Type", kind)
	for i := 0; i+1 < len(headers); i += 2 {
		if headers[i] == "peer" {
			r.RemoteAddr = headers[i+1]
		} else {
			r.Header.Set(headers[i], headers[i+1])
		}
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w
}

func TestWaiveByAPI(t *testing.T) {
	l := ledger.New(ledger.Limits{})
	id := event.AnomalyID(afternoon{noon}.play(t, l), event.KindDeployment, "", "")
	h := handler(t, l)
	target := "/api/v1/anomalies/" + id + "/waive"
	const good = `{"until":"2026-12-01","reason":"known; mended in 1.43.0","by":"Ada"}`
	const kind = "application/json"
	for _, c := range []struct {
		body, says string
		status     int
		headers    []string
	}{
		{`{"until":"2026-12-01","by":"Ada"}`, "needs a reason", 400, nil},
		{`{"until":"soon","reason":"x"}`, "is no date", 400, nil},
		{`{"until":"2026-11-22","reason":"x"}`, "is past", 400, nil},
		{`{"until":"2027-06-01","reason":"x"}`, "days ahead", 400, nil},
		{`{"until":"2026-12-01","reason":"` + strings.Repeat("x", 1001) + `"}`, "characters", 400, nil},
		{`{"untill":"2026-12-01"}`, "untill", 400, nil},
		{`{"reason":"` + strings.Repeat("x", waiverBodyLimit) + `"}`, "too large", 400, nil},
		{good, "need auth", 403, []string{"peer", "192.0.2.7:40000"}},
		{good, "another site", 415, []string{"Content-Type", "text/plain"}},
		{good, "another site", 415, []string{"Origin", "https://evil.example"}},
		{good, "another site", 415, []string{"Sec-Fetch-Site", "cross-site"}},
	} {
		w := posted(h, target, kind, c.body, c.headers...)
		require.Equal(t, c.status, w.Code, w.Body)
		require.Contains(t, w.Body.String(), c.says)
	}
	require.Equal(t, http.StatusNotFound, posted(h, "/api/v1/anomalies/none/waive", kind, good).Code)
	a, _ := l.Anomaly(id)
	require.True(t, a.Open, "what was refused closed nothing")

	w := posted(h, target, kind, good)
	require.Equal(t, http.StatusOK, w.Code, w.Body)
	a, _ = l.Anomaly(id)
	require.False(t, a.Open)
	require.Equal(t, event.Closure{Reason: event.ClosedWaived, Detail: "known; mended in 1.43.0", By: "Ada", At: noon,
		Until: time.Date(2026, 12, 1, 23, 59, 59, 0, time.UTC)}, *a.Closure)
	require.Equal(t, http.StatusConflict, posted(h, target, kind, good).Code)
	require.Contains(t, get(t, h, "/alerts").Body.String(), "known; mended in 1.43.0")
}

func TestWaiveByAPIWithToken(t *testing.T) {
	const token = "0123456789abcdef0123"
	l := ledger.New(ledger.Limits{})
	id := event.AnomalyID(afternoon{noon}.play(t, l), event.KindDeployment, "", "")
	h := handler(t, l, func(c *Config) { c.Gate.Token = token })
	target, body := "/api/v1/anomalies/"+id+"/waive", `{"until":"2026-12-01","reason":"x"}`
	require.Equal(t, http.StatusUnauthorized, posted(h, target, "application/json", body).Code)
	require.Equal(t, http.StatusOK, posted(h, target, "application/json", body, "Authorization", "Bearer "+token, "peer", "192.0.2.7:40000").Code)
}

// Whoever reaches the page reaches its form.
func TestWaiveByFormWithToken(t *testing.T) {
	const secret = "0123456789abcdef<&\""
	l := ledger.New(ledger.Limits{})
	id := event.AnomalyID(afternoon{noon}.play(t, l), event.KindDeployment, "", "")
	h := handler(t, l, func(c *Config) { c.Gate.Token = secret })
	shown := get(t, h, "/alerts")
	require.Contains(t, shown.Body.String(), `type="password" name="gate_token" required`)
	require.NotContains(t, shown.Body.String(), "0123456789abcdef", "the page does not give it away")
	token := tokenField.FindStringSubmatch(shown.Body.String())[1]
	cookie := shown.Result().Cookies()[0].Name + "=" + shown.Result().Cookies()[0].Value
	post := func(token string, given ...string) *httptest.ResponseRecorder {
		return posted(h, "/alerts/"+id+"/waive", "application/x-www-form-urlencoded",
			url.Values{"token": {token}, "until": {"2026-11-30"}, "reason": {"known"}, "by": {"Grace"}, "gate_token": given}.Encode(), "Cookie", cookie)
	}
	for name, w := range map[string]*httptest.ResponseRecorder{
		"none": post(token), "empty": post(token, ""), "wrong": post(token, "<script>0123456789abcdef"), "second": post(token, "wrong", secret),
		"not from our page": post("", secret),
	} {
		require.Equal(t, http.StatusForbidden, w.Code, name)
		require.NotContains(t, w.Body.String(), "0123456789abcdef", name)
	}
	require.Contains(t, post(token).Body.String(), "the gate&#39;s token is missing or wrong")
	a, _ := l.Anomaly(id)
	require.True(t, a.Open, "what was refused closed nothing")
	require.Equal(t, http.StatusSeeOther, post(token, secret).Code)
	a, _ = l.Anomaly(id)
	require.False(t, a.Open)
	require.NotContains(t, get(t, handler(t, l), "/alerts").Body.String(), "gate_token")
}

var tokenField = regexp.MustCompile(`name="token" value="([0-9a-f]{64})"`)

func TestWaiveByForm(t *testing.T) {
	l := ledger.New(ledger.Limits{})
	id := event.AnomalyID(afternoon{noon}.play(t, l), event.KindDeployment, "", "")
	h := handler(t, l)
	shown := get(t, h, "/alerts")
	cookie := shown.Result().Cookies()[0]
	require.True(t, cookie.HttpOnly)
	require.Equal(t, http.SameSiteStrictMode, cookie.SameSite)
	token := tokenField.FindStringSubmatch(shown.Body.String())[1]
	pair := cookie.Name + "=" + cookie.Value
	again := get(t, h, "/alerts", "Cookie", pair)
	require.Empty(t, again.Result().Cookies())
	require.Contains(t, again.Body.String(), token, "one token a browser, so that a live page does not change")

	form := func(token string) string {
		return url.Values{"token": {token}, "until": {"2026-11-30"}, "reason": {"<b>known</b>"}, "by": {"Grace"}}.Encode()
	}
	const kind = "application/x-www-form-urlencoded"
	target := "/alerts/" + id + "/waive"
	for name, w := range map[string]*httptest.ResponseRecorder{
		"no cookie":         posted(h, target, kind, form(token)),
		"no token":          posted(h, target, kind, form(""), "Cookie", pair),
		"another's token":   posted(h, target, kind, form(token), "Cookie", csrfCookie+"="+strings.Repeat("0", 32)),
		"from another site": posted(h, target, kind, form(token), "Cookie", pair, "Sec-Fetch-Site", "cross-site"),
		"of another origin": posted(h, target, kind, form(token), "Cookie", pair, "Origin", "http://evil.example"),
	} {
		require.Equal(t, http.StatusForbidden, w.Code, name)
	}
	a, _ := l.Anomaly(id)
	require.True(t, a.Open)

	w := posted(h, target, kind, form(token), "Cookie", pair, "Sec-Fetch-Site", "same-origin")
	require.Equal(t, http.StatusSeeOther, w.Code, w.Body)
	require.Equal(t, "/alerts#a-"+id, w.Header().Get("Location"))
	a, _ = l.Anomaly(id)
	require.Equal(t, "Grace", a.Closure.By)
	page := get(t, h, "/alerts").Body.String()
	require.Contains(t, page, "&lt;b&gt;known")
	require.NotContains(t, page, "<b>known")
	require.Equal(t, http.StatusConflict, posted(h, target, kind, form(token), "Cookie", pair).Code)
}
