// Package rules checks what rules/ and dashboards/ ask Prometheus for against
// the code that makes it, and has promtool test what the rules mean. The oldest
// promtool and vmalert, which `make test` does not install, follow in
// `make test-rules`.
package rules

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"testing"
	"time"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/promql/parser"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.yaml.in/yaml/v3"

	"github.com/deployloop/deployloop/dashboards"
	"github.com/deployloop/deployloop/test/servertest"
)

type rule struct {
	Record, Alert, Expr string
	Annotations         map[string]string
}

func shipped(t *testing.T) (rules []rule) {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(servertest.Root(t), "rules", "*.yaml"))
	require.NoError(t, err)
	require.NotEmpty(t, files)
	for _, file := range files {
		text, err := os.ReadFile(file)
		require.NoError(t, err)
		var content struct{ Groups []struct{ Rules []rule } }
		require.NoError(t, yaml.Unmarshal(text, &content))
		for _, g := range content.Groups {
			rules = append(rules, g.Rules...)
		}
	}
	return rules
}

// selected are the names that a query selects: each is a name, or an anchored
// pattern of names.
func selected(t *testing.T, query string) (names []string) {
	t.Helper()
	expr, err := parser.NewParser(parser.Options{}).ParseExpr(query)
	require.NoError(t, err, query)
	parser.Inspect(expr, func(node parser.Node, _ []parser.Node) error {
		if s, ok := node.(*parser.VectorSelector); ok {
			for _, m := range s.LabelMatchers {
				if m.Name == model.MetricNameLabel {
					names = append(names, m.Value)
				}
			}
		}
		return nil
	})
	return names
}

// unknown are those of the names that nothing makes.
func unknown(names []string, made map[string]bool) (out []string) {
	for _, name := range names {
		pattern := regexp.MustCompile("^(?:" + name + ")$")
		found := false
		for m := range made {
			found = found || pattern.MatchString(m)
		}
		if !found {
			out = append(out, name)
		}
	}
	return out
}

func TestRulesAndDashboardsAskForWhatIsMade(t *testing.T) {
	names, rules := made(t), shipped(t)
	require.Equal(t, []string{"deployloop_deployment_total"}, unknown([]string{"deployloop_deployment_total", "deployloop_deployments_total"}, names))
	for _, r := range rules {
		if r.Record != "" {
			names[r.Record] = true
		}
	}
	asked := 0
	check := func(where, query string) {
		list := selected(t, query)
		asked += len(list)
		assert.Empty(t, unknown(list, names), "%s asks for what nothing makes: %s", where, query)
	}
	for _, r := range rules {
		check(r.Alert+r.Record, r.Expr)
	}
	boards, err := dashboards.Boards()
	require.NoError(t, err)
	choice := dashboards.Choice{Range: time.Hour, RateInterval: time.Minute}
	for _, b := range boards {
		for _, a := range b.Annotations.List {
			if a.Expr != "" {
				check(b.Title+"/"+a.Name, choice.Fill(a.Expr))
			}
		}
		for _, p := range b.Panels {
			for _, target := range p.Targets {
				check(b.Title+"/"+p.Title, choice.Fill(target.Expr))
			}
		}
	}
	assert.Greater(t, asked, 80)
}

// Each rule is seen in rules/tests, which promtool runs: an alert to fire and to
// rest, a recording to have a value. Each alert has its page.
func TestEveryRuleIsTestedAndEveryAlertHasARunbook(t *testing.T) {
	root := servertest.Root(t)
	type tests struct {
		Tests []struct {
			Alerts []struct {
				Name     string `yaml:"alertname"`
				Expected []any  `yaml:"exp_alerts"`
			} `yaml:"alert_rule_test"`
			Values []struct {
				Expr    string
				Samples []any `yaml:"exp_samples"`
			} `yaml:"promql_expr_test"`
		}
	}
	var cases tests
	files, err := filepath.Glob(filepath.Join(root, "rules", "tests", "*_test.yaml"))
	require.NoError(t, err)
	for _, file := range files {
		text, err := os.ReadFile(file)
		require.NoError(t, err)
		var more tests
		require.NoError(t, yaml.Unmarshal(text, &more))
		cases.Tests = append(cases.Tests, more.Tests...)
	}
	fires, rests, valued := map[string]bool{}, map[string]bool{}, map[string]bool{}
	for _, c := range cases.Tests {
		for _, a := range c.Alerts {
			if len(a.Expected) > 0 {
				fires[a.Name] = true
			} else {
				rests[a.Name] = true
			}
		}
		for _, v := range c.Values {
			valued[v.Expr] = valued[v.Expr] || len(v.Samples) > 0
		}
	}
	var alerts []string
	for _, r := range shipped(t) {
		if r.Alert == "" {
			assert.True(t, valued[r.Record], "%s is never seen to have a value", r.Record)
			continue
		}
		alerts = append(alerts, r.Alert)
		assert.Equal(t, "docs/runbooks/"+r.Alert+".md", r.Annotations["runbook"])
		assert.FileExists(t, filepath.Join(root, "docs", "runbooks", r.Alert+".md"))
		assert.True(t, fires[r.Alert], "%s is never seen to fire", r.Alert)
		assert.True(t, rests[r.Alert], "%s is never seen to rest", r.Alert)
	}
	slices.Sort(alerts)
	assert.Equal(t, []string{"AnomalyUnclosed", "DeployRegressedOpen", "ExporterFailing", "FlakyTestsRising", "LoopDeaf", "LoopSlow", "UntrackedChange"}, alerts)
}

func TestPromtoolAcceptsTheRulesAndTheirTests(t *testing.T) {
	promtool, root := servertest.Tool(t, "promtool"), servertest.Root(t)
	for kind, pattern := range map[string]string{"check": "rules/*.yaml", "test": "rules/tests/*_test.yaml"} {
		files, err := filepath.Glob(filepath.Join(root, pattern))
		require.NoError(t, err)
		require.NotEmpty(t, files)
		out, err := exec.Command(promtool, append([]string{kind, "rules"}, files...)...).CombinedOutput()
		require.NoError(t, err, "promtool %s rules:\n%s", kind, out)
		require.Contains(t, string(out), "SUCCESS")
	}
}
