package cicdreceiver

import (
	"context"
	"errors"
	"net/http"
	"strconv"
	"strings"
	"testing"

	"github.com/open-telemetry/opentelemetry-collector-contrib/extension/storage/storagetest"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/component/componenttest"
	"go.opentelemetry.io/collector/extension/xextension/storage"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.uber.org/zap"

	"github.com/deployloop/deployloop/internal/event"
	"github.com/deployloop/deployloop/internal/event/eventotlp"
	"github.com/deployloop/deployloop/internal/report"
)

// logsOfJobs is a memory that counts by name what it forgets.
func logsOfJobs() (*logMemory, map[string]int) {
	forgotten := map[string]int{}
	return newLogMemory(zap.NewNop(), func(name string, n int) { forgotten[name] += n }), forgotten
}

func ofJob(m *logMemory, job int, passed bool) report.Source {
	s := report.Source{Repository: "acme/shop", Job: report.Job{Name: strconv.Itoa(job), Passed: passed}}
	s.Job.Known = m.known(s)
	return s
}

func learn(t *testing.T, m *logMemory, job int, log string) {
	t.Helper()
	s := ofJob(m, job, true)
	require.NoError(t, s.Job.Known.Learn(strings.NewReader(log)))
	m.passed(t.Context(), s)
}

func TestLogMemoryIsBounded(t *testing.T) {
	m, forgotten := logsOfJobs()
	for i := range maxLogJobs + 5 {
		learn(t, m, i, "a\nb\n")
	}
	require.Equal(t, maxLogJobs, m.jobs.Len())
	require.Equal(t, 2*maxLogJobs, m.templates)
	require.Nil(t, ofJob(m, 0, false).Job.Known, "forgotten")
	require.Equal(t, 2, ofJob(m, maxLogJobs, false).Job.Known.Len())
	require.Equal(t, map[string]int{forgotJob: 5}, forgotten)

	learn(t, m, maxLogJobs, "a\n")
	require.Equal(t, 2*maxLogJobs-1, m.templates)
	require.Equal(t, map[string]int{forgotJob: 5}, forgotten, "what is replaced is not forgotten")

	var wide strings.Builder
	for i := range 70_000 { // words, since numbers are masked
		wide.WriteString(strings.NewReplacer("0", "a", "1", "b", "2", "c", "3", "d", "4", "e", "5", "f", "6", "g", "7", "h", "8", "i", "9", "j").Replace(strconv.Itoa(i)) + "\n")
	}
	learn(t, m, maxLogJobs, wide.String())
	require.Equal(t, 70_000-ofJob(m, maxLogJobs, false).Job.Known.Len(), forgotten[forgotLines])
	require.Positive(t, forgotten[forgotLines])
}

// keeping is a host with a storage in a folder.
type keeping struct {
	component.Host
	id     component.ID
	folder *storagetest.TestStorage
}

func newKeeping(folder string) keeping {
	return keeping{componenttest.NewNopHost(), storagetest.NewStorageID("state"), storagetest.NewFileBackedStorageExtension("state", folder)}
}

func (k keeping) GetExtensions() map[component.ID]component.Component {
	return map[component.ID]component.Component{k.id: k.folder}
}

// What is usual in a job's log outlasts a restart, and what was forgotten stays so.
func TestARestartKnowsTheLogsOfBefore(t *testing.T) {
	folder := t.TempDir()
	const usual = "ERROR: could not restore the cache\n"
	post := func(query, log string) string {
		t.Helper()
		host := newKeeping(folder)
		r := start(t, wiring{host: host, config: func(c *Config) { c.Storage = &host.id }})
		status, _ := r.report(t, "revision=a&repository=acme/shop&kind=log&pipeline=ci&job=compile"+query, []byte(log), nil)
		require.Equal(t, http.StatusAccepted, status)
		result, err := eventotlp.DecodeTestResult(pcommon.NewResource(), r.named(event.NameTestResult)[0])
		require.NoError(t, err)
		require.NoError(t, r.receiver.Shutdown(context.Background()))
		return result.Message
	}
	post("&result=success", usual)
	said := post("", usual+"ERROR: no space left on device\n")
	require.Contains(t, said, "no space left on device")
	require.NotContains(t, said, "restore the cache", "the log that passed had it too")
	post("&result=success", "all is well\n")
	require.Contains(t, post("", usual), "restore the cache", "it is not usual any more")
}

