package forgeexporter

import (
	"context"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/exporter/exportertest"
	"go.opentelemetry.io/collector/pdata/plog"
	"go.uber.org/goleak"

	"github.com/deployloop/deployloop/internal/event"
	"github.com/deployloop/deployloop/internal/event/eventotlp"
	"github.com/deployloop/deployloop/internal/ledger"
	"github.com/deployloop/deployloop/internal/ledger/ledgerhost/ledgerhosttest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var start = time.Date(2026, 3, 4, 14, 3, 5, 0, time.UTC)

func verdict(state event.VerdictState) event.Verdict {
	v := event.Verdict{
		Deployment: event.Deployment{
			ID: "d1", Service: "checkout", Environment: "production", Version: "1.42.0", PreviousVersion: "1.41.3",
			Revision: head, Repository: "https://127.0.0.1/acme/shop.git", StartedAt: start,
			RollbackCommand: "kubectl rollout undo deployment/checkout",
		},
		State: state, At: start.Add(2 * time.Minute), Mode: event.Advise, WatchedTill: start.Add(6 * time.Minute),
	}
	if state == event.Regressed {
		v.Reason, v.RegressedAt = event.ReasonEvidenceOfHarm, start.Add(time.Minute)
		v.Evidence = []event.Evidence{
			{Signal: event.SignalErrors, Operation: "POST /cart/checkout", Unit: "1", Before: 0.0021, After: 0.048, Ratio: 23, Interval: [2]float64{0.041, 0.052}, Nats: 12, Harm: true},
			{Signal: event.SignalLatency, Operation: "POST /cart/checkout", Detail: "> 250 ms", Unit: "1", Before: 0.01, After: 0.011, Within: true},
		}
		v.Suspicion = &event.Suspicion{Commits: 7, Range: "a1b2c3d..9f2c1ab", Suspects: []event.Suspect{{
			Change: event.Change{Revision: culprit, Message: "Round totals", Author: "Ada"}, Probability: 0.83, Reasons: []string{"stack line inside a changed hunk"},
		}}}
	}
	return v
}

func closedBy(v event.Verdict, reason event.ClosureReason, detail string) event.Anomaly {
	return event.Anomaly{
		ID: "a1", Kind: event.KindDeployment, Service: "checkout", Environment: "production", Deployment: v.Deployment.ID, Mode: v.Mode,
		At: v.At.Add(time.Minute), Verdict: &v, Closure: &event.Closure{Reason: reason, Detail: detail, At: v.At.Add(time.Minute)},
	}
}

func logsOf(verdicts []event.Verdict, anomalies ...event.Anomaly) plog.Logs {
	ld := plog.NewLogs()
	records := ld.ResourceLogs().AppendEmpty().ScopeLogs().AppendEmpty().LogRecords()
	records.AppendEmpty().Body().SetStr("an ordinary line")
	for _, v := range verdicts {
		eventotlp.EncodeVerdict(v, records.AppendEmpty())
	}
	for _, a := range anomalies {
		eventotlp.EncodeAnomaly(a, records.AppendEmpty())
	}
	return ld
}

func startTeller(t *testing.T, f *fakeGitHub, change func(*teller)) *teller {
	cfg := createDefaultConfig().(*Config)
	cfg.Endpoint, cfg.Token, cfg.ConsoleURL = f.URL, testToken, "http://127.0.0.1:8090"
	cfg.RequestsPerSecond, cfg.RetryInterval, cfg.MaxRetryInterval = 10_000, 2*time.Millisecond, 10*time.Millisecond
	require.NoError(t, cfg.Validate())
	made, err := newTeller(exportertest.NewNopSettings(Type), cfg)
	require.NoError(t, err)
	if change != nil {
		change(made)
	}
	host := ledgerhosttest.New()
	host.RecordDeployment(verdict(event.Regressed).Deployment)
	require.NoError(t, made.Start(t.Context(), host))
	t.Cleanup(func() { require.NoError(t, made.Shutdown(context.Background())) })
	return made
}

func tell(t *testing.T, e *teller, v event.Verdict) {
	t.Helper()
	require.NoError(t, e.ConsumeLogs(t.Context(), logsOf([]event.Verdict{v})))
}

// settled waits until nothing waits and the forge has the latest.
func settled(t *testing.T, e *teller) {
	t.Helper()
	require.Eventually(t, func() bool {
		e.mu.Lock()
		defer e.mu.Unlock()
		for _, d := range e.deployments {
			if d.pending != nil {
				return false
			}
		}
		return len(e.order) == 0
	}, 10*time.Second, time.Millisecond)
}

func TestAFineDeployIsSilent(t *testing.T) {
	f := newFakeGitHub(t)
	e := startTeller(t, f, nil)
	tell(t, e, verdict(event.Watching))
	settled(t, e)
	s := f.status(head)
	assert.Equal(t, []string{"pending", "watching 1.42.0, 4m left", "deployloop/production/checkout", "http://127.0.0.1:8090/deployments/d1"},
		[]string{s.GetState(), s.GetDescription(), s.GetContext(), s.GetTargetURL()})
	calls := f.callCount()
	for range 50 {
		tell(t, e, verdict(event.Watching))
	}
	settled(t, e)
	assert.Equal(t, calls, f.callCount(), "heartbeats cost no call")
	healthy := verdict(event.Healthy)
	healthy.At = healthy.At.Add(time.Minute)
	tell(t, e, healthy)
	settled(t, e)
	green := f.status(head)
	assert.Equal(t, "success", green.GetState())
	for _, call := range f.calls {
		assert.NotContains(t, call, "comments")
		assert.NotContains(t, call, "pulls")
	}
}

func TestRegressedThenRolledBack(t *testing.T) {
	f := newFakeGitHub(t)
	f.add(7, "mallory", marker(verdict(event.Regressed).Deployment)+"\nnot ours")
	f.add(7, "ada", "Nice")
	e := startTeller(t, f, nil)
	tell(t, e, verdict(event.Regressed))
	settled(t, e)
	red := f.status(head)
	assert.Equal(t, "failure", red.GetState())
	assert.Contains(t, red.GetDescription(), "0.21% → 4.8%")
	bodies := f.bodies(7)
	require.Len(t, bodies, 3, "one comment on the pull request that made the suspect commit")
	body := bodies[2]
	assert.True(t, strings.HasPrefix(body, "<!-- deployloop:verdict:production/checkout -->\n"))
	assert.Contains(t, body, "### checkout got worse in production after this merged")
	assert.Contains(t, body, "| before (1.41.3) | after (1.42.0) |")
	assert.Contains(t, body, "| within tolerance |")
	assert.Contains(t, body, "**\\+4.6 pp**")
	assert.Contains(t, body, "- `kubectl rollout undo deployment/checkout`")
	assert.Contains(t, body, "- `git revert "+culprit+"`")
	assert.Empty(t, f.bodies(12))
	tellings := e.ledger.(ledger.Reader).Tellings("d1")
	require.Len(t, tellings, 1)
	assert.Equal(t, event.ChannelForge, tellings[0].Channel)
	assert.Equal(t, event.Regressed, tellings[0].Verdict)

	worse := verdict(event.Regressed)
	worse.At, worse.Evidence[0].After = worse.At.Add(10*time.Second), 0.06
	tell(t, e, worse)
	settled(t, e)
	assert.Zero(t, f.edits, "figures that move are no change of state")

	closed := closedBy(worse, event.ClosedRolledBack, "rolled back to 1.41.3 at 14:09Z")
	require.NoError(t, e.ConsumeLogs(t.Context(), logsOf(nil, closed)))
	settled(t, e)
	after := f.bodies(7)
	require.Len(t, after, 3)
	assert.Contains(t, after[2], "**Closed:** Rolled back to 1.41.3 at 14\\:09Z")
	assert.NotContains(t, after[2], "Do one of")
	assert.Contains(t, after[0], "not ours", "another's comment with the same marker is left alone")
	done := f.status(head)
	assert.Equal(t, "failure", done.GetState())
	assert.Contains(t, done.GetDescription(), "Rolled back to 1.41.3")

	// A restart that hears only the old verdict does not reopen what is closed.
	require.NoError(t, e.Shutdown(t.Context()))
	edits := f.edits
	again := startTeller(t, f, nil)
	tell(t, again, worse)
	settled(t, again)
	assert.Equal(t, after, f.bodies(7))
	assert.Equal(t, edits, f.edits)
}

func TestRestartAndReplicasTellOnce(t *testing.T) {
	f := newFakeGitHub(t)
	replicas := []*teller{startTeller(t, f, nil), startTeller(t, f, nil)}
	for _, r := range replicas {
		tell(t, r, verdict(event.Regressed))
	}
	for _, r := range replicas {
		settled(t, r)
	}
	require.Len(t, f.bodies(7), 1)
	statuses := len(f.statuses[head])
	restarted := startTeller(t, f, nil)
	tell(t, restarted, verdict(event.Regressed))
	settled(t, restarted)
	assert.Len(t, f.bodies(7), 1)
	assert.Len(t, f.statuses[head], statuses, "the same status is not written again")
	assert.Zero(t, f.edits)
}

func TestOutageThenOnlyTheLatest(t *testing.T) {
	f := newFakeGitHub(t)
	f.set(func(w http.ResponseWriter, _ *http.Request) bool {
		answer(w, 502, map[string]string{"message": "bad gateway"})
		return true
	})
	e := startTeller(t, f, nil)
	tell(t, e, verdict(event.Watching))
	require.Eventually(t, func() bool { return f.callCount() >= 3 }, 10*time.Second, time.Millisecond, "it tries again")
	regressed := verdict(event.Regressed)
	regressed.At = regressed.At.Add(time.Minute)
	tell(t, e, regressed)
	f.set(nil)
	settled(t, e)
	assert.Len(t, f.bodies(7), 1)
	last := f.status(head)
	assert.Equal(t, "failure", last.GetState())
}

func TestRefusedIsNotTriedAgain(t *testing.T) {
	f := newFakeGitHub(t)
	f.set(func(w http.ResponseWriter, r *http.Request) bool {
		if r.Method != http.MethodPost {
			return false
		}
		answer(w, 422, map[string]string{"message": "No commit found for SHA"})
		return true
	})
	e := startTeller(t, f, nil)
	tell(t, e, verdict(event.Watching))
	settled(t, e)
	calls := f.callCount()
	for range 20 {
		tell(t, e, verdict(event.Watching))
	}
	settled(t, e)
	assert.Equal(t, calls, f.callCount())
}

func TestWaitsAsLongAsTheForgeAsks(t *testing.T) {
	now := start
	for name, limit := range map[string]struct {
		code    int
		headers map[string]string
		message string
		want    time.Duration
	}{
		"primary":                  {403, map[string]string{"X-RateLimit-Remaining": "0", "X-RateLimit-Reset": strconv.FormatInt(start.Add(17*time.Minute).Unix(), 10)}, "API rate limit exceeded", 17*time.Minute + time.Second},
		"secondary":                {403, map[string]string{"Retry-After": "90"}, "You have exceeded a secondary rate limit", 90 * time.Second},
		"secondary without a time": {403, nil, "You have exceeded a secondary rate limit. Please wait", time.Minute},
		"abuse detection":          {403, nil, "You have triggered an abuse detection mechanism. Please wait a few minutes before you try again.", time.Minute},
		"primary without headers":  {403, nil, "API rate limit exceeded for installation ID 7", time.Minute},
		"too many":                 {429, map[string]string{"Retry-After": start.Add(time.Minute).Format(http.TimeFormat)}, "slow down", time.Minute},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFakeGitHub(t)
			limited := true
			f.set(func(w http.ResponseWriter, _ *http.Request) bool {
				if !limited {
					return false
				}
				for k, v := range limit.headers {
					w.Header().Set(k, v)
				}
				body := map[string]string{"message": limit.message}
				if limit.code == 403 && strings.Contains(limit.message, "secondary") {
					body["documentation_url"] = "https://docs.github.com/rest/overview/rate-limits-for-the-rest-api#about-secondary-rate-limits"
				}
				answer(w, limit.code, body)
				return true
			})
			var mu sync.Mutex
			var slept []time.Duration
			e := startTeller(t, f, func(e *teller) {
				e.now = func() time.Time { return now }
				e.sleep = func(_ context.Context, d time.Duration) {
					mu.Lock()
					slept = append(slept, d)
					mu.Unlock()
					f.mu.Lock()
					limited = false
					f.mu.Unlock()
				}
			})
			tell(t, e, verdict(event.Watching))
			settled(t, e)
			mu.Lock()
			defer mu.Unlock()
			assert.Equal(t, []time.Duration{limit.want}, slept)
			s := f.status(head)
			assert.Equal(t, "pending", s.GetState())
		})
	}
}

