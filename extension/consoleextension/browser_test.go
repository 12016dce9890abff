package consoleextension

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/deployloop/deployloop/internal/event"
	"github.com/deployloop/deployloop/internal/ledger"
)

// screenshotsEnv keeps the pictures of the browser test in the named directory.
const screenshotsEnv = "DEPLOYLOOP_SCREENSHOTS"

// browser starts a headless Chromium; its console errors and failed loads end
// up in problems.
func browser(t *testing.T) (ctx context.Context, problems func() []string) {
	t.Helper()
	if _, err := exec.LookPath("chromium"); err != nil {
		t.Fatal("chromium is not installed; the page is tested in a real browser: apt-get install -y --no-install-recommends chromium")
	}
	alloc, cancelAlloc := chromedp.NewExecAllocator(context.Background(),
		chromedp.ExecPath("chromium"), chromedp.Headless, chromedp.NoSandbox, chromedp.DisableGPU, chromedp.NoFirstRun, chromedp.UserDataDir(t.TempDir()),
		chromedp.Flag("disable-quic", true), chromedp.Flag("disable-background-networking", true), chromedp.Flag("disable-component-update", true), chromedp.Flag("disable-sync", true))
	var mu sync.Mutex
	var seen []string
	note := func(text string) {
		mu.Lock()
		defer mu.Unlock()
		seen = append(seen, text)
	}
	tab, cancelTab := chromedp.NewContext(alloc, chromedp.WithListener(func(ev any) {
		switch e := ev.(type) {
		case *log.EventEntryAdded:
			if e.Entry.Level == log.EntryLevelError {
				note(e.Entry.Text + " " + e.Entry.URL)
			}
		case *runtime.EventExceptionThrown:
			note(e.ExceptionDetails.Text + " " + e.ExceptionDetails.URL)
		}
	}))
	require.NoError(t, chromedp.Do(tab)) // the browser lives as long as the context of the first call
	timed, cancelTimed := context.WithTimeout(tab, 2*time.Minute)
	t.Cleanup(func() {
		cancelTimed()
		_ = chromedp.Cancel(tab) // waits for the browser to end
		cancelTab()
		cancelAlloc()
	})
	return timed, func() []string {
		mu.Lock()
		defer mu.Unlock()
		return append([]string(nil), seen...)
	}
}

// look sets the viewport and the colour scheme of the tab.
func look(ctx context.Context, width, height int64, scheme string) error {
	return chromedp.Do(ctx, chromedp.EmulateViewport(width, height), chromedp.Func(func(ctx context.Context, t *chromedp.Target) error {
		_, err := cdp.Call(ctx, t, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{
			Features: []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: scheme}},
		})
		return err
	}))
}

// waitFor waits for a JavaScript condition in the page. What cannot be asked
// while the tab changes pages is asked again.
func waitFor(t *testing.T, ctx context.Context, condition string) {
	t.Helper()
	var err error
	require.Eventually(t, func() bool {
		var holds bool
		holds, err = chromedp.Run(ctx, chromedp.Evaluate[bool](condition))
		return err == nil && holds
	}, 20*time.Second, 10*time.Millisecond, "waiting for %s, last error: %v", condition, &err)
}

func evaluate[T any](t *testing.T, ctx context.Context, expression string) T {
	t.Helper()
	v, err := chromedp.Run(ctx, chromedp.Evaluate[T](expression))
	require.NoError(t, err, expression)
	return v
}

// overflow names the elements that reach beyond the viewport.
const overflow = `(() => { const w = document.documentElement.clientWidth;
  if (document.documentElement.scrollWidth <= w) return "";
  return [...document.querySelectorAll("body *")].filter(e => e.getBoundingClientRect().right > w + 1 && !e.closest(".scroll,pre,.unseen,.skip")).map(e => e.tagName + "." + e.className).slice(0, 5).join(" ") || "page"; })()`

