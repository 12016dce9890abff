package forgeexporter

import (
	"flag"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-github/v89/github"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/plog"

	"github.com/deployloop/deployloop/internal/event"
	"github.com/deployloop/deployloop/internal/event/eventotlp"
)

// pushed are commits of the branch of pull request 31.
const (
	pushed = "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb1"
	mended = "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb2"
)

func feedback(revision string, state event.VerdictState, after time.Duration) event.Feedback {
	f := event.Feedback{
		ID: event.FeedbackID("acme/shop", "faster-cart", revision), Repository: "acme/shop", Ref: "faster-cart", Revision: revision, Mode: event.Advise,
		State: state, Tests: 212, StartedAt: start.Add(after), At: start.Add(after),
	}
	if state == event.Regressed {
		f.Judgements = []event.Judgement{{Call: event.NewFailure, LastPass: "a1b2c3d", FirstBad: revision,
			Test: &event.TestResult{Suite: "acme/cart", Case: "TestTotal", Status: "fail", File: "total_test.go", Line: 14, Message: "want <3>, got @4"}}}
	}
	return f
}

func tellBuild(t *testing.T, e *teller, f event.Feedback) {
	t.Helper()
	ld := plog.NewLogs()
	eventotlp.EncodeFeedback(f, ld.ResourceLogs().AppendEmpty().ScopeLogs().AppendEmpty().LogRecords().AppendEmpty())
	require.NoError(t, e.ConsumeLogs(t.Context(), ld))
	require.Eventually(t, func() bool {
		e.mu.Lock()
		defer e.mu.Unlock()
		for _, b := range e.builds.known {
			if b.pending {
				return false
			}
		}
		return true
	}, 10*time.Second, time.Millisecond)
}

func pullOfBranch(f *fakeGitHub) {
	open := []*github.PullRequest{{Number: github.Ptr(31), State: github.Ptr("open"), Head: &github.PullRequestBranch{SHA: github.Ptr(pushed)}}}
	f.pulls[pushed], f.pulls[mended] = open, open
}

func TestAPullRequestHearsOfItsTests(t *testing.T) {
	f := newFakeGitHub(t)
	pullOfBranch(f)
	e := startTeller(t, f, nil)

	watching := feedback(pushed, event.Watching, 0)
	watching.Running = true
	tellBuild(t, e, watching)
	require.Equal(t, "pending", *f.status(pushed).State)
	require.Equal(t, "deployloop/builds", *f.status(pushed).Context)
	calls := f.callCount()
	watching.Tests, watching.At = 300, watching.At.Add(time.Second)
	tellBuild(t, e, watching)
	require.Equal(t, calls, f.callCount(), "a count that moves is no news")
	require.Empty(t, f.bodies(31))

	bad := feedback(pushed, event.Regressed, 0)
	bad.Running, bad.At = true, bad.At.Add(2*time.Second)
	tellBuild(t, e, bad)
	require.Equal(t, "failure", *f.status(pushed).State, "while the run goes on")
	require.Len(t, f.bodies(31), 1)
	body := f.bodies(31)[0]
	for _, want := range []string{"### 1 new failure", "TestTotal", "`a1b2c3d`", "`go test -count=1 -run '^TestTotal$' acme/cart`", "/changes/" + pushed} {
		require.Contains(t, body, want)
	}
	require.NotContains(t, body, "<3>")
	require.NotContains(t, body, "@4")

	// A restart, and another replica, find what was said.
	calls = f.callCount()
	again := startTeller(t, f, nil)
	tellBuild(t, again, bad)
	require.Len(t, f.bodies(31), 1)
	require.Equal(t, body, f.bodies(31)[0])
	require.Greater(t, f.callCount(), calls)

	bad.Running, bad.At = false, bad.At.Add(time.Minute)
	bad.Production = []event.ProductionEffect{{Deployment: "d1", Service: "checkout", Environment: "production", State: event.Regressed, Summary: "errors rose", At: start}}
	tellBuild(t, e, bad)
	require.Contains(t, f.bodies(31)[0], "**In production:** checkout got worse in production")

	tellBuild(t, e, feedback(mended, event.Healthy, time.Hour))
	require.Equal(t, "success", *f.status(mended).State)
	require.Len(t, f.bodies(31), 1, "edited in place")
	require.Contains(t, f.bodies(31)[0], "nothing new; 212 tests")
	tellBuild(t, e, feedback(pushed, event.Regressed, 0)) // a late heartbeat of the commit before
	require.Contains(t, f.bodies(31)[0], "nothing new")
}

func TestBuildsThatAreFineAreSilent(t *testing.T) {
	f := newFakeGitHub(t)
	pullOfBranch(f)
	e := startTeller(t, f, nil)
	tellBuild(t, e, feedback(pushed, event.Healthy, 0))
	require.Equal(t, "success", *f.status(pushed).State)
	require.Empty(t, f.bodies(31))

	shadow := feedback(mended, event.Regressed, time.Minute)
	shadow.Mode = event.Shadow
	tellBuild(t, e, shadow)
	require.Empty(t, f.bodies(31), "shadow speaks to the page only")
}

