package cicdreceiver

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"net/http"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/consumer"
	"go.opentelemetry.io/collector/consumer/consumertest"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/plog"

	"github.com/deployloop/deployloop/internal/event"
	"github.com/deployloop/deployloop/internal/event/eventotlp"
	"github.com/deployloop/deployloop/internal/report"
)

var large = flag.Bool("large", false, "post 10,000 JUnit files of 200 MB")

const junit = `<testsuite name="cart"><testcase classname="acme.Cart" name="total"/><testcase classname="acme.Cart" name="tax"><failure message="want 3, got 4"/></testcase></testsuite>`

var asXML = map[string]string{"Content-Type": "application/xml"}

func (r *running) report(t *testing.T, query string, body []byte, headers map[string]string) (int, report.Taken) {
	t.Helper()
	status, text, _ := r.post("/v1/reports?"+query, body, headers)
	var told report.Taken
	require.NoError(t, json.Unmarshal([]byte(text), &told), text)
	return status, told
}

// named are the records of one event name.
func (r *running) named(name string) []plog.LogRecord {
	var found []plog.LogRecord
	for _, record := range r.records() {
		if record.EventName() == name {
			found = append(found, record)
		}
	}
	return found
}

// A log that fails is held against the last one of its job that passed.
func TestLogsOfAJob(t *testing.T) {
	r := start(t, wiring{})
	post := func(query, log string) {
		t.Helper()
		status, told := r.report(t, "revision=a&repository=acme/shop&kind=log&pipeline=ci&"+query, []byte(log), nil)
		require.Equal(t, http.StatusAccepted, status)
		require.Equal(t, 1, told.Tests)
	}
	const noisy = "ERROR: could not restore the cache\n"
	post("job=compile", noisy+"ERROR: no space left on device\n")
	post("job=compile&result=success", noisy)
	post("job=compile&result=failure", noisy+"ERROR: no space left on device\n")
	post("job=other", noisy)
	var said []string
	for _, record := range r.named(event.NameTestResult) {
		result, err := eventotlp.DecodeTestResult(pcommon.NewResource(), record)
		require.NoError(t, err)
		require.Equal(t, "ci", result.Suite)
		said = append(said, result.Case+" "+result.Status+" "+result.Message)
	}
	require.Len(t, said, 4)
	require.Contains(t, said[0], "[compile] fail")
	require.Contains(t, said[0], "restore the cache")
	require.Equal(t, "[compile] pass ", said[1])
	require.Contains(t, said[2], "no space left on device")
	require.NotContains(t, said[2], "restore the cache", "the log that passed had it too")
	require.Contains(t, said[3], "restore the cache", "another job's logs are its own")

	status, text, _ := r.post("/v1/reports?revision=a&job=compile", []byte(junit), asXML)
	require.Equal(t, http.StatusBadRequest, status)
	require.Contains(t, text, "kind=log")
	status, text, _ = r.post("/v1/reports?revision=a&kind=log&result=odd", []byte(noisy), nil)
	require.Equal(t, http.StatusBadRequest, status)
	require.Contains(t, text, "success nor failure")
}

func TestReport(t *testing.T) {
	r := start(t, wiring{})
	status, told := r.report(t, "revision=9f2c1ab&repository=acme/shop&ref=refs/heads/main&base=a1&run_id=77", []byte(junit), asXML)
	require.Equal(t, http.StatusAccepted, status)
	require.Equal(t, report.Taken{Reports: 1, Tests: 2, Failures: 1}, told)

	tests := r.named(event.NameTestResult)
	require.Len(t, tests, 2)
	failed, err := eventotlp.DecodeTestResult(pcommon.NewResource(), tests[1])
	require.NoError(t, err)
	require.Len(t, failed.ID, 16)
	failed.ID = ""
	require.Equal(t, event.TestResult{
		Suite: "acme.Cart", Case: "tax", Status: "fail", Message: "want 3, got 4",
		Repository: "acme/shop", Revision: "9f2c1ab", Ref: "main", Base: "a1", RunID: "77", At: fixedNow,
	}, failed)
	ends := r.named(event.NameReport)
	require.Len(t, ends, 1)
	end, err := eventotlp.DecodeReport(pcommon.NewResource(), ends[0])
	require.NoError(t, err)
	require.Equal(t, event.Report{
		Kind: "junit", Suites: []string{"acme.Cart"}, Tests: 2, Failures: 1,
		Repository: "acme/shop", Revision: "9f2c1ab", Ref: "main", Base: "a1", RunID: "77", At: fixedNow,
	}, end)
	require.EqualValues(t, 1, r.counted("reports", outcomeAccepted))
}

