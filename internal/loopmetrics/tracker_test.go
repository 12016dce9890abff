package loopmetrics

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/deployloop/deployloop/internal/event"
	"github.com/deployloop/deployloop/internal/ledger"
)

var noon = time.Date(2026, 3, 4, 12, 0, 0, 0, time.UTC)

// value sums the points of a family whose labels hold all of the pairs.
func value(t *testing.T, families []Family, name string, labels ...string) float64 {
	t.Helper()
	for _, f := range families {
		if f.Name != name {
			continue
		}
		sum := 0.0
		for _, p := range f.Points {
			matched := 0
			for i := 0; i < len(labels); i += 2 {
				for _, l := range p.Labels {
					if l.Key == labels[i] && l.Text == labels[i+1] {
						matched++
					}
				}
			}
			if matched == len(labels)/2 {
				if f.Kind == Histogram {
					sum += p.Sum
				} else {
					sum += p.Value
				}
			}
		}
		return sum
	}
	t.Fatalf("no family %s", name)
	return 0
}

// points counts the series of a family.
func points(families []Family, name string) int {
	for _, f := range families {
		if f.Name == name {
			return len(f.Points)
		}
	}
	return 0
}

func deployed(t *testing.T, l *ledger.Ledger, service, version string, at time.Time) event.Deployment {
	t.Helper()
	d, _ := l.RecordDeployment(event.Deployment{
		Service: service, Environment: "production", Version: version, Revision: fmt.Sprintf("%040x", len(version)*1000+int(at.Unix()%997)),
		Repository: "acme/shop", StartedAt: at, FirstSeenAt: at.Add(4 * time.Second), Sources: []event.Source{{Name: "api", At: at}},
	})
	return d
}

