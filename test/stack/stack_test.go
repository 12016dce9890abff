// Package stack plays the demo with a real Prometheus and a real Alertmanager
// beside it, and watches the two from outside.
package stack

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"io"
	"os"
	"os/exec"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	promapi "github.com/prometheus/client_golang/api"
	prometheus "github.com/prometheus/client_golang/api/prometheus/v1"
	"github.com/prometheus/common/model"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/deployloop/deployloop/demo"
	"github.com/deployloop/deployloop/test/alertmanagertest"
	"github.com/deployloop/deployloop/test/deploylooptest"
	"github.com/deployloop/deployloop/test/servertest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const (
	limit = 6 * time.Minute
	rule  = "DeployRegressedOpen"
)

// The rule fires in Prometheus, is in Alertmanager, inhibited by the alert that
// deployloop itself sent, and has cleared in both after the rollback; every
// query of every dashboard returned series on the way.
func TestTheRuleFiresForTheBadDeployAndClearsAfterItsRollback(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), limit)
	defer cancel()
	cmd := exec.CommandContext(ctx, deploylooptest.Program(t), "demo", "--stack", "--headless", "--output", "json")
	cmd.Dir = servertest.Root(t) // .tools is there
	cmd.Env = append(os.Environ(), "NO_COLOR=1", "TMPDIR="+t.TempDir())
	stories, w := io.Pipe()
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, w
	require.NoError(t, cmd.Start())
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait(); _ = w.Close() }()

	var story strings.Builder
	watching, stop := context.WithCancel(ctx)
	watched := make(chan *watcher, 1)
	addresses, found := map[string]string{}, false
	for lines := bufio.NewScanner(io.TeeReader(stories, &story)); lines.Scan(); {
		if m := regexp.MustCompile(`^ +(alerts|prometheus) +(http://\S+)`).FindStringSubmatch(lines.Text()); m != nil {
			addresses[m[1]] = m[2]
		}
		if !found && len(addresses) == 2 {
			found = true
			go func() { watched <- watch(watching, addresses["prometheus"], addresses["alerts"]) }()
		}
	}
	stop()
	require.NoError(t, <-ended, "%s\n%s", story.String(), out.String())
	require.True(t, found, "no addresses in:\n%s", story.String())
	seen := <-watched
	require.NoError(t, seen.problem)

	var result demo.Result
	require.NoError(t, json.Unmarshal(out.Bytes(), &result), out.String())
	require.True(t, result.Passed, story.String())
	require.NotNil(t, result.Stack)
	assert.Empty(t, result.Stack.Empty)
	assert.Greater(t, result.Stack.Queries, 2*60, "twice those of four dashboards")

	assert.Equal(t, []string{rule}, seen.everFired, "of all rules this one alone")
	assert.False(t, seen.fired.IsZero(), "in Prometheus")
	assert.False(t, seen.told.IsZero(), "in Alertmanager")
	assert.True(t, seen.byRule, "Alertmanager has it from Prometheus")
	assert.True(t, seen.inhibited, "one page is enough")
	assert.True(t, seen.cleared && seen.gone, "cleared in Prometheus %t, gone from Alertmanager %t", seen.cleared, seen.gone)
	assert.NotEmpty(t, seen.traces, "the loop's latency leads to a trace")
	t.Logf("verdict → rule %s, → Alertmanager %s; rollback → cleared %s; %d queries",
		result.Stack.VerdictToRule, result.Stack.RuleInPager, result.Stack.RollbackToCleared, result.Stack.Queries)
}

// watcher is what was seen of the rule in Prometheus and Alertmanager.
type watcher struct {
	everFired   []string
	fired, told time.Time // first seen
	byRule      bool      // Alertmanager names the query that made it
	inhibited   bool
	cleared     bool            // of Prometheus, after it fired
	gone        bool            // from Alertmanager, after it was there
	traces      map[string]bool // of the exemplars of the loop's latency
	problem     error
}

// watch asks both until ctx ends.
func watch(ctx context.Context, prometheusURL, alertmanagerURL string) *watcher {
	s := &watcher{traces: map[string]bool{}}
	client, err := promapi.NewClient(promapi.Config{Address: prometheusURL})
	if err != nil {
		s.problem = err
		return s
	}
	defer client.(promapi.CloseIdler).CloseIdleConnections()
	api, pages := prometheus.NewAPI(client), &alertmanagertest.Server{URL: alertmanagerURL}
	for ctx.Err() == nil {
		s.look(ctx, api, pages)
		select {
		case <-ctx.Done():
		case <-time.After(250 * time.Millisecond):
		}
	}
	return s
}

// look asks once; when the demo ends, so do its servers, and no answer is no
// news.
func (s *watcher) look(ctx context.Context, api prometheus.API, pages *alertmanagertest.Server) {
	if result, err := api.Alerts(ctx); err == nil {
		fires := false
		for _, a := range result.Alerts {
			if a.State != prometheus.AlertStateFiring {
				continue
			}
			name := string(a.Labels[model.AlertNameLabel])
			fires = fires || name == rule
			if !slices.Contains(s.everFired, name) {
				s.everFired = append(s.everFired, name)
			}
		}
		if fires && s.fired.IsZero() {
			s.fired = time.Now()
		}
		s.cleared = !s.fired.IsZero() && !fires
	}
	if alerts, err := pages.Alerts(); err == nil {
		held := false
		for _, a := range alerts {
			if a.Labels["alertname"] == rule {
				held = true
				s.byRule = s.byRule || strings.Contains(string(a.GeneratorURL), "deployloop_anomalies_open")
				s.inhibited = s.inhibited || len(a.Status.InhibitedBy) > 0
			}
		}
		if held && s.told.IsZero() {
			s.told = time.Now()
		}
		s.gone = !s.told.IsZero() && !held
	}
	exemplars, err := api.QueryExemplars(ctx, "deployloop_loop_latency_seconds_bucket", time.Now().Add(-limit), time.Now())
	if err != nil {
		return
	}
	for _, series := range exemplars {
		for _, e := range series.Exemplars {
			if id := string(e.Labels["trace_id"]); id != "" {
				s.traces[id] = true
			}
		}
	}
}