// A linter that found nothing is told of, so that what it found before ends; one
// whose log is cut off is not.
func TestLinterThatFoundNothing(t *testing.T) {
	clean := `{"version":"2.1.0","runs":[{"tool":{"driver":{"name":"vet"}},"results":[]}]}`
	r := start(t, wiring{})
	status, told := r.report(t, "revision=a&kind=sarif", []byte(clean[:len(clean)-3]), asXML)
	require.Equal(t, http.StatusBadRequest, status)
	require.Equal(t, 1, told.Broken)
	require.Empty(t, r.named(event.NameReport))

	status, told = r.report(t, "revision=a", []byte(clean), asXML)
	require.Equal(t, http.StatusAccepted, status)
	require.Equal(t, report.Taken{Reports: 1}, told)
	ends := r.named(event.NameReport)
	require.Len(t, ends, 1)
	end, err := eventotlp.DecodeReport(pcommon.NewResource(), ends[0])
	require.NoError(t, err)
	require.Equal(t, event.Report{Kind: "sarif", Tools: []string{"vet"}, Revision: "a", At: fixedNow}, end)
}

func TestCoverageAndBenchmarksAreMeasurements(t *testing.T) {
	r := start(t, wiring{})
	status, told := r.report(t, "revision=a", []byte("mode: set\nacme/shop/cart/a.go:1.1,2.2 3 1\nacme/shop/tax/b.go:1.1,2.2 1 0\n"), asXML)
	require.Equal(t, http.StatusAccepted, status)
	require.Equal(t, report.Taken{Reports: 1, Measurements: 1}, told)
	status, _ = r.report(t, "revision=a", []byte("pkg: acme/shop\nBenchmarkTotal-8   100   52.5 ns/op\nPASS\n"), asXML)
	require.Equal(t, http.StatusAccepted, status)
	var seen []event.Measurement
	for _, record := range r.named(event.NameMeasurement) {
		m, err := eventotlp.DecodeMeasurement(pcommon.NewResource(), record)
		require.NoError(t, err)
		seen = append(seen, m)
	}
	require.Equal(t, []event.Measurement{
		{Suite: "acme/shop", Name: "coverage statements", Value: .75, Unit: "1", Revision: "a", At: fixedNow},
		{Suite: "acme/shop", Name: "BenchmarkTotal", Value: 52.5, Unit: "ns/op", Revision: "a", At: fixedNow},
	}, seen)
}

func archive(t *testing.T, files ...string) []byte {
	t.Helper()
	var out bytes.Buffer
	w := tar.NewWriter(&out)
	for i, content := range files {
		require.NoError(t, w.WriteHeader(&tar.Header{Name: fmt.Sprintf("TEST-%d.xml", i), Size: int64(len(content)), Mode: 0o600, Typeflag: tar.TypeReg}))
		_, err := w.Write([]byte(content))
		require.NoError(t, err)
	}
	require.NoError(t, w.Close())
	return out.Bytes()
}

