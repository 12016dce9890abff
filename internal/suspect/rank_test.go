package suspect

import (
	"encoding/json"
	"fmt"
	"math"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/deployloop/deployloop/internal/event"
)

func commit(id string, message string, files ...FileDiff) Commit {
	return Commit{Change: event.Change{Revision: strings.Repeat(id, 40)[:40], Message: message}, Files: files}
}

func edit(path string, at int, removed, added []string) FileDiff {
	return FileDiff{Path: path, Added: len(added), Removed: len(removed), Hunks: []Hunk{{OldStart: at, OldLines: len(removed), NewStart: at, NewLines: len(added),
		Removed: removed, Added: added, Text: "@@\n"}}}
}

// noise are commits that have nothing to do with anything.
func noise(n int) (commits []Commit) {
	for i := range n {
		commits = append(commits, commit(fmt.Sprintf("%x", i%16)+"0", fmt.Sprintf("Change %d", i), edit(fmt.Sprintf("other/place%d.go", i), 5, []string{"a"}, []string{"b", "c"})))
	}
	return commits
}

func top(t *testing.T, s Symptom, commits []Commit, o Options) event.Suspect {
	t.Helper()
	r := Rank(s, commits, o)
	require.Len(t, r.Suspects, len(commits))
	return r.Suspects[0]
}

func TestEachKindOfEvidence(t *testing.T) {
	frames := []event.Frame{{File: "/app/cart/total.go", Line: 42, Function: "(*Cart).Total", Module: "shop/cart"}, {File: "/app/main.go", Line: 9, Function: "serve", Module: "main"}}
	exception := Symptom{Errors: []event.RelatedError{{Signal: event.SignalException, Type: "panic", Message: "index out of range", Frames: frames}}}
	for name, test := range map[string]struct {
		s      Symptom
		c      Commit
		o      Options
		reason string
	}{
		"the line": {exception, commit("f", "x", edit("services/shop/cart/total.go", 40, []string{"a"}, []string{"b", "c", "d"})), Options{}, "changed line 42 of services/shop/cart/total.go"},
		"next to the line": {exception, commit("f", "x", edit("services/shop/cart/total.go", 39, nil, []string{"b", "c"})), Options{},
			"changed services/shop/cart/total.go next to line 42"},
		"the file": {exception, commit("f", "x", edit("services/shop/cart/total.go", 400, nil, []string{"b"})), Options{}, "which is in the stack trace"},
		"the file by the service's folder": {Symptom{Text: "Error: x\n    at f (/app/total.js:4:2)\n"}, commit("f", "x", edit("services/cart/total.js", 4, nil, []string{"b"})),
			Options{PathPrefixes: []string{"services/cart/"}}, "line 4 of services/cart/total.js"},
		"a literal": {Symptom{Errors: []event.RelatedError{{Signal: event.SignalLog, Template: "could not reach inventory <*> after <num> tries"}}},
			commit("f", "x", edit("pay/pay.go", 7, nil, []string{`	log.Printf("could not reach inventory %s", name)`})), Options{}, `added the line that says "could not reach inventory"`},
		"a function": {Symptom{Operations: []string{"shop.v1.Cart/ApplyVoucher"}}, commit("f", "x", FileDiff{Path: "a.go", Added: 1, Hunks: []Hunk{{NewStart: 3, NewLines: 1, Function: "func (c *Cart) ApplyVoucher() {", Added: []string{"x"}}}}),
			Options{}, "changed ApplyVoucher in a.go"},
		"a route": {Symptom{Operations: []string{"POST /cart/voucher"}}, commit("f", "x", edit("a.go", 3, nil, []string{`	mux.Handle("/cart/voucher", h)`})), Options{}, "changed voucher in a.go"},
		"the tested class": {Symptom{Tests: []string{"com.acme.CartServiceTest#adds"}}, commit("f", "x", edit("src/main/java/com/acme/CartService.java", 3, nil, []string{"x"})), Options{},
			"which the failing test is named after"},
		"words": {Symptom{Text: "voucher expired unexpectedly"}, commit("f", "Let vouchers expire", edit("a.go", 3, nil, []string{"x"})), Options{}, "shares words with the error: expired, voucher"},
		"names only, from push events": {exception, Commit{Change: event.Change{Revision: strings.Repeat("f", 40), Message: "x", Modified: []string{"cart/total.go"}}}, Options{},
			"changed cart/total.go, which is in the stack trace"},
	} {
		t.Run(name, func(t *testing.T) {
			for _, at := range []int{0, 3} {
				commits := noise(6)
				commits[at] = test.c
				got := top(t, test.s, commits, test.o)
				require.Equal(t, test.c.Revision, got.Change.Revision)
				require.Contains(t, strings.Join(got.Reasons, "; "), test.reason)
			}
		})
	}
}

