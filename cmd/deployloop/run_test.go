package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/deployloop/deployloop/internal/event"
	"github.com/deployloop/deployloop/internal/report"
)

// goCache is where go keeps what it built, which XDG_CACHE_HOME must not move.
var goCache = sync.OnceValue(func() string {
	out, _ := exec.Command("go", "env", "GOCACHE").Output()
	return strings.TrimSpace(string(out))
})

// module is a Go module of its own, in the working directory of the test.
func module(t *testing.T, files map[string]string) {
	t.Helper()
	dir := t.TempDir()
	files["go.mod"] = "module acme/shop\n\ngo 1.24\n"
	for name, text := range files {
		path := filepath.Join(dir, name)
		require.NoError(t, os.MkdirAll(filepath.Dir(path), 0o755))
		require.NoError(t, os.WriteFile(path, []byte(text), 0o600))
	}
	t.Chdir(dir)
	for _, name := range []string{"CI", "GITHUB_ACTIONS", "DEPLOYLOOP_CICD_URL", "TRACEPARENT", "GITHUB_SHA", "CI_COMMIT_SHA"} {
		t.Setenv(name, "")
	}
	t.Setenv("GOCACHE", goCache())
	t.Setenv("XDG_CACHE_HOME", t.TempDir()) // of what was not sent
	t.Setenv("GOWORK", "off")
	t.Setenv("GOFLAGS", "-trimpath -buildvcs=false")
}

// locked is a buffer that two goroutines write.
type locked struct {
	mu sync.Mutex
	bytes.Buffer
}

func (l *locked) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.Buffer.Write(p)
}

func (l *locked) text() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.String()
}

// runStep runs deployloop run; code is -1 for an error that is no exit code.
func runStep(t *testing.T, arguments ...string) (stdout, stderr string, code int) {
	t.Helper()
	return new(runFlags).runHere(t, arguments...)
}

func (f *runFlags) runHere(t *testing.T, arguments ...string) (stdout, stderr string, code int) {
	t.Helper()
	c := f.command()
	var out, notes locked
	c.SetOut(&out)
	c.SetErr(&notes)
	c.SetIn(strings.NewReader(""))
	c.SilenceErrors = true
	c.SetArgs(arguments)
	err := c.ExecuteContext(context.Background())
	var exit exitError
	switch {
	case errors.As(err, &exit):
		code = exit.code
		if exit.err != nil {
			notes.WriteString(exit.err.Error())
		}
	case err != nil:
		notes.WriteString(err.Error())
		code = -1
	}
	return out.text(), notes.text(), code
}

const cartTest = `package cart

import "testing"

func TestTotal(t *testing.T) {
	if got := Total(1, 2); got != 3 {
		t.Fatalf("want 3, got %d", got)
	}
}

func TestTax(t *testing.T) { t.Log("fine") }
`

func TestRunJudgesARealGoTest(t *testing.T) {
	module(t, map[string]string{"cart/total.go": "package cart\n\nfunc Total(a, b int) int { return a + b }\n", "cart/total_test.go": cartTest})
	out, notes, code := runStep(t, "--baseline", "baseline.json", "--update", "--revision", "a1b2c3d", "--", "go", "test", "-json", "./...")
	require.Zero(t, code, notes)
	require.Contains(t, out, `"Action":"pass"`, "into a pipe the output passes through as it is")
	require.Contains(t, out, "2 tests: 2 passed, 0 failed, 0 skipped\n")

	require.NoError(t, os.WriteFile("cart/total.go", []byte("package cart\n\nfunc Total(a, b int) int { return a - b }\n"), 0o600))
	out, notes, code = runStep(t, "--baseline", "baseline.json", "--revision", "9f2c1ab", "--", "go", "test", "-json", "./...")
	require.Equal(t, 1, code, "the command's own")
	require.Contains(t, notes, "NEW FAILURE  acme/shop/cart TestTotal  total_test.go:7", "told as it happens")
	for _, want := range []string{"NEW FAILURE  acme/shop/cart TestTotal", "at cart/total_test.go:7", "want 3, got -1", "last passed at a1b2c3d",
		"again: go test -count=1 -run '^TestTotal$' acme/shop/cart", "2 tests: 1 passed, 1 failed, 0 skipped · 1 new failure\n"} {
		require.Contains(t, out, want)
	}

	// In CI: what go test itself would show, annotations, one line.
	t.Setenv("CI", "true")
	t.Setenv("GITHUB_ACTIONS", "true")
	out, _, code = runStep(t, "--baseline", "baseline.json", "--revision", "9f2c1ab", "--code-quality", "quality.json", "--", "go", "test", "-json", "./...")
	require.Equal(t, 1, code)
	require.NotContains(t, out, `"Action"`)
	require.Contains(t, out, "total_test.go:7: want 3, got -1")
	require.NotContains(t, out, "fine", "the words of a test that passes")
	require.Contains(t, out, "FAIL\tacme/shop/cart")
	require.Contains(t, out, "::error file=cart/total_test.go,line=7,title=new failure%3A acme/shop/cart TestTotal::")
	quality, err := os.ReadFile("quality.json")
	require.NoError(t, err)
	require.Contains(t, string(quality), `"path":"cart/total_test.go","lines":{"begin":7}`)
}

