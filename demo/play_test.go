package demo

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/deployloop/deployloop/internal/event"
)

func TestTheGoodDeploymentEndsInPlainWords(t *testing.T) {
	require.Equal(t, "no sign of harm in its first 1,204 requests, no alert; healthy is not said before a minute",
		goodSoFar(&event.Verdict{State: event.Watching, NewRequests: 1204}))
	require.Contains(t, goodSoFar(&event.Verdict{State: event.Healthy}), "healthy")
	require.Contains(t, goodSoFar(nil), "no verdict yet")
}
