package judge

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/deployloop/deployloop/internal/event"
)

// baseless tells of results without saying where the branch began.
func (b *bench) baseless(ref, revision string, results ...string) {
	for _, r := range results {
		name, status, _ := strings.Cut(r, " ")
		b.Test(event.TestResult{Suite: "acme/cart", Case: name, Status: status, Repository: "acme/shop", Ref: ref, Revision: revision}, b.now)
	}
	b.tick(time.Second)
}

// A branch that broke a test while main was well has broken it, whatever main does in
// the same test afterwards; that it stays so after a restart too.
func TestBranchWithoutABaseKeepsWhatItBroke(t *testing.T) {
	b := newBench(t)
	b.run("main", "aaaaaaa1", "TestA pass", "TestB pass")
	b.baseless("feature", "bbbbbbb1", "TestA fail")
	require.Equal(t, event.Regressed, b.feedback["bbbbbbb1"].State)
	b.run("main", "aaaaaaa2", "TestA fail", "TestB pass") // meanwhile
	b.baseless("feature", "bbbbbbb1", "TestB pass")
	b.tick(time.Minute)
	f := b.feedback["bbbbbbb1"]
	require.Equal(t, []string{"new_failure TestA"}, said(f))
	require.Equal(t, event.Regressed, f.State)
	require.Equal(t, "aaaaaaa1", f.Base)
	require.True(t, f.BaseAssumed)

	b = b.after()
	b.baseless("feature", "bbbbbbb2", "TestA fail", "TestB pass")
	b.tick(time.Minute)
	require.Equal(t, []string{"new_failure TestA"}, said(b.feedback["bbbbbbb2"]), "it was new in the commit before")

	b.run("feature", "bbbbbbb3", "TestA fail", "TestB pass") // with its base
	require.Equal(t, []string{"new_failure TestA"}, said(b.feedback["bbbbbbb3"]))
	require.False(t, b.feedback["bbbbbbb3"].BaseAssumed)
}

// What main broke, or mended, since a branch was first heard of may be in it by now.
func TestBranchWithoutABaseIsNotCertain(t *testing.T) {
	finding := func(b *bench, ref, revision string, found bool) {
		if found {
			b.Finding(event.Finding{Tool: "vet", Rule: "copylocks", File: "a.go", Fingerprint: "1", Repository: "acme/shop", Ref: ref, Revision: revision}, b.now)
		}
		b.Report(event.Report{Kind: "sarif", Tools: []string{"vet"}, Repository: "acme/shop", Ref: ref, Revision: revision}, b.now)
	}
	b := newBench(t)
	finding(b, "main", "aaaaaaa1", false)
	b.run("main", "aaaaaaa1", "TestA pass", "TestB pass", "TestC pass")
	b.run("main", "aaaaaaa2", "TestA pass", "TestB fail", "TestC pass")
	b.baseless("feature", "bbbbbbb1", "TestA pass", "TestB fail", "TestC pass")
	b.tick(time.Minute)
	require.Equal(t, []string{"already_failing TestB"}, said(b.feedback["bbbbbbb1"]))
	require.Equal(t, event.Healthy, b.feedback["bbbbbbb1"].State)

	finding(b, "main", "aaaaaaa3", true)
	b.run("main", "aaaaaaa3", "TestA fail", "TestB pass", "TestC pass")
	finding(b, "feature", "bbbbbbb2", true)
	b.baseless("feature", "bbbbbbb2", "TestA fail", "TestB fail", "TestC fail")
	require.Equal(t, []string{"new_failure TestC", "not_certain copylocks", "not_certain TestA", "not_certain TestB"}, said(b.feedback["bbbbbbb2"]), "while it runs")
	b.tick(time.Minute)
	require.Equal(t, []string{"new_failure TestC", "not_certain copylocks", "not_certain TestA", "not_certain TestB"}, said(b.feedback["bbbbbbb2"]))
	require.Equal(t, event.Regressed, b.feedback["bbbbbbb2"].State)
	b.baseless("feature", "bbbbbbb3", "TestA fail", "TestB pass", "TestC pass")
	b.tick(time.Minute)
	f := b.feedback["bbbbbbb3"]
	require.Equal(t, []string{"not_certain TestA", "fixed TestB"}, said(f))
	require.Equal(t, event.Inconclusive, f.State)
	b.baseless("feature", "bbbbbbb3", "TestC pass")
	b.tick(time.Minute)
	require.Equal(t, event.Inconclusive, b.feedback["bbbbbbb3"].State, "a later job of other tests makes it no better")

	// Told of its base it is certain.
	b.tests("feature", "bbbbbbb4", "TestA fail", "TestB pass", "TestC pass")
	b.tick(time.Minute)
	require.Equal(t, []string{"new_failure TestA"}, said(b.feedback["bbbbbbb4"]))
}