func TestRunReadsPlainGoTest(t *testing.T) {
	module(t, map[string]string{"cart/total.go": "package cart\n\nfunc Total(a, b int) int { return a - b }\n", "cart/total_test.go": cartTest})
	out, notes, code := runStep(t, "--", "go", "test", "./...")
	require.Equal(t, 1, code)
	require.Contains(t, out, "--- FAIL: TestTotal")
	require.Contains(t, notes, "FAILED  acme/shop/cart TestTotal  total_test.go:7", "without a baseline nothing is called new")
	require.Contains(t, notes, "go test names the tests that pass with -json or -v only: others are not counted\n")
}

const flakyTest = `package cart

import (
	"os"
	"testing"
)

func TestFlaky(t *testing.T) {
	if _, err := os.Stat("seen"); err != nil {
		if err := os.WriteFile("seen", nil, 0o600); err != nil {
			t.Fatal(err)
		}
		t.Fatal("only the first time")
	}
}

func TestBroken(t *testing.T) {
	if os.Getenv("MENDED") == "" {
		t.Fatal("always")
	}
}

func TestCounted(t *testing.T) {
	f, err := os.OpenFile("runs", os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	f.WriteString("x")
}
`

func TestRunTellsFlakyFromBrokenByRunningAgain(t *testing.T) {
	module(t, map[string]string{"cart/cart_test.go": flakyTest})
	out, notes, code := runStep(t, "--retries", "2", "--flaky-ok", "--revision", "9f2c1ab", "--", "go", "test", "-run", "Test", "./...")
	require.Equal(t, 1, code, "TestBroken is no flake")
	require.Contains(t, notes, "running 2 failing tests again (1 of 2)")
	require.Contains(t, notes, "running 1 failing test again (2 of 2)")
	require.NotContains(t, out, `"Action"`, "that the second run is read from events is nobody's business")
	require.Contains(t, out, "    cart_test.go:19: always\n--- FAIL: TestBroken (0.00s)\n")
	require.Contains(t, out, "KNOWN FLAKY  acme/shop/cart TestFlaky")
	require.Contains(t, out, "NEW FAILURE  acme/shop/cart TestBroken")
	ran, err := os.ReadFile("cart/runs")
	require.NoError(t, err)
	require.Equal(t, "x", string(ran), "what passed is not run again")

	t.Setenv("MENDED", "1")
	for _, flakyOK := range []bool{false, true} {
		require.NoError(t, os.Remove("cart/seen"))
		arguments := []string{"--retries=1", "--revision", "9f2c1ab"}
		if flakyOK {
			arguments = append(arguments, "--flaky-ok")
		}
		_, _, code = runStep(t, append(arguments, "--", "go", "test", "-json", "./...")...)
		require.Equal(t, !flakyOK, code == 1, "the exit code is kept, unless it is asked otherwise")
	}
}

