package anomalyconnector

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/plog"

	"github.com/deployloop/deployloop/internal/event"
	"github.com/deployloop/deployloop/internal/event/eventotlp"
	"github.com/deployloop/deployloop/internal/judge"
	"github.com/deployloop/deployloop/internal/ledger"
	"github.com/deployloop/deployloop/internal/wording"
)

// results tells of tests of one commit, "name pass" each.
func (b *bench) results(ref, revision string, results ...string) {
	ld := plog.NewLogs()
	records := ld.ResourceLogs().AppendEmpty().ScopeLogs().AppendEmpty().LogRecords()
	for _, r := range results {
		name, status, _ := strings.Cut(r, " ")
		test := event.TestResult{Suite: "acme/cart", Case: name, Status: status, Duration: time.Second, Repository: "acme/shop", Ref: ref, Revision: revision, At: b.now}
		if status == "fail" {
			test.Message = "total_test.go:14: want 3, got 4"
		}
		eventotlp.EncodeTestResult(test, records.AppendEmpty())
	}
	require.NoError(b.t, b.logs.ConsumeLogs(context.Background(), ld))
	b.tick()
}

// quiet lets the runs under way end.
func (b *bench) quiet() {
	for range 40 {
		b.tick()
	}
}

// feedback is what was told last of a commit, out of all records.
func (b *bench) feedback(revision string) (last event.Feedback) {
	for _, ld := range b.sink.AllLogs() {
		for _, record := range ld.ResourceLogs().At(0).ScopeLogs().At(0).LogRecords().All() {
			if eventotlp.Name(record) == event.NameFeedback {
				f, err := eventotlp.DecodeFeedback(ld.ResourceLogs().At(0).Resource(), record)
				require.NoError(b.t, err)
				if f.Revision == revision {
					last = f
				}
			}
		}
	}
	return last
}

// Whoever did not hear how a run ended before a crash hears it after: a commit
// status must not stay pending.
func TestHowARunEndedIsToldAfterARestart(t *testing.T) {
	b := newBench(t, nil)
	const ended, going = "aaaaaaa1", "aaaaaaa2"
	b.results("main", ended, "TestA pass")
	b.quiet()
	require.Equal(t, event.Healthy, b.feedback(ended).State)
	b.results("main", going, "TestA pass")
	require.True(t, b.feedback(going).Running)
	b.stop()
	b.start()
	b.tick()
	require.Equal(t, event.Healthy, b.feedback(ended).State)
	b.quiet()
	require.False(t, b.feedback(going).Running)
	require.Equal(t, event.Inconclusive, b.feedback(going).State)
	b.now = b.now.Add(toldFor)
	b.stop()
	b.start()
	b.tick()
	require.Empty(t, b.feedback(ended).ID, "what is long over is told no more")
}

func TestANewFailureIsAnAlertUntilItIsMended(t *testing.T) {
	b := newBench(t, nil)
	b.results("main", "aaaaaaa1", "TestTotal pass", "TestTax pass")
	b.quiet()
	require.Equal(t, event.Healthy, b.feedback("aaaaaaa1").State)
	anomalies, _ := b.told()
	require.Empty(t, anomalies)

	b.results("main", "aaaaaaa2", "TestTotal fail")
	anomalies, _ = b.told()
	require.Len(t, anomalies, 1, "told while the run goes on")
	a := anomalies[0]
	require.True(t, a.Open)
	require.Equal(t, "acme/shop", a.Service)
	require.Equal(t, event.StageTest, a.Stage)
	require.Equal(t, event.Advise, a.Mode)
	require.True(t, b.feedback("aaaaaaa2").Running)
	known, ok := b.ledger.Anomaly(a.ID)
	require.True(t, ok)
	require.True(t, known.Open)
	b.results("main", "aaaaaaa2", "TestTax pass")
	b.quiet()

	b.stop() // what is known survives: the baseline in the storage, the alert in the ledger
	b.start()
	b.results("main", "aaaaaaa3", "TestTotal fail", "TestTax fail")
	b.quiet()
	f := b.feedback("aaaaaaa3")
	require.Equal(t, 1, f.Count(event.AlreadyFailing))
	require.Equal(t, 1, f.Count(event.NewFailure))
	anomalies, _ = b.told()
	for _, x := range anomalies {
		require.True(t, x.Open)
	}
	require.Len(t, b.ledger.Anomalies(ledger.Query{OpenOnly: true}), 2)

	b.results("main", "aaaaaaa4", "TestTotal pass", "TestTax pass")
	b.quiet()
	require.Empty(t, b.ledger.Anomalies(ledger.Query{OpenOnly: true}))
	known, _ = b.ledger.Anomaly(a.ID)
	require.Equal(t, event.ClosedFixedBy, known.Closure.Reason)
	require.Equal(t, "aaaaaaa4", known.Closure.Revision)
	require.Equal(t, event.Healthy, b.ledger.Feedback(ledger.RunQuery{Revision: "aaaaaaa4"})[0].State)
}

