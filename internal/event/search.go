package event

import "time"

// Search is how the search for what gets worse without a deployment stands with
// one service: what is not looked at must not pass for well.
type Search struct {
	Service, Environment string
	State                SearchState
	Hard                 bool          // Learning, but hard failures are told
	Left                 time.Duration // Learning: history that is missing still
	Items, Needed        float64       // requests and log lines that history holds, and of which it needs so many
}

// SearchState says whether a service is looked at, or why it is not.
type SearchState string

// The states of a search.
const (
	SearchOn         SearchState = "on"
	SearchLearning   SearchState = "learning"   // too little history
	SearchDeployment SearchState = "deployment" // one is open, and has a watch of its own
	SearchSilent     SearchState = "silent"     // nothing was heard lately
	SearchLeftOut    SearchState = "left_out"   // over the budget of indicators, or of memory
	SearchOff        SearchState = "off"
)

// SearchStates lists them.
func SearchStates() []SearchState {
	return []SearchState{SearchOn, SearchLearning, SearchDeployment, SearchSilent, SearchLeftOut, SearchOff}
}

// HardFailure is the rise of the share of errors that is told of a service that
// is still being learnt.
const HardFailure = .05