func TestTheStorageOfLogsIsBoundedAndMended(t *testing.T) {
	host := newKeeping(t.TempDir())
	open := func() *logMemory {
		m, _ := logsOfJobs()
		require.NoError(t, m.open(t.Context(), host, component.MustNewID("cicd"), &host.id))
		return m
	}
	m := open()
	for i := range maxLogJobs + 1 {
		learn(t, m, i, "a\n")
	}
	first := logJob{Repository: "acme/shop", Name: "0"}
	value, err := m.store.Get(t.Context(), prefixLogs+first.key())
	require.NoError(t, err)
	require.Nil(t, value, "forgotten in the storage too")
	second, third := logJob{Repository: "acme/shop", Name: "1"}, logJob{Repository: "acme/shop", Name: "2"}
	require.NoError(t, m.store.Batch(t.Context(), storage.SetOperation(prefixLogs+second.key(), []byte("{")), storage.DeleteOperation(prefixLogs+third.key())))
	require.NoError(t, m.close(t.Context()))

	m = open()
	require.Equal(t, maxLogJobs-2, m.jobs.Len(), "what cannot be read costs itself alone")
	oldest, _, _ := m.jobs.GetOldest()
	require.Equal(t, "3", oldest.Name, "the order is kept")
	learn(t, m, 0, "a\n")
	require.Nil(t, stored(t, m.store, second), "nothing leads to it any more")
	require.NoError(t, m.close(t.Context()))

	m, _ = logsOfJobs()
	missing := component.MustNewID("missing")
	require.ErrorContains(t, m.open(t.Context(), host, component.MustNewID("cicd"), &missing), "service::extensions")
}

func stored(t *testing.T, store storage.Client, job logJob) []byte {
	t.Helper()
	value, err := store.Get(t.Context(), prefixLogs+job.key())
	require.NoError(t, err)
	return value
}

// failing is a storage that takes nothing while it is full.
type failing struct {
	storage.Client
	full bool
}

func (f *failing) Batch(ctx context.Context, operations ...*storage.Operation) error {
	if f.full {
		return errors.New("no space left on device")
	}
	return f.Client.Batch(ctx, operations...)
}

// What is forgotten while the storage fails is deleted when it is well again; what is
// learnt anew meanwhile is not.
func TestTheStorageKeepsNoLogThatNothingLeadsTo(t *testing.T) {
	host := newKeeping(t.TempDir())
	m, forgotten := logsOfJobs()
	require.NoError(t, m.open(t.Context(), host, component.MustNewID("cicd"), &host.id))
	disk := &failing{Client: m.store}
	m.store = disk
	for i := range maxLogJobs {
		learn(t, m, i, "a\n")
	}
	first, second := logJob{Repository: "acme/shop", Name: "0"}, logJob{Repository: "acme/shop", Name: "1"}
	require.NotNil(t, stored(t, disk, first))
	disk.full = true
	learn(t, m, maxLogJobs, "a\n") // 0 is forgotten
	learn(t, m, maxLogJobs+1, "a\n")
	learn(t, m, 1, "b\n") // forgotten just before, as 2 is now
	disk.full = false
	learn(t, m, maxLogJobs+2, "a\n")
	require.Nil(t, stored(t, disk, first))
	require.NotNil(t, stored(t, disk, second))
	require.Empty(t, m.gone)

	disk.full = true
	for i := range maxLogGone + maxLogJobs {
		learn(t, m, 2*maxLogJobs+i, "a\n")
	}
	require.Len(t, m.gone, maxLogGone)
	require.Equal(t, maxLogJobs, forgotten[forgotGone])
	require.NoError(t, m.close(t.Context()))
}
