package cicdreceiver

import (
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/deployloop/deployloop/internal/cicd"
)

// What was taken and refused is told by source; probes and unknown paths are not
// counted, and only who may post deployments is told.
func TestDeliveriesAreTold(t *testing.T) {
	r := start(t, wiring{})
	post := func(path, signature, probe string) {
		request, err := http.NewRequest(http.MethodPost, r.base+path, strings.NewReader(`{"zen":"x"}`))
		require.NoError(t, err)
		request.Header.Set("Content-Type", "application/json")
		request.Header.Set("X-GitHub-Event", "ping")
		request.Header.Set("X-Hub-Signature-256", signature)
		request.Header.Set(cicd.HeaderProbe, probe)
		response, err := http.DefaultClient.Do(request)
		require.NoError(t, err)
		require.NoError(t, response.Body.Close())
	}
	bad := "sha256=" + strings.Repeat("00", 32)
	post("/webhooks/github", bad, "")
	post("/webhooks/github", bad, "")
	post("/webhooks/github", bad, "doctor")
	post("/webhooks/nobody", bad, "")
	told := func() (by map[string]cicd.Heard) {
		response, err := http.Get(r.base + "/v1/deliveries")
		require.NoError(t, err)
		defer response.Body.Close()
		body, err := io.ReadAll(response.Body)
		require.NoError(t, err)
		require.Equal(t, http.StatusOK, response.StatusCode, string(body))
		require.NoError(t, json.Unmarshal(body, &by))
		return by
	}
	require.Equal(t, map[string]cicd.Heard{"github": {Refused: 2, LastRefused: fixedNow}}, told())

	open := start(t, wiring{config: func(c *Config) { c.NetAddr.Endpoint = "0.0.0.0:0" }})
	response, err := http.Get(open.base + "/v1/deliveries")
	require.NoError(t, err)
	require.NoError(t, response.Body.Close())
	require.Equal(t, http.StatusForbidden, response.StatusCode)
}