func TestALoopIsCountedOnce(t *testing.T) {
	l := ledger.New(ledger.Limits{})
	l.RecordSighting(ledger.Sighting{Service: "checkout", Environment: "production", Version: "1.41.3", At: noon.Add(-time.Hour)}) // the baseline
	d := deployed(t, l, "checkout", "1.42.0", noon)
	l.RecordChange(event.Change{Repository: "acme/shop", Revision: d.Revision, At: noon.Add(-10 * time.Minute)})
	l.RecordPipelineRun(event.PipelineRun{ID: "7", Pipeline: "ci", Revision: d.Revision, Repository: "acme/shop", Stage: event.StageBuild, Result: "success",
		State: "finished", StartedAt: noon.Add(-8 * time.Minute), FinishedAt: noon.Add(-5 * time.Minute)})
	// A test that ends later, and a run that deploys, which is none of a build.
	l.RecordPipelineRun(event.PipelineRun{ID: "8", Pipeline: "e2e", Revision: d.Revision, Repository: "acme/shop", Stage: event.StageTest, Result: "success",
		State: "finished", StartedAt: noon.Add(-5 * time.Minute), FinishedAt: noon.Add(-4 * time.Minute)})
	l.RecordPipelineRun(event.PipelineRun{ID: "9", Pipeline: "cd", Revision: d.Revision, Repository: "acme/shop", Stage: event.StageDeploy, Result: "success",
		State: "finished", StartedAt: noon.Add(-time.Minute), FinishedAt: noon.Add(time.Second)})
	tracker := NewTracker(l)

	v := event.Verdict{Deployment: d, State: event.Watching, At: noon.Add(10 * time.Second), Nats: 2, Threshold: 7.6}
	l.RecordVerdict(v)
	got := tracker.Collect(noon.Add(10 * time.Second))
	assert.Equal(t, 1.0, value(t, got, "deployloop.deployments"))
	assert.Equal(t, 1.0, value(t, got, "deployloop.deployments.watched", "service", "checkout"))
	assert.Equal(t, 2.0, value(t, got, "deployloop.evidence", "deployment", d.ID))
	assert.Equal(t, 600.0, value(t, got, "deployloop.loop.latency", "step", "commit_to_deploy"))
	assert.Equal(t, 360.0, value(t, got, "deployloop.loop.latency", "step", "commit_to_build"))
	assert.Equal(t, 240.0, value(t, got, "deployloop.loop.latency", "step", "build_to_deploy"))
	assert.Equal(t, 4.0, value(t, got, "deployloop.loop.latency", "step", "deploy_to_first_telemetry"))
	assert.Equal(t, 180.0, value(t, got, "deployloop.pipeline.run.duration", "stage", "build", "result", "success"))

	v.State, v.At, v.RegressedAt, v.FirstBadAt = event.Regressed, noon.Add(20*time.Second), noon.Add(20*time.Second), noon.Add(12*time.Second)
	v.Related = []event.RelatedError{{Examples: []event.Example{{TraceID: "0af7651916cd43dd8448eb211c80319c"}}}}
	v.Suspicion = &event.Suspicion{}
	for i := range 5 {
		v.Suspicion.Suspects = append(v.Suspicion.Suspects, event.Suspect{Change: event.Change{Revision: fmt.Sprint("c", i)}, Probability: .5 / float64(i+1)})
	}
	v.Evidence = []event.Evidence{
		{Signal: event.SignalErrors, Operation: "POST /cart", Ratio: 23, Nats: 40},
		{Signal: event.SignalException, Detail: "TypeError", Ratio: 9, Nats: 30},
		{Signal: event.SignalException, Detail: "another", Ratio: 8, Nats: 20},
		{Signal: event.SignalThroughput, Nats: 1}, // of nothing before: no ratio
	}
	for i := range 20 {
		v.Evidence = append(v.Evidence, event.Evidence{Signal: event.SignalLatency, Operation: fmt.Sprint("GET /", i), Ratio: 1})
	}
	l.RecordVerdict(v)
	l.RecordAnomaly(event.Anomaly{ID: "a1", Kind: event.KindDeployment, Service: "checkout", Environment: "production", Deployment: d.ID,
		Severity: event.SeverityCritical, StartsAt: noon.Add(12 * time.Second), At: noon.Add(20 * time.Second), Open: true})
	for range 3 {
		got = tracker.Collect(noon.Add(30 * time.Second))
	}
	assert.Equal(t, 1.0, value(t, got, "deployloop.verdicts", "verdict", "regressed"))
	assert.Equal(t, 8.0, value(t, got, "deployloop.loop.latency", "step", "first_bad_to_verdict"))
	assert.Equal(t, 16.0, value(t, got, "deployloop.loop.latency", "step", "first_telemetry_to_verdict"))
	assert.Equal(t, 23.0, value(t, got, "deployloop.effect.ratio", "signal", "errors", "operation", "POST /cart"))
	assert.Equal(t, 9.0, value(t, got, "deployloop.effect.ratio", "signal", "exception"), "the strongest of what has the same labels")
	assert.Equal(t, 40.0, value(t, got, "deployloop.indicator.evidence", "signal", "errors"))
	assert.Equal(t, 1.0, value(t, got, "deployloop.indicator.evidence", "signal", "throughput"))
	assert.Equal(t, maxIndicators, points(got, "deployloop.indicator.evidence"))
	assert.Equal(t, maxIndicators-1, points(got, "deployloop.effect.ratio"))
	assert.Equal(t, .5, value(t, got, "deployloop.suspect.probability", "deployment", d.ID, "revision", "c0"))
	assert.Equal(t, maxSuspects, points(got, "deployloop.suspect.probability"))
	assert.Equal(t, float64(noon.Add(20*time.Second).Unix()), value(t, got, "deployloop.deployment.verdict_time", "deployment", d.ID, "verdict", "regressed"))
	assert.Equal(t, float64(noon.Unix()), value(t, got, "deployloop.deployment.start_time", "revision", d.Revision))
	assert.Equal(t, 1.0, value(t, got, "deployloop.suspicions", "outcome", "named"))
	assert.Equal(t, 1.0, value(t, got, "deployloop.anomalies.open"))
	assert.Equal(t, 18.0, value(t, got, "deployloop.anomalies.open.age"))
	for _, f := range got {
		for _, p := range f.Points {
			if f.Name == "deployloop.loop.latency" && p.Labels[2].Text == "first_bad_to_verdict" {
				require.NotNil(t, p.Exemplar)
				assert.Equal(t, Exemplar{Value: 8, AtUnixNano: noon.Add(20 * time.Second).UnixNano(), Deployment: d.ID, TraceID: "0af7651916cd43dd8448eb211c80319c"}, *p.Exemplar)
			}
		}
	}

	assert.Equal(t, 0.0, value(t, got, "deployloop.loop.latency", "step", "verdict_to_told"))
	tell := func(channel event.Channel, after time.Duration) {
		l.RecordTold(event.Telling{Deployment: d.ID, Verdict: event.Regressed, Channel: channel, At: noon.Add(20*time.Second + after)})
	}
	tell(event.ChannelAlertmanager, time.Second)
	tracker.Collect(noon.Add(31 * time.Second))
	tell(event.ChannelGrafana, 4*time.Second)
	l.RecordSilence("a1", &event.Silence{ID: "s", Until: noon.Add(35 * time.Second)})
	for range 2 {
		got = tracker.Collect(noon.Add(32 * time.Second))
	}
	assert.Equal(t, 1.0, value(t, got, "deployloop.loop.latency", "step", "verdict_to_told", "channel", "alertmanager"))
	assert.Equal(t, 4.0, value(t, got, "deployloop.loop.latency", "step", "verdict_to_told", "channel", "grafana"))
	assert.Equal(t, 1.0, value(t, got, "deployloop.anomalies.silenced", "service", "checkout"))
	assert.Equal(t, 0.0, value(t, tracker.Collect(noon.Add(36*time.Second)), "deployloop.anomalies.silenced"), "the silence is over")

	require.True(t, l.CloseAnomaly("a1", event.Closure{Reason: event.ClosedRolledBack, At: noon.Add(72 * time.Second)}))
	for range 2 {
		got = tracker.Collect(noon.Add(80 * time.Second))
	}
	assert.Equal(t, 0.0, value(t, got, "deployloop.anomalies.open"))
	assert.Equal(t, 1.0, value(t, got, "deployloop.anomalies.closed", "reason", "rolled_back"))
	assert.Equal(t, 60.0, value(t, got, "deployloop.recovery.duration"))
	requireRegistered(t, got)
}

