package report

import (
	"encoding/binary"
	"fmt"
	"strings"
	"testing"
	"time"
	"unicode/utf16"

	"github.com/stretchr/testify/require"

	"github.com/deployloop/deployloop/internal/event"
)

func TestJUnitDialects(t *testing.T) {
	for name, c := range map[string]struct {
		xml  string
		want []event.TestResult
	}{
		"pytest": {
			`<testsuites><testsuite name="pytest" timestamp="2026-11-23T14:02:00.5"><testcase classname="tests.test_cart" name="test_total[eur]" time="0.012"><failure message="assert 3 == 4">def test_total():
>       assert 3 == 4
E       assert 3 == 4

tests/test_cart.py:18: AssertionError</failure></testcase></testsuite></testsuites>`,
			[]event.TestResult{{Suite: "tests.test_cart", Case: "test_total[eur]", Status: "fail", Message: "assert 3 == 4", File: "tests/test_cart.py", Line: 18, Duration: 12 * time.Millisecond, At: time.Date(2026, 11, 23, 14, 2, 0, 5e8, time.UTC)}},
		},
		"surefire, flaky and rerun": {
			`<testsuite name="shop.CartTest"><testcase name="total" classname="shop.CartTest" time="1,234.5"><flakyFailure message="timed out" type="java.lang.AssertionError"><stackTrace>at shop.CartTest.total(CartTest.java:31)</stackTrace><system-out>noise</system-out></flakyFailure></testcase>
			<testcase name="tax" classname="shop.CartTest"><failure type="java.lang.AssertionError"><![CDATA[java.lang.AssertionError: expected 1
	at shop.CartTest.tax(CartTest.java:44)]]></failure><rerunFailure message="again"/></testcase></testsuite>`,
			[]event.TestResult{
				{Suite: "shop.CartTest", Case: "total", Status: "fail", Message: "timed out", File: "CartTest.java", Line: 31},
				{Suite: "shop.CartTest", Case: "total", Status: "pass", Duration: 1234500 * time.Millisecond},
				{Suite: "shop.CartTest", Case: "tax", Status: "fail", Message: "java.lang.AssertionError: expected 1", File: "shop/CartTest.java", Line: 44},
			},
		},
		"phpunit": {
			`<testsuites><testsuite name="App\CartTest" file="/app/tests/CartTest.php"><testcase name="testTotal" class="App\CartTest" classname="App.CartTest" file="/app/tests/CartTest.php" line="12"><error type="TypeError">TypeError: null</error></testcase></testsuite></testsuites>`,
			[]event.TestResult{{Suite: "App.CartTest", Case: "testTotal", Status: "error", Message: "TypeError: null", File: "/app/tests/CartTest.php", Line: 12}},
		},
		"googletest and ctest": {
			`<testsuite name="Cart"><testcase name="Off" status="notrun" result="suppressed" classname="Cart"/><testcase name="bad" status="fail" classname="bad"><system-out>boom at cart.cc:7</system-out></testcase></testsuite>`,
			[]event.TestResult{{Suite: "Cart", Case: "Off", Status: "skip"}, {Suite: "bad", Case: "bad", Status: "fail", Message: "boom at cart.cc:7", File: "cart.cc", Line: 7}},
		},
		"a single case, several failures, skipped": {
			`<testsuite name="s"><testcase name="a"><failure message="one"/><failure message="two">x</failure></testcase><testcase name="b"><skipped message="no network"/></testcase></testsuite>`,
			[]event.TestResult{{Suite: "s", Case: "a", Status: "fail", Message: "one"}, {Suite: "s", Case: "b", Status: "skip", Message: "no network"}},
		},
		"an unescaped < in an attribute, an unknown entity, a forbidden character": {
			"<testsuite name='s'><testcase name='a<b'><failure message='&nope; \x01 <x>'/></testcase></testsuite>",
			[]event.TestResult{{Suite: "s", Case: "a<b", Status: "fail", Message: "&nope; \uFFFD <x>"}},
		},
		"two documents in one": {
			`<?xml version="1.0"?><testsuite name="s"><testcase name="a"/></testsuite><?xml version="1.0"?><testsuite name="t"><testcase name="b"/></testsuite>`,
			[]event.TestResult{{Suite: "s", Case: "a", Status: "pass"}, {Suite: "t", Case: "b", Status: "pass"}},
		},
		"CDATA with brackets": {
			`<testsuite name="s"><testcase name="a"><failure><![CDATA[a[b[0]] >1 ]] ]]]></failure></testcase></testsuite>`,
			[]event.TestResult{{Suite: "s", Case: "a", Status: "fail", Message: "a[b[0]] >1 ]] ]"}},
		},
	} {
		t.Run(name, func(t *testing.T) {
			items, sum, err := all(t, "", c.xml)
			require.NoError(t, err)
			require.Equal(t, JUnit, sum.Kind)
			got := testsOf(items)
			for i := range got {
				got[i].Stacktrace = ""
			}
			require.Equal(t, c.want, got)
		})
	}
}