// What tests and analysers said of a commit itself speaks against it, most where
// the symptom is.
func TestReportsOfTheCommitItself(t *testing.T) {
	s := Symptom{Text: "panic: x\n\nmain.Total()\n\t/app/cart/total.go:42 +0x1\n", Tests: []string{"com.acme.CartTest#adds"}}
	reported := func(r ...Report) (Vector, event.Suspect) {
		commits := noise(4)
		commits[1].Reports = r
		i := 0
		ranked := Rank(s, commits, Options{}).Suspects
		for ranked[i].Change.Revision != commits[1].Revision {
			i++
		}
		return Vectors(s, commits, Options{})[1], ranked[i]
	}
	plain, without := reported()
	require.Zero(t, plain[featReported])
	for name, r := range map[string]Report{
		"place": {Text: "finding G115: integer overflow", Name: "G115", File: "cart/total.go"},
		"name":  {Text: "test TestTotal/Total fails since", Name: "TestTotal/Total"},
		"test":  {Text: "test adds fails since", Name: "com.acme.CartTest#adds"},
	} {
		v, with := reported(r)
		require.Equal(t, 1.0, v[featReported], name)
		require.Greater(t, with.Probability, without.Probability)
		require.Contains(t, strings.Join(with.Reasons, "; "), "its own build said so: "+r.Text)
	}
	elsewhere, _ := reported(Report{Text: "test a fails since", Name: "a", File: "web/page.ts"})
	require.Equal(t, .4, elsewhere[featReported])
}

// A frame of a bundle points nowhere in a repository; its source does.
func TestBundlesAreLedBackToTheirSources(t *testing.T) {
	s := Symptom{Text: "TypeError: x is undefined\n    at s (https://shop.example/assets/app.js:1:4711)\n"}
	commits := noise(4)
	commits[2] = commit("f", "x", edit("web/src/cart/total.ts", 42, []string{"a"}, []string{"b"}))
	source := func(f event.Frame) (event.Frame, bool) {
		require.Equal(t, event.Frame{File: "/assets/app.js", Line: 1, Column: 4711, Function: "s"}, f)
		return event.Frame{File: "src/cart/total.ts", Line: 42, Function: "total"}, true
	}
	require.True(t, Rank(s, commits, Options{}).Abstained)
	got := Rank(s, commits, Options{Source: source, PathPrefixes: []string{"web"}}).Suspects[0]
	require.Equal(t, commits[2].Revision, got.Change.Revision)
	require.Contains(t, strings.Join(got.Reasons, "; "), "changed line 42 of web/src/cart/total.ts, where the stack trace points")
}

func TestLinesAreFollowedThroughNewerCommits(t *testing.T) {
	s := Symptom{Errors: []event.RelatedError{{Frames: []event.Frame{{File: "cart/total.go", Line: 142, Function: "Total"}}}}}
	commits := []Commit{
		commit("a", "adds 100 lines above", edit("cart/total.go", 1, nil, make([]string, 100))),
		commit("b", "renames the file", FileDiff{Path: "cart/total.go", OldPath: "basket/sum.go"}),
		commit("c", "the culprit", edit("basket/sum.go", 42, []string{"x"}, []string{"y"})),
		commit("d", "an older change of the same line", edit("basket/sum.go", 42, []string{"w"}, []string{"x"})),
	}
	r := Rank(s, commits, Options{})
	require.Equal(t, commits[2].Revision, r.Suspects[0].Change.Revision)
	require.Contains(t, r.Suspects[0].Reasons[0], "changed line 42 of basket/sum.go")
	require.Equal(t, 42, r.Suspects[0].Line)
}

