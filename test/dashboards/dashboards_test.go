// Package dashboards holds the Grafana dashboards against a real Prometheus that
// a real deployloop filled.
package dashboards

import (
	"context"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/deployloop/deployloop/dashboards"
	"github.com/deployloop/deployloop/internal/event"
	"github.com/deployloop/deployloop/test/deploylooptest"
	"github.com/deployloop/deployloop/test/load"
	"github.com/deployloop/deployloop/test/prometheustest"
)

const (
	oldest = "1111111111111111111111111111111111111111"
	good   = "2222222222222222222222222222222222222222"
	bad    = "3333333333333333333333333333333333333333"
)

// all is the value of a variable when All is chosen.
const all = ".*"

// faster than what is shipped, so that the test is.
const faster = `connectors: {span_metrics: {metrics_flush_interval: 1s}}`

// Builds, a good deploy, a bad one and its rollback: every panel, marker and
// variable of every dashboard has something to show.
func TestEveryQueryReturnsSeries(t *testing.T) {
	loop := deploylooptest.Start(t, deploylooptest.Options{
		Heartbeat: time.Second, Anomaly: map[string]any{"watch": []string{"10s", "10m"}},
		Configs: [][]byte{dashboards.CollectorConfig, []byte(faster)},
	})
	server := prometheustest.Start(t, prometheustest.Options{Targets: []string{loop.Metrics}, Every: time.Second})
	ctx, stop := context.WithCancel(t.Context())
	generator := load.New(loop.OTLP, 1)
	var running sync.WaitGroup
	running.Go(func() { generator.Run(ctx) })
	t.Cleanup(func() { stop(); running.Wait() })
	serve := func(cohort, version, revision string, instances int, rate, failing float64) {
		c := load.Cohort{
			Service: "checkout", Environment: "production", Version: version, Revision: revision,
			Instances: instances, Rate: rate, Operation: "POST /cart/checkout", ErrorRatio: failing,
		}
		if failing > 0.1 {
			c.Exception = &load.Exception{
				Type: "TypeError", Message: "total is undefined", LogLine: "checkout failed: total is undefined",
				Stacktrace: "TypeError: total is undefined\n    at total (/app/src/cart/total.ts:88:9)",
			}
		}
		generator.Set(cohort, c)
	}
	deploy := func(version, revision string) {
		loop.Mark(map[string]any{
			"service": "checkout", "environment": "production", "repository": "acme/shop",
			"revision": revision, "version": version, "status": "started",
		})
	}

	seen := func(query string) {
		t.Helper()
		eventually(t, time.Minute, func() bool { return len(server.Query(query)) > 0 }, query)
	}

	began := time.Now()
	// The first version is the baseline, no deployment.
	serve("old", "1.0.0", oldest, 4, 200, 0.01)
	for id, revision := range []string{oldest, good, bad} {
		build(loop, revision, id, "queued", "")
	}
	eventually(t, time.Minute, func() bool { return generator.Sent("old").Requests > 2000 }, "some history")
	seen(`deployloop_deployments_total{service="checkout"} == 0`)
	seen(`deployloop_pipeline_runs_total{stage="test"} == 0`)

	push(loop, good)
	build(loop, good, 1, "completed", "success")
	deploy("1.1.0", good)
	serve("old", "1.0.0", oldest, 2, 100, 0.01)
	serve("good", "1.1.0", good, 2, 100, 0.01)
	seen(`deployloop_evidence_threshold{service="checkout"} > 0`) // the good one is under watch

	push(loop, bad)
	build(loop, bad, 2, "completed", "failure") // and deployed all the same
	deploy("1.2.0", bad)
	generator.Stop("old")
	serve("good", "1.1.0", good, 3, 150, 0.01)
	serve("bad", "1.2.0", bad, 1, 50, 0.3)
	eventually(t, time.Minute, func() bool {
		v, err := loop.Verdict("checkout", bad)
		return err == nil && v.State == event.Regressed
	}, "the bad deploy is regressed")
	d, err := loop.Deployment("checkout", bad)
	require.NoError(t, err)
	seen(`deployloop_anomalies_open{kind="deployment"} > 0`)
	seen(`increase(deployloop_suspicions_total[1m]) > 0`)

	// While it is open, a person has chosen it on every dashboard.
	chosen := map[string]string{"service": "checkout", "environment": "production", "deployment": d.ID, "pipeline": "Build and test"}
	ask(t, server, began, chosen, "How anomalies ended", "Time to restore")

	deploy("1.1.0", good)
	generator.Stop("bad")
	serve("good", "1.1.0", good, 4, 200, 0.01)
	seen(`increase(deployloop_anomalies_closed_total{kind="deployment",reason="rolled_back"}[1m]) > 0`)

	// Now that it is over, all are looked at, but for the dashboard of one deployment.
	ask(t, server, began, map[string]string{"deployment": all})
	for query, want := range map[string]float64{
		`sum(increase(deployloop_deployments_total[5m]))`:                                   3,
		`sum(increase(deployloop_rollbacks_total[5m]))`:                                     1,
		`sum(increase(deployloop_verdicts_total{verdict="regressed"}[5m]))`:                 1,
		`sum(increase(deployloop_pipeline_runs_total{level="run",result="failure"}[5m]))`:   1,
		`sum(increase(deployloop_loop_latency_seconds_count{step="commit_to_deploy"}[5m]))`: 2,
	} {
		got := server.Query(query)
		if assert.Len(t, got, 1, query) {
			assert.InDelta(t, want, float64(got[0].Value), 0.3*want, "%s (extrapolated)", query)
		}
	}
}

