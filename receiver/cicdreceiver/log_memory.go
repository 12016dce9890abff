package cicdreceiver

import (
	"sync"

	lru "github.com/hashicorp/golang-lru/v2"

	"github.com/deployloop/deployloop/internal/cilog"
	"github.com/deployloop/deployloop/internal/report"
)

// Limits of what is remembered of logs that passed: some tens of MiB. The job
// asked for longest ago is forgotten first.
const (
	maxLogJobs      = 1000
	maxLogTemplates = 1_000_000 // of all jobs
)

// logMemory remembers what the last log of each job that passed left behind, so
// that a log that fails is held against it. A restart forgets; then a log speaks
// for itself until its job passes again.
type logMemory struct {
	mu        sync.Mutex
	jobs      *lru.Cache[logJob, *cilog.Baseline]
	templates int
}

type logJob struct{ repository, pipeline, name string }

func newLogMemory() *logMemory {
	m := &logMemory{}
	jobs, err := lru.NewWithEvict(maxLogJobs, func(_ logJob, b *cilog.Baseline) { m.templates -= b.Len() })
	if err != nil {
		panic(err) // the size is a positive constant
	}
	m.jobs = jobs
	return m
}

func jobOf(s report.Source) logJob { return logJob{s.Repository, s.Job.Pipeline, s.Job.Name} }

// known is what a log is to be held against, or, of one that passed, an empty
// baseline to be filled.
func (m *logMemory) known(s report.Source) *cilog.Baseline {
	if s.Job.Passed {
		return new(cilog.Baseline)
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	b, _ := m.jobs.Get(jobOf(s))
	return b
}

// passed puts what a log that passed left behind in place of the one before.
func (m *logMemory) passed(s report.Source) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.jobs.Remove(jobOf(s))
	m.templates += s.Job.Known.Len()
	m.jobs.Add(jobOf(s), s.Job.Known)
	for m.templates > maxLogTemplates && m.jobs.Len() > 1 {
		m.jobs.RemoveOldest()
	}
}