func TestWhatIsRuledDown(t *testing.T) {
	s := Symptom{Text: "panic: x\n\nmain.Total()\n\t/app/cart/total.go:42 +0x1\n"}
	culprit := edit("cart/total.go", 42, []string{"a"}, []string{"b"})
	commits := noise(5)
	commits[3] = commit("f", "Change the total", culprit)
	before := Rank(s, commits, Options{}).Suspects[0]
	require.Equal(t, commits[3].Revision, before.Change.Revision)

	reverted := append([]Commit{{Change: event.Change{Revision: strings.Repeat("9", 40), Message: "Revert it"}, Reverts: []string{commits[3].Revision}, Files: []FileDiff{culprit}}}, commits...)
	r := Rank(s, reverted, Options{})
	require.True(t, r.Abstained)
	for _, x := range r.Suspects {
		if x.Change.Revision == commits[3].Revision {
			require.Contains(t, x.Reasons[0], "reverted by 9999999")
			require.Less(t, x.Probability, .1)
		}
	}
	// A revert that was itself reverted leaves the first in force.
	back := append([]Commit{{Change: event.Change{Revision: strings.Repeat("8", 40), Message: "Reapply"}, Reverts: []string{reverted[0].Revision}, Files: []FileDiff{culprit}}}, reverted...)
	for _, x := range Rank(s, back, Options{}).Suspects {
		if x.Change.Revision == commits[3].Revision {
			require.NotContains(t, strings.Join(x.Reasons, ";"), "reverted by")
		}
	}
	// A reverted merge takes with it what it brought in, and nothing else.
	id := func(c string) string { return strings.Repeat(c, 40) }
	history := []Commit{
		{Change: event.Change{Revision: id("1"), Parents: []string{id("2")}, Message: "Revert the merge"}, Reverts: []string{id("2")}},
		{Change: event.Change{Revision: id("2"), Parents: []string{id("3"), id("4")}, Message: "Merge"}, Merge: true},
		{Change: event.Change{Revision: id("4"), Parents: []string{id("5")}, Message: "On the branch"}, Files: []FileDiff{culprit}},
		{Change: event.Change{Revision: id("3"), Parents: []string{id("5")}, Message: "On the main line"}, Files: []FileDiff{culprit}},
	}
	require.Equal(t, []string{"it only reverts 2222222 of the same range", "reverted by 1111111", "reverted by 1111111 with the merge 2222222", ""}, revertedInside(history))

	ignored := Rank(s, commits, Options{Ignored: []string{commits[3].Revision}}).Suspects
	for _, x := range ignored {
		if x.Change.Revision == commits[3].Revision {
			require.Less(t, x.Probability, before.Probability)
			require.Contains(t, x.Reasons[len(x.Reasons)-1], "git-blame-ignore-revs")
		}
	}
	moved := commit("e", "Change", edit("cart/total.go", 42, []string{"  a", "b"}, []string{"b", "a"}))
	require.Equal(t, 1.0, Vectors(s, []Commit{moved}, Options{})[0][featCosmetic])
	require.Zero(t, Vectors(s, []Commit{commits[3]}, Options{})[0][featCosmetic])
}

func TestNoEvidenceNoSuspect(t *testing.T) {
	r := Rank(Symptom{Text: "timeout"}, noise(8), Options{})
	require.True(t, r.Abstained)
	require.Len(t, r.Suspects, 8)
	r = Rank(Symptom{}, nil, Options{})
	require.True(t, r.Abstained)
	require.NotNil(t, r.Suspects)
}

