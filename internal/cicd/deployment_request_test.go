package cicd

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/deployloop/deployloop/internal/event"
)

func TestDeploymentRequestsThatAreRefusedNameTheFix(t *testing.T) {
	for body, reason := range map[string]string{
		``:                                 `empty body; send JSON like {"service"`,
		`{`:                                "bad JSON",
		`{"service":"a","version":"1"} {}`: "one deployment per request",
		`{"version":"1"}`:                  "service is missing",
		`{"service":"a"}`:                  "revision or version is missing",
		`{"service":"a","version":"1","env":"x"}`:                                                                `unknown key "env"; the keys are service, environment`,
		`{"service":"a","version":"1","status":"done"}`:                                                          `status "done" is none of started, succeeded, failed, rolled_back`,
		`{"service":"a","version":"1","url":"javascript:x"}`:                                                     "url must begin with http",
		`{"service":"a","version":"1","started_at":"now"}`:                                                       "bad JSON",
		`{"service":7,"version":"1"}`:                                                                            "bad JSON",
		`{"service":"` + strings.Repeat("a", 300) + `","version":"1"}`:                                           "service is longer than 256 bytes",
		`{"service":"a","version":"1","started_at":"2026-11-23T14:00:00Z","finished_at":"2026-11-23T13:00:00Z"}`: "finished_at is before started_at",
	} {
		_, err := ParseDeploymentRequest([]byte(body))
		require.ErrorContains(t, err, reason, body)
		require.NotContains(t, err.Error(), "\n")
	}
}

func TestDeploymentRequestDefaults(t *testing.T) {
	now := time.Date(2026, 11, 23, 14, 0, 0, 0, time.UTC)
	hourAgo := now.Add(-time.Hour)
	cases := []struct {
		name, body        string
		status            event.DeploymentStatus
		started, finished time.Time
	}{
		{"nothing said", `{"service":"a","version":"1"}`, event.DeploymentStarted, now, time.Time{}},
		{"a finished one", `{"service":"a","version":"1","status":"succeeded"}`, event.DeploymentSucceeded, now, now},
		{"an end without a status", `{"service":"a","version":"1","finished_at":"2026-11-23T13:00:00Z"}`, event.DeploymentSucceeded, hourAgo, hourAgo},
		{"another zone", `{"service":"a","version":"1","started_at":"2026-11-23T14:00:00+01:00","status":"failed"}`, event.DeploymentFailed, hourAgo, now},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			request, err := ParseDeploymentRequest([]byte(c.body))
			require.NoError(t, err)
			d := request.Deployment("x", now)
			require.Equal(t, c.status, d.Status)
			require.Equal(t, c.started, d.StartedAt)
			require.Equal(t, c.finished, d.FinishedAt)
			require.Equal(t, "default", d.Environment)
			require.Equal(t, []string{"x"}, d.Aliases)
		})
	}
}

func FuzzDeployment(f *testing.F) {
	f.Add([]byte(`{"service":"checkout","environment":"production","revision":"9f2c1ab","version":"1.42.0","status":"succeeded","started_at":"2026-11-23T14:00:00Z","url":"https://ci.example/1"}`))
	f.Add([]byte(`{"service":"a","version":"1","finished_at":"0001-01-01T00:00:00+23:59"}`))
	f.Fuzz(func(t *testing.T, body []byte) {
		request, err := ParseDeploymentRequest(body)
		if err != nil {
			require.NotContains(t, err.Error(), "\n")
			return
		}
		d := request.Deployment("x", time.Date(2026, 11, 23, 14, 0, 0, 0, time.UTC))
		require.NotEmpty(t, d.Service)
		require.NotEmpty(t, d.Revision+d.Version)
		require.NotEmpty(t, d.Status)
		require.False(t, d.StartedAt.IsZero())
	})
}
