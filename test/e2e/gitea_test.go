package e2e

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"code.gitea.io/sdk/gitea"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/plog"
	"go.yaml.in/yaml/v3"

	"github.com/deployloop/deployloop/internal/event"
	"github.com/deployloop/deployloop/internal/event/eventotlp"
	"github.com/deployloop/deployloop/test/deploylooptest"
	"github.com/deployloop/deployloop/test/giteatest"
	"github.com/deployloop/deployloop/test/load"
)

// The loop through a real Gitea: git push, its webhooks, its Actions (which
// test, report and deploy), the commit status and the comment on the pull
// request that did it; a reply with a waiver; the rollback.
func TestTheLoopTurnsThroughGitea(t *testing.T) {
	t.Setenv("DEPLOYLOOP_BIN", deploylooptest.Program(t)) // the workflow runs it too
	forge := giteatest.Start(t)
	ada, bot, eve := forge.User("ada", true), forge.User("deployloop-bot", false), forge.User("eve", false)
	shop := newShop(t, forge, ada, bot)

	news := filepath.Join(t.TempDir(), "news.json")
	loop := deploylooptest.Start(t, deploylooptest.Options{
		Heartbeat: heartbeat, Anomaly: map[string]any{
			"watch": []string{"1m", "10m"}, "repositories": []any{map[string]any{"service": "checkout", "path": shop.clone}},
		},
		Configs: [][]byte{loopWithGitea(t, forge.URL, bot, news)},
	})
	shop.connect(loop)
	runner := forge.StartRunner(ada, "shop", "CICD="+loop.CICD, "HOME="+t.TempDir())

	// Version 1.0.0: pushed, tested, reported, tagged, deployed; then some traffic.
	shop.git("push", "origin", "main")
	good := shop.release("v1.0.0")
	deployed(t, loop, runner, good)
	ctx, stop := context.WithCancel(context.Background())
	generator := load.New(loop.OTLP, 1)
	var running sync.WaitGroup
	running.Go(func() { generator.Run(ctx) })
	t.Cleanup(func() { stop(); running.Wait() })
	serve := func(name, version, revision string, instances int, failing float64) {
		cohort := load.Cohort{
			Service: "checkout", Environment: "production", Version: version, Revision: revision, Instances: instances, Rate: 50 * float64(instances),
			Operation: "POST /cart/checkout", ErrorRatio: failing,
		}
		if failing > 0.1 {
			cohort.Exception = &load.Exception{
				Type: "runtime.boundsError", Message: "index out of range [1] with length 1", LogLine: "panic: runtime error: index out of range [1] with length 1",
				Stacktrace: "goroutine 42 [running]:\nshop/cart.Total({0xc000012345, 0x1, 0x1})\n\t/src/cart/total.go:9 +0x1d\nmain.checkout()\n\t/src/main.go:20 +0x2f\n",
			}
		}
		generator.Set(name, cohort)
	}
	serve("old", "1.0.0", good, 4, 0.01)
	eventually(t, 60*time.Second, func() bool { return generator.Sent("old").Requests > 2000 }, "some history")

	// Version 1.1.0 ships two pull requests: one breaks the total, the head only a text.
	culprit := shop.merge("totals", "cart/total.go", strings.Replace(totalGo, "sum := 0", "sum := lines[1] // the second line has the discount", 1))
	innocent := shop.merge("readme", "README.md", "# Shop\nBuys things.\n")
	open := shop.propose("more-totals", "cart/total.go", strings.Replace(totalGo, "sum := 0", "sum := 0 // cents", 1))
	bad := shop.release("v1.1.0")
	deployed(t, loop, runner, bad)
	serve("old", "1.0.0", good, 3, 0.01)
	serve("new", "1.1.0", bad, 1, 0.3)

	var comment *gitea.Comment
	eventually(t, 90*time.Second, func() bool {
		comments := shop.comments(bot, culprit)
		if len(comments) == 0 {
			return false
		}
		comment = comments[0]
		return len(shop.statuses(bad)) > 1
	}, "a comment on the pull request that did it")
	statuses := shop.statuses(bad)
	assert.Equal(t, gitea.StatusPending, statuses[0].State, "pending first")
	last := statuses[len(statuses)-1]
	assert.Equal(t, gitea.StatusFailure, last.State)
	assert.Equal(t, "deployloop/production/checkout", last.Context)
	assert.Contains(t, last.Description, "since "+bad[:7]+" went out")
	assert.Equal(t, "deployloop-bot", comment.Poster.UserName)
	assert.Contains(t, comment.Body, "### checkout got worse in production after this merged")
	assert.Contains(t, comment.Body, "- `git push origin v1.0.0:refs/tags/again`", "the rollback")
	assert.Contains(t, comment.Body, "**Why this commit:**")
	assert.Empty(t, shop.comments(bot, innocent), "the other pull request is left alone")

	// What Gitea and its Actions told on the way.
	assertHeard(t, news, shop, good, bad)

	// A restart in the middle tells nothing twice.
	loop.Stop()
	loop.Start()
	assert.Equal(t, last.ID, shop.lastStatus(bad).ID)

	// Who has the same file in the works hears of it, once; who may not push
	// cannot waive.
	eventually(t, 60*time.Second, func() bool { return len(shop.comments(bot, open)) == 1 }, "a warning")
	assert.Contains(t, shop.comments(bot, open)[0].Body, "A regression points to `cart/total.go`")
	_, _, err := eve.CreateIssueComment("ada", "shop", culprit, gitea.CreateIssueCommentOption{Body: "/deployloop waive nobody minds"})
	require.NoError(t, err)

	// The rollback.
	again := shop.rollback()
	deployed(t, loop, runner, again)
	generator.Stop("new")
	serve("old", "1.0.0", good, 4, 0.01)
	eventually(t, 90*time.Second, func() bool {
		return strings.Contains(shop.comments(bot, culprit)[0].Body, "**Closed:** Rolled back") && strings.Contains(shop.lastStatus(bad).Description, "Rolled back")
	}, "the comment and the status say so")
	comments := shop.comments(bot, culprit)
	require.Len(t, comments, 1)
	assert.Equal(t, comment.ID, comments[0].ID, "edited in place")
	assert.NotContains(t, comments[0].Body, "Do one of")
	assert.Equal(t, gitea.StatusFailure, shop.lastStatus(bad).State, "the commit did harm")
	assert.Len(t, shop.comments(bot, open), 1)
	for _, s := range shop.statuses(bad) {
		assert.NotEqual(t, gitea.StatusSuccess, s.State, "never green")
	}
}