func TestKinds(t *testing.T) {
	for file, want := range map[string]kind{
		"go.mod": kindDependency, "a/pom.xml": kindDependency, "src/test/java/XTest.java": kindTest, "cart/total_test.go": kindTest, "tests/a.py": kindTest,
		"README.md": kindDocs, "docs/a.html": kindDocs, "db/migrations/001_add.sql": kindMigration, "deploy/values.yaml": kindConfig, "src/main/resources/application.properties": kindConfig,
		"flags/checkout.yaml": kindFlag, ".github/workflows/ci.yml": kindBuild, "Makefile": kindBuild, "cart/total.go": kindCode, "src/contest/Latest.java": kindCode, "latest.go": kindCode, "web/app.tsx": kindCode,
	} {
		require.Equal(t, want, kindOf(file), file)
	}
}

func TestSamePath(t *testing.T) {
	for _, test := range []struct {
		told, repository string
		least, most      float64
	}{
		{"/app/services/cart/total.go", "services/cart/total.go", 1, 1},
		{"com/acme/Cart.java", "src/main/java/com/acme/Cart.java", 1, 1},
		{`C:\build\cart\total.cs`, "src/cart/total.cs", .7, .7},
		{"/app/main.go", "services/cart/main.go", 0, 0},
		{"total.go", "cart/subtotal.go", 0, 0},
		{"", "a.go", 0, 0},
	} {
		got := samePath(test.told, test.repository)
		require.GreaterOrEqual(t, got, test.least, test.told)
		require.LessOrEqual(t, got, test.most, test.told)
	}
}

func TestTestNames(t *testing.T) {
	for name, want := range map[string]testName{
		"org.acme.CartServiceTest#adds":          {class: "CartServiceTest", method: "adds", subject: "CartService", pkg: "org/acme"},
		"org.acme.CartIntegrationTest::adds":     {class: "CartIntegrationTest", method: "adds", subject: "Cart", pkg: "org/acme"},
		"tests/test_cart.py::TestCart::test_add": {file: "tests/test_cart.py", class: "test_cart", method: "TestCart::test_add", subject: "cart"},
		"TestCart/adds":                          {class: "TestCart", method: "TestCart/adds", subject: "Cart"},
		"com.acme.Issue413Test#friday":           {class: "Issue413Test", method: "friday", pkg: "com/acme"},
		"":                                       {},
	} {
		require.Equal(t, want, parseTest(name), name)
	}
}

// go test tells name, file and package of a failing test in lines of their own.
func TestReadGoTestOutput(t *testing.T) {
	s, err := ReadSymptom(strings.NewReader("=== RUN   TestOdd\n    odd_test.go:7: first\n    helper_test.go:9: second\n--- FAIL: TestOdd (0.00s)\n--- FAIL: TestNamed (0.00s)\n" +
		"FAIL\nFAIL\tacme.example/shop/odd\t0.4s\n" +
		"--- FAIL: TestTotal (0.00s)\n    --- FAIL: TestTotal/empty (0.00s)\n        total_test.go:88: \n        \tError Trace:\t/src/shop/cart/total_test.go:88\n        \tError:      \tShould be true\n" +
		"FAIL\tacme.example/shop/cart\t0.4s\nok  \tacme.example/shop/pay\t0.1s\n"))
	require.NoError(t, err)
	require.Equal(t, []string{"acme.example/shop/odd/odd_test.go::TestOdd", "TestNamed", "TestTotal", "/src/shop/cart/total_test.go::TestTotal/empty"}, s.Tests)

	commits := []Commit{
		{Change: event.Change{Revision: "a", Message: "Write a list"}, Files: []FileDiff{{Path: "odd/list.go", Added: 3, Removed: 1}}},
		{Change: event.Change{Revision: "b", Message: "Sum in one pass"}, Files: []FileDiff{{Path: "cart/total.go", Added: 3, Removed: 1}}},
		{Change: event.Change{Revision: "c", Message: "Say failed, not broken"}, Files: []FileDiff{{Path: "pay/pay.go", Added: 3, Removed: 1}}},
	}
	s.Tests = s.Tests[3:]
	got := Rank(s, commits, Options{})
	require.Equal(t, "b", got.Suspects[0].Change.Revision, "%+v", got.Suspects)
	require.Contains(t, strings.Join(got.Suspects[0].Reasons, "; "), "cart/total.go")
}

