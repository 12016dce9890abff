package cicdreceiver

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"sync"

	lru "github.com/hashicorp/golang-lru/v2"
	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/extension/xextension/storage"
	"go.uber.org/zap"

	"github.com/deployloop/deployloop/internal/cilog"
	"github.com/deployloop/deployloop/internal/report"
)

// Limits of what is remembered of logs that passed: some tens of MiB. The job
// asked for longest ago is forgotten first.
const (
	maxLogJobs      = 1000
	maxLogTemplates = 1_000_000 // of all jobs
	maxLogGone      = maxLogJobs
)

// The keys in the storage, which cannot list them: the jobs, in the order in which
// they would be forgotten, and each.
const (
	keyLogs    = "logs/v1"
	prefixLogs = "logs/v1/"
)

// Names under which is counted what is not remembered.
const (
	forgotJob   = "logs_of_jobs"
	forgotLines = "lines_of_logs" // of one log, beyond what is kept of it
	forgotGone  = "logs_left_in_storage"
)

// logMemory remembers what the last log of each job that passed left behind, so
// that a log that fails is held against it. Without a storage a restart forgets;
// then a log speaks for itself until its job passes again.
type logMemory struct {
	mu        sync.Mutex
	jobs      *lru.Cache[logJob, *cilog.Baseline]
	templates int
	gone      map[string]bool // keys whose values are still to be deleted from the storage

	store   storage.Client // nil: none
	logger  *zap.Logger
	forgets func(name string, n int)
}

type logJob struct{ Repository, Pipeline, Name string }

// savedLog is the form in the storage.
type savedLog struct {
	Job   logJob          `json:"job"`
	Lines *cilog.Baseline `json:"lines"`
}

func newLogMemory(logger *zap.Logger, forgets func(name string, n int)) *logMemory {
	// One more than is kept, so that makeRoom alone evicts and can count.
	jobs, err := lru.New[logJob, *cilog.Baseline](maxLogJobs + 1)
	if err != nil {
		panic(err) // the size is a positive constant
	}
	return &logMemory{jobs: jobs, gone: map[string]bool{}, logger: logger, forgets: forgets}
}

func jobOf(s report.Source) logJob { return logJob{s.Repository, s.Job.Pipeline, s.Job.Name} }

func (j logJob) key() string {
	sum := sha256.Sum256([]byte(j.Repository + "\x00" + j.Pipeline + "\x00" + j.Name))
	return hex.EncodeToString(sum[:12])
}

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
func (m *logMemory) passed(ctx context.Context, s report.Source) {
	m.mu.Lock()
	defer m.mu.Unlock()
	job := jobOf(s)
	m.put(job, s.Job.Known)
	if n := s.Job.Known.Omitted(); n > 0 {
		m.forgets(forgotLines, n)
	}
	m.makeRoom()
	m.save(ctx, job)
}

func (m *logMemory) put(job logJob, b *cilog.Baseline) {
	if before, known := m.jobs.Peek(job); known {
		m.templates -= before.Len()
	}
	m.templates += b.Len()
	m.jobs.Add(job, b)
	delete(m.gone, job.key())
}

// makeRoom forgets what is over the limits.
func (m *logMemory) makeRoom() {
	forgotten := 0
	for m.jobs.Len() > maxLogJobs || m.templates > maxLogTemplates && m.jobs.Len() > 1 {
		job, b, _ := m.jobs.RemoveOldest()
		m.templates -= b.Len()
		m.leave(job.key())
		forgotten++
	}
	if forgotten > 0 {
		m.forgets(forgotJob, forgotten)
	}
}

// leave has a value deleted with the next save that succeeds: once the list does not
// name it any more, nothing would find it again.
func (m *logMemory) leave(key string) {
	switch {
	case m.store == nil:
	case len(m.gone) >= maxLogGone: // a storage that fails all the while
		m.forgets(forgotGone, 1)
	default:
		m.gone[key] = true
	}
}

// save writes one job and deletes those that are forgotten.
func (m *logMemory) save(ctx context.Context, job logJob) {
	if m.store == nil {
		return
	}
	b, _ := m.jobs.Peek(job)
	value, err := json.Marshal(savedLog{job, b})
	var index []byte
	if err == nil {
		index, err = json.Marshal(m.keys())
	}
	if err == nil {
		operations := []*storage.Operation{storage.SetOperation(prefixLogs+job.key(), value), storage.SetOperation(keyLogs, index)}
		for key := range m.gone {
			operations = append(operations, storage.DeleteOperation(prefixLogs+key))
		}
		err = m.store.Batch(ctx, operations...)
	}
	if err == nil {
		clear(m.gone)
	} else {
		m.logger.Warn("what is usual in a job's log could not be saved; a restart forgets it until the job passes again",
			zap.String("pipeline", job.Pipeline), zap.String("job", job.Name), zap.Error(err))
	}
}

// keys are those of the jobs, the one asked for longest ago first.
func (m *logMemory) keys() []string {
	keys := make([]string, 0, m.jobs.Len())
	for _, job := range m.jobs.Keys() {
		keys = append(keys, job.key())
	}
	return keys
}

// open puts back what the storage holds; what cannot be read is learnt anew.
func (m *logMemory) open(ctx context.Context, host component.Host, id component.ID, kept *component.ID) error {
	if kept == nil {
		return nil
	}
	extension, ok := host.GetExtensions()[*kept]
	if !ok {
		return fmt.Errorf("storage: no extension %q is running; add it to service::extensions", kept)
	}
	opener, ok := extension.(storage.Extension)
	if !ok {
		return fmt.Errorf("storage: extension %q keeps nothing; name a storage extension such as file_storage", kept)
	}
	client, err := opener.GetClient(ctx, component.KindReceiver, id, "")
	if err != nil {
		return fmt.Errorf("storage: %w", err)
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.store = client
	ignored := func(key string, err error) {
		m.logger.Warn("what is usual in a job's log could not be read and is learnt anew", zap.String("key", key), zap.Error(err))
	}
	raw, err := client.Get(ctx, keyLogs)
	var keys []string
	if err == nil && len(raw) > 0 {
		err = json.Unmarshal(raw, &keys)
	}
	if err != nil {
		ignored(keyLogs, err)
		return nil
	}
	for _, key := range keys {
		value, err := client.Get(ctx, prefixLogs+key)
		var saved savedLog
		switch {
		case err == nil && value == nil:
			err = errors.New("it is in the list and not in the storage")
		case err == nil:
			err = json.Unmarshal(value, &saved)
		}
		if err == nil && saved.Lines == nil {
			err = errors.New("it holds no lines")
		}
		if err != nil {
			ignored(key, err)
			m.leave(key)
			continue
		}
		m.put(saved.Job, saved.Lines)
		m.makeRoom()
	}
	return nil
}

func (m *logMemory) close(ctx context.Context) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.store == nil {
		return nil
	}
	err := m.store.Close(ctx)
	m.store = nil
	return err
}
