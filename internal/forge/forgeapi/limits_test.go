package forgeapi

import (
	"errors"
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// What each forge documents of its limits, and what only looks like one.
func TestLimits(t *testing.T) {
	reset := "1772633045"
	at := time.Unix(1772633045, 0).Add(-time.Minute)
	for name, c := range map[string]struct {
		code    int
		headers map[string]string
		message string
		limited bool
		guessed bool
		wait    time.Duration
	}{
		"GitHub, primary":                    {403, map[string]string{"X-RateLimit-Remaining": "0", "X-RateLimit-Reset": reset}, "API rate limit exceeded", true, false, 61 * time.Second},
		"GitHub, primary as 429":             {429, map[string]string{"X-RateLimit-Remaining": "0", "X-RateLimit-Reset": reset}, "API rate limit exceeded", true, false, 61 * time.Second},
		"GitHub, secondary":                  {403, map[string]string{"Retry-After": "90", "X-RateLimit-Remaining": "4000"}, "You have exceeded a secondary rate limit", true, false, 90 * time.Second},
		"GitHub, secondary without a time":   {403, map[string]string{"X-RateLimit-Remaining": "4000", "X-RateLimit-Reset": reset}, "You have exceeded a secondary rate limit", true, true, time.Minute},
		"GitHub, older: abuse detection":     {403, nil, "You have triggered an abuse detection mechanism.", true, true, time.Minute},
		"GitHub, content created too fast":   {422, nil, "Validation Failed [{IssueComment data was submitted too quickly}]", true, true, time.Minute},
		"GitHub, not allowed":                {403, map[string]string{"X-RateLimit-Remaining": "4000"}, "Resource not accessible by integration", false, false, 0},
		"GitHub, not valid":                  {422, nil, "No commit found for SHA", false, false, 0},
		"GitLab":                             {429, map[string]string{"Retry-After": "30", "RateLimit-Remaining": "0", "RateLimit-Reset": reset}, "Retry later", true, false, 30 * time.Second},
		"GitLab, notes":                      {429, nil, "This endpoint has been requested too many times. Try again later.", true, true, time.Minute},
		"Gitea behind a proxy":               {429, map[string]string{"Retry-After": at.Add(20 * time.Second).UTC().Format(http.TimeFormat)}, "slow down", true, false, 20 * time.Second},
		"away for maintenance":               {503, map[string]string{"Retry-After": "120"}, "maintenance", false, false, 2 * time.Minute},
		"a window that ends in a day":        {429, map[string]string{"Retry-After": "86400"}, "slow down", true, false, maxPause},
		"a window that ended before it came": {429, map[string]string{"X-RateLimit-Remaining": "0", "X-RateLimit-Reset": "1"}, "slow down", true, true, time.Minute},
	} {
		t.Run(name, func(t *testing.T) {
			response := &http.Response{StatusCode: c.code, Header: http.Header{}}
			for k, v := range c.headers {
				response.Header.Set(k, v)
			}
			var f *Failed
			require.ErrorAs(t, failed(response, errors.New(c.message), at), &f)
			assert.Equal(t, []bool{c.limited, c.guessed}, []bool{f.Limited, f.Guessed})
			assert.Equal(t, c.wait, f.RetryAfter)
			assert.Equal(t, c.limited || c.code >= 500, f.Temporary())
		})
	}
}