func TestEncodings(t *testing.T) {
	const text = `<testsuite name="s"><testcase name="Größe"/></testsuite>`
	utf16le := []byte{0xFF, 0xFE}
	for _, unit := range utf16.Encode([]rune(`<?xml version="1.0" encoding="utf-16"?>` + text)) {
		utf16le = binary.LittleEndian.AppendUint16(utf16le, unit)
	}
	for name, bytes := range map[string]string{
		"UTF-8 with a mark":              "\uFEFF" + text,
		"UTF-16":                         string(utf16le),
		"Latin-1":                        `<?xml version="1.0" encoding="ISO-8859-1"?>` + strings.NewReplacer("ö", "\xf6", "ß", "\xdf").Replace(text),
		"UTF-8 that says it were UTF-16": `<?xml version="1.0" encoding="utf-16"?>` + text,
	} {
		t.Run(name, func(t *testing.T) {
			items, _, err := all(t, "", bytes)
			require.NoError(t, err)
			require.Equal(t, "Größe", items[0].Test.Case)
		})
	}
	items, _, err := all(t, "", strings.ReplaceAll(text, "ö", "\xf6"))
	require.NoError(t, err)
	require.Equal(t, "Gr\uFFFDße", items[0].Test.Case)
}

func TestBrokenReportKeepsWhatWasRead(t *testing.T) {
	for name, c := range map[string]struct {
		text, problem string
		items         int
	}{
		"JUnit, cut off":           {`<testsuite name="s"><testcase name="a"/><testcase name="b"><fail`, "cut off", 1},
		"JUnit, no XML":            {`<testsuite name="s"><testcase name="a"/><testcase name="b" <<</testsuite>`, "what came after it was not read", 1},
		"JUnit, deep":              {`<testsuite name="s"><testcase name="a"/>` + strings.Repeat("<x>", 600), "nested deeper", 1},
		"SARIF, cut off":           {`{"version":"2.1.0","runs":[{"tool":{"driver":{"name":"vet"}},"results":[{"ruleId":"a","message":{"text":"x"}},{"ruleId":"b","mess`, "cut off", 1},
		"SARIF, broken":            {`{"runs":[{"results":[{"ruleId":"a"},{"ruleId" "b"}]}]}`, "after it was not read", 1},
		"go test JSON, cut off":    {`{"Action":"run","Package":"p","Test":"A"}` + "\n" + `{"Action":"pass","Package":"p","Test":"A"}` + "\n" + `{"Action":"run","Package":"p","Test":"B"}` + "\n" + `{"Act`, "cut off", 1},
		"cover, a bad line":        {"mode: set\na.go:1.1,2.2 1 1\nnonsense\n", "1 of 3 lines", 1},
		"LCOV, cut off":            {"TN:\nSF:a.js\nDA:1,1\nend_of_record\nSF:b.js\nDA:1", "b.js is incomplete", 1},
		"Cobertura, cut off":       {`<?xml version="1.0"?><!DOCTYPE coverage SYSTEM "x"><coverage><packages><class filename="a.py"><lines><line number="1" hits="2"/>`, "cut off", 1},
		"events, of no known kind": {`{"test":{"case":"a","status":"pass"}}` + "\n" + `{"test":{"case":"b","status":"passed"}}` + "\n" + `{"run":{"id":"1","state":"over"}}` + "\n", "2 of 3 lines are no events", 1},
		"benchmarks, cut off":      {`[{"name":"a","value":1},{"name":"b","value":2`, "cut off", 1},
	} {
		t.Run(name, func(t *testing.T) {
			items, sum, err := all(t, "", c.text)
			require.NoError(t, err)
			require.Len(t, items, c.items)
			require.Contains(t, strings.Join(sum.Problems, "; "), c.problem)
		})
	}
}

func TestEntitiesDoNotExpand(t *testing.T) {
	bomb := `<?xml version="1.0"?><!DOCTYPE lolz [<!ENTITY a "lol"><!ENTITY b "&a;&a;&a;&a;"><!ENTITY x SYSTEM "file:///etc/passwd">]>
<testsuite name="s"><testcase name="a"><failure message="&b;">&x;&b;</failure></testcase></testsuite>`
	items, _, err := all(t, "", bomb)
	require.NoError(t, err)
	require.Equal(t, "&b;", items[0].Test.Message)
	require.Equal(t, "&x;&b;", items[0].Test.Stacktrace)
}

func TestUnknownKinds(t *testing.T) {
	for _, text := range []string{"", "hello", "{}", "<html/>", "<", "{", "[]"} {
		_, _, err := all(t, "", text)
		require.ErrorIs(t, err, ErrUnknownKind, text)
	}
	_, err := ParseKind("pdf")
	require.ErrorContains(t, err, "none of")
}