// A malformed report costs only itself, and the answer says what was read.
func TestBrokenReports(t *testing.T) {
	t.Run("one that breaks off", func(t *testing.T) {
		r := start(t, wiring{})
		status, told := r.report(t, "revision=a", []byte(junit[:120]), asXML)
		require.Equal(t, http.StatusBadRequest, status)
		require.Equal(t, 1, told.Tests)
		require.Equal(t, 1, told.Broken)
		require.Contains(t, told.Problems[0].Problems[0], "incomplete")
		require.Len(t, r.named(event.NameTestResult), 1, "what was read is kept")
		end, err := eventotlp.DecodeReport(pcommon.NewResource(), r.named(event.NameReport)[0])
		require.NoError(t, err)
		require.True(t, end.Broken)
	})
	t.Run("among others", func(t *testing.T) {
		r := start(t, wiring{})
		var packed bytes.Buffer
		w := gzip.NewWriter(&packed)
		_, err := w.Write(archive(t, junit, "this is no report", junit, junit[:120], junit))
		require.NoError(t, err)
		require.NoError(t, w.Close())
		status, told := r.report(t, "revision=a", packed.Bytes(), map[string]string{"Content-Type": "application/x-tar", "Content-Encoding": "gzip"})
		require.Equal(t, http.StatusBadRequest, status)
		require.Equal(t, 5, told.Reports)
		require.Equal(t, 7, told.Tests)
		require.Equal(t, 2, told.Broken)
		require.Equal(t, "TEST-1.xml", told.Problems[0].Name)
		require.Contains(t, told.Problems[0].Error, "no report of a known kind")
		require.Equal(t, "TEST-3.xml", told.Problems[1].Name)
		require.Len(t, r.named(event.NameTestResult), 7)
	})
	t.Run("an archive that breaks off", func(t *testing.T) {
		r := start(t, wiring{})
		whole := archive(t, junit, junit)
		status, told := r.report(t, "revision=a", whole[:1100], map[string]string{"Content-Type": "application/x-tar"})
		require.Equal(t, http.StatusBadRequest, status)
		require.Equal(t, 2, told.Tests)
		require.Contains(t, told.Problems[0].Error, "archive breaks off")
	})
	t.Run("too large", func(t *testing.T) {
		r := start(t, wiring{config: func(c *Config) { c.MaxReportSize = 500; c.MaxRequestBodySize = 100 }})
		body := strings.Replace(junit, "</testsuite>", strings.Repeat(" ", 500)+"</testsuite>", 1)
		status, text, _ := r.post("/v1/reports?revision=a", []byte(body), asXML)
		require.Equal(t, http.StatusRequestEntityTooLarge, status)
		require.Contains(t, text, "larger than 500 bytes; 2 results before that were taken")
		require.Len(t, r.named(event.NameTestResult), 2)
		status, _, _ = r.post("/v1/reports?revision=a", []byte(junit), asXML)
		require.Equal(t, http.StatusAccepted, status, "the limit of webhooks is not that of reports")
	})
	for name, c := range map[string]struct {
		query, reason string
		headers       map[string]string
		status        int
	}{
		"no revision":   {"kind=junit", "say which commit was tested", asXML, 400},
		"unknown key":   {"revision=a&brnch=b", `unknown key "brnch"`, asXML, 400},
		"unknown kind":  {"revision=a&kind=xunit", `kind "xunit" is none of`, asXML, 400},
		"text":          {"revision=a", "set Content-Type", map[string]string{"Content-Type": "text/plain"}, 415},
		"a form":        {"revision=a", "set Content-Type", map[string]string{"Content-Type": "application/x-www-form-urlencoded"}, 415},
		"nothing known": {"revision=a&kind=junit", "junit", asXML, 202},
	} {
		t.Run(name, func(t *testing.T) {
			r := start(t, wiring{})
			status, text, _ := r.post("/v1/reports?"+c.query, []byte(junit), c.headers)
			require.Equal(t, c.status, status, text)
			if c.status != 202 {
				require.Contains(t, text, c.reason)
				require.Empty(t, r.records())
			}
		})
	}
}

// While the body still comes, what was read of it is known already.
func TestResultsGoOutWhileTheReportComes(t *testing.T) {
	r := start(t, wiring{})
	body, writer := io.Pipe()
	request, err := http.NewRequest(http.MethodPost, r.base+"/v1/reports?revision=a&kind=events", body)
	require.NoError(t, err)
	request.Header.Set("Content-Type", "application/x-ndjson")
	answered := make(chan int, 1)
	go func() {
		response, err := http.DefaultClient.Do(request)
		if err != nil {
			answered <- 0
			return
		}
		response.Body.Close()
		answered <- response.StatusCode
	}()
	for i := range reportBatch + 100 {
		_, err := fmt.Fprintf(writer, `{"test":{"suite":"s","case":"t%d","status":"pass"}}`+"\n"+strings.Repeat(" ", 1000)+"\n", i)
		require.NoError(t, err)
	}
	require.Eventually(t, func() bool { return len(r.named(event.NameTestResult)) >= reportBatch }, 30*time.Second, time.Millisecond)
	select {
	case <-answered:
		t.Fatal("answered before its end")
	default:
	}
	require.NoError(t, writer.Close())
	require.Equal(t, http.StatusAccepted, <-answered)
	require.Len(t, r.named(event.NameTestResult), reportBatch+100)
}

// A body that takes longer than the write timeout, as every one does here, gets its
// answer all the same.
func TestReportThatTakesLongIsAnswered(t *testing.T) {
	r := start(t, wiring{config: func(c *Config) { c.WriteTimeout = 1 }})
	status, _ := r.report(t, "revision=a", []byte(junit), asXML)
	require.Equal(t, http.StatusAccepted, status)
}

func TestPipelineThatCannotTakeAReport(t *testing.T) {
	r := start(t, wiring{logs: consumertest.NewErr(errors.New("full"))})
	status, text, header := r.post("/v1/reports?revision=a", []byte(junit), asXML)
	require.Equal(t, http.StatusServiceUnavailable, status)
	require.Contains(t, text, "send it again")
	require.NotEmpty(t, header.Get("Retry-After"))
}

