package dashboards

import (
	"bytes"
	"encoding/json"
	"os"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.yaml.in/yaml/v3"
)

// decode refuses a key that Grafana would overlook.
func decode(t *testing.T, path string, into any) {
	t.Helper()
	text, err := os.ReadFile(path)
	require.NoError(t, err)
	d := yaml.NewDecoder(bytes.NewReader(text))
	d.KnownFields(true)
	require.NoError(t, d.Decode(into), path)
}

func TestProvisionedProvider(t *testing.T) {
	var config struct {
		APIVersion int `yaml:"apiVersion"`
		Providers  []struct {
			Name, Folder, Type string
			Options            struct{ Path string }
		}
	}
	decode(t, "provisioning/dashboards/deployloop.yaml", &config)
	assert.Equal(t, 1, config.APIVersion)
	require.Len(t, config.Providers, 1)
	assert.Equal(t, "file", config.Providers[0].Type)
	assert.Equal(t, "/var/lib/grafana/dashboards/deployloop", config.Providers[0].Options.Path)
}

// The dashboards choose their data sources by type, so one of each type that
// they ask for is there; an exemplar's link leads to one that is.
func TestProvisionedDataSources(t *testing.T) {
	var config struct {
		APIVersion  int `yaml:"apiVersion"`
		Datasources []struct {
			Name, UID, Type, Access, URL string
			JSON                         struct {
				TimeInterval string `yaml:"timeInterval"`
				Exemplars    []struct {
					Name string
					UID  string `yaml:"datasourceUid"`
				} `yaml:"exemplarTraceIdDestinations"`
			} `yaml:"jsonData"`
		}
	}
	decode(t, "provisioning/datasources/deployloop.yaml", &config)
	assert.Equal(t, 1, config.APIVersion)
	types, uids := map[string]bool{}, map[string]bool{}
	for _, s := range config.Datasources {
		types[s.Type], uids[s.UID] = true, true
		assert.Equal(t, "proxy", s.Access, s.Name)
		assert.NotEmpty(t, s.URL, s.Name)
	}
	for _, s := range config.Datasources {
		for _, e := range s.JSON.Exemplars {
			assert.True(t, uids[e.UID], "%s leads to %s", s.Name, e.UID)
		}
	}
	boards, err := Boards()
	require.NoError(t, err)
	asked := 0
	for _, b := range boards {
		for _, v := range b.Templating.List {
			if v.Type != "datasource" {
				continue
			}
			var kind string
			require.NoError(t, json.Unmarshal(v.Query, &kind), "%s: %s", b.Title, v.Name)
			assert.True(t, types[kind], "%s asks for a data source of type %s", b.Title, kind)
			asked++
		}
	}
	assert.GreaterOrEqual(t, asked, len(boards))
}
