package ledgerextension

import (
	"context"
	"encoding/json"
	"errors"
	"os"
	"sync/atomic"
	"testing"
	"time"

	"github.com/open-telemetry/opentelemetry-collector-contrib/extension/storage/filestorage"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/component/componenttest"
	"go.opentelemetry.io/collector/confmap"
	"go.opentelemetry.io/collector/extension"
	"go.opentelemetry.io/collector/extension/extensiontest"
	"go.opentelemetry.io/collector/extension/xextension/storage"
	"go.uber.org/goleak"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"go.uber.org/zap/zaptest/observer"

	"github.com/deployloop/deployloop/internal/event"
	"github.com/deployloop/deployloop/internal/ledger"
)

func TestMain(m *testing.M) {
	if dir := os.Getenv(childDir); dir != "" {
		writeForever(dir)
	}
	goleak.VerifyTestMain(m)
}

var storageID = component.MustNewID("file_storage")

type host map[component.ID]component.Component

func (h host) GetExtensions() map[component.ID]component.Component { return h }

// openLedger starts a ledger over the Collector's file_storage in dir.
func openLedger(dir string) (*Ledger, extension.Extension, error) {
	factory := filestorage.NewFactory()
	config := factory.CreateDefaultConfig().(*filestorage.Config)
	config.Directory = dir
	ctx := context.Background()
	fs, err := factory.Create(ctx, extensiontest.NewNopSettings(factory.Type()), config)
	if err != nil {
		return nil, nil, err
	}
	l, err := startLedger(fs, zap.NewNop())
	return l, fs, err
}

func startLedger(under component.Component, logger *zap.Logger) (*Ledger, error) {
	ctx := context.Background()
	h := host{}
	if under != nil {
		if err := under.Start(ctx, h); err != nil {
			return nil, err
		}
		h[storageID] = under
	}
	config := createDefaultConfig().(*Config)
	if under != nil {
		config.Storage = &storageID
	}
	set := extensiontest.NewNopSettings(componentType)
	set.Logger = logger
	set.ID = component.NewID(componentType)
	ext, err := NewFactory().Create(ctx, set, config)
	if err != nil {
		return nil, err
	}
	return ext.(*Ledger), ext.Start(ctx, h)
}

func closeAll(t *testing.T, l *Ledger, fs component.Component) {
	t.Helper()
	require.NoError(t, l.Shutdown(context.Background()))
	require.NoError(t, fs.Shutdown(context.Background()))
}

var at = time.Date(2026, 3, 2, 9, 0, 0, 0, time.UTC)

// record tells the ledger one object of each kind and returns the deployment.
func record(t *testing.T, r ledger.Recorder) event.Deployment {
	t.Helper()
	r.RecordChange(event.Change{Repository: "acme/shop", Revision: "abcdef0123", Message: "Fix", At: at})
	d, isNew := r.RecordDeployment(event.Deployment{Service: "cart", Revision: "abcdef0123", StartedAt: at, Aliases: []string{"x1"}})
	require.True(t, isNew)
	r.RecordVerdict(event.Verdict{Deployment: d, State: event.Regressed, At: at})
	r.RecordAnomaly(event.Anomaly{ID: "a1", Deployment: d.ID, Service: "cart", Open: true, At: at, StartsAt: at})
	r.RecordAnomaly(event.Anomaly{ID: "a2", Deployment: d.ID, Service: "cart", Open: true, At: at, StartsAt: at})
	require.True(t, r.CloseAnomaly("a2", event.Closure{Reason: event.ClosedRecovered, At: at.Add(time.Minute)}))
	r.RecordPipelineRun(event.PipelineRun{ID: "7", Pipeline: "build", State: "finished", Result: "success", FinishedAt: at})
	return d
}

