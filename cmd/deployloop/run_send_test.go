package main

import (
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/deployloop/deployloop/internal/report"
)

// intake is a receiver that keeps what it took; refuse says which requests, from 1,
// it does not take.
type intake struct {
	mu     sync.Mutex
	asked  int
	events []report.Event
	files  []string // of other reports
	whole  bool     // it was told that this is all
	refuse func(n int, body string) bool
}

func (i *intake) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	body, _ := io.ReadAll(req.Body)
	i.mu.Lock()
	defer i.mu.Unlock()
	i.asked++
	if i.refuse != nil && i.refuse(i.asked, string(body)) {
		w.WriteHeader(http.StatusInternalServerError)
		return
	}
	var items []report.Event
	err := report.ParseAll(strings.NewReader(string(body)), report.Kind(req.URL.Query().Get("kind")), report.Source{}, func(item report.Item) error {
		if item.Report != nil {
			i.whole = !item.Report.Broken
			return nil
		}
		items = append(items, report.Event{Test: item.Test, Run: item.Run})
		return nil
	}, func(name string, sum report.Summary, err error) error {
		if sum.Kind == report.Events {
			i.events = append(i.events, items...)
		} else {
			i.files = append(i.files, name)
		}
		items = nil
		return err
	})
	if err != nil {
		w.WriteHeader(http.StatusBadRequest)
	}
	_, _ = io.WriteString(w, `{"reports":1}`)
}

// said is what it took, in order.
func (i *intake) said() (list []string) {
	i.mu.Lock()
	defer i.mu.Unlock()
	for _, e := range i.events {
		if e.Run != nil {
			list = append(list, e.Run.State+e.Run.Result)
		} else {
			list = append(list, e.Test.Case+" "+e.Test.Status)
		}
	}
	return list
}

func (i *intake) start(t *testing.T) string {
	server := httptest.NewServer(i)
	t.Cleanup(server.Close)
	return server.URL
}

const oneFailsOnePasses = `echo '{"Action":"run","Package":"acme/cart","Test":"TestA"}'; echo '{"Action":"fail","Package":"acme/cart","Test":"TestA"}'
echo '{"Action":"pass","Package":"acme/cart","Test":"TestB"}'; `

func TestRunSendsAgainWhatWasNotTaken(t *testing.T) {
	module(t, map[string]string{})
	receiver := &intake{refuse: func(n int, body string) bool {
		_ = os.WriteFile("asked", nil, 0o600)
		return n == 1
	}}
	out, notes, code := runStep(t, "--endpoint", receiver.start(t), "--revision", "9f2c1ab", "-o", "json", "--",
		"sh", "-c", `until [ -e asked ]; do sleep 0.01; done; `+oneFailsOnePasses+`exit 3`)
	require.Equal(t, 3, code, notes)
	require.Equal(t, []string{"executing", "TestA fail", "TestB pass", "finishedfailure"}, receiver.said())
	require.NotContains(t, out, "not_sent")
	require.True(t, receiver.whole)
}

// The step's end is tried even where nothing before it was taken.
func TestRunAlwaysTriesToTellItsEnd(t *testing.T) {
	module(t, map[string]string{})
	receiver := &intake{refuse: func(_ int, body string) bool { return !strings.Contains(body, "finished") }}
	out, _, code := runStep(t, "--endpoint", receiver.start(t), "--revision", "9f2c1ab", "-o", "json", "--", "sh", "-c", oneFailsOnePasses)
	require.Zero(t, code)
	require.Equal(t, []string{"finishedsuccess"}, receiver.said())
	require.Contains(t, out, `"not_sent":"3 results: `)
	require.False(t, receiver.whole, "that a commit's results are not whole is told")

	receiver = &intake{}
	_, notes, code := runStep(t, "--endpoint", receiver.start(t), "--revision", "9f2c1ab", "--", "./no-such-command")
	require.Equal(t, exitNotStarted, code)
	require.Contains(t, notes, "no-such-command")
	require.Equal(t, []string{"executing", "finishedfailure"}, receiver.said())
}

// A deployloop that takes a request and never answers holds up a step's end for as
// long as patience says, and changes nothing else.
func TestRunDoesNotWaitForAnEndpointThatHangs(t *testing.T) {
	module(t, map[string]string{"TEST-cart.xml": badReport})
	var mu sync.Mutex
	var bodies []string
	server := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, req *http.Request) {
		body, _ := io.ReadAll(req.Body)
		mu.Lock()
		bodies = append(bodies, string(body))
		mu.Unlock()
		<-req.Context().Done()
	}))
	defer server.Close()
	f := &runFlags{patience: patience{rest: 50 * time.Millisecond, last: 50 * time.Millisecond}}
	_, notes, code := f.runHere(t, "--endpoint", server.URL, "--revision", "9f2c1ab", "--report", "*.xml", "--", "sh", "-c", oneFailsOnePasses+"touch TEST-cart.xml; exit 5")
	require.Equal(t, 5, code)
	require.Contains(t, notes, "not sent: 3 results, 1 report, the step's end: "+server.URL+" does not answer: gave up after 50ms (--send-timeout)")
	mu.Lock()
	defer mu.Unlock()
	require.Contains(t, bodies[len(bodies)-1], `"finished"`)
}