func TestInBrowser(t *testing.T) {
	ctx, problems := browser(t)
	keep := os.Getenv(screenshotsEnv)
	if keep == "" {
		keep = t.TempDir()
	}
	require.NoError(t, os.MkdirAll(keep, 0o755))

	looks := []struct {
		name, scheme  string
		width, height int64
	}{
		{"wide-light", "light", 1440, 900}, {"wide-dark", "dark", 1440, 900},
		{"phone-light", "light", 390, 844}, {"phone-dark", "dark", 390, 844},
	}
	for _, lk := range looks {
		t.Run(lk.name, func(t *testing.T) {
			l := ledger.New(ledger.Limits{})
			_, url := start(t, l, time.Now)
			p := afternoon{time.Now()}
			require.NoError(t, look(ctx, lk.width, lk.height, lk.scheme))
			shoot := func(name string) {
				require.Empty(t, evaluate[string](t, ctx, overflow), "%s reaches beyond the viewport", name)
				shot, err := chromedp.Run(ctx, chromedp.FullScreenshot(100))
				require.NoError(t, err)
				require.NoError(t, os.WriteFile(filepath.Join(keep, name+"-"+lk.name+".png"), shot, 0o644))
			}

			// The first run, before anything was deployed.
			require.NoError(t, chromedp.Do(ctx, chromedp.Navigate(url)))
			waitFor(t, ctx, `document.getElementById("live").dataset.live === "live"`)
			shoot("first")

			// Whatever comes appears without a reload.
			evaluate[any](t, ctx, `window.neverReloaded = true`)
			id := p.play(t, l)
			waitFor(t, ctx, `document.querySelector("#d-`+id+`.r-regressed") !== null`)
			waitFor(t, ctx, `document.querySelector(".strip .alerting") !== null`)
			shoot("loop")

			// A deployment page follows its verdict: from none, to regressed, to closed.
			d := event.Deployment{Service: "cart", Environment: "production", Version: "2.0.0", PreviousVersion: "1.9.0", Revision: revision(5),
				PreviousRevision: revision(2), StartedAt: p.at(3 * time.Minute), FirstSeenAt: p.at(170 * time.Second), Repository: shop, Sources: []event.Source{{Name: "api", At: p.at(3 * time.Minute)}}}
			d, _ = l.RecordDeployment(d)
			require.NoError(t, chromedp.Do(ctx, chromedp.Navigate(url+"/deployments/"+d.ID)))
			waitFor(t, ctx, `document.getElementById("live").dataset.live === "live"`)
			require.Equal(t, "none", evaluate[string](t, ctx, `document.getElementById("main").dataset.state`))
			evaluate[any](t, ctx, `window.neverReloaded = true; document.querySelector("nav a").focus()`)
			v := p.badVerdict(d)
			told := time.Now()
			l.RecordVerdict(v)
			waitFor(t, ctx, `document.querySelector(".banner.b-regressed") !== null`)
			t.Logf("verdict on the page %s after it was recorded", time.Since(told).Round(time.Millisecond))
			require.True(t, evaluate[bool](t, ctx, `window.neverReloaded === true`), "the page was reloaded")
			require.Equal(t, "Loop", evaluate[string](t, ctx, `document.activeElement.textContent`), "focus was lost")
			require.Contains(t, evaluate[string](t, ctx, `document.getElementById("announce").textContent`), "Regressed")
			require.Contains(t, evaluate[string](t, ctx, `document.title`), "Regressed")
			require.Contains(t, evaluate[string](t, ctx, `document.querySelector(".banner h2").textContent`), "cart got worse in production")
			v.State, v.Reason, v.Detail = event.Exonerated, event.ReasonOldCohortAffected, ""
			l.RecordVerdict(v)
			waitFor(t, ctx, `document.querySelector(".banner.b-exonerated") !== null`)

			for _, pg := range []struct{ name, path string }{
				{"deployment", "/deployments/" + id}, {"change", "/changes/" + revision(5)}, {"alerts", "/alerts"}, {"coverage", "/coverage"},
			} {
				require.NoError(t, chromedp.Do(ctx, chromedp.Navigate(url+pg.path)))
				waitFor(t, ctx, `document.getElementById("live").dataset.live === "live"`)
				shoot(pg.name)
			}
			// A person waives the alert on the page, by its form.
			require.NoError(t, chromedp.Do(ctx, chromedp.Navigate(url+"/alerts")))
			waitFor(t, ctx, `document.getElementById("live").dataset.live === "live"`)
			evaluate[any](t, ctx, `(() => { const d = document.querySelector("details.waive"); d.open = true; d.querySelector("[name=reason]").value = "known"; d.querySelector("[name=by]").value = "Ada"; })()`)
			shoot("waive")
			evaluate[any](t, ctx, `document.querySelector("details.waive button").click()`)
			waitFor(t, ctx, `document.querySelector(".alert.closed") !== null && document.querySelector("main").textContent.includes("Waived by Ada")`)
			for _, s := range []string{"watching", "inconclusive"} {
				require.NoError(t, chromedp.Do(ctx, chromedp.Navigate(url+"/")))
				require.NoError(t, chromedp.Do(ctx, chromedp.Navigate(url+evaluate[string](t, ctx, `document.querySelector(".r-`+s+` .title").getAttribute("href")`))))
				waitFor(t, ctx, `document.querySelector(".banner.b-`+s+`") !== null`)
				shoot(s)
			}
			require.Empty(t, problems(), "the browser's console shows errors")
		})
	}
}

