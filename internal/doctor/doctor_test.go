package doctor

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/deployloop/deployloop/internal/cicd"
	"github.com/deployloop/deployloop/internal/cicd/argocd"
	"github.com/deployloop/deployloop/internal/cicd/cdevents"
	"github.com/deployloop/deployloop/internal/cicd/flagger"
	"github.com/deployloop/deployloop/internal/cicd/flux"
	"github.com/deployloop/deployloop/internal/cicd/gitea"
	"github.com/deployloop/deployloop/internal/cicd/github"
	"github.com/deployloop/deployloop/internal/cicd/gitlab"
	"github.com/deployloop/deployloop/internal/cicd/jenkins"
	"github.com/deployloop/deployloop/internal/cicd/spinnaker"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func quiet(string, bool) {}

// one runs a check and gives its only finding.
func one(t *testing.T, c Check) Finding {
	t.Helper()
	list := Run(context.Background(), 5*time.Second, quiet, []Check{c})
	require.Len(t, list, 1)
	return list[0]
}

func serve(t *testing.T, handler http.HandlerFunc) Server {
	server := httptest.NewServer(handler)
	t.Cleanup(server.Close)
	client := server.Client()
	return Server{Key: "exporters::it::endpoint", Kind: "It", URL: server.URL, Client: client}
}

// Findings come in the order of the checks, with their names, whichever ends first.
func TestRunKeepsTheOrder(t *testing.T) {
	first := make(chan struct{})
	list := Run(context.Background(), time.Minute, quiet, []Check{
		{"slow", "a", func(context.Context) []Finding {
			<-first
			return []Finding{Good("1"), {Target: "own", Status: OK, What: "2"}}
		}},
		{"quick", "b", func(context.Context) []Finding { close(first); return []Finding{Good("3")} }},
	})
	var got []string
	for _, f := range list {
		got = append(got, f.Check+" "+f.Target+" "+f.What)
	}
	assert.Equal(t, []string{"slow a 1", "slow own 2", "quick b 3"}, got)
}

// A server that never answers ends its check by the timeout, as such.
func TestHangingServer(t *testing.T) {
	release := make(chan struct{})
	s := serve(t, func(http.ResponseWriter, *http.Request) { <-release })
	t.Cleanup(func() { close(release); s.Client.CloseIdleConnections() })
	list := Run(context.Background(), 50*time.Millisecond, quiet, []Check{RemoteWrite(s)})
	require.Len(t, list, 1)
	assert.Equal(t, CauseTimeout, list[0].Cause)
}

func TestNetworkCauses(t *testing.T) {
	ask := func(url string) Cause {
		s := Server{URL: url, Client: &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}}
		_, err := s.call(context.Background(), http.MethodGet, "", nil, nil)
		require.Error(t, err)
		cause, words := NetworkCause(err)
		assert.NotEmpty(t, words)
		return cause
	}
	gone := httptest.NewServer(http.NotFoundHandler())
	gone.Close()
	assert.Equal(t, CauseNothingListens, ask(gone.URL))
	assert.Equal(t, CauseUnknownHost, ask("http://no-such-host.invalid"))

	secure := httptest.NewTLSServer(http.NotFoundHandler())
	t.Cleanup(secure.Close)
	assert.Equal(t, CauseTLS, ask(secure.URL), "an authority that is not known")
	plain := httptest.NewServer(http.NotFoundHandler())
	t.Cleanup(plain.Close)
	assert.Equal(t, CauseTLS, ask(strings.Replace(plain.URL, "http://", "https://", 1)), "https to what speaks http")
	cause, _ := NetworkCause(errors.New("read: connection reset by peer"))
	assert.Equal(t, CauseConnectionFailed, cause)
}

// What an Alertmanager does wrong, by its answers to post, list, end and list.
func TestAlertmanagerCauses(t *testing.T) {
	for name, c := range map[string]struct {
		handler http.HandlerFunc
		cause   Cause
	}{
		"keeps nothing": {func(w http.ResponseWriter, r *http.Request) {
			if r.Method == http.MethodGet {
				_, _ = w.Write([]byte("[]"))
			}
		}, CauseAlertNotSeen},
		"ends nothing": {func(w http.ResponseWriter, r *http.Request) {
			if r.Method == http.MethodGet {
				_, _ = w.Write([]byte(`[{"labels":{}}]`))
			}
		}, CauseAlertNotResolved},
		"wants credentials": {func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusUnauthorized) }, CauseUnauthenticated},
		"fails":             {func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusBadGateway) }, CauseServerError},
		"is a page for people": {func(w http.ResponseWriter, _ *http.Request) {
			_, _ = w.Write([]byte("<!doctype html><title>Welcome</title>"))
		}, CauseWrongServer},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := Run(context.Background(), 10*time.Second, quiet, []Check{Alertmanager(serve(t, c.handler), nil)})[0]
			assert.Equal(t, c.cause, f.Cause, "%+v", f)
			assert.NotEmpty(t, f.Fix)
		})
	}
}

// The test alert has the labels of every alert, and its own are never replaced.
func TestAlertIsEndedWhateverComes(t *testing.T) {
	var posted []string
	s := serve(t, func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodPost {
			body, _ := io.ReadAll(r.Body)
			posted = append(posted, string(body))
			return
		}
		w.WriteHeader(http.StatusInternalServerError)
	})
	f := one(t, Alertmanager(s, map[string]string{"cluster": "a", "alertname": "Other"}))
	assert.Equal(t, CauseServerError, f.Cause)
	require.Len(t, posted, 2, "posted, and ended although it could not be looked for")
	assert.Contains(t, posted[0], `"cluster":"a"`)
	assert.Contains(t, posted[0], `"alertname":"DeployloopDoctor"`)
}

