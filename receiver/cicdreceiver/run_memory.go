package cicdreceiver

import (
	"strings"
	"sync"
	"time"

	lru "github.com/hashicorp/golang-lru/v2"

	"github.com/deployloop/deployloop/internal/cicd"
	"github.com/deployloop/deployloop/internal/event"
)

// runMemory remembers what was told of runs that have not finished. Some sources
// tell when a run began only then, and of its end only when it ended; the span
// tree and the durations need both. The run that moved longest ago is forgotten
// first.
type runMemory struct {
	mu     sync.Mutex
	runs   *lru.Cache[string, knownRun]
	pushed *lru.Cache[pushed, struct{}]
}

// pushed is what a branch of the repository itself came to hold.
type pushed struct{ repository, branch, revision string }

// knownRun is what was told of a run last.
type knownRun struct {
	event.PipelineRun
	heard time.Time
	again time.Time // when it was heard that the run goes on once more, see goesOn
}

// lateWord is how long after a run's end word of before may still come.
const lateWord = 30 * time.Second

func newRunMemory() *runMemory {
	runs, err := lru.New[string, knownRun](maxActiveRuns)
	if err != nil {
		panic(err) // the size is a positive constant
	}
	tips, err := lru.New[pushed, struct{}](maxActiveRuns)
	if err != nil {
		panic(err)
	}
	return &runMemory{runs: runs, pushed: tips}
}

// follow fills what the runs leave out with what was told before, and takes out
// word that came late, of before a run's end: forges deliver side by side and
// again, and such a run would be taken to go on for ever.
func (m *runMemory) follow(in *cicd.Intake, now time.Time) {
	for _, c := range in.Changes {
		if c.PullURL == "" { // else it says how the change came there, not that it was pushed
			m.pushed.Add(pushed{c.Repository, c.Ref, c.Revision}, struct{}{})
		}
	}
	runs := in.Runs
	in.Runs = nil
	for _, run := range runs {
		if m.complete(&run.PipelineRun, now) {
			in.Runs = append(in.Runs, run)
		}
	}
	if len(runs) > 0 && len(in.Runs)+len(in.Changes)+len(in.Deployments)+len(in.Tests)+len(in.Findings) == 0 {
		in.Ignored = "that the run is over was told before"
	}
}

// complete is false for what came late. A finished run stays known until it is
// forgotten, so that one told again is as complete.
func (m *runMemory) complete(run *event.PipelineRun, now time.Time) bool {
	key := runIdentity(*run)
	var again time.Time
	m.mu.Lock()
	defer m.mu.Unlock()
	if before, ok := m.runs.Get(key); ok {
		if before.State == "finished" && run.State != "finished" && !run.QueuedAt.After(before.FinishedAt) && !run.StartedAt.After(before.FinishedAt) {
			if !before.goesOn(*run, now) {
				return false
			}
			before.again = now
		}
		if again = before.again; !again.IsZero() { // its own times are the first attempt's
			run.QueuedAt = again
			if run.State != "finished" {
				run.StartedAt = time.Time{}
			}
			if run.State == "executing" {
				run.StartedAt = again
			}
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
	if run.RefAssumed && m.pushed.Contains(pushed{run.Repository, run.Ref, run.Revision}) {
		run.RefAssumed = false
	}
	m.runs.Add(key, knownRun{*run, now, again})
	return true
}

// goesOn tells a pipeline that is retried from late word. GitLab's keeps its id and
// its times of creation and start; its jobs are new ones.
func (r knownRun) goesOn(run event.PipelineRun, now time.Time) bool {
	return run.Source == event.SourceGitLab && run.TaskID == "" && now.Sub(r.heard) > lateWord
}

// asItsRun names the branch of a job as its run does: a job's own event says "main"
// for a fork's main too, whose failures are none of ours. m.mu is held.
func (m *runMemory) asItsRun(job *event.PipelineRun) {
	of := *job
	of.TaskID = ""
	for _, attempt := range []int{job.Attempt, 1} {
		of.Attempt = attempt
		whole, ok := m.runs.Peek(runIdentity(of))
		if !ok {
			continue
		}
		if strings.HasSuffix(whole.Ref, ":"+job.Ref) {
			job.Ref = whole.Ref
		}
		job.RefAssumed = job.RefAssumed && whole.RefAssumed
		return
	}
}