func TestOnlyAdviseAndGateSpeak(t *testing.T) {
	f := newFakeGitHub(t)
	e := startTeller(t, f, nil)
	shadow := verdict(event.Regressed)
	shadow.Mode = event.Shadow
	tell(t, e, shadow)
	foreign := verdict(event.Regressed)
	foreign.Deployment.Repository = "https://evil.example/acme/shop"
	tell(t, e, foreign)
	short := verdict(event.Regressed)
	short.Deployment.Revision = "9f2c1ab"
	tell(t, e, short)
	settled(t, e)
	assert.Zero(t, f.callCount())
}

func TestCommentWaitsForItsSuspects(t *testing.T) {
	f := newFakeGitHub(t)
	e := startTeller(t, f, nil)
	v := verdict(event.Regressed)
	v.Suspicion, v.At = nil, v.RegressedAt.Add(time.Second)
	tell(t, e, v)
	settled(t, e)
	assert.Empty(t, f.bodies(12))
	v.At = v.RegressedAt.Add(31 * time.Second)
	tell(t, e, v)
	settled(t, e)
	require.Len(t, f.bodies(12), 1, "without suspects it goes to the head's pull request")
	assert.Contains(t, f.bodies(12)[0], "after this was deployed")
	v = verdict(event.Exonerated)
	v.At, v.RegressedAt, v.Reason = start.Add(10*time.Minute), start.Add(time.Minute), event.ReasonOldCohortAffected
	tell(t, e, v)
	settled(t, e)
	require.Len(t, f.bodies(12), 1)
	assert.Contains(t, f.bodies(12)[0], "but not because of this deploy")
	green := f.status(head)
	assert.Equal(t, "success", green.GetState())
}

// deployloop may be away for longer than a watch lasts: the status it left must not
// stay pending for ever, and is never green for that.
func TestAWatchThatNobodyWatchedIsNotPending(t *testing.T) {
	f := newFakeGitHub(t)
	before := startTeller(t, f, nil)
	tell(t, before, verdict(event.Watching))
	settled(t, before)
	require.NoError(t, before.Shutdown(t.Context()))
	watched := f.status(head)
	require.Equal(t, "pending", watched.GetState())
	over := verdict(event.Inconclusive)
	over.Reason, over.Detail, over.At = event.ReasonNotWatched, "deployloop was away since 2026-03-04T14:05:05Z and its watch is over", start.Add(5*time.Hour)
	for range 2 { // the second is a restart
		e := startTeller(t, f, nil)
		tell(t, e, over)
		settled(t, e)
		require.NoError(t, e.Shutdown(t.Context()))
		ended := f.status(head)
		assert.Equal(t, "error", ended.GetState())
		assert.Contains(t, ended.GetDescription(), "Nobody watched it to the end, so nothing is claimed.")
	}
	assert.Len(t, f.statuses[head], 2, "told once")
}
