package e2e

import (
	"fmt"
	"html"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/deployloop/deployloop/internal/event"
	"github.com/deployloop/deployloop/test/alertmanagertest"
	"github.com/deployloop/deployloop/test/deploylooptest"
)

// The log of a build, through to whom it concerns: the lines that say why it failed,
// and no others, on the commit's page, in Alertmanager and on the pull request,
// whatever a build may print. What is usual outlasts a restart.
func TestTheCauseInABuildsLogReachesPeople(t *testing.T) {
	am, github := alertmanagertest.Start(t), startFakeGitHub(t)
	loop := deploylooptest.Start(t, deploylooptest.Options{
		Alertmanager: am.URL, Heartbeat: heartbeat, Configs: [][]byte{github.config()},
		Anomaly: map[string]any{"builds": map[string]any{"quiet": "1s"}},
	})
	post := func(ref, revision, result, log string) {
		t.Helper()
		query := url.Values{"kind": {"log"}, "repository": {"acme/shop"}, "pipeline": {"CI"}, "job": {"compile"}, "ref": {ref}, "revision": {revision}, "base": {rev1}, "result": {result}}
		response, err := http.Post(loop.CICD+"/v1/reports?"+query.Encode(), "application/octet-stream", strings.NewReader(log))
		require.NoError(t, err)
		defer response.Body.Close()
		answer, _ := io.ReadAll(response.Body)
		require.Equal(t, http.StatusAccepted, response.StatusCode, "%s", answer)
	}
	feedback := func(revision string) (f event.Feedback) {
		t.Helper()
		eventually(t, 30*time.Second, func() bool {
			var answer struct{ Feedback []event.Feedback }
			if loop.Get("/api/v1/feedback?revision="+revision, &answer) != nil || len(answer.Feedback) == 0 {
				return false
			}
			f = answer.Feedback[0]
			return !f.Running
		}, "the run of "+revision+" is over")
		return f
	}
	var usual strings.Builder
	for i := range 400 {
		fmt.Fprintf(&usual, "[INFO] Compiling module %d of 400\n", i)
	}
	usual.WriteString("[ERROR] could not restore the cache, going on without\n")

	post("main", rev1, "success", usual.String()+"[INFO] BUILD SUCCESS\n")
	require.Equal(t, event.Healthy, feedback(rev1).State)
	eventually(t, 30*time.Second, func() bool {
		return len(github.states(rev1)) > 0 && github.states(rev1)[len(github.states(rev1))-1] == "success"
	}, "green")
	loop.Stop()
	loop.Start()

	const hostile = `<script>alert("x")</script> @everyone #12 ![p](https://evil.example/p.png)`
	const cause = "java.lang.IllegalStateException: the cart is closed " + hostile
	failed := usual.String() + cause + "\n\tat com.acme.Cart.total(Cart.java:88)\n\tat com.acme.Main.main(Main.java:9)\n[INFO] BUILD FAILURE\n[INFO] Total time: 12 s\n"
	post("main", rev2, "failure", failed)
	post("cart", proposed, "failure", failed)

	// Alertmanager.
	broken := map[string]string{"alertname": "BuildRegressed", "commit": rev2}
	eventually(t, 30*time.Second, func() bool { return len(am.Find(broken)) == 1 }, "an alert")
	alert := am.Find(broken)[0]
	t.Logf("why:\n%s", alert.Annotations["why"])
	assert.Equal(t, "build", alert.Labels["stage"])
	assert.Contains(t, alert.Annotations["summary"], "acme/shop main: CI [compile] fails since 2222222")
	assert.Contains(t, alert.Annotations["why"], "\n  402: java.lang.IllegalStateException: the cart is closed")
	assert.Contains(t, alert.Annotations["why"], "\n  403: at com.acme.Cart.total(Cart.java:88)")
	for _, noise := range []string{"Compiling", "restore the cache", "Total time"} {
		assert.NotContains(t, alert.Annotations["why"], noise)
	}

	// The page.
	require.Equal(t, event.Regressed, feedback(rev2).State)
	response, err := http.Get(loop.Console + "/changes/" + rev2)
	require.NoError(t, err)
	defer response.Body.Close()
	page, err := io.ReadAll(response.Body)
	require.NoError(t, err)
	assert.NotContains(t, string(page), "<script>alert")
	_, block, found := strings.Cut(string(page), `<pre class="fullmessage">line`)
	require.True(t, found, "the lines stand as they are")
	block, _, _ = strings.Cut(block, "</pre>")
	block = html.UnescapeString(block)
	assert.Contains(t, block, "\n  402: "+cause+"\n")
	assert.Contains(t, block, "at com.acme.Cart.total(Cart.java:88)")
	assert.NotContains(t, string(page), "restore the cache")

	// The pull request.
	eventually(t, 30*time.Second, func() bool { return len(github.bodies()) == 1 }, "a comment")
	body := github.bodies()[0]
	t.Logf("the comment:\n%s", body)
	assert.Contains(t, body, "### 1 new failure")
	before, fenced, _ := strings.Cut(body, "```text\n")
	fenced, after, _ := strings.Cut(fenced, "\n  ```")
	assert.Contains(t, fenced, "\n    402: "+cause+"\n", "as it was printed")
	assert.Contains(t, fenced, "at com.acme.Cart.total(Cart.java:88)")
	outside := before + after
	for _, markup := range []string{"<script", "@everyone", "![p]", "restore the cache", "Compiling"} {
		assert.NotContains(t, outside, markup)
	}
	assert.Equal(t, "failure", github.states(proposed)[len(github.states(proposed))-1])
	assert.NotContains(t, github.states(proposed), "success", "never green")
	require.Equal(t, event.Regressed, feedback(proposed).State)

	// It passes: the alert ends, and nothing was said twice.
	post("main", rev3, "success", usual.String())
	eventually(t, 60*time.Second, func() bool { _, ok := am.Resolved(broken); return ok }, "the alert resolves")
	assert.Len(t, github.bodies(), 1)
}
