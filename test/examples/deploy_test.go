package examples

import (
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.yaml.in/yaml/v3"

	"github.com/deployloop/deployloop/internal/event"
	"github.com/deployloop/deployloop/test/deploylooptest"
	"github.com/deployloop/deployloop/test/grafanatest"
	"github.com/deployloop/deployloop/test/servertest"
)

// The manifests are what Kubernetes' own types and its restricted Pod Security
// Standard take; no cluster runs here.
func TestKubernetesManifests(t *testing.T) {
	t.Parallel()
	cluster(t, nil, "kustomize", "../../examples/kubernetes")
	for _, file := range []string{
		"examples/kubernetes/namespace.yaml", "examples/kubernetes/rbac.yaml", "examples/kubernetes/secret.yaml",
		"examples/kubernetes/statefulset.yaml", "examples/kubernetes/services.yaml", "examples/kubernetes/networkpolicy.yaml",
		"examples/kubernetes/disruption.yaml",
	} {
		cluster(t, nil, "check", filepath.Join(servertest.Root(t), file))
	}
	// And not what they refuse.
	loose := strings.NewReplacer("runAsNonRoot: true", "runAsNonRoot: false").
		Replace(string(readFile(t, "../../examples/kubernetes/statefulset.yaml")))
	path := filepath.Join(t.TempDir(), "loose.yaml")
	require.NoError(t, os.WriteFile(path, []byte(loose), 0o600))
	out, err := exec.Command(servertest.Tool(t, "cluster"), "check", path).CombinedOutput()
	require.Error(t, err, "%s", out)
	require.Contains(t, string(out), "runAsNonRoot")

	// The kustomization holds the configuration "examples/kubernetes/kustomization.yaml" names.
	playDeployed(t, "examples/kubernetes/deployloop.yaml")
}

// The compose file loads, and its files are there; no container engine runs here.
func TestCompose(t *testing.T) {
	t.Parallel()
	c := exec.Command(servertest.Tool(t, "cluster"), "compose", "../../examples/compose/docker-compose.yaml")
	c.Env = append(os.Environ(), "GITHUB_WEBHOOK_SECRET=a", "CONSOLE_HTPASSWD=b", "GRAFANA_TOKEN=c", "GRAFANA_PASSWORD=d")
	out, err := c.CombinedOutput()
	require.NoError(t, err, "%s", out)
	require.Equal(t, "4 services\n", string(out))
	c = exec.Command(servertest.Tool(t, "cluster"), "compose", "../../examples/compose/docker-compose.yaml")
	out, err = c.CombinedOutput()
	require.Error(t, err, "without .env it does not start")
	require.Contains(t, string(out), "copy env.example to .env")

	root := servertest.Root(t)
	text := strings.ReplaceAll(string(readFile(t, filepath.Join(root, "examples/compose/prometheus.yml"))), "/etc/prometheus/rules", root+"/rules")
	config := filepath.Join(t.TempDir(), "prometheus.yml")
	require.NoError(t, os.WriteFile(config, []byte(text), 0o600))
	out, err = exec.Command(servertest.Tool(t, "promtool"), "check", "config", config).CombinedOutput()
	require.NoError(t, err, "%s", out)
	provisioned(t)

	playDeployed(t, "examples/compose/deployloop.yaml", "dashboards/collector.yaml")
}

// provisioned holds what Grafana is given against what it would read: its file
// provider takes every JSON file of its folder and of those below, so exactly
// the four dashboards are there.
func provisioned(t *testing.T) {
	t.Helper()
	var compose struct {
		Services map[string]struct{ Volumes []string }
	}
	require.NoError(t, yaml.Unmarshal(readFile(t, "../../examples/compose/docker-compose.yaml"), &compose))
	var provider struct {
		Providers []struct {
			Options struct{ Path string }
		}
	}
	require.NoError(t, yaml.Unmarshal(readFile(t, "../../dashboards/provisioning/dashboards/deployloop.yaml"), &provider))
	require.Len(t, provider.Providers, 1)
	folder := provider.Providers[0].Options.Path + "/"
	var mounted []string
	for _, volume := range compose.Services["grafana"].Volumes {
		parts := strings.Split(volume, ":")
		require.GreaterOrEqual(t, len(parts), 2, volume)
		if name, below := strings.CutPrefix(parts[1]+"/", folder); below {
			name = strings.TrimSuffix(name, "/")
			assert.Equal(t, "../../dashboards/"+name, parts[0])
			mounted = append(mounted, parts[0])
		}
	}
	shipped, err := filepath.Glob("../../dashboards/*.json")
	require.NoError(t, err)
	assert.Len(t, shipped, 4)
	assert.ElementsMatch(t, shipped, mounted)

	// The dashboards take the default data source of type prometheus.
	var sources struct {
		Datasources []struct {
			UID, Type string
			IsDefault bool `yaml:"isDefault"`
		}
	}
	require.NoError(t, yaml.Unmarshal(readFile(t, filepath.Join(servertest.Root(t), "examples/compose/datasources.yaml")), &sources))
	require.Len(t, sources.Datasources, 1)
	assert.Equal(t, "prometheus", sources.Datasources[0].Type)
	assert.True(t, sources.Datasources[0].IsDefault)
}

// playDeployed starts a configuration that listens on every address: it is
// healthy, asks for its password, and finds a bad deploy.
func playDeployed(t *testing.T, file string, further ...string) {
	t.Helper()
	places, grafana := deploylooptest.NewPlaces(t), grafanatest.Start(t, "")
	places.Set("3000", grafana.URL)
	places.Set("9093", grafana.URL) // no Alertmanager: it has stories of its own
	var set []string
	for _, f := range further {
		set = append(set, places.File(f))
	}
	loop := deploylooptest.StartExample(t, deploylooptest.Example{
		File: file, Places: places, User: gateUser + ":" + gatePassword, Set: set,
		Env: []string{"GITHUB_WEBHOOK_SECRET=it is not a secret", "CONSOLE_HTPASSWD=" + gateHash, "GRAFANA_TOKEN=" + grafanatest.Token},
	})
	eventually(t, 20*time.Second, func() bool { return servertest.Answers("http://" + places.Of("13133") + "/") }, "the probes' answer")
	naked := "http://" + strings.SplitN(loop.Console, "@", 2)[1]
	response, err := http.Get(naked + "/")
	require.NoError(t, err)
	require.NoError(t, response.Body.Close())
	assert.Equal(t, http.StatusUnauthorized, response.StatusCode)
	// Without credentials nobody posts a deployment; the first sight of a version is one.
	response, err = http.Post(loop.CICD+"/v1/deployments", "application/json", strings.NewReader(`{"service":"checkout","version":"1.1.0"}`))
	require.NoError(t, err)
	require.NoError(t, response.Body.Close())
	assert.Equal(t, http.StatusForbidden, response.StatusCode)
	s := open(t, loop.OTLP, "checkout")
	s.waitForHistory()
	s.canary(0.3)
	v := waitFor(t, loop, "checkout", event.Regressed)
	eventually(t, 30*time.Second, func() bool { return grafana.Verdict(v.Deployment.ID) == "regressed" }, "Grafana has it")
}