// Statuses are of commits: one that a newer commit overtook hears of its end too.
// The comment is of the branch's newest.
func TestEveryCommitHasItsStatus(t *testing.T) {
	f := newFakeGitHub(t)
	pullOfBranch(f)
	e := startTeller(t, f, nil)
	older := feedback(pushed, event.Watching, 0)
	older.Running = true
	tellBuild(t, e, older)
	tellBuild(t, e, feedback(mended, event.Regressed, time.Minute))
	require.Equal(t, "failure", *f.status(mended).State)
	body := f.bodies(31)

	older = feedback(pushed, event.Regressed, 0)
	older.At = older.At.Add(2 * time.Minute) // its last job, or one that is run again
	tellBuild(t, e, older)
	require.Equal(t, "failure", *f.status(pushed).State)
	require.Equal(t, body, f.bodies(31))
	require.Contains(t, body[0], mended[:7])
}

// A branch outlives its pull requests.
func TestTheNextPullRequestOfABranchHears(t *testing.T) {
	f := newFakeGitHub(t)
	pullOfBranch(f)
	e := startTeller(t, f, nil)
	tellBuild(t, e, feedback(pushed, event.Regressed, 0))
	first := f.bodies(31)
	require.Len(t, first, 1)
	f.mu.Lock()
	f.pulls[mended] = []*github.PullRequest{{Number: github.Ptr(40), State: github.Ptr("open"), Head: &github.PullRequestBranch{SHA: github.Ptr(mended)}}}
	f.mu.Unlock()
	tellBuild(t, e, feedback(mended, event.Regressed, time.Hour))
	require.Equal(t, first, f.bodies(31), "it is merged")
	require.Len(t, f.bodies(40), 1)
}

// A pull request is often opened after the commit failed.
func TestAPullRequestThatIsOpenedLaterHears(t *testing.T) {
	f := newFakeGitHub(t)
	f.pulls[pushed] = []*github.PullRequest{}
	var ahead atomic.Int64
	e := startTeller(t, f, func(e *teller) { e.now = func() time.Time { return start.Add(time.Duration(ahead.Load())) } })
	bad := feedback(pushed, event.Regressed, 0)
	tellBuild(t, e, bad)
	calls := f.callCount()
	bad.At = bad.At.Add(time.Second)
	tellBuild(t, e, bad)
	require.Equal(t, calls, f.callCount(), "not at every heartbeat")

	pullOfBranch(f)
	ahead.Store(int64(2 * lookForPull))
	bad.At = bad.At.Add(time.Minute)
	tellBuild(t, e, bad)
	require.Len(t, f.bodies(31), 1)
	calls = f.callCount()
	ahead.Store(int64(10 * lookForPull))
	tellBuild(t, e, bad)
	require.Equal(t, calls, f.callCount(), "once it is told it is told")
}

// A run that is over and proved nothing is no longer pending, whatever a watch that
// proved nothing is: nobody would ever write that status again.
func TestARunThatIsOverIsNotPending(t *testing.T) {
	f := newFakeGitHub(t)
	pullOfBranch(f)
	e := startTeller(t, f, nil)
	going := feedback(pushed, event.Watching, 0)
	going.Running = true
	tellBuild(t, e, going)
	require.Equal(t, "pending", *f.status(pushed).State)
	over := feedback(pushed, event.Inconclusive, 0)
	over.Tests, over.At = 0, going.At.Add(time.Minute)
	tellBuild(t, e, over)
	require.Equal(t, "error", *f.status(pushed).State)
	require.Equal(t, "it ended without a result", *f.status(pushed).Description)
	require.Empty(t, f.bodies(31))
}

// What a developer reads, whole.
func TestTheCommentOfBuilds(t *testing.T) {
	f := feedback(pushed, event.Regressed, 0)
	f.Judgements = append(f.Judgements,
		event.Judgement{Call: event.NewFinding, Finding: &event.Finding{Tool: "staticcheck", Rule: "SA4006", File: "cart/total.go", Line: 9, Message: "this value of `sum` is never used"}},
		event.Judgement{Call: event.Slower, Measure: "acme/cart BenchmarkTotal", Unit: "ns/op", Shift: &event.Shift{Before: 120, After: 180, Ratio: 1.5}},
		event.Judgement{Call: event.KnownFlaky, Rate: 0.08, Test: &event.TestResult{Suite: "acme/cart", Case: "TestClock", Status: "fail", File: "clock_test.go", Line: 30, Message: "too late"}},
		event.Judgement{Call: event.NewFailure, LastPass: pushed, Test: &event.TestResult{Suite: "ci", Case: "[compile]", Status: "fail", File: "Cart.java", Line: 88,
			Message: "lines 41–42 of the log (an exception, runs through own code):\n  41: java.lang.IllegalStateException: closed\n  42:   at com.acme.Cart.total(Cart.java:88)"}},
		event.Judgement{Call: event.Fixed, Test: &event.TestResult{Suite: "acme/cart", Case: "TestTax", Status: "pass"}},
	)
	f.Production = []event.ProductionEffect{{Deployment: "d1", Service: "checkout", Environment: "production", State: event.Regressed, Summary: "errors 0.21% → 4.8%", At: start}}
	asWritten(t, "builds.md", buildComment(f, "https://loop.example"))
}

