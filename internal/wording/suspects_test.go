package wording

import (
	"math"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/deployloop/deployloop/internal/event"
)

func TestAffectedLine(t *testing.T) {
	require.Empty(t, AffectedLine(nil))
	require.Equal(t, "web: 12% of 2,900 calls to checkout fail (0.1% before); edge: 3% of 410 calls to web fail (0% before)", AffectedLine([]event.Affected{
		{Service: "web", Calls: "checkout", Requests: 2900, Failed: 348, Share: .12, Before: .001},
		{Service: "edge\nx", Calls: "web", Requests: math.NaN()},
		{Service: "edge", Calls: "web", Requests: 410, Failed: 12, Share: .03},
	}))
}

func TestAnotherDeploymentIsNamed(t *testing.T) {
	s := &event.Suspicion{Commits: 3, Abstained: true, Range: "a..b", Deployments: []event.DeploySuspect{
		{Service: "payment", Version: "1.4", Probability: .85, Explained: .9}, {Service: "checkout", Version: "2", Probability: .1},
	}}
	require.Equal(t, "this deployment; the commit is not certain (3 commits in a..b); more likely payment 1.4, which it calls (85%): failed calls to it explain 90% of the harm", SuspectSentence(s))
	s.Deployments[0], s.Deployments[1] = s.Deployments[1], s.Deployments[0]
	require.NotContains(t, SuspectSentence(s), "more likely")
}

func TestChangedPlace(t *testing.T) {
	s := &event.Suspicion{Commits: 3, Suspects: []event.Suspect{{
		File: "cart/total.go", Line: 42, PointedBy: "Total (/app/cart/total.go:42)", Hunk: "@@ -42 +42 @@ func Total\n-a\n+b\n",
	}}}
	caption, diff := ChangedPlace(s)
	require.Equal(t, "cart/total.go:42, where Total (/app/cart/total.go:42) points", caption)
	require.Equal(t, "@@ -42 +42 @@ func Total\n-a\n+b", diff)
	s.Suspects[0].Hunk = strings.Repeat("+x\n", 100)
	_, diff = ChangedPlace(s)
	require.Equal(t, hunkLines+1, strings.Count(diff, "\n")+1)
	s.Abstained = true
	caption, diff = ChangedPlace(s)
	require.Empty(t, caption+diff, "no commit is named, so none of its lines are shown")
}