// TestTenThousandReports is the target: 10,000 JUnit files of 200 MB in under a
// minute with less than 200 MiB, a malformed one among them; sent one by one, as
// a script would, and as one archive. Without -large, 200 files.
func TestTenThousandReports(t *testing.T) {
	files := 200
	if *large {
		files = 10_000
	}
	var text bytes.Buffer
	text.WriteString(`<?xml version="1.0"?><testsuites><testsuite name="shop.CartTest">`)
	cases := 0
	for ; text.Len() < 20_000; cases++ {
		fmt.Fprintf(&text, `<testcase classname="shop.CartTest" name="total%d" time="0.0%d">`, cases, cases)
		if cases%20 == 0 {
			text.WriteString("<failure message=\"expected 3 but was 4\">java.lang.AssertionError: expected 3 but was 4\n\tat shop.CartTest.total(CartTest.java:31)\n</failure>")
		}
		text.WriteString("<system-out>a line that the test printed</system-out></testcase>\n")
	}
	whole := append(text.Bytes(), "</testsuite></testsuites>"...)
	content := func(i int) []byte {
		if i == files/2 {
			return whole[:10_000]
		}
		return whole
	}
	var records atomic.Int64
	counting, err := consumer.NewLogs(func(_ context.Context, ld plog.Logs) error {
		records.Add(int64(ld.LogRecordCount()))
		return nil
	})
	require.NoError(t, err)
	measured := func(name string, send func(r *running)) {
		r := start(t, wiring{logs: counting})
		records.Store(0)
		peak, stop, stopped := uint64(0), make(chan struct{}), make(chan struct{})
		go func() {
			defer close(stopped)
			for {
				var m runtime.MemStats
				runtime.ReadMemStats(&m)
				peak = max(peak, m.Sys)
				select {
				case <-stop:
					return
				case <-time.After(100 * time.Millisecond):
				}
			}
		}()
		begin := time.Now()
		send(r)
		took := time.Since(begin)
		close(stop)
		<-stopped
		t.Logf("%s: %d files, %d MB, %d records in %s; %d MiB from the system", name, files, files*len(whole)/1e6, records.Load(), took.Round(time.Millisecond), peak>>20)
		require.GreaterOrEqual(t, records.Load(), int64((files-1)*(cases+1)))
		require.Less(t, peak, uint64(200<<20))
		if *large {
			require.Less(t, took, time.Minute)
		}
	}
	measured("one by one", func(r *running) {
		for i := range files {
			status, _, _ := r.post("/v1/reports?revision=a", content(i), asXML)
			want := http.StatusAccepted
			if i == files/2 {
				want = http.StatusBadRequest
			}
			require.Equal(t, want, status)
		}
	})
	measured("one archive", func(r *running) {
		body, writer := io.Pipe()
		go func() {
			w := tar.NewWriter(writer)
			for i := range files {
				c := content(i)
				_ = w.WriteHeader(&tar.Header{Name: fmt.Sprintf("%d.xml", i), Size: int64(len(c)), Mode: 0o600, Typeflag: tar.TypeReg})
				_, _ = w.Write(c)
			}
			writer.CloseWithError(w.Close())
		}()
		response, err := http.Post(r.base+"/v1/reports?revision=a", "application/x-tar", body)
		require.NoError(t, err)
		defer response.Body.Close()
		require.Equal(t, http.StatusBadRequest, response.StatusCode)
		var told report.Taken
		require.NoError(t, json.NewDecoder(response.Body).Decode(&told))
		require.Equal(t, files, told.Reports)
		require.Equal(t, 1, told.Broken)
	})
}

// ids are those of results, in order.
func ids(records []plog.LogRecord) (list []string) {
	for _, record := range records {
		id, _ := record.Attributes().Get(event.AttrResultID)
		list = append(list, id.Str())
	}
	return list
}

// A request that is sent again says the same by the same ids, however long it takes
// until then; a test that ran again, another commit and another run have their own.
func TestResultsThatAreSentAgainAreKnown(t *testing.T) {
	const twice = `<testsuite name="cart"><testcase name="total"><failure message="x"/></testcase><testcase name="total"><failure message="x"/></testcase></testsuite>`
	now := fixedNow
	r := start(t, wiring{})
	r.receiver.now = func() time.Time { now = now.Add(time.Minute); return now }
	first := []byte(twice)
	for _, query := range []string{"revision=a", "revision=a", "revision=b", "revision=a&run_id=2"} {
		status, _ := r.report(t, query, first, asXML)
		require.Equal(t, http.StatusAccepted, status)
	}
	got := ids(r.named(event.NameTestResult))
	require.Len(t, got, 8)
	require.Equal(t, got[:2], got[2:4], "sent again")
	distinct := map[string]bool{}
	for _, id := range got {
		distinct[id] = true
	}
	require.Len(t, distinct, 6)
	status, _ := r.report(t, "revision=a", archive(t, junit, twice), asXML)
	require.Equal(t, http.StatusAccepted, status)
	require.Equal(t, got[:2], ids(r.named(event.NameTestResult))[10:], "whatever is sent beside it")
}
