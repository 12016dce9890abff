package e2e

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/deployloop/deployloop/internal/event"
	"github.com/deployloop/deployloop/test/alertmanagertest"
	"github.com/deployloop/deployloop/test/deploylooptest"
)

// A test that fails on main is one alert from its first report on; kill -9 neither
// ends it nor has old failures told as new; the commit that mends it resolves it.
func TestABrokenMainIsAnAlertUntilItIsMended(t *testing.T) {
	am := alertmanagertest.Start(t)
	loop := deploylooptest.Start(t, deploylooptest.Options{
		Alertmanager: am.URL, Heartbeat: heartbeat, Anomaly: map[string]any{"builds": map[string]any{"quiet": "1s"}},
	})
	dir := t.TempDir()
	report := func(revision string, results ...string) {
		var b strings.Builder
		b.WriteString(`<testsuite name="cart">`)
		for _, r := range results {
			name, status, _ := strings.Cut(r, " ")
			fmt.Fprintf(&b, `<testcase classname="acme/cart" name="%s" file="cart_test.go" line="14">`, name)
			if status == "fail" {
				b.WriteString(`<failure message="want 3, got 4"/>`)
			}
			b.WriteString(`</testcase>`)
		}
		b.WriteString(`</testsuite>`)
		file := filepath.Join(dir, revision+".xml")
		require.NoError(t, os.WriteFile(file, []byte(b.String()), 0o600))
		_, stderr, _ := loop.Bare("report", "--endpoint", loop.CICD, "--repository", "acme/shop", "--ref", "main", "--revision", revision, file)
		require.NotContains(t, stderr, "not sent")
	}
	feedback := func(revision string) event.Feedback {
		var answer struct{ Feedback []event.Feedback }
		if err := loop.Get("/api/v1/feedback?revision="+revision, &answer); err != nil || len(answer.Feedback) == 0 {
			return event.Feedback{Running: true}
		}
		return answer.Feedback[0]
	}
	over := func(revision string) event.Feedback {
		eventually(t, 30*time.Second, func() bool { return !feedback(revision).Running }, "the run of "+revision+" is over")
		return feedback(revision)
	}

	report(rev1, "TestTotal pass", "TestTax pass")
	require.Equal(t, event.Healthy, over(rev1).State)
	saved := time.Now().Add(6 * time.Second) // longer than what a crash may forget
	eventually(t, 30*time.Second, func() bool { return time.Now().After(saved) }, "saved")
	require.Empty(t, am.Find(map[string]string{"alertname": "BuildRegressed"}))

	began := time.Now()
	report(rev2, "TestTotal fail", "TestTax pass")
	broken := map[string]string{"alertname": "BuildRegressed", "commit": rev2}
	eventually(t, 30*time.Second, func() bool { return len(am.Find(broken)) == 1 }, "an alert")
	t.Logf("alert %.1fs after the report was begun", time.Since(began).Seconds())
	alert := am.Find(broken)[0]
	assert.Equal(t, "acme/shop", alert.Labels["service"])
	assert.Equal(t, "test", alert.Labels["stage"])
	assert.Contains(t, alert.Annotations["summary"], "acme/shop main: acme/cart TestTotal fails since 2222222")
	assert.Contains(t, alert.Annotations["why"], "want 3, got 4")

	written := time.Now().Add(time.Second) // what an alert needs to be on disk, and more
	eventually(t, 30*time.Second, func() bool { return time.Now().After(written) }, "written")
	loop.Kill()
	loop.Start()
	report(rev3, "TestTotal fail", "TestTax fail")
	f := over(rev3)
	require.Equal(t, 1, f.Count(event.AlreadyFailing), "TestTotal is no news")
	require.Equal(t, 1, f.Count(event.NewFailure), "TestTax is: what main was before the crash is known")
	require.Len(t, am.Find(broken), 1)
	require.Equal(t, *alert.Fingerprint, *am.Find(broken)[0].Fingerprint)

	const mended = "4444444444444444444444444444444444444444"
	report(mended, "TestTotal pass", "TestTax pass")
	eventually(t, 60*time.Second, func() bool { _, ok := am.Resolved(broken); return ok }, "the alert resolves")
	ended, _ := am.Resolved(broken)
	assert.Equal(t, *alert.Fingerprint, ended.Fingerprint)
	assert.Contains(t, ended.Annotations["resolution"], "passes since 4444444")
}