func TestABranchIsJudgedAndPagesNobody(t *testing.T) {
	b := newBench(t, nil)
	b.results("main", "aaaaaaa1", "TestTotal pass")
	b.quiet()
	b.results("faster-cart", "bbbbbbb1", "TestTotal fail")
	b.quiet()
	require.Equal(t, event.Regressed, b.feedback("bbbbbbb1").State)
	require.Empty(t, b.ledger.Anomalies(ledger.Query{}))
}

// What a restart lost of a run is not taken for good, and what was said stays said.
func TestARestartMakesNoCommitGreen(t *testing.T) {
	b := newBench(t, nil)
	b.results("main", "aaaaaaa1", "TestTotal pass", "TestTax pass")
	b.quiet()
	b.results("faster-cart", "bbbbbbb1", "TestTotal fail")
	b.quiet()
	b.results("faster-cart", "bbbbbbb2", "TestTax pass")
	require.True(t, b.feedback("bbbbbbb2").Running)
	b.stop()
	b.start()
	b.results("faster-cart", "bbbbbbb1", "TestTax pass")
	b.quiet()
	require.Equal(t, event.Regressed, b.feedback("bbbbbbb1").State)
	require.False(t, b.feedback("bbbbbbb2").Running)
	require.Equal(t, event.Inconclusive, b.feedback("bbbbbbb2").State)
	require.Contains(t, wording.FeedbackHeadline(b.feedback("bbbbbbb2")), "deployloop was restarted while it ran")
}

// What is evicted leaves the storage as well.
func TestAnEvictedBaselineIsDeleted(t *testing.T) {
	limits := judge.DefaultLimits
	judge.DefaultLimits.Baselines = 1
	defer func() { judge.DefaultLimits = limits }()
	b := newBench(t, nil)
	var seen []string
	saved := func() (values int) {
		b.m.saveBuilds(t.Context())
		for _, key := range seen {
			value, err := b.m.store.Get(t.Context(), prefixBuilds+key)
			require.NoError(t, err)
			if value != nil {
				values++
			}
		}
		return values
	}
	b.results("main", "aaaaaaa1", "TestTotal pass")
	b.quiet()
	seen = b.m.builds.store.Keys()
	require.Equal(t, 1, saved())
	b.results("master", "aaaaaaa2", "TestTotal pass")
	b.quiet()
	seen = append(seen, b.m.builds.store.Keys()...)
	require.Len(t, seen, 2)
	require.Equal(t, 1, saved())
	require.Empty(t, b.m.builds.store.Gone())
}

// So does what cannot be read: the next list does not name it, and nothing would find it.
func TestABaselineThatCannotBeReadIsDeleted(t *testing.T) {
	b := newBench(t, nil)
	b.results("main", "aaaaaaa1", "TestTotal pass")
	b.quiet()
	b.m.saveBuilds(t.Context())
	main := b.m.builds.store.Keys()[0]
	b.results("master", "aaaaaaa2", "TestTotal pass")
	b.quiet()
	b.m.saveBuilds(t.Context())
	require.NoError(t, b.m.store.Set(t.Context(), prefixBuilds+main, []byte("torn")))
	b.stop()
	b.start()
	require.Len(t, b.m.builds.store.Keys(), 1)
	b.m.saveBuilds(t.Context())
	value, err := b.m.store.Get(t.Context(), prefixBuilds+main)
	require.NoError(t, err)
	require.Nil(t, value)
}

func TestAWaivedBuildAlertStaysClosed(t *testing.T) {
	b := newBench(t, nil)
	b.results("main", "aaaaaaa1", "TestTotal pass")
	b.quiet()
	b.results("main", "aaaaaaa2", "TestTotal fail")
	open := b.ledger.Anomalies(ledger.Query{OpenOnly: true})
	require.Len(t, open, 1)
	require.True(t, b.ledger.CloseAnomaly(open[0].ID, event.Closure{Reason: event.ClosedWaived, By: "ada", Detail: "known", At: b.now}))
	b.quiet()
	b.results("main", "aaaaaaa3", "TestTotal fail")
	b.quiet()
	require.Empty(t, b.ledger.Anomalies(ledger.Query{OpenOnly: true}))
	anomalies, _ := b.told()
	require.False(t, anomalies[len(anomalies)-1].Open)
	require.Equal(t, event.ClosedWaived, anomalies[len(anomalies)-1].Closure.Reason)
}