// A rollback follows its regression within minutes: what was judged keeps its
// marker for an hour, and is no delivery of its own.
func TestARegressionThatWasRolledBack(t *testing.T) {
	l := ledger.New(ledger.Limits{})
	l.RecordSighting(ledger.Sighting{Service: "checkout", Environment: "production", Version: "1.41.3", At: noon.Add(-time.Hour)}) // the baseline
	bad := deployed(t, l, "checkout", "1.42.0", noon)
	judged := noon.Add(time.Minute)
	l.RecordVerdict(event.Verdict{Deployment: bad, State: event.Regressed, At: judged, RegressedAt: judged})
	tracker := NewTracker(l)
	tracker.Collect(judged)

	back, _ := l.RecordDeployment(event.Deployment{Service: "checkout", Environment: "production", Version: "1.41.3", RollbackOf: bad.ID,
		StartedAt: noon.Add(3 * time.Minute), Sources: []event.Source{{Name: "api", At: noon.Add(3 * time.Minute)}}})
	for range 2 {
		got := tracker.Collect(noon.Add(4 * time.Minute))
		assert.Equal(t, 2.0, value(t, got, "deployloop.deployments"))
		assert.Equal(t, 1.0, value(t, got, "deployloop.rollbacks"))
		assert.Equal(t, float64(judged.Unix()), value(t, got, "deployloop.deployment.verdict_time", "deployment", bad.ID, "verdict", "regressed"))
		assert.Zero(t, value(t, got, "deployloop.deployment.start_time", "deployment", bad.ID), "the latest is another one")
	}
	l.RecordVerdict(event.Verdict{Deployment: back, State: event.Healthy, At: noon.Add(30 * time.Minute), HealthyAt: noon.Add(30 * time.Minute)})
	assert.Equal(t, 2, points(tracker.Collect(judged.Add(judgedFresh-time.Second)), "deployloop.deployment.verdict_time"))
	late := tracker.Collect(judged.Add(3 * judgedFresh))
	assert.Equal(t, 1, points(late, "deployloop.deployment.verdict_time"), "the latest keeps its own")
	assert.Equal(t, float64(noon.Add(30*time.Minute).Unix()), value(t, late, "deployloop.deployment.verdict_time", "deployment", back.ID))
}