// loopWithGitea is what is laid over the built-in configuration.
func loopWithGitea(t *testing.T, endpoint string, bot giteatest.Account, news string) []byte {
	type m = map[string]any
	config, err := yaml.Marshal(m{
		"receivers": m{"cicd": m{"gitea": m{"secret": hookSecret}}},
		"exporters": m{
			"file": m{"path": news, "flush_interval": "100ms"},
			"forge": m{
				"forge": "gitea", "endpoint": endpoint, "token": bot.Token, "requests_per_second": 50,
				"repositories": []m{{"service": "checkout", "repository": "ada/shop"}},
			},
		},
		"service": m{"pipelines": m{
			"logs/news":     m{"receivers": []string{"cicd"}, "exporters": []string{"file"}},
			"logs/verdicts": m{"receivers": []string{"anomaly"}, "exporters": []string{"forge"}},
		}},
	})
	require.NoError(t, err)
	return config
}

// deployed waits until the runner deployed a revision and the loop heard of it.
func deployed(t *testing.T, loop *deploylooptest.Loop, runner *giteatest.Runner, revision string) {
	t.Helper()
	eventually(t, 120*time.Second, func() bool {
		for _, job := range runner.Jobs() {
			require.True(t, job.Succeeded, "%s of %s: %s", job.Workflow, job.SHA, job.Output)
		}
		d, err := loop.Deployment("checkout", revision)
		return err == nil && d.Environment == "production"
	}, "deployed by Actions: "+revision)
}

