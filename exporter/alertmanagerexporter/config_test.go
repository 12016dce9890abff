package alertmanagerexporter

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/component/componenttest"
	"go.opentelemetry.io/collector/confmap"
)

func load(t *testing.T, yaml string) *Config {
	t.Helper()
	retrieved, err := confmap.NewRetrievedFromYAML([]byte(yaml))
	require.NoError(t, err)
	conf, err := retrieved.AsConf()
	require.NoError(t, err)
	cfg := createDefaultConfig().(*Config)
	require.NoError(t, conf.Unmarshal(cfg))
	return cfg
}

func TestConfig(t *testing.T) {
	cfg := load(t, `
endpoints:
  - http://127.0.0.1:9093
  - endpoint: https://alerts.example/am
    timeout: 2s
    tls: {ca_file: /etc/ca.pem}
    auth: {authenticator: bearertokenauth}
    headers: {X-Scope-OrgID: shop}
heartbeat: 10s
labels: {cluster: eu-1}
`)
	require.NoError(t, cfg.Validate())
	require.Len(t, cfg.Endpoints, 2)
	assert.Equal(t, "http://127.0.0.1:9093", cfg.Endpoints[0].Endpoint)
	assert.Equal(t, defaultTimeout, cfg.Endpoints[0].Timeout)
	assert.Equal(t, 2*time.Second, cfg.Endpoints[1].Timeout)
	assert.Equal(t, "/etc/ca.pem", cfg.Endpoints[1].TLS.CAFile)
	assert.True(t, cfg.Endpoints[1].Auth.HasValue())
	assert.Equal(t, 10*time.Second, cfg.Heartbeat)
	assert.Equal(t, 100, cfg.Endpoints[1].MaxIdleConns, "the defaults of a client hold for an entry with settings too")
	require.NoError(t, componenttest.CheckConfigStruct(createDefaultConfig()))
}

func TestConfigErrorsNameTheFix(t *testing.T) {
	for name, c := range map[string]struct{ yaml, want string }{
		"no endpoint":           {`{}`, "name at least one Alertmanager"},
		"not a URL":             {`endpoints: [127.0.0.1:9093]`, "write for example http://127.0.0.1:9093"},
		"with the API path":     {`endpoints: [http://am/api/v2/alerts]`, "give the base URL, without /api/v2/alerts"},
		"twice":                 {`endpoints: [http://am, http://am]`, "is there twice"},
		"no timeout":            {`endpoints: [{endpoint: http://am, timeout: 0s}]`, "timeout must be above 0"},
		"compressed":            {`endpoints: [{endpoint: http://am, compression: gzip}]`, "remove compression"},
		"a tiny heartbeat":      {"endpoints: [http://am]\nheartbeat: 1ms", "heartbeat: must be at least 100ms"},
		"our label":             {"endpoints: [http://am]\nlabels: {service: x}", "service is deployloop's own"},
		"a label's name":        {"endpoints: [http://am]\nlabels: {a-b: x}", "is not a label name"},
		"a console that is not": {"endpoints: [http://am]\nconsole_url: localhost", "console_url"},
		"remembering nothing":   {"endpoints: [http://am]\nmax_alerts: 0", "max_alerts: must be at least 1"},
	} {
		t.Run(name, func(t *testing.T) { assert.ErrorContains(t, load(t, c.yaml).Validate(), c.want) })
	}
}