func TestSeriesAreBoundedAndSaidSo(t *testing.T) {
	var lost uint64
	s := newSeries(Counter, "x", "1", "", 2, &lost)
	for i := range 10 {
		s.inc("service", fmt.Sprint(i))
	}
	assert.Len(t, s.copied().Points, 2)
	assert.Equal(t, uint64(8), lost)
}

// full is a ledger with deployments that each had a build.
func full(deployments int) *ledger.Ledger {
	l := ledger.New(ledger.Limits{})
	for i := range deployments {
		at, revision := noon.Add(time.Duration(i)*time.Minute), fmt.Sprintf("%07x%033x", i, i)
		l.RecordDeployment(event.Deployment{Service: fmt.Sprint("s", i%100), Environment: "production", Version: fmt.Sprint("1.", i), Revision: revision[:7+i%34], Repository: "https://forge/acme/shop.git", StartedAt: at})
		l.RecordChange(event.Change{Repository: "acme/shop", Revision: revision, At: at.Add(-time.Hour)})
		for repository, took := range map[string]time.Duration{"acme/shop": 50 * time.Minute, "acme/other": 55 * time.Minute} {
			l.RecordPipelineRun(event.PipelineRun{ID: fmt.Sprint(repository, i), Pipeline: "ci", Repository: repository, Stage: event.StageBuild, State: "finished", Revision: revision,
				StartedAt: at.Add(-time.Hour), FinishedAt: at.Add(took - time.Hour)})
		}
	}
	return l
}

// asked counts how often the ledger is asked for its runs.
type asked struct {
	*ledger.Ledger
	times int
}

func (a *asked) PipelineRuns(q ledger.RunQuery) []event.PipelineRun {
	a.times++
	return a.Ledger.PipelineRuns(q)
}

// The ledger looks through all its runs each time.
func TestBuildsOfManyDeploymentsAreReadOnce(t *testing.T) {
	l := &asked{Ledger: full(500)}
	got := NewTracker(l).Collect(noon.Add(500 * time.Minute))
	assert.Equal(t, 500*600.0, value(t, got, "deployloop.loop.latency", "step", "build_to_deploy"), "of each the build of its own repository")
	assert.Equal(t, 2, l.times, "once for the builds, once for the counts of runs")
}

func BenchmarkCollect10000Deployments(b *testing.B) {
	tracker := NewTracker(full(10_000))
	for b.Loop() {
		tracker.Collect(noon.Add(10_000 * time.Minute))
	}
}

// A start meets all that the ledger kept at once.
func BenchmarkFirstCollect10000Deployments(b *testing.B) {
	l := full(10_000)
	for b.Loop() {
		NewTracker(l).Collect(noon.Add(10_000 * time.Minute))
	}
}

func TestWhatNobodySaid(t *testing.T) {
	l := ledger.New(ledger.Limits{})
	l.RecordSighting(ledger.Sighting{Service: "cart", Environment: "production", Version: "1", At: noon.Add(-2 * time.Hour)})
	l.RecordSighting(ledger.Sighting{Service: "cart", Environment: "production", Version: "2", At: noon})
	l.RecordDeployment(event.Deployment{Service: "mail", Environment: "production", Version: "7", StartedAt: noon, Sources: []event.Source{{Name: "api", At: noon}}})
	tracker := NewTracker(l)
	early := tracker.Collect(noon.Add(5 * time.Minute))
	assert.Zero(t, value(t, early, "deployloop.deployments.phantom"))
	assert.Zero(t, value(t, early, "deployloop.deployments.untracked"))
	for range 2 {
		late := tracker.Collect(noon.Add(20 * time.Minute))
		assert.Equal(t, 1.0, value(t, late, "deployloop.deployments.phantom", "service", "mail"))
		assert.Equal(t, 1.0, value(t, late, "deployloop.deployments.untracked", "service", "cart"))
		assert.Equal(t, 1.0, value(t, late, "deployloop.deployments.untracked"))
	}
}

