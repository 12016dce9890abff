package backtest

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// A key that is meant for a known one is an error that names it; one that is
// like none is told once.
func TestKeysOfDeploys(t *testing.T) {
	const good = `{"service":"cart","version":"2","started_at":"2026-11-23T14:00:00Z"`
	for extra, meant := range map[string]string{
		`"previous_verison":"1"`: "previous_version", `"finishedAt":"2026-11-23T14:05:00Z"`: "finished_at", `"env":"production"`: "environment",
		`"environmant":"production"`: "environment", `"commit":"9f2c1ab"`: "revision", `"instance":["a"]`: "instances", `"deployment.environment.name":"x"`: "environment",
		`"revison":"9f2c1ab"`: "revision", `"previous-revision":"9f2c1ab"`: "previous_revision", `"pods":["a"]`: "instances",
	} {
		_, _, err := ReadDeploys(strings.NewReader(good + "}\n\n" + good + "," + extra + "}\n"))
		key, _, _ := strings.Cut(extra, ":")
		require.EqualError(t, err, "line 3: no key is called "+key+`; write "`+meant+`"`)
	}
	_, _, err := ReadDeploys(strings.NewReader(`{"servce":"cart","version":"2","started_at":"2026-11-23T14:00:00Z"}`))
	require.ErrorContains(t, err, `write "service"`, "rather than that service is missing")

	out, unknown, err := ReadDeploys(strings.NewReader("\xef\xbb\xbf" + good + `,"author":"mei","id":"1","ID2":2}` + "\r\n" + good + `,"url":"x","author":"tom","timestamp":"of what else?","Environment":"e"}`))
	require.NoError(t, err)
	require.Len(t, out, 2)
	require.Equal(t, "e", out[1].Environment)
	require.Len(t, unknown, 4)
	require.Contains(t, unknown[1], `line 1: the key "author" says nothing here; known are id, service, environment, `)
	require.Contains(t, unknown[2], `line 2: the key "timestamp"`, "started_at is there")
	for _, x := range []string{"name", "url", "team", "ids", "x", "", "status"} {
		require.Empty(t, likelyKey(x), x)
	}
}