// After a panic, or the timeout, the later tests of a package have not run: that
// the one that panicked passes says nothing of them.
func TestRunRunsAPackageThatWasCutShortWhole(t *testing.T) {
	const file = `package cart

import (
	"os"
	"testing"
	"time"
)

func TestA(t *testing.T) {
	if _, err := os.Stat("seen"); err == nil {
		return
	}
	if err := os.WriteFile("seen", nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if os.Getenv("HANGS") != "" {
		time.Sleep(time.Hour)
	}
	panic("only the first time")
}

func TestB(t *testing.T) {
	if os.Getenv("MENDED") == "" {
		t.Fatal("always")
	}
}
`
	for name, c := range map[string]struct {
		hangs, mended string
		command       []string
		want          int
	}{
		"a panic, with events":      {"", "", []string{"go", "test", "-json", "./..."}, 1},
		"a panic, as text":          {"", "", []string{"go", "test", "./..."}, 1},
		"the timeout, with events":  {"1", "", []string{"go", "test", "-json", "-timeout", "2s", "./..."}, 1},
		"a panic, and all is well":  {"", "1", []string{"go", "test", "./..."}, 0},
		"a panic, only that chosen": {"", "", []string{"go", "test", "-run", "TestA", "./..."}, 0},
	} {
		t.Run(name, func(t *testing.T) {
			module(t, map[string]string{"cart/cart_test.go": file})
			t.Setenv("HANGS", c.hangs)
			t.Setenv("MENDED", c.mended)
			out, notes, code := runStep(t, append([]string{"--retries=1", "--flaky-ok", "--revision", "9f2c1ab", "--"}, c.command...)...)
			require.Equal(t, c.want, code, out+notes)
			require.Contains(t, notes, "again (1 of 1)")
		})
	}
}

func TestRunDoesNotRunABuildThatFailedAgain(t *testing.T) {
	module(t, map[string]string{"cart/total.go": "package cart\n\nfunc Total() int { return x }\n", "cart/total_test.go": "package cart\n"})
	out, notes, code := runStep(t, "--retries", "3", "--flaky-ok", "--", "go", "test", "-json", "./...")
	require.Equal(t, 1, code)
	require.NotContains(t, notes, "again (")
	require.Contains(t, out, "[build failed]")
	require.Contains(t, out, "undefined: x")
}

func TestCommandsThatRunFailingTestsAgain(t *testing.T) {
	failing := []event.TestResult{{Suite: "acme/b", Case: "TestX/one"}, {Suite: "acme/b", Case: "TestX/two"}, {Suite: "acme/a", Case: "TestY"}, {Suite: "acme/a", Case: "[build failed]"}, {Suite: "acme/c", Case: "TestPanics"}, {Suite: "-exec=reboot", Case: "TestZ"}}
	got := goTestAgain(strings.Fields("go test -race -run Test -tags integration -coverprofile=c.out -p 4 ./... -args -update"), failing, map[string]bool{"acme/c": true, "acme/d": true})
	require.Equal(t, [][]string{
		strings.Fields("go test -race -tags integration -p 4 -json -count=1 -run ^TestY$ acme/a -args -update"),
		strings.Fields("go test -race -tags integration -p 4 -json -count=1 -run ^TestX$ acme/b -args -update"),
		strings.Fields("go test -race -tags integration -p 4 -json -count=1 -run Test acme/c -args -update"),
	}, got)
	require.Empty(t, goTestAgain([]string{"make", "test"}, failing, nil))
	require.Empty(t, goTestAgain([]string{"go", "test"}, nil, nil))
}

// The child here is the shell; deployloop itself uses none.
func TestRunKeepsOutputAndExitCode(t *testing.T) {
	module(t, map[string]string{})
	out, notes, code := runStep(t, "--", "sh", "-c", `printf 'no line end'; printf '\000\377' ; printf 'to stderr' >&2; exit 42`)
	require.Equal(t, 42, code)
	require.Equal(t, "no line end\x00\xff", out)
	require.Equal(t, "to stderr", notes)

	out, _, code = runStep(t, "--", "sh", "-c", `i=0; while [ $i -lt 20000 ]; do echo "line $i of many"; i=$((i+1)); done`)
	require.Zero(t, code)
	require.Equal(t, 20000, strings.Count(out, "\n"))
	require.True(t, strings.HasSuffix(out, "line 19999 of many\n"))

	out, _, code = runStep(t, "--", "sh", "-c", `echo '{"Action":"run"'; echo 'not json'; exit 3`)
	require.Equal(t, 3, code)
	require.Contains(t, out, "not json")

	_, notes, code = runStep(t, "--", "./no-such-command")
	require.Equal(t, exitNotStarted, code)
	require.Contains(t, notes, "no-such-command")
	_, _, code = runStep(t, "--", "sh", "-c", "kill -KILL $$")
	require.Equal(t, 128+9, code)
}

