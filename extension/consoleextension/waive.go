package consoleextension

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"mime"
	"net"
	"net/http"
	"net/url"
	"strings"

	collectorclient "go.opentelemetry.io/collector/client"
	"go.opentelemetry.io/collector/config/confignet"

	"github.com/deployloop/deployloop/internal/event"
	"github.com/deployloop/deployloop/internal/waiver"
)

const (
	// waiverBodyLimit bounds a waiver's request in bytes.
	waiverBodyLimit = 16 << 10
	// csrfCookie holds the nonce that a form's token signs.
	csrfCookie = "deployloop_csrf"
	// gateTokenField of the form holds gate::token.
	gateTokenField = "gate_token"
)

// closer is the one thing that the console may change.
type closer interface {
	CloseAnomaly(id string, c event.Closure) bool
}

// waiverRequest closes an alert on purpose.
type waiverRequest struct {
	Until  string `json:"until"` // a day, or an RFC 3339 time
	Reason string `json:"reason"`
	By     string `json:"by"`
}

// waive closes the anomaly, or says with which status and why not.
func (s *site) waive(r *http.Request, id string, v waiverRequest) (status int, problem, fix string) {
	if name := authenticatedAs(r); name != "" {
		v.By = name // who is known need not be believed
	}
	if v.By == "" {
		v.By = "unnamed"
	}
	c, err := waiver.Closure(v.Until, v.Reason, v.By, s.now().UTC())
	if err != nil {
		problem, fix, _ = strings.Cut(err.Error(), ": ")
		return http.StatusBadRequest, problem, fix
	}
	a, ok := s.reader.Anomaly(id)
	if !ok {
		return http.StatusNotFound, fmt.Sprintf("alert %q is not known", id), "the open ones are on /alerts and at /api/v1/anomalies?open=true"
	}
	closer, ok := s.reader.(closer)
	if !ok {
		return http.StatusNotImplemented, "this ledger closes nothing", "point `ledger` at an extension of type ledger"
	}
	if !a.Open || !closer.CloseAnomaly(id, c) {
		return http.StatusConflict, fmt.Sprintf("alert %q is closed already", id), "how it closed is on /alerts"
	}
	return http.StatusOK, "", ""
}

// authenticatedAs is who the server's auth says is asking; "" without auth.
func authenticatedAs(r *http.Request) string {
	data := collectorclient.FromContext(r.Context()).Auth
	if data == nil {
		return ""
	}
	for _, key := range []string{"username", "subject"} {
		if name, ok := data.GetAttribute(key).(string); ok && name != "" {
			return name
		}
	}
	return ""
}

// POST /api/v1/anomalies/{id}/waive
func (s *site) apiWaive(w http.ResponseWriter, r *http.Request) {
	if s.cfg.Gate.Token != "" {
		if !s.gateAuthorized(w, r) {
			return
		}
	} else if !s.cfg.Auth.HasValue() && !s.localPeer(r) {
		s.apiError(w, r, http.StatusForbidden, "waivers from other machines need auth", "set gate::token or auth of the console")
		return
	}
	// A page elsewhere can send neither this type nor this origin.
	if kind, _, _ := mime.ParseMediaType(r.Header.Get("Content-Type")); kind != "application/json" || s.crossOrigin.Check(r) != nil {
		s.apiError(w, r, http.StatusUnsupportedMediaType, "a waiver is JSON and not from another site's page", "send Content-Type: application/json")
		return
	}
	var v waiverRequest
	d := json.NewDecoder(http.MaxBytesReader(w, r.Body, waiverBodyLimit))
	d.DisallowUnknownFields()
	if err := d.Decode(&v); err != nil {
		s.apiError(w, r, http.StatusBadRequest, "the body cannot be read: "+err.Error(), `send {"until": "2026-12-01", "reason": "…", "by": "…"}`)
		return
	}
	id := r.PathValue("id")
	if status, problem, fix := s.waive(r, id, v); status != http.StatusOK {
		s.apiError(w, r, status, problem, fix)
		return
	}
	a, _ := s.reader.Anomaly(id)
	s.writeJSON(w, r, http.StatusOK, struct {
		Anomaly event.Anomaly `json:"anomaly"`
	}{a})
}

// localPeer tells whether the request came from this machine.
func (s *site) localPeer(r *http.Request) bool {
	if s.cfg.NetAddr.Transport == confignet.TransportTypeUnix {
		return true
	}
	host, _, err := net.SplitHostPort(r.RemoteAddr)
	return err == nil && loopbackHost(host)
}

// POST /alerts/{id}/waive: the page's form. It must come from our own page (by
// what the browser says of its origin) and carry the token of that page.
func (s *site) formWaive(w http.ResponseWriter, r *http.Request) {
	refuse := func(status int, what, why string) {
		s.render(w, r, status, "missing", page{Title: "Not waived", Nav: "alerts", View: missing{what, why}})
	}
	r.Body = http.MaxBytesReader(w, r.Body, waiverBodyLimit)
	if err := r.ParseForm(); err != nil {
		refuse(http.StatusBadRequest, "The form cannot be read", err.Error())
		return
	}
	cookie, err := r.Cookie(csrfCookie)
	if err != nil || s.crossOrigin.Check(r) != nil || !hmac.Equal([]byte(s.csrfToken(cookie.Value)), []byte(r.PostForm.Get("token"))) {
		refuse(http.StatusForbidden, "The form did not come from this page", "Open the alerts anew and send it again; cookies of this page must be allowed.")
		return
	}
	// The form's own token says that our page sent it, and not who did.
	if s.cfg.Gate.Token != "" && !s.tokenGiven(r) && !s.isGateToken(r.PostForm.Get(gateTokenField)) {
		refuse(http.StatusForbidden, "Not waived: the gate's token is missing or wrong", "A waiver needs gate::token of the console. Go back and give it with the form.")
		return
	}
	id := r.PathValue("id")
	if status, problem, fix := s.waive(r, id, waiverRequest{r.PostForm.Get("until"), r.PostForm.Get("reason"), r.PostForm.Get("by")}); status != http.StatusOK {
		refuse(status, "Not waived: "+problem, fix)
		return
	}
	http.Redirect(w, r, "/alerts#a-"+url.PathEscape(id), http.StatusSeeOther)
}

// csrfToken signs a browser's nonce, so that a page elsewhere, which can make
// the browser send the cookie but not read it, cannot name the token.
func (s *site) csrfToken(nonce string) string {
	mac := hmac.New(sha256.New, s.csrfKey)
	mac.Write([]byte(nonce))
	return hex.EncodeToString(mac.Sum(nil))
}

// formToken is the token for this browser's forms, which gets a nonce if it has none.
func (s *site) formToken(w http.ResponseWriter, r *http.Request) string {
	if cookie, err := r.Cookie(csrfCookie); err == nil && len(cookie.Value) == 32 {
		return s.csrfToken(cookie.Value)
	}
	nonce := make([]byte, 16)
	_, _ = rand.Read(nonce) // never fails
	value := hex.EncodeToString(nonce)
	http.SetCookie(w, &http.Cookie{Name: csrfCookie, Value: value, Path: "/", HttpOnly: true, SameSite: http.SameSiteStrictMode, Secure: s.cfg.TLS.HasValue()})
	return s.csrfToken(value)
}

// newCSRFKey lives as long as the process: a restart only asks for the form anew.
func newCSRFKey() []byte {
	key := make([]byte, 32)
	_, _ = rand.Read(key) // never fails
	return key
}