func TestValues(t *testing.T) {
	items, _, err := all(t, "", "goos: linux\npkg: acme/shop\nBenchmarkTotal-8 \t 1000\t 21.5 ns/op\t 16 B/op\nPASS\nok  \tacme/shop\t1.2s\n")
	require.NoError(t, err)
	require.Equal(t, Benchmark{Suite: "acme/shop", Name: "BenchmarkTotal", Value: 21.5, Unit: "ns/op"}, *items[0].Benchmark)
	require.Equal(t, Benchmark{Suite: "acme/shop", Name: "BenchmarkTotal", Value: 16, Unit: "B/op"}, *items[1].Benchmark)

	items, _, err = all(t, "", "mode: count\na.go:1.1,2.2 3 0\na.go:3.1,4.2 1 2\na.go:1.1,2.2 3 5\nb.go:1.1,2.1 2 0\n")
	require.NoError(t, err)
	require.Equal(t, Coverage{"a.go", 4, 4, "statements"}, *items[0].Coverage)
	require.Equal(t, Coverage{"b.go", 0, 2, "statements"}, *items[1].Coverage)

	items, _, err = all(t, "", `<coverage line-rate="0.5"><class filename="a.py"><methods><method><lines><line number="1" hits="1"/></lines></method></methods><lines><line number="1" hits="1"/><line number="2" hits="0"/></lines></class></coverage>`)
	require.NoError(t, err)
	require.Equal(t, Coverage{"a.py", 1, 2, "lines"}, *items[0].Coverage)

	items, _, err = all(t, "", `{"context":{"date":"x"},"benchmarks":[{"name":"BM_x","real_time":12.5,"time_unit":"us"}]}`)
	require.NoError(t, err)
	require.Equal(t, Benchmark{Name: "BM_x", Value: 12.5, Unit: "us"}, *items[0].Benchmark)

	items, sum, err := all(t, "", `{"version":"2.1.0","runs":[{"tool":{"driver":{"name":"vet","rules":[{"id":"R1","defaultConfiguration":{"level":"error"},"messageStrings":{"m":{"text":"{0} leaks"}}}]}},
	"results":[{"ruleIndex":0,"message":{"id":"m","arguments":["conn"]},"locations":[{"physicalLocation":{"artifactLocation":{"uri":"a%20b/c.go"},"region":{"startLine":7}}}]},
	{"ruleId":"R1","suppressions":[{"kind":"inSource"}]}]}]}`)
	require.NoError(t, err)
	require.Equal(t, 1, sum.Suppressed)
	f := *items[0].Finding
	require.Len(t, f.Fingerprint, 16)
	f.Fingerprint = ""
	require.Equal(t, event.Finding{Tool: "vet", Rule: "R1", Level: "error", Message: "conn leaks", File: "a b/c.go", Line: 7}, f)
}

func TestFailureOfGoTestSaysWhereAndWhy(t *testing.T) {
	text := `=== RUN   TestTotal
    cart_test.go:14: 
        	Error Trace:	/src/cart/cart_test.go:14
        	Error:      	Not equal: 
        	            	expected: 3
        	            	actual  : 4
--- FAIL: TestTotal (0.01s)
=== RUN   TestTax
--- FAIL: TestTax (0.00s)
panic: runtime error: index out of range [3] with length 3 [recovered]

goroutine 7 [running]:
acme/shop/cart.Tax(...)
	/src/shop/cart/tax.go:21 +0x1d
FAIL	acme/shop/cart	0.010s
`
	items, _, err := all(t, "", text)
	require.NoError(t, err)
	tests := testsOf(items)
	require.Equal(t, "cart_test.go", tests[0].File)
	require.Equal(t, 14, tests[0].Line)
	require.Contains(t, tests[0].Message, "expected: 3")
	require.Contains(t, tests[1].Message, "index out of range")
	require.Contains(t, tests[1].File, "cart/tax.go")
	require.Equal(t, 21, tests[1].Line)
}

func TestSourceIsPutOnAll(t *testing.T) {
	at := time.Date(2026, 11, 23, 14, 2, 0, 0, time.UTC)
	var got event.TestResult
	_, err := Parse(strings.NewReader(`<testsuite><testcase name="a"/></testsuite>`), "", Source{Repository: "acme/shop", Revision: "9f2c1ab", RunID: "7", At: at}, func(i Item) error {
		got = *i.Test
		return nil
	})
	require.NoError(t, err)
	require.Equal(t, event.TestResult{Case: "a", Status: "pass", Repository: "acme/shop", Revision: "9f2c1ab", RunID: "7", At: at}, got)

	stop := fmt.Errorf("stop")
	_, err = Parse(strings.NewReader(`<testsuite><testcase name="a"/><testcase name="b"/></testsuite>`), "", Source{}, func(Item) error { return stop })
	require.ErrorIs(t, err, stop)
}
