package cicdreceiver

import (
	"encoding/json"
	"flag"
	"net/http"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
	"go.yaml.in/yaml/v3"
)

var update = flag.Bool("update", false, "write testdata/*/events.yaml anew")

// Each folder of testdata is one request and the event records it becomes.
func TestGolden(t *testing.T) {
	folders, err := filepath.Glob("testdata/*")
	require.NoError(t, err)
	require.NotEmpty(t, folders)
	for _, folder := range folders {
		t.Run(filepath.Base(folder), func(t *testing.T) {
			text, err := os.ReadFile(filepath.Join(folder, "request.json"))
			require.NoError(t, err)
			var request struct {
				Path    string
				Headers map[string]string
				Body    json.RawMessage
			}
			require.NoError(t, json.Unmarshal(text, &request))
			headers := map[string]string{"X-Hub-Signature-256": sign(secret, request.Body)}
			for name, value := range request.Headers {
				headers[name] = value
			}
			r := start(t, wiring{})
			status, answer, _ := r.post(request.Path, request.Body, headers)
			require.Equal(t, http.StatusAccepted, status, answer)

			type record struct {
				Event      string         `yaml:"event"`
				Time       string         `yaml:"time"`
				Severity   string         `yaml:"severity"`
				Body       string         `yaml:"body"`
				Attributes map[string]any `yaml:"attributes"`
			}
			var records []record
			for _, r := range r.records() {
				records = append(records, record{r.EventName(), r.Timestamp().String(), r.SeverityText(), r.Body().Str(), r.Attributes().AsRaw()})
			}
			got, err := yaml.Marshal(records)
			require.NoError(t, err)
			golden := filepath.Join(folder, "events.yaml")
			if *update {
				require.NoError(t, os.WriteFile(golden, got, 0o644))
			}
			want, err := os.ReadFile(golden)
			require.NoError(t, err)
			require.Equal(t, string(want), string(got))
		})
	}
}
