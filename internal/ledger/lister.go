package ledger

import "github.com/deployloop/deployloop/internal/event"

// Lister lists the stages before a deployment, for the page and the API.
// Results are copies, newest first.
type Lister interface {
	// Changes lists commits; repository "" matches all, limit 0 means 100.
	Changes(repository string, limit int) []event.Change
	// PipelineRuns lists runs of one revision, or of all when it is "".
	PipelineRuns(revision string, limit int) []event.PipelineRun
}