func TestEverythingIsThereAfterARestart(t *testing.T) {
	dir := t.TempDir()
	l, fs, err := openLedger(dir)
	require.NoError(t, err)
	d := record(t, l)
	closeAll(t, l, fs)

	l, fs, err = openLedger(dir)
	require.NoError(t, err)
	defer closeAll(t, l, fs)
	got, ok := l.Deployment("x1")
	require.True(t, ok)
	assert.Equal(t, d, got)
	v, ok := l.Verdict(d.ID)
	require.True(t, ok)
	assert.Equal(t, event.Regressed, v.State)
	assert.Len(t, l.Anomalies(ledger.Query{Deployment: d.ID}), 2)
	assert.Len(t, l.Anomalies(ledger.Query{OpenOnly: true}), 1)
	assert.False(t, l.CloseAnomaly("a2", event.Closure{}), "closed once")
	c, ok := l.Change("acme/shop", "abcdef0")
	require.True(t, ok)
	assert.Equal(t, "Fix", c.Message)
	assert.Len(t, l.PipelineRuns(ledger.RunQuery{}), 1)
}

func TestUnreadableObjectsAreSkippedAndNamed(t *testing.T) {
	dir := t.TempDir()
	l, fs, err := openLedger(dir)
	require.NoError(t, err)
	d := record(t, l)
	l.flush(context.Background())
	client := l.store.client
	ctx := context.Background()
	newer, err := json.Marshal(map[string]any{"v": 99, "key": "anomaly/a1"})
	require.NoError(t, err)
	require.NoError(t, client.Set(ctx, "change/acme/shop@abcdef0123", []byte(`{"v":1,"ke`)))
	require.NoError(t, client.Set(ctx, "anomaly/a1", newer))
	require.NoError(t, client.Set(ctx, shardKey(shardOf("deployment/"+d.ID)), []byte("\x00")))
	closeAll(t, l, fs)

	core, logs := observer.New(zapcore.ErrorLevel)
	again, err := startLedger(reopened(t, dir), zap.New(core))
	require.NoError(t, err)
	defer func() { require.NoError(t, again.Shutdown(ctx)) }()
	keys := map[string]bool{}
	for _, entry := range logs.All() {
		keys[entry.ContextMap()["key"].(string)] = true
	}
	assert.Equal(t, map[string]bool{
		"change/acme/shop@abcdef0123": true, "anomaly/a1": true, shardKey(shardOf("deployment/" + d.ID)): true,
	}, keys)
	assert.EqualValues(t, 3, again.corrupt.Load())
	_, ok := again.Deployment(d.ID)
	assert.True(t, ok, "found without its index")
}

func reopened(t *testing.T, dir string) component.Component {
	t.Helper()
	factory := filestorage.NewFactory()
	config := factory.CreateDefaultConfig().(*filestorage.Config)
	config.Directory = dir
	fs, err := factory.Create(context.Background(), extensiontest.NewNopSettings(factory.Type()), config)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, fs.Shutdown(context.Background())) })
	return fs
}

// flaky is a storage whose writes fail while down.
type flaky struct {
	component.StartFunc
	component.ShutdownFunc
	storage.Client
	down  atomic.Bool
	saved map[string][]byte
}

func (f *flaky) GetClient(context.Context, component.Kind, component.ID, string) (storage.Client, error) {
	return f, nil
}

func (f *flaky) Batch(_ context.Context, ops ...*storage.Operation) error {
	if f.down.Load() {
		return errors.New("the disk is full")
	}
	for _, op := range ops {
		switch op.Type {
		case storage.Get:
			op.Value = f.saved[op.Key]
		case storage.Set:
			f.saved[op.Key] = op.Value
		case storage.Delete:
			delete(f.saved, op.Key)
		}
	}
	return nil
}

