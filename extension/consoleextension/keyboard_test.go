package consoleextension

import (
	"context"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/deployloop/deployloop/internal/event"
	"github.com/deployloop/deployloop/internal/ledger"
)

// mouseActions counts all that a mouse can use on the page, in its order.
const mouseActions = `(window.mouseActions = [...document.querySelectorAll("a[href],button,select,input:not([type=hidden]),summary")].filter((e) => e.checkVisibility({ visibilityProperty: true }))).length`

// keyboardStop says what a person at the keyboard has reached: the number of the
// action, and what is wrong with it.
const keyboardStop = `(() => {
  const e = document.activeElement;
  if (e === document.body) return { end: true };
  const wrong = [], style = getComputedStyle(e), box = e.getBoundingClientRect();
  if (style.outlineStyle === "none") wrong.push("the focus is not shown");
  if (!(e.textContent || e.ariaLabel || (e.labels && e.labels.length))) wrong.push("no name");
  if (e.tabIndex > 0) wrong.push("an order of its own");
  const reach = parseFloat(style.outlineOffset) + parseFloat(style.outlineWidth);
  for (let p = e.parentElement; p && p !== document.body; p = p.parentElement) {
    if (getComputedStyle(p).overflowY === "visible") continue;
    const around = p.getBoundingClientRect();
    if (box.top - reach < around.top - 1 || box.bottom + reach > around.bottom + 1 || box.left - reach < around.left - 1) wrong.push("the focus is cut off by " + p.className);
  }
  return { action: window.mouseActions.indexOf(e) + 1, what: e.outerHTML.slice(0, 120), wrong: wrong.join("; ") };
})()`

type stopped struct {
	End         bool   `json:"end"`
	Action      int    `json:"action"`
	What, Wrong string `json:",omitempty"`
}

func press(t *testing.T, ctx context.Context, keys string, o ...chromedp.KeyOption) {
	t.Helper()
	require.NoError(t, chromedp.Do(ctx, chromedp.KeyEvent(keys, o...)))
}

func open(t *testing.T, ctx context.Context, url string) {
	t.Helper()
	require.NoError(t, chromedp.Do(ctx, chromedp.Navigate(url)))
	waitFor(t, ctx, `document.getElementById("live").dataset.live === "live"`)
}

// Without a mouse every page can be walked through and all be done that can be
// done with one; and no page asks another host for anything.
func TestByKeyboardAlone(t *testing.T) {
	ctx, problems := browser(t)
	l := ledger.New(ledger.Limits{})
	id := afternoon{time.Now()}.play(t, l)
	recordFailedTest(l, revision(7), "want\n  3\ngot\n  4")
	_, url := start(t, l, time.Now)
	for _, width := range []int64{1280, 360} {
		require.NoError(t, look(ctx, width, 900, "light"))
		for _, path := range []string{"/", "/deployments/" + id, "/changes/" + revision(5), "/changes/" + revision(7), "/alerts", "/coverage", "/nowhere"} {
			open(t, ctx, url+path)
			n := evaluate[int](t, ctx, mouseActions)
			var order []int
			for range 2 * n {
				press(t, ctx, kb.Tab)
				at := evaluate[stopped](t, ctx, keyboardStop)
				if at.End || len(order) > 0 && at.Action == order[0] {
					break // once round
				}
				assert.Empty(t, at.Wrong, "%s at %d px: %s", path, width, at.What)
				if at.Action > 0 {
					order = append(order, at.Action)
				}
			}
			assert.Len(t, order, n, "%s at %d px: what the keyboard reaches", path, width)
			assert.True(t, slices.IsSorted(order), "%s: the order of the keyboard is that of the page: %v", path, order)
			for _, asked := range evaluate[[]string](t, ctx, `performance.getEntriesByType("resource").map(e => e.name)`) {
				assert.True(t, strings.HasPrefix(asked, url+"/"), "%s asks %s", path, asked)
			}
		}
	}

	// The way in, past the navigation.
	open(t, ctx, url+"/alerts")
	press(t, ctx, kb.Tab)
	press(t, ctx, kb.Enter)
	waitFor(t, ctx, `document.activeElement.id === "main"`)
	// An alert is waived.
	reach := func(condition string) {
		t.Helper()
		for range 20 {
			press(t, ctx, kb.Tab)
			if evaluate[bool](t, ctx, condition) {
				return
			}
		}
		require.Fail(t, "not reached by the keyboard", condition)
	}
	reach(`document.activeElement.matches(".waive summary")`)
	press(t, ctx, kb.Enter)
	reach(`document.activeElement.name === "reason"`)
	press(t, ctx, "known")
	reach(`document.activeElement.name === "by"`)
	press(t, ctx, "Ada")
	reach(`document.activeElement.matches(".waive button")`)
	press(t, ctx, kb.Enter)
	waitFor(t, ctx, `document.querySelector("main").textContent.includes("Waived by Ada")`)
	require.Equal(t, []string{"Failed to load resource: the server responded with a status of 404 (Not Found) " + url + "/nowhere"}, slices.Compact(problems()))
}

