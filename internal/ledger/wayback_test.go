package ledger

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/deployloop/deployloop/internal/event"
)

// TestWayBack: versions come ten minutes apart, each told by its Helm release;
// the last one asks for its way back.
func TestWayBack(t *testing.T) {
	type step struct {
		version string
		status  event.DeploymentStatus
		verdict event.VerdictState
		closed  event.ClosureReason
	}
	bad := func(version string) step { return step{version, "", event.Regressed, ""} }
	good := func(version string) step { return step{version, "", event.Healthy, ""} }
	for name, c := range map[string]struct {
		steps     []step
		regressed []string
		good      string // "" with regressed: none is known
		release   string
	}{
		"after a good one":              {[]step{good("1"), bad("2")}, nil, "", ""},
		"after a bad one":               {[]step{good("1"), bad("2"), bad("3")}, []string{"2"}, "1", "r1"},
		"after two bad ones":            {[]step{good("1"), bad("2"), bad("3"), bad("4")}, []string{"3", "2"}, "1", "r1"},
		"a good one in between":         {[]step{bad("1"), good("2"), bad("3")}, nil, "", ""},
		"a rollback in between":         {[]step{good("1"), bad("2"), good("1"), bad("3")}, nil, "", ""},
		"before it is judged itself":    {[]step{good("1"), bad("2"), {"3", "", event.Watching, ""}}, []string{"2"}, "1", "r1"},
		"bad, and bad again":            {[]step{good("1"), bad("2"), bad("2"), bad("3")}, []string{"2"}, "1", "r1"},
		"the same, deployed before":     {[]step{good("1"), bad("3"), bad("2"), bad("3")}, []string{"2"}, "1", "r1"},
		"failed and undone ones":        {[]step{good("1"), {"x", event.DeploymentFailed, "", ""}, {"y", event.DeploymentRolledBack, "", ""}, bad("2"), bad("3")}, []string{"2"}, "1", "r1"},
		"the bad one was accepted":      {[]step{good("1"), {"2", "", event.Regressed, event.ClosedWaived}, bad("3")}, nil, "", ""},
		"the bad one recovered":         {[]step{good("1"), {"2", "", event.Regressed, event.ClosedRecovered}, bad("3")}, nil, "", ""},
		"the bad one was replaced":      {[]step{good("1"), {"2", "", event.Regressed, event.ClosedSuperseded}, bad("3")}, []string{"2"}, "1", "r1"},
		"nothing good":                  {[]step{bad("1"), bad("2")}, []string{"1"}, "", ""},
		"nobody said that it was bad":   {[]step{{"1", "", event.Inconclusive, ""}, bad("2"), bad("3")}, []string{"2"}, "1", "r1"},
		"the only one":                  {[]step{bad("1")}, nil, "", ""},
		"a baseline has no verdict":     {[]step{{"1", "", "", ""}, bad("2"), bad("3")}, []string{"2"}, "1", "r1"},
		"back and bad, then good again": {[]step{bad("1"), bad("2"), good("1"), bad("2"), bad("3")}, []string{"2"}, "1", "r3"},
	} {
		t.Run(name, func(t *testing.T) {
			l := New(Limits{})
			var last event.Deployment
			for i, s := range c.steps {
				at := time.Duration(i) * 10 * time.Minute
				told := told("helm", "", s.version, at, s.status)
				told.Sources[0].Object, told.Sources[0].Release = "shop/cart", "r"+string(rune('1'+i))
				last, _ = l.RecordDeployment(told)
				if s.verdict != "" {
					l.RecordVerdict(event.Verdict{Deployment: last, State: s.verdict, At: t0.Add(at)})
				}
				if s.closed != "" {
					l.RecordAnomaly(event.Anomaly{
						ID: event.AnomalyID(last.ID, event.KindDeployment, "", ""), Kind: event.KindDeployment, Deployment: last.ID,
						At: t0.Add(at), Closure: &event.Closure{Reason: s.closed, At: t0.Add(at)},
					})
				}
			}
			way := l.WayBack(last.ID)
			if c.regressed == nil {
				require.Nil(t, way)
				return
			}
			require.NotNil(t, way)
			assert.Equal(t, c.regressed, way.Regressed)
			if c.good == "" {
				require.Nil(t, way.Good)
				return
			}
			require.NotNil(t, way.Good)
			assert.Equal(t, c.good, way.Good.Version)
			assert.Equal(t, c.release, way.Good.Sources[0].Release)
		})
	}
	assert.Nil(t, New(Limits{}).WayBack("unknown"))
}

// What was there before the first that the ledger knows is known as it was told.
func TestWayBackBeforeTheFirst(t *testing.T) {
	l := New(Limits{})
	first := told("kubectl", "", "2", 0, "")
	first.PreviousVersion, first.PreviousRevision = "1", revA
	first.Sources[0].Object, first.Sources[0].Release, first.Sources[0].Previous = "shop/deployment/cart", "42", "41"
	first, _ = l.RecordDeployment(first)
	l.RecordVerdict(event.Verdict{Deployment: first, State: event.Regressed, At: t0})
	d, _ := l.RecordDeployment(told("kubectl", "", "3", time.Minute, ""))
	way := l.WayBack(d.ID)
	require.NotNil(t, way)
	require.NotNil(t, way.Good)
	assert.Equal(t, []string{"1", revA, "41"}, []string{way.Good.Version, way.Good.Revision, way.Good.Sources[0].Release})
}
