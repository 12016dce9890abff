package forgeexporter

import (
	"net/http"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-github/v89/github"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/deployloop/deployloop/internal/event"
	"github.com/deployloop/deployloop/internal/ledger"
)

func TestReadWaiver(t *testing.T) {
	for body, want := range map[string][2]string{
		"/deployloop waive known":                             {"", "known"},
		"\n /deployloop waive until 2026-04-01 known\nmore":   {"2026-04-01", "known"},
		"/deployloop waive":                                   {"", ""},
		"/deployloop waive until 2026-04-01":                  {"2026-04-01", ""},
		"/deployloop waive until it is mended, say Wednesday": {"", "until it is mended, say Wednesday"},
	} {
		until, reason, ok := readWaiver(body)
		require.True(t, ok, body)
		assert.Equal(t, want, [2]string{until, reason}, body)
	}
	for _, body := range []string{"", "> /deployloop waive quoted", "see /deployloop waive", "/deployloop waiver x", "text\n/deployloop waive later"} {
		_, _, ok := readWaiver(body)
		assert.False(t, ok, body)
	}
}

// mayPush makes the fake tell who may push, and gives the number of times it was asked.
func mayPush(f *fakeGitHub, who string) *atomic.Int64 {
	asked := &atomic.Int64{}
	f.set(func(w http.ResponseWriter, r *http.Request) bool {
		name, ok := strings.CutPrefix(r.URL.Path, "/repos/acme/shop/collaborators/")
		if !ok {
			return false
		}
		asked.Add(1)
		level := "read"
		if name == who+"/permission" {
			level = "write"
		}
		answer(w, 200, map[string]any{"permission": level, "role_name": level})
		return true
	})
	return asked
}

func reply(f *fakeGitHub, login, body string, at time.Time) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.add(7, login, body).CreatedAt = &github.Timestamp{Time: at}
}

func TestOnlyWhoMayPushWaives(t *testing.T) {
	f := newFakeGitHub(t)
	asked := mayPush(f, "ada")
	e := startTeller(t, f, func(e *teller) {
		e.cfg.WaiverInterval = time.Millisecond
		e.now = func() time.Time { return start.Add(time.Hour).Add(time.Since(began)) }
	})
	open := closedBy(verdict(event.Regressed), "", "")
	open.Closure, open.Open, open.StartsAt = nil, true, start
	recorder := e.ledger
	recorder.RecordAnomaly(open)
	require.NoError(t, e.ConsumeLogs(t.Context(), logsOf(nil, open)))
	settled(t, e)
	require.Contains(t, f.bodies(7)[0], "`/deployloop waive REASON`")

	reply(f, "ada", "/deployloop waive of the deployment before", start)
	reply(f, "eve", "/deployloop waive nobody minds", start.Add(5*time.Minute))
	require.Eventually(t, func() bool { return asked.Load() == 1 }, 10*time.Second, time.Millisecond)
	calls := f.callCount()
	require.Eventually(t, func() bool { return f.callCount() > calls+4 }, 10*time.Second, time.Millisecond, "it goes on looking")
	assert.EqualValues(t, 1, asked.Load(), "a reply is judged once")
	known, _ := e.ledger.(ledger.Reader).Anomaly(open.ID)
	require.True(t, known.Open, "neither eve's nor an old one counts")

	reply(f, "ada", "/deployloop waive until 2026-03-10 mended in 1.43.0", start.Add(6*time.Minute))
	require.Eventually(t, func() bool {
		known, _ = e.ledger.(ledger.Reader).Anomaly(open.ID)
		return !known.Open
	}, 10*time.Second, time.Millisecond)
	assert.Equal(t, event.ClosedWaived, known.Closure.Reason)
	assert.Equal(t, "ada", known.Closure.By)
	assert.Equal(t, "mended in 1.43.0", known.Closure.Detail)
	assert.Equal(t, "2026-03-10", known.Closure.Until.Format(time.DateOnly))
	require.Eventually(t, func() bool { return len(e.threads()) == 0 }, 10*time.Second, time.Millisecond, "what is waived is not read on")
}

var began = time.Now()

func TestOpenPullsAreWarnedOnce(t *testing.T) {
	f := newFakeGitHub(t)
	listed := &atomic.Int64{}
	f.set(func(w http.ResponseWriter, r *http.Request) bool {
		switch r.URL.Path {
		case "/repos/acme/shop/pulls":
			listed.Add(1)
			assert.Equal(t, "open", r.URL.Query().Get("state"))
			answer(w, 200, []*github.PullRequest{{Number: github.Ptr(31)}, {Number: github.Ptr(32)}, {Number: github.Ptr(33)}})
		case "/repos/acme/shop/pulls/31/files":
			answer(w, 200, []*github.CommitFile{{Filename: github.Ptr("README.md")}})
		case "/repos/acme/shop/pulls/32/files":
			answer(w, 200, []*github.CommitFile{{Filename: github.Ptr("cart/sum.ts"), PreviousFilename: github.Ptr("cart/total.ts")}})
		default:
			return false
		}
		return true
	})
	only := func(e *teller) { e.cfg.WarnPulls = 2 }
	v := verdict(event.Regressed)
	v.Suspicion.Suspects[0].File = "cart/total.ts"
	for range 2 { // the second is a restart
		e := startTeller(t, f, only)
		tell(t, e, v)
		settled(t, e)
		require.Eventually(t, func() bool {
			e.mu.Lock()
			defer e.mu.Unlock()
			return e.deployments["d1"].warned
		}, 10*time.Second, time.Millisecond)
		require.NoError(t, e.Shutdown(t.Context()))
	}
	assert.EqualValues(t, 2, listed.Load())
	assert.Empty(t, f.bodies(31))
	require.Len(t, f.bodies(32), 1)
	assert.Contains(t, f.bodies(32)[0], "A regression points to `cart/total.ts`")
	assert.Empty(t, f.bodies(33), "beyond warn_pulls")
	f.mu.Lock()
	defer f.mu.Unlock()
	posts := slices.DeleteFunc(slices.Clone(f.calls), func(call string) bool { return call != "POST /repos/acme/shop/issues/32/comments" })
	assert.Len(t, posts, 1, "not even posted and taken back")
}