func TestFailedWritesAreTriedAgain(t *testing.T) {
	disk := &flaky{saved: map[string][]byte{}, Client: storage.NewNopClient()}
	core, logs := observer.New(zapcore.InfoLevel)
	l, err := startLedger(disk, zap.New(core))
	require.NoError(t, err)
	disk.down.Store(true)
	record(t, l)
	require.Eventually(t, func() bool { return l.failures.Load() >= 2 }, 5*time.Second, 10*time.Millisecond)
	assert.Len(t, logs.FilterLevelExact(zapcore.ErrorLevel).All(), 1, "said once, not at every try")
	disk.down.Store(false)
	require.Eventually(t, func() bool { return logs.FilterMessageSnippet("written again").Len() == 1 }, 5*time.Second, 10*time.Millisecond)
	require.NoError(t, l.Shutdown(context.Background()))
	assert.Contains(t, disk.saved, "anomaly/a1")
}

func TestWithoutStorageItSaysSo(t *testing.T) {
	core, logs := observer.New(zapcore.WarnLevel)
	l, err := startLedger(nil, zap.New(core))
	require.NoError(t, err)
	record(t, l)
	assert.Equal(t, 1, logs.FilterMessageSnippet("in memory only").Len())
	assert.Empty(t, l.Dependencies())
	require.NoError(t, l.Shutdown(context.Background()))
	require.NoError(t, l.Shutdown(context.Background()))
}

func TestStorageThatIsNoneIsRefused(t *testing.T) {
	config := createDefaultConfig().(*Config)
	config.Storage = &storageID
	for name, h := range map[string]component.Host{
		"add it to extensions": host{},
		"is no storage":        host{storageID: &Ledger{}},
	} {
		l := newLedger(config, extensiontest.NewNopSettings(componentType))
		assert.ErrorContains(t, l.Start(context.Background(), h), name)
		assert.NoError(t, l.Shutdown(context.Background()))
		assert.Equal(t, []component.ID{storageID}, l.Dependencies())
	}
}

func TestDefaultConfigIsValid(t *testing.T) {
	assert.NoError(t, createDefaultConfig().(*Config).Validate())
	assert.NoError(t, componenttest.CheckConfigStruct(createDefaultConfig()))
}

func TestConfigNamesWhatIsWrong(t *testing.T) {
	config := createDefaultConfig().(*Config)
	require.NoError(t, confmap.NewFromStringMap(map[string]any{
		"flush_interval": "5s", "retention": "0s", "settle": "-1s", "limits": map[string]any{"changes": 0},
	}).Unmarshal(config))
	err := config.Validate()
	for _, name := range []string{"flush_interval", "retention", "settle", "limits::changes"} {
		assert.ErrorContains(t, err, name)
	}
}

func TestOtherComponentsFindTheLedger(t *testing.T) {
	l, err := startLedger(nil, zap.NewNop())
	require.NoError(t, err)
	defer func() { require.NoError(t, l.Shutdown(context.Background())) }()
	var found component.Component = l
	_, ok := found.(interface {
		ledger.Reader
		ledger.Recorder
	})
	assert.True(t, ok)
}

// told is a storage that says what is written.
type told struct {
	*flaky
	keys chan string
}

func (d told) GetClient(context.Context, component.Kind, component.ID, string) (storage.Client, error) {
	return d, nil
}

func (d told) Batch(ctx context.Context, ops ...*storage.Operation) error {
	for _, op := range ops {
		if op.Type == storage.Set {
			d.keys <- op.Key
		}
	}
	return d.flaky.Batch(ctx, ops...)
}

// A closure does not wait for the next flush.
func TestAClosureIsWrittenAtOnce(t *testing.T) {
	disk := told{&flaky{saved: map[string][]byte{}, Client: storage.NewNopClient()}, make(chan string, 1000)}
	config := createDefaultConfig().(*Config)
	config.Storage, config.FlushInterval = &storageID, time.Hour
	l := newLedger(config, extensiontest.NewNopSettings(componentType))
	require.NoError(t, l.Start(t.Context(), host{storageID: disk}))
	record(t, l) // closes a2
	for {
		select {
		case key := <-disk.keys:
			if key == "anomaly/a2" {
				require.NoError(t, l.Shutdown(context.Background()))
				return
			}
		case <-time.After(30 * time.Second):
			t.Fatal("the closure waits for the next flush")
		}
	}
}
