package loopmetrics

import (
	"math"
	"strings"
	"time"

	"github.com/deployloop/deployloop/internal/event"
	"github.com/deployloop/deployloop/internal/ledger"
)

// builds are the runs of one collection that may have built something, by how their
// revisions begin: asked once a deployment the ledger would look through all its runs
// each time, for a minute with both full. nil: not read yet.
type builds map[string][]event.PipelineRun

// begin is what a commit id and its abbreviations share.
func begin(revision string) string { return strings.ToLower(revision[:min(len(revision), 7)]) }

// before is when the last build or test of a deployment's revision ended before it
// was deployed; zero when none is known.
func (b *builds) before(d event.Deployment, l ledger.Reader) (at time.Time) {
	if *b == nil {
		*b = builds{}
		for _, run := range l.PipelineRuns(ledger.RunQuery{Limit: math.MaxInt}) {
			if delivers := run.Stage == event.StageDeploy || run.Stage == event.StagePostDeploy; !delivers && !run.FinishedAt.IsZero() && run.Revision != "" {
				(*b)[begin(run.Revision)] = append((*b)[begin(run.Revision)], run)
			}
		}
	}
	for _, run := range (*b)[begin(d.Revision)] {
		if run.FinishedAt.After(at) && !run.FinishedAt.After(d.StartedAt.Add(datedTo)) && event.SameRevision(d.Revision, run.Revision) &&
			(d.Repository == "" || ledger.SameRepository(d.Repository, run.Repository)) {
			at = run.FinishedAt
		}
	}
	return at
}
