package cicdreceiver

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/component/componenttest"
	"go.opentelemetry.io/collector/confmap"
)

func TestDefaultConfig(t *testing.T) {
	cfg := createDefaultConfig()
	require.NoError(t, componenttest.CheckConfigStruct(cfg))
	require.NoError(t, cfg.(*Config).Validate())
	require.Equal(t, "127.0.0.1:8088", cfg.(*Config).NetAddr.Endpoint)
}

func TestUnmarshalledConfig(t *testing.T) {
	cfg := createDefaultConfig().(*Config)
	require.NoError(t, confmap.NewFromStringMap(map[string]any{
		"endpoint": "127.0.0.1:9000",
		"github":   map[string]any{"secret": "s", "release_environment": "production"},
	}).Unmarshal(cfg))
	require.NoError(t, cfg.Validate())
	require.Equal(t, "production", cfg.GitHub.ReleaseEnvironment)
	require.EqualValues(t, 25<<20, cfg.MaxRequestBodySize)
	require.Equal(t, "[REDACTED]", cfg.GitHub.Secret.String())
}

// A secret from a variable that is not set must not open the door.
func TestASecretThatIsEmptyIsRefused(t *testing.T) {
	for name, c := range map[string]struct {
		config map[string]any
		err    string
	}{
		"of an unset variable":       {map[string]any{"github": map[string]any{"secret": ""}}, "github.secret is empty: set the variable"},
		"of a null":                  {map[string]any{"gitlab": map[string]any{"secret": nil}}, "gitlab.secret is empty"},
		"beside one that is set":     {map[string]any{"github": map[string]any{"secret": "s"}, "argocd": map[string]any{"secret": ""}}, "argocd.secret is empty"},
		"not on purpose":             {map[string]any{"gitea": map[string]any{"secret": "", "allow_unsigned": false}}, "gitea.allow_unsigned: true"},
		"on purpose":                 {map[string]any{"github": map[string]any{"secret": "", "allow_unsigned": true}}, ""},
		"not named":                  {map[string]any{"github": map[string]any{"release_environment": "production"}}, ""},
		"on purpose, but not public": {map[string]any{"endpoint": "0.0.0.0:8088", "flux": map[string]any{"secret": "", "allow_unsigned": true}}, "not on loopback"},
	} {
		t.Run(name, func(t *testing.T) {
			cfg := createDefaultConfig().(*Config)
			require.NoError(t, confmap.NewFromStringMap(c.config).Unmarshal(cfg))
			if err := cfg.Validate(); c.err == "" {
				require.NoError(t, err)
			} else {
				require.ErrorContains(t, err, c.err)
			}
		})
	}
}

func TestConfigsThatAreRefusedNameTheFix(t *testing.T) {
	cases := map[string]struct {
		change func(*Config)
		err    string
	}{
		"open to all":        {func(c *Config) { c.NetAddr.Endpoint = "0.0.0.0:8088" }, "set auth (an authenticator extension, for /v1/deployments) or the secret of a webhook"},
		"every interface":    {func(c *Config) { c.NetAddr.Endpoint = ":8088" }, "not on loopback"},
		"a name of a host":   {func(c *Config) { c.NetAddr.Endpoint = "build.example:8088" }, "not on loopback"},
		"no endpoint":        {func(c *Config) { c.NetAddr.Endpoint = "" }, "endpoint is empty"},
		"metrics too often":  {func(c *Config) { c.MetricsInterval = time.Millisecond }, "at least 1s"},
		"a secret will do":   {func(c *Config) { c.NetAddr.Endpoint = "0.0.0.0:8088"; c.GitHub.Secret = "s" }, ""},
		"loopback by name":   {func(c *Config) { c.NetAddr.Endpoint = "localhost:8088" }, ""},
		"loopback of IPv6":   {func(c *Config) { c.NetAddr.Endpoint = "[::1]:8088" }, ""},
		"a socket of a file": {func(c *Config) { c.NetAddr.Endpoint = "/run/cicd.sock"; c.NetAddr.Transport = "unix" }, ""},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			cfg := createDefaultConfig().(*Config)
			c.change(cfg)
			if err := cfg.Validate(); c.err == "" {
				require.NoError(t, err)
			} else {
				require.ErrorContains(t, err, c.err)
			}
		})
	}
}