// What was not taken is in a file, and the command that is told sends it.
func TestWhatWasNotTakenCanBeSentAgain(t *testing.T) {
	module(t, map[string]string{"it's/TEST-cart.xml": badReport})
	down := &intake{refuse: func(int, string) bool { return true }}
	receiver := &intake{}
	t.Setenv("DEPLOYLOOP_CICD_URL", down.start(t))
	_, notes, code := runStep(t, "--revision", "9f2c1ab", "--run-id", "77", "--report", "it's/*.xml", "--", "sh", "-c", oneFailsOnePasses+`touch "it's/TEST-cart.xml"; exit 5`)
	require.Equal(t, 5, code)
	_, command, told := strings.Cut(notes, "\nsend it again: deployloop ")
	require.True(t, told, notes)
	command, _, _ = strings.Cut(command, "\n")
	t.Setenv("DEPLOYLOOP_CICD_URL", receiver.start(t))
	again := exec.Command("sh", "-c", "exec '"+os.Args[0]+"' "+command)
	again.Env = append(os.Environ(), asDeployloop+"=1")
	out, err := again.CombinedOutput()
	require.NotContains(t, string(out), "not sent", err)
	require.Equal(t, []string{"executing", "TestA fail", "TestB pass", "finishedfailure"}, receiver.said())
	require.Equal(t, []string{"it's/TEST-cart.xml"}, receiver.files)

	clean := new(sender)
	clean.endpoint = "http://me:secret@127.0.0.1:1"
	require.NotContains(t, (&runSender{to: *clean}).sendAgain([][]byte{[]byte("{}")}, false), "secret")
}

// The command of one step must not send what the next one was not rid of, and files
// nobody sends go.
func TestEachStepKeepsItsOwnFile(t *testing.T) {
	t.Setenv("XDG_CACHE_HOME", t.TempDir())
	r := &runSender{}
	first, err := r.keep([][]byte{[]byte(`{"run":1}`)})
	require.NoError(t, err)
	second, err := r.keep([][]byte{[]byte(`{"run":2}`)})
	require.NoError(t, err)
	text, err := os.ReadFile(first)
	require.NoError(t, err)
	require.Equal(t, "{\"run\":1}\n", string(text))
	info, err := os.Stat(second)
	require.NoError(t, err)
	require.Equal(t, os.FileMode(0o600), info.Mode())

	long := time.Now().Add(-time.Hour)
	require.NoError(t, os.Chtimes(first, long, long))
	for range maxUnsentFiles - 1 {
		_, err = r.keep(nil)
		require.NoError(t, err)
	}
	require.NoFileExists(t, first, "the oldest makes room")
	require.FileExists(t, second)
}

// A proxy that keeps bodies back, and a receiver with much to read, answer long
// after the last byte: they are at work, and not gone.
func TestWhoTookARequestWholeMayWorkOnIt(t *testing.T) {
	module(t, map[string]string{"TEST-cart.xml": badReport})
	answer := make(chan struct{})
	answered := sync.OnceFunc(func() { close(answer) })
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		_, _ = io.Copy(io.Discard, req.Body)
		<-answer
		_, _ = io.WriteString(w, `{"reports":1}`)
	}))
	defer server.Close()
	defer answered() // also where the test fails: closing a server waits for its answers
	s := &step{runFlags: &runFlags{}}
	s.to, s.what = sender{endpoint: server.URL, timeout: time.Minute}, ciContext{revision: "9f2c1ab"}
	r := s.newSender(t.Context())
	defer r.sending.Wait()
	defer close(r.done)
	idle := func() time.Duration { // an hour after something was taken
		r.moved.Store(int64(time.Since(r.began) - time.Hour))
		return r.idle()
	}
	require.GreaterOrEqual(t, idle(), time.Hour, "while it connects")
	sent := make(chan error, 1)
	go func() {
		_, err := r.to.files(r.ctx, r.what.query(), []string{"TEST-cart.xml"}, os.Open)
		sent <- err
	}()
	eventually(t, func() bool { return idle() == 0 })
	answered()
	require.NoError(t, <-sent)
	require.GreaterOrEqual(t, idle(), time.Hour, "once it has its answer")
}

func TestASignalCutsSendingShort(t *testing.T) {
	module(t, map[string]string{})
	f := &runFlags{signals: make(chan os.Signal, 1), patience: patience{rest: time.Hour, last: time.Hour}}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		body, _ := io.ReadAll(req.Body)
		if !strings.Contains(string(body), "TestB") && !strings.Contains(string(body), "finished") {
			_, _ = io.WriteString(w, `{"reports":1}`)
			return
		}
		f.signals <- syscall.SIGINT // one while the rest is sent, one while the end is
		<-req.Context().Done()
	}))
	defer server.Close()
	_, _, code := f.runHere(t, "--endpoint", server.URL, "--revision", "9f2c1ab", "--", "sh", "-c", oneFailsOnePasses+"exit 5")
	require.Equal(t, 5, code)
}

// What fails has room of its own, and what finds none is counted.
func TestFailuresAreKeptWhateverPasses(t *testing.T) {
	r := &runSender{}
	pass, fail := make([]byte, 1<<20), []byte(`{}`)
	for range 2 * maxUnsent / len(pass) {
		r.rest.put(pass)
	}
	require.Equal(t, maxUnsent/len(pass), r.rest.left)
	r.urgent.put(fail)
	require.Zero(t, r.urgent.left)
	n, body := r.urgent.batch()
	require.Equal(t, 1, n)
	require.Equal(t, "{}\n", string(body))
	r.urgent.drop(n)
	require.Equal(t, unsent{lines: [][]byte{}}, r.urgent)

	out := reportOutput{}
	out.leaveOut(0, r.rest.left)
	var text, notes locked
	require.NoError(t, (&reportFlags{output: "json"}).print(&text, &notes, out))
	require.Contains(t, text.text(), `"left_out":{"not_sent":64}`)
	require.Contains(t, notes.text(), "64 not sent")
}