// countSignals has this test binary note each signal that it gets, which a shell's
// trap does not: of two at once it sees one. It ends with 7 when it is told to.
const countSignals = "count-signals"

func noteEachSignal() {
	got := make(chan os.Signal, 10)
	signal.Notify(got, os.Interrupt, syscall.SIGTERM, syscall.SIGHUP, syscall.SIGQUIT)
	_ = os.WriteFile("ready", nil, 0o600)
	notes, _ := os.Create("got")
	for {
		select {
		case sig := <-got:
			fmt.Fprintln(notes, sig)
		case <-time.After(100 * time.Millisecond): // none is on its way
			if _, err := os.Stat("go-on"); err == nil {
				os.Exit(7)
			}
		}
	}
}

func TestRunForwardsSignals(t *testing.T) {
	module(t, map[string]string{})
	f := &runFlags{signals: make(chan os.Signal, 1)}
	go func() {
		for { // until the trap is set
			if _, err := os.Stat("ready"); err == nil {
				break
			}
			time.Sleep(5 * time.Millisecond)
		}
		f.signals <- syscall.SIGTERM
	}()
	out, _, code := f.runHere(t, "--retries", "2", "--", "sh", "-c", `trap 'echo cleaned up; exit 7' TERM; : > ready; while :; do sleep 0.01; done`)
	require.Equal(t, 7, code)
	require.Equal(t, "cleaned up\n", out)
}

func TestRunGivesATraceContext(t *testing.T) {
	module(t, map[string]string{})
	out, _, _ := runStep(t, "--run-id", "77", "--", "sh", "-c", "echo $TRACEPARENT")
	require.Regexp(t, `^00-[0-9a-f]{32}-[0-9a-f]{16}-01\n$`, out)
	t.Setenv("TRACEPARENT", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01")
	out, _, _ = runStep(t, "--", "sh", "-c", "echo $TRACEPARENT")
	require.Equal(t, "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01\n", out, "an outer span stays")
}

func TestRunReadsTheReportsThatItsCommandWrote(t *testing.T) {
	module(t, map[string]string{"old/TEST-stale.xml": badReport, "new.xml": badReport})
	past := time.Now().Add(-time.Hour)
	require.NoError(t, os.Chtimes("old/TEST-stale.xml", past, past))
	require.NoError(t, os.Chtimes("new.xml", past, past))
	out, _, code := runStep(t, "--report", "**/TEST-*.xml", "--", "sh", "-c", "mkdir -p build/results; cp new.xml build/results/TEST-cart.xml; touch build/results/TEST-cart.xml; exit 1")
	require.Equal(t, 1, code)
	require.Contains(t, out, "at cart_test.go:14")
	require.Contains(t, out, "1 test: 0 passed, 1 failed")
	_, notes, code := runStep(t, "--report", "**/TEST-stale.xml", "--", "true")
	require.Zero(t, code)
	require.Contains(t, notes, "older ones are left alone")
}

func TestRunNamesPlacesInWhatABuildPrints(t *testing.T) {
	module(t, map[string]string{"cart/total.go": "package cart\n\nfunc Total() int { return x }\n"})
	out, notes, code := runStep(t, "--stage", "build", "-o", "json", "--", "go", "build", "./...")
	require.Equal(t, 1, code)
	require.Contains(t, notes, "undefined: x")
	require.Contains(t, out, `"findings":1`)
	require.Contains(t, out, `"file":"cart/total.go"`)
}

// receiverOfEvents keeps what POST /v1/reports is sent, in order.
func receiverOfEvents(t *testing.T, sent chan<- report.Event) string {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		_, err := report.Parse(req.Body, report.Kind(req.URL.Query().Get("kind")), report.Source{Revision: req.URL.Query().Get("revision")}, func(i report.Item) error {
			if i.Report == nil {
				sent <- report.Event{Test: i.Test, Run: i.Run}
			}
			return nil
		})
		if err != nil {
			w.WriteHeader(http.StatusBadRequest)
		}
		_, _ = io.WriteString(w, `{"reports":1,"tests":1}`)
	}))
	t.Cleanup(server.Close)
	return server.URL
}