// Nothing that comes from outside pushes a page wider than its window, however
// long a name is and however many there are.
func TestNothingIsWiderThanTheWindow(t *testing.T) {
	ctx, problems := browser(t)
	keep := os.Getenv(screenshotsEnv)
	l := ledger.New(ledger.Limits{})
	p := afternoon{time.Now()}
	p.play(t, l)
	d := p.crowd(l)
	_, url := start(t, l, time.Now)
	for name, path := range map[string]string{"loop": "/", "deployment": "/deployments/" + d.ID, "built": "/changes/" + revision(6), "change": "/changes/" + revision(5), "alerts": "/alerts", "coverage": "/coverage"} {
		require.NoError(t, chromedp.Do(ctx, chromedp.Navigate(url+path)))
		waitFor(t, ctx, `document.getElementById("live").dataset.live === "live"`)
		for _, width := range []int64{360, 800, 1440} {
			require.NoError(t, look(ctx, width, 844, "light"))
			assert.Empty(t, evaluate[string](t, ctx, overflow), "%s reaches beyond %d px", path, width)
			if keep != "" {
				shot, err := chromedp.Run(ctx, chromedp.FullScreenshot(100))
				require.NoError(t, err)
				require.NoError(t, os.WriteFile(filepath.Join(keep, fmt.Sprintf("crowd-%s-%d.png", name, width)), shot, 0o644))
			}
		}
	}
	require.Empty(t, problems(), "the browser's console shows errors")
}

// readmeImageEnv names the file that TestReadmeImage writes.
const readmeImageEnv = "DEPLOYLOOP_README_IMAGE"

// readmeImageLimit keeps the repository and the README light.
const readmeImageLimit = 300 << 10

// TestReadmeImage draws a regressed deployment as the README shows it.
func TestReadmeImage(t *testing.T) {
	ctx, _ := browser(t)
	path := os.Getenv(readmeImageEnv)
	if path == "" {
		path = filepath.Join(t.TempDir(), "console.png")
	}
	l := ledger.New(ledger.Limits{})
	id := afternoon{time.Now()}.play(t, l)
	_, url := start(t, l, time.Now)
	require.NoError(t, look(ctx, 1280, 1010, "light"))
	require.NoError(t, chromedp.Do(ctx, chromedp.Navigate(url+"/deployments/"+id)))
	waitFor(t, ctx, `document.getElementById("live").dataset.live === "live"`)
	shot, err := chromedp.Run(ctx, chromedp.CaptureScreenshot())
	require.NoError(t, err)
	require.Less(t, len(shot), readmeImageLimit)
	require.NoError(t, os.WriteFile(path, shot, 0o644))
}