// assertHeard reads what passed the pipeline: Gitea's pushes and runs, and the
// tests that the workflow reported.
func assertHeard(t *testing.T, news string, shop *shop, good, bad string) {
	t.Helper()
	pushed, runs, tests := map[string]bool{}, map[string]event.PipelineRun{}, map[string]string{}
	eventually(t, 30*time.Second, func() bool {
		file, err := os.ReadFile(news)
		if errors.Is(err, fs.ErrNotExist) {
			return false
		}
		require.NoError(t, err)
		for line := range strings.SplitSeq(string(file), "\n") {
			ld, err := (&plog.JSONUnmarshaler{}).UnmarshalLogs([]byte(line))
			if err != nil {
				continue // the line that is being written
			}
			for _, rl := range ld.ResourceLogs().All() {
				for _, sl := range rl.ScopeLogs().All() {
					for _, lr := range sl.LogRecords().All() {
						switch eventotlp.Name(lr) {
						case event.NameChange:
							c, err := eventotlp.DecodeChange(rl.Resource(), lr)
							require.NoError(t, err)
							pushed[c.Revision] = true
						case event.NamePipelineRun:
							r, err := eventotlp.DecodePipelineRun(rl.Resource(), lr)
							require.NoError(t, err)
							if r.State == "finished" {
								runs[r.Pipeline+" "+r.Task+" "+r.Revision] = r
							}
						case event.NameTestResult:
							r, err := eventotlp.DecodeTestResult(rl.Resource(), lr)
							require.NoError(t, err)
							tests[r.Case+" "+r.Revision] = r.Status
						}
					}
				}
			}
		}
		return len(tests) > 0 && len(runs) > 2
	}, "Gitea's news")
	assert.True(t, pushed[good] && pushed[bad], "the pushes: %v", pushed)
	for _, revision := range []string{good, bad} {
		assert.Equal(t, "success", runs["test  "+revision].Result, "the run of the tests")
		assert.Equal(t, "success", runs["deploy  "+revision].Result, "the run that deployed")
		assert.Equal(t, "pass", tests["TestTotalOfNothing "+revision], "the report")
	}
}

const hookSecret = "of this test alone"

// shop is a repository on Gitea, with a clone that pushes to it.
type shop struct {
	t     *testing.T
	owner giteatest.Account
	clone string
}

const (
	totalGo = `// Package cart adds up.
package cart

// Total of the lines, in cents.
func Total(lines []int) int {
	if len(lines) == 0 {
		return 0
	}
	sum := 0
	for _, line := range lines {
		sum += line
	}
	return sum
}
`
	totalTestGo = `package cart

import "testing"

func TestTotalOfNothing(t *testing.T) {
	if Total(nil) != 0 {
		t.Fatal("not nothing")
	}
}
`
	ciYAML = `name: test
on: {push: {branches: [main]}}
jobs:
  test:
    runs-on: host
    steps:
      - run: git clone -q "$GITHUB_SERVER_URL/$GITHUB_REPOSITORY" . && git checkout -q "$GITHUB_SHA"
      - run: go test -json ./... > report.json
      - run: |
          curl -sS --max-time 60 --fail-with-body --data-binary @report.json -H 'Content-Type: application/json' "$CICD/v1/reports?revision=$GITHUB_SHA&repository=$GITHUB_REPOSITORY"
`
	deployYAML = `name: deploy
on: {push: {tags: ['*']}}
jobs:
  deploy:
    runs-on: host
    steps:
      - run: git clone -q "$GITHUB_SERVER_URL/$GITHUB_REPOSITORY" . && git checkout -q "$GITHUB_SHA"
      - run: |
          "$DEPLOYLOOP_BIN" mark --endpoint "$CICD" --service checkout --environment production --revision "$GITHUB_SHA" \
            --version "$(cat VERSION)" --rollback-command 'git push origin v1.0.0:refs/tags/again'
`
)

// newShop makes the repository with two workflows, which ada owns and the bot
// may administer, and one commit that is not pushed yet.
func newShop(t *testing.T, forge *giteatest.Server, ada, bot giteatest.Account) *shop {
	_, _, err := ada.CreateRepo(gitea.CreateRepoOption{Name: "shop", DefaultBranch: "main"})
	require.NoError(t, err)
	administer := gitea.AccessModeAdmin // else Gitea does not tell what others may do
	_, err = ada.AddCollaborator("ada", "shop", bot.Name, gitea.AddCollaboratorOption{Permission: &administer})
	require.NoError(t, err)
	s := &shop{t: t, owner: ada, clone: t.TempDir()}
	s.git("init", "-q", "-b", "main")
	s.git("remote", "add", "origin", strings.Replace(forge.URL, "http://", "http://ada:"+ada.Token+"@", 1)+"/ada/shop.git")
	for name, text := range map[string]string{
		"go.mod": "module shop\n\ngo 1.26\n", "VERSION": "1.0.0\n", "cart/total.go": totalGo, "cart/total_test.go": totalTestGo,
		".gitea/workflows/ci.yaml": ciYAML, ".gitea/workflows/deploy.yaml": deployYAML,
	} {
		s.write(name, text)
	}
	s.commit("Sell things")
	return s
}

