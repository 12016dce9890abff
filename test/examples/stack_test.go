package examples

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/deployloop/deployloop/test/alertmanagertest"
	"github.com/deployloop/deployloop/test/deploylooptest"
	"github.com/deployloop/deployloop/test/grafanatest"
	"github.com/deployloop/deployloop/test/prometheustest"
	"github.com/deployloop/deployloop/test/servertest"
)

// Prometheus scrapes and its rule fires, Alertmanager hears of it from both,
// Grafana has one annotation; the rollback ends all of it.
func TestPrometheusAlertmanagerGrafana(t *testing.T) {
	t.Parallel()
	places, am, grafana := deploylooptest.NewPlaces(t), alertmanagertest.Start(t), grafanatest.Start(t, "")
	places.Set("9093", am.URL)
	places.Set("3000", grafana.URL)
	loop := deploylooptest.StartExample(t, deploylooptest.Example{
		File: "examples/prometheus-alertmanager-grafana/deployloop.yaml", Places: places,
		Env: []string{"GRAFANA_TOKEN=" + grafanatest.Token},
		Set: []string{places.File("dashboards/collector.yaml"), "yaml:connectors::span_metrics::metrics_flush_interval: 1s"},
	})
	root := servertest.Root(t)
	shipped, err := os.ReadFile(filepath.Join(root, "examples/prometheus-alertmanager-grafana/prometheus.yml"))
	require.NoError(t, err)
	config := strings.NewReplacer("../..", root, "interval: 15s", "interval: 1s").Replace(string(places.Move(shipped)))
	prometheus := prometheustest.Start(t, prometheustest.Options{Config: []byte(config)})

	s := open(t, loop.OTLP, "checkout")
	s.waitForHistory()
	mark(t, loop, "checkout")
	s.canary(0.3)

	told := map[string]string{"alertname": "DeployRegressed", "service": "checkout"}
	ruled := map[string]string{"alertname": "DeployRegressedOpen", "service": "checkout"}
	eventually(t, 90*time.Second, func() bool { return len(am.Find(told)) == 1 }, "deployloop tells Alertmanager")
	eventually(t, 60*time.Second, func() bool { return len(am.Find(ruled)) == 1 }, "Prometheus' rule tells it too")
	d, err := loop.Deployment("checkout", badRevision)
	require.NoError(t, err)
	eventually(t, 30*time.Second, func() bool { return grafana.Verdict(d.ID) == "regressed" }, "an annotation in Grafana")
	for _, query := range []string{
		`deployloop_anomalies_open{kind="deployment",service="checkout"} == 1`,
		`sum(rate(traces_span_metrics_calls_total{service_name="checkout",service_version="1.1.0",status_code="STATUS_CODE_ERROR"}[30s])) > 0`,
		`up{job="collector"} == 1`,
	} {
		eventually(t, 60*time.Second, func() bool { return len(prometheus.Query(query)) > 0 }, query)
	}

	out, code := command(t, "mark", "--endpoint", loop.CICD, "--service", "checkout", "--environment", production,
		"--revision", goodRevision, "--version", "1.0.0")
	require.Zero(t, code, out)
	s.rollBack()
	eventually(t, 90*time.Second, func() bool { _, over := am.Resolved(told); return over }, "the alert resolves")
	over, _ := am.Resolved(told)
	assert.Contains(t, over.Annotations["resolution"], "olled back")
	eventually(t, 90*time.Second, func() bool { return len(am.Find(ruled)) == 0 }, "and the rule's")
	assert.Len(t, grafana.Of(d.ID), 1, "one annotation, edited in place")
}
