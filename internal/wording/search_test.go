package wording

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/deployloop/deployloop/internal/event"
)

// What is not looked for is said, with its reason and for how long.
func TestSearchSaysWhatIsNotLookedFor(t *testing.T) {
	young := event.Search{State: event.SearchLearning, Hard: true, Left: 190 * time.Second, Items: 900, Needed: 30}
	require.Equal(t, "Still learning what is normal, for 3m10s more; till then without a deployment only hard failures are told (errors up by more than 5 points beyond what is known).", Search(young))
	first := young
	first.Hard, first.Left = false, 299*time.Second
	require.Equal(t, "Still learning what is normal, for 4m59s more; till then what gets worse without a deployment is not told.", Search(first))
	rare := event.Search{State: event.SearchLearning, Items: 12, Needed: 30}
	require.Contains(t, Search(rare), "till it is 30 requests or log lines: 12 so far")
	require.Contains(t, Search(event.Search{State: event.SearchLeftOut}), "always_on::indicators")
	require.Contains(t, Search(event.Search{State: event.SearchOff}), "always_on::enabled")
	require.NotEmpty(t, Search(event.Search{State: event.SearchSilent}))
	for _, state := range []event.SearchState{event.SearchOn, event.SearchDeployment, ""} {
		require.Empty(t, Search(event.Search{State: state}), state)
	}
	require.Empty(t, Searches(nil))
	require.Equal(t, "Looked for what gets worse without a deployment: 1 of 4. The others: 1 still learnt, 2 left out for want of room.",
		Searches([]event.Search{{State: event.SearchOn}, {State: event.SearchLeftOut}, young, {State: event.SearchLeftOut}}))
}