func TestRunTellsFailuresWhileItGoesOn(t *testing.T) {
	module(t, map[string]string{"cart/cart_test.go": `package cart

import (
	"os"
	"testing"
	"time"
)

func TestA(t *testing.T) { t.Error("no") }

func TestB(t *testing.T) {
	for range 3000 { // till the test of the test has seen TestA's failure
		if _, err := os.Stat("../go-on"); err == nil {
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
	t.Error("nobody was told of TestA")
}
`})
	sent := make(chan report.Event, 100)
	var order []string
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		for e := range sent {
			switch {
			case e.Run != nil:
				order = append(order, e.Run.State+e.Run.Result)
				if e.Run.State == "finished" {
					return
				}
			case e.Test.Case == "TestA":
				order = append(order, "TestA "+e.Test.Status)
				_ = os.WriteFile("go-on", nil, 0o600)
			default:
				order = append(order, e.Test.Case+" "+e.Test.Status)
			}
		}
	}()
	_, notes, code := runStep(t, "--endpoint", receiverOfEvents(t, sent), "--revision", "9f2c1ab", "--", "go", "test", "-json", "./...")
	require.Equal(t, 1, code)
	<-ended
	require.Equal(t, []string{"executing", "TestA fail", "TestB pass", "finishedfailure"}, order, notes)

	_, notes, code = runStep(t, "--endpoint", "http://127.0.0.1:1", "--revision", "9f2c1ab", "--", "true")
	require.Zero(t, code, "that nobody was told changes no exit code")
	require.Contains(t, notes, "not sent: 1 result, the step's end: no deployloop answers at http://127.0.0.1:1 (")
}

func TestRunRefusesFlagsThatCannotBeMeant(t *testing.T) {
	for _, arguments := range [][]string{
		{"--stage", "deploy", "--", "true"}, {"--retries", "-1", "--", "true"}, {"--flaky-ok", "--", "true"}, {"--flaky-ok", "--retries=1", "--", "go", "test", "-failfast", "./..."}, {"--report", "[", "--", "true"}, {"--update", "--", "true"}, {"--send-timeout", "0s", "--", "true"}, {},
	} {
		_, notes, code := runStep(t, arguments...)
		require.Equal(t, -1, code, arguments)
		require.NotEmpty(t, notes)
	}
}

// prompted says yes once it was asked.
type prompted struct {
	shown *locked
	sent  bool
}

func (p *prompted) Read(b []byte) (int, error) {
	if p.sent {
		return 0, io.EOF
	}
	for end := time.Now().Add(time.Minute); !strings.Contains(p.shown.text(), "Continue? "); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			return 0, io.EOF
		}
	}
	p.sent = true
	return copy(b, "yes\n"), nil
}

// A prompt ends with no line.
func TestRunShowsAPromptBeforeItIsAnswered(t *testing.T) {
	for _, prompt := range []string{"Continue? ", "{shop} Continue? "} {
		module(t, map[string]string{})
		var out locked
		c := new(runFlags).command()
		c.SetOut(&out)
		c.SetErr(io.Discard)
		c.SetIn(&prompted{shown: &out})
		c.SetArgs([]string{"--", "sh", "-c", `printf '` + prompt + `'; read x; echo "$x"; [ "$x" = yes ]`})
		require.NoError(t, c.ExecuteContext(t.Context()), prompt)
		require.True(t, strings.HasPrefix(out.text(), prompt+"yes\n"), out.text())
	}
}

func eventually(t *testing.T, condition func() bool) {
	t.Helper()
	require.Eventually(t, condition, time.Minute, 5*time.Millisecond)
}