// Reasons show words as they are written, not what is left of them to compare by.
func TestSharedWordsAreWhole(t *testing.T) {
	got := Rank(Symptom{Text: "cannot decide: the deciding signals disagree"}, []Commit{
		{Change: event.Change{Revision: "a", Message: "Let signals decide"}, Files: []FileDiff{{Path: "x.go", Added: 1}}},
		{Change: event.Change{Revision: "b", Message: "Other"}, Files: []FileDiff{{Path: "y.go", Added: 1}}},
	}, Options{})
	require.Contains(t, got.Suspects[0].Reasons, "shares words with the error: decide, signals")
}

func TestReadSymptom(t *testing.T) {
	s, err := ReadSymptom(strings.NewReader("--- FAIL: TestCart/adds (0.00s)\n    cart_test.go:9: boom\nFAILED tests/test_cart.py::test_add - x\ncom.acme.CartTest#adds\n"))
	require.NoError(t, err)
	require.Equal(t, []string{"TestCart/adds", "tests/test_cart.py::test_add", "com.acme.CartTest#adds"}, s.Tests)
	s, err = ReadSymptom(strings.NewReader(`{"stack_trace": "x", "failing_tests": ["A#b"]}`))
	require.NoError(t, err)
	require.Equal(t, Symptom{Text: "x", Tests: []string{"A#b"}}, s)
	s, err = ReadSymptom(strings.NewReader(`{"level":"error","msg":"could not pay"}`))
	require.NoError(t, err)
	require.Contains(t, s.Text, "could not pay")
}

// TestTheAnswerIsNotRead: what a file says of the culprit and the fix, at any
// place, changes nothing.
func TestTheAnswerIsNotRead(t *testing.T) {
	const with = `{"culprit":%q,"fix":%q,"buggy":%q,"stack_trace":"panic: x\n\nmain.T()\n\t/a/b.go:3 +0x1\n","candidates":[
		{"sha":"aaaaaaa","subject":"one","files":[["b.go","1","2"]],"culprit":%[4]t},{"sha":"bbbbbbb","subject":"two","files":[["c.go","9","2"]],"culprit":%[5]t,"fix":"aaaaaaa"}]}`
	rank := func(culprit string, first bool) event.Suspicion {
		symptom, commits, err := ReadCase(strings.NewReader(fmt.Sprintf(with, culprit, culprit, culprit, first, !first)))
		require.NoError(t, err)
		return Rank(symptom, commits, Options{})
	}
	require.Equal(t, rank("aaaaaaa", true), rank("bbbbbbb", false))
	require.Equal(t, rank("aaaaaaa", true), rank("", false))
}

// FuzzReadSymptom: any bytes give a symptom that can be ranked, or an error.
func FuzzReadSymptom(f *testing.F) {
	f.Add("--- FAIL: TestCart/adds (0.00s)\nFAILED tests/test_cart.py::test_add - x\ncom.acme.CartTest#adds\n")
	f.Add(`{"stack_trace": "x", "failing_tests": "A#b;;"}`)
	f.Add("{\"failing_tests\": 3}")
	f.Add("\xff\xfe\x00--- \n--- \nat (:0:0)\nCaused by: \n\tat a.b.c(D.java:99999999999999999999)\n")
	commits := noise(3)
	f.Fuzz(func(t *testing.T, text string) {
		s, err := ReadSymptom(strings.NewReader(text))
		if err != nil {
			return
		}
		require.Len(t, Rank(s, commits, Options{PathPrefixes: []string{"a"}}).Suspects, 3)
	})
}