var update = flag.Bool("update", false, "write testdata/*.md anew")

// asWritten compares a comment with what was read and found good.
func asWritten(t *testing.T, file, comment string) {
	t.Helper()
	file = filepath.Join("testdata", file)
	if *update {
		require.NoError(t, os.WriteFile(file, []byte(comment), 0o600))
	}
	want, err := os.ReadFile(file)
	require.NoError(t, err)
	require.Equal(t, string(want), comment)
}

// A log may hold anything, and what follows it stays readable.
func TestAHostileLogStaysInItsFence(t *testing.T) {
	lines := judgementLines(event.Judgement{Call: event.NewFailure, LastPass: pushed, Test: &event.TestResult{Suite: "ci", Case: "[compile]", Status: "fail",
		Message: "line 1 of the log:\n  1: ````\n/close\n@everyone\x1b[2J\n" + strings.Repeat("x\n", 100)}})
	block := strings.Split(lines[1], "\n")
	require.Equal(t, "`````text", block[0])
	require.Equal(t, "  `````", block[len(block)-1])
	require.LessOrEqual(t, len(block), maxJobLines+3)
	for _, line := range block[1:] {
		require.True(t, strings.HasPrefix(line, "  "), "within its item of the list: %q", line)
		require.NotContains(t, line, "\x1b")
	}
	require.Contains(t, lines[2], "passed last at")
}

// A test may be called anything.
func TestHostileTestsStayInTheirPlace(t *testing.T) {
	f := feedback(pushed, event.Regressed, 0)
	const name = "Test|x`y` @everyone <img src=x> ![b](https://evil.example/p.png) --> #12\n\n# Heading"
	f.Judgements[0].Test = &event.TestResult{Suite: name, Case: name, Status: "fail", File: name, Message: name + "\n/close"}
	f.Judgements = append(f.Judgements, event.Judgement{Call: event.NewFinding, Finding: &event.Finding{Tool: name, Rule: name, File: name, Message: name}})
	f.Production = []event.ProductionEffect{{Service: name, Environment: name, Summary: name}}
	ours := regexp.MustCompile(`]\(<https://loop\.example/(changes|deployments)/[^>]*>\)`)
	lines := strings.SplitN(buildComment(f, "https://loop.example"), "\n", 3)
	for line := range strings.SplitSeq(lines[2], "\n") {
		if rest, ok := strings.CutPrefix(strings.TrimSpace(line), "`"); ok {
			require.Regexp(t, "`$", rest, "a command is code, whole")
			continue
		}
		line = ours.ReplaceAllString(line, "")
		require.NotRegexp(t, `<[a-zA-Z!/]`, line, "no HTML")
		require.NotRegexp(t, `@[a-zA-Z]`, line, "no mention")
		require.NotRegexp(t, `#[0-9]`, line, "no reference")
		require.NotRegexp(t, `[^\\]\]\(`, line, "no link or image but ours")
		require.NotContains(t, line, "://")
		require.NotRegexp(t, `^\s*(# |/close)`, line)
	}
}

// A commit is on several branches, and has one status: what is well when compared on a
// tag takes back nothing that main found, nor makes it green early.
func TestTheBranchesOfACommitShareItsStatus(t *testing.T) {
	f := newFakeGitHub(t)
	e := startTeller(t, f, nil)
	on := func(ref string, state event.VerdictState, running bool, after time.Duration) {
		x := feedback(pushed, state, after)
		x.ID, x.Ref, x.Running, x.StartedAt = event.FeedbackID("acme/shop", ref, pushed), ref, running, start
		x.Trunk = ref == "main"
		tellBuild(t, e, x)
	}
	for i, step := range []struct {
		ref     string
		state   event.VerdictState
		running bool
		want    string
	}{
		{"main", event.Watching, true, "pending"},
		{"v1.2.0", event.Healthy, false, "pending"},
		{"main", event.Regressed, false, "failure"},
		{"v1.2.0", event.Watching, true, "failure"},
		{"v1.2.0", event.Healthy, false, "failure"},
		{"main", event.Inconclusive, false, "error"},
		{"v1.2.0", event.Healthy, false, "error"},
		{"main", event.Healthy, false, "success"},
		{"v1.2.0", event.Regressed, false, "failure"},
		{"main", event.Watching, true, "failure"},
		{"main", event.Healthy, false, "success"},
	} {
		on(step.ref, step.state, step.running, time.Duration(i)*time.Minute)
		require.Equal(t, step.want, *f.status(pushed).State, "step %d", i)
	}
	calls := f.callCount()
	on("main", event.Healthy, false, time.Hour)
	require.Equal(t, calls, f.callCount(), "once each")
}