// A series that appeared with its first event would be lost to increase().
func TestCountersAreThereBeforeTheirFirstEvent(t *testing.T) {
	l := ledger.New(ledger.Limits{})
	l.RecordSighting(ledger.Sighting{Service: "checkout", Environment: "production", Version: "1.41.3", At: noon.Add(-time.Hour)}) // the baseline
	l.RecordPipelineRun(event.PipelineRun{ID: "7", Pipeline: "ci", Repository: "acme/shop", Stage: event.StageBuild, State: "pending", QueuedAt: noon})
	tracker := NewTracker(l)
	series := func() map[string]int {
		out := map[string]int{}
		for _, f := range tracker.Collect(noon) {
			for _, p := range f.Points {
				require.Zero(t, p.Value, f.Name)
				require.Zero(t, p.Count, f.Name)
			}
			if len(f.Points) > 0 {
				out[f.Name] = len(f.Points)
			}
		}
		return out
	}
	want := map[string]int{
		"deployloop.deployments": 1, "deployloop.deployments.untracked": 1, "deployloop.rollbacks": 1, "deployloop.verdicts": 4,
		"deployloop.suspicions": 2, "deployloop.anomalies.closed": 6, "deployloop.recovery.duration": 1, "deployloop.loop.latency": 7,
		"deployloop.pipeline.runs": 2, "deployloop.pipeline.run.duration": 2, "deployloop.metrics.lost": 1, "deployloop.pipeline.flakes": 1,
	}
	require.Equal(t, want, series())
	require.Equal(t, want, series(), "and stay as they are")
}

// Zeros leave room for what really happens.
func TestZerosTakeHalfOfAFamily(t *testing.T) {
	l := ledger.New(ledger.Limits{})
	for i := range 1200 {
		l.RecordSighting(ledger.Sighting{Service: fmt.Sprint("service-", i), Environment: "production", Version: "1", At: noon})
	}
	for _, f := range NewTracker(l).Collect(noon) {
		require.LessOrEqual(t, len(f.Points), roomForZeros, f.Name)
		if f.Name == "deployloop.metrics.lost" {
			require.Zero(t, f.Points[0].Value)
		}
	}
}

// Putting back what was delivered long ago is no delivery, and a verdict within
// the second of the first bad request took no time, not less than none.
func TestStepsThatAreNone(t *testing.T) {
	l := ledger.New(ledger.Limits{})
	l.RecordSighting(ledger.Sighting{Service: "checkout", Environment: "production", Version: "1.41.3", At: noon.Add(-time.Hour)})
	first := deployed(t, l, "checkout", "1.42.0", noon)
	bad := deployed(t, l, "checkout", "1.42.10", noon.Add(time.Hour))
	back, _ := l.RecordDeployment(event.Deployment{
		Service: "checkout", Environment: "production", Version: first.Version, Revision: first.Revision, Repository: "acme/shop",
		StartedAt: noon.Add(2 * time.Hour), Sources: []event.Source{{Name: "api", At: noon.Add(2 * time.Hour)}},
	})
	require.NotEmpty(t, back.RollbackOf)
	l.RecordChange(event.Change{Repository: "acme/shop", Revision: first.Revision, At: noon.Add(-time.Minute)})
	l.RecordVerdict(event.Verdict{
		Deployment: bad, State: event.Regressed, At: noon.Add(time.Hour + time.Minute),
		RegressedAt: noon.Add(time.Hour + time.Minute), FirstBadAt: noon.Add(time.Hour + time.Minute + 400*time.Millisecond),
	})
	families := NewTracker(l).Collect(noon.Add(3 * time.Hour))
	assert.Equal(t, 1.0, observations(families, "commit_to_deploy"))
	assert.Equal(t, 60.0, value(t, families, "deployloop.loop.latency", "step", "commit_to_deploy"))
	assert.Equal(t, 1.0, observations(families, "first_bad_to_verdict"))
	assert.Zero(t, value(t, families, "deployloop.loop.latency", "step", "first_bad_to_verdict"))
}

// observations counts those of a step of the loop.
func observations(families []Family, step string) (n float64) {
	for _, f := range families {
		for _, p := range f.Points {
			if f.Name == "deployloop.loop.latency" && p.Labels[2].Text == step {
				n += float64(p.Count)
			}
		}
	}
	return n
}
