package wording

import (
	"fmt"
	"strings"
	"time"

	"github.com/deployloop/deployloop/internal/event"
)

// Search says what is not looked for in a service while nothing is deployed, and
// for how long; "" where the search is on, or a deployment's watch speaks for it.
func Search(s event.Search) string {
	switch s.State {
	case event.SearchLearning:
		why := fmt.Sprintf("for %s more", Elapsed(max(s.Left, time.Second)))
		if s.Left == 0 {
			why = fmt.Sprintf("till it is %s requests or log lines: %s so far", Count(s.Needed), Count(s.Items))
		}
		told := "what gets worse without a deployment is not told"
		if s.Hard {
			told = fmt.Sprintf("without a deployment only hard failures are told (errors up by more than %s points beyond what is known)", significant(100*event.HardFailure, 2))
		}
		return "Still learning what is normal, " + why + "; till then " + told + "."
	case event.SearchSilent:
		return "Nothing was heard of it for a minute or more: nothing is looked for."
	case event.SearchLeftOut:
		return "What gets worse without a deployment is not told: the indicators of the search are used up by other services, or memory is short. Raise always_on::indicators (or limits::memory_mib) of the anomaly connector."
	case event.SearchOff:
		return "What gets worse without a deployment is not looked for (always_on::enabled of the anomaly connector)."
	}
	return ""
}

// Searches says of how many services what gets worse without a deployment is
// looked for; "" of none.
func Searches(list []event.Search) string {
	if len(list) == 0 {
		return ""
	}
	n := map[event.SearchState]int{}
	for _, s := range list {
		n[s.State]++
	}
	text := fmt.Sprintf("Looked for what gets worse without a deployment: %d of %d.", n[event.SearchOn], len(list))
	var parts []string
	for _, p := range []struct {
		state event.SearchState
		text  string
	}{
		{event.SearchDeployment, "watched for an open deployment"}, {event.SearchLearning, "still learnt"}, {event.SearchSilent, "silent"},
		{event.SearchLeftOut, "left out for want of room"}, {event.SearchOff, "switched off"},
	} {
		if n[p.state] > 0 {
			parts = append(parts, fmt.Sprintf("%d %s", n[p.state], p.text))
		}
	}
	if len(parts) > 0 {
		text += " The others: " + strings.Join(parts, ", ") + "."
	}
	return text
}