// An Alertmanager whose clock is behind would go on with what ends in its future:
// the end is told by its clock.
func TestAlertEndsByTheClockOfAlertmanager(t *testing.T) {
	theirs := func() time.Time { return time.Now().Add(-time.Hour) }
	var mu sync.Mutex
	var held *alert
	var updated time.Time
	s := serve(t, func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		defer mu.Unlock()
		if r.Method == http.MethodPost {
			var list []alert
			assert.NoError(t, json.NewDecoder(r.Body).Decode(&list))
			assert.True(t, list[0].StartsAt.Before(list[0].EndsAt))
			held, updated = &list[0], theirs()
			return
		}
		answer := []map[string]any{}
		if held != nil && held.EndsAt.After(theirs()) {
			answer = append(answer, map[string]any{"labels": held.Labels, "updatedAt": updated})
		}
		_ = json.NewEncoder(w).Encode(answer)
	})
	f := one(t, Alertmanager(s, nil))
	assert.Equal(t, OK, f.Status, "%+v", f)
	mu.Lock()
	defer mu.Unlock()
	assert.False(t, held.EndsAt.After(theirs()), "it goes on firing there")
}

// A secret in an address reaches no finding.
func TestSecretsAreNotShown(t *testing.T) {
	gone := httptest.NewServer(http.NotFoundHandler())
	gone.Close()
	for _, address := range []string{strings.Replace(gone.URL, "http://", "http://user:hunter2@", 1), strings.Replace(gone.URL, "http://", "http://hunter2@", 1), gone.URL + "?api_key=hunter2"} {
		f := one(t, Alertmanager(Server{Key: "k::e", Kind: "It", URL: address, Client: &http.Client{}}, nil))
		assert.NotContains(t, f.Target+f.What+f.Fix, "hunter2")
		assert.Contains(t, f.Target, strings.TrimPrefix(gone.URL, "http://"))
	}
}

func TestClocks(t *testing.T) {
	for name, c := range map[string]struct {
		ahead  map[string]time.Duration
		target string
		status Status
	}{
		"nobody":           {nil, "", Skipped},
		"all agree":        {map[string]time.Duration{"a": time.Second, "console": -time.Second}, "", OK},
		"one is off":       {map[string]time.Duration{"a": 10 * time.Second, "b": 0}, "a", Warning},
		"one is far off":   {map[string]time.Duration{"a": -10 * time.Minute, "b": 0}, "a", Failure},
		"it is our own":    {map[string]time.Duration{"a": time.Hour, "b": time.Hour}, "deployloop's own machine", Failure},
		"seen from afar":   {map[string]time.Duration{"a": time.Hour, "console": time.Hour}, "", OK},
		"only the console": {map[string]time.Duration{"console": time.Hour}, "", Skipped},
	} {
		t.Run(name, func(t *testing.T) {
			clocks := NewClocks()
			for server, ahead := range c.ahead {
				clocks.note(server, ahead)
			}
			f := one(t, clocks.Check("console"))
			assert.Equal(t, c.status, f.Status, "%+v", f)
			assert.Equal(t, c.target, f.Target)
		})
	}
}

// The Date of an answer tells the clock.
func TestClocksWatch(t *testing.T) {
	clocks := NewClocks()
	s := serve(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Date", time.Now().Add(-time.Hour).UTC().Format(http.TimeFormat))
	})
	s.Client = clocks.Watch("it", s.Client)
	_, err := s.call(context.Background(), http.MethodGet, "", nil, nil)
	require.NoError(t, err)
	assert.InDelta(t, -3600, clocks.ahead["it"].Seconds(), 2)
}

// What a ping says is of no consequence, by the parsers that the receiver uses.
func TestPingsSayNothing(t *testing.T) {
	parsers := map[string]func(cicd.Delivery) (cicd.Intake, error){
		"github": func(d cicd.Delivery) (cicd.Intake, error) { return github.Parse(d, github.Options{}) },
		"gitea":  func(d cicd.Delivery) (cicd.Intake, error) { return gitea.Parse(d, github.Options{}) },
		"gitlab": func(d cicd.Delivery) (cicd.Intake, error) { return gitlab.Parse(d, gitlab.Options{}) },
		"flux":   flux.Parse, "jenkins": jenkins.Parse, "argocd": argocd.Parse,
		"flagger": flagger.Parse, "spinnaker": spinnaker.Parse, "cdevents": cdevents.Parse,
	}
	require.Len(t, hooks, len(parsers))
	for source, h := range hooks {
		d := cicd.Delivery{Body: []byte(h.body), ReceivedAt: time.Now()}
		for _, name := range []string{"X-GitHub-Event", "X-Gitea-Event"} {
			if h.header[name] != "" {
				d.Event = h.header[name]
			}
		}
		in, err := parsers[source](d)
		require.NoError(t, err, source)
		assert.NotEmpty(t, in.Ignored, source)
	}
}

func TestStorage(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "file")
	require.NoError(t, os.WriteFile(file, nil, 0o600))
	for _, c := range []struct {
		path   string
		create bool
		cause  Cause
	}{
		{dir, false, ""},
		{filepath.Join(dir, "new", "deeper"), true, ""},
		{filepath.Join(dir, "new"), false, CauseStorageMissing},
		{file, true, CauseStorageUnwritable},
		{filepath.Join(file, "below"), true, CauseStorageUnwritable},
		{"", true, CauseStorageMissing}, // of a variable that is not set
	} {
		f := one(t, Storage("extensions::file_storage::directory", c.path, c.create))
		assert.Equal(t, c.cause, f.Cause, "%+v", f)
	}
	left, err := os.ReadDir(dir)
	require.NoError(t, err)
	assert.Len(t, left, 1, "a test file was left")
}