// ask fails for each query of each dashboard that stays without a series, but
// those of the panels that have nothing to show yet.
func ask(t *testing.T, server *prometheustest.Server, began time.Time, variables map[string]string, notYet ...string) {
	t.Helper()
	boards, err := dashboards.Boards()
	require.NoError(t, err)
	require.Len(t, boards, 4)
	var last []dashboards.Answer
	total := 0
	complete := func() bool {
		total, last = 0, nil
		choice := dashboards.Choice{
			Variables: variables, Range: time.Since(began).Truncate(time.Second) + 5*time.Second, RateInterval: 5 * time.Second,
		}
		for _, b := range boards {
			if b.UID == "deployloop-deployment" && variables["deployment"] == all {
				continue
			}
			answers, err := b.Ask(t.Context(), server.URL, choice)
			require.NoError(t, err)
			total += len(answers)
			for _, a := range answers {
				if a.Empty() && !slices.Contains(notYet, a.Panel) {
					last = append(last, a)
				}
			}
		}
		return len(last) == 0
	}
	for limit := time.Now().Add(20 * time.Second); !complete() && time.Now().Before(limit); {
		time.Sleep(time.Second)
	}
	for _, a := range last {
		assert.Fail(t, a.String())
	}
	t.Logf("%d queries", total)
}

// push tells of a commit, an hour old.
func push(loop *deploylooptest.Loop, revision string) {
	commit := map[string]any{
		"id": revision, "message": "Sum the cart anew", "timestamp": time.Now().Add(-time.Hour).Format(time.RFC3339),
		"author": map[string]any{"name": "Mei Tanaka", "email": "mei@shop.example"}, "modified": []string{"src/cart/total.ts"},
	}
	loop.Webhook("push", map[string]any{
		"ref": "refs/heads/main", "before": oldest, "after": revision,
		"commits": []any{commit}, "head_commit": commit, "repository": repository,
	})
}

var repository = map[string]any{"full_name": "acme/shop", "html_url": "https://git.shop.example/acme/shop"}

// build tells of one run of a pipeline and of its two jobs.
func build(loop *deploylooptest.Loop, revision string, id int, status, conclusion string) {
	type m = map[string]any
	at := func(ago time.Duration) string { return time.Now().Add(-ago).UTC().Format(time.RFC3339) }
	about := func(id int, name string) m {
		return m{
			"id": 100 * (id + 1), "name": name, "head_branch": "main", "head_sha": revision, "run_attempt": 1,
			"status": status, "conclusion": conclusion, "created_at": at(5 * time.Minute), "workflow_name": "Build and test",
			"run_started_at": at(4 * time.Minute), "started_at": at(4 * time.Minute),
			"updated_at": at(time.Minute), "completed_at": at(time.Minute),
		}
	}
	loop.Webhook("workflow_run", m{"workflow_run": about(id, "Build and test"), "repository": repository})
	for i, name := range []string{"build", "test"} {
		job := about(id, name)
		job["run_id"], job["id"] = job["id"], 100*(id+1)+i+1
		loop.Webhook("workflow_job", m{"workflow_job": job, "repository": repository})
	}
}

func eventually(t *testing.T, limit time.Duration, condition func() bool, what string) {
	t.Helper()
	require.Eventually(t, condition, limit, 100*time.Millisecond, what)
}
