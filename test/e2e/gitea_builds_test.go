package e2e

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"code.gitea.io/sdk/gitea"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/time/rate"

	"github.com/deployloop/deployloop/internal/event"
	"github.com/deployloop/deployloop/internal/forge/forgeapi"
	"github.com/deployloop/deployloop/test/contracttest"
	"github.com/deployloop/deployloop/test/deploylooptest"
	"github.com/deployloop/deployloop/test/giteatest"
)

// reportYAML tests every branch, and reports whatever the tests say. Tests this
// short would be over before Gitea has delivered that they began: the run waits for
// the status that says so.
const reportYAML = `name: test
on: push
jobs:
  test:
    runs-on: host
    steps:
      - run: git clone -q "$GITHUB_SERVER_URL/$GITHUB_REPOSITORY" . && git checkout -q "$GITHUB_SHA"
      - run: |
          for _ in $(seq 300); do
            curl -sS --max-time 60 "$GITHUB_SERVER_URL/api/v1/repos/$GITHUB_REPOSITORY/commits/$GITHUB_SHA/statuses" | grep -q deployloop/builds && exit
            sleep 0.2
          done
          echo 'deployloop/builds does not say that the run goes on'; exit 1
      - run: |
          failed=0
          go test -json ./... > report.json || failed=$?
          curl -sS --max-time 60 --fail-with-body --data-binary @report.json -H 'Content-Type: application/json' "$CICD/v1/reports?revision=$GITHUB_SHA&repository=$GITHUB_REPOSITORY&ref=$GITHUB_REF"
          exit $failed
`

// The loop before a merge, through a real Gitea: a push breaks a test, and its
// commit and its pull request hear which; the next push mends it, and both hear
// that, without a second comment. A restart in between tells nothing twice.
func TestTheLoopTurnsThroughGiteaBeforeTheMerge(t *testing.T) {
	forge := giteatest.Start(t)
	ada, bot, eve := forge.User("ada", true), forge.User("deployloop-bot", false), forge.User("eve", false)
	shop := newShop(t, forge, ada, bot)
	shop.write(".gitea/workflows/ci.yaml", reportYAML)
	shop.commit("Test every branch")
	loop := deploylooptest.Start(t, deploylooptest.Options{
		Heartbeat: heartbeat, Anomaly: map[string]any{"builds": map[string]any{"quiet": "2s"}},
		Configs: [][]byte{loopWithGitea(t, contracttest.Gitea(t).Before(t, forge.URL), bot, t.TempDir()+"/news.json")},
	})
	shop.connect(loop)
	forge.StartRunner(ada, "shop", "CICD="+loop.CICD, "HOME="+t.TempDir())
	states := func(revision string) (list []gitea.StatusState) {
		for _, s := range shop.statuses(revision) {
			assert.Equal(t, "deployloop/builds", s.Context)
			list = append(list, s.State)
		}
		return list
	}
	becomes := func(revision string, state gitea.StatusState) {
		t.Helper()
		eventually(t, 120*time.Second, func() bool {
			list := states(revision)
			return len(list) > 0 && list[len(list)-1] == state
		}, "deployloop/builds of "+revision+" becomes "+string(state))
	}

	// The main branch is what others are compared with.
	shop.git("push", "-q", "origin", "main")
	good := shop.git("rev-parse", "HEAD")
	becomes(good, gitea.StatusSuccess)

	// A branch breaks a test.
	pull := shop.propose("totals", "cart/total.go", strings.Replace(totalGo, "return 0", "return 1", 1))
	broken := shop.git("rev-parse", "totals")
	becomes(broken, gitea.StatusFailure)
	assert.Equal(t, gitea.StatusPending, states(broken)[0], "pending first")
	eventually(t, 60*time.Second, func() bool { return len(shop.comments(bot, pull)) > 0 }, "a comment on the pull request")
	eventually(t, 60*time.Second, func() bool {
		var answer struct{ Feedback []event.Feedback }
		return loop.Get("/api/v1/feedback?revision="+broken, &answer) == nil && len(answer.Feedback) == 1 && !answer.Feedback[0].Running
	}, "the run is over")
	comment := shop.comments(bot, pull)[0]
	t.Logf("the comment:\n%s", comment.Body)
	for _, part := range []string{"### 1 new failure", "TestTotalOfNothing", "total\\_test.go\\:7", "not nothing", "passed last at `" + good[:7] + "`", "`go test -count=1 -run '^TestTotalOfNothing$' shop/cart`"} {
		assert.Contains(t, comment.Body, part)
	}
	assert.NotContains(t, states(broken), gitea.StatusSuccess, "never green")

	said := shop.lastStatus(broken)
	loop.Stop()
	loop.Start()

	// The next push mends it.
	shop.git("checkout", "-q", "totals")
	shop.write("cart/total.go", strings.Replace(totalGo, "return 0", "return 0 // of nothing", 1))
	shop.commit("Mend the total of nothing")
	shop.git("push", "-q", "origin", "totals")
	mended := shop.git("rev-parse", "HEAD")
	becomes(mended, gitea.StatusSuccess)
	eventually(t, 60*time.Second, func() bool { return strings.Contains(shop.comments(bot, pull)[0].Body, "nothing new") }, "the comment says so")
	comments := shop.comments(bot, pull)
	require.Len(t, comments, 1, "not a second one")
	assert.Equal(t, comment.ID, comments[0].ID, "edited in place")
	assert.Contains(t, comments[0].Body, mended[:7])
	assert.Equal(t, said.ID, shop.lastStatus(broken).ID, "the restart told nothing twice")

	// Squashed, its pull request is still found; and Gitea tells who may push.
	eventually(t, 30*time.Second, func() bool {
		done, _, err := ada.MergePullRequest("ada", "shop", pull, gitea.MergePullRequestOption{Style: gitea.MergeStyleSquash})
		return err == nil && done
	}, "squashed")
	main, _, err := ada.GetRepoBranch("ada", "shop", "main")
	require.NoError(t, err)
	api, err := forgeapi.NewGitea(forgeapi.Options{
		Endpoint: forge.URL, Token: bot.Token, HTTP: &http.Client{Transport: &http.Transport{DisableKeepAlives: true}},
		Limiter: rate.NewLimiter(rate.Inf, 0), Now: time.Now,
	})
	require.NoError(t, err)
	found, err := api.MergedPull(t.Context(), "ada/shop", main.Commit.ID)
	require.NoError(t, err)
	assert.Equal(t, pull, found)
	for account, want := range map[giteatest.Account]bool{ada: true, bot: true, eve: false} {
		may, err := api.MayWrite(t.Context(), "ada/shop", forgeapi.Author{Login: account.Name})
		require.NoError(t, err)
		assert.Equal(t, want, may, account.Name)
	}
}