// connect points a webhook of the repository at the loop.
func (s *shop) connect(loop *deploylooptest.Loop) {
	_, _, err := s.owner.CreateRepoHook("ada", "shop", gitea.CreateHookOption{
		Type: gitea.HookTypeGitea, Active: true, Events: []string{"push", "pull_request", "workflow_run", "workflow_job"},
		Config: map[string]string{"url": loop.CICD + "/webhooks/gitea", "content_type": "json", "secret": hookSecret},
	})
	require.NoError(s.t, err)
}

func (s *shop) git(arguments ...string) string {
	s.t.Helper()
	git := exec.Command("git", arguments...)
	git.Dir = s.clone
	git.Env = append(os.Environ(), "GIT_CONFIG_GLOBAL=/dev/null", "GIT_CONFIG_NOSYSTEM=1", "GIT_TERMINAL_PROMPT=0",
		"GIT_AUTHOR_NAME=Ada", "GIT_AUTHOR_EMAIL=ada@example.com", "GIT_COMMITTER_NAME=Ada", "GIT_COMMITTER_EMAIL=ada@example.com")
	out, err := git.CombinedOutput()
	require.NoError(s.t, err, "git %s: %s", arguments, out)
	return strings.TrimSpace(string(out))
}

func (s *shop) write(name, text string) {
	s.t.Helper()
	path := filepath.Join(s.clone, name)
	require.NoError(s.t, os.MkdirAll(filepath.Dir(path), 0o755))
	require.NoError(s.t, os.WriteFile(path, []byte(text), 0o600))
}

func (s *shop) commit(message string) {
	s.git("add", "-A")
	s.git("commit", "-q", "-m", message)
}

// propose opens a pull request that changes one file; its number.
func (s *shop) propose(branch, name, text string) int64 {
	s.t.Helper()
	s.git("checkout", "-q", "-b", branch, "main")
	s.write(name, text)
	s.commit("Change " + name)
	s.git("push", "-q", "origin", branch)
	s.git("checkout", "-q", "main")
	pull, _, err := s.owner.CreatePullRequest("ada", "shop", gitea.CreatePullRequestOption{Head: branch, Base: "main", Title: "Change " + name})
	require.NoError(s.t, err)
	return pull.Index
}

// merge brings a pull request to main with a merge commit, as most do.
func (s *shop) merge(branch, name, text string) int64 {
	s.t.Helper()
	number := s.propose(branch, name, text)
	eventually(s.t, 30*time.Second, func() bool {
		done, _, err := s.owner.MergePullRequest("ada", "shop", number, gitea.MergePullRequestOption{Style: gitea.MergeStyleMerge})
		return err == nil && done
	}, "merged: "+branch)
	s.git("pull", "-q", "--ff-only", "origin", "main")
	return number
}

// release tags main with a version, which deploys it; its revision.
func (s *shop) release(tag string) string {
	s.t.Helper()
	s.write("VERSION", strings.TrimPrefix(tag, "v")+"\n")
	if s.git("status", "--porcelain") != "" {
		s.commit("Release " + tag)
		s.git("push", "-q", "origin", "main")
	}
	s.git("tag", tag)
	s.git("push", "-q", "origin", tag)
	return s.git("rev-parse", "HEAD")
}

// rollback does what the comment says.
func (s *shop) rollback() string {
	s.git("push", "-q", "origin", "v1.0.0:refs/tags/again")
	return s.git("rev-parse", "v1.0.0")
}

// comments are one account's on a pull request, oldest first.
func (s *shop) comments(of giteatest.Account, pull int64) []*gitea.Comment {
	s.t.Helper()
	list, _, err := s.owner.ListIssueComments("ada", "shop", pull, gitea.ListIssueCommentOptions{})
	require.NoError(s.t, err)
	var own []*gitea.Comment
	for _, c := range list {
		if c.Poster.UserName == of.Name {
			own = append(own, c)
		}
	}
	return own
}

// statuses of a commit that deployloop wrote, oldest first.
func (s *shop) statuses(revision string) []*gitea.Status {
	s.t.Helper()
	list, _, err := s.owner.ListStatuses("ada", "shop", revision, gitea.ListStatusesOption{})
	require.NoError(s.t, err)
	var own []*gitea.Status
	for _, status := range list {
		if strings.HasPrefix(status.Context, "deployloop/") {
			own = append([]*gitea.Status{status}, own...)
		}
	}
	return own
}

func (s *shop) lastStatus(revision string) *gitea.Status {
	s.t.Helper()
	list := s.statuses(revision)
	require.NotEmpty(s.t, list, fmt.Sprint("statuses of ", revision))
	return list[len(list)-1]
}