// What happens elsewhere takes neither the focus nor what is being written, and
// is said aloud.
func TestLiveUpdatesLeaveTheReaderAlone(t *testing.T) {
	ctx, problems := browser(t)
	l := ledger.New(ledger.Limits{})
	now := time.Now()
	p := afternoon{now}
	p.play(t, l)
	record := func(service string, before time.Duration) string {
		id := event.AnomalyID(service, event.KindDeployment, "", "")
		l.RecordAnomaly(event.Anomaly{ID: id, Kind: event.KindDeployment, Service: service, Environment: "production", Deployment: service, Commit: revision(0),
			Stage: event.StagePostDeploy, Severity: event.SeverityWarning, Mode: event.Advise, StartsAt: p.at(before), DetectedAt: p.at(before), At: p.at(before), Open: true})
		return id
	}
	first, second := record("first", time.Minute), record("second", time.Hour)
	_, url := start(t, l, time.Now)
	open(t, ctx, url+"/alerts")
	const said = `document.getElementById("announce").textContent`
	card := `document.getElementById("a-` + second + `")`
	require.True(t, evaluate[bool](t, ctx, `!!(document.getElementById("a-`+first+`").compareDocumentPosition(`+card+`) & Node.DOCUMENT_POSITION_FOLLOWING)`), "the one that goes stands before")
	evaluate[any](t, ctx, `(() => { window.lost = 0; const d = `+card+`.querySelector("details"); d.open = true;
	  const i = d.querySelector("[name=reason]"); i.addEventListener("blur", () => window.lost++); i.focus(); })()`)
	press(t, ctx, "half a wo")
	require.True(t, l.CloseAnomaly(first, event.Closure{Reason: event.ClosedRolledBack, At: now}))
	waitFor(t, ctx, `document.querySelector("#a-`+first+`.closed") !== null`)
	press(t, ctx, "rd")
	require.Equal(t, "half a word", evaluate[string](t, ctx, `document.activeElement.value`))
	require.Zero(t, evaluate[int](t, ctx, `window.lost`), "the field was left for a moment: a screen reader begins anew")
	require.Equal(t, "2 alerts are open", evaluate[string](t, ctx, said))
	// What one is at goes itself: the focus stays on the page.
	require.True(t, l.CloseAnomaly(second, event.Closure{Reason: event.ClosedRolledBack, At: now}))
	waitFor(t, ctx, `document.querySelector("#a-`+second+`.closed") !== null`)
	require.Equal(t, "main", evaluate[string](t, ctx, `document.activeElement.id`))
	require.Equal(t, "1 alert is open", evaluate[string](t, ctx, said))

	// An arrow key in a filter shows its choice, and the next one the next.
	open(t, ctx, url+"/")
	evaluate[any](t, ctx, `(() => { window.neverReloaded = true; document.querySelector("[name=service]").focus(); })()`)
	for _, service := range []string{"catalog", "checkout"} {
		press(t, ctx, kb.ArrowDown)
		waitFor(t, ctx, `[...document.querySelectorAll(".timeline .title")].every(e => e.textContent.startsWith("`+service+` "))`)
		require.Equal(t, service, evaluate[string](t, ctx, `document.activeElement.value`))
		require.Equal(t, "?service="+service, evaluate[string](t, ctx, `location.search`))
	}
	require.True(t, evaluate[bool](t, ctx, `window.neverReloaded === true`), "the page was left")
	require.Regexp(t, `^\d+ in the timeline$`, evaluate[string](t, ctx, said))
	require.Empty(t, problems(), "the browser's console shows errors")
}