// Production and tests point to each other by the commit that both are of.
func TestAVerdictNamesWhatItsCommitBrokeBefore(t *testing.T) {
	b := newBench(t, nil)
	b.results("main", "aaaaaaa1", "TestTotal pass")
	b.quiet()
	b.results("main", "aaaaaaa2", "TestTotal fail")
	b.results("main", "aaaaaaa2", "TestTotal pass") // flaky, since this commit
	b.sight("1.41.3")
	b.seconds(60, old(200))
	d, _ := b.ledger.RecordDeployment(event.Deployment{
		Service: "checkout", Environment: "production", Version: "1.42.0", PreviousVersion: "1.41.3", Revision: "aaaaaaa2", PreviousRevision: "aaaaaaa1",
		Repository: "acme/shop", StartedAt: b.now, Status: event.DeploymentStarted, Sources: []event.Source{{Name: "api", At: b.now}},
	})
	b.seconds(40, old(100), load{version: "1.42.0", instance: "new-1", rate: 100, errors: .3})
	v, _ := b.ledger.Verdict(d.ID)
	require.Equal(t, event.Regressed, v.State)
	require.Len(t, v.Builds, 1)
	require.True(t, v.Builds[0].NewFlake)
	require.Equal(t, "TestTotal", v.Builds[0].Test.Case)

	f := b.feedback("aaaaaaa2")
	require.Len(t, f.Production, 1)
	require.Equal(t, "checkout", f.Production[0].Service)
	require.Equal(t, event.Regressed, f.Production[0].State)
	require.Empty(t, b.feedback("aaaaaaa1").Production)
}

// A squash has another id than what was tested in its pull request.
func TestASquashIsWhatItsPullRequestTested(t *testing.T) {
	b := newBench(t, nil)
	b.results("main", "aaaaaaa1", "TestTotal pass", "TestTax pass")
	b.quiet()
	b.results("faster-cart", "bbbbbbb1", "TestTotal fail", "TestTax fail")
	b.results("faster-cart", "bbbbbbb1", "TestTotal pass") // flaky, since this branch
	b.results("slower-cart", "ccccccc1", "TestOther fail") // never merged
	b.quiet()
	b.ledger.RecordChange(event.Change{Repository: "acme/shop", Ref: "main", Revision: "aaaaaaa2", Previous: "aaaaaaa1", PullHead: "bbbbbbb1", At: b.now})
	b.results("main", "aaaaaaa2", "TestTax fail")
	b.quiet()
	b.sight("1.41.3")
	b.seconds(60, old(200))
	d, _ := b.ledger.RecordDeployment(event.Deployment{
		Service: "checkout", Environment: "production", Version: "1.42.0", PreviousVersion: "1.41.3", Revision: "aaaaaaa2", PreviousRevision: "aaaaaaa1",
		Repository: "acme/shop", StartedAt: b.now, Status: event.DeploymentStarted, Sources: []event.Source{{Name: "api", At: b.now}},
	})
	b.seconds(40, old(100), load{version: "1.42.0", instance: "new-1", rate: 100, errors: .3})
	v, _ := b.ledger.Verdict(d.ID)
	require.Equal(t, event.Regressed, v.State)
	var told []string
	for _, j := range v.Builds {
		require.Equal(t, "aaaaaaa2", j.FirstBad, "what was merged")
		told = append(told, j.Test.Case)
	}
	require.ElementsMatch(t, []string{"TestTotal", "TestTax"}, told, "each once")
	require.Len(t, b.feedback("bbbbbbb1").Production, 1, "the pull request hears of it")
	require.Empty(t, b.feedback("ccccccc1").Production)
}

// The commits between the last good and the first bad run are ranked, from a real
// clone, by what the failure says.
func TestABuildAlertNamesItsSuspect(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "shop")
	git := func(arguments ...string) string {
		c := exec.Command("git", append([]string{"-C", dir, "-c", "user.name=ada", "-c", "user.email=ada@example.com"}, arguments...)...)
		out, err := c.CombinedOutput()
		require.NoError(t, err, string(out))
		return strings.TrimSpace(string(out))
	}
	require.NoError(t, os.MkdirAll(dir, 0o755))
	git("init", "-q", "-b", "main")
	commit := func(file, text, message string) string {
		require.NoError(t, os.WriteFile(filepath.Join(dir, file), []byte(text), 0o600))
		git("add", "-A")
		git("commit", "-q", "-m", message)
		return git("rev-parse", "HEAD")
	}
	good := commit("README.md", "shop\n", "Begin")
	guilty := commit("total_test.go", strings.Repeat("\n", 13)+"want(3)\n", "Round the total")
	head := commit("README.md", "shop and more\n", "Say more")

	b := newBench(t, func(c *Config) { c.Repositories = []Repository{{Service: "*", Path: dir}} })
	b.results("main", good, "TestTotal pass")
	b.quiet()
	b.results("main", head, "TestTotal fail")
	id := b.ledger.Anomalies(ledger.Query{OpenOnly: true})[0].ID
	var s *event.Suspicion
	require.Eventually(t, func() bool {
		b.tick()
		a, _ := b.ledger.Anomaly(id)
		s = a.Feedback.Suspicion
		return s != nil
	}, 30*time.Second, 10*time.Millisecond)
	require.Equal(t, 2, s.Commits)
	require.Equal(t, guilty, s.Suspects[0].Change.Revision)
}
