package judge

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/deployloop/deployloop/internal/event"
)

func (b *bench) report(revision string, p event.Report) {
	p.Kind, p.Repository, p.Ref, p.Revision = "junit", "acme/shop", "main", revision
	b.Report(p, b.now)
}

// A report that was cut off and is sent again, whole, leaves no doubt behind: in the
// same run, after it was judged, and after a restart.
func TestAWholeReportMendsABrokenOne(t *testing.T) {
	cut := event.Report{Name: "TEST-cart.xml", Suites: []string{"acme/cart"}, Tests: 1, Broken: true}
	whole := event.Report{Name: "TEST-cart.xml", Suites: []string{"acme/bill", "acme/cart"}, Tests: 2}
	breakOff := func(b *bench) {
		b.run("main", "aaaaaaa1", "TestA pass", "TestB pass")
		b.tests("main", "aaaaaaa2", "TestA pass")
		b.report("aaaaaaa2", cut)
		b.report("aaaaaaa2", cut) // the same again is no second one
	}
	b := newBench(t)
	breakOff(b)
	b.report("aaaaaaa2", whole)
	require.Equal(t, event.Healthy, b.run("main", "aaaaaaa2", "TestA pass", "TestB pass").State)

	b = newBench(t)
	breakOff(b)
	b.tick(time.Minute)
	f := b.feedback["aaaaaaa2"]
	require.Equal(t, event.Inconclusive, f.State)
	require.Equal(t, 1, f.Broken)
	for name, other := range map[string]event.Report{
		"another file":  {Name: "TEST-bill.xml", Suites: []string{"acme/cart"}, Tests: 9},
		"other suites":  {Name: "TEST-cart.xml", Suites: []string{"acme/bill"}, Tests: 9},
		"less than was": {Name: "TEST-cart.xml", Suites: []string{"acme/cart"}},
	} {
		b.report("aaaaaaa2", other)
		require.Equal(t, event.Inconclusive, b.run("main", "aaaaaaa2", "TestA pass").State, name)
	}

	after := newBench(t)
	after.now = b.now
	saved, err := b.Dirty()
	require.NoError(t, err)
	for _, value := range saved {
		require.NoError(t, after.Load(value))
	}
	after.Resume(b.feedback["aaaaaaa2"], after.now)
	for _, x := range []*bench{b, after} {
		x.report("aaaaaaa2", whole)
		f = x.run("main", "aaaaaaa2", "TestA pass", "TestB pass")
		require.Equal(t, event.Healthy, f.State)
		require.Zero(t, f.Broken)
		require.Empty(t, f.Mendable)
	}
}

func TestBrokenReportsOfACommitAreBounded(t *testing.T) {
	b := newBench(t)
	for i := range 2 * maxMendable {
		b.report("aaaaaaa1", event.Report{Name: string(rune('a' + i)), Suites: []string{"s"}, Tests: 1, Broken: true})
	}
	b.tests("main", "aaaaaaa1", "TestA pass")
	f := b.feedback["aaaaaaa1"]
	require.Equal(t, 2*maxMendable, f.Broken)
	require.Len(t, f.Mendable, maxMendable)
}

// A sender that was told to send again says the same again: no second attempt, no
// second finding.
func TestWhatIsSentAgainCountsOnce(t *testing.T) {
	b := newBench(t)
	b.run("main", "aaaaaaa1", "TestA pass", "TestB pass")
	f := event.Finding{ID: "f1", Tool: "vet", Rule: "leak", Fingerprint: "p1", Repository: "acme/shop", Ref: "main", Revision: "aaaaaaa1"}
	b.Finding(f, b.now)
	b.Report(event.Report{Kind: "sarif", Tools: []string{"vet"}, Repository: "acme/shop", Ref: "main", Revision: "aaaaaaa1"}, b.now)
	b.tick(time.Minute)

	f.Revision = "aaaaaaa2"
	fail := event.TestResult{ID: "t1", Suite: "acme/cart", Case: "TestA", Status: "fail", Repository: "acme/shop", Ref: "main", Revision: "aaaaaaa2"}
	for range 2 {
		b.Finding(f, b.now)
		b.Test(fail, b.now)
	}
	b.tests("main", "aaaaaaa2", "TestB pass")
	b.tick(time.Minute)
	require.Equal(t, []string{"new_failure TestA"}, said(b.feedback["aaaaaaa2"]))
	h := b.baselines[branch{"acme/shop", "main"}].Tests[Key("acme/cart", "TestA")]
	require.Equal(t, 1, h.Failures)
	require.False(t, h.Confirmed, "nobody ran it again")

	fail.ID = "t2"
	fail.Revision = "aaaaaaa3"
	b.Test(fail, b.now)
	fail.ID = "t3"
	b.Test(fail, b.now)
	b.tick(time.Minute)
	require.True(t, b.baselines[branch{"acme/shop", "main"}].Tests[Key("acme/cart", "TestA")].Confirmed, "somebody did")
}

// What a report that breaks off does not tell of is not gone: neither a test, nor a
// finding, nor what an alert is about.
func TestAPartOfAReportSaysNothingOfTheRest(t *testing.T) {
	b := newBench(t)
	at := func(revision string, broken bool, prints ...string) event.Feedback {
		for _, p := range prints {
			b.Finding(event.Finding{Tool: "vet", Rule: p, Fingerprint: p, Repository: "acme/shop", Ref: "main", Revision: revision}, b.now)
		}
		b.Report(event.Report{Kind: "sarif", Tools: []string{"vet"}, Findings: len(prints), Broken: broken, Repository: "acme/shop", Ref: "main", Revision: revision}, b.now)
		b.tick(time.Second)
		b.tick(time.Minute)
		return b.feedback[revision]
	}
	b.tests("main", "aaaaaaa1", "TestA pass", "TestB pass")
	at("aaaaaaa1", false, "leak", "race")
	b.tests("main", "aaaaaaa2", "TestA pass", "TestB fail")
	require.Equal(t, []string{"new_failure TestB", "new_finding new"}, said(at("aaaaaaa2", false, "leak", "race", "new")))
	require.Len(t, b.open(), 2)

	b.tests("main", "aaaaaaa3", "TestA pass")
	f := at("aaaaaaa3", true, "leak")
	require.Empty(t, said(f), "nothing vanished, nothing is fixed")
	require.Equal(t, event.Inconclusive, f.State)
	require.Len(t, b.open(), 2)

	b.tests("main", "aaaaaaa4", "TestA pass", "TestB fail")
	require.Equal(t, []string{"already_failing TestB"}, said(at("aaaaaaa4", false, "leak", "race", "new")), "and nothing is new again")
	b.tests("main", "aaaaaaa5", "TestA pass", "TestB pass")
	at("aaaaaaa5", false, "leak")
	require.Empty(t, b.open())
}
