package consoleextension

import (
	"bytes"
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"fmt"
	"html/template"
	"io/fs"
	"net"
	"net/http"
	"path"
	"strings"
	"sync/atomic"
	"time"

	"github.com/deployloop/deployloop/internal/event"
	"github.com/deployloop/deployloop/internal/ledger"
	"github.com/deployloop/deployloop/internal/loopmetrics"
)

// Everything that the page needs is in the binary: it works with no network.
var (
	//go:embed assets
	assetFiles embed.FS
	//go:embed templates
	templateFiles embed.FS
)

// fragmentHeader asks for what changes on a page without its head; the page's
// script sends it and morphs the answer into what is shown.
const fragmentHeader = "Deployloop-Fragment"

// contentPolicy allows own files alone: no inline script or style, no outside
// asset, no framing, no form to elsewhere.
const contentPolicy = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"

// site answers every request; it holds no state besides what it caches of the
// embedded files.
type site struct {
	cfg     *Config
	hub     *hub
	version string
	now     func() time.Time
	started time.Time
	reader  ledger.Reader
	metrics *selfMetrics // set with reader
	address string       // where it listens; set before it serves

	csrfKey     []byte
	crossOrigin *http.CrossOriginProtection

	setup  atomic.Pointer[setup]
	assets map[string]asset // by request path
	pages  map[string]*template.Template
}

// asset is an embedded file under a path that holds its hash, so that it may
// be cached for ever.
type asset struct {
	body        []byte
	contentType string
}

func newSite(cfg *Config, h *hub, version string) *site {
	s := &site{cfg: cfg, hub: h, version: version, now: time.Now, started: time.Now(), assets: map[string]asset{},
		csrfKey: newCSRFKey(), crossOrigin: http.NewCrossOriginProtection()}
	hashed := map[string]string{}
	types := map[string]string{".css": "text/css; charset=utf-8", ".js": "text/javascript; charset=utf-8", ".svg": "image/svg+xml"}
	entries, err := fs.ReadDir(assetFiles, "assets")
	if err != nil {
		panic(err) // embedded: cannot fail in a binary that was built
	}
	for _, e := range entries {
		body, err := assetFiles.ReadFile("assets/" + e.Name())
		if err != nil {
			panic(err)
		}
		ext := path.Ext(e.Name())
		p := "/assets/" + strings.TrimSuffix(e.Name(), ext) + "." + digest(body) + ext
		s.assets[p] = asset{body, types[ext]}
		hashed[e.Name()] = p
	}
	funcs := template.FuncMap{"asset": func(name string) string { return hashed[name] }}
	for k, f := range formatFuncs {
		funcs[k] = f
	}
	base := template.Must(template.New("base").Funcs(funcs).ParseFS(templateFiles, "templates/base.html", "templates/parts.html"))
	s.pages = map[string]*template.Template{}
	for _, name := range []string{"loop", "deployment", "change", "alerts", "coverage", "missing"} {
		s.pages[name] = template.Must(template.Must(base.Clone()).ParseFS(templateFiles, "templates/"+name+".html"))
	}
	return s
}

// digest names content: enough of its SHA-256 to tell versions apart.
func digest(b []byte) string {
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:8])
}

// show has the site read from here.
func (s *site) show(reader ledger.Reader) {
	s.reader = reader
	s.metrics = newSelfMetrics(loopmetrics.NewTracker(reader), s.hub, func() time.Time { return s.now() })
}

// handler routes. Paths select among fixed pages; nothing from a request
// names a file or a template.
func (s *site) handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /{$}", s.loopPage)
	mux.HandleFunc("GET /deployments/{id}", s.deploymentPage)
	mux.HandleFunc("GET /changes/{revision}", s.changePage)
	mux.HandleFunc("GET /alerts", s.alertsPage)
	mux.HandleFunc("GET /coverage", s.coveragePage)
	mux.HandleFunc("GET /live", s.live)
	mux.HandleFunc("GET /healthz", s.healthz)
	mux.HandleFunc("GET /metrics", s.metricsPage)
	mux.HandleFunc("GET /assets/{file}", s.asset)
	mux.HandleFunc("GET /api/v1/deployments", s.apiDeployments)
	mux.HandleFunc("GET /api/v1/deployments/{id}", s.apiDeployment)
	mux.HandleFunc("GET /api/v1/deployments/{id}/evidence", s.apiEvidence)
	mux.HandleFunc("GET /api/v1/anomalies", s.apiAnomalies)
	mux.HandleFunc("GET /api/v1/changes", s.apiChanges)
	mux.HandleFunc("GET /api/v1/feedback", s.apiFeedback)
	mux.HandleFunc("GET /api/v1/status", s.apiStatus)
	mux.HandleFunc("GET /api/v1/coverage", s.apiCoverage)
	mux.HandleFunc("GET /api/v1/digest", s.apiDigest)
	mux.HandleFunc("POST /api/v1/anomalies/{id}/waive", s.apiWaive)
	mux.HandleFunc("POST /alerts/{id}/waive", s.formWaive)
	mux.HandleFunc("GET /gate/argo", s.gateArgo)
	mux.HandleFunc("POST /gate/flagger/{hook}", s.gateFlagger)
	mux.HandleFunc("/", s.notFound)

	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("Content-Security-Policy", contentPolicy)
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("Referrer-Policy", "no-referrer")
		h.Set("Cross-Origin-Opener-Policy", "same-origin")
		h.Set("Cross-Origin-Resource-Policy", "same-origin")
		h.Set("Cache-Control", "private, no-cache")
		if !s.cfg.hostAllowed(r.Host) && !s.tokenGiven(r) { // a foreign page has no token
			s.apiError(w, r, http.StatusMisdirectedRequest, fmt.Sprintf("host %q is not answered without auth", r.Host),
				"open the page by its loopback address, or add the name to allowed_hosts of the console, or set auth")
			return
		}
		if _, pattern := mux.Handler(r); pattern == "/" && r.Method != http.MethodGet && r.Method != http.MethodHead {
			h.Set("Allow", "GET, HEAD")
			s.apiError(w, r, http.StatusMethodNotAllowed, r.Method+" is not answered here: this is only shown",
				"use GET; deployments are posted to the cicd receiver, POST /v1/deployments")
			return
		}
		mux.ServeHTTP(w, r)
	})
}

