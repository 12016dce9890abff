package anomalyconnector

import (
	"context"
	"fmt"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/connector"
	"go.opentelemetry.io/collector/connector/connectortest"
	"go.opentelemetry.io/collector/consumer/consumertest"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/plog"
	"go.opentelemetry.io/collector/pdata/ptrace"
	"go.uber.org/goleak"

	"github.com/open-telemetry/opentelemetry-collector-contrib/extension/storage/storagetest"

	"github.com/deployloop/deployloop/internal/event"
	"github.com/deployloop/deployloop/internal/event/eventotlp"
	"github.com/deployloop/deployloop/internal/ledger"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// known is a ledger as its extension would give it.
type known struct {
	component.StartFunc
	component.ShutdownFunc
	*ledger.Ledger
}

type extensions map[component.ID]component.Component

func (e extensions) GetExtensions() map[component.ID]component.Component { return e }

// bench drives a monitor second by second on a virtual clock.
type bench struct {
	t       *testing.T
	config  *Config
	ledger  *ledger.Ledger
	host    extensions
	sink    *consumertest.LogsSink
	metrics *consumertest.MetricsSink
	m       *monitor
	traces  connector.Traces
	logs    connector.Logs
	more    []component.Component
	now     time.Time
	serial  uint64
	read    int // records of the sink that were looked at
}

func newBench(t *testing.T, change func(*Config)) *bench {
	b := &bench{
		t: t, ledger: ledger.New(ledger.Limits{}),
		now: time.Date(2026, 11, 23, 14, 0, 0, 0, time.UTC),
	}
	b.config = createDefaultConfig().(*Config)
	b.config.Mode = event.Advise
	if change != nil {
		change(b.config)
	}
	storageID := storagetest.NewStorageID("state")
	b.config.Storage = &storageID
	b.host = extensions{
		component.MustNewID("ledger"): known{Ledger: b.ledger},
		storageID:                     storagetest.NewFileBackedStorageExtension("state", t.TempDir()),
	}
	b.start()
	t.Cleanup(b.stop)
	return b
}

// start makes the nodes of a collector's first, or next, life.
func (b *bench) start() {
	copied := *b.config
	cfg := &copied
	factory, ctx := NewFactory(), context.Background()
	set := connectortest.NewNopSettings(factory.Type())
	set.ID = component.NewID(Type) // the same in each life, so that the next finds the state of the last
	b.sink, b.metrics, b.read = new(consumertest.LogsSink), new(consumertest.MetricsSink), 0
	tl, err := factory.CreateTracesToLogs(ctx, set, cfg, b.sink)
	require.NoError(b.t, err)
	tm, err := factory.CreateTracesToMetrics(ctx, set, cfg, b.metrics)
	require.NoError(b.t, err)
	ll, err := factory.CreateLogsToLogs(ctx, set, cfg, b.sink)
	require.NoError(b.t, err)
	b.traces, b.logs, b.more = tl, ll, []component.Component{tl, tm, ll}
	b.m = tl.(*node).shared
	b.m.manual = true
	b.m.now = func() time.Time { return b.now }
	b.m.engine = newEngineAt(cfg, b.now)
	for _, c := range b.more {
		require.NoError(b.t, c.Start(ctx, b.host))
	}
}

func (b *bench) stop() {
	for _, c := range b.more {
		assert.NoError(b.t, c.Shutdown(context.Background()))
	}
	b.more = nil
}

// settle waits for background work: a git range, a ranking.
func (b *bench) settle() {
	busy := func() bool {
		for _, t := range b.m.tracked {
			if t.ranking || !t.fetched {
				return true
			}
		}
		return false
	}
	for busy() {
		select {
		case result := <-b.m.done:
			result()
		case <-time.After(30 * time.Second):
			b.t.Fatal("background work hangs")
		}
	}
	b.m.alert(b.now)
}

// second passes: each version serves its rate at its error share.
type load struct {
	version, instance string
	rate              int     // requests a second
	errors            float64 // share
	exception         string
}

func (b *bench) second(loads ...load) {
	b.send(loads...)
	b.tick()
}

func (b *bench) send(loads ...load) {
	td := ptrace.NewTraces()
	for _, l := range loads {
		r := td.ResourceSpans().AppendEmpty()
		a := r.Resource().Attributes()
		a.PutStr("service.name", "checkout")
		a.PutStr("service.version", l.version)
		a.PutStr("service.instance.id", l.instance)
		a.PutStr("deployment.environment.name", "production")
		spans := r.ScopeSpans().AppendEmpty().Spans()
		for i := range l.rate {
			b.serial++
			span := spans.AppendEmpty()
			span.SetKind(ptrace.SpanKindServer)
			span.SetName("POST /cart/checkout")
			span.SetTraceID(pcommon.TraceID{15: byte(b.serial), 14: byte(b.serial >> 8), 13: byte(b.serial >> 16), 12: 1})
			span.SetSpanID(pcommon.SpanID{7: byte(b.serial), 6: byte(b.serial >> 8), 5: 1})
			end := b.now.Add(time.Duration(i) * time.Second / time.Duration(l.rate))
			span.SetEndTimestamp(pcommon.NewTimestampFromTime(end))
			span.SetStartTimestamp(pcommon.NewTimestampFromTime(end.Add(-time.Duration(20+b.serial%7) * time.Millisecond)))
			// A fixed, mixed-up order: what is random here is the same in every run.
			if float64((b.serial*2654435761)%10007)/10007 < l.errors {
				span.Status().SetCode(ptrace.StatusCodeError)
				if l.exception != "" {
					e := span.Events().AppendEmpty()
					e.SetName("exception")
					e.SetTimestamp(span.EndTimestamp())
					e.Attributes().PutStr("exception.type", l.exception)
					e.Attributes().PutStr("exception.message", "total is undefined")
					e.Attributes().PutStr("exception.stacktrace", l.exception+": total is undefined\n    at Cart.total (/app/cart/total.ts:88:12)\n")
				}
			}
		}
	}
	require.NoError(b.t, b.traces.ConsumeTraces(context.Background(), td))
}

func (b *bench) tick() {
	b.now = b.now.Add(time.Second)
	b.m.step(b.now)
	b.settle()
	b.m.flush()
}

func (b *bench) seconds(n int, loads ...load) {
	for range n {
		b.second(loads...)
	}
}

// told gives the anomalies and verdicts that were told since the last call.
func (b *bench) told() (anomalies []event.Anomaly, verdicts []event.Verdict) {
	all := b.sink.AllLogs()
	for _, ld := range all[b.read:] {
		for i := range ld.ResourceLogs().Len() {
			r := ld.ResourceLogs().At(i)
			for j := range r.ScopeLogs().At(0).LogRecords().Len() {
				record := r.ScopeLogs().At(0).LogRecords().At(j)
				switch eventotlp.Name(record) {
				case event.NameAnomaly:
					a, err := eventotlp.DecodeAnomaly(r.Resource(), record)
					require.NoError(b.t, err)
					anomalies = append(anomalies, a)
				case event.NameVerdict:
					v, err := eventotlp.DecodeVerdict(r.Resource(), record)
					require.NoError(b.t, err)
					verdicts = append(verdicts, v)
				}
			}
		}
	}
	b.read = len(all)
	return anomalies, verdicts
}

func (b *bench) deploy(version, previous string) event.Deployment {
	d, _ := b.ledger.RecordDeployment(event.Deployment{
		Service: "checkout", Environment: "production", Version: version, PreviousVersion: previous,
		StartedAt: b.now, Status: event.DeploymentStarted, Sources: []event.Source{{Name: "api", At: b.now}},
	})
	return d
}

func (b *bench) sight(version string) {
	b.ledger.RecordSighting(ledger.Sighting{Service: "checkout", Environment: "production", Version: version, Instance: version, At: b.now})
}

func old(rate int) load { return load{version: "1.41.3", instance: "old-1", rate: rate, errors: .01} }

func TestAGoodDeploymentStaysSilent(t *testing.T) {
	b := newBench(t, nil)
	b.sight("1.41.3")
	b.seconds(60, old(200))
	d := b.deploy("1.42.0", "1.41.3")
	b.seconds(240, old(100), load{version: "1.42.0", instance: "new-1", rate: 100, errors: .01})
	anomalies, verdicts := b.told()
	assert.Empty(t, anomalies)
	require.NotEmpty(t, verdicts)
	last := verdicts[len(verdicts)-1]
	assert.Equal(t, d.ID, last.Deployment.ID)
	assert.NotEqual(t, event.Regressed, last.State, last.Detail)
}

func TestABadDeploymentIsToldKeptOverARestartAndClosed(t *testing.T) {
	b := newBench(t, nil)
	b.sight("1.41.3")
	b.seconds(60, old(200))
	d := b.deploy("1.42.0", "1.41.3")
	bad := load{version: "1.42.0", instance: "new-1", rate: 100, errors: .3, exception: "TypeError"}
	b.seconds(20, old(100), bad)

	anomalies, verdicts := b.told()
	require.NotEmpty(t, verdicts)
	require.NotEmpty(t, anomalies, "last verdict: %+v", verdicts[len(verdicts)-1])
	rollup := anomalies[0]
	assert.Equal(t, event.AnomalyID(d.ID, event.KindDeployment, "", ""), rollup.ID)
	assert.Equal(t, event.KindDeployment, rollup.Kind)
	assert.True(t, rollup.Open)
	assert.Equal(t, event.Advise, rollup.Mode)
	assert.Equal(t, event.SeverityCritical, rollup.Severity)
	assert.False(t, rollup.StartsAt.After(rollup.DetectedAt))
	assert.NotEmpty(t, rollup.Symptoms)
	require.NotNil(t, rollup.Verdict)
	assert.Equal(t, event.Regressed, rollup.Verdict.State)
	require.NotNil(t, rollup.Verdict.Suspicion)
	assert.True(t, rollup.Verdict.Suspicion.Abstained, "there is no commit to name")
	kept, ok := b.ledger.Anomaly(rollup.ID)
	require.True(t, ok)
	assert.Equal(t, rollup, roundTrip(t, kept), "the ledger holds what was told")

	// Nothing new is made while it lasts; what is open is told every heartbeat.
	b.seconds(31, old(100), bad)
	again, _ := b.told()
	require.NotEmpty(t, again)
	for _, a := range again {
		assert.True(t, a.Open)
		assert.Contains(t, append(rollup.Symptoms, rollup.ID), a.ID)
	}

	// A restart in mid-alert: the same identity, and no close in between.
	b.stop()
	b.now = b.now.Add(4 * time.Second)
	b.start()
	b.seconds(35, old(100), bad)
	after, _ := b.told()
	require.NotEmpty(t, after)
	for _, a := range after {
		assert.True(t, a.Open, "%s %s", a.Kind, a.Signal)
		if a.ID == rollup.ID {
			assert.Equal(t, rollup.StartsAt, a.StartsAt)
			assert.Equal(t, rollup.Symptoms, a.Symptoms)
			assert.Equal(t, rollup.Severity, a.Severity)
			assert.Equal(t, rollup.DetectedAt, a.DetectedAt)
		}
	}

	// The rollback: the bad version falls silent, the old one serves.
	_, _ = b.ledger.RecordDeployment(event.Deployment{
		Service: "checkout", Environment: "production", Version: "1.41.3", PreviousVersion: "1.42.0", RollbackOf: d.ID,
		StartedAt: b.now, Status: event.DeploymentSucceeded, Sources: []event.Source{{Name: "api", At: b.now}},
	})
	b.seconds(150, old(200))
	closed, _ := b.told()
	var end *event.Anomaly
	for i := range closed {
		if closed[i].ID == rollup.ID && !closed[i].Open {
			end = &closed[i]
			break
		}
	}
	require.NotNil(t, end, "the alert ends")
	assert.Equal(t, event.ClosedRolledBack, end.Closure.Reason)
	assert.Contains(t, end.Closure.Detail, "rolled back to 1.41.3")
	assert.Equal(t, rollup.StartsAt, end.StartsAt)
	assert.Empty(t, b.ledger.Anomalies(ledger.Query{OpenOnly: true}))
}

// A crash before the snapshot: only the ledger remembers.
func TestAnAlertOutlivesALostSnapshot(t *testing.T) {
	b := newBench(t, nil)
	b.sight("1.41.3")
	b.seconds(60, old(200))
	d := b.deploy("1.42.0", "1.41.3")
	bad := load{version: "1.42.0", instance: "new-1", rate: 100, errors: .3}
	b.seconds(20, old(100), bad)
	require.NotEmpty(t, b.ledger.Anomalies(ledger.Query{OpenOnly: true}))

	b.stop()
	b.host[*b.config.Storage] = storagetest.NewFileBackedStorageExtension("state", t.TempDir())
	b.start()
	b.seconds(40, old(100), bad)
	anomalies, _ := b.told()
	require.NotEmpty(t, anomalies)
	for _, a := range anomalies {
		assert.True(t, a.Open)
	}
	v, _ := b.ledger.Verdict(d.ID)
	assert.Equal(t, event.Regressed, v.State)
}

func TestAWaiverEndsAnAlertWithItsSymptoms(t *testing.T) {
	b := newBench(t, nil)
	b.sight("1.41.3")
	b.seconds(60, old(200))
	d := b.deploy("1.42.0", "1.41.3")
	bad := load{version: "1.42.0", instance: "new-1", rate: 100, errors: .3}
	b.seconds(20, old(100), bad)
	open := b.ledger.Anomalies(ledger.Query{OpenOnly: true})
	require.Greater(t, len(open), 1)
	require.True(t, b.ledger.CloseAnomaly(event.AnomalyID(d.ID, event.KindDeployment, "", ""),
		event.Closure{Reason: event.ClosedWaived, Detail: "known, fixed on Monday", By: "ann", At: b.now}))
	_, _ = b.told()
	b.seconds(2, old(100), bad)
	anomalies, _ := b.told()
	assert.Len(t, anomalies, len(open))
	for _, a := range anomalies {
		assert.False(t, a.Open)
		assert.Equal(t, event.ClosedWaived, a.Closure.Reason)
	}
	b.seconds(60, old(100), bad)
	assert.Empty(t, b.ledger.Anomalies(ledger.Query{OpenOnly: true}), "it does not come back")
}

// The commit is named from a clone: a real repository with three commits, of
// which one touches the line that the stack points to.
func TestTheSuspectIsReadFromTheClone(t *testing.T) {
	dir := t.TempDir()
	git := func(args ...string) string {
		cmd := exec.Command("git", append([]string{"-C", dir, "-c", "user.name=ann", "-c", "user.email=ann@example.com", "-c", "commit.gpgsign=false"}, args...)...)
		out, err := cmd.CombinedOutput()
		require.NoError(t, err, string(out))
		return strings.TrimSpace(string(out))
	}
	write := func(path, text string) {
		full := filepath.Join(dir, path)
		require.NoError(t, os.MkdirAll(filepath.Dir(full), 0o755))
		require.NoError(t, os.WriteFile(full, []byte(text), 0o644))
		git("add", path)
	}
	git("init", "-q")
	write("cart/total.ts", strings.Repeat("// the cart\n", 100))
	git("commit", "-qm", "begin")
	previous := git("rev-parse", "HEAD")
	write("docs/readme.md", "how to\n")
	git("commit", "-qm", "explain the shop")
	write("cart/total.ts", strings.Repeat("// the cart\n", 87)+"return total.sum\n"+strings.Repeat("// the cart\n", 12))
	git("commit", "-qm", "sum the total anew")
	culprit := git("rev-parse", "HEAD")
	write("mail/send.ts", "send()\n")
	git("commit", "-qm", "send mails")
	head := git("rev-parse", "HEAD")

	b := newBench(t, func(c *Config) { c.Repositories = []Repository{{Service: "check*", Path: dir}} })
	b.sight("1.41.3")
	b.seconds(60, old(200))
	_, _ = b.ledger.RecordDeployment(event.Deployment{
		Service: "checkout", Environment: "production", Version: "1.42.0", PreviousVersion: "1.41.3", Revision: head, PreviousRevision: previous,
		StartedAt: b.now, Status: event.DeploymentStarted, Sources: []event.Source{{Name: "api", At: b.now}},
	})
	b.seconds(30, old(100), load{version: "1.42.0", instance: "new-1", rate: 100, errors: .3, exception: "TypeError"})
	anomalies, _ := b.told()
	require.NotEmpty(t, anomalies)
	s := anomalies[0].Verdict.Suspicion
	require.NotNil(t, s)
	assert.Equal(t, "clone", s.Source)
	assert.Equal(t, 3, s.Commits)
	require.NotEmpty(t, s.Suspects)
	assert.Equal(t, culprit, s.Suspects[0].Change.Revision)
	assert.NotEmpty(t, s.Suspects[0].Reasons)
	assert.False(t, s.Abstained)
}

func TestAFixEndsAnAlert(t *testing.T) {
	b := newBench(t, nil)
	b.sight("1.41.3")
	b.seconds(60, old(200))
	d := b.deploy("1.42.0", "1.41.3")
	bad := load{version: "1.42.0", instance: "new-1", rate: 100, errors: .3}
	b.seconds(20, old(100), bad)
	require.NotEmpty(t, b.ledger.Anomalies(ledger.Query{OpenOnly: true}))
	b.deploy("1.42.1", "1.42.0")
	fixed := load{version: "1.42.1", instance: "new-2", rate: 100, errors: .01}
	b.seconds(300, old(100), fixed)
	a, ok := b.ledger.Anomaly(event.AnomalyID(d.ID, event.KindDeployment, "", ""))
	require.True(t, ok)
	require.NotNil(t, a.Closure, "still open")
	assert.Equal(t, event.ClosedFixedBy, a.Closure.Reason)
	assert.Contains(t, a.Closure.Detail, "fixed by 1.42.1")
}

func roundTrip(t *testing.T, a event.Anomaly) event.Anomaly {
	record := plog.NewLogRecord()
	eventotlp.EncodeAnomaly(a, record)
	out, err := eventotlp.DecodeAnomaly(pcommon.NewResource(), record)
	require.NoError(t, err)
	return out
}

func TestBadTelemetryIsCountedAndBounded(t *testing.T) {
	b := newBench(t, func(c *Config) {
		c.Limits.Operations, c.Limits.Patterns, c.Limits.Templates = 100, 200, 300
	})
	b.sight("1.41.3")
	b.seconds(30, old(100))
	b.deploy("1.42.0", "1.41.3")
	ctx := context.Background()
	fine := load{version: "1.42.0", instance: "new-1", rate: 100, errors: .01}
	lost := func() map[string]uint64 {
		out := map[string]uint64{}
		for _, l := range b.m.lost() {
			out[l.Name] = l.Count
		}
		return out
	}
	send := func(change func(r pcommon.Resource, span ptrace.Span)) {
		td := ptrace.NewTraces()
		r := td.ResourceSpans().AppendEmpty()
		for k, v := range map[string]string{"service.name": "checkout", "service.version": "1.42.0", "service.instance.id": "new-1", "deployment.environment.name": "production"} {
			r.Resource().Attributes().PutStr(k, v)
		}
		span := r.ScopeSpans().AppendEmpty().Spans().AppendEmpty()
		span.SetKind(ptrace.SpanKindServer)
		span.SetName("POST /cart/checkout")
		span.Status().SetCode(ptrace.StatusCodeError)
		span.SetStartTimestamp(pcommon.NewTimestampFromTime(b.now))
		span.SetEndTimestamp(pcommon.NewTimestampFromTime(b.now.Add(time.Millisecond)))
		change(r.Resource(), span)
		require.NoError(t, b.traces.ConsumeTraces(ctx, td))
	}
	at := func(span ptrace.Span, d time.Duration) {
		span.SetStartTimestamp(pcommon.NewTimestampFromTime(b.now.Add(d)))
		span.SetEndTimestamp(pcommon.NewTimestampFromTime(b.now.Add(d + time.Millisecond)))
	}
	for range 1000 {
		send(func(_ pcommon.Resource, s ptrace.Span) { at(s, time.Hour) })
		send(func(_ pcommon.Resource, s ptrace.Span) { at(s, -time.Hour) })
		send(func(r pcommon.Resource, _ ptrace.Span) { r.Attributes().Clear() })
		send(func(_ pcommon.Resource, s ptrace.Span) { s.SetName("GET /healthz") })
		send(func(_ pcommon.Resource, s ptrace.Span) {
			s.Attributes().PutStr("meta.refinery.reason", "rules/keep errors")
		})
		send(func(_ pcommon.Resource, s ptrace.Span) {
			s.Status().SetCode(ptrace.StatusCodeUnset)
			s.SetEndTimestamp(s.StartTimestamp() - 1e9)
		})
		send(func(_ pcommon.Resource, s ptrace.Span) {
			s.Status().SetCode(ptrace.StatusCodeUnset)
			s.Attributes().PutDouble("http.response.status_code", math.NaN())
		})
	}
	b.second(old(100), fine)
	got := lost()
	assert.EqualValues(t, 1000, got["clock_ahead"])
	assert.EqualValues(t, 1000, got["late"])
	assert.EqualValues(t, 1000, got[lossNoService])
	assert.EqualValues(t, 1000, got[lossProbes])
	assert.EqualValues(t, 1000, got[lossTailSampled])
	assert.EqualValues(t, 1000, got["invalid_duration"])

	ld := plog.NewLogs()
	lr := ld.ResourceLogs().AppendEmpty()
	lr.Resource().Attributes().PutStr("service.name", "checkout")
	records := lr.ScopeLogs().AppendEmpty().LogRecords()
	for i := range 100_000 {
		name := fmt.Sprintf("op %s", letters(i))
		send(func(_ pcommon.Resource, s ptrace.Span) {
			s.SetName(name)
			s.Status().SetCode(ptrace.StatusCodeUnset)
		})
		record := records.AppendEmpty()
		record.SetTimestamp(pcommon.NewTimestampFromTime(b.now))
		record.Body().SetStr(fmt.Sprintf("%s %s %s", letters(i), letters(i*3+1), letters(i*7+5)))
	}
	require.NoError(t, b.logs.ConsumeLogs(ctx, ld))
	b.seconds(20, old(100), fine)
	got = lost()
	assert.Greater(t, got["other_operations"], uint64(90_000))
	assert.Greater(t, got["other_patterns"], uint64(50_000))
	assert.Greater(t, got["templates_forgotten"], uint64(50_000))
	status := b.m.engine.Status()
	assert.LessOrEqual(t, status.Operations, 2*101)
	assert.LessOrEqual(t, status.Patterns, 2*201)
	assert.Zero(t, got["panics"])

	anomalies, _ := b.told()
	assert.Empty(t, anomalies, "bad telemetry is no bad deployment")
}

// letters spells a number, so that no mask hides it.
func letters(i int) string {
	s := []byte("x")
	for ; i > 0; i /= 20 {
		s = append(s, "ghijklmnopqrstuvwxyz"[i%20])
	}
	return string(s)
}