func TestRenamed(t *testing.T) {
	for name, want := range map[string][2]string{
		"a/{b => c}/d.go": {"a/b/d.go", "a/c/d.go"}, "{ => x}/a.go": {"/a.go", "x/a.go"}, "a.go => b.go": {"a.go", "b.go"}, "a{b}.go": {"", "a{b}.go"}, "a.go": {"", "a.go"},
	} {
		old, now := renamed(name)
		require.Equal(t, want, [2]string{old, now}, name)
	}
}

// FuzzRank: whatever a file holds, the answer is a distribution over all its
// candidates, and the same again.
func FuzzRank(f *testing.F) {
	f.Add(`{"stack_trace":"panic: x\n\nmain.T()\n\t/a/b.go:3 +0x1\n","failing_tests":"A#b","candidates":[{"sha":"aaaaaaa","subject":"s","files":[["b.go","1","2"]],"hunks":{"b.go":[[1,2,3,4]]}}]}`)
	f.Add(`{"candidates":[{"sha":"a","files":["x",["{a => b}/c","-","-"]],"hunks":{"x":[[-1,-5,9223372036854775807,1]]}},{"sha":"a"}]}`)
	f.Add(`{"stack_trace":"at a.b(C.java:2147483647)","failing_tests":["::","#","a/b.py::"],"candidates":[{"sha":"é","subject":"This reverts commit é"}]}`)
	f.Fuzz(func(t *testing.T, text string) {
		symptom, commits, err := ReadCase(strings.NewReader(text))
		if err != nil {
			return
		}
		if len(commits) > 200 {
			return
		}
		r := Rank(symptom, commits, Options{PathPrefixes: []string{"", "a"}})
		require.Len(t, r.Suspects, len(commits))
		sum, last := 0.0, 1.0
		for _, s := range r.Suspects {
			require.False(t, math.IsNaN(s.Probability))
			require.LessOrEqual(t, s.Probability, last+1e-12)
			last = s.Probability
			sum += s.Probability
		}
		require.LessOrEqual(t, sum, 1+1e-9)
		a, err := json.Marshal(r)
		require.NoError(t, err)
		b, err := json.Marshal(Rank(symptom, commits, Options{PathPrefixes: []string{"", "a"}}))
		require.NoError(t, err)
		require.Equal(t, string(a), string(b))
	})
}

func BenchmarkRankThousandCommits(b *testing.B) {
	commits := noise(1000)
	for i := range commits {
		commits[i].Files[0].Hunks[0].Added = strings.Split(strings.Repeat("value := compute(prices, vouchers)\n", 40), "\n")
	}
	s := Symptom{Text: "panic: index out of range\n\nmain.Total()\n\t/app/cart/total.go:42 +0x1\n"}
	for b.Loop() {
		Rank(s, commits, Options{})
	}
}

func TestOwnersAreThoseOfThePlaceThenOfMostFiles(t *testing.T) {
	owners := Options{Owners: func(path string) []string {
		return map[string][]string{"cart/total.go": {"@cart"}, "pay/a.go": {"@pay"}, "pay/b.go": {"@pay", "@go", "@a", "@b"}}[path]
	}}
	s := Symptom{Errors: []event.RelatedError{{Type: "panic", Frames: []event.Frame{{File: "/app/cart/total.go", Line: 5, Module: "shop"}}}}}
	found := top(t, s, []Commit{commit("f", "x", edit("pay/a.go", 1, nil, []string{"b"}), edit("cart/total.go", 5, nil, []string{"b"}), edit("pay/b.go", 1, nil, []string{"b"}))}, owners)
	require.Equal(t, []string{"@cart"}, found.Owners, "of the line that the trace points to")
	found = top(t, Symptom{}, []Commit{commit("f", "x", edit("cart/total.go", 5, nil, []string{"b"}), edit("pay/a.go", 1, nil, []string{"b"}), edit("pay/b.go", 1, nil, []string{"b"}))}, owners)
	require.Equal(t, []string{"@pay", "@cart", "@go"}, found.Owners)
	require.Empty(t, top(t, Symptom{}, []Commit{commit("f", "x", edit("cart/total.go", 5, nil, []string{"b"}))}, Options{}).Owners)
}