func (s *site) ownURL() string {
	scheme := "http"
	if s.cfg.TLS.HasValue() {
		scheme = "https"
	}
	host, port, err := net.SplitHostPort(s.address)
	if err != nil {
		return s.address // a unix socket
	}
	return scheme + "://" + net.JoinHostPort(host, port)
}

// publicURL is where people open the console, without a slash at its end.
func (s *site) publicURL() string {
	if s.cfg.PublicURL != "" {
		return strings.TrimRight(s.cfg.PublicURL, "/")
	}
	return s.ownURL()
}

func (s *site) asset(w http.ResponseWriter, r *http.Request) {
	a, ok := s.assets[r.URL.Path]
	if !ok {
		s.notFound(w, r)
		return
	}
	w.Header().Set("Content-Type", a.contentType)
	w.Header().Set("Cache-Control", "public, max-age=31536000, immutable")
	_, _ = w.Write(a.body) // a client that left is no error of ours
}

func (s *site) healthz(w http.ResponseWriter, r *http.Request) {
	s.writeJSON(w, r, http.StatusOK, map[string]string{"status": "ok"})
}

// page is what every page's template gets; View is the page's own part.
type page struct {
	clock
	Title      string
	Nav        string // which entry of the navigation is current
	State      string // verdict state of the page, for the icon and the announcement
	OpenAlerts int
	Mode       string
	Version    string
	View       any
}

// States a verdict settles on, in the order of the summary.
func (page) States() []string {
	return []string{string(event.Regressed), string(event.Healthy), string(event.Inconclusive), string(event.Exonerated)}
}

// render answers with a page, or with its changing part alone, under an ETag:
// a live page that re-renders to the same costs no transfer and no repaint.
func (s *site) render(w http.ResponseWriter, r *http.Request, status int, name string, p page) {
	fragment := r.Header.Get(fragmentHeader) != ""
	p.clock = clock{s.now().UTC(), fragment}
	p.OpenAlerts = s.openAlerts()
	p.Mode = s.mode()
	p.Version = s.version
	block := "page"
	if fragment {
		block = "fragment"
	}
	var b bytes.Buffer
	if err := s.pages[name].ExecuteTemplate(&b, block, p); err != nil {
		s.apiError(w, r, http.StatusInternalServerError, "the page could not be rendered: "+err.Error(), "report this; the JSON API under /api/v1 still answers")
		return
	}
	w.Header().Set("Vary", fragmentHeader)
	s.write(w, r, status, "text/html; charset=utf-8", b.Bytes())
}

// write answers with body, or 304 when the client has it.
func (s *site) write(w http.ResponseWriter, r *http.Request, status int, contentType string, body []byte) {
	w.Header().Set("Content-Type", contentType)
	if status == http.StatusOK {
		etag := `"` + digest(body) + `"`
		w.Header().Set("ETag", etag)
		if r.Header.Get("If-None-Match") == etag {
			w.WriteHeader(http.StatusNotModified)
			return
		}
	}
	w.WriteHeader(status)
	_, _ = w.Write(body)
}

// missing explains that something is not known, and why that may be.
type missing struct{ What, Why string }

func (s *site) notFound(w http.ResponseWriter, r *http.Request) {
	if strings.HasPrefix(r.URL.Path, "/api/") {
		s.apiError(w, r, http.StatusNotFound, "no such endpoint", "see /api/v1/deployments, /api/v1/deployments/{id}, /api/v1/anomalies, /api/v1/changes, /api/v1/feedback, /api/v1/coverage, /api/v1/digest, /api/v1/status")
		return
	}
	s.render(w, r, http.StatusNotFound, "missing", page{Title: "Not found", View: missing{
		"There is no such page", "Start from the loop, or from the open alerts."}})
}
