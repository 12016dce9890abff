package waiver

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/deployloop/deployloop/internal/event"
)

func TestClosure(t *testing.T) {
	now := time.Date(2026, 3, 4, 14, 0, 0, 0, time.UTC)
	c, err := Closure("2026-03-04", "known\nand mended", "ada", now)
	require.NoError(t, err, "today counts to its end")
	assert.Equal(t, event.Closure{
		Reason: event.ClosedWaived, Detail: "known and mended", By: "ada", At: now, Until: time.Date(2026, 3, 4, 23, 59, 59, 0, time.UTC),
	}, c)
	for want, given := range map[string][3]string{
		"is no date":              {"soon", "known", "ada"},
		"is past":                 {"2026-03-04T13:59:59Z", "known", "ada"},
		"more than 90 days ahead": {"2026-06-04", "known", "ada"},
		"needs a reason":          {"2026-03-05", " \n", "ada"},
		"shorten them":            {"2026-03-05", strings.Repeat("x", 1001), "ada"},
	} {
		_, err := Closure(given[0], given[1], given[2], now)
		assert.ErrorContains(t, err, want)
	}
}
