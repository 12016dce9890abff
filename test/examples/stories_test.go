package examples

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/deployloop/deployloop/internal/event"
	"github.com/deployloop/deployloop/test/alertmanagertest"
	"github.com/deployloop/deployloop/test/deploylooptest"
)

// A bad deploy, marked by the command of the file's own header, becomes an alert
// in the Alertmanager of examples/alertmanager.yml.
func TestFirstFiveMinutes(t *testing.T) {
	t.Parallel()
	places, am := deploylooptest.NewPlaces(t), alertmanagertest.Start(t)
	places.Set("9093", am.URL)
	loop := deploylooptest.StartExample(t, deploylooptest.Example{File: "examples/first-five-minutes.yaml", Places: places})
	s := open(t, loop.OTLP, "checkout")
	s.waitForHistory()
	mark(t, loop, "checkout")
	s.canary(0.3)
	rollUp := map[string]string{"alertname": "DeployRegressed", "service": "checkout", "commit": badRevision}
	eventually(t, 60*time.Second, func() bool { return len(am.Find(rollUp)) == 1 }, "an alert")
	assert.Contains(t, am.Find(rollUp)[0].Annotations["verdict_url"], loop.Console, "it leads to the page")
}

// Their collector sends to their back end as before and a copy to deployloop,
// which finds the bad deploy. With deployloop dead nothing is missing there.
func TestBesideYourCollector(t *testing.T) {
	t.Parallel()
	places, backend := deploylooptest.NewPlaces(t), newBackend(t)
	places.Set("4327", backend.url)
	loop := deploylooptest.StartExample(t, deploylooptest.Example{
		File: "examples/beside-your-collector/deployloop.yaml", Places: places, OTLP: "14318",
	})
	theirs := deploylooptest.StartExample(t, deploylooptest.Example{File: "examples/beside-your-collector/collector.yaml", Places: places})
	s := open(t, theirs.OTLP, "checkout")
	s.waitForHistory()
	s.canary(0.3) // no mark: the new service.version says it
	v := waitFor(t, loop, "checkout", event.Regressed)
	assert.Equal(t, event.Shadow, v.Mode, "nobody is paged before it was seen to be right")

	loop.Kill()
	sent := s.sent()
	eventually(t, 30*time.Second, func() bool { return s.sent() > sent+1000 }, "the shop goes on")
	s.close()
	eventually(t, 30*time.Second, func() bool { return backend.spans.Load() == int64(s.sent()) }, "every span is in their back end")
	require.Empty(t, s.generator.Errors(), "no SDK was refused")
}

// Everything goes on to the back end, stamped with its deployment.
func TestInFrontOfYourBackend(t *testing.T) {
	t.Parallel()
	places, backend := deploylooptest.NewPlaces(t), newBackend(t)
	places.Set("4327", backend.url)
	places.Set("9090", backend.url) // remote write is of the next story
	loop := deploylooptest.StartExample(t, deploylooptest.Example{
		File: "examples/in-front-of-your-backend.yaml", Places: places, Env: []string{"GITHUB_WEBHOOK_SECRET=it is not a secret"},
	})
	s := open(t, loop.OTLP, "checkout")
	s.waitForHistory()
	mark(t, loop, "checkout")
	s.canary(0.3)
	waitFor(t, loop, "checkout", event.Regressed)
	d, err := loop.Deployment("checkout", badRevision)
	require.NoError(t, err)
	eventually(t, 30*time.Second, func() bool { return backend.stamped(d.ID) > 100 }, "spans with deployment.id")
	s.close()
	eventually(t, 30*time.Second, func() bool { return backend.spans.Load() == int64(s.sent()) }, "every span arrived")
	assert.Positive(t, backend.logs.Load())
}
