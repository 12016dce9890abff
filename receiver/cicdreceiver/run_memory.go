package cicdreceiver

import (
	"strings"
	"sync"

	lru "github.com/hashicorp/golang-lru/v2"

	"github.com/deployloop/deployloop/internal/cicd"
	"github.com/deployloop/deployloop/internal/event"
)

// runMemory remembers what was told of runs that have not finished. Some sources
// tell when a run began only then, and of its end only when it ended; the span
// tree and the durations need both. The run that moved longest ago is forgotten
// first.
type runMemory struct {
	mu   sync.Mutex
	runs *lru.Cache[string, event.PipelineRun]
}

func newRunMemory() *runMemory {
	runs, err := lru.New[string, event.PipelineRun](maxActiveRuns)
	if err != nil {
		panic(err) // the size is a positive constant
	}
	return &runMemory{runs: runs}
}

// follow fills what the runs leave out with what was told before, and takes out
// word that came late, of before a run's end: forges deliver side by side and
// again, and such a run would be taken to go on for ever.
func (m *runMemory) follow(in *cicd.Intake) {
	runs := in.Runs
	in.Runs = nil
	for _, run := range runs {
		if m.complete(&run.PipelineRun) {
			in.Runs = append(in.Runs, run)
		}
	}
	if len(runs) > 0 && len(in.Runs)+len(in.Changes)+len(in.Deployments)+len(in.Tests)+len(in.Findings) == 0 {
		in.Ignored = "that the run is over was told before"
	}
}

// complete is false for what came late. A finished run stays known until it is
// forgotten, so that one told again is as complete.
func (m *runMemory) complete(run *event.PipelineRun) bool {
	key := runIdentity(*run)
	m.mu.Lock()
	defer m.mu.Unlock()
	if before, ok := m.runs.Get(key); ok {
		if before.State == "finished" && run.State != "finished" && !run.QueuedAt.After(before.FinishedAt) && !run.StartedAt.After(before.FinishedAt) {
			return false
		}
		if run.QueuedAt.IsZero() {
			run.QueuedAt = before.QueuedAt
		}
		if run.StartedAt.IsZero() && run.State != "pending" {
			run.StartedAt = before.StartedAt
		}
		for _, text := range []struct{ now, then *string }{
			{&run.Repository, &before.Repository}, {&run.Ref, &before.Ref}, {&run.Revision, &before.Revision},
			{&run.URL, &before.URL}, {&run.Worker, &before.Worker},
		} {
			if *text.now == "" {
				*text.now = *text.then
			}
		}
	}
	if run.TaskID != "" {
		m.asItsRun(run)
	}
	m.runs.Add(key, *run)
	return true
}

// asItsRun names the branch of a job as its run does: a job's own event says "main"
// for a fork's main too, whose failures are none of ours. m.mu is held.
func (m *runMemory) asItsRun(job *event.PipelineRun) {
	of := *job
	of.TaskID = ""
	for _, attempt := range []int{job.Attempt, 1} {
		of.Attempt = attempt
		if whole, ok := m.runs.Peek(runIdentity(of)); ok && strings.HasSuffix(whole.Ref, ":"+job.Ref) {
			job.Ref = whole.Ref
			return
		}
	}
}
