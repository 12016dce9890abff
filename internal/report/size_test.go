package report

import (
	"bytes"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

var large = flag.Bool("large", false, "measure on 10,000 JUnit files of 200 MB, and on reports of 1 GiB")

// number stands in a body for one that no other repetition of it has.
const number = "№"

// repeated gives head, then n times body, then tail, without holding them.
type repeated struct {
	head, body, tail string
	n                int
	kind             Kind // "": detected
	job              Job
	says             string // of what it leaves out, when it is of 16 MiB or more
	now              string
	stage            int
	peak             uint64
	reads            int
	distinct         bool
}

func (r *repeated) Read(b []byte) (int, error) {
	if r.reads++; r.reads%4096 == 0 {
		r.peak = max(r.peak, heap())
	}
	for r.now == "" {
		switch {
		case r.stage == 0:
			r.now, r.stage = r.head, 1
		case r.stage == 1 && r.n > 0:
			r.now, r.n = r.body, r.n-1
			if r.distinct = r.distinct || strings.Contains(r.body, number); r.distinct {
				r.now = strings.ReplaceAll(r.body, number, strconv.Itoa(r.n))
			}
		case r.stage == 1:
			r.now, r.stage = r.tail, 2
		default:
			return 0, io.EOF
		}
	}
	n := copy(b, r.now)
	r.now = r.now[n:]
	return n, nil
}

func heap() uint64 {
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

// TestMemoryIsConstant reads reports that are one endless list, text or string.
func TestMemoryIsConstant(t *testing.T) {
	size := 16 << 20
	if *large {
		size = 1 << 30
	}
	block := strings.Repeat("x", 4096)
	long := strings.Repeat("x", 1000)
	for name, r := range map[string]*repeated{
		"JUnit, many tests":                        {head: `<testsuite name="s">`, body: `<testcase classname="c" name="n" time="0.1"><failure message="m">at a.go:1</failure></testcase>`, tail: `</testsuite>`},
		"JUnit, one text":                          {head: `<testsuite name="s"><testcase name="n"><failure>`, body: block, tail: `</failure></testcase></testsuite>`},
		"JUnit, one attribute":                     {head: `<testsuite name="s"><testcase name="n"><failure message="`, body: block, tail: `"/></testcase></testsuite>`},
		"JUnit, one document type":                 {head: `<testsuite name="s"><testcase name="n"/></testsuite><!DOCTYPE x [`, body: block, tail: `]>`},
		"SARIF, many results":                      {head: `{"runs":[{"results":[{"ruleId":"a"}`, body: `,{"ruleId":"a","level":"error","message":{"text":"b"},"codeFlows":[{"threadFlows":[]}]}`, tail: `]}]}`},
		"SARIF, one string":                        {head: `{"runs":[{"results":[{"ruleId":"a","message":{"text":"`, body: block, tail: `"}}]}]}`},
		"SARIF, one result":                        {head: `{"runs":[{"results":[{"ruleId":"a","codeFlows":[0`, body: `,{"x":[1,2,3],"y":"z"}`, tail: `]}]}]}`},
		"SARIF, rules without id":                  {head: `{"runs":[{"tool":{"driver":{"rules":[{"id":"r"}`, body: `,{"shortDescription":{"text":"` + block + `"}}`, tail: `]}},"results":[{"ruleId":"r"}]}]}`},
		"SARIF, rules of one id":                   {head: `{"runs":[{"tool":{"driver":{"rules":[{"id":"r"}`, body: `,{"id":"r","messageStrings":{"a":{"text":"b"}}}`, tail: `]}},"results":[{"ruleId":"r"}]}]}`},
		"go test, one line":                        {head: "=== RUN   TestA\n", body: block, tail: "\n--- FAIL: TestA (0.1s)\nFAIL\tp\t0.1s\n"},
		"go test, much output":                     {head: "=== RUN   TestA\n", body: block + "\n", tail: "\n--- FAIL: TestA (0.1s)\nFAIL\tp\t0.1s\n"},
		"go test, endless":                         {head: "", body: "=== RUN   TestA\n    a_test.go:1: x\n--- FAIL: TestA (0.1s)\n", tail: "FAIL\tp\t0.1s\n"},
		"go test JSON, endless":                    {head: "", body: `{"Action":"run","Package":"p","Test":"TestA"}` + "\n" + `{"Action":"output","Package":"p","Test":"TestA","Output":"x\n"}` + "\n" + `{"Action":"pass","Package":"p","Test":"TestA","Elapsed":0.1}` + "\n", tail: ""},
		"Cobertura, many classes":                  {head: `<coverage line-rate="0.5"><packages>`, body: `<class filename="a.py"><lines><line number="1" hits="2"/></lines></class>`, tail: `</packages></coverage>`},
		"LCOV, many files":                         {head: "TN:\n", body: "SF:a.js\nDA:1,1\nend_of_record\n", tail: ""},
		"benchmarks, many":                         {head: `[{"name":"a","value":1}`, body: `,{"name":"b","value":2,"unit":"ns"}`, tail: `]`},
		"JUnit, distinct names":                    {head: `<testsuite name="s">`, body: `<testcase classname="c№" name="n№"><failure message="m№"/></testcase>`, tail: `</testsuite>`},
		"SARIF, distinct tools":                    {head: `{"runs":[{"tool":{"driver":{"name":"a"}},"results":[]}`, body: `,{"tool":{"driver":{"name":"t№"}},"results":[{"ruleId":"r№"}]}`, tail: `]}`},
		"SARIF, distinct rules":                    {head: `{"runs":[{"tool":{"driver":{"rules":[{"id":"r"}`, body: `,{"id":"r№","messageStrings":{"a№":{"text":"b"}}}`, tail: `]}},"results":[{"ruleId":"r"}]}]}`, says: "of them: "},
		"SARIF, distinct artifacts":                {head: `{"runs":[{"artifacts":[{"location":{"uri":"a"}}`, body: `,{"location":{"uri":"№` + long + long + `"}}`, tail: `],"results":[{"ruleId":"r","locations":[{"physicalLocation":{"artifactLocation":{"index":1000000}}}]}]}]}`, says: "of their names"},
		"SARIF, results before their tool":         {head: `{"runs":[{"results":[{"ruleId":"a"}`, body: `,{"ruleId":"a№","message":{"text":"` + long + `"},"partialFingerprints":{"№":"` + long + `"}}`, tail: `],"tool":{"driver":{"name":"t"}}}]}`, says: "after its results"},
		"go test, distinct names":                  {head: "", body: "=== RUN   Test№\n", tail: "--- FAIL: Test1 (0.1s)\nFAIL\tp\t0.1s\n", says: "more than 20000 tests"},
		"go test, long names":                      {head: "=== RUN   TestA\n", body: "=== RUN   Test№" + strings.Repeat(long, 50) + "\n", tail: "\n--- FAIL: TestA (0.1s)\nFAIL\tp\t0.1s\n"},
		"go test, short names in long lines":       {head: "=== RUN   TestA\n", body: "--- FAIL: Test№" + strings.Repeat(" ", 50_000) + "\n", tail: "FAIL\tp\t0.1s\n"},
		"go test, builds":                          {head: "=== RUN   TestA\n--- FAIL: TestA (0.1s)\n", body: "# p№" + long + "\na.go:1:1: x\n", tail: "FAIL\tp1 [build failed]\n"},
		"go test -bench":                           {head: "pkg: p\n", body: "BenchmarkA№-8 100 52.5 ns/op 7 B/op\n", tail: "PASS\nok  \tp\t0.1s\n"},
		"go test JSON, tests that do not end":      {head: `{"Action":"pass","Package":"p","Test":"TestA"}` + "\n", body: `{"Action":"run","Package":"p","Test":"Test№` + strings.Repeat(long, 3) + `"}` + "\n", tail: "", says: "of their names"},
		"go test JSON, benchmarks that do not end": {head: `{"Action":"pass","Package":"p","Test":"TestA"}` + "\n", body: `{"Action":"output","Package":"p","Test":"BenchmarkA№","Output":"BenchmarkA` + long + long + long + `"}` + "\n", tail: ""},
		"go test JSON, builds":                     {head: `{"Action":"pass","Package":"p","Test":"TestA"}` + "\n", body: `{"Action":"build-output","ImportPath":"№` + long + long + `","Output":"x"}` + "\n", tail: "", says: "bytes of output"},
		"go test JSON, packages that do not end":   {head: "", body: `{"Action":"fail","Package":"№` + strings.Repeat(long, 10) + `","Test":"TestA"}` + "\n", tail: ""},
		"Cobertura, distinct files":                {head: `<coverage line-rate="0.5"><packages>`, body: `<class filename="№` + long + `.py"><lines><line number="1" hits="2"/></lines></class>`, tail: `</packages></coverage>`},
		"LCOV, distinct files":                     {head: "TN:\n", body: "SF:№.js\nDA:1,1\nend_of_record\n", tail: "", says: "were left out"},
		"LCOV, long names":                         {head: "TN:\n", body: "SF:№" + strings.Repeat(long, 60) + "\nDA:1,1\nend_of_record\n", tail: ""},
		"cover, distinct blocks":                   {head: "mode: set\n", body: "a.go:№.1,2.2 3 1\n", tail: ""},
		"cover, distinct files":                    {head: "mode: set\n", body: "№.go:1.1,2.2 3 1\n", tail: "", says: "files beyond"},
		"cover, short names in long lines":         {head: "mode: set\n", body: "№.go:1.1,2.2 " + strings.Repeat(" ", 60_000) + "3 1\n", tail: ""},
		"benchmarks, distinct":                     {head: `[{"name":"a","value":1}`, body: `,{"name":"b№","value":2,"unit":"u№"}`, tail: `]`},
		"events":                                   {head: "", body: `{"test":{"suite":"s№","case":"t№","status":"fail","message":"m"}}` + "\n" + `{"finding":{"tool":"t№","rule":"r№","fingerprint":"f№"}}` + "\n", tail: ""},
		"log of a failed job":                      {kind: Log, body: "ERROR: № of a№ is no b (a.go:№)\n    at acme.Cart№(Cart.java:3)\n"},
		"log of a failed job, one line":            {kind: Log, head: "ERROR: ", body: block},
		"log of a job that passed":                 {kind: Log, job: Job{Passed: true}, body: "compiled №`a№z` b\n"},
		"cover, repeated":                          {head: "mode: set\n", body: "a.go:1.1,2.2 3 1\n", tail: ""},
	} {
		t.Run(name, func(t *testing.T) {
			r.n = size / len(r.body)
			runtime.GC()
			before, begin := heap(), time.Now()
			sum, err := Parse(r, r.kind, Source{Job: r.job}, func(Item) error { return nil })
			require.NoError(t, err)
			require.Positive(t, sum.Items())
			require.GreaterOrEqual(t, sum.Bytes, int64(size/2))
			used := int64(max(r.peak, heap())) - int64(before)
			t.Logf("%d MiB in %s, heap at most %.1f MiB more", sum.Bytes>>20, time.Since(begin).Round(time.Millisecond), float64(used)/(1<<20))
			require.Less(t, used, int64(64<<20))
			require.Contains(t, strings.Join(sum.Problems, "\\n"), r.says)
		})
	}
}

// TestManyFiles is the target: 10,000 JUnit files of 200 MB in under a minute
// with less than 200 MiB, one of them malformed. Without -large, 200 files.
func TestManyFiles(t *testing.T) {
	files := 200
	if *large {
		files = 10_000
	}
	dir := t.TempDir()
	var text bytes.Buffer
	text.WriteString(`<?xml version="1.0"?><testsuites><testsuite name="shop.CartTest" timestamp="2026-11-23T14:02:00">`)
	cases := 0
	for ; text.Len() < 20_000; cases++ {
		fmt.Fprintf(&text, `<testcase classname="shop.CartTest" name="total%d" time="0.0%d">`, cases, cases)
		if cases%20 == 0 {
			text.WriteString(`<failure message="expected 3 but was 4" type="AssertionError">java.lang.AssertionError: expected 3 but was 4
	at shop.CartTest.total(CartTest.java:31)
	at java.base/java.lang.reflect.Method.invoke(Method.java:580)</failure>`)
		}
		text.WriteString("<system-out>a line that the test printed</system-out></testcase>\n")
	}
	whole := text.String() + "</testsuite></testsuites>"
	for i := range files {
		content := whole
		if i == files/2 {
			content = whole[:10_000]
		}
		require.NoError(t, os.WriteFile(filepath.Join(dir, fmt.Sprintf("TEST-%05d.xml", i)), []byte(content), 0o600))
	}

	runtime.GC()
	begin, tests, peak, broken, size := time.Now(), 0, uint64(0), 0, int64(0)
	for i := range files {
		f, err := os.Open(filepath.Join(dir, fmt.Sprintf("TEST-%05d.xml", i)))
		require.NoError(t, err)
		sum, err := Parse(f, "", Source{}, func(Item) error { return nil })
		require.NoError(t, err)
		require.NoError(t, f.Close())
		tests, size = tests+sum.Tests, size+sum.Bytes
		if len(sum.Problems) > 0 {
			broken++
		} else {
			require.Equal(t, cases, sum.Tests)
		}
		if i%100 == 0 {
			var m runtime.MemStats
			runtime.ReadMemStats(&m)
			peak = max(peak, m.Sys)
		}
	}
	took := time.Since(begin)
	t.Logf("%d files, %d MB, %d tests in %s; %d MiB from the system", files, size/1e6, tests, took.Round(time.Millisecond), peak>>20)
	require.Equal(t, 1, broken)
	require.Less(t, took, time.Minute)
	require.Less(t, peak, uint64(200<<20))
}

// The decoder holds names and namespaces of all elements that are open.
func TestOpenTagsAreBounded(t *testing.T) {
	r := &repeated{head: `<testsuites><testcase name="a"/>`, body: `<testsuite xmlns:n№="` + strings.Repeat("x", 60_000) + `" name="s">`, n: 400}
	sum, err := Parse(r, JUnit, Source{}, func(Item) error { return nil })
	require.NoError(t, err)
	require.Equal(t, 1, sum.Tests)
	require.True(t, sum.Broken)
	require.Contains(t, sum.Problems[0], "the tags of the elements that are open are larger than 4 MiB")
}
